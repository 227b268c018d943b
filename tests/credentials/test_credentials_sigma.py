from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.credentials.issuing import Stream

from acx.credentials import sigma
from acx.credentials.element import Element
from acx.credentials.encoding import Fields
from acx.credentials.errors import IdentityElement, MalformedScalar
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.scalar import ORDER, Scalar, system_random
from acx.credentials.sigma import Proof, Statement

SESSION = b"a session"
numbers = st.integers(0, ORDER - 1)


def pedersen(commitment: Element) -> Statement:
    """Knowledge of what a Pedersen commitment holds."""
    statement = Statement()
    value, blinding = statement.add_scalars(2)
    g, h, left = statement.add_elements(GENERATOR_G, GENERATOR_H, commitment)
    statement.add_equation(left, (value, g), (blinding, h))
    return statement


def commit(value: int, blinding: int) -> tuple[Statement, tuple[Scalar, Scalar]]:
    witness = Scalar.of(value), Scalar.of(blinding)
    return pedersen(witness[0] * GENERATOR_G + witness[1] * GENERATOR_H), witness


@given(numbers, st.integers(1, ORDER - 1))
def test_whoever_knows_the_witness_convinces(value: int, blinding: int) -> None:
    statement, witness = commit(value, blinding)
    proof = sigma.prove(statement, witness, SESSION, system_random)
    assert sigma.verify(statement, proof, SESSION)


@given(numbers, st.integers(1, ORDER - 1), st.integers(1, ORDER - 1))
def test_another_witness_does_not(value: int, blinding: int, off: int) -> None:
    statement, witness = commit(value, blinding)
    for wrong in (
        (witness[0] + Scalar.of(off), witness[1]),
        (witness[0], witness[1] + Scalar.of(off)),
    ):
        proof = sigma.prove(statement, wrong, SESSION, system_random)
        assert not sigma.verify(statement, proof, SESSION)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_proof_holds_in_its_session_alone(one: bytes, other: bytes) -> None:
    statement, witness = commit(1, 2)
    proof = sigma.prove(statement, witness, one, system_random)
    assert sigma.verify(statement, proof, other) == (one == other)


def test_a_proof_holds_for_its_statement_alone() -> None:
    statement, witness = commit(1, 2)
    proof = sigma.prove(statement, witness, SESSION, system_random)
    assert not sigma.verify(commit(1, 3)[0], proof, SESSION)

    # The same equation with its terms the other way round is another statement.
    turned = Statement()
    value, blinding = turned.add_scalars(2)
    g, h, left = turned.add_elements(*statement.elements)
    turned.add_equation(left, (blinding, h), (value, g))
    assert not sigma.verify(turned, proof, SESSION)


@given(st.integers(0, 2), st.integers(1, ORDER - 1))
def test_no_number_of_a_proof_can_be_changed(at: int, off: int) -> None:
    statement, witness = commit(1, 2)
    proof = sigma.prove(statement, witness, SESSION, system_random)
    changed = [proof.challenge, *proof.responses]
    changed[at] += Scalar.of(off)
    assert not sigma.verify(statement, Proof(changed[0], tuple(changed[1:])), SESSION)


def test_two_proofs_of_one_statement_share_nothing() -> None:
    statement, witness = commit(1, 2)
    first, second = (sigma.prove(statement, witness, SESSION, system_random) for _ in range(2))
    assert len({first.challenge, *first.responses, second.challenge, *second.responses}) == 6


def test_masks_used_twice_give_the_witness_away() -> None:
    # Why the generator matters: the same stream for two sessions.
    statement, witness = commit(1234, 2)
    first = sigma.prove(statement, witness, b"one", Stream(b"seed"))
    second = sigma.prove(statement, witness, b"two", Stream(b"seed"))
    difference = (first.challenge - second.challenge).inverse()
    assert (first.responses[0] - second.responses[0]) * difference == Scalar.of(1234)


def test_an_element_in_two_terms_counts_twice() -> None:
    statement = Statement()
    one, other = statement.add_scalars(2)
    base, left = statement.add_elements(GENERATOR_H, Scalar.of(7) * GENERATOR_H)
    statement.add_equation(left, (one, base), (other, base))
    proof = sigma.prove(statement, (Scalar.of(3), Scalar.of(4)), SESSION, system_random)
    assert sigma.verify(statement, proof, SESSION)
    wrong = sigma.prove(statement, (Scalar.of(3), Scalar.of(5)), SESSION, system_random)
    assert not sigma.verify(statement, wrong, SESSION)


def test_a_proof_whose_commitments_are_the_identity_is_refused() -> None:
    statement, _ = commit(1, 2)
    zero = Scalar.of(0, public=True)
    assert not sigma.verify(statement, Proof(zero, (zero, zero)), SESSION)


def test_nothing_is_proved_with_a_generator_of_zeros() -> None:
    statement, witness = commit(1, 2)
    with pytest.raises(IdentityElement):
        sigma.prove(statement, witness, SESSION, bytes)


def test_an_identity_in_the_statement_is_refused() -> None:
    statement = pedersen(GENERATOR_G - GENERATOR_G)
    proof = Proof(Scalar.of(1, public=True), (Scalar.of(1, public=True),) * 2)
    assert not sigma.verify(statement, proof, SESSION)


@given(numbers, st.lists(numbers, min_size=2, max_size=2))
def test_a_proof_reads_back(challenge: int, responses: list[int]) -> None:
    proof = Proof(Scalar.of(challenge), tuple(map(Scalar.of, responses)))
    assert Proof.read(Fields(proof.encode(), "test", elements=0, scalars=3), 2) == proof


@pytest.mark.parametrize("at", range(3))
def test_a_number_of_a_proof_has_one_writing(at: int) -> None:
    encoding = [bytes(32), bytes(32), bytes(32)]
    encoding[at] = ORDER.to_bytes(32, "big")
    with pytest.raises(MalformedScalar, match="the proof's"):
        Proof.read(Fields(b"".join(encoding), "test", elements=0, scalars=3), 2)
