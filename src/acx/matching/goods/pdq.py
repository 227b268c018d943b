"""PDQ, Meta's perceptual hash of pictures, as linear algebra.

Everything in PDQ up to its median is linear in the luminance: two passes of a box filter along each
axis, a sample of 64 × 64, the lowest 16 × 16 coefficients of its cosine transform. Along an axis
that is one matrix, so the coefficients of a picture are two products, those of a mirrored picture
differ by signs, and those of hundreds of windows of one picture come from two large products. A bit
of the hash says whether a coefficient is above the median.

Source: Facebook/Meta, «The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm»,
    2019, and its reference implementation (facebook/ThreatExchange, pdq/cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from acx.matching.compiled import U64

F32: TypeAlias = npt.NDArray[np.float32]
Grey: TypeAlias = npt.NDArray[np.uint8] | F32

BITS: Final = 256
WORDS: Final = 4
"""Words of 64 bits of a hash; the first holds the first sixteen hexadecimal digits."""
SIDE: Final = 64
"""Samples along an axis."""
COEFFICIENTS: Final = 16
LEAST_SIDE: Final = 5
"""Pixels below which a picture shows nothing."""
MIRRORED: Final = np.where(np.arange(COEFFICIENTS) % 2 == 0, -1, 1).astype(np.float32)
"""Signs of the coefficients of a mirrored axis: the first is of an odd cosine."""


def hash_and_quality(luminance: Grey) -> tuple[U64, int]:
    """The hash of a picture and how much it shows.

    Equals the reference but for what its running sums in single precision lose: a bit or two where
    a coefficient is next to the median.

    Args:
        luminance: rows × columns, 0 to 255.

    Returns:
        Four words, and PDQ's quality from 0 (blank) to 100.
    """
    sampled = samples(luminance)
    return packed(coefficients(sampled)[np.newaxis])[0], quality(sampled)


def samples(luminance: Grey) -> F32:
    """The 64 × 64 samples of a picture."""
    rows, columns = luminance.shape
    if min(rows, columns) < LEAST_SIDE:
        return np.zeros((SIDE, SIDE), np.float32)
    grey: F32 = luminance.astype(np.float32, copy=False)
    return both_axes(sampling(rows), grey, sampling(columns))


def coefficients(sampled: F32) -> F32:
    """The 16 × 16 lowest coefficients of samples."""
    return both_axes(cosines(), sampled, cosines())


def both_axes(rows: F32, picture: F32, columns: F32) -> F32:
    """Apply a matrix along each axis of a picture."""
    applied: F32 = np.matmul(np.matmul(rows, picture), columns.T)
    return applied


def quality(sampled: F32) -> int:
    """How much a picture shows, 0 to 100: the steps between neighbouring samples.

    Args:
        sampled: the 64 × 64 samples.
    """
    steps = sum(
        int(np.abs(np.trunc(np.diff(sampled, axis=axis) * np.float32(100 / 255))).sum())
        for axis in (0, 1)
    )
    return min(100, steps // 90)


def packed(coefficients: F32) -> U64:
    """Hashes of pictures from their coefficients.

    Args:
        coefficients: pictures × 16 × 16.

    Returns:
        Pictures × 4 words.
    """
    flat = coefficients.reshape(-1, BITS)
    # The 128th of 256 values: at the lower median as many bits are set as not.
    median = np.partition(flat, BITS // 2 - 1, axis=1)[:, BITS // 2 - 1, np.newaxis]
    # The first coefficient is the last bit.
    bytes_ = np.packbits((flat > median)[:, ::-1], axis=1)
    return bytes_.view(">u8").astype(np.uint64)


def hexadecimal(hashes: U64) -> list[str]:
    """The usual writing of hashes, 64 digits each."""
    return [row.tobytes().hex() for row in hashes.reshape(-1, WORDS).astype(">u8")]


def from_hexadecimal(hashes: Sequence[str]) -> U64:
    """Hashes from their writing; each must be 64 digits."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), ">u8")
    return raw.astype(np.uint64).reshape(-1, WORDS)


@lru_cache(maxsize=1)
def cosines() -> F32:
    """The 16 lowest cosines but the constant one, over 64 samples."""
    frequency = np.arange(1, COEFFICIENTS + 1)[:, np.newaxis]
    place = np.arange(SIDE)[np.newaxis]
    turns = np.pi / (2 * SIDE) * frequency * (2 * place + 1)
    return (np.sqrt(2 / SIDE) * np.cos(turns)).astype(np.float32)


@lru_cache(maxsize=256)
def sampling(length: int) -> F32:
    """Filter and sample an axis, as the reference does: 64 × its pixels."""
    window = (length + 2 * SIDE - 1) // (2 * SIDE)
    after = (window + 2) // 2
    before = window - after
    place = np.arange(length)
    # The filter is cut off at an edge, and divided by what is left of it.
    first = np.maximum(place - before, 0)
    last = np.minimum(place + after, length)
    sampled = ((np.arange(SIDE) + 0.5) * length / SIDE).astype(np.int64)
    # Of each sample the steps between its weights, which are then summed up.
    steps = np.zeros((SIDE, length + 1))
    row = np.arange(SIDE)
    for offset in range(-before, after):
        second = sampled + offset
        within = (second >= 0) & (second < length)
        rows, second = row[within], second[within]
        outer = (last - first)[sampled[within]]
        weight = 1 / (outer * (last - first)[second])
        steps[rows, first[second]] += weight
        steps[rows, last[second]] -= weight
    return np.cumsum(steps, axis=1)[:, :length].astype(np.float32)


@lru_cache(maxsize=256)
def part(first: float, last: float, length: int) -> F32:
    """Filter and sample a part of an axis: 64 × its pixels.

    As `sampling` does for a picture of that part alone, but for bounds between pixels.

    Args:
        first: where it begins, as a share of the axis.
        last: where it ends.
        length: pixels of the axis.
    """
    cell = (last - first) * length / SIDE
    centre = first * length + (np.arange(SIDE) + 0.5) * cell
    # Two box filters of half a sample's width each are a tent as wide as a sample.
    reach = max(cell / 2, 0.5)
    edge = np.clip((np.arange(length + 1) - centre[:, np.newaxis]) / reach, -1, 1)
    below = np.where(edge < 0, (1 + edge) ** 2 / 2, 1 - (1 - edge) ** 2 / 2)
    weights = np.diff(below, axis=1)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
