"""The table of keys: which subjects have a value, and how many accounts at all.

Keys are hashes, spread evenly, so the first bits of one say nearly where in the sorted table it
stands: a look-up touches two places in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I32, I64, U64, inner, kernel, to_int
from acx.matching.threads import in_threads

MOST_SHARERS: Final = 256
"""A key that more subjects have finds nobody, it only tells that the value is common."""

SUBJECTS, SELLERS = 0, 1
"""Columns of counts."""

_SLICES: Final = 16
"""Pieces in which a table is sorted: memory for one at a time, and work for all cores."""
_FIRST_BITS: Final = np.uint64(60)


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


def build_table(parts: Sequence[tuple[U64, I32]]) -> Table:
    """Build a table of (key, row) lines, each row once for a key.

    Args:
        parts: keys and rows, in any order.
    """

    def sort_slice(number: int) -> tuple[U64, I64, I32]:
        chosen = [keys >> _FIRST_BITS == number for keys, _ in parts]
        return _sorted(
            np.concatenate([keys[some] for (keys, _), some in zip(parts, chosen, strict=True)]),
            np.concatenate([rows[some] for (_, rows), some in zip(parts, chosen, strict=True)]),
        )

    slices = in_threads(sort_slice, range(_SLICES))
    keys = np.concatenate([each[0] for each in slices])
    sharers = np.concatenate([each[1] for each in slices])
    rows = np.concatenate([each[2] for each in slices])
    starts = np.zeros(len(keys) + 1, np.int64)
    np.cumsum(np.where(sharers <= MOST_SHARERS, sharers, 0), out=starts[1:])
    counts = np.zeros((len(keys), 2), np.int32)
    counts[:, 0] = sharers
    return Table(keys, *_directory(keys), starts, rows, counts)


def _sorted(keys: U64, rows: I32) -> tuple[U64, I64, I32]:
    """Different keys in order, how many rows have each, and the rows of those that few have."""
    order = np.argsort(keys)
    ordered = keys[order]
    new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    first = np.flatnonzero(new)
    sharers = np.diff(np.append(first, len(ordered)))
    return ordered[first], sharers, rows[order[np.repeat(sharers <= MOST_SHARERS, sharers)]]


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
def locate_all(keys: U64, directory: I64, shift: int, wanted: U64, places: I64) -> None:
    """Fill with the place of each wanted key."""
    for i in range(len(wanted)):
        places[i] = locate(keys, directory, shift, wanted[i])


@kernel
def count(counts: I32, places: I64, side: int, step: int) -> None:
    """Count one more (or, with step -1, one fewer) subject (side 0) or account (1) at places."""
    for i in range(len(places)):
        if places[i] >= 0:
            counts[places[i], side] += step


def places_of(table: Table, wanted: U64) -> I64:
    """Place of each wanted key in a table, -1 where no subject has it."""
    places = np.empty(len(wanted), np.int64)
    locate_all(table.keys, table.directory, table.shift, wanted, places)
    return places
