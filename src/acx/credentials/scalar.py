"""Numbers modulo the order of P-256, with arithmetic that takes the same time for every value."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, Self

from Crypto.Math.Numbers import Integer

from acx.credentials.errors import MalformedScalar, UnusableCredential

Random = Callable[[int], bytes]
"""Gives as many random bytes as asked for. Passed in, so that published vectors replay."""

system_random: Random = secrets.token_bytes
"""The operating system's generator."""

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of elements of the group."""

SCALAR_BYTES: Final = 32
"""`Ns` of the draft."""

WIDE_BYTES: Final = 48
"""Bytes that, reduced modulo the order, are uniform to within 2^-128 (RFC 9380, section 5)."""

_ORDER: Final = Integer(ORDER, public=True)
_ORDER_LESS_ONE: Final = Integer(ORDER - 1, public=True)


class Scalar:
    """A number modulo `ORDER`, secret unless said to be public.

    Arithmetic is the library's and constant-time. What only public scalars went into is public, and
    a multiplication by it may take a shorter way. It never shows its value: `repr` of a secret in a
    log is a secret lost.
    """

    __slots__ = ("_value",)

    def __init__(self, reduced: Integer) -> None:
        self._value = reduced

    @classmethod
    def of(cls, number: int, *, public: bool = False) -> Self:
        """Take a number that is not negative."""
        return cls(Integer(number, public=public) % _ORDER)

    @classmethod
    def random(cls, random: Random) -> Self:
        """Draw one other than 0, by the draft's extra random bits, reduced as its vectors are.

        Raises:
            UnusableCredential: it is 0, which chance does not give.

        Source: draft-ietf-privacypass-arc-crypto-01, section 6.2.
        """
        scalar = cls(Integer.from_bytes(random(WIDE_BYTES)) % _ORDER_LESS_ONE)
        if scalar.is_zero():
            raise UnusableCredential("the random number generator gives zeros; do not go on")
        return scalar

    @classmethod
    def from_wide_bytes(cls, wide: bytes, *, public: bool = False) -> Self:
        """Reduce `WIDE_BYTES` bytes, big-endian."""
        return cls(Integer.from_bytes(wide, public=public) % _ORDER)

    @classmethod
    def decode(cls, encoding: bytes, *, public: bool = False) -> Self:
        """Read `SCALAR_BYTES` bytes, big-endian.

        Raises:
            MalformedScalar: another length, or not below the order.
        """
        value = Integer.from_bytes(encoding, public=public)
        if len(encoding) != SCALAR_BYTES or value >= _ORDER:
            raise MalformedScalar("not a 32-byte number below the order of P-256")
        return cls(value)

    def encode(self) -> bytes:
        """`SCALAR_BYTES` bytes, big-endian."""
        return self._value.to_bytes(SCALAR_BYTES)

    @property
    def value(self) -> Integer:
        """The number, for a library's group to multiply by."""
        return self._value

    def is_zero(self) -> bool:
        """Whether it is 0."""
        return not self._value

    def inverse(self) -> Scalar:
        """The scalar whose product with this one is 1.

        Raises:
            UnusableCredential: it is 0.
        """
        if self.is_zero():
            raise UnusableCredential("0 has no inverse; obtain a new credential")
        return Scalar(self._value.inverse(_ORDER))

    def __add__(self, other: Scalar) -> Scalar:
        return Scalar((self._value + other._value) % _ORDER)

    def __sub__(self, other: Scalar) -> Scalar:
        return self + -other

    def __neg__(self) -> Scalar:
        return Scalar((_ORDER - self._value) % _ORDER)

    def __mul__(self, other: Scalar) -> Scalar:
        if not isinstance(other, Scalar):
            return NotImplemented  # An element multiplies itself by a scalar.
        return Scalar(self._value * other._value % _ORDER)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scalar) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self.encode())

    def __reduce__(self) -> tuple[Callable[[bytes], Self], tuple[bytes]]:
        # The library's number is a pointer; copies and pickles go by the encoding, and are secret.
        return type(self).decode, (self.encode(),)

    def __repr__(self) -> str:
        return "Scalar(…)"
