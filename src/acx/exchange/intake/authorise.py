"""Authorisation: what has to be proved of an event before the log takes it.

A member's event is let in by anonymous presentations, one for each of its tags and bound to its
bytes; a brand's by the key that it joined with; a withdrawal by the key that signed what it takes
back. Here stands what can be told at a glance; the proofs themselves are `proofs`' matter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from acx.credentials import errors as credential_errors
from acx.credentials.element import ELEMENT_BYTES
from acx.credentials.presentation import presentation_bytes
from acx.credentials.single_use import SINGLE_USE_BYTES
from acx.exchange.admission.members import Member
from acx.exchange.errors import (
    EventRefused,
    InvalidPresentation,
    MalformedPresentation,
    MissingPresentation,
    NotAuthorised,
    PresentationIdentity,
    PresentationLength,
    PresentationNumber,
    PresentationPoint,
)
from acx.exchange.intake.proofs import Claim, Refutation, Shown
from acx.records.event import DAILY_LIMIT, Event, Registration
from acx.records.issuer_keys import request_context

Standing = Callable[[str], Member]
"""The member in good standing that has a key; see `member_of_key`."""
VerifyingKey = Callable[[str], bytes]
"""The secret key of an issuer key that is in use; see `Issuer.verifying_key`."""

BRAND_TYPES: Final = frozenset({"assessment", "registration"})
"""Types that a brand signs with the key it joined with."""

# Of both profiles: U, U'Commit, m1Commit, and then the tag.
_TAG: Final = slice(3 * ELEMENT_BYTES, 4 * ELEMENT_BYTES)
_REFUSALS: Final[dict[type[credential_errors.CredentialError], type[MalformedPresentation]]] = {
    credential_errors.WrongLength: PresentationLength,
    credential_errors.MalformedElement: PresentationPoint,
    credential_errors.IdentityElement: PresentationIdentity,
    credential_errors.MalformedScalar: PresentationNumber,
}


def claim(
    event: Event,
    presentations: Mapping[str, str],
    *,
    origin: str,
    verifying_key: VerifyingKey,
    standing: Standing,
) -> Claim | None:
    """What is still to be proved of an event; nothing where a key that signed it is enough.

    Args:
        event: its contexts are already those of its type.
        presentations: by context, base64.
        origin: the log's name.
        verifying_key: knows the issuer's keys.
        standing: knows the members, for events that a brand signs.

    Raises:
        Unauthenticated, Suspended, NotAuthorised: no brand in good standing signed it.
        WrongIssuerKey: its tags are of a key that is not in use.
        MissingPresentation: one is missing, or one too many.
        MalformedPresentation: one can be seen to be none, or another's.
    """
    if event.type in BRAND_TYPES:
        _check_brand(event, standing(event.by))
    if set(presentations) != set(event.tags):
        needed = ", ".join(sorted(event.tags)) or "nothing"
        raise MissingPresentation(
            f"this {event.type} needs a presentation for each of its tags: {needed}"
        )
    if not event.tags:
        return None
    key = verifying_key(event.key)
    return Claim(
        key=key,
        request_context=request_context(origin),
        message=hashlib.sha256(event.raw).digest(),
        # The cheap profile first: what does not hold is known the sooner.
        shown=tuple(
            sorted(
                (_shown(context, text, event.tags) for context, text in presentations.items()),
                key=lambda shown: (shown.limit, shown.context),
            )
        ),
    )


def _check_brand(event: Event, member: Member) -> None:
    if member.role != "brand":
        raise NotAuthorised(f"a brand signs its own {event.type}, with the key it joined with")
    body = event.body()
    claimed = set(body.register_numbers) if isinstance(body, Registration) else set()
    if unknown := claimed - set(member.marks):
        raise NotAuthorised(
            f"{min(unknown)} is none of the registered marks that were verified: the operators "
            "verify them, by two"
        )


def refusal(refutation: Refutation) -> EventRefused:
    """How a claim that does not hold is answered.

    Bytes that are no presentation are told with the field at fault, which anyone can see. A proof
    that does not hold is answered in one wording, whatever was wrong with it.
    """
    kind = _REFUSALS.get(type(refutation.error)) if refutation.error else None
    if kind is None:
        return InvalidPresentation(
            f"the presentation for {refutation.context} proves nothing about this event: make it "
            "anew, over these bytes, under the issuer key and the context that they name"
        )
    return kind(f"the presentation for {refutation.context}: {refutation.error}")


def _shown(context: str, text: str, tags: Mapping[str, str]) -> Shown:
    limit = DAILY_LIMIT if context.startswith("rate/") else 1
    expected = presentation_bytes(limit) if limit > 1 else SINGLE_USE_BYTES
    try:
        presentation = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise MalformedPresentation(f"the presentation for {context} is not base64") from None
    if len(presentation) != expected:
        raise PresentationLength(
            f"the presentation for {context} has {len(presentation)} bytes, and under the limit "
            f"of {limit} one has {expected}"
        )
    tag = presentation[_TAG]
    if base64.b64encode(tag).decode() != tags[context]:
        raise InvalidPresentation(
            f"the presentation for {context} is of another tag than the event carries: a "
            "presentation is good for the one event it was made for"
        )
    return Shown(context, limit, presentation, tag)
