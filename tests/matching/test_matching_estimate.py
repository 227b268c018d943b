"""Weights estimated from files: known m, u and prior come back, whatever the files are like."""

from __future__ import annotations

import random
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from tests.matching.matching_cases import account, frame

from acx.matching import MatchOptions, match
from acx.matching.errors import NothingToLearn
from acx.matching.estimate import Estimate, estimate
from acx.matching.labels import LabelledPairs, evaluate, kept_back
from acx.matching.weights import FieldWeights, bounded, shipped
from acx.records.account import Account

SIZE = 3000
ACTORS = 600
SAME = {"email": 0.6, "phone": 0.5, "bank_account": 0.7, "birth_date": 0.9, "tax_id": 0.8}
"""How often an actor who comes back has the same value."""
SHARED_IP = 0.2
"""Share of accounts, on either side, behind one of ten addresses."""


def invented(number: int, rng: random.Random) -> dict[str, str]:
    letters = "".join(rng.choices("bcdfghklmnprstvwz", k=6))
    return {
        "name": f"{letters}a {letters[::-1]}o",
        "email": f"{letters}{number}@mail{number % 97}.example",
        "phone": f"+49 151 {rng.randrange(10**7):07d}",
        "bank_account": f"DE-{rng.randrange(10**12):012d}",
        "birth_date": str(date(1950, 1, 1) + timedelta(days=rng.randrange(20_000))),
        "tax_id": f"XK:{rng.randrange(10**9):09d}",
        "ip": f"198.51.100.{rng.randrange(10)}"
        if rng.random() < SHARED_IP
        else f"203.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}",
    }


