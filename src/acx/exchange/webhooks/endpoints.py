"""Members' webhooks: where to post what is new, from which place on, and how it goes.

Functions over a connection, whose transaction is the caller's. What is to be posted is not stored:
an endpoint has a cursor, and what lies behind it is read from the log when it is sent. So nothing
that was erased waits anywhere.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from acx.exchange.admission.members import ACTIVE
from acx.exchange.errors import NoSuchWebhook, TooManyWebhooks
from acx.exchange.storage.schema import members, webhooks
from acx.records.event import short_id

MAX_WEBHOOKS: Final = 5
"""Of one member."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- as Standard Webhooks writes them
SECRET_BYTES: Final = 32
OLD_SECRET_HOURS: Final = 24
"""How long what was signed with the secret before a rotation is signed with both."""
_NONCE_BYTES: Final = 12

Place = Annotated[int, Meta(ge=-1, lt=2**53)]


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to post, and what: entries after a place, by default after the newest."""

    url: Annotated[str, Meta(max_length=1024)]
    after: Place | msgspec.UnsetType = msgspec.UNSET


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on to post again: entries after a place, by default where it stopped."""

    after: Place | msgspec.UnsetType = msgspec.UNSET


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook, as its member sees it.

    `status` is `active`, or `dead` once it has refused for too long or said that it is gone: then
    nothing is posted until `replay`. `after` is the last entry it has taken, `problem` why the last
    post failed, `attempts` how often it did in a row, `next` when it is tried again.
    """

    id: str
    url: str
    status: Literal["active", "dead"]
    after: int
    attempts: int
    problem: str
    next: str


class WebhookWithSecret(Webhook, frozen=True, kw_only=True):
    """A webhook with the secret that its posts are signed with, which is shown this once."""

    secret: str


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """A member's webhooks."""

    webhooks: tuple[Webhook, ...]


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """How a test post ended: status of the answer, 0 for none, and what went wrong."""

    status: int
    problem: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A webhook, as the exchange posts to it.

    Attributes:
        id: random.
        url: where.
        secrets: what is signed with, the newest first.
        after: the last entry that was taken.
        stop: index after the last one of the post that is under way; 0 if none is.
        attempts: how often that one failed.
        failing_since: seconds since 1970; 0 if the last post was taken.
        revision: rises with what the member changes, so that a post that was under way then does
            not undo it.
    """

    id: str
    url: str
    secrets: tuple[bytes, ...]
    after: int
    stop: int
    attempts: int
    failing_since: int
    revision: int


class Seal:
    """Keeps secrets in the database from whoever has the database alone."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(hmac.digest(key, b"acx-webhook-secrets/v1", "sha256"))

    def seal(self, secret: bytes, webhook: str) -> bytes:
        """A secret as it is stored."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, webhook.encode())

    def open(self, sealed: bytes, webhook: str) -> bytes:
        """A secret that was stored."""
        return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], webhook.encode())


def create(
    connection: Connection, seal: Seal, member: str, url: str, after: int
) -> WebhookWithSecret:
    """Post what comes after a place to a URL from now on.

    Raises:
        TooManyWebhooks: the member has as many as it may have.
    """
    count = select(func.count()).select_from(webhooks).where(webhooks.c.member == member)
    if connection.execute(count).scalar_one() >= MAX_WEBHOOKS:
        raise TooManyWebhooks(f"a member has {MAX_WEBHOOKS} webhooks at most: delete one first")
    name, secret = short_id(secrets.token_bytes(32)), secrets.token_bytes(SECRET_BYTES)
    connection.execute(
        insert(webhooks).values(
            id=name,
            member=member,
            url=url,
            secret=seal.seal(secret, name),
            after=after,
        )
    )
    return _with_secret(_one(connection, member, name), secret)


def of_member(connection: Connection, member: str) -> Webhooks:
    """A member's webhooks."""
    rows = connection.execute(
        select(webhooks).where(webhooks.c.member == member).order_by(webhooks.c.id)
    )
    return Webhooks(webhooks=tuple(map(_shown, rows)))


def remove(connection: Connection, member: str, name: str) -> None:
    """Post there no more.

    Raises:
        NoSuchWebhook: the member has none of this id.
    """
    removed = connection.execute(
        delete(webhooks).where(webhooks.c.id == name, webhooks.c.member == member)
    )
    if removed.rowcount != 1:
        raise _none(name)


def rotate(
    connection: Connection, seal: Seal, member: str, name: str, now: datetime
) -> WebhookWithSecret:
    """Sign with another secret from now on, and for a day with the one before too.

    Raises:
        NoSuchWebhook: the member has none of this id.
    """
    row = _one(connection, member, name)
    secret = secrets.token_bytes(SECRET_BYTES)
    until = now + timedelta(hours=OLD_SECRET_HOURS)
    _change(
        connection,
        row,
        secret=seal.seal(secret, name),
        old_secret=row.secret,
        old_until=int(until.timestamp()),
    )
    return _with_secret(_one(connection, member, name), secret)


