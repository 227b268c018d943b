"""Where rows come from: a file, a folder, a pattern or standard input, unpacked and recognised.

What a file is, its content tells: compression and format by their first bytes. The name only
decides between the text formats where the content leaves a doubt.
"""

from __future__ import annotations

import contextlib
import enum
import glob
import io
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]

from acx.records.files.errors import (
    Damaged,
    SourceNotFound,
    TooLarge,
    UnknownFormat,
    Unreadable,
    listed,
    shown_path,
)
from acx.records.files.limits import Limits

STDIN: Final = "-"
_HEAD_BYTES: Final = 64 * 1024

_PACKINGS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED: Final = {
    b"\xd0\xcf\x11\xe0": "an old .xls workbook or one with a password: save it as .xlsx without",
    b"%PDF": "a PDF: export the table as CSV or XLSX",
    b"BZh": "compressed with bzip2: use gzip or zstd",
    b"\xfd7zXZ": "compressed with xz: use gzip or zstd",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"ARROW1": "an Arrow file: write Parquet",
    b"SQLite format 3": "a SQLite database: export the table as CSV",
}


class Format(enum.Enum):
    """The formats of tables."""

    DELIMITED = "CSV"
    JSON_LINES = "JSON Lines"
    JSON = "JSON"
    PARQUET = "Parquet"
    WORKBOOK = "XLSX"


SUFFIXES: Final = {
    ".csv": Format.DELIMITED,
    ".tsv": Format.DELIMITED,
    ".txt": Format.DELIMITED,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".json": Format.JSON,
    ".parquet": Format.PARQUET,
    ".xlsx": Format.WORKBOOK,
}
PACKED_SUFFIXES: Final = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that is open: unpacked, and its format known.

    Attributes:
        name: the file as the user named it, fit for messages.
        format: what it is.
        stream: its content, at the start; Parquet and XLSX can seek in it.
    """

    name: str
    format: Format
    stream: IO[bytes]


def find(source: str | Path) -> tuple[list[str | Path], list[str]]:
    """The files a source stands for.

    Args:
        source: a file, a folder (its files of known suffixes, by name; hidden files and rejects
            are left out), a pattern (`sellers-*.csv`, `**/*.parquet`), or `-`.

    Returns:
        the files, and the names of those in the folder that were left out.

    Raises:
        SourceNotFound: nothing is there.
    """
    text = str(source)
    if text == STDIN:
        return [STDIN], []
    if "\0" in text:
        raise SourceNotFound(f"{shown_path(text)}: a name cannot hold a NUL")
    path = Path(text)
    try:
        if path.is_dir():
            return _in_folder(path)
        if not os.path.lexists(path) and glob.has_magic(text):
            return _matching(text)
        if not path.exists():
            raise SourceNotFound(_missing(path))
    except OSError as error:
        raise Unreadable(f"{shown_path(text)}: cannot read: {error.strerror}") from None
    return [path], []


@contextlib.contextmanager
def open_source(place: str | Path, limits: Limits) -> Iterator[Opened]:
    """Open one file, unpack it and tell what it is.

    Args:
        place: a path, or `-` for standard input.
        limits: how much it may expand to.

    Raises:
        FileFormatError: it cannot be read, is empty, or is nothing acx reads.
    """
    name = "standard input" if place == STDIN else shown_path(place)
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(_raw(place, name))
            stream, head = _unpacked(raw, name, limits)
        except OSError as error:
            raise Unreadable(f"{name}: cannot read: {error.strerror or error}") from None
        recognised = _recognise(head, name, _suffix(place))
        if recognised in (Format.PARQUET, Format.WORKBOOK) and not stream.seekable():
            stream = stack.enter_context(_spooled(stream, name, limits))
        yield Opened(name, recognised, stream)


def _in_folder(folder: Path) -> tuple[list[str | Path], list[str]]:
    files: list[str | Path] = []
    left_out: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or not path.is_file():
            continue
        if path.name.endswith(".rejects.jsonl") or _suffix(path) not in SUFFIXES:
            left_out.append(path.name)
        else:
            files.append(path)
    if not files:
        found = f"; it holds {listed(left_out, 5)}" if left_out else ""
        raise SourceNotFound(
            f"{shown_path(folder)}: no file in this folder ends in {', '.join(SUFFIXES)}{found}"
        )
    return files, left_out


def _matching(pattern: str) -> tuple[list[str | Path], list[str]]:
    files: list[str | Path] = [
        path
        # Path.glob takes no absolute pattern.
        for path in map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207
        if path.is_file()
    ]
    if not files:
        raise SourceNotFound(f"{shown_path(pattern)}: no file matches this pattern")
    return files, []


def _missing(path: Path) -> str:
    if not path.parent.is_dir():
        return (
            f"{shown_path(path)}: no such file: the folder {shown_path(path.parent)} does not exist"
        )
    return f"{shown_path(path)}: no such file"


def _suffix(place: str | Path) -> str:
    """The suffix that tells the format, in lower case, beneath one that tells the packing."""
    suffixes = [suffix.lower() for suffix in Path(place).suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextlib.contextmanager
def _raw(place: str | Path, name: str) -> Iterator[IO[bytes]]:
    if place == STDIN:
        yield sys.stdin.buffer
        return
    path = Path(place)
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise Unreadable(f"{name}: is a device or socket, not a file; name a file, or - for a pipe")
    with path.open("rb", buffering=0) as file:
        yield cast("IO[bytes]", file)


def _unpacked(raw: IO[bytes], name: str, limits: Limits) -> tuple[IO[bytes], bytes]:
    """The content, unpacked if it is packed, and its first bytes."""
    stream, head = _rewound(raw)
    packing = _packing(head)
    if packing:
        stream, head = _rewound(cast("IO[bytes]", _Unpacking(stream, packing, name, limits)))
        if _packing(head):
            raise UnknownFormat(f"{name}: is compressed twice; unpack it once")
    if not head:
        raise Damaged(f"{name}: is empty; an export that failed looks like this: export it again")
    return stream, head


def _packing(head: bytes) -> str:
    return next((name for magic, name in _PACKINGS.items() if head.startswith(magic)), "")


def _rewound(stream: IO[bytes]) -> tuple[IO[bytes], bytes]:
    head = bytearray()
    while len(head) < _HEAD_BYTES and (chunk := stream.read(_HEAD_BYTES - len(head))):
        head += chunk
    if stream.seekable():
        stream.seek(0)
        return stream, bytes(head)
    return cast("IO[bytes]", _Rejoined(bytes(head), stream)), bytes(head)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were taken to look at, whole again."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._head:
            chunk = self._head if size < 0 else self._head[:size]
            self._head = self._head[len(chunk) :]
            return chunk
        return self._rest.read(size) or b""


class _Unpacking(io.RawIOBase):
    """Unpacked content, which stops where it is cut off, broken or a bomb."""

    def __init__(self, packed: IO[bytes], packing: str, name: str, limits: Limits) -> None:
        self._counted = _Counted(packed)
        self._packing = packing
        self._name = name
        self._limits = limits
        self._expanded = 0
        try:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._counted, "r"), packing)
        except OSError as error:
            raise self._damaged(error) from None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            data: bytes = self._stream.read(size if size >= 0 else None)
        except OSError as error:
            raise self._damaged(error) from None
        self._expanded += len(data)
        permitted = max(
            self._limits.expansion_floor, self._counted.bytes_read * self._limits.expansion
        )
        if self._expanded > permitted:
            raise TooLarge(
                f"{self._name}: expands to more than {self._limits.expansion} times its size, as "
                "only a decompression bomb does; if it is yours, unpack it first"
            )
        return data

    def _damaged(self, error: OSError) -> Damaged:
        what = "is cut off" if "runcated" in str(error) else "is broken"
        return Damaged(
            f"{self._name}: the {self._packing} data {what} after {self._expanded:,} unpacked "
            "bytes; copy or export the file again"
        )


class _Counted:
    """Counts the packed bytes read, for the ratio."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.closed = False
        self._stream = stream
        self.bytes_read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.bytes_read += len(data)
        return data

    def close(self) -> None:
        self.closed = True


