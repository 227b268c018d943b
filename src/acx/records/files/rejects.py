"""Rows that were refused, and what else a reader has to say about its input."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from acx.records.files.errors import BadAllowance, shown
from acx.records.files.output import AtomicFile

_ALLOWANCE: Final = re.compile(r"(?P<rows>[0-9]{1,12})|(?P<percent>[0-9]{1,3}(\.[0-9]{1,6})?)\s?%")
_BEGINS: Final = b'{"file":'
_ROW_BYTES: Final = 64 * 1024


class Rejects:
    """Collects rejected rows, one JSON object a line, and the warnings of reading.

    The file appears whole when the collection is closed, and not at all when there is nothing in
    it or the work around it failed: used as a context manager, it is discarded on an exception.

    ```
    with Rejects(out.with_suffix(".rejects.jsonl")) as rejects:
        for frame in read_accounts(path, rejects=rejects):
            ...
    exit_code = 0 if rejects.allowed("1%") else 3
    ```

    Attributes:
        path: where the rejected rows go; without one they are only counted.
        count: rows rejected.
        accepted: rows that were read and given on.
        warnings: what the user should know though no row was refused; each said once.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.count = 0
        self.accepted = 0
        self.warnings: list[str] = []
        self._file: AtomicFile | None = None

    def add(self, *, file: str, line: int, field: str, reason: str, row: object = None) -> None:
        """Reject one row.

        Args:
            file: the file, as the user named it.
            line: its line; the row of a Parquet file or sheet.
            field: the field that is wrong; empty if the row as a whole is.
            reason: what is wrong with it and what to do.
            row: the row as it stands in the file, text or an object.
        """
        self.count += 1
        if self.path is None:
            return
        if self._file is None:
            self._file = AtomicFile(self.path)
        entry = {"file": file, "line": line, "field": field, "reason": reason, "row": _bounded(row)}
        self._file.write(msgspec.json.encode(entry) + b"\n")

    def warn(self, message: str) -> None:
        """Note what the user should know; said twice, it is noted once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def allowed(self, allowance: str | int | None) -> bool:
        """Whether the rejects stay within `--allow-rejects`.

        Args:
            allowance: a number of rows (`10`), a share of the rows read (`0.5%`), or None for none.

        Raises:
            BadAllowance: it is neither.
        """
        match = _ALLOWANCE.fullmatch("0" if allowance is None else str(allowance).strip())
        if match is None:
            raise BadAllowance(
                f"--allow-rejects {shown(allowance)}: give a number of rows (10) or a share (0.5%)"
            )
        if match["rows"]:
            return self.count <= int(match["rows"])
        return self.count <= (self.accepted + self.count) * float(match["percent"]) / 100

    def commit(self) -> None:
        """Put the file in place; without rejects, remove those an earlier run left there."""
        if self._file is not None:
            self._file.commit()
        elif self.path is not None and _holds_rejects(self.path):
            self.path.unlink()

    def discard(self) -> None:
        """Leave no trace; a file of an earlier run stays."""
        if self._file is not None:
            self._file.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def _holds_rejects(path: Path) -> bool:
    """Whether a file is one of ours, so that nothing else is ever removed."""
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(len(_BEGINS)) == _BEGINS
    except OSError:
        return False


def _bounded(row: object) -> msgspec.Raw:
    """The row as JSON; the start of its text where it is long, nothing where it cannot be shown."""
    try:
        encoded = msgspec.json.encode(row)
    except (RecursionError, UnicodeError):
        return msgspec.Raw(b"null")
    if len(encoded) > _ROW_BYTES:
        encoded = msgspec.json.encode(encoded[:_ROW_BYTES].decode(errors="ignore") + "…")
    return msgspec.Raw(encoded)
