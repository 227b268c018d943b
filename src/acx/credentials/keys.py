"""The issuer's keys.

Source: draft-ietf-privacypass-arc-crypto-01, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.encoding import Fields, join
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.scalar import SCALAR_BYTES, Random, Scalar, system_random

PUBLIC_KEY_BYTES: Final = 3 * ELEMENT_BYTES
"""Length of a public key."""
SECRET_KEY_BYTES: Final = 4 * SCALAR_BYTES
"""Length of a secret key."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What members hold their credentials' issuance against.

    Attributes:
        x0: x0·G + xb·H.
        x1: x1·H.
        x2: x2·H.
    """

    x0: Element
    x1: Element
    x2: Element

    @classmethod
    def decode(cls, encoding: bytes) -> PublicKey:
        """Read a public key.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "issuer public key", elements=3, scalars=0)
        return cls(fields.element("X0"), fields.element("X1"), fields.element("X2"))

    def encode(self) -> bytes:
        """X0 ‖ X1 ‖ X2."""
        return join(self.x0, self.x1, self.x2)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """What issues credentials and verifies presentations. Whoever has it can mint credentials."""

    x0: Scalar
    x1: Scalar
    x2: Scalar
    x0_blinding: Scalar
    public_key: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        public_key = PublicKey(
            self.x0 * GENERATOR_G + self.x0_blinding * GENERATOR_H,
            self.x1 * GENERATOR_H,
            self.x2 * GENERATOR_H,
        )
        object.__setattr__(self, "public_key", public_key)

    @classmethod
    def generate(cls, random: Random = system_random) -> SecretKey:
        """Draw a new key.

        Source: the draft's SetupServer.
        """
        return cls(*(Scalar.random(random) for _ in range(4)))

    @classmethod
    def decode(cls, encoding: bytes) -> SecretKey:
        """Read a secret key.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "issuer secret key", elements=0, scalars=4)
        return cls(*(fields.secret_scalar(name) for name in ("x0", "x1", "x2", "x0Blinding")))

    def encode(self) -> bytes:
        """The four scalars. A secret: it must not leave the issuer."""
        return join(self.x0, self.x1, self.x2, self.x0_blinding)
