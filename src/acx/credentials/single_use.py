"""Presentations that a member can make once in a context, which the ARC draft cannot express.

The draft's range proof needs a limit of 2 or more: for 1 its only base is 0, by which it divides.
Here the nonce is 0 and all about it is left out: tag = m1^-1 · T, and three equations remain. Hash
and session have names of their own, so that no tag or proof of one profile is one of the other,
whatever the contexts are called. `docs/anonymity.md` argues why this is sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acx.credentials import sigma
from acx.credentials.credential import Credential
from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.encoding import Fields
from acx.credentials.errors import InvalidPresentation
from acx.credentials.group import SUITE, hash_to_group
from acx.credentials.keys import SecretKey
from acx.credentials.scalar import SCALAR_BYTES, Random, system_random
from acx.credentials.showing import REFUSAL, Showing, add_showing, show
from acx.credentials.sigma import Proof, Statement

SINGLE_USE_BYTES: Final = 4 * ELEMENT_BYTES + 4 * SCALAR_BYTES
"""Length of a single-use presentation."""

_SESSION: Final = SUITE + b"SingleUsePresentation"


@dataclass(frozen=True, slots=True)
class SingleUsePresentation:
    """What the member sends.

    Attributes:
        showing: the credential, made unrecognisable.
        tag: the member's in this context, the same each time.
        proof: that they belong together.
    """

    showing: Showing
    tag: Element
    proof: Proof

    @classmethod
    def decode(cls, encoding: bytes) -> SingleUsePresentation:
        """Read a presentation, without checking its proof.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "single-use presentation", elements=4, scalars=4)
        return cls(Showing.read(fields), fields.element("tag"), Proof.read(fields, 3))

    def encode(self) -> bytes:
        """U ‖ U'Commit ‖ m1Commit ‖ tag ‖ proof."""
        return self.showing.encode() + self.tag.encode() + self.proof.encode()


def single_use_tag(credential: Credential, context: bytes) -> bytes:
    """A member's tag in a context: the same by every credential over the member's secret."""
    return _tag(credential, _tag_base(context)).encode()


def present_once(
    credential: Credential, *, context: bytes, message: bytes, random: Random = system_random
) -> SingleUsePresentation:
    """Show a credential in a context. A second time has the same tag, and is known to be one.

    Args:
        credential: of the issuer key that the verifier expects.
        context: what may be done once, to corroborate one report for instance.
        message: what the presentation is for; it verifies with nothing else.
        random: for re-randomisation and proof.
    """
    # 1. Re-randomise the credential and commit to the secret.
    opening = show(credential, random)
    # 2. The tag.
    base = _tag_base(context)
    tag = _tag(credential, base)
    # 3. Prove that they belong together.
    statement = _statement(opening.showing, opening.helper, credential.x1, tag, base)
    witness = (credential.m1, opening.z, opening.minus_r)
    proof = sigma.prove(statement, witness, _SESSION + message, random)
    return SingleUsePresentation(opening.showing, tag, proof)


def verify_once(
    secret_key: SecretKey,
    presentation: bytes,
    *,
    request_context: bytes,
    context: bytes,
    message: bytes,
) -> bytes:
    """Check that some admitted member made a presentation for a message.

    Args:
        secret_key: under which the member's credential was issued.
        presentation: as it was sent.
        request_context: that all members' credentials are of.
        context: what may be done once.
        message: what the presentation is to be for.

    Returns:
        The tag: equal for two presentations in a context exactly if one member made both.

    Raises:
        MalformedEncoding: no single-use presentation.
        InvalidPresentation: no credential gives it, or another key, context or message was meant;
            which, is not said.
    """
    # 1. Every element is one, and none the identity: on U = identity anybody's MAC would verify.
    shown = SingleUsePresentation.decode(presentation)
    # 2. V from the key; the proof.
    helper = shown.showing.helper(secret_key, request_context)
    statement = _statement(
        shown.showing, helper, secret_key.public_key.x1, shown.tag, _tag_base(context)
    )
    if not sigma.verify(statement, shown.proof, _SESSION + message):
        raise InvalidPresentation(REFUSAL)
    return shown.tag.encode()


def _statement(
    showing: Showing, helper: Element, x1: Element, tag: Element, base: Element
) -> Statement:
    statement = Statement()
    m1, _, _ = add_showing(statement, showing, helper, x1)
    tag_at, base_at = statement.add_elements(tag, base)
    statement.add_equation(base_at, (m1, tag_at))  # T = m1 · tag
    return statement


def _tag(credential: Credential, base: Element) -> Element:
    return credential.m1.inverse() * base


def _tag_base(context: bytes) -> Element:
    """T: the context as an element, another than that of presentations up to a limit."""
    return hash_to_group(context, b"SingleUseTag")
