"""Bytes hashed to field elements and to points of P-256 (RFC 9380, P256_XMD:SHA-256_SSWU_RO_).

What is hashed here is public, contexts and generators, so that plain integers will do.
"""

from __future__ import annotations

import hashlib
from typing import Final

from acx.credentials.element import CURVE_B, FIELD

CURVE_A: Final = FIELD - 3
"""The curve's other coefficient."""

_HASH_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
_LONGEST_TAG: Final = 255
_MOST_BYTES: Final = 255 * _HASH_BYTES
_WIDE_BYTES: Final = 48  # L: ceil((256 + 128) / 8), for both the field and the order.
_Z: Final = FIELD - 10


def expand_message(message: bytes, tag: bytes, length: int) -> bytes:
    """Hash a message to `length` uniform bytes, at most 8,160, apart for each domain's tag.

    Source: RFC 9380, section 5.3.1 and, for a tag over 255 bytes, 5.3.3.
    """
    if length > _MOST_BYTES:
        raise AssertionError(f"{length} bytes asked for where {_MOST_BYTES} can be had")
    if len(tag) > _LONGEST_TAG:
        tag = hashlib.sha256(b"H2C-OVERSIZE-DST-" + tag).digest()
    tag_prime = tag + len(tag).to_bytes(1, "big")
    first = hashlib.sha256(
        bytes(_BLOCK_BYTES) + message + length.to_bytes(2, "big") + b"\0" + tag_prime
    ).digest()
    block = hashlib.sha256(first + b"\1" + tag_prime).digest()
    uniform = block
    for index in range(2, -(-length // _HASH_BYTES) + 1):
        mixed = bytes(one ^ other for one, other in zip(first, block, strict=True))
        block = hashlib.sha256(mixed + index.to_bytes(1, "big") + tag_prime).digest()
        uniform += block
    return uniform[:length]


def hash_to_field(message: bytes, tag: bytes, count: int, modulus: int) -> list[int]:
    """Hash a message to `count` numbers modulo a prime of 256 bits.

    Source: RFC 9380, section 5.2, with m = 1 and L = 48.
    """
    uniform = expand_message(message, tag, count * _WIDE_BYTES)
    return [
        int.from_bytes(uniform[at : at + _WIDE_BYTES], "big") % modulus
        for at in range(0, len(uniform), _WIDE_BYTES)
    ]


def map_to_curve(u: int) -> tuple[int, int]:
    """The point that the simplified SWU map gives to a field element.

    Source: RFC 9380, section 6.6.2; `_Z` from section 8.2.
    """
    zu2 = _Z * u * u % FIELD
    denominator = (zu2 * zu2 + zu2) % FIELD
    # No denominator: u = 0 or zu² = -1.
    factor = 1 + _invert(denominator) if denominator else _invert(-_Z)
    x = _MINUS_B_BY_A * factor % FIELD
    square = (x * x * x + CURVE_A * x + CURVE_B) % FIELD
    y = pow(square, (FIELD + 1) // 4, FIELD)
    if y * y % FIELD != square:
        # Then y² is -square, and the other x's square is (zu²)³ times that of this one.
        x = zu2 * x % FIELD
        y = _ROOT * u * u * u * y % FIELD
    return x, y if u % 2 == y % 2 else FIELD - y


def _invert(number: int) -> int:
    return pow(number, -1, FIELD)


_MINUS_B_BY_A: Final = -CURVE_B * _invert(CURVE_A) % FIELD
_ROOT: Final = pow(-(_Z**3), (FIELD + 1) // 4, FIELD)
"""Of -Z³, so that its square times -1 is Z³."""
