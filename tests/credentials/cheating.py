"""Provers that do not keep to the protocol: what a dishonest member could send."""

from __future__ import annotations

from acx.credentials import presentation, sigma
from acx.credentials.credential import Credential
from acx.credentials.group import GENERATOR_G, GENERATOR_H, hash_to_group
from acx.credentials.presentation import Presentation
from acx.credentials.range_proof import bases
from acx.credentials.scalar import Scalar, system_random
from acx.credentials.showing import add_showing, show
from acx.credentials.sigma import Statement


def present_anyhow(
    credential: Credential,
    *,
    context: bytes,
    limit: int,
    nonce: Scalar,
    digits: list[int],
    message: bytes,
) -> bytes:
    """Make a presentation of any nonce, whose «bits» are any digits.

    The digits' commitments add up where Σ base · digit is the nonce; the proof is honest in all
    else, so that what the verifier has to refuse is the nonce or a digit alone.
    """
    opening = show(credential, system_random)
    blinding = Scalar.random(system_random)
    nonce_commit = nonce * GENERATOR_G + blinding * GENERATOR_H
    base = hash_to_group(context, b"Tag")
    tag = (credential.m1 + nonce).inverse() * base

    chosen = [Scalar.of(one) for one in bases(limit)]
    blindings = [Scalar.random(system_random) for _ in chosen[1:]]
    rest = blinding
    for one, of in zip(blindings, chosen, strict=False):
        rest -= of * one
    blindings.append(rest * chosen[-1].inverse())
    bits = [Scalar.of(digit) for digit in digits]
    commitments = tuple(
        bit * GENERATOR_G + one * GENERATOR_H for bit, one in zip(bits, blindings, strict=True)
    )
    unset = [(Scalar.of(1) - bit) * one for bit, one in zip(bits, blindings, strict=True)]

    statement = Statement()
    known = add_showing(statement, opening.showing, opening.helper, credential.x1)
    presentation._add_count(statement, known, (tag, base, nonce_commit), commitments)
    witness = [
        credential.m1,
        opening.z,
        opening.minus_r,
        nonce,
        blinding,
        *bits,
        *blindings,
        *unset,
    ]
    session = presentation._SESSION + message
    proof = sigma.prove(statement, witness, session, system_random)
    return Presentation(opening.showing, tag, nonce_commit, commitments, proof).encode()
