"""Issuer keys: made, kept, published ahead of their time, and which of them is used when.

The secret keys are in the database, sealed under `HOME/keys/issuer.key`: rows or dumps alone let
nobody mint credentials. A key and the `key` event that publishes it are one transaction.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, func, insert, select

from acx.credentials.keys import SecretKey
from acx.exchange.clock import hour_text, parse_hour
from acx.exchange.errors import GovernanceError, HomeError
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.storage.schema import issuer_keys
from acx.records.event import Act, IssuerKey
from acx.records.issuer_keys import (
    EMERGENCY_EVERY,
    EMERGENCY_STARTS_AFTER,
    PUBLISHED_AHEAD,
    STARTS_AFTER,
    Term,
    issuer_key_id,
    next_period,
    usable,
)

_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An issuer key.

    Attributes:
        term: its id, and from when it is used.
        secret: the encoded secret key.
        made: the hour.
        emergency: whether it was made at short notice.
    """

    term: Term
    secret: bytes
    made: datetime
    emergency: bool


def found_key(connection: Connection, seal: bytes, now: datetime) -> tuple[StoredKey, Planned]:
    """The key of a log that begins, and the event that publishes it."""
    return _make(connection, seal, now, starts=now.replace(minute=0, second=0, microsecond=0))


def rotate(
    connection: Connection, seal: bytes, now: datetime, *, emergency: bool = False
) -> StoredKey:
    """Publish a key out of turn; what was published and has not started by then never will.

    Raises:
        GovernanceError: there was an emergency within the last week.
    """
    if emergency:
        for key in load_keys(connection, seal):
            if key.emergency and now - key.made < EMERGENCY_EVERY:
                again = key.made + EMERGENCY_EVERY
                raise GovernanceError(
                    f"the last emergency was at {hour_text(key.made)}, and members' wallets take "
                    f"one a week: without --emergency now, or from {hour_text(again)} on"
                )
    wait = EMERGENCY_STARTS_AFTER if emergency else STARTS_AFTER
    key, published = _make(
        connection, seal, now, starts=_next_hour(now + wait), emergency=emergency
    )
    code = "emergency" if emergency else "issuer_key"
    plan(connection, published, Planned("act", Act(act="rotated", code=code)))
    return key


def publish_next(connection: Connection, seal: bytes, now: datetime) -> StoredKey | None:
    """Publish the next period's key, if it is time to and nobody has."""
    terms = usable([key.term for key in load_keys(connection, seal)], now)
    starts = _next_hour(now + STARTS_AFTER)
    if terms:
        begins = next_period(terms[-1].starts)
        if now < begins - PUBLISHED_AHEAD:
            return None
        starts = max(begins, starts)
    key, published = _make(connection, seal, now, starts=starts)
    plan(connection, published)
    return key


def replace_coming(connection: Connection, seal: bytes, now: datetime, ids: set[str]) -> None:
    """Put a new key in the place of any of these that is published and has not started yet."""
    keys = load_keys(connection, seal)
    for term in usable([key.term for key in keys], now):
        if term.id in ids and term.starts > now:
            starts = max(term.starts, _next_hour(now + STARTS_AFTER))
            plan(connection, _make(connection, seal, now, starts=starts)[1])


def load_keys(connection: Connection, seal: bytes) -> tuple[StoredKey, ...]:
    """Every key, in the order in which they were published.

    Raises:
        HomeError: they were sealed under another file.
    """
    rows = connection.execute(select(issuer_keys).order_by(issuer_keys.c.number))
    return tuple(
        StoredKey(
            Term(row.number, row.id, parse_hour(row.starts)),
            _opened(seal, row.id, bytes(row.sealed)),
            parse_hour(row.made),
            bool(row.emergency),
        )
        for row in rows
    )


def _make(
    connection: Connection,
    seal: bytes,
    now: datetime,
    *,
    starts: datetime,
    emergency: bool = False,
) -> tuple[StoredKey, Planned]:
    secret = SecretKey.generate()
    public = secret.public_key.encode()
    key_id = issuer_key_id(public)
    number = (connection.execute(select(func.max(issuer_keys.c.number))).scalar_one() or 0) + 1
    key = StoredKey(Term(number, key_id, starts), secret.encode(), now, emergency)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(seal).encrypt(nonce, key.secret, key_id.encode())
    connection.execute(
        insert(issuer_keys).values(
            number=number,
            id=key_id,
            starts=hour_text(starts),
            made=hour_text(now),
            emergency=int(emergency),
            sealed=sealed,
        )
    )
    body = IssuerKey(
        id=key_id,
        public_key=base64.b64encode(public).decode(),
        not_before=hour_text(starts),
        emergency=emergency,
    )
    return key, Planned("key", body)


def _opened(seal: bytes, key_id: str, sealed: bytes) -> bytes:
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(seal).decrypt(nonce, ciphertext, key_id.encode())
    except InvalidTag:
        raise HomeError(
            "keys/issuer.key does not open the issuer's keys: bring both back from one backup"
        ) from None


def _next_hour(moment: datetime) -> datetime:
    """The first hour that begins at a moment or after it."""
    begun = moment.replace(minute=0, second=0, microsecond=0)
    return begun if begun == moment else begun + timedelta(hours=1)
