"""What is written comes back as it was, in every format."""

from __future__ import annotations

import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.records.files.reading import accounts

from acx.records.files import write_table
from acx.records.files.cells import INVISIBLE, guard, is_blank, join, split, unguard

SUFFIXES = ["csv", "tsv", "jsonl", "json", "parquet", "xlsx"]
FIELDS = ("id", "name", "alias", "phone")

awkward = st.sampled_from(
    [*"|\\\"'=+-@\t\r\n,; \u200b\u202e\ufeff_x<>&é漢😀\x01", "_x000D_", "\\|", "'="]
)
texts = st.one_of(
    st.lists(awkward, max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
values = texts.filter(lambda text: text.strip(INVISIBLE) != "")
rows = st.fixed_dictionaries(
    {
        "name": st.lists(values, max_size=3),
        "phone": st.lists(values, max_size=2),
        "alias": st.lists(values, max_size=2),
    }
)
SCHEMA = {"id": pl.String} | dict.fromkeys(FIELDS[1:], pl.List(pl.String))


def frame_of(content: list[dict[str, Any]]) -> pl.DataFrame:
    empty: dict[str, Any] = {name: [] for name in FIELDS[1:]}
    return pl.DataFrame(
        [{**empty, "id": f"id-{n}", **row} for n, row in enumerate(content)], schema=SCHEMA
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None)
@given(content=st.lists(rows, min_size=1, max_size=4))
@example(content=[{"phone": ["+49 30 1234", "-1", "@x", "=1+1", "'=1", "''+"]}])
@example(content=[{"name": ["a\\", "b"]}, {"name": ["\\|", "\\\\|\\"]}, {"name": ["|"]}])
@example(content=[{"name": ["<r>x</r>"]}, {"name": ["_x000D"], "alias": ["\r_x0041_x0042_"]}])
@example(content=[{"name": ['"'], "alias": ['a"b', '"\n"', "a\r\nb"]}, {"name": ["\ra"]}])
def test_accounts_come_back_as_they_were_written(
    suffix: str, content: list[dict[str, Any]]
) -> None:
    written = frame_of(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"accounts.{suffix}"
        write_table([written], path)
        reading = accounts(path, Path(folder), fields=FIELDS)
    assert reading.rejected == []
    assert reading.frame.select(FIELDS).to_dicts() == written.to_dicts()


@pytest.mark.parametrize("suffix", ["csv.gz", "JSONL.ZST", "parquet.gz", "xlsx.zst", "ndjson"])
def test_compressed_files_come_back_as_they_were_written(suffix: str, tmp_path: Path) -> None:
    written = frame_of([{"name": ["Acme"], "phone": ["+49 30 1234"]}, {"alias": ["a|b", "c"]}])
    path = tmp_path / f"accounts.{suffix}"
    assert write_table([written.head(1), written.tail(1)], path) == 2
    assert accounts(path, tmp_path, fields=FIELDS).frame.select(FIELDS).equals(written)


@given(st.lists(st.lists(values, max_size=4), min_size=1, max_size=5))
def test_splitting_undoes_joining(lists: list[list[str]]) -> None:
    series = pl.Series(lists, dtype=pl.List(pl.String))
    assert split(join(series)).to_list() == lists


@given(st.lists(texts, min_size=1))
def test_taking_the_guard_off_undoes_it_and_no_guarded_cell_starts_a_formula(
    cells: list[str],
) -> None:
    series = pl.Series(cells, dtype=pl.String)
    guarded = guard(series)
    assert unguard(guarded).to_list() == cells
    assert not [cell for cell in guarded if cell[:1] in tuple("=+-@\t\r")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a|b", ["a", "b"]),
        (r"a\|b", ["a|b"]),
        (r"C:\x|\\server\y", [r"C:\x", r"\\server\y"]),
        (r"a\\|b", ["a\\", "b"]),
        (r"a\\\|b", [r"a\|b"]),
        ("|a||b|", ["a", "b"]),
        (" | \u200b|\ufeff", []),
        ("", []),
        (" a | b ", [" a ", " b "]),
    ],
)
def test_a_cell_is_read_as_documented(cell: str, expected: list[str]) -> None:
    assert split(pl.Series([cell])).to_list() == [expected]


def test_every_white_space_and_format_character_is_invisible() -> None:
    every = map(chr, range(0x110000))
    assert {c for c in every if c.isspace() or unicodedata.category(c) == "Cf"} <= set(INVISIBLE)
    assert is_blank(pl.Series(["", " \u200b\u2066", "x", " é ", "\ufeff漢"])).to_list() == [
        True, True, False, False, False,
    ]  # fmt: skip
