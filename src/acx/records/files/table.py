"""Tables: rows of any file as frames of declared columns, bad rows to the rejects.

Account files, report files, listings and shipments are read by this one function; what a column
may hold is data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.records.files.cells import JOINER, as_lists, is_blank, join, split
from acx.records.files.chunks import Chunk, Demand, Header, Shape
from acx.records.files.delimited import read_delimited
from acx.records.files.duplicates import Seen
from acx.records.files.errors import Unreadable, listed, shown, shown_path
from acx.records.files.json_text import read_json, read_json_lines
from acx.records.files.limits import LIMITS, Limits
from acx.records.files.mapping import Mapping, Template, with_day
from acx.records.files.parquet import read_parquet
from acx.records.files.rejects import Rejects
from acx.records.files.source import Format, Opened, find, open_source
from acx.records.files.workbook import read_workbook

FILE: Final = "_file"
LINE: Final = "_line"
"""Columns that say where a row came from."""

_DATES: Final = {"%Y-%m-%d": "YYYY-MM-DD", "%Y-%m": "YYYY-MM"}
_ROUNDED: Final = r"^[0-9]([.,][0-9]+)?E\+[0-9]{1,3}$"
_EARLIEST_YEAR: Final = 1800
_NO_MAPPING: Final = Mapping("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table, and what its values may be.

    Attributes:
        name: its name, here and (unless mapped) in the file.
        many: whether it holds a list of values; else one, empty if missing.
        required: whether every row must have a value.
        number: whether JSON and Parquet may hold numbers in it; it is text all the same.
        as_written: whether they may hold anything in it, true and false too; likewise.
        exact: whether a number that a spreadsheet has rounded (`4.93E+11`) is refused.
        structure: for JSON, the type it must parse as (msgspec's); it is given as JSON text.
        one_of: the closed list its values are of, met without regard to case.
        date: for a date, how it is given back (`%Y-%m-%d`, `%Y-%m`).
        max_values: most values.
        max_characters: most characters of a value.
    """

    name: str
    many: bool = False
    required: bool = False
    number: bool = False
    as_written: bool = False
    exact: bool = False
    structure: Any = None
    one_of: Sequence[str] = ()
    date: str = ""
    max_values: int = LIMITS.values
    max_characters: int = LIMITS.characters

    @property
    def shape(self) -> Shape:
        """How a reader gives it."""
        if self.many:
            return Shape.LIST
        if self.structure is not None:
            return Shape.STRUCTURE
        if self.as_written:
            return Shape.CARRIED
        return Shape.NUMBER if self.number else Shape.TEXT

    @property
    def dtype(self) -> pl.DataType:
        """Its type in frames."""
        return pl.List(pl.String()) if self.many else pl.String()


def read_table(
    source: str | Path,
    *,
    columns: Sequence[Column],
    rejects: Rejects,
    mapping: Mapping | None = None,
    encoding: str | None = None,
    carry: Sequence[str] = (),
    unique: str = "",
    nested: Sequence[str] = (),
    batch_rows: int = 65_536,
    limits: Limits = LIMITS,
) -> Iterator[pl.DataFrame]:
    """Read a table in batches, in bounded memory.

    Formats, compression, delimiters and text marks are recognised by the content
    (`docs/reference/files.md`). A row that is wrong goes to the rejects with file, line, field
    and reason, and the rows around it are read.

    Args:
        source: a file, a folder, a pattern, or `-` for standard input.
        columns: what to read.
        rejects: takes the rows that are wrong, and warnings.
        mapping: other names for columns.
        encoding: of text files, as Python names it; UTF-8 where None.
        carry: columns of the file to give back as text, whatever they hold.
        unique: a column whose values may not come twice; the later row is rejected.
        nested: JSON objects whose members stand for columns.
        batch_rows: most rows of a frame.
        limits: what protects the machine.

    Returns:
        frames of the columns, those carried, `_line` and `_file`; one without rows if there is
        no row.

    Raises:
        FileFormatError: what ends the reading; nothing after it is known.
    """
    reading = _Reading(
        columns=columns,
        mapping=mapping or _NO_MAPPING,
        carry=[name for name in dict.fromkeys(carry) if name not in {c.name for c in columns}],
        rejects=rejects,
        encoding=encoding,
        nested=nested,
        limits=limits,
        seen=Seen() if unique else None,
        unique=unique,
    )
    places, left_out = find(source)
    if left_out:
        rejects.warn(f"{shown_path(source)}: files left out: {listed(left_out, 10)}")
    frames = (frame for place in places for frame in reading.frames(place))
    return _batches(frames, batch_rows, reading.empty())