def replay(connection: Connection, member: str, name: str, replayed: Replay, head: int) -> Webhook:
    """Post again from some place on, or from where it stopped.

    Raises:
        NoSuchWebhook: the member has none of this id.
    """
    row = _one(connection, member, name)
    after = row.after if replayed.after is msgspec.UNSET else min(replayed.after, head)
    _change(
        connection,
        row,
        after=after,
        stop=0,
        dead=0,
        due=0,
        attempts=0,
        failing_since=0,
        problem="",
    )
    return _shown(_one(connection, member, name))


def endpoint(connection: Connection, seal: Seal, member: str, name: str, now: int) -> Endpoint:
    """One of a member's webhooks, to post to.

    Raises:
        NoSuchWebhook: the member has none of this id.
    """
    return _endpoint(seal, _one(connection, member, name), now)


def due(connection: Connection, seal: Seal, now: int, size: int) -> list[Endpoint]:
    """Where there is something to post now: of members in good standing, behind the head."""
    rows = connection.execute(
        select(webhooks)
        .join(members, members.c.id == webhooks.c.member)
        .where(
            members.c.status == ACTIVE,
            webhooks.c.dead == 0,
            webhooks.c.due <= now,
            webhooks.c.after < size - 1,
        )
        .order_by(webhooks.c.due, webhooks.c.id)
    )
    return [_endpoint(seal, row, now) for row in rows]


def next_due(connection: Connection, size: int) -> int | None:
    """When something is to be posted next, in seconds since 1970; None if nothing is."""
    query = select(func.min(webhooks.c.due)).where(
        webhooks.c.dead == 0, webhooks.c.after < size - 1
    )
    found = connection.execute(query).scalar_one()
    return None if found is None else int(found)


def begun(connection: Connection, posted: Endpoint, stop: int) -> None:
    """Note down what a post holds, so that it holds the same when it is tried again."""
    _note(connection, posted, stop=stop)


def taken(connection: Connection, posted: Endpoint, last: int) -> None:
    """Note down that a target has everything up to a place."""
    _note(connection, posted, after=last, stop=0, attempts=0, failing_since=0, due=0, problem="")


def failed(
    connection: Connection, posted: Endpoint, *, problem: str, since: int, due: int, dead: bool
) -> None:
    """Note down that it has not, and when to try again."""
    _note(
        connection,
        posted,
        attempts=posted.attempts + 1,
        failing_since=since,
        due=due,
        problem=problem,
        dead=int(dead),
    )


def _note(connection: Connection, posted: Endpoint, **values: object) -> None:
    connection.execute(
        update(webhooks)
        .where(webhooks.c.id == posted.id, webhooks.c.revision == posted.revision)
        .values(**values)
    )


def _change(connection: Connection, row: Row[*tuple[object, ...]], **values: object) -> None:
    connection.execute(
        update(webhooks)
        .where(webhooks.c.id == row.id)
        .values(revision=webhooks.c.revision + 1, **values)
    )


def _one(connection: Connection, member: str, name: str) -> Row[*tuple[object, ...]]:
    row = connection.execute(
        select(webhooks).where(webhooks.c.id == name, webhooks.c.member == member)
    ).one_or_none()
    if row is None:
        raise _none(name)
    return row


def _none(name: str) -> NoSuchWebhook:
    return NoSuchWebhook(f"no webhook of yours is called {name[:26]!r}: list them")


def _endpoint(seal: Seal, row: Row[*tuple[object, ...]], now: int) -> Endpoint:
    signing = [seal.open(bytes(row.secret), row.id)]
    if row.old_secret is not None and now < row.old_until:
        signing.append(seal.open(bytes(row.old_secret), row.id))
    return Endpoint(
        row.id,
        row.url,
        tuple(signing),
        row.after,
        row.stop,
        row.attempts,
        row.failing_since,
        row.revision,
    )


def _shown(row: Row[*tuple[object, ...]]) -> Webhook:
    waits = row.attempts and not row.dead
    return Webhook(
        id=row.id,
        url=row.url,
        status="dead" if row.dead else "active",
        after=row.after,
        attempts=row.attempts,
        problem=row.problem,
        next=second_text(row.due) if waits else "",
    )


def _with_secret(row: Row[*tuple[object, ...]], secret: bytes) -> WebhookWithSecret:
    text = SECRET_PREFIX + base64.b64encode(secret).decode()
    return WebhookWithSecret(**msgspec.structs.asdict(_shown(row)), secret=text)


def second_text(moment: float) -> str:
    """A moment as ISO 8601 writes it, to the second."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