@cache
def files() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two files of which the first `ACTORS` rows are the same actors, made with known m."""
    rng = random.Random(5)  # noqa: S311 -- invented data
    ours: list[Account] = []
    theirs: list[Account] = []
    for number in range(SIZE):
        subject = invented(number, rng)
        seller = invented(number + SIZE, rng)
        if number < ACTORS:
            seller["name"] = subject["name"]
            seller |= {field: subject[field] for field, m in SAME.items() if rng.random() < m}
        theirs.append(account(f"r{number}", **subject))
        ours.append(account(f"s{number}", **seller))
    return frame(*ours), frame(*theirs)


@cache
def estimated() -> Estimate:
    return estimate(*files())


def field(made: Estimate, name: str) -> FieldWeights:
    return next(each for each in made.weights.fields if each.name == name)


def test_em_finds_the_m_that_the_files_were_made_with() -> None:
    made = estimated()
    assert made.weights.provenance is not None
    assert made.weights.provenance.converged
    found = {name: field(made, name).levels[0].m for name in SAME}
    assert found == pytest.approx(SAME, abs=0.05)


def test_em_finds_the_share_of_accounts_that_are_somebody() -> None:
    assert estimated().weights.prior == pytest.approx(ACTORS / SIZE, abs=0.03)


def test_no_round_of_em_makes_the_files_less_likely() -> None:
    rises = np.diff(estimated().likelihood)
    assert len(rises)
    assert (rises >= -1e-6).all()


def test_u_is_counted_over_all_pairs_without_those_of_one_actor() -> None:
    made = estimated()
    behind_one = SHARED_IP**2 / 10
    assert field(made, "ip").levels[0].u == pytest.approx(behind_one, rel=0.15)
    # No two actors have the same bank account: what agrees is all of one actor.
    assert field(made, "bank_account").levels[0].u < 3 / SIZE**2


def test_what_the_files_say_nothing_of_stays_as_shipped() -> None:
    made = estimated()
    mine = next(each for each in shipped().fields if each.name == "image_hash")
    assert [each.m for each in field(made, "image_hash").levels] == pytest.approx(
        [each.m for each in mine.levels], abs=1e-6
    )


def test_estimated_weights_find_what_shipped_ones_find() -> None:
    options = MatchOptions(weights=estimated().weights.table(), level="strong")
    hits = match(*files(), options=options).filter(
        pl.col("account_id").str.slice(1) == pl.col("subject_id").str.slice(1)
    )
    plain = match(*files(), options=MatchOptions(level="strong"))
    right = plain.filter(pl.col("account_id").str.slice(1) == pl.col("subject_id").str.slice(1))
    assert len(hits) >= 0.99 * len(right)
    assert len(right) > 0.9 * ACTORS


def test_the_estimate_is_within_the_bounds_and_says_where_it_is_from() -> None:
    weights = estimated().weights
    assert bounded(weights) == weights
    said = weights.provenance
    assert said is not None
    assert (said.accounts, said.subjects, said.sampled, said.labelled) == (SIZE, SIZE, SIZE, 0)
    assert said.rounds == len(estimated().likelihood)


def test_the_same_files_give_the_same_estimate() -> None:
    assert estimate(*files()).weights.fields == estimated().weights.fields


def labels(right: int, wrong: int) -> LabelledPairs:
    """Pairs of one actor and pairs of two, a share of them kept back."""
    rows = np.arange(right + wrong)
    same = rows < right
    return LabelledPairs(
        rows,
        np.where(same, rows, (rows + 7) % SIZE),
        same,
        kept_back([f"s{row}" for row in rows]),
    )


def test_labels_alone_give_m_and_what_was_kept_back_tells_how_good_it_is() -> None:
    made = estimate(*files(), labels=labels(500, 500), by_em=False)
    found = {name: field(made, name).levels[0].m for name in SAME}
    assert found == pytest.approx(SAME, abs=0.07)
    assert made.weights.prior == shipped().prior
    for evaluation in (made.held_out, made.held_out_shipped):
        assert evaluation is not None
        assert evaluation.pairs == int(labels(500, 500).held_out.sum())
        strong = next(each for each in evaluation.levels if each.level == "strong")
        assert strong.precision == 1.0
        assert strong.recall is not None
        assert strong.recall > 0.9
        assert evaluation.brier < 0.05


def test_a_handful_of_labels_moves_little() -> None:
    made = estimate(*files(), labels=labels(4, 0), by_em=False)
    for mine, theirs in zip(made.weights.fields, shipped().fields, strict=True):
        for ours, before in zip(mine.levels, theirs.levels, strict=True):
            assert ours.m == pytest.approx(before.m, abs=4 / (4 + 20))


def test_labels_and_em_learn_together() -> None:
    made = estimate(*files(), labels=labels(100, 100))
    assert made.weights.provenance is not None
    assert made.weights.provenance.labelled == int((~labels(100, 100).held_out).sum())
    assert made.weights.prior == pytest.approx((ACTORS - 100) / SIZE, abs=0.05)


def test_false_agreements_that_labels_prove_make_a_value_that_nobody_else_has_weigh_less() -> None:
    sellers, subjects = files()
    borrowed = sellers.with_columns(
        phone=pl.when(pl.int_range(pl.len()) >= ACTORS)
        .then(subjects["phone"])
        .otherwise(sellers["phone"])
    )
    rows = np.arange(ACTORS, ACTORS + 60)
    told = LabelledPairs(rows, rows, np.zeros(60, np.bool_), np.zeros(60, np.bool_))
    made = estimate(borrowed, subjects, labels=told)
    assert field(made, "phone").levels[0].least_u > 2.0**-20


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(NothingToLearn, match="--estimate"):
        estimate(*files(), labels=labels(0, 50), by_em=False)
    with pytest.raises(NothingToLearn, match="no account"):
        estimate(files()[0].clear(), files()[1])


def test_where_nobody_has_come_back_namesakes_are_not_learnt_from() -> None:
    sellers, _ = files()
    with pytest.raises(NothingToLearn, match="namesakes"):
        estimate(sellers, sellers, options=MatchOptions(same_file=True))


def test_a_file_against_itself_tells_who_has_come_back_within_it() -> None:
    sellers, subjects = files()
    both = pl.concat([sellers, subjects])
    made = estimate(both, both, options=MatchOptions(same_file=True))
    assert made.weights.prior == pytest.approx(ACTORS / SIZE, abs=0.05)
    assert field(made, "tax_id").levels[0].m == pytest.approx(SAME["tax_id"], abs=0.06)


def test_an_evaluation_counts_hits_levels_and_bins() -> None:
    told = evaluate(
        np.array([0.999, 0.99, 0.6, 0.05]),
        np.array([0, 1, 2, 3]),
        np.array([True, False, True, True]),
    )
    assert [each.hits for each in told.levels] == [1, 2, 3]
    assert [each.precision for each in told.levels] == pytest.approx([1.0, 1 / 2, 2 / 3])
    assert [each.recall for each in told.levels] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert [(each.above, each.pairs, each.observed) for each in told.reliability] == [
        (0.0, 1, 1.0),
        (0.5, 1, 1.0),
        (0.98, 1, 0.0),
        (0.995, 1, 1.0),
    ]
    assert told.brier == pytest.approx((0.001**2 + 0.99**2 + 0.4**2 + 0.95**2) / 4)
    nothing = evaluate(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))
    assert nothing.levels[0].precision is None


def test_all_pairs_of_an_account_are_kept_back_or_none() -> None:
    ids = [f"s{n}" for n in range(1000)]
    assert 0.25 < kept_back(ids).mean() < 0.35
    assert (kept_back([*ids, *ids])[:1000] == kept_back(ids)).all()
