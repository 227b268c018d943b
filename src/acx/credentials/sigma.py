"""Proofs that someone knows scalars which solve linear equations between elements.

A Schnorr proof for any number of equations at once (a Sigma protocol for linear relations), made
non-interactive by deriving the challenge from the statement and the commitments.

Prover and verifier build the same `Statement`. The prover (1) draws a mask for each scalar,
(2) commits to the equations' right sides under the masks, (3) derives the challenge, (4) answers
with mask + challenge · scalar. The verifier computes what the commitments must have been, from the
answers, and compares challenges.

Source: draft-irtf-cfrg-sigma-protocols-01, on linear relations; `_challenge` has the transcript.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from acx.credentials.element import Element
from acx.credentials.encoding import Fields, join
from acx.credentials.errors import IdentityElement
from acx.credentials.group import total
from acx.credentials.scalar import WIDE_BYTES, Random, Scalar

_PROTOCOL: Final = b"sigma-proofs_Shake128_P256"
_RATE_BYTES: Final = 168  # SHAKE128's block: the protocol's name fills one of its own.
_NAME_BYTES: Final = 64

ScalarIndex = int
ElementIndex = int


@dataclass(frozen=True, slots=True)
class Equation:
    """An element that is said to be a sum of products of scalars and elements."""

    left: ElementIndex
    terms: tuple[tuple[ScalarIndex, ElementIndex], ...]


@dataclass(slots=True)
class Statement:
    """What is proved: equations between known elements, in scalars that the prover knows.

    The order in which scalars, elements and equations are added is part of the transcript.
    """

    scalars: int = 0
    elements: list[Element] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)

    def add_scalars(self, count: int) -> range:
        """Allocate scalars, whose values only the prover knows."""
        self.scalars += count
        return range(self.scalars - count, self.scalars)

    def add_elements(self, *elements: Element) -> range:
        """Allocate elements, whose values both sides know."""
        self.elements.extend(elements)
        return range(len(self.elements) - len(elements), len(self.elements))

    def add_equation(self, left: ElementIndex, *terms: tuple[ScalarIndex, ElementIndex]) -> None:
        """State that `left` is the sum of scalar · element over `terms`."""
        self.equations.append(Equation(left, terms))


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof in its compact form.

    Attributes:
        challenge: derived from statement and commitments.
        responses: one for each scalar.
    """

    challenge: Scalar
    responses: tuple[Scalar, ...]

    @classmethod
    def read(cls, fields: Fields, scalars: int) -> Proof:
        """Read a proof about so many scalars from the next fields of a message."""
        challenge = fields.public_scalar("the proof's challenge")
        return cls(
            challenge,
            tuple(fields.public_scalar(f"the proof's response {at}") for at in range(scalars)),
        )

    def encode(self) -> bytes:
        """Challenge, then responses."""
        return join(self.challenge, *self.responses)


def prove(statement: Statement, witness: Sequence[Scalar], session: bytes, random: Random) -> Proof:
    """Prove a statement, without giving away anything else about the witness.

    Args:
        statement: holds for the witness; that is not checked.
        witness: the scalars, in the order of the statement.
        session: what the proof is for; it verifies in no other session.
        random: a mask that is known or used twice gives the witness away.

    Raises:
        IdentityElement: `random` is broken: chance makes no commitment the identity.
    """
    # 1. A mask each, uniform modulo the order.
    masks = [Scalar.from_wide_bytes(random(WIDE_BYTES)) for _ in range(statement.scalars)]
    # 2. Commitments.
    commitments = [
        _sum(statement, ((masks[scalar], element) for scalar, element in equation.terms))
        for equation in statement.equations
    ]
    # 3. Challenge.
    challenge = _challenge(statement, commitments, session)
    # 4. Responses.
    return Proof(
        challenge,
        tuple(mask + challenge * secret for mask, secret in zip(masks, witness, strict=True)),
    )


def verify(statement: Statement, proof: Proof, session: bytes) -> bool:
    """Whether the proof's maker knew scalars for which the statement holds.

    Everything here is public, so that multiplications may take the shorter way.
    """
    minus_challenge = -proof.challenge
    commitments = [
        _sum(
            statement,
            [
                *((proof.responses[scalar], element) for scalar, element in equation.terms),
                (minus_challenge, equation.left),
            ],
        )
        for equation in statement.equations
    ]
    try:
        return _challenge(statement, commitments, session) == proof.challenge
    except IdentityElement:
        return False


def _sum(statement: Statement, terms: Iterable[tuple[Scalar, ElementIndex]]) -> Element:
    """The sum of scalar · element, with one multiplication for each element."""
    scalars: dict[ElementIndex, Scalar] = {}
    for scalar, element in terms:
        scalars[element] = scalars[element] + scalar if element in scalars else scalar
    return total(scalar * statement.elements[element] for element, scalar in scalars.items())


def _challenge(statement: Statement, commitments: Sequence[Element], session: bytes) -> Scalar:
    """Derive the challenge from everything that was fixed before it. This is the whole transcript.

    It is the one that the ARC draft's vectors were made with, draft-irtf-cfrg-sigma-protocols as of
    its commit 4bc7eb4; later revisions of draft-irtf-cfrg-fiat-shamir start it otherwise. When the
    drafts settle, this function alone changes, and the suite's name with it.

    Raises:
        IdentityElement: a commitment or an element is the identity, which no honest prover makes.
    """
    label = _le32(len(statement.equations))
    for equation in statement.equations:
        label += _le32(equation.left) + _le32(len(equation.terms))
        for scalar, element in equation.terms:
            label += _le32(scalar) + _le32(element)
    label += join(*statement.elements)
    hashed = hashlib.shake_128(_PROTOCOL.ljust(_NAME_BYTES, b"\0").ljust(_RATE_BYTES, b"\0"))
    hashed.update(len(session).to_bytes(4, "big") + session)
    hashed.update(len(label).to_bytes(4, "big") + label)
    hashed.update(join(*commitments))
    return Scalar.from_wide_bytes(hashed.digest(WIDE_BYTES), public=True)


def _le32(number: int) -> bytes:
    return number.to_bytes(4, "little")
