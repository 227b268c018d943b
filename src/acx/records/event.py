"""Event: the one thing the log holds, signed by a key made for it.

An event's bytes are its RFC 8785 canonical JSON. They are parsed once and kept, so an event of a
version or type this code does not know survives byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from msgspec import Meta

from acx.errors import AcxError
from acx.records.account import Value, Values
from acx.records.report import Confirmations, Digest, Identifier, Image, Month, Report

VERSION: Final = 1
MAX_EVENT_BYTES: Final = 64 * 1024
MAX_FOLLOW_UPS: Final = 20
"""Amendments and answers a report may have, so that a stolen report key cannot flood the log."""

DAILY_LIMIT: Final = 10_000
"""Reports a member may post on one day; one limit for everybody, so that all are one crowd."""

MAX_NESTING: Final = 32
"""Objects and lists within each other. Fixed, because a limit that depended on the stack left over
would let one replica take what another refuses."""

ID_PATTERN: Final = r"^[a-z2-7]{26}$(?!\n)"
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
PublicKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)")]
Signature = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{86}==$(?!\n)")]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
"""Codes take the place of free text, of which there is none in the log."""
Hour = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])Z$(?!\n)"),
]
"""`YYYY-MM-DDTHHZ`, in UTC."""


class EventError(AcxError):
    """An event that is not what it claims to be."""


class MalformedEvent(EventError):
    """Bytes that are no event, or a body that is not its type's."""


class BadSignature(EventError):
    """An event whose signature is not its key's, over its bytes, for this exchange."""


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """The contributor takes back its report, corroboration or outcome."""

    reason: Literal["error", "duplicate", "cleared"]


class Corroboration(msgspec.Struct, frozen=True, kw_only=True):
    """Another member confirms the same actor, as of one version of the report."""

    version: Annotated[int, Meta(ge=1)]
    confirmed_by: Confirmations
    confirmed_on: Month


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a member did with a hit; the same member's later one replaces it."""

    outcome: Literal["blocked", "removed", "no_match", "kept"]


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """The accused, identified by the operator, contests a report."""

    code: Code


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A contributor answers a dispute."""

    answer: Literal["stands", "withdraws"]


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The operators decide a dispute or an appeal: upheld means that the accused was right."""

    decision: Literal["upheld", "dismissed"]
    code: Code


class Appeal(msgspec.Struct, frozen=True, kw_only=True):
    """A resolution is contested, once."""

    code: Code = "appeal"


class Lapse(msgspec.Struct, frozen=True, kw_only=True):
    """A deadline has passed; the log says so, because a fold reads no clock."""

    code: Code = "no_answer"


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    """Entries whose retention is over: their keys are destroyed."""

    indices: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=5000)]


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that are erased before their time: their keys are destroyed."""

    indices: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=5000)]
    code: Code


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """A brand says of a report that names it whether the goods were counterfeit."""

    assessment: Literal["confirmed", "refuted"]


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A brand's own marks, pictures and official sellers, signed by the brand's key.

    Attributes:
        brand: the brand's name.
        marks: registered word marks.
        register_numbers: `EUTM:…`, `USPTO:…`, verified at admission.
        official: official sellers, as digests of `registration_no` or `tax_id` (`h1:…`).
        images: press pictures, as PDQ hashes.
        identifiers: product identifiers of the brand.
    """

    brand: Value
    marks: Values = ()
    register_numbers: Values = ()
    official: Annotated[tuple[Value, ...], Meta(max_length=500)] = ()
    images: Annotated[tuple[Image, ...], Meta(max_length=100)] = ()
    identifiers: Annotated[tuple[Identifier, ...], Meta(max_length=200)] = ()


class IssuerKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key under which credentials are issued, and from when it counts.

    Attributes:
        id: the key's id, as events name it.
        public_key: base64 of its 99 bytes (X0 ‖ X1 ‖ X2 of ARC).
        not_before: UTC hour from which it is used, `YYYY-MM-DDTHHZ`.
        emergency: whether it replaces a key at short notice.
    """

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    public_key: Annotated[str, Meta(max_length=512)]
    not_before: Hour
    emergency: bool = False


ACTS: Final[dict[str, str]] = {
    "operator_added": "an operator's key counts from here on",
    "operator_removed": "an operator's key counts no more",
    "invited": "somebody may join; the code is the role, the target on what grounds",
    "joined": "somebody did; the code is the role, the target its id, a brand's its key",
    "suspended": "a member may neither read nor post",
    "reinstated": "it may again",
    "reenrolled": "a member that lost its wallet has a new one",
    "rotated": "a key was replaced",
    "configured": "a setting that members rely on was changed",
    "approved": "the event it refers to has its second signature",
    "recovered": "entries were brought back from a copy of the log",
    "verified": "the registered marks of a brand were looked up; the target is their numbers",
    "held": "the report may neither be erased nor expire until it is released",
    "released": "it may again",
    "subject_answered": "somebody was told what is held about them; the count is of reports",
}
"""What operators do, and what each act says; one that this code does not know has no effect."""


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An act of the operator, on record for auditors.

    Attributes:
        act: what was done, one of `ACTS`. Any code is taken: a later acx may do more.
        code: why, or the kind of thing it was done to (a role, for an invite).
        target: the key, id, number or digest it was done to; never a name.
        count: how many, where acts are counted in bulk.
    """

    act: Code
    code: Annotated[str, Meta(max_length=64)] = ""
    target: Annotated[str, Meta(max_length=128)] = ""
    count: Annotated[int, Meta(ge=1)] = 1


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of membership in force from here on."""

    version: Annotated[str, Meta(min_length=1, max_length=64)]
    digest: Digest


Body = (
    Report
    | Withdrawal
    | Corroboration
    | Outcome
    | Dispute
    | Answer
    | Resolution
    | Appeal
    | Lapse
    | Expiry
    | Erasure
    | Assessment
    | Registration
    | IssuerKey
    | Act
    | Terms
)

BODIES: Final[dict[str, type[Any]]] = {
    "report": Report,
    "amendment": Report,
    "withdrawal": Withdrawal,
    "corroboration": Corroboration,
    "outcome": Outcome,
    "dispute": Dispute,
    "answer": Answer,
    "resolution": Resolution,
    "appeal": Appeal,
    "lapse": Lapse,
    "expiry": Expiry,
    "erasure": Erasure,
    "assessment": Assessment,
    "registration": Registration,
    "key": IssuerKey,
    "act": Act,
    "terms": Terms,
}
OPERATOR_TYPES: Final = frozenset(
    {"dispute", "resolution", "appeal", "lapse", "expiry", "erasure", "key", "act", "terms"}
)
"""Types that only an operator's key can sign."""


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    v: Annotated[int, Meta(ge=1)]
    type: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}$(?!\n)")]
    report: Annotated[str, Meta(pattern=r"^([a-z2-7]{26})?$(?!\n)")]
    ref: Annotated[str, Meta(pattern=r"^([a-z2-7]{26})?$(?!\n)")]
    seq: Annotated[int, Meta(ge=0, le=2**31)]
    body: msgspec.Raw
    tags: Annotated[
        dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=128)]],
        Meta(max_length=8),
    ]
    key: Annotated[str, Meta(max_length=64)]
    by: PublicKey
    signature: Signature


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed event, together with the bytes it was parsed from.

    Attributes:
        raw: the canonical bytes, as received.
        id: the event's id.
        v: version of the format.
        type: what the event says; `BODIES` has the types this code knows.
        report: id of the report it belongs to; empty for events about none.
        ref: id of the event it is about; empty if none.
        seq: rises by one per `by` and report, from 0.
        tags: context ► tag.
        key: id of the issuer key the tags were made under; empty without tags.
        by: base64 of the Ed25519 public key that signed.
        signature: base64 of the signature.
    """

    max_bytes: ClassVar[int] = MAX_EVENT_BYTES

    raw: bytes
    id: str
    v: int
    type: str
    report: str
    ref: str
    seq: int
    tags: dict[str, str]
    key: str
    by: str
    signature: str
    body_json: bytes

    @property
    def known(self) -> bool:
        """Whether this code can read the body; if not, «upgrade needed»."""
        return self.v == VERSION and self.type in BODIES

    def body(self) -> Body:
        """The body, as its type's frozen record.

        Raises:
            MalformedEvent: the type is unknown, or the body is not its type's.
        """
        if not self.known:
            raise MalformedEvent(f"no reader for type {self.type!r} v{self.v}: upgrade acx")
        return _parse_body(self.type, self.body_json)


def public_key_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """The writing of a public key in events: base64 of its 32 bytes."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes_raw()).decode()


