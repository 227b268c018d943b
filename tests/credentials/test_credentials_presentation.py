from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.credentials.cheating import present_anyhow
from tests.credentials.issuing import (
    CONTEXT,
    ISSUER,
    MEMBER,
    MESSAGE,
    REQUEST_CONTEXT,
    SECRET,
    enrolled,
    renewed,
)

from acx.credentials.element import ELEMENT_BYTES
from acx.credentials.errors import (
    CredentialError,
    IdentityElement,
    InvalidLimit,
    InvalidNonce,
    InvalidPresentation,
    LimitExceeded,
    UnusableCredential,
    WrongLength,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.issuance import MemberSecret
from acx.credentials.keys import SecretKey
from acx.credentials.presentation import (
    MAX_LIMIT,
    Presentation,
    present,
    presentation_bytes,
    presentation_tag,
    verify,
)
from acx.credentials.range_proof import bases, bits
from acx.credentials.scalar import ORDER, Scalar
from acx.credentials.sigma import Proof

LIMIT = 5


def shown(nonce: int = 3, limit: int = LIMIT) -> Presentation:
    return present(MEMBER, context=CONTEXT, limit=limit, nonce=nonce, message=MESSAGE)


def check(
    presentation: Presentation | bytes,
    key: SecretKey = ISSUER,
    request_context: bytes = REQUEST_CONTEXT,
    context: bytes = CONTEXT,
    limit: int = LIMIT,
    message: bytes = MESSAGE,
) -> bytes:
    encoding = presentation if isinstance(presentation, bytes) else presentation.encode()
    return verify(
        key,
        encoding,
        request_context=request_context,
        context=context,
        limit=limit,
        message=message,
    )


SHOWN = shown()


class TestWithinTheLimit:
    @settings(max_examples=30)
    @given(st.integers(2, 2000), st.data())
    def test_every_nonce_below_any_limit_verifies(self, limit: int, data: st.DataObject) -> None:
        nonce = data.draw(st.integers(0, limit - 1) | st.sampled_from([0, limit - 1]))
        presentation = shown(nonce, limit)
        assert check(presentation, limit=limit) == presentation_tag(MEMBER, CONTEXT, nonce)
        assert len(presentation.encode()) == presentation_bytes(limit)

    def test_the_largest_limit_verifies(self) -> None:
        presentation = shown(MAX_LIMIT - 1, MAX_LIMIT)
        assert check(presentation, limit=MAX_LIMIT) == presentation.tag.encode()
        assert len(presentation.encode()) < 5000

    @pytest.mark.parametrize(
        ("limit", "length"), [(2, 486), (5, 744), (1000, 1647), (10_000, 2163), (10**6, 2937)]
    )
    def test_the_length_grows_with_the_limits_logarithm(self, limit: int, length: int) -> None:
        assert presentation_bytes(limit) == length

    def test_each_nonce_has_a_tag_of_its_own(self) -> None:
        assert len({check(shown(nonce)) for nonce in range(LIMIT)}) == LIMIT

    def test_a_nonce_used_again_has_the_same_tag(self) -> None:
        first, second = shown(), shown()
        assert check(first) == check(second)
        assert not shared_parts(first, second) - {first.tag.encode()}

    def test_tags_of_two_contexts_say_nothing_of_each_other(self) -> None:
        assert presentation_tag(MEMBER, CONTEXT, 0) != presentation_tag(MEMBER, b"other", 0)

    def test_tags_of_two_members_differ(self) -> None:
        other = enrolled(ISSUER, MemberSecret.generate())
        assert presentation_tag(MEMBER, CONTEXT, 0) != presentation_tag(other, CONTEXT, 0)

    @settings(max_examples=30)
    @given(st.binary(max_size=300), st.binary(max_size=300))
    def test_contexts_and_messages_are_any_bytes(self, context: bytes, message: bytes) -> None:
        presentation = present(MEMBER, context=context, limit=2, nonce=1, message=message)
        assert check(presentation, context=context, limit=2, message=message)

    def test_a_presentation_reads_back(self) -> None:
        assert Presentation.decode(SHOWN.encode(), LIMIT) == SHOWN

    def test_a_secret_that_a_nonce_cancels_out_is_refused(self) -> None:
        with pytest.raises(UnusableCredential):
            presentation_tag(replace(MEMBER, m1=-Scalar.of(3)), CONTEXT, 3)


def shared_parts(one: Presentation, other: Presentation) -> set[bytes]:
    """Elements and numbers that stand in both presentations, wherever."""

    def parts(presentation: Presentation) -> set[bytes]:
        encoding, elements = presentation.encode(), 5 + len(presentation.bit_commitments)
        cut = elements * ELEMENT_BYTES
        return {encoding[at : at + 33] for at in range(0, cut, 33)} | {
            encoding[at : at + 32] for at in range(cut, len(encoding), 32)
        }

    return parts(one) & parts(other)


class TestUnlinkability:
    def test_two_presentations_of_a_credential_share_nothing(self) -> None:
        assert not shared_parts(shown(0), shown(1))

    def test_not_even_with_the_credential_or_what_the_issuer_saw(self) -> None:
        known = {
            MEMBER.u.encode(),
            MEMBER.u_prime.encode(),
            SECRET.commitment.encode(),
        }
        encoding = SHOWN.encode()
        assert not [one for one in known if one in encoding]

    def test_the_length_does_not_tell_the_nonce(self) -> None:
        assert len({len(shown(nonce).encode()) for nonce in range(LIMIT)}) == 1


class TestOverTheLimit:
    @pytest.mark.parametrize("limit", [2, 5, 1000])
    def test_the_wallet_refuses(self, limit: int) -> None:
        with pytest.raises(LimitExceeded, match=f"all {limit} presentations .* are used up"):
            shown(limit, limit)

    def test_no_nonce_is_negative(self) -> None:
        with pytest.raises(InvalidNonce, match="-1"):
            shown(-1)

    @pytest.mark.parametrize("limit", [-5, 0, 1, MAX_LIMIT + 1])
    def test_a_limit_that_cannot_be_expressed_is_refused(self, limit: int) -> None:
        with pytest.raises(InvalidLimit, match="single-use"):
            shown(0, limit)
        with pytest.raises(InvalidLimit):
            check(SHOWN, limit=limit)

    def test_a_cheat_that_keeps_to_bits_verifies_within_the_limit(self) -> None:
        # So that the next tests fail for the cheat, and not for a fault of the cheating prover.
        cheat = present_anyhow(
            MEMBER, context=CONTEXT, limit=5, nonce=Scalar.of(3), digits=[1, 1, 0], message=MESSAGE
        )
        assert check(cheat) == presentation_tag(MEMBER, CONTEXT, 3)

    @pytest.mark.parametrize(
        ("nonce", "digits"),
        [
            pytest.param(5, [1, 1, 1], id="bits that add up to less"),
            pytest.param(5, [2, 1, 0], id="a digit 2"),
            pytest.param(5, [1, 1, 2], id="another digit 2"),
            pytest.param(1000, [500, 0, 0], id="a large digit"),
            pytest.param(-1, [0, 0, -1], id="a digit -1"),
            pytest.param(-1, [0, 0, 0], id="a negative nonce without bits"),
            pytest.param(3, [1, 0, 0], id="bits of another nonce"),
        ],
    )
    def test_the_verifier_refuses(self, nonce: int, digits: list[int]) -> None:
        def scalar(number: int) -> int:
            return number if number >= 0 else number + ORDER

        cheat = present_anyhow(
            MEMBER,
            context=CONTEXT,
            limit=5,
            nonce=Scalar.of(scalar(nonce)),
            digits=[scalar(digit) for digit in digits],
            message=MESSAGE,
        )
        with pytest.raises(InvalidPresentation):
            check(cheat)

    @given(st.integers(2, 100_000))
    def test_no_choice_of_bases_reaches_the_limit(self, limit: int) -> None:
        chosen = bases(limit)
        assert sum(chosen) == limit - 1
        assert len(chosen) == bits(limit)
        assert chosen == sorted(chosen, reverse=True)
        assert min(chosen) > 0

    @given(st.integers(2, 300))
    def test_and_every_nonce_below_it_is_a_sum_of_bases(self, limit: int) -> None:
        sums = {0}
        for base in bases(limit):
            sums |= {one + base for one in sums}
        assert sums == set(range(limit))

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [(2, [1]), (3, [1, 1]), (5, [2, 1, 1]), (10, [4, 2, 2, 1])],
    )
    def test_bases_are_the_drafts(self, limit: int, expected: list[int]) -> None:
        assert bases(limit) == expected
        assert bases(1000) == [488, 256, 128, 64, 32, 16, 8, 4, 2, 1]


