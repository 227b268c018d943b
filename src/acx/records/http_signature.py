"""Signed HTTP requests: the small profile of RFC 9421 that member and exchange share.

A request is signed under the label `acx`, with Ed25519, over its method, its path and the digest
of its body. The key is its own name: `keyid` is the member key in base64, so a signature can be
checked before anybody is looked up. Pure functions: both sides bring their own HTTP and clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from acx.errors import AcxError
from acx.records.event import public_key_text

LABEL: Final = "acx"
COVERED: Final = ("@method", "@path", "content-digest")
MAX_CLOCK_SKEW_SECONDS: Final = 300
"""How far `created` may be from the verifier's clock, either way."""
MAX_HEADER_CHARACTERS: Final = 4096

# RFC 8941 in strict form (single spaces, no escapes), so the received text is already what section
# 2.3 of RFC 9421 wants re-serialised. Other labels, a proxy's say, may stand beside ours.
_PARAMETER = r';[a-z*][a-z0-9_.*-]*(?:=(?:-?\d{1,15}|"[ !#-\[\]-~]*"|\?[01]|:[A-Za-z0-9+/=]*:))?'
_INPUT_MEMBER: Final = re.compile(
    rf'([a-z*][a-z0-9_.*-]*)=(\((?:"[!#-\[\]-~]+"(?: (?=")|(?=\))))*\)(?:{_PARAMETER})*)'
)
_SIGNATURE_MEMBER: Final = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")
_PARAMETER_PAIR: Final = re.compile(r';([a-z*][a-z0-9_.*-]*)=(-?\d{1,15}|"[ !#-\[\]-~]*")')
_SEPARATOR: Final = re.compile(r"[ \t]*,[ \t]*")


class HttpSignatureError(AcxError):
    """A request that is not signed as it must be."""


class MalformedHttpSignature(HttpSignatureError):
    """Signature headers that are missing, unreadable or of another profile."""


class StaleHttpSignature(HttpSignatureError):
    """A signature made too long ago, or ahead of time."""


class BadHttpSignature(HttpSignatureError):
    """A signature, or a digest, that does not belong to the request."""


@dataclass(frozen=True, slots=True)
class RequestSignature:
    """What a verified signature says.

    Attributes:
        key: the member key that signed, base64 as in events.
        created: when, in seconds since 1970.
    """

    key: str
    created: int


def content_digest(body: bytes) -> str:
    """The `Content-Digest` header of a body.

    Source: RFC 9530, section 2, algorithm `sha-256`.
    """
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signature_params(covered: Iterable[str], parameters: Mapping[str, int | str]) -> str:
    """The value of `@signature-params`, which is also the member of `Signature-Input`.

    Source: RFC 9421, section 2.3.
    """
    items = " ".join(f'"{name}"' for name in covered)
    written = (
        f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
        for name, value in parameters.items()
    )
    return f"({items}){''.join(written)}"


def signature_base(components: Iterable[tuple[str, str]], params: str) -> bytes:
    """The bytes that are signed.

    Args:
        components: the covered components in order, names in lower case, with their values.
        params: the value of `@signature-params`.

    Source: RFC 9421, section 2.5.
    """
    lines = [f'"{name}": {value}' for name, value in components]
    return "\n".join([*lines, f'"@signature-params": {params}']).encode()


def sign_request(
    key: Ed25519PrivateKey, *, method: str, path: str, body: bytes, created: int
) -> dict[str, str]:
    """The headers that sign a request.

    Args:
        key: the member key.
        method: `POST`, as on the wire.
        path: absolute path, without the query.
        body: the body to the byte.
        created: now, in seconds since 1970.
    """
    digest = content_digest(body)
    params = signature_params(
        COVERED, {"created": created, "keyid": public_key_text(key), "alg": "ed25519"}
    )
    signature = key.sign(
        signature_base(zip(COVERED, (method.upper(), path, digest), strict=True), params)
    )
    return {
        "Content-Digest": digest,
        "Signature-Input": f"{LABEL}={params}",
        "Signature": f"{LABEL}=:{base64.b64encode(signature).decode()}:",
    }


