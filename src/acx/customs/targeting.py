"""Targeting: which shipments to open, under the capacity there is.

Three kinds of selection share the capacity. `audit` is drawn at random from all shipments, so that
what it finds measures everything else without bias. `model` takes the highest scores. `explore`
takes what the model cannot know yet: uncertain scores and trades that were hardly ever inspected;
without it, a model that learns only from what it chose goes blind.

Source: Kim et al., «Take a Chance: Managing the Exploitation-Exploration Dilemma in Customs Fraud
Detection via Online Active Learning» (arXiv 2010.14282).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.customs.errors import BadCapacity
from acx.customs.histories import F64

Selection = Literal["model", "explore", "audit", ""]
_CAPACITY: Final = re.compile(r"(?P<count>[0-9]{1,12})|(?P<percent>[0-9]{1,3}(\.[0-9]+)?)\s*%")
_KINDS: Final = ("", "model", "explore", "audit")
NONE, MODEL, EXPLORE, AUDIT = range(4)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many shipments can be opened: a number, or a share of all.

    Attributes:
        count: a number; None if it is a share.
        share: of all shipments, from 0 to 1.
    """

    count: int | None
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Capacity:
        """Read `N` or `P%`.

        Raises:
            BadCapacity: it is neither.
        """
        match = _CAPACITY.fullmatch(text.strip())
        if match is None:
            raise BadCapacity(f"{text!r}: give a number of shipments (200) or a share (2%)")
        if match["count"]:
            return cls(int(match["count"]))
        share = float(match["percent"]) / 100
        if share > 1:
            raise BadCapacity(f"{text!r}: more than all shipments")
        return cls(None, share)

    def of(self, shipments: int) -> int:
        """Shipments that can be opened of so many.

        Raises:
            BadCapacity: a number above all there are.
        """
        if self.count is None:
            return round(shipments * self.share)
        if self.count > shipments:
            raise BadCapacity(
                f"capacity is {self.count} and there are {shipments} shipments: nothing would be "
                "selected by risk; lower it, or give a share such as 2%"
            )
        return self.count


@dataclass(frozen=True, slots=True)
class Selected:
    """What was decided of shipments, a row each.

    Attributes:
        rank: from 1, by score.
        kind: 0 not selected, else `MODEL`, `EXPLORE` or `AUDIT`.
        probability: with which it came to be selected; 0 if it was not.
    """

    rank: NDArray[np.int64]
    kind: NDArray[np.int8]
    probability: F64

    def kinds(self) -> pl.Series:
        """The kinds in words; empty where not selected."""
        return pl.Series("selection", [_KINDS[kind] for kind in self.kind.tolist()], pl.String)


def select(
    score: F64,
    spread: F64,
    unseen: F64,
    offices: pl.Series | None,
    capacity: Capacity,
    *,
    explore: float,
    audit: float,
    seed: int,
) -> Selected:
    """Choose shipments.

    Args:
        score: of each shipment.
        spread: how unsure the model is of each.
        unseen: from 0, a trade that was often inspected, to 1, one that never was.
        offices: of each, if every office has the capacity for itself; None for one capacity.
        capacity: of everybody, or of each office.
        explore: share of the capacity for exploration.
        audit: share of the capacity drawn at random.
        seed: of everything random; the same seed selects the same.

    Raises:
        BadCapacity: more than there are, or shares that leave nothing.
    """
    if not (0 <= explore <= 1 and 0 <= audit <= 1 and explore + audit <= 1):
        raise BadCapacity("--explore and --audit are shares of the capacity, at most 100% together")
    order = np.argsort(-score, kind="stable")
    rank = np.empty(len(score), np.int64)
    rank[order] = np.arange(1, len(score) + 1)
    kind = np.zeros(len(score), np.int8)
    probability = np.zeros(len(score))
    random = np.random.default_rng(seed)
    groups = [np.arange(len(score))] if offices is None else _groups(offices)
    for rows in groups:
        room = capacity.of(len(rows))
        share = (round(room * audit), round(room * explore))
        by_score = rows[np.argsort(rank[rows])]
        _select_within(by_score, room, share, spread, unseen, random, kind, probability)
    return Selected(rank, kind, probability)


def _select_within(
    by_score: NDArray[np.int64],
    room: int,
    share: tuple[int, int],
    spread: F64,
    unseen: F64,
    random: np.random.Generator,
    kind: NDArray[np.int8],
    probability: F64,
) -> None:
    audits, explores = share
    drawn = random.choice(by_score, audits, replace=False)
    kind[drawn] = AUDIT
    if len(by_score):
        probability[drawn] = audits / len(by_score)
    left = by_score[kind[by_score] == NONE]
    best = left[: room - audits - explores]
    kind[best], probability[best] = MODEL, 1.0
    left = left[len(best) :]
    weight = spread[left] / (spread[left].max(initial=0.0) + 1e-12) + unseen[left] + 1e-6
    # Gumbel's trick: the largest of log-weight plus noise is a draw by weight, without replacement.
    noise = random.gumbel(size=len(left))
    tried = left[np.argsort(-(np.log(weight) + noise), kind="stable")[:explores]]
    kind[tried] = EXPLORE
    if explores:
        chance = np.minimum(1.0, explores * weight / weight.sum())
        places = np.searchsorted(np.sort(left), tried)
        probability[tried] = chance[np.argsort(left)][places]


def _groups(offices: pl.Series) -> list[NDArray[np.int64]]:
    table = pl.DataFrame({"office": offices}).with_row_index("row")
    rows = table.group_by("office", maintain_order=True).agg("row")["row"]
    return [each.to_numpy().astype(np.int64) for each in rows]