def _batches(
    frames: Iterable[pl.DataFrame], rows: int, empty: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """The same rows in frames of `rows`, the last perhaps smaller; one frame if there is none."""
    held = [empty]
    height = 0
    yielded = False
    for frame in frames:
        held.append(frame)
        height += frame.height
        while height >= rows:
            whole = pl.concat(held)
            yield whole.head(rows)
            held = [whole.slice(rows)]
            height -= rows
            yielded = True
    if height or not yielded:
        yield pl.concat(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    columns: Sequence[Column]
    mapping: Mapping
    carry: Sequence[str]
    rejects: Rejects
    encoding: str | None
    nested: Sequence[str]
    limits: Limits
    seen: Seen | None
    unique: str

    def empty(self) -> pl.DataFrame:
        """A frame without rows."""
        columns = {column.name: column.dtype for column in self.columns}
        carried = dict.fromkeys(self.carry, pl.String())
        return pl.DataFrame(schema={**columns, **carried, LINE: pl.Int64(), FILE: pl.String()})

    def frames(self, place: str | Path) -> Iterator[pl.DataFrame]:
        """The rows of one file."""
        try:
            yield from self._frames(place)
        except OSError as error:
            raise Unreadable(
                f"{shown_path(place)}: cannot read on: {error.strerror or error}"
            ) from None

    def _frames(self, place: str | Path) -> Iterator[pl.DataFrame]:
        with open_source(place, self.limits) as opened:
            demands = [self._demand(self.mapping)]
            if self.mapping.columns:
                demands.append(self._demand(_NO_MAPPING))
            header = Header(opened.name, demands, self.rejects, self.limits)
            for chunk in self._chunks(opened, header):
                frame = _Rows(self, header.demand.mapping, opened.name, chunk).frame()
                if frame.height:
                    yield frame
            header.warn_of_absent()
            header.warn_of_ignored()

    def _chunks(self, opened: Opened, header: Header) -> Iterator[Chunk]:
        text = (opened, header, self.rejects, self.encoding, self.limits)
        readers: dict[Format, Callable[[], Iterator[Chunk]]] = {
            Format.DELIMITED: lambda: read_delimited(*text),
            Format.JSON_LINES: lambda: read_json_lines(*text, self.nested),
            Format.JSON: lambda: read_json(*text, self.nested),
            Format.PARQUET: lambda: read_parquet(opened, header, self.limits),
            Format.WORKBOOK: lambda: read_workbook(opened, header, self.rejects, self.limits),
        }
        return readers[opened.format]()

    def _demand(self, mapping: Mapping) -> Demand:
        wanted: dict[str, Shape] = dict.fromkeys(self.carry, Shape.CARRIED)
        required = dict.fromkeys(self.carry, "--carry")
        for column in self.columns:
            for template in mapping.sources(column.name):
                shape = column.shape if template.literals is None else Shape.TEXT
                for name in template.columns:
                    wanted[name] = max(shape, wanted.get(name, shape))
                if column.name in mapping.columns:
                    asked = f"columns.{column.name} in {mapping.file}"
                    required |= dict.fromkeys(template.columns, asked)
                elif column.required and column.name not in mapping.constants:
                    required[column.name] = "every row needs one"
        return Demand(wanted, required, mapping)


class _Rows:
    """Makes the declared columns of a chunk's, and sorts out the rows that do not fit."""

    def __init__(self, reading: _Reading, mapping: Mapping, file: str, chunk: Chunk) -> None:
        self._reading = reading
        self._mapping = mapping
        self._file = file
        self._chunk = chunk
        self._height = len(chunk.lines)
        self._bad: dict[int, tuple[str, str]] = {}

    def frame(self) -> pl.DataFrame:
        reading = self._reading
        frame = pl.DataFrame(
            [
                *(self._column(column) for column in reading.columns),
                *(self._carried(name) for name in reading.carry),
                pl.Series(LINE, self._chunk.lines, pl.Int64),
            ]
        ).with_columns(pl.lit(self._file).alias(FILE))
        if reading.seen is not None:
            self._check_unique(reading.seen, frame[reading.unique])
        kept = np.ones(self._height, dtype=bool)
        for place in sorted(self._bad):
            kept[place] = False
            name, reason = self._bad[place]
            reading.rejects.add(
                file=self._file,
                line=int(self._chunk.lines[place]),
                field=name,
                reason=reason,
                row=self._chunk.raw(place),
            )
        reading.rejects.accepted += int(kept.sum())
        return frame if kept.all() else frame.filter(pl.Series(kept))

    def _column(self, column: Column) -> pl.Series:
        series = self._many(column) if column.many else self._one(column)
        if column.required:
            missing = series.list.len() == 0 if column.many else series == ""
            self._refuse(missing.to_numpy(), column.name, "is missing")
        return series.alias(column.name)

    def _many(self, column: Column) -> pl.Series:
        found = [
            self._values(template, column)
            for template in self._mapping.sources(column.name)
            if self._has(template)
        ]
        constants = self._mapping.constants.get(column.name, ())
        if constants:
            found.append(
                pl.Series([list(constants)], dtype=column.dtype).new_from_index(0, self._height)
            )
        if not found:
            return pl.Series([[]], dtype=column.dtype).new_from_index(0, self._height)
        lists = found[0]
        if len(found) > 1:
            named = pl.DataFrame([series.alias(str(n)) for n, series in enumerate(found)])
            lists = named.select(pl.concat_list(pl.all()).alias("lists"))["lists"]
        length = lists.list.len().to_numpy()
        self._refuse(
            length > column.max_values,
            column.name,
            lambda row: f"has {length[row]:,} values, at most {column.max_values:,} are allowed",
        )
        values = lists.filter(pl.Series(length > 0)).explode()
        owner = np.repeat(np.arange(self._height), length)
        changed = self._translated(values, column)
        self._check(changed, owner, column)
        return lists if changed is values else as_lists(changed, length)

    def _one(self, column: Column) -> pl.Series:
        empty = pl.Series([""], dtype=pl.String).new_from_index(0, self._height)
        series = empty
        for template in self._mapping.sources(column.name):
            if self._has(template):
                series = series.zip_with(series != "", self._text(template, column.name))
        for constant in self._mapping.constants.get(column.name, ())[:1]:
            series = series.zip_with(
                series != "", pl.Series([constant]).new_from_index(0, self._height)
            )
        series = empty.zip_with(is_blank(series), series)
        changed = self._translated(series, column)
        if column.date:
            return self._dates(changed, column)
        if column.structure is not None:
            self._check_structure(changed, column)
            return changed
        self._check(changed, np.arange(self._height), column)
        return changed

    def _has(self, template: Template) -> bool:
        present = [name in self._chunk.frame.columns for name in template.columns]
        return all(present) if template.literals is None else any(present)

    def _values(self, template: Template, column: Column) -> pl.Series:
        separator = self._mapping.separator(column.name)
        if template.literals is not None:
            return split(self._text(template, column.name), "\0")
        series = self._chunk.frame[template.columns[0]]
        if series.dtype == pl.String:
            return split(series, separator or JOINER)
        return split(series.list.join(separator), separator) if separator else series

    def _text(self, template: Template, field: str) -> pl.Series:
        texts = [self._single(name, field) for name in template.columns]
        if template.literals is None:
            return texts[0]
        return pl.DataFrame(texts).select(template.expression().alias(field))[field]

    def _single(self, name: str, field: str) -> pl.Series:
        """A column as one text; rows with more values are refused."""
        if name not in self._chunk.frame.columns:
            return pl.Series(name, [""]).new_from_index(0, self._height)
        series = self._chunk.frame[name]
        if series.dtype == pl.String:
            return series
        several = (series.list.len() > 1).to_numpy()
        self._refuse(several, field, f"{shown(name)} has several values, one is needed")
        return series.list.first().fill_null("").alias(name)

    def _carried(self, name: str) -> pl.Series:
        if name not in self._chunk.frame.columns:
            return pl.Series(name, [""]).new_from_index(0, self._height)
        series = self._chunk.frame[name]
        return series if series.dtype == pl.String else join(series).alias(name)

    def _translated(self, values: pl.Series, column: Column) -> pl.Series:
        words = self._mapping.values.get(column.name)
        if words:
            values = values.replace(words)
        if column.one_of:
            plain = values.str.strip_chars().str.to_lowercase()
            values = plain.zip_with(plain.is_in(list(column.one_of)), values)
        return values

    def _check(self, values: pl.Series, owner: NDArray[np.integer], column: Column) -> None:
        self._refuse_values(
            values.str.len_chars() > column.max_characters,
            owner,
            column,
            f"a value of more than {column.max_characters:,} characters",
        )
        self._refuse_values(
            values.str.contains("\0", literal=True), owner, column, "holds a NUL character"
        )
        if column.exact:
            self._refuse_values(
                values.str.contains(_ROUNDED),
                owner,
                column,
                "is a number that a spreadsheet has rounded; format the column as text, "
                "enter it again and export it again",
            )
        if column.one_of:
            allowed = listed(column.one_of, 40)
            wrong = ~values.is_in(list(column.one_of)) & (values != "")
            for place in wrong.arg_true():
                reason = f"is {shown(values[place])}; allowed are {allowed}"
                self._bad.setdefault(int(owner[place]), (column.name, reason))

    def _check_structure(self, values: pl.Series, column: Column) -> None:
        for place in (values != "").arg_true():
            try:
                msgspec.json.decode(values[place], type=column.structure)
            except (msgspec.DecodeError, RecursionError) as error:
                self._bad.setdefault(place, (column.name, f"is not what it should be: {error}"))

    def _dates(self, values: pl.Series, column: Column) -> pl.Series:
        values = values.str.strip_chars()
        formats = self._mapping.dates.get(column.name, ())
        parsed = pl.Series([None], dtype=pl.Date).new_from_index(0, self._height)
        for date_format in formats:
            whole, day = with_day(date_format)
            dates = (values + day).str.to_date(whole, strict=False)
            parsed = parsed.zip_with(parsed.is_not_null(), dates)
        # What a spreadsheet's date cell gives is read whatever the mapping says.
        iso = values.str.extract(r"^(\d{4}-\d{2}-\d{2})(?:[T ]00:00:00(?:\.0+)?)?$")
        if column.date == "%Y-%m":
            month = values.str.extract(r"^(\d{4}-\d{2})$") + "-01"
            iso = iso.zip_with(iso.is_not_null(), month)
        parsed = parsed.zip_with(parsed.is_not_null(), iso.str.to_date("%Y-%m-%d", strict=False))
        odd = (values != "") & (parsed.is_null() | (parsed.dt.year() < _EARLIEST_YEAR))
        expected = listed(formats) if formats else _DATES[column.date]
        for place in odd.arg_true():
            reason = f"is {shown(values[place])}, not a date written as {expected}"
            self._bad.setdefault(place, (column.name, reason))
        return parsed.dt.strftime(column.date).fill_null("")

    def _check_unique(self, seen: Seen, values: pl.Series) -> None:
        counted = (values != "").to_numpy().copy()
        counted[list(self._bad)] = False
        rows = np.flatnonzero(counted)
        lines = self._chunk.lines[rows]
        for place, (file, line) in seen.add(values.gather(rows), self._file, lines).items():
            row = int(rows[place])
            where = f"line {line}" if file == self._file else f"line {line} of {file}"
            reason = (
                f"{shown(values[row])} came before, in {where}; put everything about one "
                f"{values.name} in one row, values joined by {JOINER}"
            )
            self._bad.setdefault(row, (values.name, reason))

    def _refuse(
        self, wrong: NDArray[np.bool_], field: str, reason: str | Callable[[int], str]
    ) -> None:
        for row in np.flatnonzero(wrong).tolist():
            self._bad.setdefault(row, (field, reason if isinstance(reason, str) else reason(row)))

    def _refuse_values(
        self, wrong: pl.Series, owner: NDArray[np.integer], column: Column, reason: str
    ) -> None:
        for place in wrong.arg_true():
            self._bad.setdefault(int(owner[place]), (column.name, reason))
