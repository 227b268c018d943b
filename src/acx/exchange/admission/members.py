"""Members: who they are to the operator, how a request shows to be theirs, what they may do.

A member's row is never written together with an event, so nothing in the database says who posted.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Row, bindparam, select, update

from acx.exchange.errors import GovernanceError, Suspended, Unauthenticated
from acx.exchange.storage.schema import members
from acx.records.event import Act
from acx.records.invite import POSTING_ROLES

TOKEN_PREFIX: Final = "acxt_"  # noqa: S105 -- a fixed beginning, so that scanners find leaked ones
ACTIVE: Final = "active"
SUSPENDED: Final = "suspended"

# Made once: they run for every request.
_BY_TOKEN: Final = select(members).where(members.c.token_hash == bindparam("digest"))
_BY_KEY: Final = select(members).where(members.c.member_key == bindparam("key"))


@dataclass(frozen=True, slots=True)
class Member:
    """A member, as the operator knows it.

    Attributes:
        id: random, the same for good.
        name: what the operator calls it; in no event and no log line.
        role: as in its invite.
        status: `active` or `suspended`.
        joined: the UTC hour.
        key: its public key, base64.
        terms: version of the terms that it accepted.
        criteria: on what grounds it was admitted.
        marks: numbers of the registered marks that two operators have verified; of a brand.
        reenrolled: the UTC hour at which it last got a new wallet; empty if never.
    """

    id: str
    name: str
    role: str
    status: str
    joined: str
    key: str
    terms: str
    criteria: tuple[str, ...]
    marks: tuple[str, ...]
    reenrolled: str

    @property
    def may_post(self) -> bool:
        """Whether it gets credentials."""
        return self.role in POSTING_ROLES


def new_token() -> str:
    """A bearer token: 256 random bits, shown once and stored only as a digest."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def token_digest(token: str) -> bytes:
    """What is stored of a token; a plain digest, because there is nothing to guess in it."""
    return hashlib.sha256(token.encode()).digest()


def member_of_token(connection: Connection, token: str) -> Member:
    """The member a bearer token was given to.

    Raises:
        Unauthenticated: the token is nobody's.
        Suspended: its member is suspended.
    """
    row = connection.execute(_BY_TOKEN, {"digest": token_digest(token)}).one_or_none()
    if row is None:
        raise Unauthenticated("the token is nobody's: join again with the same key for a new one")
    return _in_good_standing(row)


def is_admitted(connection: Connection, token: str) -> bool:
    """Whether a bearer token is a member's in good standing."""
    try:
        member_of_token(connection, token)
    except (Unauthenticated, Suspended):
        return False
    return True


def member_of_key(connection: Connection, member_key: str) -> Member:
    """The member whose key signed a request.

    Raises:
        Unauthenticated: the key is nobody's.
        Suspended: its member is suspended.
    """
    row = connection.execute(_BY_KEY, {"key": member_key}).one_or_none()
    if row is None:
        raise Unauthenticated("the request is signed by no member's key: join first")
    return _in_good_standing(row)


def list_members(connection: Connection) -> tuple[Member, ...]:
    """Every member, by name."""
    rows = connection.execute(select(members).order_by(members.c.name))
    return tuple(_member(row) for row in rows)


def member_called(connection: Connection, name: str) -> Member:
    """The member of a name.

    Raises:
        GovernanceError: there is none.
    """
    row = connection.execute(
        select(members).where(members.c.name == name).with_for_update()
    ).one_or_none()
    if row is None:
        raise GovernanceError(f"no member is called {name!r}: see `acx exchange members`")
    return _member(row)


def set_status(connection: Connection, name: str, status: str) -> tuple[Member, Act]:
    """Suspend or reinstate a member.

    Returns:
        The member, and the act that says so, to be put on record.

    Raises:
        GovernanceError: no such member, or it is so already.
    """
    member = member_called(connection, name)
    if member.status == status:
        raise GovernanceError(f"{name} is {status} already")
    connection.execute(update(members).where(members.c.id == member.id).values(status=status))
    # The log calls a brand by the key it signs with, and others by their id.
    act = Act(
        act="suspended" if status == SUSPENDED else "reinstated",
        code=member.role,
        target=member.key if member.marks else member.id,
    )
    return replace(member, status=status), act


def verify_marks(connection: Connection, member: str, numbers: Iterable[str]) -> None:
    """Note down the registered marks that two operators have verified."""
    marks = ",".join(numbers)
    connection.execute(update(members).where(members.c.id == member).values(marks=marks))


def _in_good_standing(row: Row[*tuple[str, ...]]) -> Member:
    if row.status != ACTIVE:
        raise Suspended("this membership is suspended: ask the operator, who can reinstate it")
    return _member(row)


def _member(row: Row[*tuple[str, ...]]) -> Member:
    return Member(
        id=row.id,
        name=row.name,
        role=row.role,
        status=row.status,
        joined=row.joined,
        key=row.member_key,
        terms=row.terms,
        criteria=_listed(row.criteria),
        marks=_listed(row.marks),
        reenrolled=row.reenrolled or "",
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
