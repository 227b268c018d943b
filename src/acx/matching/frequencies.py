"""How common each value is: what many unrelated accounts share weighs little."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I32, U64, inner, keyed, to_int
from acx.matching.table import Table, locate

CLUSTER: Final = 3.0
"""Sharers that may still be one actor with several accounts: fewer than this count little."""

UNSEEN_WORD: Final = 2.0e-5
"""Share of accounts that have a word which nobody has been seen with."""
WORD_SAMPLE: Final = 2000.0
"""How many accounts that share is worth, against those that were counted."""
ELSEWHERE: Final = 8192.0
"""Accounts taken as seen beside those at hand: among a few, a value that two reports of one actor
have is not one that everybody has."""


class Counts(NamedTuple):
    """What a table tells of how common its keys are: see there."""

    keys: U64
    directory: I32
    shift: int
    subjects: I32
    sellers: I32


class Frequencies(NamedTuple):
    """Counts of keys over the subjects, old and recent, and the seller base.

    Attributes:
        secret: what keys are digests under.
        base: keys of most subjects.
        recent: keys of those added since.
        accounts: accounts counted on both sides.
    """

    secret: U64
    base: Counts
    recent: Counts
    accounts: float


def frequencies_of(base: Table, recent: Table, accounts: float) -> Frequencies:
    """How common values are, as far as two tables have counted."""
    return Frequencies(base.secret, _counts(base), _counts(recent), accounts)


def _counts(table: Table) -> Counts:
    return Counts(table.keys, table.directory, table.shift, table.subjects, table.sellers)


@inner
def others(frequencies: Frequencies, key: np.uint64) -> float:
    """How many accounts have a key beside the two that are compared."""
    base, recent = frequencies.base, frequencies.recent
    key = keyed(frequencies.secret, key)
    count = to_int(-2)
    place = locate(base.keys, base.directory, base.shift, key)
    if place >= 0:
        count += base.subjects[place] + base.sellers[place]
    if len(recent.keys) > 0:
        other = locate(recent.keys, recent.directory, recent.shift, key)
        if other >= 0:
            count += recent.subjects[other]
            if place < 0:
                count += recent.sellers[other]
    return float(count) if count > 0 else 0.0


@inner
def rarity(frequencies: Frequencies, key: np.uint64, floor: float) -> float:
    """Bits that an agreement on an identifying value is worth, `floor` where nobody else has it."""
    count = others(frequencies, key)
    if count == 0:
        return floor
    unrelated = count * (count / (count + CLUSTER)) ** 2
    bits = -np.log2(unrelated / (frequencies.accounts + ELSEWHERE))
    if bits < 0:
        return 0.0
    return min(floor, bits)


@inner
def word_rarity(frequencies: Frequencies, key: np.uint64, eighths: np.uint64) -> float:
    """Bits that an agreement on a word is worth, which is known to be so rare in the world."""
    known = WORD_SAMPLE * 2.0 ** (-float(eighths) / 8.0)
    return -np.log2((others(frequencies, key) + known) / (frequencies.accounts + WORD_SAMPLE))
