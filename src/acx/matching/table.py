"""The table of keys: which subjects have a value, and how many accounts at all.

Keys are digests, spread evenly, so the first bits of one say nearly where in the sorted table it
stands: a look-up touches two places in memory, and many look-ups go slice by slice, so that each
slice is in the processor's cache when its turn comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I32, I64, U64, inner, kernel, to_int
from acx.matching.threads import in_threads

MOST_SHARERS: Final = 256
"""A key that more subjects have finds nobody, it only tells that the value is common."""

SLICES: Final = 256
"""Pieces, by the first bits of keys, in which a table is sorted and searched."""
_SLICE_BITS: Final = 8
FEW_KEYS: Final = 1 << 14
"""So many keys are looked up as they come."""


class Keys(NamedTuple):
    """Keys of some rows: row i's are `keys[starts[i]:starts[i + 1]]`, each once."""

    starts: I64
    keys: U64


class Table(NamedTuple):
    """Keys of subjects.

    Attributes:
        secret: what keys are digests under: two words.
        keys: sorted.
        directory: where keys begin whose first bits are at least the place's.
        shift: how many bits the first bits leave.
        starts: subjects with key i are `rows[starts[i]:starts[i + 1]]`, none if they are too many.
        rows: the subjects, -1 where one was forgotten.
        subjects: how many subjects have each key.
        sellers: how many accounts of the seller base do.
    """

    secret: U64
    keys: U64
    directory: I32
    shift: int
    starts: I32
    rows: I32
    subjects: I32
    sellers: I32


class Slices(NamedTuple):
    """Keys of some rows, put in slices: slice s is `starts[s]:starts[s + 1]`.

    Attributes:
        starts: as said.
        keys: the keys.
        rows: whose each is.
    """

    starts: I64
    keys: U64
    rows: I32


class Found(NamedTuple):
    """Which of a table's keys some rows have: row i's places are `places[starts[i]:starts[i+1]]`.

    Attributes:
        starts: as said.
        places: places in the table.
    """

    starts: I64
    places: I32


def sliced(keys: Keys) -> Slices:
    """Put keys in slices; within one they keep their order."""
    slices = Slices(
        np.zeros(SLICES + 1, np.int64),
        np.empty(len(keys.keys), np.uint64),
        np.empty(len(keys.keys), np.int32),
    )
    _put_in_slices(keys.starts, keys.keys, slices)
    return slices


@kernel
def _put_in_slices(starts: I64, keys: U64, slices: Slices) -> None:
    ends = slices.starts
    shift = np.uint64(64 - _SLICE_BITS)
    for i in range(len(keys)):
        ends[to_int(keys[i] >> shift)] += 1
    total = 0
    for s in range(SLICES + 1):
        total += ends[s]
        ends[s] = total
    for row in range(len(starts) - 2, -1, -1):
        for i in range(starts[row + 1] - 1, starts[row] - 1, -1):
            s = to_int(keys[i] >> shift)
            ends[s] -= 1
            slices.keys[ends[s]] = keys[i]
            slices.rows[ends[s]] = row


def build_table(
    parts: Sequence[Slices], rows: Sequence[int], secret: U64, most: int = MOST_SHARERS
) -> Table:
    """Build a table of subjects' keys.

    Args:
        parts: keys of some subjects each, each subject's key once.
        rows: how many subjects each part has.
        secret: what the keys are digests under.
        most: of a key that more subjects have, only their number is kept.
    """
    moved = np.cumsum([0, *rows])[:-1].astype(np.int32)

    def sort_slice(s: int) -> tuple[U64, I32, I32]:
        bounds = [(part.starts[s], part.starts[s + 1]) for part in parts]
        keys = np.concatenate([part.keys[a:b] for part, (a, b) in zip(parts, bounds, strict=True)])
        whose = np.concatenate(
            [part.rows[a:b] + to for part, (a, b), to in zip(parts, bounds, moved, strict=True)]
        )
        bits = max(len(keys).bit_length() - 2, 1)
        sharers = np.empty(len(keys), np.int32)
        sizes = np.zeros((1 << bits) + 1, np.int64)
        ordered = np.empty_like(keys), np.empty_like(whose)
        different, kept = _sort_slice(keys, whose, bits, most, sizes, *ordered, sharers)
        return ordered[0][:different].copy(), sharers[:different].copy(), ordered[1][:kept].copy()

    slices = in_threads(sort_slice, range(SLICES))
    keys = np.concatenate([each[0] for each in slices])
    sharers = np.concatenate([each[1] for each in slices])
    listed = np.concatenate([each[2] for each in slices])
    starts = np.zeros(len(keys) + 1, np.int32)
    np.cumsum(np.where(sharers <= most, sharers, 0), out=starts[1:])
    return Table(
        secret, keys, *fill_directory(keys), starts, listed, sharers, np.zeros(len(keys), np.int32)
    )


