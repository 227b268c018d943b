"""Presentations up to a limit: which credential, and which of its presentations, stays hidden.

Within a context each nonce below the limit gives a tag of its own, and the same nonce the same tag
again. The verifier learns the tag alone. That it is new is for the caller to check, atomically with
what the presentation is for; that no nonce is used twice, crash or not, is the wallet's to see to.

A presentation is bound to a message through its proof's session, where the draft has none: with an
empty message it is the draft's, bit for bit.

Source: draft-ietf-privacypass-arc-crypto-01, sections 4.3, 5.3 and 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acx.credentials import sigma
from acx.credentials.credential import Credential
from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.encoding import Fields, join
from acx.credentials.errors import (
    InvalidLimit,
    InvalidNonce,
    InvalidPresentation,
    LimitExceeded,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H, SUITE, hash_to_group
from acx.credentials.keys import SecretKey
from acx.credentials.range_proof import add_range, adds_up, bits, decompose
from acx.credentials.scalar import SCALAR_BYTES, Random, Scalar, system_random
from acx.credentials.showing import REFUSAL, Showing, add_showing, show
from acx.credentials.sigma import ElementIndex, Proof, ScalarIndex, Statement

MAX_LIMIT: Final = 2**32
"""More than anybody counts up to, and a presentation of less than 5 kB."""

_SESSION: Final = SUITE + b"CredentialPresentation"


def presentation_bytes(limit: int) -> int:
    """Length of a presentation under a limit."""
    return 5 * ELEMENT_BYTES + 6 * SCALAR_BYTES + bits(limit) * (ELEMENT_BYTES + 3 * SCALAR_BYTES)


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the member sends.

    Attributes:
        showing: the credential, made unrecognisable.
        tag: what is counted.
        nonce_commit: commitment to the nonce.
        bit_commitments: commitments to its bits.
        proof: that all of it belongs together, and the nonce is below the limit.
    """

    showing: Showing
    tag: Element
    nonce_commit: Element
    bit_commitments: tuple[Element, ...]
    proof: Proof

    @classmethod
    def decode(cls, encoding: bytes, limit: int) -> Presentation:
        """Read a presentation under a limit, without checking its proof.

        Raises:
            InvalidLimit: no presentation can be under it.
            MalformedEncoding: it is none.
        """
        _check_limit(limit)
        count = bits(limit)
        fields = Fields(encoding, "presentation", elements=5 + count, scalars=6 + 3 * count)
        return cls(
            Showing.read(fields),
            fields.element("tag"),
            fields.element("nonceCommit"),
            tuple(fields.element(f"D[{at}]") for at in range(count)),
            Proof.read(fields, 5 + 3 * count),
        )

    def encode(self) -> bytes:
        """U ‖ U'Commit ‖ m1Commit ‖ tag ‖ nonceCommit ‖ D ‖ proof."""
        elements = join(self.tag, self.nonce_commit, *self.bit_commitments)
        return self.showing.encode() + elements + self.proof.encode()


def presentation_tag(credential: Credential, context: bytes, nonce: int) -> bytes:
    """The tag of a presentation: the same by every credential over one member's secret.

    Raises:
        UnusableCredential: secret and nonce cancel out.
    """
    return _tag(credential, _tag_base(context), nonce).encode()


