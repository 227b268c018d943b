"""A credential made unrecognisable, as every presentation begins.

Source: draft-ietf-privacypass-arc-crypto-01, sections 4.3.2 and 4.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acx.credentials.credential import Credential
from acx.credentials.element import Element
from acx.credentials.encoding import Fields, join
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.issuance import request_scalar
from acx.credentials.keys import SecretKey
from acx.credentials.scalar import Random, Scalar
from acx.credentials.sigma import ElementIndex, ScalarIndex, Statement

REFUSAL: Final = (
    "the presentation does not hold for this key, context, limit and message; "
    "renew the credential if its period is over, then make a new presentation"
)
"""The same whatever is wrong with it."""


@dataclass(frozen=True, slots=True)
class Showing:
    """A credential's MAC on another base, with MAC and secret committed to.

    Attributes:
        u: the MAC's base, re-randomised.
        u_prime_commit: the MAC on that base, blinded.
        m1_commit: commitment to the member's secret.
    """

    u: Element
    u_prime_commit: Element
    m1_commit: Element

    @classmethod
    def read(cls, fields: Fields) -> Showing:
        """Read it from the next fields of a presentation, which refuses U = identity.

        On the identity as base any MAC verifies, under any key.
        """
        return cls(fields.element("U"), fields.element("U'Commit"), fields.element("m1Commit"))

    def encode(self) -> bytes:
        """U ‖ U'Commit ‖ m1Commit."""
        return join(self.u, self.u_prime_commit, self.m1_commit)

    def helper(self, secret_key: SecretKey, request_context: bytes) -> Element:
        """V as the issuer computes it: only for a credential of its key is it z·X1 - r·G.

        The one place of verification where a secret is multiplied by.
        """
        key = secret_key
        at_base = (key.x0 + key.x2 * request_scalar(request_context)) * self.u
        return at_base + key.x1 * self.m1_commit - self.u_prime_commit


@dataclass(frozen=True, slots=True)
class Opening:
    """What the member knows of a showing it made.

    Attributes:
        showing: what is sent.
        helper: V, which is not sent.
        z: blinding factor of `m1Commit`.
        minus_r: less the blinding factor of `U'Commit`.
    """

    showing: Showing
    helper: Element
    z: Scalar
    minus_r: Scalar


def show(credential: Credential, random: Random) -> Opening:
    """Make a showing of a credential, of which no two can be told to be of one credential."""
    a = Scalar.random(random)
    r = Scalar.random(random)
    z = Scalar.random(random)
    u = a * credential.u
    u_prime_commit = a * credential.u_prime + r * GENERATOR_G
    m1_commit = credential.m1 * u + z * GENERATOR_H
    helper = z * credential.x1 - r * GENERATOR_G
    return Opening(Showing(u, u_prime_commit, m1_commit), helper, z, -r)


def add_showing(
    statement: Statement, showing: Showing, helper: Element, x1: Element
) -> tuple[ScalarIndex, ElementIndex, ElementIndex]:
    """State that a showing is of a credential under the key X1 belongs to.

    Returns:
        Where m1, G and H stand in the statement.

    Source: the draft's section 5.3, equations 1 and 2.
    """
    m1, z, minus_r = statement.add_scalars(3)
    g, h = statement.add_elements(GENERATOR_G, GENERATOR_H)
    u, _, m1_commit = statement.add_elements(showing.u, showing.u_prime_commit, showing.m1_commit)
    v, key1 = statement.add_elements(helper, x1)
    statement.add_equation(m1_commit, (m1, u), (z, h))  # 1
    statement.add_equation(v, (z, key1), (minus_r, g))  # 2
    return m1, g, h
