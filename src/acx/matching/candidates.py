"""Which subjects are worth comparing: those that share a key, rare keys first, under a budget.

A candidate's score is what its shared keys would be worth, each for itself; those whose score no
hit has are not compared.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import F64, I32, I64, U8, U64, inner, kernel, to_int
from acx.matching.frequencies import Frequencies
from acx.matching.images import BAND_BITS, BANDS, Images
from acx.matching.keys import neighbour_keys
from acx.matching.profiles import Profiles
from acx.matching.table import MOST_SHARERS, Found, Table, locate

READ: Final = 320
"""Subjects that the keys of one account may lead to."""
COMPARED: Final = 12
"""Candidates that are compared for one account, the best scored."""
SURPLUS: Final = 6.0
"""Bits by which the score of a hit exceeds its weight at least: keys say most things many times."""
MOST_KEY_BITS: Final = 20.0
FEW_ACCOUNTS: Final = 65536.0
"""Accounts that count beside those at hand: among a few, a key's rarity says nothing yet."""

_SLOTS: Final = 2048
_SCORES: Final = 1024


class Subjects(NamedTuple):
    """Who may be found.

    Attributes:
        profiles: the subjects.
        alive: which of them still count.
        table: their keys.
    """

    profiles: Profiles
    alive: U8
    table: Table


class _Scratch(NamedTuple):
    """Memory that one thread's search uses again for each account.

    Attributes:
        neighbours: keys of pictures that are nearly the account's.
        found: places of the account's keys in the table.
        places: the same, the rarest key's first.
        sizes: how many keys have how many sharers.
        subject: a hash table of candidates: the subject in each slot, -1 if free.
        score: the candidates' scores.
        used: slots in use, and how many candidates have each score.
    """

    neighbours: U64
    found: I32
    places: I32
    sizes: I64
    subject: I64
    score: F64
    used: I64


def candidates(
    accounts: Profiles,
    found: Found,
    subjects: Subjects,
    frequencies: Frequencies,
    needed: float,
    same: int = -1,
) -> I64:
    """Find the subjects that are worth comparing with accounts.

    Args:
        accounts: who is screened.
        found: which of the subjects' keys they have.
        subjects: who may be found.
        frequencies: how common values are.
        needed: bits that make a hit.
        same: subjects are the accounts, moved by so many rows; -1 if they are others.

    Returns:
        Pairs × 2: row of the account, row of the subject; at most `COMPARED` of each account.
    """
    rows = len(found.starts) - 1
    neighbours = BAND_BITS * BANDS * np.diff(accounts.images.starts)
    most = int((np.diff(found.starts) + neighbours).max(initial=0))
    scratch = _Scratch(
        np.empty(int(neighbours.max(initial=0)), np.uint64),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(MOST_SHARERS + 2, np.int64),
        np.full(_SLOTS, -1, np.int64),
        np.empty(_SLOTS, np.float64),
        np.empty(_SLOTS + _SCORES, np.int64),
    )
    pairs = np.empty((COMPARED * rows, 2), np.int64)
    size = _fill_candidates(
        accounts.images,
        found,
        subjects.alive,
        subjects.table,
        frequencies.accounts,
        needed + SURPLUS,
        same,
        scratch,
        pairs,
    )
    return pairs[:size]


@kernel
def _fill_candidates(
    images: Images,
    found: Found,
    alive: U8,
    table: Table,
    crowd: float,
    needed: float,
    same: int,
    scratch: _Scratch,
    pairs: I64,
) -> int:
    """Fill `pairs`; returns how many."""
    slots, scores, used = scratch.subject, scratch.score, scratch.used
    size = 0
    for row in range(len(found.starts) - 1):
        count = _gather(images, found, row, table, crowd, scratch)
        least = max(needed, _cut(count, scratch))
        for c in range(count):
            slot = used[c]
            subject, score = slots[slot], scores[slot]
            slots[slot] = -1
            if score >= least and alive[subject] and (same < 0 or subject != row + same):
                pairs[size, 0], pairs[size, 1] = row, subject
                size += 1
    return size


@inner
def _gather(
    images: Images, found: Found, row: int, table: Table, crowd: float, scratch: _Scratch
) -> int:
    """Score the subjects that share keys with a row; returns how many, their slots in `used`."""
    count = 0
    for i in range(found.starts[row], found.starts[row + 1]):
        scratch.found[count] = found.places[i]
        count += 1
    neighbours = neighbour_keys(images, row, table.secret, scratch.neighbours, 0)
    for n in range(neighbours):
        place = locate(table.keys, table.directory, table.shift, scratch.neighbours[n])
        if place >= 0:
            scratch.found[count] = place
            count += 1
    count = _by_rarity(table, count, scratch)
    places, slots, scores, used = scratch.places, scratch.subject, scratch.score, scratch.used
    starts, rows = table.starts, table.rows
    candidates, reading = 0, 0
    for k in range(count):
        place = places[k]
        start, end = starts[place], starts[place + 1]
        reading += end - start
        if reading > READ:
            break
        worth = np.log2((crowd + FEW_ACCOUNTS) / (end - start))
        if worth > MOST_KEY_BITS:
            worth = MOST_KEY_BITS
        for p in range(start, end):
            subject = to_int(rows[p])
            if subject < 0:
                continue
            slot = (subject * 2654435761) & (_SLOTS - 1)
            while slots[slot] >= 0 and slots[slot] != subject:
                slot = (slot + 1) & (_SLOTS - 1)
            if slots[slot] < 0:
                slots[slot] = subject
                scores[slot] = 0.0
                used[candidates] = slot
                candidates += 1
            scores[slot] += worth
    return candidates


@inner
def _by_rarity(table: Table, count: int, scratch: _Scratch) -> int:
    """Sort places by how many subjects have their key (a counting sort); returns how many have."""
    found, sizes, places, starts = scratch.found, scratch.sizes, scratch.places, table.starts
    for size in range(len(sizes)):
        sizes[size] = 0
    kept = 0
    for k in range(count):
        place = found[k]
        size = starts[place + 1] - starts[place]
        if size > 0:
            sizes[size + 1] += 1
            found[kept] = place
            kept += 1
    for size in range(1, len(sizes)):
        sizes[size] += sizes[size - 1]
    for k in range(kept):
        place = found[k]
        size = starts[place + 1] - starts[place]
        places[sizes[size]] = place
        sizes[size] += 1
    return kept


@inner
def _cut(candidates: int, scratch: _Scratch) -> float:
    """The score from which on at most `COMPARED` candidates are."""
    if candidates <= COMPARED:
        return 0.0
    used, scores = scratch.used, scratch.score
    for score in range(_SCORES):
        used[_SLOTS + score] = 0
    for c in range(candidates):
        score = to_int(scores[used[c]])
        used[_SLOTS + (score if score < _SCORES else _SCORES - 1)] += 1
    kept = 0
    for score in range(_SCORES - 1, 0, -1):
        kept += used[_SLOTS + score]
        if kept > COMPARED:
            return score + 1.0
    return 0.0
