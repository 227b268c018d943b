"""JSON Lines and JSON: objects as rows, each checked by itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import operator
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AnyMapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from acx.records.files.cells import JOINER, drop_blanks
from acx.records.files.chunks import Chunk, Header, Shape
from acx.records.files.errors import Damaged, TooLarge
from acx.records.files.limits import Limits
from acx.records.files.rejects import Rejects
from acx.records.files.source import Opened
from acx.records.files.text import read_blocks, read_text

_ROWS: Final = 16_384
_MOST_IGNORED: Final = 500
"""Unwanted members a row type has room for; a file with more of them is read more slowly."""
_NAMEABLE: Final = re.compile(r'[^\\"\x00-\x1f]*')
"""Names that msgspec can give to a field."""
_WHITE_SPACE: Final = re.compile(r"[ \t\r\n]*")


class _BadRow(Exception):
    """A row that cannot be taken."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def read_json_lines(
    opened: Opened,
    header: Header,
    rejects: Rejects,
    encoding: str | None,
    limits: Limits,
    nested: Sequence[str] = (),
) -> Iterator[Chunk]:
    """Read JSON Lines: an object a line; a line that is none is rejected."""
    rows = _Rows(header, nested)
    for block in read_blocks(opened, encoding, limits):
        parsed: list[msgspec.Struct] = []
        lines: list[int] = []
        texts = block.data.removesuffix(b"\n").split(b"\n")
        if not block.damaged and (whole := rows.from_lines(block.data, len(texts))) is not None:
            yield from rows.chunks(whole, range(block.line, block.line + len(texts)), texts)
            continue
        raw: list[bytes] = []
        for number, text in enumerate(texts, start=block.line):
            if not text.strip():
                continue
            try:
                parsed.append(rows.from_line(text, block.damaged.get(number, "")))
            except _BadRow as error:
                rejects.add(
                    file=opened.name,
                    line=number,
                    field=error.field,
                    reason=error.reason,
                    row=_raw(text),
                )
                continue
            lines.append(number)
            raw.append(text)
        yield from rows.chunks(parsed, lines, raw)


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
    rows = _Rows(header, nested)
    parsed: list[msgspec.Struct] = []
    lines: list[int] = []
    raw: list[bytes] = []
    for line, text in _elements(opened, encoding, limits):
        try:
            parsed.append(rows.from_line(text))
        except _BadRow as error:
            rejects.add(
                file=opened.name,
                line=line,
                field=error.field,
                reason=error.reason,
                row=_raw(text),
            )
            continue
        lines.append(line)
        raw.append(text)
        if len(parsed) == _ROWS:
            yield from rows.chunks(parsed, lines, raw)
            parsed, lines, raw = [], [], []
    yield from rows.chunks(parsed, lines, raw)


