"""Reading a file to its end, as the tests want to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from acx.records.account import FIELDS
from acx.records.files import (
    LIMITS,
    Column,
    Limits,
    Mapping,
    Rejects,
    read_accounts,
    read_table,
)


@dataclass(frozen=True)
class Reading:
    """What came of a file."""

    frame: pl.DataFrame
    rejects: Rejects
    rejected: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        return self.frame["id"].to_list()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, without what is missing in them."""
        return [
            {name: value for name, value in row.items() if value and not name.startswith("_")}
            for row in self.frame.to_dicts()
        ]

    @property
    def lines(self) -> list[int]:
        return self.frame["_line"].to_list()

    @property
    def reasons(self) -> list[tuple[int, str, str]]:
        """Line, field and reason of each rejected row, by line."""
        return sorted((row["line"], row["field"], row["reason"]) for row in self.rejected)


def accounts(
    source: str | Path,
    folder: Path,
    *,
    mapping: Mapping | None = None,
    encoding: str | None = None,
    carry: Sequence[str] = (),
    fields: Sequence[str] = FIELDS,
    require_id: bool = True,
    batch_rows: int = 65_536,
    limits: Limits = LIMITS,
) -> Reading:
    """Read accounts; the rejects go to a file in the folder."""
    return _read(
        folder,
        lambda rejects: read_accounts(
            source,
            rejects=rejects,
            mapping=mapping,
            encoding=encoding,
            carry=carry,
            fields=fields,
            require_id=require_id,
            batch_rows=batch_rows,
            limits=limits,
        ),
    )


def table(source: str | Path, folder: Path, columns: Sequence[Column]) -> Reading:
    """Read a table of any columns."""
    return _read(folder, lambda rejects: read_table(source, columns=columns, rejects=rejects))


def _read(folder: Path, read: Callable[[Rejects], Iterator[pl.DataFrame]]) -> Reading:
    path = folder / "out.rejects.jsonl"
    with Rejects(path) as rejects:
        frames = list(read(rejects))
    frame = pl.concat(frames)
    lines = path.read_bytes().splitlines() if path.exists() else []
    return Reading(frame, rejects, [msgspec.json.decode(line) for line in lines])
