"""A proof that a committed nonce is below a limit, which hides the nonce.

The nonce is written as a sum of bases, each taken or not. Each bit is committed to and proved to be
0 or 1, and the commitments add up to the nonce's. The bases, powers of two and one remainder, have
the limit less 1 as their sum: no choice of bits reaches the limit.

Source: draft-ietf-privacypass-arc-crypto-01, section 5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acx.credentials.element import Element
from acx.credentials.group import GENERATOR_G, GENERATOR_H, total
from acx.credentials.scalar import Random, Scalar
from acx.credentials.sigma import ElementIndex, Statement


def bases(limit: int) -> list[int]:
    """Bases whose sums of distinct ones are exactly the numbers below the limit, largest first.

    Source: the draft's ComputeBases; for limits of 2 and more.
    """
    powers = [2**exponent for exponent in range(bits(limit) - 1)]
    return sorted([*powers, limit - 1 - sum(powers)], reverse=True)


def bits(limit: int) -> int:
    """Number of bits that a nonce below the limit takes: the logarithm, rounded up."""
    return (limit - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A nonce in bits, with a commitment to each.

    Attributes:
        witness: the bits; then the commitments' blinding factors; then those factors where the
            bit is 0, and 0 where it is 1.
        commitments: one to each bit; times the bases they add up to the nonce's.
    """

    witness: tuple[Scalar, ...]
    commitments: tuple[Element, ...]


def decompose(nonce: int, blinding: Scalar, limit: int, random: Random) -> Decomposition:
    """Commit to the bits of a nonce.

    Args:
        nonce: below the limit.
        blinding: blinding factor of the commitment to the nonce.
        limit: 2 or more.
        random: draws the bits' blinding factors.

    Source: the draft's MakeRangeProofHelper.
    """
    chosen = bases(limit)
    # The canonical form: each base is taken where it fits. Same steps whatever the nonce.
    taken = []
    for base in chosen:
        taken.append(int(nonce >= base))
        nonce -= taken[-1] * base
    blindings = [Scalar.random(random) for _ in chosen[1:]]
    # The last blinding makes the sum that of the nonce's commitment.
    last = blinding
    for base, one in zip(chosen, blindings, strict=False):
        last -= Scalar.of(base, public=True) * one
    blindings.append(last * Scalar.of(chosen[-1], public=True).inverse())
    commitments = []
    for bit, one in zip(taken, blindings, strict=True):
        blinded = one * GENERATOR_H
        commitments.append((blinded, blinded + GENERATOR_G)[bit])
    secret_bits = [Scalar.of(bit) for bit in taken]
    unset = [(Scalar.of(1) - bit) * one for bit, one in zip(secret_bits, blindings, strict=True)]
    return Decomposition((*secret_bits, *blindings, *unset), tuple(commitments))


def adds_up(commitments: Sequence[Element], nonce_commit: Element, limit: int) -> bool:
    """Whether commitments to bits are together the commitment to the nonce.

    Source: the draft's VerifyRangeProofHelper, its sum check.
    """
    return nonce_commit == total(
        Scalar.of(base, public=True) * commitment
        for base, commitment in zip(bases(limit), commitments, strict=True)
    )


def add_range(
    statement: Statement,
    commitments: Sequence[Element],
    nonce_commit: ElementIndex,
    generators: tuple[ElementIndex, ElementIndex],
) -> None:
    """State that each commitment is to 0 or 1: D = b·G + s·H, and D = b·D + s'·H.

    The second holds for s' = (1 - b)·s where b² = b, and otherwise only for whoever knows the
    logarithm of H.

    Source: the draft, section 5.4.1; of a single bit, whose commitment is the nonce's, the element
    is not allocated again, as in the draft's code and vectors.
    """
    count = len(commitments)
    bit, blinding, unset = (statement.add_scalars(count) for _ in range(3))
    elements = [nonce_commit] if count == 1 else statement.add_elements(*commitments)
    g, h = generators
    for at, commitment in enumerate(elements):
        statement.add_equation(commitment, (bit[at], g), (blinding[at], h))
        statement.add_equation(commitment, (bit[at], commitment), (unset[at], h))
