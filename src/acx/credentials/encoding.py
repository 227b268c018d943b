"""Messages as bytes of a fixed length: fields one after another, each with one writing."""

from __future__ import annotations

from typing import Final

from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.errors import MalformedEncoding, MalformedScalar, WrongLength
from acx.credentials.group import LIBRARY
from acx.credentials.scalar import SCALAR_BYTES, Scalar

_ADVICE: Final = "it was damaged, or is of another kind or version; ask for it again"


class Fields:
    """The fields of one message, read in order. An error names message and field, never a value."""

    def __init__(self, message: bytes, kind: str, *, elements: int, scalars: int) -> None:
        """Take a message of a kind, which has so many elements and scalars.

        Raises:
            WrongLength: the message is longer or shorter.
        """
        length = elements * ELEMENT_BYTES + scalars * SCALAR_BYTES
        if len(message) != length:
            raise WrongLength(f"{kind}: {len(message)} bytes where {length} are needed; {_ADVICE}")
        self._message = message
        self._kind = kind
        self._at = 0

    def element(self, name: str) -> Element:
        """Read the next field, an element other than the identity."""
        encoding = self._next(ELEMENT_BYTES)
        try:
            return LIBRARY.decode(encoding)
        except MalformedEncoding as error:
            raise type(error)(f"{self._kind}: {name} is {error}; {_ADVICE}") from None

    def public_scalar(self, name: str) -> Scalar:
        """Read the next field, a number that whoever saw the message knows."""
        return self._scalar(name, public=True)

    def secret_scalar(self, name: str) -> Scalar:
        """Read the next field, a secret, which is never 0."""
        scalar = self._scalar(name, public=False)
        if scalar.is_zero():
            raise MalformedScalar(f"{self._kind}: {name} is 0; {_ADVICE}")
        return scalar

    def _scalar(self, name: str, *, public: bool) -> Scalar:
        encoding = self._next(SCALAR_BYTES)
        try:
            return Scalar.decode(encoding, public=public)
        except MalformedEncoding as error:
            raise type(error)(f"{self._kind}: {name} is {error}; {_ADVICE}") from None

    def _next(self, length: int) -> bytes:
        field = self._message[self._at : self._at + length]
        self._at += length
        return field


def join(*fields: Element | Scalar) -> bytes:
    """Write fields one after another, as `Fields` reads them."""
    return b"".join(field.encode() for field in fields)
