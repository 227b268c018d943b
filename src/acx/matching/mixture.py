"""Expectation and maximisation for pairs of accounts that are one actor or two.

Pure: arrays in, arrays out. The model is Fellegi and Sunter's: given whether a pair is one actor,
its fields are independent. What two actors do (u) is known beforehand, pair by pair, so only m and
the share of pairs that are one actor are fitted.

Source: A. P. Dempster, N. M. Laird, D. B. Rubin, «Maximum Likelihood from Incomplete Data via the
EM Algorithm», Journal of the Royal Statistical Society B 39 (1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from acx.matching.compare import ABSENT, DIFFERENT
from acx.matching.compiled import F64

PSEUDO_COUNT: Final = 20.0
"""Pairs of one actor that the starting values are worth, for each field."""
PSEUDO_MATCHES: Final = 1.0
"""Pairs of one actor that the starting share is worth."""
MOST_ROUNDS: Final = 200
TOLERANCE: Final = 1e-4
"""Change of an m, and of the share's logarithm, below which a round has changed nothing."""

UNKNOWN, TWO_ACTORS, ONE_ACTOR = -1, 0, 1
"""What is known of a pair beforehand."""


class Pairs(NamedTuple):
    """Compared pairs.

    Attributes:
        level: pairs × fields: how each field agrees, `DIFFERENT` or `ABSENT`.
        surprise: pairs × fields: bits, -log2 of the agreement's u; anything where none agrees.
        known: for each pair `UNKNOWN`, `TWO_ACTORS` or `ONE_ACTOR`.
        counted: whether a pair is one of those whose share is fitted; others have to be known.
    """

    level: npt.NDArray[np.int8]
    surprise: F64
    known: npt.NDArray[np.int8]
    counted: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is fitted.

    Attributes:
        m: fields × levels, 0 where a field has no such level; what is left of 1 is the difference.
        share: of all pairs, those of one actor.
    """

    m: F64
    share: float


@dataclass(frozen=True, slots=True)
class Given:
    """What stays as it is.

    Attributes:
        start: where fitting starts from, and what it is drawn towards.
        held: fields × levels: m that is not fitted.
        differs_u: for each field, how often two actors differ where both have a value.
        total: pairs that there are; those not among the compared ones are two actors'.
    """

    start: Parameters
    held: npt.NDArray[np.bool_]
    differs_u: F64
    total: float


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted.

    Attributes:
        parameters: the last.
        posterior: for each pair, the probability that it is one actor.
        objective: log-likelihood (natural) plus what the pseudo-counts add, before each round.
        converged: whether the last round changed nothing.
    """

    parameters: Parameters
    posterior: F64
    objective: tuple[float, ...]
    converged: bool


def fit(pairs: Pairs, given: Given) -> Fit:
    """Fit m and the share of pairs that are one actor.

    Each round raises the objective or leaves it: it is the maximum a posteriori under a Dirichlet
    prior on each field's m and a beta prior on the share.
    """
    parameters = given.start
    objective: list[float] = []
    while True:
        bits = weigh(pairs, parameters, given)
        posterior = _posterior(pairs, bits + _logit(parameters.share))
        objective.append(_objective(pairs, bits, parameters, given))
        fitted = _maximise(pairs, posterior, given)
        change = max(
            np.abs(fitted.m - parameters.m).max(),
            abs(np.log(fitted.share / parameters.share)),
        )
        parameters = fitted
        if change < TOLERANCE or len(objective) == MOST_ROUNDS:
            return Fit(parameters, posterior, tuple(objective), bool(change < TOLERANCE))


def weigh(pairs: Pairs, parameters: Parameters, given: Given) -> F64:
    """The match weight of each pair, in bits."""
    total = np.zeros(len(pairs.level))
    differs = differs_m(parameters.m)
    for f, m in enumerate(parameters.m):
        level = pairs.level[:, f]
        agrees = level >= 0
        total[agrees] += pairs.surprise[agrees, f] + np.log2(m[level[agrees]])
        total[level == DIFFERENT] += np.log2(differs[f] / given.differs_u[f])
    return total


def differs_m(m: F64) -> F64:
    """For each field, how often one actor's values differ."""
    left: F64 = np.maximum(1 - m.sum(axis=1), 1e-12)
    return left


def _logit(share: float) -> float:
    return float(np.log2(share / (1 - share)))


def _posterior(pairs: Pairs, log_odds: F64) -> F64:
    fitted = 1 / (1 + np.exp2(-np.clip(log_odds, -1000, 1000)))
    return np.where(pairs.known == UNKNOWN, fitted, pairs.known)


def _maximise(pairs: Pairs, posterior: F64, given: Given) -> Parameters:
    start, m = given.start, given.start.m.copy()
    for f, differs in enumerate(differs_m(start.m)):
        seen = np.bincount(pairs.level[:, f] - ABSENT, posterior, minlength=m.shape[1] + 2)
        free = (m[f] > 0) & ~given.held[f]
        if not free.any():
            continue
        agree = seen[DIFFERENT + 1 - ABSENT :] + PSEUDO_COUNT * start.m[f]
        differ = seen[DIFFERENT - ABSENT] + PSEUDO_COUNT * differs
        left = 1 - start.m[f][given.held[f]].sum()
        m[f][free] = left * agree[free] / (agree[free].sum() + differ)
    matches = posterior[pairs.counted].sum() + PSEUDO_MATCHES
    return Parameters(m, float(matches / (given.total + PSEUDO_MATCHES / start.share)))


def _objective(pairs: Pairs, bits: F64, parameters: Parameters, given: Given) -> float:
    share = parameters.share
    log_odds = (bits + _logit(share)) * np.log(2)
    unknown, same = pairs.known == UNKNOWN, pairs.known == ONE_ACTOR
    likelihood = (
        np.logaddexp(0, log_odds[unknown]).sum()
        + log_odds[same & pairs.counted].sum()
        + bits[same & ~pairs.counted].sum() * np.log(2)
        + given.total * np.log1p(-share)
    )
    start, free = given.start, (given.start.m > 0) & ~given.held
    fitted = free.any(axis=1)
    of_m = (start.m[free] * np.log(parameters.m[free])).sum() + (
        differs_m(start.m)[fitted] * np.log(differs_m(parameters.m)[fitted])
    ).sum()
    of_share = np.log(share) + (1 / start.share - 1) * np.log1p(-share)
    return float(likelihood + PSEUDO_COUNT * of_m + PSEUDO_MATCHES * of_share)
