"""Labelled pairs: which part is kept back, and how good probabilities and levels are on it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from acx.matching.compiled import F64, I64
from acx.matching.model import LEVELS

HELD_OUT: Final = 0.3
"""Share of the accounts with a label that is kept back."""
BINS: Final = (0.0, 0.1, 0.5, 0.9, 0.98, 0.995, 1.0)
"""Between which probabilities the reliability table tells predicted from observed."""


class LabelledPairs(NamedTuple):
    """Pairs of which it is known whether they are one actor.

    Attributes:
        accounts: row of each pair's account.
        subjects: row of its subject.
        same: whether they are one actor.
        held_out: whether the pair is kept back, to check on.
    """

    accounts: I64
    subjects: I64
    same: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]

    @property
    def rows(self) -> I64:
        """Pairs × 2: row of the account, row of the subject."""
        return np.column_stack([self.accounts, self.subjects])

    def only(self, chosen: npt.NDArray[np.bool_]) -> LabelledPairs:
        """Some of the pairs."""
        return LabelledPairs(
            self.accounts[chosen], self.subjects[chosen], self.same[chosen], self.held_out[chosen]
        )


NO_LABELS: Final = LabelledPairs(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.bool_)
)


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the reliability table.

    Attributes:
        above: least probability of the pairs on it.
        pairs: how many.
        predicted: their mean probability.
        observed: the share of them that are one actor.
    """

    above: float
    pairs: int
    predicted: float
    observed: float


class AtLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How good a level and those above it are.

    Attributes:
        level: the level.
        hits: labelled pairs that reach it.
        precision: share of these that are one actor; None where there is none.
        recall: share of all labelled pairs of one actor that reach it; None where there is none.
    """

    level: str
    hits: int
    precision: float | None
    recall: float | None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How good weights are on labelled pairs.

    Attributes:
        pairs: how many.
        same: how many of them are one actor.
        brier: mean squared error of the probability; 0 is perfect.
        levels: precision and recall, strongest level first.
        reliability: predicted and observed shares, least probable first.
    """

    pairs: int
    same: int
    brier: float
    levels: tuple[AtLevel, ...]
    reliability: tuple[Reliability, ...]


def kept_back(account_ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which pairs to keep back, by a hash of the account's id: all pairs of an account or none."""

    def share(account_id: str) -> float:
        digest = hashlib.sha256(f"acx labels: {account_id}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:4], "big") / 2**32

    return np.array([share(each) < HELD_OUT for each in account_ids], np.bool_)


def evaluate(probability: F64, level: I64, same: npt.NDArray[np.bool_]) -> Evaluation:
    """Say how good probabilities and levels are.

    Args:
        probability: of each pair.
        level: place in `LEVELS`, beyond it for those that are no hit.
        same: whether the pair is one actor.
    """
    at_level = []
    for place, name in enumerate(LEVELS):
        hit = level <= place
        at_level.append(
            AtLevel(
                level=name,
                hits=int(hit.sum()),
                precision=_share(same[hit]),
                recall=_share(hit[same]),
            )
        )
    bins = np.clip(np.searchsorted(BINS, probability, side="right") - 1, 0, len(BINS) - 2)
    return Evaluation(
        pairs=len(same),
        same=int(same.sum()),
        brier=float(((probability - same) ** 2).sum() / max(len(same), 1)),
        levels=tuple(at_level),
        reliability=tuple(
            Reliability(
                above=BINS[place],
                pairs=int((bins == place).sum()),
                predicted=float(probability[bins == place].mean()),
                observed=float(same[bins == place].mean()),
            )
            for place in np.unique(bins).tolist()
        ),
    )


def _share(among: npt.NDArray[np.bool_]) -> float | None:
    return float(among.mean()) if len(among) else None
