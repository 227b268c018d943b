"""Elements of P-256, whichever library multiplies them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Self

from acx.credentials.errors import IdentityElement, MalformedElement
from acx.credentials.scalar import Scalar

ELEMENT_BYTES: Final = 33
"""`Ne` of the draft: a compressed point."""

FIELD: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
"""The prime that coordinates are taken modulo."""

CURVE_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
"""The curve is y² = x³ - 3x + `CURVE_B`."""

GENERATOR: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
"""The standard generator's coordinates."""


NO_POINT: Final = "not of the curve: no point of P-256 has this x"
"""Said of 33 bytes that have a compressed point's form alone."""

_IDENTITY_WRITINGS: Final = frozenset({b"", b"\0", bytes(ELEMENT_BYTES)})
_EVEN_AND_ODD: Final = (b"\2", b"\3")


class Element(ABC):
    """An element of the group, the identity among them though no message may hold it.

    `scalar * element`, `+` and `-` as in the draft. A multiplication takes the same time for every
    secret scalar: that is what a library is chosen for.
    """

    __slots__ = ("_encoding",)

    _encoding: bytes | None
    """The compressed point once it is known, empty for the identity."""

    @classmethod
    def decode(cls, encoding: bytes) -> Self:
        """Read a compressed point, the one writing that an element has.

        Raises:
            MalformedElement: another length or form, x not below the prime, or of no point.
            IdentityElement: the identity, in any of the writings that are usual for it.

        Source: SEC 1, section 2.3.4, and the draft, section 6.1.
        """
        if encoding in _IDENTITY_WRITINGS:
            raise IdentityElement("the identity of P-256, which no message may hold")
        if len(encoding) != ELEMENT_BYTES or encoding[:1] not in _EVEN_AND_ODD:
            raise MalformedElement("not a compressed point of P-256 (02 or 03, then 32 bytes)")
        return cls._decompress(encoding)

    def encode(self) -> bytes:
        """The compressed point.

        Raises:
            IdentityElement: it is the identity.

        Source: SEC 1, section 2.3.3.
        """
        if self.is_identity():
            raise IdentityElement("the identity of P-256, which no message may hold")
        return self._compressed()

    def is_identity(self) -> bool:
        """Whether it is the identity."""
        return not self._compressed()

    def __sub__(self, other: Self) -> Self:
        return self + -other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Element) and self._compressed() == other._compressed()

    def __hash__(self) -> int:
        return hash(self._compressed())

    def __repr__(self) -> str:
        return f"Element({self._compressed().hex() or 'identity'})"

    def __reduce__(self) -> tuple[Callable[[bytes], Self], tuple[bytes]]:
        # A copy of a library's pointer would be freed twice; copies and pickles go by the encoding.
        return type(self).decode, (self.encode(),)

    def _compressed(self) -> bytes:
        if self._encoding is None:
            self._encoding = self._compress()
        return self._encoding

    @classmethod
    @abstractmethod
    def from_coordinates(cls, x: int, y: int) -> Self:
        """The point (x, y), which must be on the curve."""

    @classmethod
    @abstractmethod
    def _decompress(cls, encoding: bytes) -> Self:
        """Read 02 or 03 and 32 bytes; MalformedElement if they are no point's."""

    @abstractmethod
    def _compress(self) -> bytes:
        """The compressed point, empty for the identity."""

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    @abstractmethod
    def __rmul__(self, scalar: Scalar) -> Self: ...
