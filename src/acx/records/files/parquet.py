"""Parquet: read row group by row group, only the columns that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from acx.records.files.cells import drop_blanks, unguard
from acx.records.files.chunks import Chunk, Header, Shape
from acx.records.files.errors import BadColumns, Damaged, TooLarge, shown
from acx.records.files.limits import MIB, Limits
from acx.records.files.source import Opened

_ROWS: Final = 65_536
_EXACT_FLOAT: Final = 2**53
_BATCH_TEXT_BYTES: Final = 1024 * MIB
"""Most text of a column in one batch: 16 KiB a row."""


def read_parquet(opened: Opened, header: Header, limits: Limits) -> Iterator[Chunk]:
    """Read Parquet; a row's line is its number, from 1.

    A column of lists gives lists; a column of plain text is read as a CSV cell is, joined values
    taken apart. Whole numbers are taken as their digits, dates as YYYY-MM-DD.

    Args:
        opened: the file.
        header: is told the columns and says which are wanted.
        limits: of expansion and width.

    Raises:
        Damaged: the file is cut off or broken.
        BadColumns: a wanted column is of a type that holds no text.
        TooLarge: it expands as only a bomb does.
    """
    try:
        metadata = pq.read_metadata(opened.stream)
        schema = metadata.schema.to_arrow_schema()
        resolved = header.columns(schema.names)
        wanted = {name: as_ for name, as_ in zip(schema.names, resolved, strict=True) if as_}
        _check_expansion(opened.name, metadata, limits)
        row = 1
        for batch in _batches(opened, metadata, list(wanted)):
            series = [
                _Column(opened.name, as_, header.demand.wanted[as_]).series(
                    batch.column(batch.schema.get_field_index(name))
                )
                for name, as_ in wanted.items()
            ]
            lines = np.arange(row, row + batch.num_rows, dtype=np.int64)
            yield Chunk(pl.DataFrame(series), lines, _raw_row(batch))
            row += batch.num_rows
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Damaged(
            f"{opened.name}: is cut off or broken as Parquet ({shown(reason)}); export it again"
        ) from None


def _check_expansion(file: str, metadata: pq.FileMetaData, limits: Limits) -> None:
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            permitted = max(limits.expansion_floor, column.total_compressed_size * limits.expansion)
            if column.total_uncompressed_size > permitted:
                raise TooLarge(
                    f"{file}: column {shown(column.path_in_schema)} expands to more than "
                    f"{limits.expansion} times its size, as only a decompression bomb does"
                )


def _batches(
    opened: Opened, metadata: pq.FileMetaData, names: list[str]
) -> Iterator[pa.RecordBatch]:
    """The rows, group by group.

    Text that the file keeps as dictionaries stays so: a long value that every row names is there
    once, until its expansion is known to be harmless. Arrow's dictionaries grow from group to
    group, so each group has a reader of its own.
    """
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        kept = [
            metadata.schema.column(place).path
            for place in range(group.num_columns)
            if any("DICTIONARY" in encoding for encoding in group.column(place).encodings)
        ]
        file = pq.ParquetFile(
            opened.stream, metadata=metadata, pre_buffer=False, read_dictionary=kept
        )
        yield from file.iter_batches(_ROWS, row_groups=[number], columns=names)


def _raw_row(batch: pa.RecordBatch) -> Callable[[int], object]:
    def raw(row: int) -> object:
        return {
            name: str(value) if not isinstance(value, str | list | int | type(None)) else value
            for name, value in batch.slice(row, 1).to_pylist()[0].items()
        }

    return raw


class _Column:
    """Turns one column into text or lists of text."""

    def __init__(self, file: str, name: str, shape: Shape) -> None:
        self._file = file
        self._name = name
        self._shape = shape

    def series(self, array: pa.Array) -> pl.Series:
        # Text that is not UTF-8 would be undefined behaviour in what follows.
        array.validate(full=True)
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self.series(self._decoded(array))
        if self._shape in (Shape.STRUCTURE, Shape.CARRIED) and pa.types.is_nested(kind):
            texts = [_json(value) for value in array.to_pylist()]
            return pl.Series(self._name, texts, pl.String)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return self._lists(array)
        if pa.types.is_nested(kind):
            raise self._wrong(kind)
        series = self._polars(self._text(array)).fill_null("")
        return unguard(series) if self._shape is Shape.LIST else series

    def _decoded(self, array: pa.Array) -> pa.Array:
        """A dictionary's values in every row, unless they are too much."""
        lengths = pc.binary_length(array.dictionary)
        total = pc.sum(lengths.take(array.indices)).as_py() or 0
        if total > _BATCH_TEXT_BYTES:
            raise TooLarge(
                f"{self._file}: column {shown(self._name)} holds more than "
                f"{_BATCH_TEXT_BYTES:,} bytes of text in {_ROWS:,} rows; write shorter values"
            )
        return array.dictionary_decode()

    def _lists(self, array: pa.Array) -> pl.Series:
        length = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        values = self._polars(self._text(array.flatten()))
        return drop_blanks(values, length).alias(self._name)

    def _polars(self, array: pa.Array) -> pl.Series:
        series = pl.from_arrow(array)
        assert isinstance(series, pl.Series)  # noqa: S101 -- an array is never a frame
        return series.cast(pl.String).alias(self._name)

    def _text(self, array: pa.Array) -> pa.Array:
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self._text(self._decoded(array))
        if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            return array.cast(pa.large_string())
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
            return array
        if pa.types.is_date(kind):
            return pc.strftime(array, format="%Y-%m-%d")
        if pa.types.is_timestamp(kind):
            return pc.strftime(array, format="%Y-%m-%d")
        if pa.types.is_floating(kind):
            return self._float_text(array)
        if pa.types.is_boolean(kind) and self._shape is Shape.CARRIED:
            return array.cast(pa.large_string())
        raise self._wrong(kind)

    def _float_text(self, array: pa.Array) -> pa.Array:
        """Whole numbers lose their point: tools that know no missing integer write them so."""
        values = array.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), _EXACT_FLOAT))
        if self._shape in (Shape.NUMBER, Shape.CARRIED):
            digits = pc.if_else(whole, values, None).cast(pa.int64()).cast(pa.large_string())
            return pc.coalesce(digits, values.cast(pa.large_string()))
        if pc.any(pc.invert(whole)).as_py():
            raise BadColumns(
                f"{self._file}: column {shown(self._name)} holds fractions; write it as text"
            )
        return values.cast(pa.int64()).cast(pa.large_string())

    def _wrong(self, kind: pa.DataType) -> BadColumns:
        return BadColumns(
            f"{self._file}: column {shown(self._name)} is of type {shown(kind)}; "
            "write it as text or a list of texts"
        )


def _json(value: object) -> str:
    if value is None:
        return ""
    return msgspec.json.encode(value, enc_hook=str).decode()
