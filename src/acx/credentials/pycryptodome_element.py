"""P-256 by pycryptodome: in wheels for every platform, blinded where the scalar is secret."""

from __future__ import annotations

from typing import Final, Self

from Crypto.PublicKey.ECC import EccPoint  # type: ignore[attr-defined]  # its documented place

from acx.credentials.element import CURVE_B, FIELD, NO_POINT, Element
from acx.credentials.errors import MalformedElement
from acx.credentials.scalar import Scalar

_CURVE: Final = "p256"


class PycryptodomeElement(Element):
    """An element that pycryptodome computes with."""

    __slots__ = ("_point",)

    def __init__(self, point: EccPoint, encoding: bytes | None = None) -> None:
        self._point = point
        self._encoding = encoding

    @classmethod
    def from_coordinates(cls, x: int, y: int) -> Self:
        """The point (x, y), which must be on the curve."""
        return cls(EccPoint(x, y, _CURVE))

    @classmethod
    def _decompress(cls, encoding: bytes) -> Self:
        # Messages are public, so that plain integers may take a time of their own.
        x = int.from_bytes(encoding[1:], "big")
        square = (x * x * x - 3 * x + CURVE_B) % FIELD
        y = pow(square, (FIELD + 1) // 4, FIELD)
        if x >= FIELD or y * y % FIELD != square:
            raise MalformedElement(NO_POINT)
        if y % 2 != encoding[0] % 2:
            y = FIELD - y
        return cls(EccPoint(x, y, _CURVE), encoding)

    def _compress(self) -> bytes:
        x, y = self._point.xy
        if x == y == 0:  # The library's writing of the identity; (0, 0) is not on the curve.
            return b""
        return (3 if y % 2 else 2).to_bytes(1, "big") + x.to_bytes(32, "big")

    def __add__(self, other: Self) -> Self:
        return type(self)(self._point + other._point)

    def __neg__(self) -> Self:
        return type(self)(-self._point)

    def __rmul__(self, scalar: Scalar) -> Self:
        product = self._point * scalar.value  # type: ignore[operator]  # annotated for int alone
        return type(self)(product)
