"""JSON Lines and JSON: objects as rows, each checked by itself."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from acx.records.files.cells import as_lists, drop_blanks
from acx.records.files.chunks import Chunk, Header, Shape
from acx.records.files.errors import Damaged, TooLarge, WrongEncoding
from acx.records.files.limits import Limits
from acx.records.files.rejects import Rejects
from acx.records.files.source import Opened
from acx.records.files.text import read_blocks

Row = dict[str, Any]
_ROWS: Final = 16_384
_WHITE_SPACE: Final = re.compile(r"[ \t\r\n]*")


class _BadValue(Exception):
    """A value of the wrong type; the message is the reason."""


def read_json_lines(
    opened: Opened,
    header: Header,
    rejects: Rejects,
    encoding: str | None,
    limits: Limits,
    nested: Sequence[str] = (),
) -> Iterator[Chunk]:
    """Read JSON Lines: an object a line; a line that is none is rejected."""
    columns = _Columns(opened.name, header, rejects, nested)
    decode = msgspec.json.Decoder(Row).decode
    for block in read_blocks(opened, encoding, limits):
        rows: list[Row] = []
        lines: list[int] = []
        for number, text in enumerate(block.data.split(b"\n"), start=block.line):
            if number in block.damaged:
                columns.reject(number, "", block.damaged[number], text.decode())
                continue
            try:
                rows.append(decode(text))
            except (msgspec.DecodeError, RecursionError) as error:
                if text.strip():
                    columns.reject(number, "", _syntax(error), text.decode())
                continue
            lines.append(number)
        yield from columns.chunks(rows, lines)


def read_json(
    opened: Opened,
    header: Header,
    rejects: Rejects,
    encoding: str | None,
    limits: Limits,
    nested: Sequence[str] = (),
) -> Iterator[Chunk]:
    """Read a JSON list of objects, or one object.

    Raises:
        Damaged: the text is not JSON; where the next object starts is then unknown.
    """
    columns = _Columns(opened.name, header, rejects, nested)
    rows: list[Row] = []
    lines: list[int] = []
    for line, value in _elements(opened, encoding, limits):
        if not isinstance(value, dict):
            columns.reject(line, "", f"is {_kind(value)}, not an object", value)
            continue
        rows.append(value)
        lines.append(line)
        if len(rows) == _ROWS:
            yield from columns.chunks(rows, lines)
            rows, lines = [], []
    yield from columns.chunks(rows, lines)


class _Columns:
    """Turns objects into columns; an object with a value of the wrong type is rejected."""

    def __init__(self, file: str, header: Header, rejects: Rejects, nested: Sequence[str]) -> None:
        self._file = file
        self._header = header
        self._rejects = rejects
        self._nested = nested

    def reject(self, line: int, field: str, reason: str, row: object) -> None:
        self._rejects.rows += 1
        self._rejects.add(file=self._file, line=line, field=field, reason=reason, row=row)

    def chunks(self, rows: list[Row], lines: list[int]) -> Iterator[Chunk]:
        """The rows as a chunk; none if none is left."""
        raw = rows
        if self._nested:
            raw, rows, lines = self._flattened(rows, lines)
        keys = set[str]().union(*rows)
        taken = {wanted: key for key in keys if (wanted := self._header.resolve(key)) is not None}
        if len(taken) < sum(self._header.resolve(key) is not None for key in keys):
            raw, rows, lines, taken = self._respelt(raw, rows, lines)
        columns: dict[str, list[Any]] = {}
        bad: dict[int, tuple[str, str]] = {}
        for wanted, key in taken.items():
            values = [row.get(key) for row in rows]
            shape = self._header.wanted[wanted]
            if not _READY[shape](values):
                for place, value in enumerate(values):
                    try:
                        values[place] = _CONVERT[shape](value)
                    except _BadValue as error:
                        bad.setdefault(place, (wanted, str(error)))
            columns[wanted] = values
        if bad:
            for place, (wanted, reason) in sorted(bad.items()):
                self.reject(lines[place], wanted, reason, raw[place])
            kept = [place not in bad for place in range(len(rows))]
            raw, lines = _kept(raw, kept), _kept(lines, kept)
            columns = {wanted: _kept(values, kept) for wanted, values in columns.items()}
        if not lines:
            return
        series = [
            _lists(wanted, values)
            if self._header.wanted[wanted] is Shape.LIST
            else pl.Series(wanted, values, pl.String).fill_null("")
            for wanted, values in columns.items()
        ]
        frame = pl.DataFrame(series) if series else pl.DataFrame(height=len(lines))
        yield Chunk(frame, np.array(lines, np.int64), raw.__getitem__)

    def _flattened(
        self, rows: list[Row], lines: list[int]
    ) -> tuple[list[Row], list[Row], list[int]]:
        """The rows with the members of nested objects beside the others."""
        raw: list[Row] = []
        flat: list[Row] = []
        kept: list[int] = []
        for row, line in zip(rows, lines, strict=True):
            merged = dict(row)
            problem = None
            for name in self._nested:
                inner = merged.pop(name, None)
                if inner is None:
                    continue
                if not isinstance(inner, Mapping):
                    problem = (name, f"is {_kind(inner)}, not an object")
                elif both := inner.keys() & merged.keys():
                    problem = (min(both), f"is there twice, in {name} and beside it")
                else:
                    merged |= inner
            if problem:
                self.reject(line, *problem, row)
                continue
            raw.append(row)
            flat.append(merged)
            kept.append(line)
        return raw, flat, kept

    def _respelt(
        self, raw: list[Row], rows: list[Row], lines: list[int]
    ) -> tuple[list[Row], list[Row], list[int], dict[str, str]]:
        """The rows under the wanted names, where the file spells one in several ways."""
        respelt: list[Row] = []
        good: list[bool] = []
        for place, row in enumerate(rows):
            renamed: Row = {}
            twice = ""
            for key, value in row.items():
                wanted = self._header.resolve(key)
                if wanted is not None:
                    twice = wanted if wanted in renamed else twice
                    renamed[wanted] = value
            good.append(not twice)
            if twice:
                self.reject(lines[place], twice, "is there twice, spelt differently", raw[place])
            respelt.append(renamed)
        rows = _kept(respelt, good)
        names = {name: name for name in set[str]().union(*rows)}
        return _kept(raw, good), rows, _kept(lines, good), names


def _kept(values: list[Any], kept: list[bool]) -> list[Any]:
    return list(itertools.compress(values, kept))


def _lists(name: str, values: list[list[str]]) -> pl.Series:
    length = np.fromiter(map(len, values), np.int64, len(values))
    flat = pl.Series(name, list(itertools.chain.from_iterable(values)), pl.String)
    return drop_blanks(flat, length) if len(flat) else as_lists(flat, length)


def _elements(opened: Opened, encoding: str | None, limits: Limits) -> Iterator[tuple[int, Any]]:
    """The elements of a list, or the one object, and the line each starts at."""
    document = _Document(opened, encoding, limits)
    document.skip_white_space()
    if document.next() != "[":
        yield document.line, document.value()
        document.end()
        return
    document.take()
    document.skip_white_space()
    if document.next() != "]":
        while True:
            yield document.line, document.value()
            document.skip_white_space()
            if document.next() != ",":
                break
            document.take()
            document.skip_white_space()
    if document.next() != "]":
        raise document.broken("a comma or the list's end is missing")
    document.take()
    document.end()


class _Document:
    """A JSON text that is read as far as needed."""

    def __init__(self, opened: Opened, encoding: str | None, limits: Limits) -> None:
        self._name = opened.name
        self._blocks = read_blocks(opened, encoding, limits)
        self._limits = limits
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._place = 0
        self.line = 1

    def next(self) -> str:
        """The next character; empty at the end."""
        if self._place >= len(self._text):
            self._more()
        return self._text[self._place : self._place + 1]

    def take(self) -> None:
        self._advance(self._place + 1)

    def skip_white_space(self) -> None:
        while self.next():
            match = _WHITE_SPACE.match(self._text, self._place)
            assert match is not None  # noqa: S101 -- the pattern matches nothing at all too
            self._advance(match.end())
            if self._place < len(self._text):
                return

    def value(self) -> Any:
        """The next value.

        Raises:
            Damaged: there is none.
            TooLarge: it is larger than a line may be.
        """
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
                # A number may go on in the next block.
                if end < len(self._text) or not self._more():
                    self._check_text(self._text[self._place : end])
                    self._advance(end)
                    return value
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError):
                    raise self.broken("objects nested too deep") from None
                if len(self._text) - self._place > self._limits.line_bytes:
                    raise TooLarge(
                        f"{self._name}: line {self.line}: an object without an end within "
                        f"{self._limits.line_bytes:,} characters"
                    ) from None
                if not self._more():
                    where = getattr(error, "pos", self._place)
                    self._advance(min(where, len(self._text)))
                    raise self.broken(getattr(error, "msg", "a number is too long")) from None

    def end(self) -> None:
        """Check that nothing follows."""
        self.skip_white_space()
        if self.next():
            raise self.broken("text follows the end; one object a line is JSON Lines, .jsonl")

    def broken(self, what: str) -> Damaged:
        cut = " (the file may be cut off)" if self._place >= len(self._text) else ""
        return Damaged(f"{self._name}: line {self.line}: not JSON: {what}{cut}; export it again")

    def _check_text(self, text: str) -> None:
        """Half a surrogate pair is no text, though Python's decoder takes it."""
        if "\\ud" in text or "\\uD" in text:
            try:
                msgspec.json.decode(text)
            except msgspec.DecodeError:
                raise self.broken("an escape \\ud… without its other half") from None

    def _advance(self, place: int) -> None:
        self.line += self._text.count("\n", self._place, place)
        self._place = place

    def _more(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        for number, reason in block.damaged.items():
            raise WrongEncoding(f"{self._name}: line {number}: {reason}")
        self._text = self._text[self._place :] + block.data.decode()
        self._place = 0
        return True


def _syntax(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "objects nested too deep"
    message = str(error)
    if isinstance(error, msgspec.ValidationError):
        return "is not an object; write one JSON object a line"
    return f"not JSON: {message.removeprefix('JSON is malformed: ')}"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value == []:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return str(value[0])
    if isinstance(value, list):
        raise _BadValue(f"has {len(value)} values, at most one is allowed")
    raise _BadValue(f"is {_kind(value)}, not text")


def _number(value: Any) -> str:
    return repr(value) if isinstance(value, float) else _text(value)


def _values(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if value is None:
        return []
    if not isinstance(value, list):
        raise _BadValue(f"is {_kind(value)}; write text, in quotes, or a list of texts")
    for place, item in enumerate(value, start=1):
        if not (isinstance(item, str) or item is None):
            raise _BadValue(f"value {place} is {_kind(item)}; write it as text, in quotes")
    return [item for item in value if item is not None]


def _structure(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _carried(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "|".join(value)
    return _structure(value)


def _all_text(values: list[Any]) -> bool:
    return set(map(type, values)) <= {str, type(None)}


def _all_lists(values: list[Any]) -> bool:
    if set(map(type, values)) != {list}:
        return False
    return set(map(type, itertools.chain.from_iterable(values))) <= {str}


_READY: Final = {
    Shape.CARRIED: _all_text,
    Shape.TEXT: _all_text,
    Shape.NUMBER: _all_text,
    Shape.STRUCTURE: _all_text,
    Shape.LIST: _all_lists,
}
_CONVERT: Final = {
    Shape.CARRIED: _carried,
    Shape.TEXT: _text,
    Shape.NUMBER: _number,
    Shape.STRUCTURE: _structure,
    Shape.LIST: _values,
}
