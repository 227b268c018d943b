"""Lists per row as flat arrays, and the integer codes that stand for strings.

Everything after parsing works on these: a `Ragged` says which values are which row's, a 64-bit
hash says which values are equal (10^8 different values collide with a chance of 3 in 10,000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

U64: TypeAlias = npt.NDArray[np.uint64]
I64: TypeAlias = npt.NDArray[np.int64]
F64: TypeAlias = npt.NDArray[np.float64]
Bool: TypeAlias = npt.NDArray[np.bool_]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def hash_strings(values: pl.Series, salt: str) -> U64:
    """64-bit codes of strings; equal strings of one salt have equal codes, null has 0."""
    seed = int.from_bytes(salt.encode()[:8].ljust(8, b"\0"), "little") >> 1
    codes = values.hash(seed).to_numpy().copy()
    codes[values.is_null().to_numpy()] = 0
    return codes


def mix(codes: U64, salt: int = 0) -> U64:
    """Scatter codes, so that sums of mixed codes stand for sets of values."""
    with np.errstate(over="ignore"):
        x = (codes ^ np.uint64(salt)) * _MIX
        x ^= x >> _SHIFT
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(32)
    return x


def starts_of(rows: npt.NDArray[Any], n: int) -> I64:
    """Offsets of each row's values, where `rows` is sorted."""
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n), out=starts[1:])
    return starts


def expand(starts: I64, rows: npt.NDArray[Any]) -> tuple[I64, I64]:
    """All values of the given rows.

    Returns:
        For each value the position in `rows` it belongs to, and its own position.
    """
    first = starts[rows]
    counts = starts[rows + 1] - first
    owner = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    ends = np.cumsum(counts)
    within = np.arange(len(owner), dtype=np.int64) - np.repeat(ends - counts, counts)
    return owner, within + np.repeat(first, counts)


def products(
    starts_a: I64, rows_a: npt.NDArray[Any], starts_b: I64, rows_b: npt.NDArray[Any]
) -> tuple[I64, I64, I64]:
    """Every value of `rows_a[i]` with every value of `rows_b[i]`.

    Returns:
        i, position of the value in a, position of the value in b; sorted by i.
    """
    pair, value_a = expand(starts_a, rows_a)
    inner, value_b = expand(starts_b, rows_b[pair])
    return pair[inner], value_a[inner], value_b


def distinct(codes: U64) -> U64:
    """The different codes, sorted (a sort: numpy's own `unique` hashes, ten times slower)."""
    if not len(codes):
        return codes
    ordered = np.sort(codes)
    keep = np.empty(len(ordered), np.bool_)
    keep[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


def find(table: U64, codes: U64) -> I64:
    """Place of each code in a sorted table, -1 where it is not there."""
    if not len(table):
        return np.full(len(codes), -1, np.int64)
    place = np.searchsorted(table, codes)
    place[place == len(table)] = 0
    place[table[place] != codes] = -1
    return place


@dataclass(frozen=True, slots=True)
class Ragged:
    """Values of one field, row after row, each as one code per comparison level.

    Attributes:
        starts: row i's values are `starts[i]:starts[i + 1]`.
        codes: levels × values; 0 where a value has no such level.
    """

    starts: I64
    codes: U64
