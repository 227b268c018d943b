"""Issuance: a member's secret goes in committed to, and comes out under the issuer's MAC.

A member draws its secret once, at enrolment. The issuer keeps the commitment to it and issues every
later credential, under whatever key, over exactly that commitment: so a member's tags stay the same
over periods and keys, and a second credential counts for nothing more than the first.

The issuer does not learn what `m2Enc` commits to: a member can ask for a credential of another
request context than the one agreed on, a later period's for instance. **Only a new issuer key ends
a period**; the request context separates exchanges, not periods or roles.

Source: draft-ietf-privacypass-arc-crypto-01, sections 4.2, 5.1 and 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from acx.credentials import sigma
from acx.credentials.credential import Credential
from acx.credentials.element import ELEMENT_BYTES, Element
from acx.credentials.encoding import Fields, join
from acx.credentials.errors import (
    ForeignCommitment,
    InvalidRequest,
    InvalidResponse,
    UnusableCredential,
)
from acx.credentials.group import GENERATOR_G, GENERATOR_H, SUITE, hash_to_scalar
from acx.credentials.keys import PublicKey, SecretKey
from acx.credentials.scalar import SCALAR_BYTES, Random, Scalar, system_random
from acx.credentials.sigma import Proof, Statement

COMMITMENT_BYTES: Final = ELEMENT_BYTES
"""Length of the commitment that the issuer keeps."""
MEMBER_SECRET_BYTES: Final = 2 * SCALAR_BYTES
"""Length of a member's secret."""
REQUEST_BYTES: Final = 2 * ELEMENT_BYTES + 5 * SCALAR_BYTES
"""Length of a credential request."""
RESPONSE_BYTES: Final = 6 * ELEMENT_BYTES + 8 * SCALAR_BYTES
"""Length of a credential response."""
PENDING_REQUEST_BYTES: Final = MEMBER_SECRET_BYTES + SCALAR_BYTES + REQUEST_BYTES
"""Length of a request as the wallet keeps it until it is answered."""

_ResponseElements = tuple[Element, Element, Element, Element, Element, Element]

_REQUEST_SESSION: Final = SUITE + b"CredentialRequest"
_RESPONSE_SESSION: Final = SUITE + b"CredentialResponse"


def request_scalar(request_context: bytes) -> Scalar:
    """m2: what a request context stands for in a credential."""
    return hash_to_scalar(request_context, b"requestContext")


@dataclass(frozen=True, slots=True)
class MemberSecret:
    """What makes a member one member: drawn at enrolment, kept as long as the membership.

    Attributes:
        m1: the tags' key.
        r1: blinding factor of the commitment to it.
    """

    m1: Scalar
    r1: Scalar

    @classmethod
    def generate(cls, random: Random = system_random) -> MemberSecret:
        """Draw a new one. Only for an enrolment: its tags are another member's."""
        return cls(Scalar.random(random), Scalar.random(random))

    @classmethod
    def decode(cls, encoding: bytes) -> MemberSecret:
        """Read a member's secret.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "member secret", elements=0, scalars=2)
        return cls(fields.secret_scalar("m1"), fields.secret_scalar("r1"))

    def encode(self) -> bytes:
        """m1 ‖ r1. A secret: whoever has it recognises every post of the member."""
        return join(self.m1, self.r1)

    @property
    def commitment(self) -> Element:
        """m1Enc, which hides m1 from everybody and binds the member to it."""
        return self.m1 * GENERATOR_G + self.r1 * GENERATOR_H


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """What the member sends.

    Attributes:
        m1_enc: commitment to the member's secret.
        m2_enc: commitment to the request context.
        proof: that the member knows what they commit to.
    """

    m1_enc: Element
    m2_enc: Element
    proof: Proof

    @classmethod
    def decode(cls, encoding: bytes) -> CredentialRequest:
        """Read a request; its proof is checked when it is answered.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "credential request", elements=2, scalars=5)
        return cls(fields.element("m1Enc"), fields.element("m2Enc"), Proof.read(fields, 4))

    def encode(self) -> bytes:
        """m1Enc ‖ m2Enc ‖ proof."""
        return join(self.m1_enc, self.m2_enc) + self.proof.encode()

    @property
    def commitment(self) -> bytes:
        """What the issuer keeps of an enrolment, `COMMITMENT_BYTES` long."""
        return self.m1_enc.encode()


