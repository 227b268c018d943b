from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.credentials.issuing import (
    ISSUER,
    MEMBER,
    MESSAGE,
    REQUEST_CONTEXT,
    SECRET,
    enrolled,
    renewed,
)

from acx.credentials import sigma
from acx.credentials.errors import (
    IdentityElement,
    InvalidPresentation,
    MalformedElement,
    MalformedScalar,
    WrongLength,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.issuance import MemberSecret
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import present, presentation_tag, verify
from acx.credentials.scalar import ORDER, Scalar, system_random
from acx.credentials.showing import Showing
from acx.credentials.sigma import Proof
from acx.credentials.single_use import (
    _SESSION,
    SINGLE_USE_BYTES,
    SingleUsePresentation,
    _statement,
    _tag_base,
    present_once,
    single_use_tag,
    verify_once,
)

CONTEXT = b"stand/abcdefghijklmnopqrstuvwxyz/1"


def shown() -> SingleUsePresentation:
    return present_once(MEMBER, context=CONTEXT, message=MESSAGE)


def check(
    presentation: SingleUsePresentation | bytes,
    key: SecretKey = ISSUER,
    request_context: bytes = REQUEST_CONTEXT,
    context: bytes = CONTEXT,
    message: bytes = MESSAGE,
) -> bytes:
    encoding = presentation if isinstance(presentation, bytes) else presentation.encode()
    return verify_once(
        key, encoding, request_context=request_context, context=context, message=message
    )


SHOWN = shown()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_member_can_show_its_credential_in_any_context(context: bytes, message: bytes) -> None:
    presentation = present_once(MEMBER, context=context, message=message)
    tag = check(presentation, context=context, message=message)
    assert tag == single_use_tag(MEMBER, context) == presentation.tag.encode()


def test_a_presentation_has_260_bytes_and_reads_back() -> None:
    encoding = SHOWN.encode()
    assert len(encoding) == SINGLE_USE_BYTES == 260
    assert SingleUsePresentation.decode(encoding) == SHOWN


def test_a_second_time_has_the_same_tag_and_nothing_else_in_common() -> None:
    again = shown()
    assert check(again) == check(SHOWN)
    first, second = SHOWN.encode(), again.encode()
    assert first[99:132] == second[99:132]
    parts = [slice(at, at + 33) for at in (0, 33, 66)]
    parts += [slice(at, at + 32) for at in range(132, 260, 32)]
    assert not [part for part in parts if first[part] == second[part]]


def test_two_members_have_two_tags() -> None:
    other = enrolled(ISSUER, MemberSecret.generate())
    assert single_use_tag(other, CONTEXT) != single_use_tag(MEMBER, CONTEXT)


def test_two_contexts_have_two_tags() -> None:
    assert single_use_tag(MEMBER, CONTEXT) != single_use_tag(MEMBER, CONTEXT + b"0")


def test_later_periods_have_the_same_tag_under_their_own_keys() -> None:
    keys = [SecretKey.generate() for _ in range(3)]
    tags = set()
    for key in keys:
        presentation = present_once(renewed(key, SECRET), context=CONTEXT, message=MESSAGE)
        tags.add(check(presentation, key=key))
        with pytest.raises(InvalidPresentation):
            check(presentation)
    assert tags == {check(SHOWN)}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"message": b"another event"}, id="message"),
        pytest.param({"message": b""}, id="no message"),
        pytest.param({"context": b"stand/abcdefghijklmnopqrstuvwxyz/2"}, id="context"),
        pytest.param({"request_context": b"another exchange"}, id="request context"),
        pytest.param({"key": SecretKey.generate()}, id="key"),
    ],
)
def test_holds_for_nothing_it_was_not_made_for(other: dict[str, object]) -> None:
    with pytest.raises(InvalidPresentation, match="renew the credential"):
        check(SHOWN, **other)  # type: ignore[arg-type]