@kernel
def _sort_slice(
    keys: U64, rows: I32, bits: int, most: int, ends: I64, out: U64, listed: I32, sharers: I32
) -> tuple[int, int]:
    """Sort a slice's keys, each once, with how many rows have it, and the rows of those few have.

    Returns:
        How many keys, and how many rows.
    """
    shift = np.uint64(64 - _SLICE_BITS - bits)
    mask = np.uint64((1 << bits) - 1)
    for i in range(len(keys)):
        ends[to_int((keys[i] >> shift) & mask)] += 1
    total = 0
    for b in range(len(ends)):
        total += ends[b]
        ends[b] = total
    for i in range(len(keys) - 1, -1, -1):
        b = to_int((keys[i] >> shift) & mask)
        ends[b] -= 1
        out[ends[b]], listed[ends[b]] = keys[i], rows[i]
    for i in range(1, len(out)):
        key, row, j = out[i], listed[i], i
        while j > 0 and out[j - 1] > key:
            out[j], listed[j] = out[j - 1], listed[j - 1]
            j -= 1
        out[j], listed[j] = key, row
    different, kept, i = 0, 0, 0
    while i < len(out):
        key, first = out[i], i
        while i < len(out) and out[i] == key:
            i += 1
        out[different], sharers[different] = key, i - first
        different += 1
        if i - first <= most:
            for j in range(first, i):
                listed[kept] = listed[j]
                kept += 1
    return different, kept


def fill_directory(keys: U64) -> tuple[I32, int]:
    """Where keys begin whose first bits are so many; and how many bits these leave."""
    bits = max(len(keys).bit_length() - 1, 1)
    directory = np.empty((1 << bits) + 1, np.int32)
    _fill_directory(keys, 64 - bits, directory)
    return directory, 64 - bits


@kernel
def _fill_directory(keys: U64, shift: int, directory: I32) -> None:
    bucket = 0
    for place in range(len(keys)):
        last = to_int(keys[place] >> np.uint64(shift))
        while bucket <= last:
            directory[bucket] = place
            bucket += 1
    while bucket < len(directory):
        directory[bucket] = len(keys)
        bucket += 1


@inner
def locate(keys: U64, directory: I32, shift: int, key: np.uint64) -> int:
    """Place of a key in a table, -1 where no subject has it."""
    bucket = to_int(key >> np.uint64(shift))
    for place in range(directory[bucket], directory[bucket + 1]):
        if keys[place] >= key:
            return place if keys[place] == key else -1
    return -1


def located(table: Table, keys: Keys) -> Found:
    """Find which of a table's keys rows have."""
    found = Found(np.zeros_like(keys.starts), np.empty(len(keys.keys), np.int32))
    few = len(keys.keys) < FEW_KEYS
    order = np.empty(0 if few else len(keys.keys), np.int32)
    size = _locate(table, keys.starts, keys.keys, order, np.zeros(SLICES + 1, np.int64), found)
    return Found(found.starts, found.places[:size].copy())


@kernel
def _locate(table: Table, starts: I64, keys: U64, order: I32, ends: I64, found: Found) -> int:
    """Fill `found`; returns how many places. Without room in `order`, keys are taken as they come.

    Slice by slice, a key costs a few nanoseconds; in the order of rows each would wait for memory.
    """
    known, directory, shift, places = table.keys, table.directory, table.shift, found.places
    if len(order) < len(keys):
        for i in range(len(keys)):
            places[i] = locate(known, directory, shift, keys[i])
    else:
        first_bits = np.uint64(64 - _SLICE_BITS)
        for i in range(len(keys)):
            ends[to_int(keys[i] >> first_bits)] += 1
        total = 0
        for s in range(len(ends)):
            total += ends[s]
            ends[s] = total
        for i in range(len(keys) - 1, -1, -1):
            s = to_int(keys[i] >> first_bits)
            ends[s] -= 1
            order[ends[s]] = i
        for n in range(len(keys)):
            i = order[n]
            places[i] = locate(known, directory, shift, keys[i])
    size = 0
    for row in range(len(starts) - 1):
        for i in range(starts[row], starts[row + 1]):
            if places[i] >= 0:
                places[size] = places[i]
                size += 1
        found.starts[row + 1] = size
    return size


