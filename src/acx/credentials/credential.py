"""A credential: the issuer's MAC over a member's secret, which the issuer never saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.encoding import Fields, join
from acx.credentials.scalar import SCALAR_BYTES, Scalar

CREDENTIAL_BYTES: Final = SCALAR_BYTES + 3 * ELEMENT_BYTES
"""Length of a credential."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a member shows, over and over and each time unrecognisable.

    Attributes:
        m1: the member's secret.
        u: the MAC's base.
        u_prime: the MAC, (x0 + x1·m1 + x2·m2)·U.
        x1: X1 of the issuer's public key.

    Source: draft-ietf-privacypass-arc-crypto-01, section 4.2.3.
    """

    m1: Scalar
    u: Element = field(repr=False)
    u_prime: Element = field(repr=False)
    x1: Element

    @classmethod
    def decode(cls, encoding: bytes) -> Credential:
        """Read a credential.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "credential", elements=3, scalars=1)
        return cls(
            fields.secret_scalar("m1"),
            fields.element("U"),
            fields.element("U'"),
            fields.element("X1"),
        )

    def encode(self) -> bytes:
        """m1 ‖ U ‖ U' ‖ X1. A secret: whoever has it posts in the member's place."""
        return join(self.m1, self.u, self.u_prime, self.x1)
