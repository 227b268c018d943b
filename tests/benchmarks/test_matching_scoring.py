"""The figures of the matching benchmark mean what they say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from benchmarks.matching import scoring
from benchmarks.matching.data import Labelled, same_actors, split_of

from acx.demo.identities import example_identities
from acx.records.account import Account


@pytest.fixture
def data(tmp_path: Path) -> Labelled:
    """Three come-backs of three actors, the first of whom is two subjects; one innocent."""
    truth = pl.DataFrame(
        {
            "account_id": ["a", "b", "c"],
            "subject_id": ["s1", "s2", "s3"],
            "changes": [["typo"], ["typo", "glued"], ["glued"]],
            "kept": [["name"], ["email"], ["name", "phone"]],
        }
    )
    truth.write_parquet(tmp_path / "truth.parquet")
    actors = {"subject_id": ["s1", "s1x", "s2", "s3"], "actor": ["one", "one", "two", "three"]}
    pl.DataFrame(actors).write_parquet(tmp_path / "actors.parquet")
    return Labelled(tmp_path)


def hits(*rows: tuple[str, str, float, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["account_id", "subject_id", "score", "level"], orient="row")


def test_a_hit_is_right_when_both_are_one_actor(data: Labelled) -> None:
    found = scoring.judged(
        hits(
            ("a", "s1x", 0.9, "strong"),
            ("a", "s2", 0.8, "strong"),
            ("innocent", "s1", 0.7, "strong"),
        ),
        data,
    )
    assert found["right"].to_list() == [True, False, False]


def test_precision_counts_rows_and_recall_come_backs(data: Labelled) -> None:
    found = scoring.judged(
        hits(
            ("a", "s1", 0.9, "exact"),
            ("a", "s1x", 0.8, "exact"),
            ("innocent", "s2", 0.7, "strong"),
            ("b", "s2", 0.6, "possible"),
        ),
        data,
    )
    curve = scoring.curve(found, come_backs=3)
    assert curve.recall_at(1.0) == pytest.approx(1 / 3)
    assert curve.recall_at(0.75) == pytest.approx(2 / 3)
    assert scoring.at_level(found, "exact", 3) == pytest.approx((1.0, 1 / 3))
    assert scoring.at_level(found, "strong", 3) == pytest.approx((2 / 3, 1 / 3))
    assert scoring.accused(found, pl.Series(["innocent", "other"])) == 1


def test_equal_scores_are_taken_whole(data: Labelled) -> None:
    found = scoring.judged(hits(("a", "s1", 0.9, "exact"), ("x", "s1", 0.9, "exact")), data)
    assert scoring.curve(found, come_backs=3).recall_at(0.99) == 0.0


def test_of_equal_best_rows_the_wrong_one_counts(data: Labelled) -> None:
    found = scoring.judged(hits(("a", "s1", 0.9, "exact"), ("a", "s2", 0.9, "exact")), data)
    assert scoring.best_of_each(found)["right"].to_list() == [False]


def test_recall_by_kind_counts_each_come_back_under_each_of_its_changes(data: Labelled) -> None:
    found = scoring.judged(hits(("a", "s1", 0.9, "exact")), data)
    rows = {row["change"]: row for row in scoring.by_kind(found, data).to_dicts()}
    assert (rows["typo"]["come_backs"], rows["typo"]["recall"]) == (2, 0.5)
    assert (rows["glued"]["come_backs"], rows["glued"]["recall"]) == (2, 0.0)


def test_no_hits_are_no_recall_and_no_error(data: Labelled) -> None:
    found = scoring.judged(hits(("x", "s1", 0.5, "possible")).head(0), data)
    curve = scoring.curve(found, come_backs=3)
    assert (curve.recall_at(0.99), curve.best_f1) == (0.0, 0.0)


def test_records_of_one_actor_fall_into_one_half() -> None:
    twice = [
        Account(id="x", kind="person", name=("DOE, John",), birth_date="1970-01-02"),
        Account(id="y", kind="person", name=("John Doe",), birth_date="1970-01-02"),
        Account(id="z", kind="person", name=("John Doe",), birth_date="1971-01-02"),
    ]
    actors = same_actors(twice)
    assert actors["x"] == actors["y"] != actors["z"]


def test_the_halves_are_of_like_size() -> None:
    halves = [split_of(each.id) for each in example_identities()]
    assert 0.4 < halves.count("tune") / len(halves) < 0.6