@dataclass(frozen=True, slots=True)
class CredentialResponse:
    """What the issuer answers: the MAC, which only the member can take out, and why it is right.

    Attributes:
        u: the MAC's base.
        enc_u_prime: the MAC, blinded by the request's commitments.
        x0_aux: takes the blinding out, with `x1_aux` and `x2_aux`.
        x1_aux: for r1.
        x2_aux: for r2.
        h_aux: links `x0_aux` with the key.
        proof: that all are made with the key that `PublicKey` commits to.
    """

    u: Element
    enc_u_prime: Element
    x0_aux: Element
    x1_aux: Element
    x2_aux: Element
    h_aux: Element
    proof: Proof

    @classmethod
    def decode(cls, encoding: bytes) -> CredentialResponse:
        """Read a response; its proof is checked when the request is finalized.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "credential response", elements=6, scalars=8)
        return cls(
            fields.element("U"),
            fields.element("encU'"),
            fields.element("X0Aux"),
            fields.element("X1Aux"),
            fields.element("X2Aux"),
            fields.element("HAux"),
            Proof.read(fields, 7),
        )

    def encode(self) -> bytes:
        """U ‖ encU' ‖ X0Aux ‖ X1Aux ‖ X2Aux ‖ HAux ‖ proof."""
        return join(*self.elements) + self.proof.encode()

    @property
    def elements(self) -> _ResponseElements:
        """What the proof is about, in the order in which it is sent."""
        return (
            self.u,
            self.enc_u_prime,
            self.x0_aux,
            self.x1_aux,
            self.x2_aux,
            self.h_aux,
        )


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request with what the member needs to take the credential out of the answer.

    The wallet keeps it before it sends the request: answered twice, the answer is the same.

    Attributes:
        secret: the member's.
        r2: blinding factor of `m2Enc`.
        request: what is sent.
    """

    secret: MemberSecret
    r2: Scalar
    request: CredentialRequest = field(repr=False)

    @classmethod
    def create(
        cls,
        secret: MemberSecret,
        request_context: bytes,
        random: Random = system_random,
        *,
        blinding: Scalar | None = None,
    ) -> ClientRequest:
        """Ask for a credential of a request context, which all members share.

        Args:
            secret: drawn for an enrolment; the one enrolled for every later credential.
            request_context: the one that presentations are verified in.
            random: for the blinding and the proof.
            blinding: r2, where the member can derive it again and so needs not keep the request:
                the answer to one request fits every other of the same secret, context and r2.

        Source: the draft's CreateCredentialRequest.
        """
        # 1. m2 from the context, r2 at random; m1 and r1 are the member's.
        m2 = request_scalar(request_context)
        r2 = Scalar.random(random) if blinding is None else blinding
        # 2. m1Enc and m2Enc.
        m1_enc = secret.commitment
        m2_enc = m2 * GENERATOR_G + r2 * GENERATOR_H
        # 3. Prove that they are well made.
        witness = (secret.m1, m2, secret.r1, r2)
        proof = sigma.prove(_request_statement(m1_enc, m2_enc), witness, _REQUEST_SESSION, random)
        return cls(secret, r2, CredentialRequest(m1_enc, m2_enc, proof))

    @classmethod
    def decode(cls, encoding: bytes) -> ClientRequest:
        """Read a request that was kept.

        Raises:
            MalformedEncoding: it is none.
        """
        fields = Fields(encoding, "pending request", elements=2, scalars=8)
        return cls(
            MemberSecret(fields.secret_scalar("m1"), fields.secret_scalar("r1")),
            fields.secret_scalar("r2"),
            CredentialRequest(
                fields.element("m1Enc"), fields.element("m2Enc"), Proof.read(fields, 4)
            ),
        )

    def encode(self) -> bytes:
        """m1 ‖ r1 ‖ r2 ‖ request. A secret."""
        return self.secret.encode() + self.r2.encode() + self.request.encode()

    def finalize(self, response: CredentialResponse, public_key: PublicKey) -> Credential:
        """Check the issuer's answer and take the credential out of it.

        Args:
            response: to this request.
            public_key: known from elsewhere than the answer, and the same for all members.

        Raises:
            InvalidResponse: not this key's, or not the answer to this request.
            UnusableCredential: the MAC is the identity.

        Source: the draft's FinalizeCredential.
        """
        # 1. The proof, over the key that everybody knows.
        statement = _response_statement(public_key, self.request, response.elements)
        if not sigma.verify(statement, response.proof, _RESPONSE_SESSION):
            raise InvalidResponse(
                "the credential was not made with the exchange's published key for this request; "
                "do not use it, and ask the operator why"
            )
        # 2. Take the blinding out.
        u_prime = (
            response.enc_u_prime
            - response.x0_aux
            - self.secret.r1 * response.x1_aux
            - self.r2 * response.x2_aux
        )
        if u_prime.is_identity():
            raise UnusableCredential("the credential's MAC is the identity; ask for another")
        return Credential(self.secret.m1, response.u, u_prime, public_key.x1)


def enrol(
    secret_key: SecretKey, request: CredentialRequest, random: Random = system_random
) -> CredentialResponse:
    """Issue a member's first credential. Keep `request.commitment` for all later ones.

    Raises:
        InvalidRequest: the request's proof does not hold.
    """
    return _issue(secret_key, request, random)


def renew(
    secret_key: SecretKey,
    request: CredentialRequest,
    commitment: bytes,
    random: Random = system_random,
) -> CredentialResponse:
    """Issue a later credential, over the commitment kept from the enrolment.

    Raises:
        ForeignCommitment: the request is over another secret.
        InvalidRequest: the request's proof does not hold.
    """
    if request.commitment != commitment:
        raise ForeignCommitment(
            "the request is over another secret than the one enrolled; ask with the wallet that "
            "joined, or have its loss put on record and enrol again"
        )
    return _issue(secret_key, request, random)


def _issue(secret_key: SecretKey, request: CredentialRequest, random: Random) -> CredentialResponse:
    """Answer a request.

    Source: the draft's CreateCredentialResponse.
    """
    # 1. The request's proof.
    statement = _request_statement(request.m1_enc, request.m2_enc)
    if not sigma.verify(statement, request.proof, _REQUEST_SESSION):
        raise InvalidRequest("the credential request's proof does not hold; make a new request")
    # 2. The MAC over what is committed to, and what takes the blinding out.
    key, public = secret_key, secret_key.public_key
    b = Scalar.random(random)
    u = b * GENERATOR_G
    enc_u_prime = b * (public.x0 + key.x1 * request.m1_enc + key.x2 * request.m2_enc)
    h_aux = b * GENERATOR_H
    x0_aux = (b * key.x0_blinding) * GENERATOR_H
    x1_aux = b * public.x1
    x2_aux = b * public.x2
    # 3. Prove that all of it is made with this key.
    elements = (u, enc_u_prime, x0_aux, x1_aux, x2_aux, h_aux)
    statement = _response_statement(public, request, elements)
    witness = (key.x0, key.x1, key.x2, key.x0_blinding, b, b * key.x1, b * key.x2)
    proof = sigma.prove(statement, witness, _RESPONSE_SESSION, random)
    return CredentialResponse(*elements, proof)


def _request_statement(m1_enc: Element, m2_enc: Element) -> Statement:
    """The draft's statement of section 5.1."""
    statement = Statement()
    m1, m2, r1, r2 = statement.add_scalars(4)
    g, h, first, second = statement.add_elements(GENERATOR_G, GENERATOR_H, m1_enc, m2_enc)
    statement.add_equation(first, (m1, g), (r1, h))
    statement.add_equation(second, (m2, g), (r2, h))
    return statement


