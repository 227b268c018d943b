"""XLSX: the first visible sheet, read as a stream.

The XML is parsed as it is unpacked, so a workbook of a million rows needs the memory of its
shared texts and no more. Readers that lay the sheet out as a grid can be made to allocate a grid
of 17 thousand million cells by two cells in opposite corners, which ends the process.

Source: ECMA-376 part 1, sections 18.3 (worksheets), 18.4 (shared strings), 18.8 (styles).
"""

from __future__ import annotations

import datetime as dt
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

import numpy as np
import polars as pl

from acx.records.files.chunks import Chunk, Header
from acx.records.files.errors import (
    BadColumns,
    Damaged,
    TooLarge,
    UnknownFormat,
    listed,
    shown,
)
from acx.records.files.limits import Limits
from acx.records.files.rejects import Rejects
from acx.records.files.source import Opened

_ROWS: Final = 16_384
_CHUNK_BYTES: Final = 256 * 1024
_PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,40}")
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_MERGED: Final = re.compile(rb"""mergeCell\s[^>]*?ref\s*=\s*["']([A-Z]+)(\d+):([A-Z]+)(\d+)["']""")
_DATE_FORMATS: Final = frozenset((*range(14, 18), 22, *range(27, 37), *range(50, 59)))
"""Built-in number formats that show a day, among them those of East Asian versions."""


def read_workbook(
    opened: Opened, header: Header, rejects: Rejects, limits: Limits
) -> Iterator[Chunk]:
    """Read the first visible sheet; its first row that is not empty names the columns.

    A formula gives the value the workbook stores for it. Whole numbers are their digits, dates
    YYYY-MM-DD. Rejected are rows with an error value, with a number that has lost digits, and
    rows that share a merged cell with the row above or hold one that runs over columns.

    Args:
        opened: the file.
        header: is told the columns and says which are wanted.
        rejects: takes bad rows and warnings.
        limits: of expansion and width.

    Raises:
        FileFormatError: it is no workbook, damaged, or a bomb.
    """
    try:
        package = _Package(opened, limits)
        sheet = _choose_sheet(package, rejects)
        merged = _merged_cells(package.stream(sheet.part))
        cells = _Cells(
            texts=_shared_texts(package),
            dates=_date_styles(package),
            epoch=dt.date(1904, 1, 1) if sheet.from_1904 else None,
            limits=limits,
            file=opened.name,
        )
        rows = cells.rows(package.stream(sheet.part))
        yield from _Table(opened.name, header, rejects, merged).chunks(rows)
    except expat.ExpatError as error:
        raise Damaged(f"{opened.name}: its XML is broken ({error}); save it again") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise Damaged(
            f"{opened.name}: is cut off or broken as XLSX ({shown(error)}); save it again"
        ) from None
    except RuntimeError as error:
        if "password" in str(error) or "encrypted" in str(error):
            raise UnknownFormat(f"{opened.name}: has a password; save it without") from None
        raise


@dataclass(frozen=True, slots=True)
class _Sheet:
    part: str
    from_1904: bool


@dataclass(slots=True)
class _Row:
    """A row of a sheet: cells by column, and what is wrong with them."""

    number: int
    cells: dict[int, str] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Merge:
    """A merged range, counted from 0 in columns and from 1 in rows."""

    first_column: int
    last_column: int
    first_row: int
    last_row: int
    name: str


