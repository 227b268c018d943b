"""Tables written in the format the name asks for, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, ClassVar, Final, Protocol

import msgspec
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from acx.records.files.cells import JOINER, guard, join
from acx.records.files.errors import Unwritable, did_you_mean, shown, shown_path
from acx.records.files.output import STDOUT, AtomicFile
from acx.records.files.source import PACKED_SUFFIXES
from acx.records.files.workbook_writer import WorkbookWriter

FORMATS: Final = ("jsonl", "json", "csv", "tsv", "parquet", "xlsx")
_ALIASES: Final = {"ndjson": "jsonl"}
_ROWS: Final = 65_536


def write_table(
    frames: Iterable[pl.DataFrame],
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002 -- the option's name
    joiners: Mapping[str, str] | None = None,
    schema: Mapping[str, pl.DataType] | None = None,
) -> int:
    """Write frames as one table, in bounded memory.

    The file appears whole at the end, or what stood there before stays. In CSV and XLSX lists are
    joined in one cell and cells are guarded against being run (`acx.records.files.cells`); JSON
    and Parquet keep lists and text as they are.

    Args:
        frames: rows, all with the columns of the first.
        path: where to; `-` is standard output. The suffix tells the format, and `.gz` or `.zst`
            after it the compression.
        format: one of `FORMATS`, where the suffix does not tell; JSON Lines on standard output.
        joiners: what joins the lists of a column in a cell, where it is not `|`.
        schema: columns of the table, needed where there may be no frame.

    Returns:
        the rows written.

    Raises:
        Unwritable: an unknown format, a value it cannot hold, or the system refuses.
    """
    chosen, packing = _choose(path, format)
    rows = 0
    with AtomicFile(path) as output, _writing(output, chosen, packing, joiners or {}) as write:
        columns = pl.DataFrame(schema=schema) if schema is not None else None
        for frame in itertools.chain([columns] if columns is not None else [], frames):
            with output.refusing():
                write(frame)
            rows += frame.height
    return rows


def _choose(path: str | Path, asked: str | None) -> tuple[str, str]:
    """Format and compression."""
    suffixes = [] if str(path) == STDOUT else [s.lower() for s in Path(path).suffixes]
    packing = PACKED_SUFFIXES.get(suffixes[-1], "") if suffixes else ""
    if packing:
        suffixes.pop()
    told = suffixes[-1].removeprefix(".") if suffixes else ""
    chosen = asked or told or ("jsonl" if str(path) == STDOUT else "")
    chosen = _ALIASES.get(chosen, chosen)
    if chosen not in FORMATS:
        what = f"--format {shown(asked)}" if asked else shown_path(path)
        raise Unwritable(
            f"{what}: no format acx writes{did_you_mean(chosen, FORMATS)}; "
            f"end the name in .{', .'.join(FORMATS)}"
        )
    return chosen, packing


@contextlib.contextmanager
def _writing(
    output: AtomicFile, chosen: str, packing: str, joiners: Mapping[str, str]
) -> Iterator[Callable[[pl.DataFrame], None]]:
    """What takes the frames; finished at the end, and let go of if something fails."""
    file = output.file
    packed = (
        pa.CompressedOutputStream(pa.PythonFile(_Held(file), "w"), packing) if packing else None
    )
    writer = _WRITERS[chosen](packed or file, joiners)
    try:
        yield writer.write
        with output.refusing():
            writer.end()
            if packed:
                packed.close()
    except BaseException:
        # What is written now is thrown away; without it, the libraries complain later.
        with contextlib.suppress(Exception):
            writer.end()
        with contextlib.suppress(Exception):
            if packed:
                packed.close()
        raise


class _Held:
    """A file that a library may use but not close."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.flush()


class _Writer(Protocol):
    def __init__(self, file: IO[bytes], joiners: Mapping[str, str]) -> None: ...

    def write(self, frame: pl.DataFrame) -> None: ...

    def end(self) -> None: ...


class _JsonLines:
    def __init__(self, file: IO[bytes], _joiners: Mapping[str, str]) -> None:
        self._file = file

    def write(self, frame: pl.DataFrame) -> None:
        for part in frame.iter_slices(_ROWS):
            self._file.write(_json_lines(part))

    def end(self) -> None:
        """Nothing follows the last line."""


