"""Image hashes: PDQ, 256 bits, compared by how many differ.

Source: facebook/ThreatExchange, hashing/hashing.pdf: 31 bits or fewer are the same picture.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import I64, U64, inner, kernel, salted, to_int
from acx.matching.text import Text, Values

SAME_BITS: Final = 10
SIMILAR_BITS: Final = 31
BANDS: Final = 16
"""Pieces of 16 bits: two hashes of at most 31 different bits share a piece with at most one."""
BAND_BITS: Final = 16

BAND_KEY: Final = np.uint64(140)


class Images(NamedTuple):
    """Hashes of all rows: row i's are `starts[i]:starts[i + 1]` of `bits`, four words each."""

    starts: I64
    bits: U64


def parse_images(values: Values) -> Images:
    """Read folded hex hashes; what is none is all zeros, which is no picture either."""
    bits = np.zeros((len(values.text.offsets) - 1, 4), np.uint64)
    _parse(values.text, bits)
    return Images(values.starts, bits)


@kernel
def _parse(text: Text, bits: U64) -> None:
    for v in range(len(text.offsets) - 1):
        start, end = text.offsets[v], text.offsets[v + 1]
        if end - start != 64:
            continue
        for i in range(start, end):
            c = to_int(text.data[i])
            digit = c - 48 if 48 <= c <= 57 else c - 87 if 97 <= c <= 102 else -1
            if digit < 0:
                for place in range(4):
                    bits[v, place] = np.uint64(0)
                break
            place = (i - start) >> 4
            bits[v, place] = (bits[v, place] << np.uint64(4)) | np.uint64(digit)


@inner
def image_keys(images: Images, row: int, keys: U64, n: int) -> int:
    """Keys of a row's hashes, a key for each band; returns their new end."""
    starts, bits = images.starts, images.bits
    for j in range(starts[row], starts[row + 1]):
        for band in range(BANDS):
            keys[n] = band_key(bits, j, band, np.uint64(0))
            n += 1
    return n


@inner
def band_key(bits: U64, j: int, band: int, flipped: np.uint64) -> np.uint64:
    """The key of one band of hash j, some of its bits flipped."""
    piece = (bits[j, band >> 2] >> np.uint64(16 * (band & 3))) & np.uint64(0xFFFF)
    return salted((piece ^ flipped) + np.uint64(1), BAND_KEY + np.uint64(band))


@inner
def different_bits(a: U64, x: int, b: U64, y: int) -> int:
    """Hamming distance of hash x of a and hash y of b."""
    count = 0
    for i in range(4):
        d = a[x, i] ^ b[y, i]
        d -= (d >> np.uint64(1)) & np.uint64(0x5555555555555555)
        d = (d & np.uint64(0x3333333333333333)) + (
            (d >> np.uint64(2)) & np.uint64(0x3333333333333333)
        )
        d = (d + (d >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        count += to_int((d * np.uint64(0x0101010101010101)) >> np.uint64(56))
    return count