@kernel
def count(counts: I32, places: I32) -> None:
    """Count one more at each place."""
    for place in places:
        counts[place] += 1


@kernel
def forget(table: Table, places: I32, row: int) -> None:
    """Leave no trace of a subject: it is counted no more, and its own keys are overwritten.

    A key that nobody else has is overwritten with the one before it, so that the keys stay sorted
    and none stands for it. The table may be a file that another process forgets the same subject
    in, of which parts are seen here at once and others not: so who is left is counted anew.
    """
    keys, starts, rows, subjects = table.keys, table.starts, table.rows, table.subjects
    for place in places:
        left = 0
        for i in range(starts[place], starts[place + 1]):
            if rows[i] == row:
                rows[i] = -1
            left += rows[i] >= 0
        subjects[place] = left if starts[place + 1] > starts[place] else subjects[place] - 1
        if subjects[place] == 0:
            key = keys[place]
            other = keys[place - 1] if place > 0 else np.uint64(0)
            # Those that were overwritten with this key before are further places of it.
            at = to_int(place)
            while at < len(keys) and keys[at] == key:
                keys[at] = other
                at += 1


def merged(a: Table, b: Table, rows_a: I32, rows_b: I32) -> Table:
    """One table of two.

    Args:
        a: a table.
        b: another; both count one seller base.
        rows_a: the new row of each of a's subjects, -1 for those to leave out: they are forgotten.
        rows_b: likewise.
    """
    most = len(a.keys) + len(b.keys)
    keys, subjects = np.empty(most, np.uint64), np.empty(most, np.int32)
    sellers, starts = np.empty(most, np.int32), np.zeros(most + 1, np.int32)
    rows = np.empty(len(a.rows) + len(b.rows), np.int32)
    out = Table(a.secret, keys, starts, 0, starts, rows, subjects, sellers)
    size = _merge(a, b, rows_a, rows_b, out)
    keys = keys[:size].copy()
    return Table(
        a.secret,
        keys,
        *fill_directory(keys),
        starts[: size + 1].copy(),
        rows[: starts[size]].copy(),
        subjects[:size].copy(),
        sellers[:size].copy(),
    )


@kernel
def _merge(a: Table, b: Table, rows_a: I32, rows_b: I32, out: Table) -> int:
    i, j, size, kept = 0, 0, 0, 0
    while i < len(a.keys) or j < len(b.keys):
        if i < len(a.keys) and a.subjects[i] == 0:
            i += 1
            continue
        if j < len(b.keys) and b.subjects[j] == 0:
            j += 1
            continue
        in_a = i < len(a.keys) and (j == len(b.keys) or a.keys[i] <= b.keys[j])
        in_b = j < len(b.keys) and (i == len(a.keys) or b.keys[j] <= a.keys[i])
        subjects, sellers, first, listed = 0, 0, kept, True
        if in_a:
            out.keys[size] = a.keys[i]
            subjects += a.subjects[i]
            sellers = a.sellers[i]
            listed = a.starts[i + 1] > a.starts[i]
            for p in range(a.starts[i], a.starts[i + 1]):
                if a.rows[p] >= 0 and rows_a[a.rows[p]] >= 0:
                    out.rows[kept] = rows_a[a.rows[p]]
                    kept += 1
            i += 1
        if in_b:
            out.keys[size] = b.keys[j]
            subjects += b.subjects[j]
            sellers = max(sellers, b.sellers[j])
            listed = listed and b.starts[j + 1] > b.starts[j]
            for p in range(b.starts[j], b.starts[j + 1]):
                if b.rows[p] >= 0 and rows_b[b.rows[p]] >= 0:
                    out.rows[kept] = rows_b[b.rows[p]]
                    kept += 1
            j += 1
        if not listed or kept - first > MOST_SHARERS:
            kept = first
        out.subjects[size] = subjects
        out.sellers[size] = sellers
        size += 1
        out.starts[size] = kept
    return size
