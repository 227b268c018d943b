"""Parquet: read row group by row group, only the columns that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from acx.records.files.cells import drop_blanks, unguard
from acx.records.files.chunks import Chunk, Header, Shape
from acx.records.files.errors import BadColumns, Damaged, shown
from acx.records.files.source import Opened

_ROWS = 65_536
_EXACT_FLOAT = 2**53


def read_parquet(opened: Opened, header: Header) -> Iterator[Chunk]:
    """Read Parquet; a row's line is its number, from 1.

    A column of lists gives lists; a column of plain text is read as a CSV cell is, joined values
    taken apart. Whole numbers are taken as their digits, dates as YYYY-MM-DD.

    Raises:
        Damaged: the file is cut off or broken.
        BadColumns: a wanted column is of a type that holds no text.
    """
    try:
        file = pq.ParquetFile(opened.stream, pre_buffer=False)
        schema = file.schema_arrow
        resolved = header.columns(schema.names)
        names = [name for name, wanted in zip(schema.names, resolved, strict=True) if wanted]
        row = 1
        for batch in file.iter_batches(_ROWS, columns=names):
            series = []
            for name in names:
                wanted = header.resolve(name)
                assert wanted is not None  # noqa: S101 -- only the wanted were asked for
                column = _Column(opened.name, wanted, header.wanted[wanted])
                series.append(column.series(batch.column(batch.schema.get_field_index(name))))
            frame = pl.DataFrame(series) if series else pl.DataFrame(height=batch.num_rows)
            lines = np.arange(row, row + batch.num_rows, dtype=np.int64)
            yield Chunk(frame, lines, _raw_row(batch))
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Damaged(
            f"{opened.name}: is cut off or broken as Parquet ({shown(reason)}); export it again"
        ) from None


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
            return self.series(array.dictionary_decode())
        if self._shape in (Shape.STRUCTURE, Shape.CARRIED) and pa.types.is_nested(kind):
            texts = [_json(value) for value in array.to_pylist()]
            return pl.Series(self._name, texts, pl.String)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return self._lists(array)
        if pa.types.is_nested(kind):
            raise self._wrong(kind)
        series = self._polars(self._text(array)).fill_null("")
        return unguard(series) if self._shape is Shape.LIST else series

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
            return self._text(array.dictionary_decode())
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
