"""CSV: records found and checked byte by byte, their cells taken apart by polars.

Where every quote stands as RFC 4180 wants it, which is decided for a whole block at once, the
records are the stretches between line feeds outside quotes. Where one does not, the block is
walked record by record; a record that is malformed loses its first line alone, so a quote that
never closes cannot swallow the rows after it.

Source: RFC 4180; leniently, a quote inside a cell that does not start with one is itself.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.records.files.chunks import Chunk, Header
from acx.records.files.errors import Damaged, WrongEncoding
from acx.records.files.limits import Limits
from acx.records.files.rejects import Rejects
from acx.records.files.source import Opened
from acx.records.files.text import Block, read_blocks

DELIMITERS: Final = (",", ";", "\t")

_QUOTE: Final = ord('"')
_LINE_FEED: Final = ord("\n")
_RETURN: Final = ord("\r")
_QUOTED: Final = re.compile(rb'"((?:[^"]|"")*+)"')


def read_delimited(
    opened: Opened, header: Header, rejects: Rejects, encoding: str | None, limits: Limits
) -> Iterator[Chunk]:
    """Read CSV; every cell is text.

    Args:
        opened: the file.
        header: is told the columns and says which are wanted.
        rejects: takes records that are malformed or whose text is damaged.
        encoding: as Python names it; UTF-8 where None.
        limits: of lines and records.

    Raises:
        FileFormatError: no header, or one that cannot be.
    """
    reader: _Reader | None = None
    pending = Block(b"", 1)
    for block in read_blocks(opened, encoding, limits):
        joined = _joined(pending, block)
        if reader is None:
            start = _Start.of(joined, opened.name, header, limits, final=False)
            if start is None:
                pending = joined
                continue
            reader = _Reader(opened, start, header, rejects, limits)
            joined = start.rest
        chunk, pending = reader.read(joined, final=False)
        if chunk is not None:
            yield chunk
    if reader is None:
        start = _Start.of(pending, opened.name, header, limits, final=True)
        assert start is not None  # noqa: S101 -- at the end of the file it is there or an error
        reader = _Reader(opened, start, header, rejects, limits)
        pending = start.rest
    if pending.data:
        chunk, _ = reader.read(pending, final=True)
        if chunk is not None:
            yield chunk


def _joined(pending: Block, block: Block) -> Block:
    if not pending.data:
        return block
    return Block(pending.data + block.data, pending.line, pending.damaged | block.damaged)


@dataclass(frozen=True, slots=True)
class _Start:
    """What the first lines tell: delimiter, names of columns, and what follows them."""

    delimiter: str
    names: list[str]
    rest: Block

    @classmethod
    def of(
        cls, block: Block, name: str, header: Header, limits: Limits, *, final: bool
    ) -> _Start | None:
        """The start, or None if the block, unless it is the last, ends within the header.

        Raises:
            FileFormatError: there is no header, or none that can be read.
        """
        data, line = block.data, block.line
        # Spreadsheets in some countries announce the delimiter in a line of its own.
        announced = re.match(rb"sep=(.)\r?\n", data)
        if announced:
            data, line = data[announced.end() :], line + 1
        blank = re.match(rb"(?:[ \t]*\r?\n)+", data)
        if blank:
            data, line = data[blank.end() :], line + blank[0].count(b"\n")
        if b"\n" not in data:
            if final:
                raise Damaged(f"{name}: has no header line; its first line must name columns")
            return None
        readings: list[tuple[str, list[str], int]] = []
        choices = (announced[1].decode("latin-1"),) if announced else DELIMITERS
        for delimiter in choices:
            record = _take(data, 0, ord(delimiter), _horizons(data, limits)[0])
            if record is None and not final:
                return None
            if record is not None and record.cells:
                names = [cell.decode(errors="replace") for cell in record.cells]
                readings.append((delimiter, names, record.end))
        if not readings:
            raise Damaged(f"{name}: the quotes of the header line do not pair; mend that line")
        delimiter, names, end = max(
            readings, key=lambda reading: (sum(map(header.knows, reading[1])), len(reading[1]))
        )
        for number in range(line, line + data[:end].count(b"\n")):
            if number in block.damaged:
                raise WrongEncoding(f"{name}: line {number}, the header: {block.damaged[number]}")
        rest = Block(data[end:], line + data[:end].count(b"\n"), block.damaged)
        return cls(delimiter, names, rest)


class _Reader:
    """Takes blocks apart, once the header is known."""

    def __init__(
        self, opened: Opened, start: _Start, header: Header, rejects: Rejects, limits: Limits
    ) -> None:
        self._name = opened.name
        self._delimiter = start.delimiter
        self._names = start.names
        self._columns = header.columns(start.names)
        self._rejects = rejects
        self._limits = limits

    def read(self, block: Block, *, final: bool) -> tuple[Chunk | None, Block]:
        """The rows of a block, and what is left of it: a record that has not ended."""
        records = self._records(block, final=final) or self._walked(block, final=final)
        line = block.line + block.data.count(b"\n", 0, records.end)
        damaged = {number: why for number, why in block.damaged.items() if number >= line}
        return self._chunk(block, records), Block(block.data[records.end :], line, damaged)

    def _records(self, block: Block, *, final: bool) -> _Records | None:
        """The records of a block whose quotes are all in order; else None."""
        data = block.data
        buffer = np.frombuffer(data, np.uint8)
        feeds = np.flatnonzero(buffer == _LINE_FEED)
        delimiters = np.flatnonzero(buffer == ord(self._delimiter))
        ends = feeds
        if b'"' in data:
            quotes = np.flatnonzero(buffer == _QUOTE)
            if not _in_order(buffer, quotes, ord(self._delimiter)):
                return None
            ends = feeds[np.searchsorted(quotes, feeds) % 2 == 0]
            delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
        # A carriage return elsewhere than before a line feed: polars might see a line end in it.
        if data.count(b"\r") != data.count(b"\r\n"):
            return None
        if final and not (len(ends) and ends[-1] + 1 == len(data)):
            return None
        if not len(ends):
            return _Records.none() if len(feeds) < self._limits.record_lines else None
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
        first = np.searchsorted(feeds, starts)
        over = np.searchsorted(feeds, ends) - first + 1
        if (
            over.max() > self._limits.record_lines
            or (ends - starts).max() > self._limits.line_bytes
        ):
            return None
        cells = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
        wrong = cells != len(self._names)
        blank = (ends == starts) | ((ends == starts + 1) & (buffer[starts] == _RETURN))
        wrong &= ~blank
        if (wrong & (over > 1)).any():
            return None
        lines = block.line + first
        for place in np.flatnonzero(wrong).tolist():
            raw = data[starts[place] : ends[place]]
            line = int(lines[place])
            reason = block.damaged.get(line) or self._miscounted(int(cells[place]))
            self._reject(line, reason, raw)
        good = ~(wrong | blank)
        clean = data[: ends[-1] + 1]
        if not good.all():
            clean = b"".join(
                data[start : end + 1]
                for start, end in zip(starts[good].tolist(), ends[good].tolist(), strict=True)
            )
        return _Records(clean, lines[good], over[good], int(ends[-1]) + 1)

    def _walked(self, block: Block, *, final: bool) -> _Records:
        """The records of any block, one after the other."""
        data, line, place = block.data, block.line, 0
        delimiter = self._delimiter.encode()
        clean: list[bytes] = []
        lines: list[int] = []
        over: list[int] = []
        horizons = _horizons(data, self._limits)
        while place < len(data):
            record = _take(data, place, delimiter[0], horizons[line - block.line])
            if record is None and not final and len(data) - place <= self._limits.line_bytes:
                break
            first_end = data.index(b"\n", place) + 1
            if record is None or not record.cells:
                problem = "a quote in it does not close, or text follows a closing quote"
            elif data[place:first_end] in (b"\n", b"\r\n"):
                place, line = first_end, line + 1
                continue
            elif len(record.cells) != len(self._names):
                problem = self._miscounted(len(record.cells))
            else:
                spans = data.count(b"\n", place, record.end)
                clean.append(delimiter.join(map(_quoted, record.cells)) + b"\n")
                lines.append(line)
                over.append(spans)
                place, line = record.end, line + spans
                continue
            self._reject(line, block.damaged.get(line, problem), data[place : first_end - 1])
            place, line = first_end, line + 1
        return _Records(b"".join(clean), np.array(lines, int), np.array(over, int), place)

    def _chunk(self, block: Block, records: _Records) -> Chunk | None:
        if not len(records.lines):
            return None
        frame = self._cells(records)
        lines = records.lines
        if block.damaged:
            damaged = np.array(sorted(block.damaged), np.int64)
            # The record that holds a damaged line is the last that starts at or before it.
            owner = np.maximum(np.searchsorted(lines, damaged, side="right") - 1, 0)
            hit = (lines[owner] <= damaged) & (damaged < lines[owner] + records.over[owner])
            kept = np.ones(len(lines), dtype=bool)
            for place, number in zip(owner[hit].tolist(), damaged[hit].tolist(), strict=True):
                if kept[place]:
                    row = dict(zip(self._names, frame.row(place), strict=False))
                    self._reject(int(lines[place]), block.damaged[number], row)
                kept[place] = False
            frame, lines = frame.filter(pl.Series(kept)), lines[kept]
        if not len(lines):
            return None
        return Chunk.of_cells(frame, self._names, self._columns, lines)

    def _cells(self, records: _Records) -> pl.DataFrame:
        names = [str(number) for number in range(len(self._names))]
        frame = pl.read_csv(
            io.BytesIO(records.clean),
            has_header=False,
            separator=self._delimiter,
            infer_schema=False,
            new_columns=names,
        )
        if frame.shape != (len(records.lines), len(names)):
            rows = csv.reader(
                io.StringIO(records.clean.decode(), newline=""), delimiter=self._delimiter
            )
            frame = pl.DataFrame(list(rows), schema=dict.fromkeys(names, pl.String), orient="row")
        return frame.with_columns(pl.all().fill_null(""))

    def _miscounted(self, cells: int) -> str:
        return (
            f"has {cells} cells where the header has {len(self._names)}; "
            "put quotes round a cell that holds the separator"
        )

    def _reject(self, line: int, reason: str, row: object) -> None:
        text = row.decode(errors="replace") if isinstance(row, bytes) else row
        self._rejects.add(file=self._name, line=line, field="", reason=reason, row=text)


@dataclass(frozen=True, slots=True)
class _Records:
    """Well-formed records: bytes, first lines, numbers of lines; and where the next starts."""

    clean: bytes
    lines: NDArray[np.int64]
    over: NDArray[np.int64]
    end: int

    @classmethod
    def none(cls) -> _Records:
        return cls(b"", np.zeros(0, np.int64), np.zeros(0, np.int64), 0)


@dataclass(frozen=True, slots=True)
class _Record:
    """One record's cells, empty if it is malformed, and where the next starts."""

    cells: list[bytes]
    end: int