def present(
    credential: Credential,
    *,
    context: bytes,
    limit: int,
    nonce: int,
    message: bytes,
    random: Random = system_random,
) -> Presentation:
    """Show a credential once more in a context.

    Args:
        credential: of the issuer key that the verifier expects.
        context: what is counted over, a day for instance. It has one limit, the same for all.
        limit: how often a credential may be shown in it, 2 to `MAX_LIMIT`.
        nonce: 0 to the limit less 1; used up from before the presentation leaves the wallet.
        message: what the presentation is for; it verifies with nothing else.
        random: for re-randomisation and proof.

    Raises:
        LimitExceeded: the nonce is not below the limit.
        InvalidNonce: the nonce is negative.
        InvalidLimit: the limit cannot be expressed; for a limit of 1 see `single_use`.

    Source: the draft's Present and MakePresentationProof.
    """
    _check_limit(limit)
    if nonce < 0:
        raise InvalidNonce(f"nonce {nonce} is negative; nonces count up from 0")
    if nonce >= limit:
        raise LimitExceeded(
            f"all {limit} presentations in this context are used up; wait for the next context"
        )
    # 1. Re-randomise the credential and commit to the secret.
    opening = show(credential, random)
    # 2. Commit to the nonce.
    blinding = Scalar.random(random)
    nonce_commit = Scalar.of(nonce) * GENERATOR_G + blinding * GENERATOR_H
    # 3. The tag.
    base = _tag_base(context)
    tag = _tag(credential, base, nonce)
    # 4. Commit to the nonce's bits.
    parts = decompose(nonce, blinding, limit, random)
    # 5. Prove that all of it belongs together.
    statement = Statement()
    m1, g, h = add_showing(statement, opening.showing, opening.helper, credential.x1)
    _add_count(statement, (m1, g, h), (tag, base, nonce_commit), parts.commitments)
    witness = (credential.m1, opening.z, opening.minus_r, Scalar.of(nonce), blinding)
    proof = sigma.prove(statement, (*witness, *parts.witness), _SESSION + message, random)
    return Presentation(opening.showing, tag, nonce_commit, parts.commitments, proof)


def verify(
    secret_key: SecretKey,
    presentation: bytes,
    *,
    request_context: bytes,
    context: bytes,
    limit: int,
    message: bytes,
) -> bytes:
    """Check that some admitted member, within its limit, made a presentation for a message.

    Args:
        secret_key: under which the member's credential was issued.
        presentation: as it was sent.
        request_context: that all members' credentials are of.
        context: what is counted over.
        limit: of that context.
        message: what the presentation is to be for.

    Returns:
        The tag. Whether it was seen before is for the caller to check.

    Raises:
        MalformedEncoding: no presentation under this limit.
        InvalidPresentation: no credential gives it, or another key, context, limit or message was
            meant; which, is not said.
        InvalidLimit: the limit cannot be expressed.

    Source: the draft's VerifyPresentation and VerifyPresentationProof.
    """
    # 1. Every element is one, and none the identity.
    shown = Presentation.decode(presentation, limit)
    # 2. The commitments to the bits are the nonce's.
    if not adds_up(shown.bit_commitments, shown.nonce_commit, limit):
        raise InvalidPresentation(REFUSAL)
    # 3. V from the key; the proof.
    helper = shown.showing.helper(secret_key, request_context)
    statement = Statement()
    m1, g, h = add_showing(statement, shown.showing, helper, secret_key.public_key.x1)
    count = (shown.tag, _tag_base(context), shown.nonce_commit)
    _add_count(statement, (m1, g, h), count, shown.bit_commitments)
    if not sigma.verify(statement, shown.proof, _SESSION + message):
        raise InvalidPresentation(REFUSAL)
    return shown.tag.encode()


def _add_count(
    statement: Statement,
    known: tuple[ScalarIndex, ElementIndex, ElementIndex],
    count: tuple[Element, Element, Element],
    bit_commitments: tuple[Element, ...],
) -> None:
    """State that the tag is of the secret and of a nonce below the limit.

    Source: the draft's section 5.3, equations 3 to 5.
    """
    m1, g, h = known
    nonce, blinding = statement.add_scalars(2)
    tag, base, nonce_commit = statement.add_elements(*count)
    statement.add_equation(nonce_commit, (nonce, g), (blinding, h))  # 3
    statement.add_equation(base, (m1, tag), (nonce, tag))  # 4
    add_range(statement, bit_commitments, nonce_commit, (g, h))  # 5


def _tag(credential: Credential, base: Element, nonce: int) -> Element:
    return (credential.m1 + Scalar.of(nonce)).inverse() * base


def _tag_base(context: bytes) -> Element:
    """T: the context as an element."""
    return hash_to_group(context, b"Tag")


def _check_limit(limit: int) -> None:
    if not 2 <= limit <= MAX_LIMIT:
        raise InvalidLimit(
            f"a limit of {limit} cannot be expressed, only 2 to {MAX_LIMIT}; "
            "what may be done once takes a single-use presentation"
        )
