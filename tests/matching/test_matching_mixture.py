"""EM: it never makes things less likely, and finds what the data were made with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acx.matching.compare import ABSENT, DIFFERENT
from acx.matching.mixture import (
    ONE_ACTOR,
    TWO_ACTORS,
    UNKNOWN,
    Fit,
    Given,
    Pairs,
    Parameters,
    differs_m,
    fit,
    weigh,
)

M = np.array([[0.7, 0.2], [0.5, 0.0], [0.9, 0.0], [0.5, 0.3]])
"""What one actor's pairs do: two fields with two levels, two with one."""
U = np.array([[1e-4, 1e-3], [1e-2, 0.0], [0.3, 0.0], [1e-3, 2e-3]])
PRESENT = 0.95
TOTAL = 400_000
ACTORS = 1_500


def drawn(seed: int, *, known: float = 0.0) -> tuple[Pairs, Given, Fit]:
    """Pairs drawn from the model, of which those that agree nowhere but by chance are left out."""
    rng = np.random.default_rng(seed)
    same = np.arange(TOTAL) < ACTORS
    level = np.full((TOTAL, len(M)), ABSENT, np.int8)
    for f in range(len(M)):
        chance = np.where(same[:, None], np.cumsum(M[f]), np.cumsum(U[f]))
        place = (rng.random(TOTAL)[:, None] >= chance).sum(axis=1)
        place[place == len(M[f])] = DIFFERENT
        level[:, f] = np.where(rng.random(TOTAL) < PRESENT, place, ABSENT)
    agree = (level[:, [0, 1, 3]] >= 0).any(axis=1)
    level, same = level[agree], same[agree]
    surprise = np.zeros(level.shape)
    for f in range(len(M)):
        here = level[:, f] >= 0
        surprise[here, f] = -np.log2(U[f][level[here, f]])
    told = rng.random(len(same)) < known
    labels = np.where(told, np.where(same, ONE_ACTOR, TWO_ACTORS), UNKNOWN).astype(np.int8)
    pairs = Pairs(level, surprise, labels, ~told)
    start = Parameters(np.where(M > 0, 0.4 / (M > 0).sum(axis=1, keepdims=True), 0.0), 1e-3)
    frame = Given(start, np.zeros(M.shape, np.bool_), 1 - U.sum(axis=1), TOTAL)
    return pairs, frame, fit(pairs, frame)


@pytest.mark.parametrize("known", [0.0, 0.3, 1.0])
def test_finds_the_m_and_the_share_that_the_pairs_were_made_with(known: float) -> None:
    _, _, found = drawn(1, known=known)
    assert found.converged
    assert found.parameters.m == pytest.approx(M, abs=0.04)
    if not known:
        assert found.parameters.share == pytest.approx(ACTORS / TOTAL, rel=0.1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), held=st.booleans(), pairs=st.integers(0, 60))
def test_no_round_makes_the_pairs_less_likely(seed: int, held: bool, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    level = rng.integers(-2, 2, (pairs, 3)).astype(np.int8)
    known = rng.integers(-1, 2, pairs).astype(np.int8)
    m = rng.dirichlet([1.0, 1.0, 1.0], 3)[:, :2]
    frame = Given(
        Parameters(m, float(rng.uniform(1e-6, 0.4))),
        np.array([[False, held], [False, False], [held, held]]),
        rng.uniform(0.1, 1.0, 3),
        1000.0,
    )
    data = Pairs(level, rng.uniform(0.0, 20.0, level.shape), known, known == UNKNOWN)
    found = fit(data, frame)
    rises = np.diff(found.objective)
    assert (rises >= -1e-7 * np.abs(found.objective[1:])).all()
    assert (found.parameters.m > 0).all()
    assert (differs_m(found.parameters.m) > 0).all()
    assert 0 < found.parameters.share < 1


def test_without_any_pair_everything_stays_as_it_was() -> None:
    nothing = Pairs(
        np.empty((0, 4), np.int8), np.empty((0, 4)), np.empty(0, np.int8), np.empty(0, np.bool_)
    )
    start = Parameters(M, 1e-4)
    found = fit(nothing, Given(start, np.zeros(M.shape, np.bool_), np.ones(4), 0.0))
    assert found.parameters.m == pytest.approx(M)
    assert found.parameters.share == pytest.approx(1e-4)


def test_a_known_pair_is_what_it_is_known_to_be() -> None:
    pairs, _, found = drawn(2, known=0.5)
    told = pairs.known != UNKNOWN
    assert (found.posterior[told] == pairs.known[told]).all()


def test_what_is_held_stays() -> None:
    pairs, frame, _ = drawn(3)
    held = np.zeros(M.shape, np.bool_)
    held[0, 1] = True
    found = fit(pairs, Given(frame.start, held, frame.differs_u, frame.total))
    assert found.parameters.m[0, 1] == frame.start.m[0, 1]


def test_a_pair_weighs_what_its_fields_say() -> None:
    pairs = Pairs(
        np.array([[0, DIFFERENT, ABSENT, 1]], np.int8),
        np.array([[10.0, 0.0, 0.0, 5.0]]),
        np.array([UNKNOWN], np.int8),
        np.array([True]),
    )
    frame = Given(Parameters(M, 1e-4), np.zeros(M.shape, np.bool_), np.full(4, 0.99), 100.0)
    assert weigh(pairs, frame.start, frame)[0] == pytest.approx(
        (10 + np.log2(0.7)) + np.log2(0.5 / 0.99) + (5 + np.log2(0.3))
    )
