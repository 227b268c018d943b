"""XLSX, written as a stream: one sheet, its first row in bold and kept in view.

Every text is written as text: no formula, no link and no markup can come out of a value.

Source: ECMA-376 part 1, sections 18.3.1 (worksheets), 22.9.2.19 (`_xHHHH_` in texts).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import IO, Final

import polars as pl

from acx.records.files.errors import Unwritable, shown

MOST_ROWS: Final = 1_048_576
MOST_COLUMNS: Final = 16_384
MOST_CHARACTERS: Final = 32_767
"""Limits of the format: rows, columns, and UTF-16 units of a cell."""

_SHEET: Final = "xl/worksheets/sheet1.xml"
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PARTS: Final = {
    "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/></Types>',
    "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_RELATIONS}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'{_XML}<styleSheet xmlns="{_MAIN}">'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    "</styleSheet>",
}
_BEGIN: Final = (
    f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><sheetData>'
)
_END: Final = "</sheetData></worksheet>"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
"""Time of every part, so that the same rows give the same file."""

_CONTROLS: Final = {
    **{chr(code): f"_x{code:04X}_" for code in range(32) if chr(code) not in "\t\n"},
    "\ufffe": "_xFFFE_",
    "\uffff": "_xFFFF_",
}
_MARKUP: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class WorkbookWriter:
    """Writes one sheet; `header` first, then `write` any number of times, then `end`.

    Args:
        file: takes the bytes; it need not be able to seek.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        for name, content in _PARTS.items():
            self._zip.writestr(_entry(name), content)
        self._sheet = self._zip.open(_entry(_SHEET), "w")
        self._sheet.write(_BEGIN.encode())
        self._row = 0

    def header(self, names: Sequence[str]) -> None:
        """Write the row of names.

        Raises:
            Unwritable: more columns than the format has.
        """
        if len(names) > MOST_COLUMNS:
            raise Unwritable(f"XLSX has at most {MOST_COLUMNS:,} columns; write CSV or Parquet")
        columns = [str(place) for place in range(len(names))]
        self._write(pl.DataFrame([names], schema=columns, orient="row"), style=' s="1"')

    def write(self, cells: pl.DataFrame) -> None:
        """Write rows of text, numbers and truth values.

        Raises:
            Unwritable: more rows, or a longer text, than the format has.
        """
        if self._row + cells.height > MOST_ROWS:
            raise Unwritable(
                f"XLSX has at most {MOST_ROWS - 1:,} rows below the header; write CSV or Parquet"
            )
        if cells.height:
            self._write(cells, style="")

    def end(self) -> None:
        """Finish the file; what cannot be finished is let go of."""
        with self._zip, self._sheet:
            self._sheet.write(_END.encode())

    def _write(self, cells: pl.DataFrame, *, style: str) -> None:
        numbers = pl.int_range(self._row + 1, self._row + 1 + cells.height).cast(pl.String)
        rows = cells.select(
            pl.concat_str(
                pl.lit('<row r="'),
                numbers,
                pl.lit('">'),
                *(
                    _cell(column, f'<c r="{_letters(place)}', numbers, f'"{style}')
                    for place, column in enumerate(cells.iter_columns())
                ),
                pl.lit("</row>"),
            )
        ).to_series()
        self._sheet.write(rows.str.join("").item().encode())
        self._row += cells.height


def _cell(column: pl.Series, before: str, number: pl.Expr, after: str) -> pl.Expr:
    """The cells of a column; nothing where one is empty."""
    values = pl.col(column.name)
    if column.dtype == pl.String:
        _check_length(column)
        begin, end = ' t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
        content, empty = _escaped(values), values == ""
    elif column.dtype == pl.Boolean:
        begin, end = ' t="b"><v>', "</v></c>"
        content, empty = values.cast(pl.Int8).cast(pl.String), values.is_null()
    else:
        begin, end = "><v>", "</v></c>"
        content, empty = values.cast(pl.String), values.is_null()
        if column.dtype.is_float():
            empty |= ~values.is_finite()
    cell = pl.concat_str(pl.lit(before), number, pl.lit(after + begin), content, pl.lit(end))
    return pl.when(empty).then(pl.lit("")).otherwise(cell)


def _escaped(text: pl.Expr) -> pl.Expr:
    """Text as XML may hold it; characters that it may not, as spreadsheets write them."""
    # Every _x is escaped, also where no escape follows by chance.
    marked = text.str.replace_all("_x", "_x005F_x", literal=True)
    replaced = {**_CONTROLS, **_MARKUP}
    return marked.str.replace_many(list(replaced), list(replaced.values()))


def _check_length(texts: pl.Series) -> None:
    doubtful = texts.filter(texts.str.len_bytes() > MOST_CHARACTERS)
    for text in doubtful:
        if len(text.encode("utf-16-le")) > 2 * MOST_CHARACTERS:
            raise Unwritable(
                f"a value of column {shown(texts.name)} is longer than the {MOST_CHARACTERS:,} "
                "characters of an XLSX cell; write CSV, JSON Lines or Parquet"
            )


def _letters(place: int) -> str:
    letters = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