class _Json:
    def __init__(self, file: IO[bytes], _joiners: Mapping[str, str]) -> None:
        self._file = file
        self._before = b"[\n"

    def write(self, frame: pl.DataFrame) -> None:
        for part in frame.iter_slices(_ROWS):
            # No line feed stands within an object, where text has \n escaped.
            objects = _json_lines(part).removesuffix(b"\n").replace(b"\n", b",\n")
            if objects:
                self._file.write(self._before + objects)
                self._before = b",\n"

    def end(self) -> None:
        self._file.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")


class _Delimited:
    separator: ClassVar[str] = ","

    def __init__(self, file: IO[bytes], joiners: Mapping[str, str]) -> None:
        self._file = file
        self._joiners = joiners
        self._header = True

    def write(self, frame: pl.DataFrame) -> None:
        for part in _slices(frame):
            cells = as_cells(part, self._joiners)
            if self._header:
                names = [guard(pl.Series([name]))[0] for name in cells.columns]
                self._put(pl.DataFrame([names], orient="row"))
                self._header = False
            self._put(cells)

    def _put(self, cells: pl.DataFrame) -> None:
        text = cells.write_csv(include_header=False, separator=self.separator)
        self._file.write(text.encode())

    def end(self) -> None:
        """Nothing follows the last row."""


class _TabDelimited(_Delimited):
    separator = "\t"


class _Parquet:
    def __init__(self, file: IO[bytes], _joiners: Mapping[str, str]) -> None:
        self._file = pa.PythonFile(_Held(file), "w")
        self._writer: pq.ParquetWriter | None = None
        self._held: list[pl.DataFrame] = []
        self._height = 0

    def write(self, frame: pl.DataFrame) -> None:
        self._held.append(frame)
        self._height += frame.height
        if self._height >= _ROWS:
            self._flush()

    def end(self) -> None:
        if self._held:
            self._flush()
        if self._writer is None:
            raise Unwritable("a Parquet file without columns cannot be written")
        self._writer.close()

    def _flush(self) -> None:
        table = pl.concat(self._held).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file, table.schema, compression="zstd", store_schema=False
            )
        self._writer.write_table(table, row_group_size=_ROWS)
        self._held, self._height = [], 0


class _Workbook:
    def __init__(self, file: IO[bytes], joiners: Mapping[str, str]) -> None:
        self._book = WorkbookWriter(file)
        self._joiners = joiners
        self._header = True

    def write(self, frame: pl.DataFrame) -> None:
        for part in _slices(frame):
            cells = as_cells(part, self._joiners)
            if self._header:
                self._book.header([guard(pl.Series([name]))[0] for name in cells.columns])
                self._header = False
            self._book.write(cells)

    def end(self) -> None:
        self._book.end()


_WRITERS: Final[dict[str, type[_Writer]]] = {
    "jsonl": _JsonLines,
    "json": _Json,
    "csv": _Delimited,
    "tsv": _TabDelimited,
    "parquet": _Parquet,
    "xlsx": _Workbook,
}


def as_cells(frame: pl.DataFrame, joiners: Mapping[str, str]) -> pl.DataFrame:
    """The frame with everything but numbers and truth values as guarded text."""
    return pl.DataFrame([_cells(column, joiners) for column in frame.iter_columns()])


def _cells(column: pl.Series, joiners: Mapping[str, str]) -> pl.Series:
    kind = column.dtype
    if kind.is_numeric() or kind == pl.Boolean:
        return column
    if isinstance(kind, pl.List):
        if isinstance(kind.inner, pl.Struct):
            texts = [_json(value.to_list()) if value is not None else "" for value in column]
            return guard(pl.Series(column.name, texts, pl.String))
        column = join(column.cast(pl.List(pl.String)), joiners.get(column.name, JOINER))
    elif isinstance(kind, pl.Struct):
        column = pl.Series(column.name, [_json(value) for value in column], pl.String)
    return guard(column.cast(pl.String).fill_null(""))


def _json(value: object) -> str:
    return "" if value in (None, []) else msgspec.json.encode(value, enc_hook=str).decode()


def _json_lines(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ndjson(buffer)
    return buffer.getvalue()


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts of bounded size; one even if the frame has no rows, for its columns."""
    if frame.height:
        yield from frame.iter_slices(_ROWS)
    else:
        yield frame
