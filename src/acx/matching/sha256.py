"""HMAC-SHA-256 of a whole column, compiled: what leaves of a value, for millions of values.

Source: FIPS 180-4, 6.2 (SHA-256); RFC 2104 (HMAC).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from acx.matching.compiled import I64, U8, inner, kernel, to_int
from acx.matching.text import Text

BLOCK: Final = 64
DIGEST: Final = 32
MARK: Final = b"h1:"
WRITTEN: Final = len(MARK) + 2 * DIGEST
"""Characters of a digest as it is written."""

U32: TypeAlias = npt.NDArray[np.uint32]


def _primes(count: int) -> list[int]:
    found: list[int] = []
    n = 2
    while len(found) < count:
        if all(n % prime for prime in found):
            found.append(n)
        n += 1
    return found


def _fraction(prime: int, root: int) -> int:
    """The first 32 bits of the fractional part of a prime's root."""
    scaled = prime << (32 * root)
    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


_ROUNDS: Final = np.array([_fraction(prime, 3) for prime in _primes(64)], np.uint32)
_START: Final = np.array([_fraction(prime, 2) for prime in _primes(8)], np.uint32)


def hmac_text(values: Text, key: bytes, prefix: bytes) -> Text:
    """`h1:` and the hex HMAC of each value with a prefix before it.

    Args:
        values: the values.
        key: at most 64 bytes.
        prefix: comes before each.
    """
    padded = np.frombuffer(bytearray(key.ljust(BLOCK, b"\0")), np.uint8)
    count = len(values.offsets) - 1
    longest = int(np.diff(values.offsets).max(initial=0)) + len(prefix)
    out = np.empty(count * WRITTEN, np.uint8)
    _hmac_all(
        values.data,
        values.offsets,
        padded,
        np.frombuffer(bytearray(prefix), np.uint8),
        np.empty(longest + 2 * BLOCK, np.uint8),
        np.empty((4, BLOCK), np.uint32),
        out,
    )
    return Text(out, np.arange(count + 1, dtype=np.int64) * WRITTEN)


@kernel
def _hmac_all(
    data: U8, offsets: I64, key: U8, prefix: U8, message: U8, scratch: U32, out: U8
) -> None:
    inside, outside, state, words = scratch[0], scratch[1], scratch[2], scratch[3]
    _keyed_state(key, 0x36, message, inside, words)
    _keyed_state(key, 0x5C, message, outside, words)
    for v in range(len(offsets) - 1):
        for i in range(len(prefix)):
            message[i] = prefix[i]
        size = len(prefix)
        for i in range(offsets[v], offsets[v + 1]):
            message[size] = data[i]
            size += 1
        _finish(message, size, inside, state, words)
        for i in range(DIGEST):
            message[i] = np.uint8((state[i >> 2] >> np.uint32(24 - 8 * (i & 3))) & np.uint32(255))
        _finish(message, DIGEST, outside, state, words)
        at = v * WRITTEN
        out[at], out[at + 1], out[at + 2] = 104, 49, 58
        for i in range(2 * DIGEST):
            digit = to_int((state[i >> 3] >> np.uint32(28 - 4 * (i & 7))) & np.uint32(15))
            out[at + 3 + i] = digit + 48 if digit < 10 else digit + 87


@inner
def _keyed_state(key: U8, pad: int, block: U8, state: U32, words: U32) -> None:
    """The state after the key's block."""
    for i in range(BLOCK):
        block[i] = key[i] ^ np.uint8(pad)
    for i in range(8):
        state[i] = _START[i]
    _compress(block, 0, state, words)


@inner
def _finish(message: U8, size: int, start: U32, state: U32, words: U32) -> None:
    """The state after a message that follows one block; what comes behind it is overwritten."""
    end = (size + 9 + BLOCK - 1) // BLOCK * BLOCK
    message[size] = 0x80
    for i in range(size + 1, end - 8):
        message[i] = 0
    bits = np.uint64(8 * (size + BLOCK))
    for i in range(8):
        message[end - 8 + i] = np.uint8((bits >> np.uint64(56 - 8 * i)) & np.uint64(255))
    for i in range(8):
        state[i] = start[i]
    for block in range(0, end, BLOCK):
        _compress(message, block, state, words)


@inner
def _rotated(word: np.uint32, bits: int) -> np.uint32:
    return np.uint32((word >> np.uint32(bits)) | (word << np.uint32(32 - bits)))


@inner
def _compress(data: U8, at: int, state: U32, words: U32) -> None:
    for t in range(16):
        word = np.uint32(0)
        for i in range(4):
            word = np.uint32((word << np.uint32(8)) | np.uint32(data[at + 4 * t + i]))
        words[t] = word
    for t in range(16, BLOCK):
        x, y = words[t - 15], words[t - 2]
        low = np.uint32(_rotated(x, 7) ^ _rotated(x, 18) ^ (x >> np.uint32(3)))
        high = np.uint32(_rotated(y, 17) ^ _rotated(y, 19) ^ (y >> np.uint32(10)))
        words[t] = np.uint32(words[t - 16] + low + words[t - 7] + high)
    a, b, c, d = state[0], state[1], state[2], state[3]
    e, f, g, h = state[4], state[5], state[6], state[7]
    for t in range(BLOCK):
        high = np.uint32(_rotated(e, 6) ^ _rotated(e, 11) ^ _rotated(e, 25))
        chosen = np.uint32(g ^ (e & (f ^ g)))
        first = np.uint32(h + high + chosen + _ROUNDS[t] + words[t])
        low = np.uint32(_rotated(a, 2) ^ _rotated(a, 13) ^ _rotated(a, 22))
        most = np.uint32((a & b) | (c & (a | b)))
        h, g, f, e = g, f, e, np.uint32(d + first)
        d, c, b, a = c, b, a, np.uint32(first + low + most)
    state[0] = np.uint32(state[0] + a)
    state[1] = np.uint32(state[1] + b)
    state[2] = np.uint32(state[2] + c)
    state[3] = np.uint32(state[3] + d)
    state[4] = np.uint32(state[4] + e)
    state[5] = np.uint32(state[5] + f)
    state[6] = np.uint32(state[6] + g)
    state[7] = np.uint32(state[7] + h)
