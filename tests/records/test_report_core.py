"""Accounts, subjects and reports: closed lists, limits, nothing finer than it must be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from acx.records.account import (
    DIGESTED_FIELDS,
    FIELDS,
    LIST_FIELDS,
    SUBJECT_FIELDS,
    Account,
    Subject,
)
from acx.records.event import BODIES, Act
from acx.records.report import (
    CATEGORIES,
    CONDUCTS,
    MAX_PRODUCTS,
    STANDARDS,
    Evidence,
    Image,
    Product,
    Report,
)
from acx.records.state import Ignored, State

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
TREE = {
    "account": {"name": ["Chen Wei"]},
    "conduct": "sold_counterfeits",
    "confirmed_by": ["test_buy"],
    "confirmed_on": "2026-03",
}


def parse(**changes: object) -> Report:
    return msgspec.convert(TREE | changes, Report)


def test_what_leaves_is_every_field_but_the_stores_own_id() -> None:
    assert tuple(field for field in FIELDS if field != "id") == SUBJECT_FIELDS
    assert set(DIGESTED_FIELDS) <= set(LIST_FIELDS) <= set(SUBJECT_FIELDS)


def test_an_account_survives_json() -> None:
    account = Account(id="7", kind="person", name=("Chen",), birth_date="1980-02-29", ip=("::1",))
    assert msgspec.json.decode(msgspec.json.encode(account), type=Account) == account


def test_empty_fields_are_not_written() -> None:
    assert msgspec.json.encode(Subject(name=("Chen",))) == b'{"name":["Chen"]}'


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("confirmed_on", "2026-12", "2026-13"),
        ("confirmed_on", "2026-01", "2026-01-05"),
        ("confirmed_on", "2026-01", "2026-01\n"),
        ("conduct", "reoffended", "suspected"),
        ("confirmed_by", ["court", "admission"], ["suspicion"]),
        ("confirmed_by", list(STANDARDS), []),
        ("categories", ["watches"], ["drugs"]),
        ("brands", ["Acme"], [""]),
        ("evidence", [{"kind": "invoice", "commitment": "0" * 64}], [{"kind": "My Invoice.pdf"}]),
        ("evidence", [{"kind": "a" * 32, "commitment": "f" * 64}],
         [{"kind": "a" * 32, "commitment": "F" * 64}]),
        ("account", {"kind": "person"}, {"kind": "robot"}),
        ("account", {"birth_date": "1980-12-31"}, {"birth_date": "1980-12-32"}),
        ("account", {"birth_date": ""}, {"birth_date": "31.12.1980"}),
        ("products", [{}] * MAX_PRODUCTS, [{}] * (MAX_PRODUCTS + 1)),
        ("products", [{"price": "1300", "currency": "EUR"}], [{"price": "1.300,00"}]),
        ("products", [{"currency": ""}], [{"currency": "eur"}]),
        ("products", [{"identifiers": ["gtin:12345678", "mpn:A 1"]}],
         [{"identifiers": ["listing:1"]}]),
        ("products", [{"images": [{"variants": ["0" * 64], "quality": 100}]}],
         [{"images": [{"variants": ["0" * 64], "quality": 101}]}]),
        ("products", [{"images": []}], [{"images": [{"variants": [], "quality": 1}]}]),
    ],
)  # fmt: skip
def test_a_report_takes_what_the_reference_says_and_nothing_else(
    field: str, good: Any, bad: Any
) -> None:
    parse(**{field: good})
    with pytest.raises(msgspec.ValidationError):
        parse(**{field: bad})


def test_a_report_survives_json() -> None:
    report = parse(
        products=[{"title": "bag red", "images": [{"variants": ["a" * 64], "quality": 7}]}],
        evidence=[{"kind": "invoice", "commitment": "0" * 64, "held": False}],
    )
    assert report.products == (
        Product(title="bag red", images=(Image(variants=("a" * 64,), quality=7),)),
    )
    assert report.evidence == (Evidence(kind="invoice", commitment="0" * 64, held=False),)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@pytest.mark.parametrize(
    ("page", "names"),
    [("categories.md", CATEGORIES), ("standards.md", STANDARDS), ("records.md", CONDUCTS)],
)
def test_the_reference_defines_each_entry_of_the_closed_lists(
    page: str, names: tuple[str, ...]
) -> None:
    text = (REFERENCE / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_reference_names_every_field_and_type() -> None:
    text = (REFERENCE / "records.md").read_text(encoding="utf-8")
    named = {
        word
        for code in re.findall("`([^`]+)`", text.replace("```", ""))
        for word in re.findall(r"\w+", code)
    }
    fields = {name for body in BODIES.values() for name in body.__struct_fields__}
    acts = get_args(get_type_hints(Act)["act"])
    words = {*FIELDS, *BODIES, *fields, *acts, *get_args(Ignored), *get_args(State)} - {""}
    assert sorted(words - named) == []
