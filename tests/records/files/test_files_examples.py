"""The examples and the reference page say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
from tests.records.files.reading import accounts

from acx.records.account import Account
from acx.records.files import LIMITS, Mapping, Rejects, read_reports
from acx.records.files.cells import split
from acx.records.files.source import SUFFIXES

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "files"
PAGE = (ROOT / "docs" / "reference" / "files.md").read_text()


def test_the_example_mapping_reads_the_example_sellers(tmp_path: Path) -> None:
    mapping = Mapping.load(EXAMPLES / "mapping.toml")
    reading = accounts(EXAMPLES / "sellers.csv", tmp_path, mapping=mapping, carry=["team"])
    assert reading.rows == [
        {
            "id": "4711",
            "kind": "organization",
            "name": ["Nordlicht Handels GmbH"],
            "alias": ["Nordlicht Taschen"],
            "email": ["info@nordlicht-taschen.example"],
            "phone": ["030 5550100", "030 5550101"],
            "address": ["Beispielstr. 1, 10115 Berlin"],
            "bank_account": ["DE89370400440532013000"],
            "team": "north",
        },
        {
            "id": "4712",
            "kind": "person",
            "name": ["Ana Muster"],
            "email": ["ana.muster@mail.example", "shop@muster.example"],
            "address": ["Calle Ejemplo 2, 28001 Madrid"],
            "bank_account": ["ES9121000418450200051332"],
            "contact": ["wechat:ana_shop"],
            "birth_date": "1990-01-31",
            "team": "south",
        },
    ]
    ((line, field, reason),) = reading.reasons
    assert (line, field) == (4, "birth_date")
    assert f'"reason": "{reason}"' in PAGE


def test_the_example_reports_are_reports() -> None:
    rejects = Rejects()
    (report,) = read_reports(EXAMPLES / "reports.csv", rejects=rejects)
    assert report.account == Account(
        id="4711",
        name=("Nordlicht Handels GmbH",),
        email=("info@nordlicht-taschen.example", "sales@nordlicht.example"),
        bank_account=("DE89370400440532013000",),
    )
    assert report.confirmed_by == ("test_buy", "rights_owner")
    assert rejects.count == 0


def test_the_mapping_of_the_page_can_be_loaded(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "map.toml").write_text(block)
    assert Mapping.load(tmp_path / "map.toml").separator("phone") == ";"


def test_the_page_names_the_limits_and_suffixes_of_the_code() -> None:
    assert f"{LIMITS.values:,} values" in PAGE
    assert f"{LIMITS.characters:,} characters" in PAGE
    assert f"{LIMITS.line_bytes // 2**20} MiB" in PAGE
    assert f"{LIMITS.record_lines} lines" in PAGE
    assert f"{LIMITS.expansion}-fold beyond {LIMITS.expansion_floor // 2**20} MiB" in PAGE
    assert all(f"`{suffix}`" in PAGE for suffix in SUFFIXES)


def test_the_cells_of_the_page_are_read_as_it_says() -> None:
    rows = re.findall(r"^\| `(.+?)`(?: \(.*?\))? \| (.*?) \|$", PAGE, re.MULTILINE)
    cells = [(cell, re.findall(r"`(.+?)`", values)) for cell, values in rows]
    # In a Markdown table \| is a bar.
    plain = [
        (cell.replace("\\|", "|"), [value.replace("\\|", "|") for value in values])
        for cell, values in cells
        if "`" not in cell
    ]
    assert len(plain) == 4
    for cell, values in plain:
        assert split(pl.Series([cell])).to_list() == [values]
