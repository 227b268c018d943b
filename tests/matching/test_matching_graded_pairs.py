"""Graded pairs: what people would say of two names, of two accounts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.matching.accounts import account, frame, levels

from acx.matching import SubjectIndex, explain
from acx.records.account import Account

HERE = Path(__file__).parent


def name_pairs() -> list[dict[str, str]]:
    with (HERE / "name_pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def account_pairs() -> list[dict[str, object]]:
    lines = (HERE / "account_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def name_weight(left: str, right: str) -> tuple[str, float]:
    weights = explain(Account(name=(left,)), Account(name=(right,))).weights
    (weight,) = [each for each in weights if each.field == "name"]
    return weight.comparison, weight.bits


@pytest.mark.parametrize("pair", name_pairs(), ids=lambda pair: pair["case"])
def test_names_compare_as_people_compare_them(pair: dict[str, str]) -> None:
    comparison, bits = name_weight(pair["left"], pair["right"])
    assert comparison == pair["level"]
    assert (bits > 0) == (pair["level"] != "differs")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (("Quillon Zebrowski", "Quillon Zebrowski"), ("Quillon Zebrowski", "Quillon Zebrovsky")),
        (("Quillon Zebrowski", "Quillon Zebrovsky"), ("Quillon Zebrowski", "Q Zebrowski")),
        (("Quillon Zebrowski", "Zebrowski Quillon"), ("Li Wei", "Wei Li")),
        (("Quillon Zebrowski", "Q Zebrowski"), ("Quillon Zebrowski", "Anna Zebrowski")),
        (("Quillon Zebrowski", "Anna Zebrowski"), ("Quillon Zebrowski", "Anna Schmidt")),
        (("Huaqiang Trading", "Huaqiang Trading"), ("Trading Co Ltd", "Trading Co Ltd")),
    ],
    ids=["typo", "initial", "common", "relative", "stranger", "generic"],
)
def test_the_closer_and_the_rarer_name_weighs_more(
    better: tuple[str, str], worse: tuple[str, str]
) -> None:
    assert name_weight(*better)[1] > name_weight(*worse)[1]


@pytest.mark.parametrize(
    ("left", "right", "level"),
    [
        ("Via Matteotti, 3, Catania", "Via Matteotti 3, 95100 Catania, Italia", "same"),
        ("12 Long Lane, Leeds", "Long Lane 12, Leeds LS1 4AP", "same"),
        ("Via Matteotti, 3, Catania", "Piazza Milano 3, 58699 Catania", "building"),
        ("21-14 Umeda, Shibuya-ku, Fukuoka", "14-40 Umeda, Shibuya-ku, Fukuoka", "building"),
    ],
    ids=["with a postcode", "number first", "another street", "another number of two"],
)
def test_an_address_is_the_same_only_where_street_and_numbers_are(
    left: str, right: str, level: str
) -> None:
    weights = explain(Account(address=(left,)), Account(address=(right,))).weights
    assert [each.comparison for each in weights if each.field == "address"] == [level]


@pytest.mark.parametrize("pair", account_pairs(), ids=lambda pair: str(pair["case"]))
def test_accounts_reach_the_level_that_their_evidence_deserves(pair: dict[str, object]) -> None:
    left = account(pair["left"], id="a")  # type: ignore[arg-type]
    right = account(pair["right"], id="b")  # type: ignore[arg-type]
    assert levels([left], [right]).get(("a", "b"), "") == pair["level"]


def test_each_pair_reads_the_same_checked_alone_screened_and_explained() -> None:
    sides = [
        (account(pair["left"], id=f"a{place}"), account(pair["right"], id=f"b{place}"))  # type: ignore[arg-type]
        for place, pair in enumerate(account_pairs())
    ]
    index = SubjectIndex.build(frame(right for _, right in sides))
    columns = ("account_id", "subject_id", "level", "probability", "reasons")
    screened = {row[:2]: row for row in index.screen(frame(left for left, _ in sides)).rows()}
    checked = {
        (hit.account_id, hit.subject_id): tuple(getattr(hit, column) for column in columns)
        for left, _ in sides
        for hit in index.check(left)
    }
    assert checked == screened
    assert screened
    for left, right in sides:
        explanation = index.explain(left, right.id)
        _, _, level, probability, _ = screened.get((left.id, right.id), (0, 0, "", None, 0))
        assert explanation.level == level
        assert probability in (None, explanation.probability)