def short_id(data: bytes) -> str:
    """An id: base32 of the SHA-256 of `data`, its first 26 characters, in lower case."""
    return base64.b32encode(hashlib.sha256(data).digest()[:20])[:26].decode().lower()


def rate_context(day: str) -> str:
    """The context whose tags bound how many reports a member posts on a day (`YYYY-MM-DD`)."""
    return f"rate/{day}"


def stand_context(report: str, version: int) -> str:
    """The context in which each member that stands behind a report's version has one tag."""
    return f"stand/{report}/{version}"


def outcome_context(report: str) -> str:
    """The context in which each member that acted on a report has one tag."""
    return f"outcome/{report}"


def report_id(by: str) -> str:
    """The id of the report that the key `by` (as in events) opened."""
    return short_id(_decode(by, 32, "by"))


def canonical(value: object) -> bytes:
    """RFC 8785 canonical JSON of a value made of dicts, lists, strings and integers.

    msgspec writes the same bytes many times faster where keys are ASCII and numbers integers, which
    acx's own records are by construction (a property test holds it to the `rfc8785` library).
    """
    return msgspec.json.encode(value, order="sorted")


def sign_event(
    key: Ed25519PrivateKey,
    *,
    origin: str,
    type: str,  # noqa: A002 -- the field's name
    body: Body,
    report: str = "",
    ref: str = "",
    seq: int = 0,
    tags: dict[str, str] | None = None,
    issuer_key: str = "",
) -> Event:
    """Make and sign an event.

    Args:
        key: signs; for a report, the key made for it.
        origin: the exchange's origin; a signature for one exchange is none for another.
        type: one of `BODIES`.
        body: the type's record.
        report: id of the report; by default, for type `report`, the one `key` opens.
        ref: id of the event it is about.
        seq: number of events `key` has signed for this report before.
        tags: context ► tag.
        issuer_key: id of the key the tags were made under.

    Raises:
        MalformedEvent: the event would be over a limit, or is none at all.
    """
    if type not in BODIES:
        raise MalformedEvent(f"type {type!r} is none of {', '.join(BODIES)}")
    if not isinstance(body, BODIES[type]):
        raise MalformedEvent(f"a {type} event has a {BODIES[type].__name__} as its body")
    by = public_key_text(key)
    unsigned: dict[str, object] = {
        "v": VERSION,
        "type": type,
        "report": report or (report_id(by) if type == "report" else ""),
        "ref": ref,
        "seq": seq,
        "body": body,
        "tags": tags or {},
        "key": issuer_key,
        "by": by,
    }
    try:
        signature = key.sign(_signed_bytes(origin, canonical(unsigned)))
    except UnicodeEncodeError:
        raise MalformedEvent("event: half of a surrogate pair is no character") from None
    signed = unsigned | {"signature": base64.b64encode(signature).decode()}
    return parse_event(canonical(signed))


def parse_event(raw: bytes) -> Event:
    """Parse an event's bytes; its signature is `verify_event`'s matter.

    Steps: (1) size; (2) JSON, canonical to the byte; (3) envelope; (4) body, where the type is
    known; (5) a report's id is its key's.

    Raises:
        MalformedEvent: with the field and the reason.
    """
    # (1)
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"event has {len(raw)} bytes where {MAX_EVENT_BYTES} are allowed")
    # (2)
    tree = _canonical_tree(raw)
    # (3)
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedEvent(f"event: {error}") from None
    if not isinstance(tree["body"], dict):
        raise MalformedEvent("event: body must be an object - at `$.body`")
    _decode(envelope.by, 32, "by")
    _decode(envelope.signature, 64, "signature")
    # (4)
    body = bytes(envelope.body)
    if envelope.v == VERSION and envelope.type in BODIES:
        _parse_body(envelope.type, body)
    # (5)
    if envelope.type == "report" and envelope.report != report_id(envelope.by):
        raise MalformedEvent("a report's id must be that of its key")
    return Event(
        raw=raw,
        id=short_id(raw),
        v=envelope.v,
        type=envelope.type,
        report=envelope.report,
        ref=envelope.ref,
        seq=envelope.seq,
        tags=envelope.tags,
        key=envelope.key,
        by=envelope.by,
        signature=envelope.signature,
        body_json=body,
    )