class _Rows:
    """Rows of a struct that learns the members of the objects it meets.

    A struct is decoded several times faster than a dictionary. It refuses members it does not
    know and values that are no list of texts where one is wanted; such an object is looked at
    by itself, and then the struct knows its members, or the object is bad.
    """

    def __init__(self, header: Header, nested: Sequence[str]) -> None:
        self._header = header
        self._nested = nested
        self._fields: dict[str, str] = {}
        self._spelling: dict[str, str] = {}
        self._ignored: dict[str, None] = {}
        self._make()

    def from_lines(self, data: bytes, count: int) -> list[msgspec.Struct] | None:
        """All the rows of a block, if every line is a row and none needs a closer look."""
        if self._nested:
            return None
        try:
            rows = self._decode_lines(data)
        except (msgspec.DecodeError, RecursionError):
            return None
        return rows if len(rows) == count else None

    def from_line(self, text: bytes, damage: str = "") -> msgspec.Struct:
        """The row of a line.

        Raises:
            _BadRow: it is none, or its text is damaged.
        """
        if damage:
            raise _BadRow("", damage)
        if not self._nested:
            with contextlib.suppress(msgspec.DecodeError, RecursionError):
                return self._decode(text)
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _BadRow("", _syntax(error)) from None
        return self.from_object(value)

    def from_object(self, value: object) -> msgspec.Struct:
        """The row of a decoded value.

        Raises:
            _BadRow: it is none.
        """
        if not isinstance(value, dict):
            raise _BadRow("", f"is {_kind(value)}, not an object")
        members = self._flattened(value)
        self._header.settle(members)
        self._learn(members)
        taken: dict[str, Any] = {}
        for key, member in members.items():
            wanted = self._header.resolve(key)
            if wanted is None:
                continue
            field = self._fields[wanted]
            if field in taken:
                raise _BadRow(wanted, "is there twice, spelt differently")
            taken[field] = _checked(wanted, self._header.demand.wanted[wanted], member)
        return self._row(**taken)

    def chunks(
        self, rows: Sequence[msgspec.Struct], lines: Sequence[int], raw: Sequence[object]
    ) -> Iterator[Chunk]:
        """The rows as a chunk; none if there is none."""
        if not rows:
            return
        # Rows of a struct that had not learnt all members yet lack some of its fields.
        grown = set(map(type, rows)) != {self._row}
        series = []
        for wanted in self._spelling:
            shape, field = self._header.demand.wanted[wanted], self._fields[wanted]
            missing = _MISSING[shape]
            if grown:
                values = [getattr(row, field, missing) for row in rows]
            else:
                values = list(map(operator.attrgetter(field), rows))
            series.append(_series(wanted, shape, values))
        frame = pl.DataFrame(series) if series else pl.DataFrame(height=len(rows))
        yield Chunk(frame, np.array(lines, np.int64), lambda place: _raw(raw[place]))

    def _learn(self, members: AnyMapping[str, object]) -> None:
        """Make room for members that are new."""
        known = len(self._spelling) + len(self._ignored)
        for key in members:
            wanted = self._header.resolve(key)
            if wanted is not None:
                self._spelling.setdefault(wanted, key)
                self._fields.setdefault(wanted, f"wanted_{len(self._fields)}")
            elif len(self._ignored) < _MOST_IGNORED and _NAMEABLE.fullmatch(key):
                self._ignored[key] = None
        if len(self._spelling) + len(self._ignored) > known:
            self._make()

    def _make(self) -> None:
        fields: list[tuple[str, Any, Any]] = []
        names: dict[str, str] = {}
        for wanted, key in self._spelling.items():
            shape = self._header.demand.wanted[wanted]
            fields.append((self._fields[wanted], _TYPES[shape], _MISSING[shape]))
            # A name that no struct can have is met in `from_object` alone.
            names[self._fields[wanted]] = key if _NAMEABLE.fullmatch(key) else f"\ue000{key!r}"
        for number, key in enumerate(self._ignored):
            fields.append((f"ignored_{number}", msgspec.Raw, msgspec.Raw()))
            names[f"ignored_{number}"] = key
        self._row = msgspec.defstruct(
            "Row", fields, rename=names, kw_only=True, forbid_unknown_fields=True, gc=False
        )
        decoder = msgspec.json.Decoder(self._row)
        self._decode = decoder.decode
        self._decode_lines = decoder.decode_lines

    def _flattened(self, value: AnyMapping[str, Any]) -> AnyMapping[str, Any]:
        """The members, those of nested objects beside the others."""
        if not self._nested:
            return value
        flat = dict(value)
        for name in self._nested:
            inner = flat.pop(name, None)
            if inner is None:
                continue
            if not isinstance(inner, dict):
                raise _BadRow(name, f"is {_kind(inner)}, not an object")
            if both := inner.keys() & flat.keys():
                raise _BadRow(min(both), f"is there twice, in {name} and beside it")
            flat |= inner
        return flat


