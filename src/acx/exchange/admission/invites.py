"""Invites and joining: from one line handed over to a member with a key and a token."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, delete, insert, select, update

from acx.exchange.admission.members import ACTIVE, member_of_key, new_token, token_digest
from acx.exchange.clock import hour_text
from acx.exchange.errors import (
    GovernanceError,
    InviteExpired,
    InviteRefused,
    InviteUsed,
    MalformedRequest,
    OtherTerms,
)
from acx.exchange.issuing.issuer import IssuedCredential, Issuer
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.storage.schema import invites, members
from acx.records.event import Act, PublicKey, short_id
from acx.records.invite import POSTING_ROLES, Role

ROLES: Final[tuple[str, ...]] = get_args(Role)
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,126}")
"""Names of members and operators: they become file names and columns of a terminal."""

_REFUSED: Final = "the invite is not known here: copy the whole line again, or ask for a new one"


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new member sends, signed by its new key.

    Attributes:
        invite_id: from the invite.
        secret: from the invite; proves that it is held.
        member_key: the key that signs the request.
        terms: version of the terms of membership that are accepted.
        credential_request: base64 of an ARC credential request, from roles that may post: what it
            commits to is the member's for good.
    """

    invite_id: Annotated[str, Meta(min_length=1, max_length=128)]
    secret: Annotated[str, Meta(min_length=1, max_length=128)]
    member_key: PublicKey
    terms: Annotated[str, Meta(max_length=64)]
    credential_request: Annotated[str, Meta(max_length=512)] = ""


