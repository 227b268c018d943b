"""What can go wrong with a credential, in a tree that tells cause from cause.

An encoding says which field is wrong: anyone who has the bytes can see that. A proof only says that
it does not hold: which of its checks failed is the verifier's knowledge, and would help a forger.
"""

from __future__ import annotations

from acx.errors import AcxError


class CredentialError(AcxError):
    """Something about a credential, its issuance or its presentation."""


class MalformedEncoding(CredentialError):
    """Bytes that are not what they were given for: damaged on the way, or of another kind."""


class WrongLength(MalformedEncoding):
    """Bytes of another length than the kind has; for a presentation, often another limit's."""


class MalformedElement(MalformedEncoding):
    """A field that should hold a point of P-256 in its compressed form, and does not."""


class IdentityElement(MalformedEncoding):
    """The group's identity, which has no place in any message."""


class MalformedScalar(MalformedEncoding):
    """A field that should hold a number below the group's order, and does not."""


class InvalidProof(CredentialError):
    """A well-formed message whose proof does not hold. Nothing of it may be believed."""


class InvalidRequest(InvalidProof):
    """A credential request whose maker does not know what it commits to."""


class InvalidResponse(InvalidProof):
    """A credential response that this public key did not make, or not for this request."""


class InvalidPresentation(InvalidProof):
    """A presentation that no credential of this key, context, limit and message gives."""


class ForeignCommitment(CredentialError):
    """A request over another secret than the one enrolled: it would make its member count twice."""


class InvalidLimit(CredentialError):
    """A presentation limit that the range proof cannot express."""


class InvalidNonce(CredentialError):
    """A number that is no nonce."""


class LimitExceeded(InvalidNonce):
    """All presentations that the context allows are used up."""


class UnusableCredential(CredentialError):
    """A credential or key that some operation is undefined for; chance does not make one."""
