"""Hostile input costs what its size says: pairs are counted, not seconds."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.matching.matching_cases import account, frame

from acx.matching import MatchOptions, SubjectIndex, explain, match
from acx.matching.candidates import COMPARED, READ, candidates
from acx.matching.compare import ENOUGH
from acx.matching.keys import keys_of
from acx.matching.profiles import of_frame
from acx.matching.table import located
from acx.records.account import Account

SHARERS = 50_000


def accounts(prefix: str, count: int, **shared: str) -> pl.DataFrame:
    """Accounts that share some values and have a mailbox each of their own."""
    own = pl.DataFrame({"id": [f"{prefix}{n}" for n in range(count)]}).with_columns(
        email=pl.concat_list(pl.col("id") + "@shop.example")
    )
    return own.with_columns(pl.lit([value]).alias(field) for field, value in shared.items())


def compared_pairs(sellers: pl.DataFrame, subjects: pl.DataFrame) -> int:
    """How many pairs are compared, whatever they weigh."""
    options = MatchOptions()
    index = SubjectIndex.build(subjects, options=options)
    profiles = of_frame(sellers, options)
    table = index.subjects.table
    found = located(table, keys_of(profiles, table.secret))
    return len(candidates(profiles, found, index.subjects, index.frequencies(), -np.inf))


@pytest.mark.parametrize(
    "shared",
    [
        {"address": "Unit 7, 41 Harbour Road, Kwai Chung, Hong Kong"},
        {"name": "Golden Sun Trading"},
        {"phone": "+852 2345 6789"},
    ],
    ids=["address", "name", "phone"],
)
def test_what_fifty_thousand_share_leads_to_nobody(shared: dict[str, str]) -> None:
    sellers, subjects = accounts("s", 1000, **shared), accounts("r", SHARERS, **shared)
    assert compared_pairs(sellers, subjects) == 0
    back = account("back", email="r777@shop.example", **shared)
    assert match(frame(back), subjects, options=MatchOptions())["subject_id"].to_list() == ["r777"]


@pytest.mark.parametrize("sharers", [2, 16, 256, 4096])
def test_pairs_compared_grow_with_accounts_and_not_with_their_product(sharers: int) -> None:
    shared = {"address": "Unit 7, 41 Harbour Road, Kwai Chung, Hong Kong"}
    sellers, subjects = accounts("s", sharers, **shared), accounts("r", sharers, **shared)
    assert compared_pairs(sellers, subjects) <= COMPARED * sharers


def test_an_account_of_ten_thousand_aliases_is_compared_with_a_few_subjects() -> None:
    names = [f"Quillon{n} Zebrowski{n}" for n in range(10_000)]
    subjects = pl.concat(
        [frame(account(f"r{n}", name=name)) for n, name in enumerate(names[:READ])]
    )
    assert compared_pairs(frame(account("s", alias=tuple(names))), subjects) <= COMPARED


def test_of_thousands_of_values_on_one_side_each_is_compared_with_a_few() -> None:
    names = tuple(f"Alias{n} Trading{n}" for n in range(10_000))
    many = Account(alias=(*names, "Quillon Zebrowski"))
    explained = explain(many, Account(name=("Quillon Zebrowski",)))
    assert [weight.comparison for weight in explained.weights[:1]] == ["same"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("alias", "Quillon Zebrowski"), ("email", "quillon.zebrowski@post.test")],
)
def test_of_thousands_of_values_on_both_sides_the_first_are_compared(
    field: str, value: str
) -> None:
    def one(side: str, place: int) -> Account:
        values = [f"{side}{n}@{side}{n}.test" for n in range(10_000)]
        values[place] = value
        return account(side, **{field: tuple(values)})

    def said(place: int) -> str:
        return explain(one("left", place), one("right", place)).weights[0].comparison

    assert said(ENOUGH - 1) == "same"
    assert said(ENOUGH) != "same"


def test_a_name_of_a_megabyte_reads_as_its_beginning() -> None:
    long = Account(name=("Quillon Zebrowski " + "x" * 1_000_000,))
    (weight, _prior) = explain(long, Account(name=("Quillon Zebrowski",))).weights
    assert (weight.field, weight.comparison) == ("name", "part")


@pytest.mark.parametrize(
    "name",
    [
        "Qu\u200bill\u200don Zeb\u2060row\ufeffski",
        "\u202eQuillon Zebrowski\u202c",
        "\u200fQuillon\u200e Zebrowski",
        "Quill\u043en Z\u0435br\u043ewski",
    ],
    ids=["zero width", "override", "marks of direction", "homoglyphs"],
)
def test_a_disguise_changes_nothing_of_what_a_name_weighs(name: str) -> None:
    plain = Account(name=("Quillon Zebrowski",))
    assert explain(Account(name=(name,)), plain) == explain(plain, plain)