def _series(name: str, shape: Shape, values: list[Any]) -> pl.Series:
    kinds = set(map(type, values))
    if shape is Shape.LIST:
        if kinds != {tuple}:
            values = [(v,) if isinstance(v, str) else v or () for v in values]
        length = np.fromiter(map(len, values), np.int64, len(values))
        flat = pl.Series(name, list(itertools.chain.from_iterable(values)), pl.String)
        return drop_blanks(flat, length)
    if not kinds <= {str, type(None)}:
        values = [_text(value, shape) for value in values]
    return pl.Series(name, values, pl.String).fill_null("")


def _elements(opened: Opened, encoding: str | None, limits: Limits) -> Iterator[tuple[int, bytes]]:
    """The elements of a list, or the one object, as text; and the line each starts at."""
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
        self._parts = read_text(opened, encoding)
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

    def value(self) -> bytes:
        """The text of the next value.

        Raises:
            Damaged: there is none.
            TooLarge: it is larger than a line may be.
        """
        while True:
            try:
                _, end = self._decoder.raw_decode(self._text, self._place)
                # A number may go on in the next part.
                if end < len(self._text) or not self._more():
                    text = self._text[self._place : end]
                    self._advance(end)
                    return text.encode()
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
                    raise self.broken(getattr(error, "msg", "a number it cannot hold")) from None

    def end(self) -> None:
        """Check that nothing follows."""
        self.skip_white_space()
        if self.next():
            raise self.broken("text follows the end; one object a line is JSON Lines, .jsonl")

    def broken(self, what: str) -> Damaged:
        cut = " (the file may be cut off)" if self._place >= len(self._text) else ""
        return Damaged(f"{self._name}: line {self.line}: not JSON: {what}{cut}; export it again")

    def _advance(self, place: int) -> None:
        self.line += self._text.count("\n", self._place, place)
        self._place = place

    def _more(self) -> bool:
        # A part is empty where a character goes on in the next.
        part = next((part for part in self._parts if part), "")
        if not part:
            return False
        self._text = self._text[self._place :] + part
        self._place = 0
        return True


def _syntax(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "objects nested too deep"
    return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


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


def _checked(name: str, shape: Shape, value: Any) -> Any:
    """The value, if the shape's type takes it.

    Raises:
        _BadRow: it does not.
    """
    if shape is Shape.LIST and isinstance(value, list):
        for place, item in enumerate(value, start=1):
            if not (isinstance(item, str) or item is None):
                reason = f"value {place} is {_kind(item)}; write it as text, in quotes"
                raise _BadRow(name, reason)
        return tuple(value)
    if shape in (Shape.TEXT, Shape.NUMBER) and isinstance(value, list) and len(value) <= 1:
        return _checked(name, shape, value[0] if value else None)
    if isinstance(value, float) and not math.isfinite(value):
        raise _BadRow(name, "is a number out of range")
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(value, _TYPES[shape])
    if isinstance(value, list):
        raise _BadRow(name, f"has {len(value)} values, one is allowed")
    raise _BadRow(name, f"is {_kind(value)}; {_EXPECTED[shape]}")


def _text(value: Any, shape: Shape) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if shape is Shape.CARRIED and texts:
        return JOINER.join(value)
    return msgspec.json.encode(value).decode()


def _raw(row: object) -> object:
    """A row for the rejects: the object it is, or its text."""
    if not isinstance(row, bytes):
        return row
    try:
        return msgspec.json.decode(row)
    except (msgspec.DecodeError, RecursionError):
        return row.decode(errors="replace")


_TYPES: Final[dict[Shape, Any]] = {
    Shape.CARRIED: Any,
    Shape.TEXT: str | int | None,
    Shape.NUMBER: str | int | float | None,
    Shape.STRUCTURE: Any,
    Shape.LIST: tuple[str | None, ...] | str | None,
}
_MISSING: Final = {shape: () if shape is Shape.LIST else None for shape in Shape}
_EXPECTED: Final = {
    Shape.TEXT: "write text, in quotes",
    Shape.NUMBER: "write a number or text",
    Shape.LIST: "write text, in quotes, or a list of texts",
}
