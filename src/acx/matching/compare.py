"""Candidate pairs ► the best comparison of each field ► match weights ► probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acx.matching.columns import F64, Bool, Ragged, products
from acx.matching.frequencies import Frequencies
from acx.matching.model import FIELDS, Field
from acx.matching.names import DIFFERS, LEVELS, Names, align, distinct_pairs
from acx.matching.profiles import Profiles

ABSENT, DIFFERENT = -2, -1


@dataclass(frozen=True, slots=True)
class Comparisons:
    """What each field of each pair says.

    Attributes:
        bits: fields × pairs, match weights; the last line is the names'.
        level: fields × pairs, place in the field's levels, `DIFFERENT` or `ABSENT`.
    """

    bits: F64
    level: npt.NDArray[np.int8]

    @property
    def total(self) -> F64:
        """Bits of all fields together."""
        total: F64 = self.bits.sum(axis=0)
        return total


def compare(
    a: Profiles,
    b: Profiles,
    row_a: npt.NDArray[Any],
    row_b: npt.NDArray[Any],
    frequencies: Frequencies,
) -> Comparisons:
    """Compare accounts pairwise: row `row_a[i]` of `a` with row `row_b[i]` of `b`."""
    n = len(row_a)
    bits = np.zeros((len(FIELDS) + 1, n))
    level = np.full((len(FIELDS) + 1, n), ABSENT, np.int8)
    for i, field in enumerate(FIELDS):
        _compare_values(
            field,
            a.fields[field.name],
            b.fields[field.name],
            row_a,
            row_b,
            frequencies,
            bits[i],
            level[i],
        )
    _compare_names(a.names, b.names, row_a, row_b, frequencies, bits[-1], level[-1])
    return Comparisons(bits, level)


def _both(starts_a: Any, row_a: Any, starts_b: Any, row_b: Any) -> npt.NDArray[np.int64]:
    present: Bool = (starts_a[row_a + 1] > starts_a[row_a]) & (
        starts_b[row_b + 1] > starts_b[row_b]
    )
    return np.flatnonzero(present)


def _compare_values(
    field: Field,
    a: Ragged,
    b: Ragged,
    row_a: npt.NDArray[Any],
    row_b: npt.NDArray[Any],
    frequencies: Frequencies,
    bits: F64,
    level: npt.NDArray[np.int8],
) -> None:
    both = _both(a.starts, row_a, b.starts, row_b)
    if not len(both):
        return
    bits[both] = field.differs
    level[both] = DIFFERENT
    pair, value_a, value_b = products(a.starts, row_a[both], b.starts, row_b[both])
    best = np.full(len(both), -np.inf)
    best_level = np.zeros(len(both), np.int8)
    for place in range(len(field.levels)):
        codes = a.codes[place][value_a]
        agree = np.flatnonzero((codes == b.codes[place][value_b]) & (codes != 0))
        if not len(agree):
            continue
        weight = field.bits(place, frequencies.share(codes[agree]))
        _keep_best(best, best_level, pair[agree], weight, place)
    found = best > -np.inf
    # An agreement that everybody shares says nothing; it never speaks against.
    bits[both[found]] = np.maximum(best[found], 0.0)
    level[both[found]] = best_level[found]


def _keep_best(
    best: F64, best_level: npt.NDArray[np.int8], pair: Any, weight: F64, place: int
) -> None:
    top = np.full(len(best), -np.inf)
    np.maximum.at(top, pair, weight)
    better = top > best
    best[better] = top[better]
    best_level[better] = place


def _compare_names(
    a: Names,
    b: Names,
    row_a: npt.NDArray[Any],
    row_b: npt.NDArray[Any],
    frequencies: Frequencies,
    bits: F64,
    level: npt.NDArray[np.int8],
) -> None:
    both = _both(a.starts, row_a, b.starts, row_b)
    if not len(both):
        return
    pair, entry_a, entry_b = products(a.starts, row_a[both], b.starts, row_b[both])
    related = a.related[entry_a] | b.related[entry_b]
    pairs = distinct_pairs(a.name[entry_a], b.name[entry_b])
    alignment = align(
        a,
        b,
        pairs.a,
        pairs.b,
        frequencies.rarity(a.table.spelling),
        frequencies.rarity(b.table.spelling),
    )
    gained = alignment.bits[pairs.inverse]
    kind = alignment.level[pairs.inverse]
    # An owner's name that agrees is weaker than the actor's own, and that differs says nothing.
    gained = np.where(related, np.maximum(gained * 0.5, 0.0) - 1e-9, gained)
    own = np.zeros(len(both), np.bool_)
    own[pair[~related]] = True
    top = np.full(len(both), -np.inf)
    np.maximum.at(top, pair, gained)
    winner = np.flatnonzero(gained == top[pair])
    best_kind = np.zeros(len(both), np.int8)
    best_kind[pair[winner]] = np.where(related[winner], len(LEVELS), kind[winner])
    # So many tries, so much likelier a chance agreement.
    tries = np.bincount(pair, minlength=len(both))
    settled = np.where(top > 0, np.maximum(top - 0.5 * np.log2(tries), 0.0), top)
    only_related = ~own & (top <= 0)
    bits[both] = np.where(only_related, 0.0, np.maximum(settled, DIFFERS))
    level[both] = np.where(only_related, ABSENT, best_kind)