class TestApartFromPresentationsUpToALimit:
    def test_tags_of_one_context_have_nothing_in_common(self) -> None:
        # Else whoever posted nonce 0 of a context would be known by its single-use tag there.
        tags = {presentation_tag(MEMBER, CONTEXT, nonce) for nonce in range(3)}
        assert single_use_tag(MEMBER, CONTEXT) not in tags

    def test_neither_is_taken_for_the_other(self) -> None:
        limited = present(MEMBER, context=CONTEXT, limit=2, nonce=0, message=MESSAGE)
        with pytest.raises(WrongLength):
            check(limited.encode())
        with pytest.raises(WrongLength):
            verify(
                ISSUER,
                SHOWN.encode(),
                request_context=REQUEST_CONTEXT,
                context=CONTEXT,
                limit=2,
                message=MESSAGE,
            )

    def test_nor_is_a_part_of_the_other(self) -> None:
        limited = present(MEMBER, context=CONTEXT, limit=2, nonce=0, message=MESSAGE)
        cut = Proof(limited.proof.challenge, limited.proof.responses[:3])
        with pytest.raises(InvalidPresentation):
            check(SingleUsePresentation(limited.showing, limited.tag, cut))


class TestForgeries:
    def test_on_the_identity_as_base_is_refused(self) -> None:
        # With U = 0 and U' = 0 the MAC holds under every key and for every secret.
        with pytest.raises(IdentityElement, match="U is the identity"):
            check(bytes(33) + SHOWN.encode()[33:])

    def test_on_the_identity_as_base_would_verify(self) -> None:
        # What the refusal is for: only the encoding stands in the forger's way.
        zero = GENERATOR_G - GENERATOR_G
        secret, r, z = (Scalar.random(system_random) for _ in range(3))
        showing = Showing(zero, r * GENERATOR_G, z * GENERATOR_H)
        helper = z * ISSUER.public_key.x1 - r * GENERATOR_G
        assert helper == showing.helper(ISSUER, REQUEST_CONTEXT)
        base = _tag_base(CONTEXT)
        tag = secret.inverse() * base
        statement = _statement(showing, helper, ISSUER.public_key.x1, tag, base)
        with pytest.raises(IdentityElement):
            sigma.prove(statement, (secret, z, -r), _SESSION + MESSAGE, system_random)

    def test_with_a_tag_of_another_secret_is_refused(self) -> None:
        other = replace(MEMBER, m1=MEMBER.m1 + Scalar.of(1))
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, tag=present_once(other, context=CONTEXT, message=MESSAGE).tag))
        with pytest.raises(InvalidPresentation):
            check(present_once(other, context=CONTEXT, message=MESSAGE))

    @pytest.mark.parametrize("field", ["u", "u_prime_commit", "m1_commit"])
    def test_with_another_showing_is_refused(self, field: str) -> None:
        changed = replace(SHOWN.showing, **{field: getattr(SHOWN.showing, field) + GENERATOR_H})
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, showing=changed))

    @pytest.mark.parametrize("at", range(4))
    def test_with_a_number_one_more_is_refused(self, at: int) -> None:
        numbers = [SHOWN.proof.challenge, *SHOWN.proof.responses]
        numbers[at] += Scalar.of(1)
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, proof=Proof(numbers[0], tuple(numbers[1:]))))

    @pytest.mark.parametrize("at", range(4))
    def test_with_a_number_written_otherwise_is_refused(self, at: int) -> None:
        encoding = bytearray(SHOWN.encode())
        encoding[132 + 32 * at : 164 + 32 * at] = ORDER.to_bytes(32, "big")
        with pytest.raises(MalformedScalar):
            check(bytes(encoding))

    @pytest.mark.parametrize("at", range(4))
    def test_with_an_element_off_the_curve_is_refused(self, at: int) -> None:
        encoding = bytearray(SHOWN.encode())
        encoding[33 * at : 33 * at + 33] = b"\2" + (1).to_bytes(32, "big")
        with pytest.raises(MalformedElement):
            check(bytes(encoding))

    def test_by_negating_what_is_signed_is_refused(self) -> None:
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, tag=-SHOWN.tag))
