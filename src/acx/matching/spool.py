"""What was prepared of a seller base, kept for the second time it is gone through.

How common values are is known only at the end of a file, and only then can its first account be
screened. What was prepared is kept in memory up to a bound; what is more goes to a file that has no
name and ends with the process, encrypted under a key that ends with it too.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from typing import IO, Any, Final, Generic, NamedTuple, Self, TypeVar

import numpy as np

from acx.matching.arrays import BLOCK, bytes_of, crypted, leaves, rebuilt
from acx.matching.errors import NoSpace

MEMORY: Final = 512 << 20
"""Bytes kept in memory, those of some 600,000 accounts."""

Group = TypeVar("Group", bound=tuple[Any, ...])


class _Piece(NamedTuple):
    """An array in the file: its type and shape, where it is, what it was encrypted with."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    counter: bytes


class Spool(Generic[Group]):
    """Named tuples of arrays, to be gone through again in their order."""

    def __init__(self, memory: int = MEMORY) -> None:
        """Nothing is written until more than `memory` bytes are there."""
        self._memory = memory
        self._like: tuple[Any, ...] = ()
        self._held: list[Group] = []
        self._spilled: list[list[_Piece]] = []
        self._file: IO[bytes] | None = None
        self._end = 0
        self._key = secrets.token_bytes(32)

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give memory and file back."""
        self._held.clear()
        self._spilled.clear()
        if self._file is not None:
            self._file.close()

    def append(self, group: Group) -> None:
        """Keep one more.

        Raises:
            NoSpace: the temporary directory is full.
        """
        arrays = [array for _, array in leaves(group)]
        self._like = self._like or rebuilt(group, [None] * len(arrays))
        size = sum(array.nbytes for array in arrays)
        if size <= self._memory and not self._spilled:
            self._memory -= size
            self._held.append(group)
        else:
            self._spilled.append([self._write(array) for array in arrays])

    def __iter__(self) -> Iterator[Group]:
        """All that was kept, in its order."""
        yield from self._held
        for pieces in self._spilled:
            yield rebuilt(self._like, map(self._read, pieces))

    def _write(self, array: Any) -> _Piece:
        counter = secrets.token_bytes(BLOCK)
        offset = self._end
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="acx-")  # noqa: SIM115 -- see __exit__
            self._file.seek(offset)
            self._file.write(crypted(bytes_of(array), self._key, counter).data)
        except OSError as error:
            raise NoSpace(
                f"{tempfile.gettempdir()}: cannot keep what was read ({error.strerror}); make room,"
                " or set TMPDIR to a larger directory"
            ) from None
        self._end += array.nbytes
        return _Piece(array.dtype.str, array.shape, offset, counter)

    def _read(self, piece: _Piece) -> Any:
        assert self._file is not None  # noqa: S101 -- what was spilled is in it
        dtype = np.dtype(piece.dtype)
        size = dtype.itemsize * int(np.prod(piece.shape, dtype=np.int64))
        data = np.empty(size, np.uint8)
        self._file.seek(piece.offset)
        self._file.readinto(data.data)  # type: ignore[attr-defined]
        return crypted(data, self._key, piece.counter).view(dtype).reshape(piece.shape)
