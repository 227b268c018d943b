"""Files that appear whole or not at all.

Content goes to a temporary file in the same folder, is flushed to the disk, takes its name by a
rename, and the folder is flushed: whoever looks finds the file of before or the whole new one,
also after a power cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from acx.records.files.errors import Unwritable, shown_path

STDOUT = "-"


class AtomicFile:
    """A file being written, which takes its place at `commit`.

    `-` is standard output, and a device or pipe is written into instead of replaced: what goes
    there is kept back until `commit` too, so that a failure half-way sends nothing on.

    Args:
        path: where the file is to be.

    Raises:
        Unwritable: the folder is missing, or the system refuses.
    """

    def __init__(self, path: Path | str) -> None:
        self._shown = "standard output" if str(path) == STDOUT else shown_path(path)
        self._through = str(path) == STDOUT or _is_special(Path(path))
        # A link is followed: what it points to is replaced, not the link.
        self._target = Path(path) if self._through else Path(os.path.realpath(path))
        self._temporary: Path | None = None
        self._file: IO[bytes] | None = None
        with self.refusing():
            self._open()

    @property
    def file(self) -> IO[bytes]:
        """The open file, for libraries that write to one."""
        if self._file is None:
            raise Unwritable(f"{self._shown}: already closed")
        return self._file

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            Unwritable: the disk is full, or the system refuses.
        """
        with self.refusing():
            self.file.write(data)

    def commit(self) -> None:
        """Put the file in its place, durably.

        Raises:
            Unwritable: the system refuses; what stood there before still stands.
        """
        if self._file is None:
            return
        try:
            self._settle(self._file)
        finally:
            self.discard()

    def _settle(self, file: IO[bytes]) -> None:
        with self.refusing():
            file.flush()
            if self._temporary is None:
                self._pass_on(file)
                return
            os.fsync(file.fileno())
            file.close()
            self._temporary.replace(self._target)
            self._temporary = None
            _sync_folder(self._target.parent)

    def discard(self) -> None:
        """Drop what was written; what stood there before still stands."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink(missing_ok=True)
        self._file = self._temporary = None

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

    def _open(self) -> None:
        if self._through:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed at commit or discard
            return
        if self._target.is_dir():
            raise Unwritable(f"{self._shown}: is a folder; name a file")
        name = f".{self._target.name[:100]}.{secrets.token_hex(8)}.tmp"
        temporary = self._target.parent / name
        mode = 0o666
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(self._target.stat().st_mode)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        self._temporary = temporary
        self._file = os.fdopen(descriptor, "w+b", buffering=1024 * 1024)

    def _pass_on(self, kept: IO[bytes]) -> None:
        kept.seek(0)
        if str(self._target) == STDOUT:
            shutil.copyfileobj(kept, sys.stdout.buffer, 1024 * 1024)
            sys.stdout.buffer.flush()
            return
        with self._target.open("wb") as target:
            shutil.copyfileobj(kept, target, 1024 * 1024)

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Within, what the system refuses is `Unwritable`."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unwritable(
                f"{self._shown}: cannot write: {reason}; nothing was written"
            ) from None


def _is_special(path: Path) -> bool:
    """Whether writing to the path must not replace it: a device, a pipe, a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