def signed_record(headers: Mapping[str, str], body: bytes) -> str:
    """A verified request as JSON, for whoever has to show later that it was signed.

    `verify_request` verifies it again from this, with the time that it names.
    """
    names = ("content-digest", "signature-input", "signature")
    kept = {name: headers[name] for name in names}
    return json.dumps({"headers": kept, "body": base64.b64encode(body).decode()})


def verify_request(
    headers: Mapping[str, str], *, method: str, path: str, body: bytes, now: int
) -> RequestSignature:
    """Check a request's signature; whether its key is a member's is the caller's matter.

    Steps: (1) the headers are there and name our profile; (2) `created` is near; (3) the digest is
    the body's; (4) the signature is the key's.

    Args:
        headers: looked up in lower case (Starlette's and httpx's ignore case anyway).
        method: of the request.
        path: absolute path, without the query.
        body: to the byte.
        now: the verifier's clock, in seconds since 1970.

    Raises:
        MalformedHttpSignature: step 1.
        StaleHttpSignature: step 2.
        BadHttpSignature: steps 3 and 4.

    Source: RFC 9421, section 3.2.
    """
    # (1)
    params = _member(headers, "signature-input", _INPUT_MEMBER)
    signature = _decode(_member(headers, "signature", _SIGNATURE_MEMBER), 64, "Signature")
    covered = params[: params.index(")") + 1]
    if covered != signature_params(COVERED, {}):
        raise MalformedHttpSignature(
            f"Signature-Input covers {covered}; sign {signature_params(COVERED, {})}"
        )
    pairs = _PARAMETER_PAIR.findall(params[len(covered) :])
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise MalformedHttpSignature("Signature-Input names a parameter twice")
    if parameters.get("alg") != '"ed25519"':
        raise MalformedHttpSignature('Signature-Input needs alg="ed25519"')
    created = parameters.get("created", '"')
    if '"' in created:
        raise MalformedHttpSignature("Signature-Input needs created, in seconds since 1970")
    keyid = parameters.get("keyid", "").strip('"')
    key = _decode(keyid, 32, "keyid")
    # (2)
    skew = int(created) - now
    if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        raise StaleHttpSignature(
            f"signed {abs(skew)} s {'ahead of' if skew > 0 else 'behind'} this clock, where "
            f"{MAX_CLOCK_SKEW_SECONDS} s are allowed: set the clocks right and sign again"
        )
    # (3)
    digest = headers.get("content-digest", "")
    if not hmac.compare_digest(digest.encode(), content_digest(body).encode()):
        raise BadHttpSignature("Content-Digest is not the sha-256 of the body")
    # (4)
    base = signature_base(zip(COVERED, (method.upper(), path, digest), strict=True), params)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, base)
    except (InvalidSignature, ValueError):
        raise BadHttpSignature("the signature is not its key's over this request") from None
    return RequestSignature(key=keyid, created=int(created))


def _member(headers: Mapping[str, str], name: str, grammar: re.Pattern[str]) -> str:
    """The value of the dictionary member `acx`, which must be there once."""
    text = headers.get(name, "").strip()
    if len(text) > MAX_HEADER_CHARACTERS:
        raise MalformedHttpSignature(f"{name} is longer than {MAX_HEADER_CHARACTERS} characters")
    found: list[str] = []
    position = 0
    while position < len(text):
        member = grammar.match(text, position)
        if member is None:
            raise MalformedHttpSignature(f"{name} is not a dictionary of RFC 8941")
        if member[1] == LABEL:
            found.append(member[2])
        position = member.end()
        separator = _SEPARATOR.match(text, position)
        if position < len(text) and separator is None:
            raise MalformedHttpSignature(f"{name} is not a dictionary of RFC 8941")
        position = separator.end() if separator else position
    if len(found) != 1:
        raise MalformedHttpSignature(f"the request needs one {name} labelled {LABEL}")
    return found[0]


def _decode(text: str, size: int, field: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedHttpSignature(f"{field} is not base64") from None
    if len(data) != size or base64.b64encode(data).decode() != text:
        raise MalformedHttpSignature(f"{field} is not base64 of {size} bytes")
    return data
