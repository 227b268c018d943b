"""XLSX: read as other programs write it and as calamine reads it; hostile ones refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from tests.records.files.reading import accounts

from acx.records.files import (
    BadColumns,
    Damaged,
    FileFormatError,
    Limits,
    TooLarge,
    UnknownFormat,
    Unwritable,
    write_table,
)
from acx.records.files import workbook_writer as writer_module

Fill = Callable[[xlsxwriter.Workbook, xlsxwriter.worksheet.Worksheet], None]


def workbook(folder: Path, fill: Fill, **options: object) -> Path:
    path = folder / "a.xlsx"
    with xlsxwriter.Workbook(path, options) as book:
        fill(book, book.add_worksheet("Sellers"))
    return path


def changed(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """The workbook with one part changed."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[part] = change(parts[part].decode()).encode()
    other = path.with_name("changed.xlsx")
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return other


@pytest.mark.parametrize("constant_memory", [True, False])
def test_cells_of_every_kind_are_read(constant_memory: bool, tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        date = book.add_format({"num_format": "dd/mm/yyyy"})
        bold = book.add_format({"bold": True})
        sheet.write_row(0, 0, ["ID", "Name", "phone", "birth_date", "tax_id", "kind", "note"])
        sheet.write_number(1, 0, 1)
        if constant_memory:
            sheet.write_string(1, 1, "Acme Ltd|Acme")
        else:
            sheet.write_rich_string(1, 1, "Acme ", bold, "Ltd", "|Acme")
        sheet.write_number(1, 2, 4930123456)
        sheet.write_datetime(1, 3, dt.date(1990, 1, 31), date)
        sheet.write_formula(1, 4, "=1+1", value="2")
        sheet.write_string(1, 5, "person")
        sheet.write_formula(1, 6, "=1/0", value="#DIV/0!")
        sheet.write_string(4, 0, "x2")
        sheet.write_string(4, 2, "'+49 30 1234")
        sheet.write_boolean(4, 6, True)

    path = workbook(tmp_path, fill, constant_memory=constant_memory)
    reading = accounts(path, tmp_path, carry=["tax_id"])
    assert reading.rejected == []
    assert reading.rows == [
        {
            "id": "1",
            "kind": "person",
            "name": ["Acme Ltd", "Acme"],
            "phone": ["4930123456"],
            "birth_date": "1990-01-31",
            "tax_id": ["2"],
        },
        {"id": "x2", "phone": ["+49 30 1234"]},
    ]
    assert reading.lines == [2, 5]


def test_a_bad_cell_costs_its_row_alone_and_only_if_its_column_is_read(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.write_row(0, 0, ["id", "name", "bank_account", "other"])
        sheet.write_row(1, 0, ["1", "good"])
        sheet.write_formula(1, 3, "=1/0", value="#DIV/0!")
        sheet.write_row(2, 0, ["2"])
        sheet.write_formula(2, 1, "=NA()", value="#N/A")
        sheet.write_row(3, 0, ["3", "x", 1.23456789012345e18])
        sheet.write_row(4, 0, ["4", "good"])

    reading = accounts(workbook(tmp_path, fill), tmp_path)
    assert reading.ids == ["1", "4"]
    assert reading.reasons == [
        (3, "name", "is the error #N/A; correct the formula"),
        (
            4,
            "bank_account",
            "is a number that has lost digits; format the column as text and enter it again",
        ),
    ]
    assert reading.rejected[1]["row"] == {"id": "3", "name": "x"}


def test_a_formula_without_a_stored_value_is_rejected(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.write_row(0, 0, ["id", "name"])
        sheet.write_string(1, 0, "1")
        sheet.write_formula(1, 1, "=A1")

    path = changed(
        workbook(tmp_path, fill),
        "xl/worksheets/sheet1.xml",
        lambda xml: re.sub("(<f>A1</f>)<v>0</v>", r"\1", xml),
    )
    ((line, field, reason),) = accounts(path, tmp_path).reasons
    assert (line, field) == (2, "name")
    assert "formula without a stored value" in reason


def test_rows_of_merged_cells_are_rejected_but_for_the_one_that_holds_the_value(
    tmp_path: Path,
) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.write_row(0, 0, ["id", "name", "email", "note"])
        for row in range(1, 9):
            sheet.write_row(row, 0, [str(row), "x", "a@x.com", "n"])
        sheet.merge_range("B3:B5", "Acme")
        sheet.merge_range("B7:C7", "Bcme")
        sheet.merge_range("D8:D9", "notes do not matter")

    reading = accounts(workbook(tmp_path, fill), tmp_path)
    assert reading.ids == ["1", "2", "5", "7", "8"]
    assert reading.reasons == [
        (4, "name", "cells B3:B5 are merged; unmerge them and fill in every cell"),
        (5, "name", "cells B3:B5 are merged; unmerge them and fill in every cell"),
        (7, "name", "cells B7:C7 are merged; unmerge them and fill in every cell"),
    ]


def test_a_merged_header_is_refused(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.merge_range("A1:B1", "id")
        sheet.write_row(1, 0, ["1", "x"])

    with pytest.raises(BadColumns, match="cells A1:B1 in its first row are merged"):
        accounts(workbook(tmp_path, fill), tmp_path)


def test_the_first_visible_sheet_is_read_and_the_others_named(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Hidden").hide()
        sheet = book.add_worksheet("Sellers")
        sheet.write_row(0, 0, ["id"])
        sheet.write_row(1, 0, ["1"])
        sheet.activate()
        sheet.set_first_sheet()
        book.add_worksheet("Notes")
    reading = accounts(path, tmp_path)
    assert reading.ids == ["1"]
    assert reading.rejects.warnings == [
        f"{path}: only its first sheet, Sellers, is read; not Notes"
    ]


def test_cells_right_of_the_header_are_ignored_with_a_warning(tmp_path: Path) -> None:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        sheet.write_row(0, 0, ["id"])
        sheet.write_row(1, 0, ["1", "stray"])

    reading = accounts(workbook(tmp_path, fill), tmp_path)
    assert reading.rows == [{"id": "1"}]
    assert "cells right of the named columns are ignored" in reading.rejects.warnings[0]


def test_dates_of_both_epochs_are_read(tmp_path: Path) -> None:
    for options in ({}, {"date_1904": True}):
        with xlsxwriter.Workbook(tmp_path / "d.xlsx", options) as book:
            sheet = book.add_worksheet()
            date = book.add_format({"num_format": "d mmm yyyy"})
            sheet.write_row(0, 0, ["id", "birth_date"])
            sheet.write_string(1, 0, "1")
            sheet.write_datetime(1, 1, dt.date(1979, 12, 3), date)
        assert accounts(tmp_path / "d.xlsx", tmp_path).rows[0]["birth_date"] == "1979-12-03"


texts = st.text(st.sampled_from("ab =+-@|\\'\"<>&é漢😀\t\n_x0041"), max_size=10)


@settings(max_examples=25, deadline=None)
@given(
    content=st.lists(
        st.tuples(texts, st.integers(-(10**14), 10**14), st.booleans()), min_size=1, max_size=4
    )
)
def test_what_is_written_reads_the_same_in_another_reader(
    content: list[tuple[str, int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("xlsx") / "a.xlsx"
    frame = pl.DataFrame(content, schema=["text", "number", "truth"], orient="row")
    write_table([frame], path)
    header, *rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert header == ["text", "number", "truth"]
    guarded = [(re.sub(r"^(?='*[=+\-@\t])", "'", text), n, truth) for text, n, truth in content]
    assert [tuple(row) for row in rows] == guarded


def test_no_text_becomes_a_formula_or_markup(tmp_path: Path) -> None:
    hostile = [
        "=1+1",
        "<r><t>x</t></r>",
        "</t></is></c><c><f>1</f></c>",
        "http://x.example",
        "&#61;",
    ]
    write_table([pl.DataFrame({"id": hostile})], tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "hyperlink" not in "".join(book.namelist())
    assert re.findall(r"<f\b|<r>|<hyperlink", sheet) == []
    assert accounts(tmp_path / "a.xlsx", tmp_path).ids == hostile


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"id": ["x" * 40_000]}), "column id is longer than the 32,767 characters"),
        (pl.DataFrame({"id": ["😀" * 20_000]}), "column id is longer than the 32,767 characters"),
        (pl.DataFrame({"id": ["x"] * 30}), "at most 19 rows below the header; write CSV"),
        (pl.DataFrame({f"c{n}": ["x"] for n in range(30)}), "at most 25 columns"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_written(
    frame: pl.DataFrame, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_ROWS", 20)
    monkeypatch.setattr(writer_module, "MOST_COLUMNS", 25)
    with pytest.raises(Unwritable) as raised:
        write_table([frame], tmp_path / "a.xlsx")
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def simple(folder: Path) -> Path:
    def fill(book: xlsxwriter.Workbook, sheet: xlsxwriter.worksheet.Worksheet) -> None:
        for row in range(50):
            sheet.write_row(row, 0, ["id" if row == 0 else str(row), "name"])

    return workbook(folder, fill)


def test_two_cells_in_opposite_corners_cost_no_memory(tmp_path: Path) -> None:
    # Laid out as a grid this is 17 thousand million cells; readers that do so end the process.
    path = changed(
        simple(tmp_path),
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace(
            "</sheetData>",
            '<row r="1048576"><c r="A1048576"><v>77</v></c><c r="XFD1048576"><v>1</v></c></row>'
            "</sheetData>",
        ),
    )
    reading = accounts(path, tmp_path)
    assert reading.ids[-1] == "77"
    assert reading.lines[-1] == 1048576


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (
            "xl/worksheets/sheet1.xml",
            lambda xml: xml.replace(
                "<worksheet", '<!DOCTYPE x [<!ENTITY a "&b;&b;"><!ENTITY b "x">]><worksheet', 1
            ),
            "declares a document type",
        ),
        ("xl/worksheets/sheet1.xml", lambda xml: xml[:400], "its XML is broken"),
        ("xl/worksheets/sheet1.xml", lambda xml: "", "its XML is broken"),
        ("xl/workbook.xml", lambda xml: re.sub(r"<sheet .*?/>", "", xml), "has no visible sheet"),
        ("xl/workbook.xml", lambda xml: xml.replace("rId1", "rId99"), "lacks its sheet Sellers"),
        ("xl/sharedStrings.xml", lambda xml: "<sst/>", "refers to a text it lacks"),
        (
            "xl/worksheets/sheet1.xml",
            lambda xml: re.sub("<sheetData>.*</sheetData>", "<sheetData/>", xml),
            "its first sheet is empty",
        ),
    ],
)  # fmt: skip
def test_a_hostile_or_broken_part_is_refused(
    part: str, change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Damaged, match=message):
        accounts(changed(simple(tmp_path), part, change), tmp_path)


def test_a_part_that_expands_like_a_bomb_is_refused(tmp_path: Path) -> None:
    padding = " " * 3_000_000
    path = changed(
        simple(tmp_path),
        "xl/worksheets/sheet1.xml",
        lambda xml: xml.replace("</sheetData>", padding + "</sheetData>"),
    )
    limits = Limits(expansion_floor=100_000, expansion=100)
    with pytest.raises(TooLarge, match="as only a decompression bomb does"):
        accounts(path, tmp_path, limits=limits)


def test_more_shared_text_than_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more text than fits"):
        accounts(simple(tmp_path), tmp_path, limits=Limits(shared_text_bytes=10))


def test_any_truncation_and_any_broken_byte_is_an_error_for_people(tmp_path: Path) -> None:
    whole = simple(tmp_path).read_bytes()
    path = tmp_path / "broken.xlsx"
    for length in range(1, len(whole), 211):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            accounts(path, tmp_path)
    for place in range(0, len(whole), 53):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(FileFormatError):
            assert accounts(path, tmp_path).rejects.count < 50


@pytest.mark.parametrize(
    ("member", "what"),
    [
        ("mimetype", "an OpenDocument file"),
        ("word/document.xml", "a Word document"),
        ("xl/workbook.bin", "a binary workbook"),
        ("accounts.csv", "a zip archive: unpack it first"),
    ],
)
def test_another_kind_of_archive_is_named(member: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(UnknownFormat, match=what):
        accounts(path, tmp_path)
