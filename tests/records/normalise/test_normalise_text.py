"""Text: what a reader sees, the same in every writing of it."""

# ruff: noqa: RUF001 -- letters and digits that look like others are what is tested

from __future__ import annotations

import sys

import polars as pl
import pytest
from polars.testing import assert_series_equal

from acx.records.normalise import NotNormalisable, latinise, normalise, normalise_column, skeleton


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("  Li   WEI ", "li wei"),
        ("Ｌｉ　Ｗｅｉ", "li wei"),
        ("Li\u200bWei", "liwei"),
        ("\u202eLi Wei\u202c", "li wei"),
        ("Li\tWei\r\n", "li wei"),
        ("Li\x00\x1b[31mWei", "li[31mwei"),
        ("Cafe\u0301", "café"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("ﬁ①²", "fi12"),
        ("李\ufe0f伟", "李伟"),
        ("a\u2800b", "a b"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("field", ["name", "alias", "related", "address"])
def test_folds_what_a_reader_takes_for_the_same(field: str, written: str, normalised: str) -> None:
    assert normalise(field, written) == normalised


def test_a_text_as_long_as_an_event_allows_is_taken_and_a_longer_one_refused() -> None:
    assert normalise("name", "x" * 512) == "x" * 512
    with pytest.raises(NotNormalisable, match="512"):
        normalise("name", "x" * 513)


def test_folding_any_letter_again_changes_nothing_and_a_column_folds_it_alike() -> None:
    letters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    plane_by_plane = pl.Series([f"x{letter}y" for letter in letters[: 0x10000 - 0x800]])
    folded = pl.Series([normalise("name", text) for text in plane_by_plane])
    assert_series_equal(normalise_column("name", plane_by_plane), folded)
    assert_series_equal(normalise_column("name", folded), folded)


@pytest.mark.parametrize(
    ("written", "latin"),
    [
        ("李伟", "li wei"),
        ("深圳市华强贸易有限公司", "shen zhen shi hua qiang mao yi you xian gong si"),
        ("重庆长安", "chong qing chang an"),
        ("吕布", "lu bu"),
        ("Иван Петров", "ivan petrov"),
        ("Ελλάδα", "ellada"),
        ("Müller Łódź", "muller lodz"),
        ("サトウ", "satou"),
        ("김민수", "gimminsu"),
        ("ACME Ltd.", "acme ltd."),
        ("\u200b", ""),
    ],
)
def test_names_of_any_script_have_a_latin_writing(written: str, latin: str) -> None:
    assert latinise(written) == latin


@pytest.mark.parametrize(
    ("name", "latin"),
    [
        ("曾伟", "zeng wei"),
        ("单雄信", "shan xiong xin"),
        ("解晓东", "xie xiao dong"),
        ("仇英", "qiu ying"),
    ],
)
def test_a_surname_is_read_as_a_surname(name: str, latin: str) -> None:
    assert latinise(name) == latin


def test_the_same_character_is_read_as_usual_elsewhere() -> None:
    assert latinise("解放路单位有限公司").startswith("jie fang lu dan wei")


@pytest.mark.parametrize(
    ("imitation", "original"),
    [
        ("ѕсоре", "scope"),  # UTS #39, section 4
        ("𝔭𝒶ỿ𝕡𝕒ℓ", "paypal"),  # UTS #39, section 4
        ("ΝΙΚΕ", "nike"),
        ("АDIDАЅ", "adidas"),
        ("Gооgle", "google"),
        ("Rоlex", "rolex"),
    ],
    ids=ascii,
)
def test_letters_that_look_alike_have_one_skeleton(imitation: str, original: str) -> None:
    assert normalise("name", imitation) != original
    assert skeleton(imitation) == skeleton(original) == original