def verify_event(event: Event, origin: str) -> None:
    """Check that an event was signed by its key for this exchange.

    Raises:
        BadSignature: it was not.
    """
    # In canonical form `signature` is a top-level member of known length; the parsed tree tells
    # which of possibly several places it is.
    public = Ed25519PublicKey.from_public_bytes(_decode(event.by, 32, "by"))
    signature = _decode(event.signature, 64, "signature")
    try:
        public.verify(signature, _signed_bytes(origin, unsigned_bytes(event)))
    except InvalidSignature:
        raise BadSignature(f"event {event.id}: signature does not match its key") from None


def unsigned_bytes(event: Event) -> bytes:
    """The canonical bytes of an event without its `signature` member."""
    member = b',"signature":"' + event.signature.encode() + b'"'
    if event.raw.count(member) == 1:
        return event.raw.replace(member, b"", 1)
    tree = msgspec.json.decode(event.raw)
    del tree["signature"]
    return canonicalise(tree)


def canonicalise(tree: object) -> bytes:
    """RFC 8785 canonical JSON of any decoded JSON value.

    Raises:
        MalformedEvent: nested too deep, or a value that RFC 8785 cannot write (an integer beyond
            2^53, say).
    """
    _check_nesting(tree)
    try:
        return rfc8785.dumps(tree)  # type: ignore[arg-type]
    except rfc8785.IntegerDomainError:
        raise MalformedEvent("not canonical: integers end at 2^53 - 1") from None
    except rfc8785.CanonicalizationError as error:
        raise MalformedEvent(f"not canonical: {error}") from None


def _canonical_tree(raw: bytes) -> dict[str, object]:
    """The JSON object that these bytes are the canonical writing of."""
    try:
        try:
            tree = _WITHOUT_FLOATS.decode(raw)
            written = canonical(tree) if _is_plain(raw) else canonicalise(tree)
        except _FloatFound:
            tree = msgspec.json.decode(raw)
            written = canonicalise(tree)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent(f"not JSON: {error}") from None
    if not isinstance(tree, dict) or written != raw:
        raise MalformedEvent("not RFC 8785 canonical JSON")
    return tree


def _is_plain(raw: bytes) -> bool:
    """Whether `canonical` is sure to write this JSON without floats as RFC 8785 does.

    It takes integers beyond 2^53 and sorts keys by UTF-8, not UTF-16. What looks like either may
    be part of a string; the library then decides. Few brackets cannot be nested deep.
    """
    return (
        raw.count(b"{") + raw.count(b"[") <= MAX_NESTING
        and b"0" * 16 not in raw.translate(_DIGITS_TO_0)
        and (raw.isascii() or not _KEY_BEYOND_ASCII.search(raw))
    )


class _FloatFound(Exception):
    pass


def _refuse_float(text: str) -> float:
    raise _FloatFound(text)


_WITHOUT_FLOATS: Final = msgspec.json.Decoder(float_hook=_refuse_float)
_DIGITS_TO_0: Final = bytes.maketrans(b"123456789", b"0" * 9)
_KEY_BEYOND_ASCII: Final = re.compile(rb'[\x80-\xff](?:[^"\\]|\\.)*":')


def _check_nesting(tree: object) -> None:
    level = [tree]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    if any(isinstance(value, dict | list) for value in level):
        raise MalformedEvent(f"nested deeper than {MAX_NESTING} objects and lists")


def _signed_bytes(origin: str, unsigned: bytes) -> bytes:
    return b"acx-event/v1\x00" + origin.encode() + b"\x00" + unsigned


def _parse_body(event_type: str, body: bytes) -> Body:
    try:
        parsed: Body = msgspec.json.decode(body, type=BODIES[event_type])
    except (msgspec.ValidationError, RecursionError) as error:
        raise MalformedEvent(f"{event_type} body: {error}") from None
    return parsed


def _decode(text: str, size: int, field: str) -> bytes:
    """Base64 of exactly `size` bytes, and the only writing of them."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise MalformedEvent(f"event: {field} is not base64") from None
    if len(data) != size or binascii.b2a_base64(data, newline=False).decode() != text:
        raise MalformedEvent(f"event: {field} is not base64 of {size} bytes")
    return data
