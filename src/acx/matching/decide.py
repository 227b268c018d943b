"""Match weights ► probability ► level and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import polars as pl

from acx.matching.compare import ABSENT, BITS, DIFFERENT, HOUSEHOLD, LEVEL, NAME
from acx.matching.compiled import F64, I64
from acx.matching.model import (
    EXACT_PROBABILITY,
    FIELDS,
    LEVELS,
    POSSIBLE_PROBABILITY,
    SMALLEST_CROWD,
    STRONG_PROBABILITY,
)
from acx.matching.names import PART

AGREES: Final = 3.0
"""Bits from which on a field counts as agreeing."""
IDENTIFIES: Final = 8.0
"""Bits from which on an identifier does: a number that hundreds share identifies nobody."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that an account is probably the same actor as.

    Attributes:
        account_id: the account's id.
        subject_id: the subject's id.
        level: `exact`, `strong` or `possible`.
        probability: calibrated for the stated prior.
        reasons: `field:comparison:bits`, strongest first, `prior` last.
    """

    account_id: str
    subject_id: str
    level: str
    probability: float
    reasons: list[str]


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """What one field of a pair says.

    Attributes:
        field: a field of an account, or `prior`.
        comparison: how its values compare.
        bits: the match weight, log2(m/u).
    """

    field: str
    comparison: str
    bits: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair's probability comes about.

    Attributes:
        weights: strongest first, the prior last; their bits sum to the log-odds.
        probability: that both are one actor.
        level: `exact`, `strong`, `possible`, or empty.
    """

    weights: list[Weight]
    probability: float
    level: str


HITS: Final = pl.Schema(
    {
        "account_id": pl.String(),
        "subject_id": pl.String(),
        "level": pl.String(),
        "probability": pl.Float64(),
        "reasons": pl.List(pl.String()),
    }
)
"""Columns of hits."""


def prior_bits(prior: float, subjects: int) -> float:
    """Log-odds that an account and a subject, taken at random, are one actor."""
    pair = prior / max(subjects, SMALLEST_CROWD)
    return float(np.log2(pair / (1 - pair)))


def bits_needed(level: str) -> float:
    """Log-odds of the least probability of a level."""
    least = {
        "exact": EXACT_PROBABILITY,
        "strong": STRONG_PROBABILITY,
        "possible": POSSIBLE_PROBABILITY,
    }[level]
    return float(np.log2(least / (1 - least)))


_IDENTIFIES: Final = np.array([field.identifies for field in FIELDS])
_CONTRADICTS: Final = np.array([field.contradicts for field in FIELDS])


def levels(outcomes: F64, prior: float) -> tuple[F64, I64]:
    """Probability and level of pairs.

    Args:
        outcomes: pairs × 2 × fields, as `compare` leaves them.
        prior: bits.

    Returns:
        Probability, and place in `LEVELS`, beyond it for those that are no hit.
    """
    bits, level = outcomes[:, BITS], outcomes[:, LEVEL]
    odds = bits.sum(axis=1) + prior
    probability = 1.0 / (1.0 + np.exp2(-np.clip(odds, -1000, 1000)))
    agreeing = (level >= 0) & (bits >= AGREES)
    agreeing[:, NAME] &= level[:, NAME] <= PART
    identified = (agreeing & (level < _IDENTIFIES) & (bits >= IDENTIFIES)).any(axis=1)
    contradicted = ((level == DIFFERENT) & _CONTRADICTS).any(axis=1)
    # What a household shares is one piece of evidence, not several independent ones.
    shared = agreeing[:, HOUSEHOLD].sum(axis=1)
    independent = agreeing.sum(axis=1) - np.maximum(shared - 1, 0)
    exact = (independent >= 2) & identified & ~contradicted
    place = np.full(len(odds), len(LEVELS))
    place[probability >= POSSIBLE_PROBABILITY] = LEVELS.index("possible")
    place[probability >= STRONG_PROBABILITY] = LEVELS.index("strong")
    place[(probability >= EXACT_PROBABILITY) & exact] = LEVELS.index("exact")
    return probability, place


def hits_of(
    account_id: str, subject_ids: Sequence[str], outcomes: F64, prior: float, least: str
) -> list[Hit]:
    """One account's pairs that are hits of at least a level, most probable first."""
    probability, place = levels(outcomes, prior)
    hits = [
        Hit(
            account_id=account_id,
            subject_id=subject_ids[pair],
            level=LEVELS[place[pair]],
            probability=float(probability[pair]),
            reasons=reasons(outcomes[pair], prior),
        )
        for pair in np.flatnonzero(place <= LEVELS.index(least)).tolist()
    ]
    return sorted(hits, key=lambda hit: (-hit.probability, hit.subject_id))


def hits_frame(
    shown: pl.DataFrame, subject_ids: pl.Series, outcomes: F64, prior: float, least: str
) -> pl.DataFrame:
    """Pairs that are hits of at least a level, with their reasons, in no order.

    Args:
        shown: the accounts' `account_id`, and what else hits show of them.
        subject_ids: the subjects' ids.
        outcomes: pairs × 2 × fields, as `compare` leaves them.
        prior: bits.
        least: weakest level to return.
    """
    probability, place = levels(outcomes, prior)
    kept = np.flatnonzero(place <= LEVELS.index(least))
    columns = {
        "account_id": shown["account_id"].gather(kept),
        "subject_id": subject_ids.gather(kept),
        "level": [LEVELS[p] for p in place[kept]],
        "probability": probability[kept],
        "reasons": [reasons(outcomes[p], prior) for p in kept],
    }
    return pl.DataFrame(columns, schema=HITS).hstack(shown.drop("account_id")[kept])


def reasons(outcome: F64, prior: float) -> list[str]:
    """What each field of one pair says, strongest first, the prior last."""
    return [
        f"{weight.field}:{weight.comparison}:{weight.bits:+.2f}"
        for weight in weights_of(outcome, prior)
    ]


def weights_of(outcome: F64, prior: float) -> list[Weight]:
    """The match weights of one pair, strongest first, the prior last; they sum to its log-odds."""
    bits, level = outcome[BITS].tolist(), outcome[LEVEL].astype(np.int64).tolist()
    said = sorted(
        (-abs(bits[f]), field.name, field.levels[level[f]].name if level[f] >= 0 else "differs", f)
        for f, field in enumerate(FIELDS)
        if level[f] != ABSENT
    )
    found = [Weight(field=name, comparison=how, bits=bits[f]) for _, name, how, f in said]
    return [*found, Weight(field="prior", comparison="pair", bits=prior)]


def explained(outcome: F64, prior: float) -> Explanation:
    """All there is to say about one pair, hit or not."""
    probability, place = levels(outcome[np.newaxis], prior)
    return Explanation(
        weights=weights_of(outcome, prior),
        probability=float(probability[0]),
        level=LEVELS[place[0]] if place[0] < len(LEVELS) else "",
    )