class Joined(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a new member gets.

    Attributes:
        member: its id.
        role: what it may do.
        token: its bearer token, shown this once.
        credential: its first, where its role may post.
    """

    member: str
    role: str
    token: str
    credential: IssuedCredential | None = None


@dataclass(frozen=True, slots=True)
class NewInvite:
    """The parts of an invite that are made for it; the rest is the exchange's."""

    invite_id: str
    secret: str
    role: Role


def create_invite(
    connection: Connection,
    name: str,
    role: str,
    *,
    now: datetime,
    days: int,
    criteria: str = "",
    group_digest: bytes | None = None,
    member: str = "",
) -> NewInvite:
    """Make an invite; an earlier one for the same name that nobody used is void from now on.

    Args:
        connection: a transaction that writes.
        name: what the operator will call the member.
        role: what it may do.
        now: the exchange's time.
        days: how long it can be used.
        criteria: on what grounds, as codes with commas.
        group_digest: stands for its economic group.
        member: id of the member whose lost wallet it replaces; empty for a new one.

    Raises:
        GovernanceError: the name or role is none, or the name is a member's already.
    """
    if not NAME.fullmatch(name):
        raise GovernanceError(
            f"{name!r} is no name: up to 127 letters, digits, spaces and ._@-, a letter or digit "
            "first"
        )
    try:
        known_role = msgspec.convert(role, Role)
    except msgspec.ValidationError:
        raise GovernanceError(f"{role!r} is no role: choose one of {', '.join(ROLES)}") from None
    same_name = select(members.c.id).where(members.c.name == name)
    if not member and connection.execute(same_name).first():
        raise GovernanceError(f"{name} is a member already; choose another name")
    connection.execute(delete(invites).where(invites.c.name == name, invites.c.used_by.is_(None)))
    fresh = NewInvite(short_id(secrets.token_bytes(32)), secrets.token_urlsafe(32), known_role)
    connection.execute(
        insert(invites).values(
            id=fresh.invite_id,
            secret_hash=_digest(fresh.secret),
            name=name,
            role=role,
            expires=hour_text(now + timedelta(days=days)),
            criteria=criteria,
            group_digest=group_digest,
            member=member or None,
        )
    )
    return fresh


def join(
    connection: Connection,
    request: JoinRequest,
    *,
    now: datetime,
    terms: str,
    issuer: Issuer,
    acceptance: str = "",
) -> tuple[Joined, int | None]:
    """Make the holder of an invite a member.

    The same key again, with the same invite, gets a fresh token: the answer to a join can be lost.

    Args:
        connection: a transaction that writes.
        request: its signature by `request.member_key` is already verified.
        now: the exchange's time.
        terms: version of the terms in force.
        issuer: issues the first credential.
        acceptance: the signed request, kept as what shows that the terms were accepted.

    Returns:
        What the member gets, and the decision in the outbox that puts it on record, if it is new.

    Raises:
        InviteRefused: unknown invite, wrong secret, or a key that is a member's already.
        InviteUsed: by another key.
        Suspended: it was the member's, who is suspended.
        InviteExpired: too old.
        OtherTerms: others were accepted than those in force.
        MalformedRequest: it enrols for credentials and its role gets none, or the other way round.
    """
    invite = connection.execute(
        select(invites).where(invites.c.id == request.invite_id).with_for_update()
    ).one_or_none()
    # An unknown invite and a wrong secret are answered alike, in the same time.
    known = invite.secret_hash if invite else bytes(32)
    if not hmac.compare_digest(known, _digest(request.secret)) or invite is None:
        raise InviteRefused(_REFUSED)
    token = new_token()
    if invite.used_by is not None:
        return _join_again(connection, invite.used_by, request, token, issuer), None
    if invite.expires < hour_text(now):
        raise InviteExpired(f"the invite was good until {invite.expires}: ask for a new one")
    if request.terms != terms:
        raise OtherTerms(
            f"version {terms!r} of the terms of membership is in force, and {request.terms!r} was "
            "accepted: read the new ones, then join with that version"
        )
    connection.execute(
        update(invites).where(invites.c.id == invite.id).values(used_by=request.member_key)
    )
    taken = members.c.member_key == request.member_key
    if not invite.member:
        taken |= members.c.name == invite.name
    if connection.execute(select(members.c.id).where(taken)).first():
        raise InviteRefused("this key or name is a member's already: ask the operator")
    if invite.member:
        return _replace_wallet(connection, invite.member, request, token, issuer, now), None
    member = short_id(secrets.token_bytes(32))
    connection.execute(
        insert(members).values(
            id=member,
            name=invite.name,
            role=invite.role,
            status=ACTIVE,
            member_key=request.member_key,
            token_hash=token_digest(token),
            terms=request.terms,
            joined=hour_text(now),
            criteria=invite.criteria,
            group_digest=invite.group_digest,
            acceptance=acceptance or None,
        )
    )
    credential = None
    if _enrols(invite.role, request):
        credential = issuer.enrol(connection, member, request.credential_request)
    # A brand's word counts once its marks are verified: that is another act.
    code = "brand_unverified" if invite.role == "brand" else invite.role
    act = Act(act="joined", code=code, target=member)
    decision = plan(connection, Planned("act", act))
    joined = Joined(member=member, role=invite.role, token=token, credential=credential)
    return joined, decision


def _enrols(role: str, request: JoinRequest) -> bool:
    """Whether a request enrols for credentials, as its role asks.

    Raises:
        MalformedRequest: it does where it must not, or the other way round.
    """
    posts = role in POSTING_ROLES
    if posts != bool(request.credential_request):
        raise MalformedRequest(
            f"a {role} {'joins with a' if posts else 'gets no credential: leave out the'} "
            "credential_request"
        )
    return posts


def _join_again(
    connection: Connection, used_by: str, request: JoinRequest, token: str, issuer: Issuer
) -> Joined:
    if used_by != request.member_key:
        raise InviteUsed("the invite is used up: ask the operator for a new one")
    member = member_of_key(connection, used_by)
    connection.execute(
        update(members).where(members.c.id == member.id).values(token_hash=token_digest(token))
    )
    credential = None
    if _enrols(member.role, request):
        credential = issuer.issue_again(connection, member.id, request.credential_request)
    return Joined(member=member.id, role=member.role, token=token, credential=credential)


def _replace_wallet(
    connection: Connection,
    member_id: str,
    request: JoinRequest,
    token: str,
    issuer: Issuer,
    now: datetime,
) -> Joined:
    """Put a new wallet in a lost one's place: whoever found that posts until the key changes."""
    row = connection.execute(
        update(members)
        .where(members.c.id == member_id)
        .values(
            member_key=request.member_key,
            token_hash=token_digest(token),
            reenrolled=hour_text(now),
        )
        .returning(members.c.role)
    ).one()
    credential = None
    if _enrols(row.role, request):
        issuer.replace_coming(connection, member_id)
        credential = issuer.enrol(connection, member_id, request.credential_request)
    return Joined(member=member_id, role=row.role, token=token, credential=credential)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