def _response_statement(
    public_key: PublicKey, request: CredentialRequest, elements: _ResponseElements
) -> Statement:
    """The draft's statement of section 5.2, whose numbers the equations carry."""
    statement = Statement()
    x0, x1, x2, x0_blinding, b, t1, t2 = statement.add_scalars(7)
    mac, aux = elements[:2], elements[2:]
    g, h = statement.add_elements(GENERATOR_G, GENERATOR_H)
    m1_enc, m2_enc = statement.add_elements(request.m1_enc, request.m2_enc)
    u, enc_u_prime = statement.add_elements(*mac)
    key0, key1, key2 = statement.add_elements(public_key.x0, public_key.x1, public_key.x2)
    x0_aux, x1_aux, x2_aux, h_aux = statement.add_elements(*aux)
    statement.add_equation(key0, (x0, g), (x0_blinding, h))  # 1
    statement.add_equation(key1, (x1, h))  # 2
    statement.add_equation(key2, (x2, h))  # 3
    statement.add_equation(h_aux, (b, h))  # 4a
    statement.add_equation(x0_aux, (x0_blinding, h_aux))  # 4b
    statement.add_equation(x1_aux, (t1, h))  # 5a
    statement.add_equation(x1_aux, (b, key1))  # 5b
    statement.add_equation(x2_aux, (b, key2))  # 6a
    statement.add_equation(x2_aux, (t2, h))  # 6b
    statement.add_equation(u, (b, g))  # 7
    statement.add_equation(enc_u_prime, (b, key0), (t1, m1_enc), (t2, m2_enc))  # 8
    return statement