class TestRefusals:
    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"message": b"another event"}, id="message"),
            pytest.param({"message": b""}, id="no message"),
            pytest.param({"context": b"rate/2026-03-02"}, id="context"),
            pytest.param({"request_context": b"another exchange"}, id="request context"),
            pytest.param({"key": SecretKey.generate()}, id="key"),
            pytest.param({"limit": 6}, id="a larger limit of the same length"),
            pytest.param({"limit": 8}, id="a power of two of the same length"),
        ],
    )
    def test_what_it_was_not_made_for(self, other: dict[str, object]) -> None:
        with pytest.raises(InvalidPresentation, match="renew the credential"):
            check(SHOWN, **other)  # type: ignore[arg-type]

    @pytest.mark.parametrize("limit", [2, 4, 9, 1000])
    def test_a_limit_of_another_length(self, limit: int) -> None:
        with pytest.raises(WrongLength):
            check(SHOWN, limit=limit)

    @pytest.mark.parametrize("part", ["x0", "x1", "x2"])
    def test_a_key_that_differs_in_one_part(self, part: str) -> None:
        parts = {name: getattr(ISSUER, name) for name in ("x0", "x1", "x2", "x0_blinding")}
        parts[part] += Scalar.of(1)
        with pytest.raises(InvalidPresentation):
            check(SHOWN, key=SecretKey(**parts))

    @pytest.mark.parametrize("field", ["u", "u_prime_commit", "m1_commit"])
    def test_another_showing(self, field: str) -> None:
        showing = SHOWN.showing
        changed = replace(showing, **{field: getattr(showing, field) + GENERATOR_H})
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, showing=changed))

    @pytest.mark.parametrize("field", ["tag", "nonce_commit"])
    def test_another_tag_or_nonce(self, field: str) -> None:
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, **{field: getattr(SHOWN, field) + GENERATOR_G}))

    @pytest.mark.parametrize("at", range(3))
    def test_another_bit(self, at: int) -> None:
        changed = list(SHOWN.bit_commitments)
        changed[at] += GENERATOR_G
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, bit_commitments=tuple(changed)))

    def test_bits_that_add_up_all_the_same(self) -> None:
        # 2·D0 + D1 + D2 stays what it is; what is proved of D1 and D2 does not.
        first, second, third = SHOWN.bit_commitments
        changed = (first, second + GENERATOR_H, third - GENERATOR_H)
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, bit_commitments=changed))

    def test_bits_of_another_presentation(self) -> None:
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, bit_commitments=shown().bit_commitments))

    @pytest.mark.parametrize("at", range(1 + 5 + 3 * 3))
    def test_a_number_one_more(self, at: int) -> None:
        numbers = [SHOWN.proof.challenge, *SHOWN.proof.responses]
        numbers[at] += Scalar.of(1)
        with pytest.raises(InvalidPresentation):
            check(replace(SHOWN, proof=Proof(numbers[0], tuple(numbers[1:]))))

    @pytest.mark.parametrize("at", range(5 + 3))
    def test_the_identity_anywhere(self, at: int) -> None:
        encoding = bytearray(SHOWN.encode())
        encoding[33 * at : 33 * at + 33] = bytes(33)
        with pytest.raises(IdentityElement):
            check(bytes(encoding))

    def test_a_credential_of_nobody(self) -> None:
        made_up = replace(MEMBER, u=GENERATOR_G, u_prime=Scalar.of(7) * GENERATOR_G)
        with pytest.raises(InvalidPresentation):
            check(present(made_up, context=CONTEXT, limit=LIMIT, nonce=0, message=MESSAGE))

    def test_a_credential_over_another_secret_than_issued(self) -> None:
        # Else one credential would count as many members.
        other = replace(MEMBER, m1=MEMBER.m1 + Scalar.of(1))
        with pytest.raises(InvalidPresentation):
            check(present(other, context=CONTEXT, limit=LIMIT, nonce=0, message=MESSAGE))

    def test_two_credentials_of_two_members_mixed(self) -> None:
        other = enrolled(ISSUER, MemberSecret.generate())
        for mixed in (
            replace(MEMBER, u=other.u),
            replace(MEMBER, u_prime=other.u_prime),
            replace(MEMBER, u=MEMBER.u + other.u, u_prime=MEMBER.u_prime + other.u_prime),
        ):
            with pytest.raises(InvalidPresentation):
                check(present(mixed, context=CONTEXT, limit=LIMIT, nonce=0, message=MESSAGE))

    def test_all_wrong_presentations_are_refused_in_the_same_words(self) -> None:
        # An answer that told which check failed would help whoever tries to forge.
        messages = set()
        for wrong in (
            replace(SHOWN, tag=SHOWN.tag + GENERATOR_G),
            replace(SHOWN, bit_commitments=shown().bit_commitments),
            replace(SHOWN, showing=replace(SHOWN.showing, u=GENERATOR_G)),
        ):
            with pytest.raises(CredentialError) as refusal:
                check(wrong)
            messages.add((type(refusal.value), str(refusal.value)))
        assert len(messages) == 1


class TestRenewal:
    def test_tags_are_the_same_by_every_key_and_credential(self) -> None:
        later = SecretKey.generate()
        credentials = [MEMBER, renewed(ISSUER, SECRET), renewed(later, SECRET)]
        for nonce in range(LIMIT):
            assert len({presentation_tag(one, CONTEXT, nonce) for one in credentials}) == 1

    def test_a_context_stays_spent_in_the_next_period(self) -> None:
        later = SecretKey.generate()
        presentation = present(
            renewed(later, SECRET), context=CONTEXT, limit=LIMIT, nonce=3, message=MESSAGE
        )
        assert check(presentation, key=later) == check(SHOWN)

    def test_presentations_by_two_credentials_share_nothing_else(self) -> None:
        other = present(
            renewed(ISSUER, SECRET), context=CONTEXT, limit=LIMIT, nonce=3, message=MESSAGE
        )
        assert shared_parts(SHOWN, other) == {SHOWN.tag.encode()}

    def test_a_period_ends_with_its_key(self) -> None:
        with pytest.raises(InvalidPresentation):
            check(SHOWN, key=SecretKey.generate())