def _in_order(buffer: NDArray[np.uint8], quotes: NDArray[np.int64], delimiter: int) -> bool:
    """Whether every quote opens a cell, closes one, or is one of a pair within.

    In order, quotes open and close in turn, a pair within closing and opening again at once.
    """
    opening, closing = quotes[0::2], quotes[1::2]
    before = buffer[np.maximum(opening - 1, 0)]
    opens = (before == delimiter) | (before == _LINE_FEED) | (opening == 0)
    # A quote after a quote opens again where the one before it closed: next to it in the turn.
    again = opening[1:] == closing[: len(opening) - 1] + 1
    opens[1:] |= again
    last = len(buffer) - 1
    after = buffer[np.minimum(closing + 1, last)]
    closes = (after == delimiter) | (after == _LINE_FEED) | (after == _QUOTE) | (closing == last)
    returns = after == _RETURN
    if returns.any():
        closes |= returns & (buffer[np.minimum(closing + 2, last)] == _LINE_FEED)
    return bool(opens.all() and closes.all())


def _take(data: bytes, place: int, delimiter: int, horizon: int) -> _Record | None:
    """The record that starts at a place; None if the data end within it.

    Args:
        data: the text.
        place: where the record starts.
        delimiter: what separates cells.
        horizon: where a cell must have ended, so that no quote is looked for without end.
    """
    cells: list[bytes] = []
    plain = _PLAIN[delimiter]
    while True:
        if data[place : place + 1] == b'"':
            match = _QUOTED.match(data, place, horizon)
            if match is None:
                return None if horizon == len(data) else _Record([], place)
            cells.append(match[1].replace(b'""', b'"'))
        else:
            match = plain.match(data, place, horizon)
            assert match is not None  # noqa: S101 -- the pattern matches nothing at all too
            cells.append(match[0])
        place = match.end()
        if place >= len(data):
            return None
        if data[place] == delimiter:
            place += 1
        elif data[place] == _LINE_FEED:
            return _Record(cells, place + 1)
        elif data[place : place + 2] == b"\r\n":
            return _Record(cells, place + 2)
        else:
            return _Record([], place)


def _horizons(data: bytes, limits: Limits) -> list[int]:
    """For each line, where a record that starts there must have ended."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LINE_FEED) + 1
    far: list[int] = ends[limits.record_lines - 1 :].tolist()
    return far + [len(data)] * (len(ends) - len(far))


class _Plain(dict[int, re.Pattern[bytes]]):
    def __missing__(self, delimiter: int) -> re.Pattern[bytes]:
        sign = re.escape(bytes([delimiter]))
        pattern = re.compile(rb"(?:[^" + sign + rb"\r\n]|\r(?!\n))*+")
        self[delimiter] = pattern
        return pattern


_PLAIN: Final = _Plain()


def _quoted(cell: bytes) -> bytes:
    return b'"' + cell.replace(b'"', b'""') + b'"'
