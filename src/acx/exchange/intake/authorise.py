"""Authorisation: that a member in good standing stands behind an event, within the common rate.

This module is what anonymous credentials replace. Until then a post is signed with the member key,
and tags are HMACs that only the exchange can make, so it can check them by making them again. It
keeps nothing about the poster; but whoever has the period secret *can* link events to members by
making every member's tags, and the documentation says so (`docs/threat-model.md`).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection

from acx.exchange.admission.members import Member, member_of_key
from acx.exchange.errors import Forbidden, MalformedRequest, NotAuthorised
from acx.exchange.intake.contexts import DAILY_LIMIT, check_taggable
from acx.records.event import Event

Poster = Callable[[], str]
"""Verifies the request's signature and gives the key that made it."""
Standing = Callable[[str], Member]
"""The member in good standing that has a key; see `member_of_key`."""

BRAND_TYPES: Final = frozenset({"assessment", "registration"})
"""Types that a brand signs with the key it joined with."""


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """Tags for contexts, and the id of the key they were made under."""

    key: str
    tags: dict[str, str]


def make_tags(
    connection: Connection,
    member_key: str,
    contexts: Iterable[str],
    *,
    key_id: str,
    secrets: Mapping[str, bytes],
) -> Tags:
    """The tags a member asks for.

    Raises:
        Unauthenticated, Suspended: the key is no member's in good standing.
        Forbidden: its role posts nothing under the rate.
        MalformedRequest: something is no context.
    """
    if not member_of_key(connection, member_key).may_post:
        raise Forbidden("this membership reads and does not report: it gets no credentials")
    wanted = tuple(contexts)
    for context in wanted:
        check_taggable(context)
    secret = secrets[key_id]
    return Tags(key=key_id, tags={c: make_tag(secret, member_key, c) for c in wanted})


def authorise(
    event: Event,
    presentations: Mapping[str, object],
    poster: Poster,
    *,
    standing: Standing,
    secrets: Mapping[str, bytes],
) -> None:
    """Check that a member who may post this event stands behind it, and that its tags are its own.

    Args:
        event: its contexts are already those of its type.
        presentations: by context; today the nonce of the `rate` tag.
        poster: verifies who signed the request; not asked where the event's own key is enough.
        standing: the member with a key, in good standing.
        secrets: period secrets by id.

    Raises:
        Unauthenticated, Suspended, HttpSignatureError: no member in good standing signed the post.
        Forbidden: the member's role posts no such event.
        MalformedRequest: a presentation is missing, or one too many.
        NotAuthorised: a tag is not the poster's, or the event not its own.
    """
    if event.type == "withdrawal":
        # Whoever holds the key of what it takes back may do so, suspended or not.
        return
    member_key = poster()
    member = standing(member_key)
    if event.type in BRAND_TYPES:
        if member.role != "brand" or event.by != member_key:
            raise NotAuthorised(f"a brand signs its own {event.type}, with the key it joined with")
        return
    if not member.may_post:
        raise Forbidden("this membership reads and does not report")
    secret = secrets.get(event.key)
    if secret is None:
        raise NotAuthorised("the tags name a key that is not in force: ask for them again")
    nonces = _nonces(event, presentations)
    for context, tag in event.tags.items():
        expected = make_tag(secret, member_key, context + nonces.get(context, ""))
        if not hmac.compare_digest(expected.encode(), tag.encode()):
            raise NotAuthorised(f"the tag for {context} is not the poster's: ask for it again")


def _nonces(event: Event, presentations: Mapping[str, object]) -> dict[str, str]:
    """What each `rate` context is written with when its tag is made."""
    rated = {context for context in event.tags if context.startswith("rate/")}
    if set(presentations) != rated:
        raise MalformedRequest(
            f"a {event.type} needs presentations for {', '.join(sorted(rated)) or 'nothing'}: "
            "the number of the rate tag, see the protocol"
        )
    nonces = {}
    for context in rated:
        nonce = presentations[context]
        if not isinstance(nonce, int) or not 0 <= nonce < DAILY_LIMIT:
            raise MalformedRequest(f"the number of a rate tag is from 0 to {DAILY_LIMIT - 1}")
        nonces[context] = f"/{nonce}"
    return nonces


def make_tag(secret: bytes, member_key: str, context: str) -> str:
    """The tag of a key in a context (a `rate` context with its number)."""
    message = member_key.encode() + b"\x00" + context.encode()
    return base64.b64encode(hmac.digest(secret, message, "sha256")).decode()
