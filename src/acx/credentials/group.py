"""The group of the suite ARC(P-256): its generators, and hashing to it.

Source: draft-ietf-privacypass-arc-crypto-01, sections 3.1 and 6.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import add
from typing import Final

from acx.credentials.element import FIELD, GENERATOR, Element
from acx.credentials.hash_to_curve import hash_to_field, map_to_curve
from acx.credentials.pycryptodome_element import PycryptodomeElement
from acx.credentials.scalar import ORDER, Scalar


def _library() -> type[Element]:
    try:
        from acx.credentials.openssl_element import OpensslElement
    except ImportError:
        return PycryptodomeElement
    return OpensslElement


SUITE: Final = b"ARCV1-P256"
"""`contextString` of the draft."""

LIBRARY: Final = _library()
"""What computes with elements in this process: `docs/decisions/p256-group.md`."""


@lru_cache(maxsize=256)
def hash_to_group(message: bytes, info: bytes) -> Element:
    """The element that a message stands for under `info`, whose discrete logarithm nobody knows.

    Many presentations share a context: the last ones are kept.
    """
    u0, u1 = hash_to_field(message, b"HashToGroup-" + SUITE + info, 2, FIELD)
    return LIBRARY.from_coordinates(*map_to_curve(u0)) + LIBRARY.from_coordinates(*map_to_curve(u1))


def hash_to_scalar(message: bytes, info: bytes) -> Scalar:
    """The scalar that a message stands for under `info`."""
    (number,) = hash_to_field(message, b"HashToScalar-" + SUITE + info, 1, ORDER)
    return Scalar.of(number, public=True)


def total(elements: Iterable[Element]) -> Element:
    """The sum of one element or more."""
    return reduce(add, elements)


GENERATOR_G: Final = LIBRARY.from_coordinates(*GENERATOR)
"""The standard generator."""

GENERATOR_H: Final = hash_to_group(GENERATOR_G.encode(), b"generatorH")
"""A generator whose logarithm to the base `GENERATOR_G` nobody knows."""