@contextlib.contextmanager
def _spooled(stream: IO[bytes], name: str, limits: Limits) -> Iterator[IO[bytes]]:
    """A copy on disk, for formats that are read from their end."""
    with tempfile.TemporaryFile() as copy:
        copied = 0
        while chunk := stream.read(1024 * 1024):
            copied += len(chunk)
            if copied > limits.spooled_bytes:
                raise TooLarge(f"{name}: more than {limits.spooled_bytes:,} bytes; name the file")
            copy.write(chunk)
        copy.seek(0)
        yield copy


def _recognise(head: bytes, name: str, suffix: str) -> Format:
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if head.startswith(b"PK\x03\x04"):
        return Format.WORKBOOK
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise UnknownFormat(f"{name}: is {what}")
    expected = SUFFIXES.get(suffix)
    if expected in (Format.PARQUET, Format.WORKBOOK):
        raise Damaged(f"{name}: is no {expected.value} file though its name says so")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<":
        raise UnknownFormat(f"{name}: looks like HTML or XML: export the table as CSV or XLSX")
    if text[:1] == b"[" and expected is not Format.JSON_LINES:
        return Format.JSON
    if text[:1] == b"{":
        return Format.JSON_LINES if expected is Format.JSON_LINES else _json_kind(text)
    if expected in (Format.JSON, Format.JSON_LINES):
        return expected
    return Format.DELIMITED


def _json_kind(text: bytes) -> Format:
    """JSON Lines if the first line is an object, or at least ends like one."""
    first, _, rest = text.partition(b"\n")
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, RecursionError):
        ends = first.rstrip().endswith(b"}") and rest.lstrip()[:1] == b"{"
        return Format.JSON_LINES if ends else Format.JSON
    return Format.JSON_LINES
