"""The table of keys: which subjects have a value, and how many accounts at all.

Keys are hashes, spread evenly, so the first bits of one say nearly where in the sorted table it
stands: a look-up touches two places in memory.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I32, I64, U64, inner, kernel, to_int

MOST_SHARERS: Final = 256
"""A key that more subjects have finds nobody, it only tells that the value is common."""


class Table(NamedTuple):
    """Keys of subjects.

    Attributes:
        keys: sorted.
        directory: where keys begin whose first bits are at least the place's.
        shift: how many bits the first bits leave.
        starts: subjects with key i are `rows[starts[i]:starts[i + 1]]`, none if they are too many.
        rows: the subjects.
        counts: keys × 2: how many subjects, and how many accounts of the seller base, have each.
    """

    keys: U64
    directory: I64
    shift: int
    starts: I64
    rows: I32
    counts: I32


def build_table(keys: U64, rows: I32) -> Table:
    """Build a table of (key, row) lines, each row once for a key.

    Args:
        keys: in any order.
        rows: as many.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    first = np.flatnonzero(new)
    different = ordered[first]
    sharers = np.diff(np.append(first, len(ordered)))
    kept = sharers <= MOST_SHARERS
    starts = np.zeros(len(different) + 1, np.int64)
    np.cumsum(np.where(kept, sharers, 0), out=starts[1:])
    counts = np.zeros((len(different), 2), np.int32)
    counts[:, 0] = sharers
    directory, shift = _directory(different)
    return Table(different, directory, shift, starts, rows[order[np.repeat(kept, sharers)]], counts)


def _directory(keys: U64) -> tuple[I64, int]:
    bits = max(len(keys).bit_length() - 1, 1)
    shift = 64 - bits
    first = np.arange(1 << bits, dtype=np.uint64) << np.uint64(shift)
    return np.append(np.searchsorted(keys, first), len(keys)).astype(np.int64), shift


@inner
def locate(keys: U64, directory: I64, shift: int, key: np.uint64) -> int:
    """Place of a key in a table, -1 where no subject has it."""
    bucket = to_int(key >> np.uint64(shift))
    for place in range(directory[bucket], directory[bucket + 1]):
        if keys[place] >= key:
            return place if keys[place] == key else -1
    return -1


@kernel
def count_keys(table: Table, keys: U64, n: int, side: int, step: int) -> None:
    """Count `n` keys of one more (or, with step -1, one fewer) subject (side 0) or account (1)."""
    known, directory, counts = table.keys, table.directory, table.counts
    for i in range(n):
        place = locate(known, directory, table.shift, keys[i])
        if place >= 0:
            counts[place, side] += step
