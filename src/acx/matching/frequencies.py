"""How common each value is: what many unrelated accounts share weighs little."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I32, I64, U64, inner, to_int
from acx.matching.table import Table, locate

CLUSTER: Final = 3.0
"""Sharers that may still be one actor with several accounts: fewer than this count little."""

UNSEEN_WORD: Final = 2.0e-5
"""Share of accounts that have a word which nobody has been seen with."""
WORD_SAMPLE: Final = 2000.0
"""How many accounts that share is worth, against those that were counted."""


class Frequencies(NamedTuple):
    """Counts of keys over the subjects, old and recent, and the seller base.

    Attributes:
        keys: keys of most subjects; with `directory`, `shift` and `counts` as in their table.
        recent: keys of those added since; likewise.
        accounts: accounts counted on both sides.
    """

    keys: U64
    directory: I64
    counts: I32
    shift: int
    recent: U64
    recent_directory: I64
    recent_counts: I32
    recent_shift: int
    accounts: float


def frequencies_of(base: Table, recent: Table, accounts: int) -> Frequencies:
    """The counts of two tables."""
    return Frequencies(
        base.keys,
        base.directory,
        base.counts,
        base.shift,
        recent.keys,
        recent.directory,
        recent.counts,
        recent.shift,
        float(accounts),
    )


@inner
def others(frequencies: Frequencies, key: np.uint64) -> float:
    """How many accounts have a key beside the two that are compared."""
    counts, recent_counts = frequencies.counts, frequencies.recent_counts
    count = to_int(-2)
    place = locate(frequencies.keys, frequencies.directory, frequencies.shift, key)
    if place >= 0:
        count += counts[place, 0] + counts[place, 1]
    if len(recent_counts) > 0:
        recent = locate(
            frequencies.recent, frequencies.recent_directory, frequencies.recent_shift, key
        )
        if recent >= 0:
            count += recent_counts[recent, 0]
            if place < 0:
                count += recent_counts[recent, 1]
    return float(count) if count > 0 else 0.0


@inner
def rarity(frequencies: Frequencies, key: np.uint64, floor: float) -> float:
    """Bits that an agreement on an identifying value is worth, `floor` where nobody else has it."""
    count = others(frequencies, key)
    if count == 0:
        return floor
    unrelated = count * (count / (count + CLUSTER)) ** 2
    bits = -np.log2(unrelated / frequencies.accounts)
    if bits < 0:
        return 0.0
    return min(floor, bits)


@inner
def word_rarity(frequencies: Frequencies, key: np.uint64, eighths: np.uint64) -> float:
    """Bits that an agreement on a word is worth, which is known to be so rare in the world."""
    known = WORD_SAMPLE * 2.0 ** (-float(eighths) / 8.0)
    return -np.log2((others(frequencies, key) + known) / (frequencies.accounts + WORD_SAMPLE))