class _Package:
    """The parts of a workbook, unpacked as streams that stop a bomb."""

    def __init__(self, opened: Opened, limits: Limits) -> None:
        self.file = opened.name
        self.most_text = limits.shared_text_bytes
        self._limits = limits
        self._zip = zipfile.ZipFile(opened.stream)
        self._names = {name.casefold(): name for name in self._zip.namelist()}
        self.workbook = self._find_workbook()

    def has(self, part: str) -> bool:
        return part.casefold() in self._names

    def stream(self, part: str) -> Iterator[bytes]:
        """The part in chunks.

        Raises:
            Damaged: it is not there.
            TooLarge: it expands as only a bomb does.
        """
        name = self._names.get(part.casefold())
        if name is None:
            raise Damaged(f"{self.file}: lacks its part {shown(part)}; save it again")
        size = self._zip.getinfo(name).compress_size
        permitted = max(self._limits.expansion_floor, size * self._limits.expansion)
        expanded = 0
        with self._zip.open(name) as content:
            while chunk := content.read(_CHUNK_BYTES):
                expanded += len(chunk)
                if expanded > permitted:
                    raise TooLarge(
                        f"{self.file}: a part expands to more than {self._limits.expansion} times "
                        "its size, as only a decompression bomb does; export it as CSV"
                    )
                yield chunk

    def elements(self, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Name and attributes of every element of a small part."""
        found: list[tuple[str, dict[str, str]]] = []
        parser = _parser(self.file)
        parser.StartElementHandler = lambda name, attributes: found.append(
            (_local(name), attributes)
        )
        for chunk in self.stream(part):
            parser.Parse(chunk)
            yield from found
            found.clear()
        parser.Parse(b"", True)
        yield from found

    def targets(self, part: str) -> dict[str, str]:
        """The parts that a part refers to, by the ids it uses."""
        folder, name = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{name}.rels")
        if not self.has(relations):
            return {}
        return {
            attributes.get("Id", ""): posixpath.normpath(
                posixpath.join("/", folder, attributes.get("Target", ""))
            ).lstrip("/")
            for element, attributes in self.elements(relations)
            if element == "Relationship"
        }

    def _find_workbook(self) -> str:
        if self.has("xl/workbook.xml"):
            return "xl/workbook.xml"
        named = [part for part in self.targets("").values() if part.endswith("workbook.xml")]
        if named and self.has(named[0]):
            return named[0]
        what = "a zip archive: unpack it first"
        if self.has("xl/workbook.bin"):
            what = "a binary workbook (.xlsb): save it as .xlsx"
        elif self.has("mimetype"):
            what = "an OpenDocument file: save it as .xlsx or CSV"
        elif self.has("word/document.xml"):
            what = "a Word document: export the table as CSV or XLSX"
        raise UnknownFormat(f"{self.file}: is {what}")


def _choose_sheet(package: _Package, rejects: Rejects) -> _Sheet:
    sheets: list[tuple[str, str]] = []
    from_1904 = False
    for element, attributes in package.elements(package.workbook):
        if element == "sheet" and attributes.get("state", "visible") == "visible":
            relation = next((v for k, v in attributes.items() if _local(k) == "id"), "")
            sheets.append((attributes.get("name", ""), relation))
        elif element == "workbookPr":
            from_1904 = attributes.get("date1904") in ("1", "true")
    if not sheets:
        raise Damaged(f"{package.file}: has no visible sheet")
    (name, relation), *others = sheets
    if others:
        rejects.warn(
            f"{package.file}: only its first sheet, {shown(name)}, is read; "
            f"not {listed((other for other, _ in others), 5)}"
        )
    part = package.targets(package.workbook).get(relation)
    if part is None:
        raise Damaged(f"{package.file}: lacks its sheet {shown(name)}; save it again")
    return _Sheet(part, from_1904)


def _shared_texts(package: _Package) -> list[str]:
    """The texts that cells refer to by number."""
    part = posixpath.join(posixpath.dirname(package.workbook), "sharedStrings.xml")
    if not package.has(part):
        return []
    texts = _Texts(package)
    for chunk in package.stream(part):
        texts.feed(chunk)
    return texts.end()


class _Texts:
    """Takes the texts out of their XML."""

    def __init__(self, package: _Package) -> None:
        self._package = package
        self._texts: list[str] = []
        self._pieces: list[str] = []
        self._size = 0
        self._aids = 0
        self._taking = False
        self._parser = _parser(package.file)
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data)

    def end(self) -> list[str]:
        self._parser.Parse(b"", True)
        return self._texts

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        local = _local(name)
        if local == "si":
            self._pieces.clear()
        elif local == "t":
            # Reading aids of East Asian texts (`rPh`) are no part of them.
            self._taking = not self._aids
        elif local == "rPh":
            self._aids += 1

    def _end(self, name: str) -> None:
        local = _local(name)
        if local == "si":
            self._texts.append(_unescaped("".join(self._pieces)))
        elif local == "t":
            self._taking = False
        elif local == "rPh":
            self._aids -= 1

    def _characters(self, data: str) -> None:
        if not self._taking:
            return
        self._size += len(data)
        if self._size > self._package.most_text:
            raise TooLarge(f"{self._package.file}: more text than fits; export it as CSV")
        self._pieces.append(data)


def _date_styles(package: _Package) -> frozenset[str]:
    """The styles, by number, that show a number as a date."""
    part = posixpath.join(posixpath.dirname(package.workbook), "styles.xml")
    if not package.has(part):
        return frozenset()
    custom: dict[str, str] = {}
    dates: set[str] = set()
    in_cells = False
    number = 0
    for element, attributes in package.elements(part):
        if element == "numFmt":
            custom[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif element in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
            in_cells = element == "cellXfs"
        elif element == "xf" and in_cells:
            chosen = attributes.get("numFmtId", "0")
            if chosen in custom:
                is_date = _shows_day(custom[chosen])
            else:
                is_date = chosen.isdigit() and int(chosen[:4]) in _DATE_FORMATS
            if is_date:
                dates.add(str(number))
            number += 1
    return frozenset(dates)


def _shows_day(code: str) -> bool:
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.', "", code)
    return bool(re.search(r"[dy]", bare, re.IGNORECASE))


class _Cells:
    """Takes the cells of a sheet out of its XML."""

    def __init__(
        self,
        *,
        texts: list[str],
        dates: frozenset[str],
        epoch: dt.date | None,
        limits: Limits,
        file: str,
    ) -> None:
        self._texts = texts
        self._dates = dates
        self._epoch = epoch
        self._limits = limits
        self._file = file
        self._columns: dict[str, int] = {}

    def rows(self, chunks: Iterator[bytes]) -> Iterator[_Row]:
        """The rows that hold a cell, in the order of the file."""
        done: list[_Row] = []
        parser = self._parser(done)
        for chunk in chunks:
            parser.Parse(chunk)
            yield from done
            done.clear()
        parser.Parse(b"", True)
        yield from done

    def _parser(self, done: list[_Row]) -> Any:  # noqa: C901 -- the hot loop: a call each costs
        row = _Row(0)
        column = -1
        kind = style = ""
        pieces: list[str] = []
        aids = size = 0
        taking = has_formula = False
        columns = self._columns
        most_characters, most_columns = self._limits.line_bytes, self._limits.columns

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal row, column, kind, style, taking, has_formula, aids, size
            if name == "c":
                kind = attributes.get("t", "n")
                style = attributes.get("s", "")
                letters = attributes.get("r", "").rstrip("0123456789")
                if letters in columns:
                    column = columns[letters]
                elif letters:
                    column = columns[letters] = _column_number(letters, most_columns)
                else:
                    column += 1
                pieces.clear()
                size = 0
                has_formula = False
            elif name in ("v", "t"):
                taking = not aids
            elif name == "f":
                has_formula = True
            elif name == "rPh":
                aids += 1
            elif name == "row":
                given = attributes.get("r", "")
                row = _Row(int(given) if given.isdecimal() and len(given) < 9 else row.number + 1)
                column = -1
            elif ":" in name:
                start(_local(name), attributes)

        def characters(data: str) -> None:
            nonlocal size
            if taking:
                size += len(data)
                if size <= most_characters:
                    pieces.append(data)

        def end(name: str) -> None:
            nonlocal taking, aids
            if name == "c":
                if (pieces or has_formula) and column < most_columns:
                    try:
                        if value := self._value(kind, style, "".join(pieces)):
                            row.cells[column] = value
                    except _BadCell as error:
                        row.problems[column] = str(error)
                    if size > most_characters:
                        row.problems[column] = f"is longer than {most_characters:,} characters"
            elif name in ("v", "t"):
                taking = False
            elif name == "rPh":
                aids -= 1
            elif name == "row":
                if row.cells or row.problems:
                    done.append(row)
            elif ":" in name:
                end(_local(name))

        parser = _parser(self._file)
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = characters
        return parser

    def _value(self, kind: str, style: str, text: str) -> str:
        if kind == "s":
            try:
                return self._texts[int(text)]
            except (ValueError, IndexError):
                raise Damaged(f"{self._file}: refers to a text it lacks; save it again") from None
        if kind in ("inlineStr", "str"):
            return _unescaped(text)
        if kind == "b":
            return "true" if text == "1" else "false"
        if kind == "e":
            raise _BadCell(f"is the error {shown(text)}; correct the formula")
        if not text:
            raise _BadCell("is a formula without a stored value; open the file and save it again")
        if kind == "d":
            return text
        return self._date(text) if style in self._dates else _number(text)

    def _date(self, text: str) -> str:
        try:
            days = float(text)
            # 1900 counts a 29 February that never was, so day 60 and later are one too high.
            epoch = self._epoch or dt.date(1899, 12, 30 if days >= 60 else 31)
            moment = dt.datetime.combine(epoch, dt.time()) + dt.timedelta(days=days)
        except (ValueError, OverflowError):
            raise _BadCell(f"is {shown(text)}, which is no date") from None
        day = moment + dt.timedelta(milliseconds=500)
        if days == int(days):
            return moment.date().isoformat()
        return day.replace(microsecond=0).isoformat()


class _BadCell(Exception):
    """A cell whose value cannot be taken; the message is the reason."""


class _Table:
    """Makes chunks of rows; the first row names the columns."""

    def __init__(self, file: str, header: Header, rejects: Rejects, merged: list[_Merge]) -> None:
        self._file = file
        self._header = header
        self._rejects = rejects
        self._merged = merged

    def chunks(self, rows: Iterator[_Row]) -> Iterator[Chunk]:
        first = next((row for row in rows if row.cells), None)
        if first is None:
            raise Damaged(f"{self._file}: its first sheet is empty; its first row names columns")
        names = [first.cells.get(place, "") for place in range(max(first.cells) + 1)]
        for merge in self._merged:
            if merge.first_row <= first.number <= merge.last_row and (
                merge.first_column < len(names)
            ):
                raise BadColumns(
                    f"{self._file}: cells {merge.name} in its first row are merged; unmerge them "
                    "and name every column"
                )
        wanted = self._header.columns(names)
        held: list[_Row] = []
        for row in rows:
            held.append(row)
            if len(held) == _ROWS:
                yield from self._chunk(held, names, wanted)
                held = []
        yield from self._chunk(held, names, wanted)

    def _chunk(
        self, rows: list[_Row], names: list[str], wanted: list[str | None]
    ) -> Iterator[Chunk]:
        width = len(names)
        problems = self._problems(rows, wanted)
        kept: list[_Row] = []
        for place, row in enumerate(rows):
            if row.cells and max(row.cells) >= width:
                self._rejects.warn(f"{self._file}: cells right of the named columns are ignored")
            if place in problems:
                name, reason = problems[place]
                raw = {
                    names[at] or f"column {at + 1}": text
                    for at, text in row.cells.items()
                    if at < width
                }
                self._rejects.add(
                    file=self._file, line=row.number, field=name, reason=reason, row=raw
                )
            else:
                kept.append(row)
        if kept:
            frame = pl.DataFrame(
                [
                    pl.Series(str(at), [row.cells.get(at, "") for row in kept], pl.String)
                    for at in range(width)
                ]
            )
            lines = np.array([row.number for row in kept], np.int64)
            yield Chunk.of_cells(frame, names, wanted, lines)

    def _problems(self, rows: list[_Row], wanted: list[str | None]) -> dict[int, tuple[str, str]]:
        """The rows to reject: where a wanted cell is bad, or merged with another."""
        problems: dict[int, tuple[str, str]] = {}
        for place, row in enumerate(rows):
            for column, reason in row.problems.items():
                name = wanted[column] if column < len(wanted) else None
                if name is not None:
                    problems.setdefault(place, (name, reason))
        numbers = np.array([row.number for row in rows], np.int64)
        for merge in self._merged:
            names = [name for name in wanted[merge.first_column : merge.last_column + 1] if name]
            if not names:
                continue
            # A cell that runs downwards only belongs to its first row.
            first = merge.first_row + (merge.first_column == merge.last_column)
            for place in np.flatnonzero((numbers >= first) & (numbers <= merge.last_row)).tolist():
                reason = f"cells {merge.name} are merged; unmerge them and fill in every cell"
                problems.setdefault(place, (names[0], reason))
        return problems


def _merged_cells(chunks: Iterator[bytes]) -> list[_Merge]:
    """The merged ranges, which stand after the rows they concern."""
    found: list[_Merge] = []
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        if b"mergeCell" in data:
            for match in _MERGED.finditer(data):
                first, top, last, bottom = (part.decode() for part in match.groups())
                found.append(
                    _Merge(
                        _column_number(first, 1 << 14),
                        _column_number(last, 1 << 14),
                        int(top[:9]),
                        int(bottom[:9]),
                        f"{first[:3]}{top[:9]}:{last[:3]}{bottom[:9]}",
                    )
                )
        rest = data[data.rfind(b"<") :][-200:] if b"<" in data[-200:] else b""
    return found


def _column_number(letters: str, limit: int) -> int:
    """A column's number from 0; the limit for what lies beyond it."""
    number = 0
    for letter in letters[:4]:
        digit = ord(letter.upper()) - ord("A") + 1
        if not 1 <= digit <= 26:
            return limit
        number = number * 26 + digit
    return min(number - 1, limit)


def _number(text: str) -> str:
    """A number's digits; a spreadsheet keeps 15 of them and then writes an exponent."""
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    try:
        value = float(text)
    except ValueError:
        raise _BadCell(f"is {shown(text)}, which is no number") from None
    if abs(value) >= 1e15:
        raise _BadCell(
            "is a number that has lost digits; format the column as text and enter it again"
        )
    return str(int(value)) if value == int(value) else repr(value)


def _unescaped(text: str) -> str:
    if "_x" not in text:
        return text
    return _ESCAPE.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    # Half a surrogate pair is no character: what stands there is taken as it is.
    return match[0] if 0xD800 <= code <= 0xDFFF else chr(code)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _parser(file: str) -> Any:
    """A parser that takes no document type, and so expands no entities."""
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_details: object) -> None:
        raise Damaged(f"{file}: its XML declares a document type, which no workbook does")

    parser.StartDoctypeDeclHandler = refuse
    return parser
