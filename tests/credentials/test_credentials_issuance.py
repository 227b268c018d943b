from __future__ import annotations

import copy
import pickle
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.credentials.issuing import ISSUER, MEMBER, REQUEST_CONTEXT, SECRET

from acx.credentials.credential import CREDENTIAL_BYTES, Credential
from acx.credentials.element import Element
from acx.credentials.errors import (
    ForeignCommitment,
    IdentityElement,
    InvalidRequest,
    InvalidResponse,
    MalformedEncoding,
    MalformedScalar,
    UnusableCredential,
    WrongLength,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H
from acx.credentials.issuance import (
    COMMITMENT_BYTES,
    MEMBER_SECRET_BYTES,
    PENDING_REQUEST_BYTES,
    REQUEST_BYTES,
    RESPONSE_BYTES,
    ClientRequest,
    CredentialRequest,
    CredentialResponse,
    MemberSecret,
    enrol,
    renew,
    request_scalar,
)
from acx.credentials.keys import PUBLIC_KEY_BYTES, SECRET_KEY_BYTES, PublicKey, SecretKey
from acx.credentials.scalar import ORDER, Scalar
from acx.credentials.sigma import Proof

ASKED = ClientRequest.create(SECRET, REQUEST_CONTEXT)
ANSWER = enrol(ISSUER, ASKED.request)
ONE = Scalar.of(1, public=True)


def nudged(proof: Proof, at: int) -> Proof:
    """A proof with one of its numbers one more."""
    numbers = [proof.challenge, *proof.responses]
    numbers[at] += ONE
    return Proof(numbers[0], tuple(numbers[1:]))


class TestSecrecy:
    def test_nothing_secret_shows_in_logs(self) -> None:
        secrets = [
            ISSUER.x0.encode().hex(),
            SECRET.m1.encode().hex(),
            SECRET.r1.encode().hex(),
            ASKED.r2.encode().hex(),
            MEMBER.u_prime.encode().hex(),
        ]
        shown = repr([ISSUER, SECRET, ASKED, MEMBER])
        assert not [secret for secret in secrets if secret in shown]

    def test_the_answer_is_of_no_use_without_the_members_secret(self) -> None:
        other = replace(ASKED, secret=MemberSecret.generate())
        credential = other.finalize(ANSWER, ISSUER.public_key)
        assert not is_mac(ISSUER, credential)


def is_mac(key: SecretKey, credential: Credential) -> bool:
    """Whether a credential is the issuer's MAC, which only the issuer could tell of a secret."""
    m2 = request_scalar(REQUEST_CONTEXT)
    return credential.u_prime == (key.x0 + key.x1 * credential.m1 + key.x2 * m2) * credential.u


class TestIssuing:
    def test_a_credential_is_the_issuers_mac_over_the_members_secret(self) -> None:
        credential = ASKED.finalize(ANSWER, ISSUER.public_key)
        assert is_mac(ISSUER, credential)
        assert credential.m1 == SECRET.m1
        assert credential.x1 == ISSUER.public_key.x1

    def test_two_requests_of_one_secret_share_nothing_but_its_commitment(self) -> None:
        again = ClientRequest.create(SECRET, REQUEST_CONTEXT)
        assert again.request.commitment == ASKED.request.commitment
        assert again.request.m2_enc != ASKED.request.m2_enc

    def test_two_members_share_nothing(self) -> None:
        other = ClientRequest.create(MemberSecret.generate(), REQUEST_CONTEXT)
        assert other.request.commitment != ASKED.request.commitment

    def test_a_later_credential_is_over_the_secret_enrolled(self) -> None:
        asked = ClientRequest.create(SECRET, REQUEST_CONTEXT)
        answer = renew(ISSUER, asked.request, ASKED.request.commitment)
        assert asked.finalize(answer, ISSUER.public_key).m1 == SECRET.m1

    def test_no_later_credential_over_another_secret(self) -> None:
        # A member that could would count twice.
        asked = ClientRequest.create(MemberSecret.generate(), REQUEST_CONTEXT)
        with pytest.raises(ForeignCommitment, match="have its loss put on record"):
            renew(ISSUER, asked.request, ASKED.request.commitment)

    def test_nor_over_one_that_is_merely_blinded_otherwise(self) -> None:
        asked = ClientRequest.create(MemberSecret(SECRET.m1, SECRET.r1 + ONE), REQUEST_CONTEXT)
        with pytest.raises(ForeignCommitment):
            renew(ISSUER, asked.request, ASKED.request.commitment)

    def test_a_commitment_of_another_member_cannot_be_asked_for_without_its_secret(self) -> None:
        # The thief knows the commitment, and puts it into a request with a proof of its own.
        own = ClientRequest.create(MemberSecret.generate(), REQUEST_CONTEXT).request
        stolen = CredentialRequest(ASKED.request.m1_enc, own.m2_enc, own.proof)
        with pytest.raises(InvalidRequest):
            renew(ISSUER, stolen, ASKED.request.commitment)

    @pytest.mark.parametrize("at", range(5))
    def test_a_request_with_any_number_changed_is_refused(self, at: int) -> None:
        with pytest.raises(InvalidRequest, match="make a new request"):
            enrol(ISSUER, replace(ASKED.request, proof=nudged(ASKED.request.proof, at)))

    @pytest.mark.parametrize("field", ["m1_enc", "m2_enc"])
    def test_a_request_with_any_element_changed_is_refused(self, field: str) -> None:
        request = replace(ASKED.request, **{field: getattr(ASKED.request, field) + GENERATOR_H})
        with pytest.raises(InvalidRequest):
            enrol(ISSUER, request)

    @pytest.mark.parametrize("at", range(8))
    def test_an_answer_with_any_number_changed_is_refused(self, at: int) -> None:
        with pytest.raises(InvalidResponse, match="ask the operator why"):
            ASKED.finalize(replace(ANSWER, proof=nudged(ANSWER.proof, at)), ISSUER.public_key)

    @pytest.mark.parametrize("field", ["u", "enc_u_prime", "x0_aux", "x1_aux", "x2_aux", "h_aux"])
    def test_an_answer_with_any_element_changed_is_refused(self, field: str) -> None:
        changed = replace(ANSWER, **{field: getattr(ANSWER, field) + GENERATOR_G})
        with pytest.raises(InvalidResponse):
            ASKED.finalize(changed, ISSUER.public_key)

    def test_an_answer_to_another_request_is_refused(self) -> None:
        other = ClientRequest.create(SECRET, REQUEST_CONTEXT)
        with pytest.raises(InvalidResponse):
            other.finalize(ANSWER, ISSUER.public_key)

    def test_an_answer_by_a_key_for_one_member_alone_is_refused(self) -> None:
        # An operator that gives a member a key of its own knows its posts by it.
        answer = enrol(SecretKey.generate(), ASKED.request)
        with pytest.raises(InvalidResponse):
            ASKED.finalize(answer, ISSUER.public_key)

    @pytest.mark.parametrize("part", ["x0", "x1", "x2", "x0_blinding"])
    def test_and_by_a_key_that_differs_in_one_part(self, part: str) -> None:
        parts = {name: getattr(ISSUER, name) for name in ("x0", "x1", "x2", "x0_blinding")}
        parts[part] += ONE
        with pytest.raises(InvalidResponse):
            ASKED.finalize(enrol(SecretKey(**parts), ASKED.request), ISSUER.public_key)

    def test_a_mac_that_is_the_identity_is_refused(self) -> None:
        # Only an issuer can make one, by choosing x0 for a member whose secret it knows.
        m2 = request_scalar(REQUEST_CONTEXT)
        x0 = -(ISSUER.x1 * SECRET.m1 + ISSUER.x2 * m2)
        key = SecretKey(x0, ISSUER.x1, ISSUER.x2, ISSUER.x0_blinding)
        with pytest.raises(UnusableCredential):
            ASKED.finalize(enrol(key, ASKED.request), key.public_key)

    def test_the_issuer_cannot_tell_the_context_asked_for(self) -> None:
        # Why a period ends with its key, and not with its request context.
        early = ClientRequest.create(SECRET, b"a context of next year")
        answer = renew(ISSUER, early.request, ASKED.request.commitment)
        assert early.finalize(answer, ISSUER.public_key).m1 == SECRET.m1


MESSAGES = [
    pytest.param(ISSUER, SecretKey, SECRET_KEY_BYTES, 128, id="secret key"),
    pytest.param(ISSUER.public_key, PublicKey, PUBLIC_KEY_BYTES, 99, id="public key"),
    pytest.param(SECRET, MemberSecret, MEMBER_SECRET_BYTES, 64, id="member secret"),
    pytest.param(ASKED.request, CredentialRequest, REQUEST_BYTES, 226, id="request"),
    pytest.param(ASKED, ClientRequest, PENDING_REQUEST_BYTES, 322, id="pending request"),
    pytest.param(ANSWER, CredentialResponse, RESPONSE_BYTES, 454, id="response"),
    pytest.param(MEMBER, Credential, CREDENTIAL_BYTES, 131, id="credential"),
]
Message = (
    SecretKey
    | PublicKey
    | MemberSecret
    | CredentialRequest
    | ClientRequest
    | CredentialResponse
    | Credential
)


class TestWriting:
    @pytest.mark.parametrize(("message", "kind", "constant", "length"), MESSAGES)
    def test_messages_have_a_fixed_length_and_read_back(
        self, message: Message, kind: type[Message], constant: int, length: int
    ) -> None:
        encoding = message.encode()
        assert len(encoding) == constant == length
        assert kind.decode(encoding) == message
        assert kind.decode(encoding).encode() == encoding

    @pytest.mark.parametrize(("message", "kind", "constant", "length"), MESSAGES)
    def test_messages_go_from_process_to_process(
        self, message: Message, kind: type[Message], constant: int, length: int
    ) -> None:
        assert pickle.loads(pickle.dumps(message)) == message  # noqa: S301 -- our own
        assert copy.deepcopy(message) == message

    @pytest.mark.parametrize(("message", "kind", "constant", "length"), MESSAGES)
    def test_any_other_length_is_refused(
        self, message: Message, kind: type[Message], constant: int, length: int
    ) -> None:
        encoding = message.encode()
        for wrong in (b"", encoding[:-1], encoding + b"\0", encoding * 2, encoding[:33]):
            with pytest.raises(WrongLength, match=f"{len(wrong)} bytes where {length} are needed"):
                kind.decode(wrong)

    @pytest.mark.parametrize(("message", "kind", "constant", "length"), MESSAGES)
    @given(data=st.data())
    def test_random_bytes_are_refused_or_read_back(
        self,
        message: Message,
        kind: type[Message],
        constant: int,
        length: int,
        data: st.DataObject,
    ) -> None:
        noise = data.draw(st.binary(min_size=length, max_size=length))
        with suppress(MalformedEncoding):
            assert kind.decode(noise).encode() == noise

    @pytest.mark.parametrize("name", ["X0", "X1", "X2"])
    def test_an_error_names_the_field_and_not_its_value(self, name: str) -> None:
        at = 33 * ["X0", "X1", "X2"].index(name)
        encoding = bytearray(ISSUER.public_key.encode())
        encoding[at : at + 33] = bytes(33)
        with pytest.raises(IdentityElement, match=f"^issuer public key: {name} is the identity"):
            PublicKey.decode(bytes(encoding))

    @pytest.mark.parametrize("kind", [SecretKey, MemberSecret])
    def test_a_secret_of_zero_is_refused(self, kind: type[SecretKey | MemberSecret]) -> None:
        length = {SecretKey: 128, MemberSecret: 64}[kind]
        with pytest.raises(MalformedScalar, match="is 0"):
            kind.decode(bytes(length))

    def test_a_secret_over_the_order_is_refused(self) -> None:
        with pytest.raises(MalformedScalar, match="m1"):
            MemberSecret.decode(ORDER.to_bytes(32, "big") + SECRET.r1.encode())

    def test_the_commitment_kept_is_an_element(self) -> None:
        commitment = ASKED.request.commitment
        assert len(commitment) == COMMITMENT_BYTES == 33
        assert isinstance(SECRET.commitment, Element)
        assert SECRET.commitment.encode() == commitment
