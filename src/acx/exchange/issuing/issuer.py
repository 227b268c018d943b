"""Issuing: one credential a member and key, over the secret that the member enrolled with.

What is kept of it is that a member has a credential under a key, and the answer itself, so that
asking again brings the same. Nothing that is ever posted can be held against it.
"""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, delete, insert, select, update

from acx.credentials import errors as credential_errors
from acx.credentials.issuance import CredentialRequest, enrol, renew
from acx.credentials.keys import SecretKey
from acx.errors import AcxError
from acx.exchange.clock import Clock
from acx.exchange.errors import (
    Forbidden,
    ForeignCommitment,
    MalformedRequest,
    Unavailable,
    WrongIssuerKey,
)
from acx.exchange.issuing.keys import StoredKey, load_keys, publish_next, replace_coming
from acx.exchange.storage.database import Database
from acx.exchange.storage.schema import credentials, members
from acx.records.issuer_keys import OVERLAP, in_force, usable

LOOK_SECONDS: Final = 60.0
"""How often the service looks for keys that others have published, or that it is time for."""

_log = logging.getLogger("acx.exchange.issuing")


class CredentialRequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member asks a credential with.

    Attributes:
        key: id of the issuer key.
        request: base64 of an ARC credential request.
    """

    key: Annotated[str, Meta(min_length=1, max_length=64)]
    request: Annotated[str, Meta(max_length=512)]


class IssuedCredential(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets.

    Attributes:
        key: id of the issuer key.
        response: base64 of an ARC credential response.
    """

    key: str
    response: str


class Issuer:
    """Issues credentials, and knows the keys that presentations are verified with.

    Attributes:
        keys: in the order in which they were published.
    """

    def __init__(self, database: Database, seal: bytes, *, clock: Clock) -> None:
        """Know the keys there are.

        Args:
            database: has them.
            seal: what they are sealed under.
            clock: the time.
        """
        self._database = database
        self._seal = seal
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acx-issuer", daemon=True)
        with database.read() as connection:
            self.keys = load_keys(connection, seal)

    def refresh(self) -> None:
        """Publish the next period's key if it is time to, and know what others have published."""
        with self._database.write() as connection:
            if publish_next(connection, self._seal, self._clock()) is not None:
                _log.info("the next period's key is published")
            self.keys = load_keys(connection, self._seal)

    def start(self) -> None:
        """Refresh from time to time, from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop refreshing."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def verifying_key(self, key_id: str) -> bytes:
        """The secret key to verify presentations with that name this key.

        Around a change of keys both are taken, for clocks differ.

        Raises:
            WrongIssuerKey: there is no such key, or another one is used now.
        """
        now = self._clock()
        terms = [key.term for key in self._known(key_id)]
        taken = {in_force(terms, moment) for moment in (now - OVERLAP, now, now + OVERLAP)}
        for key in self.keys:
            if key.term.id == key_id:
                if key.term in taken:
                    return key.secret
                current = in_force(terms, now)
                raise WrongIssuerKey(
                    f"the issuer key {key_id} is not in use now, but "
                    f"{current.id if current else 'none'}: sync, and authorise the event anew"
                )
        raise WrongIssuerKey(
            f"this exchange has no issuer key {key_id[:64]!r}: sync, and authorise the event anew"
        )

    def enrol(self, connection: Connection, member: str, request: str) -> IssuedCredential:
        """Keep what a new member has committed to, and issue its first credential.

        Raises:
            MalformedRequest: it is no credential request.
        """
        parsed = _parsed(request)
        key = self.current
        try:
            response = enrol(SecretKey.decode(key.secret), parsed)
        except credential_errors.InvalidRequest as error:
            raise MalformedRequest(str(error)) from None
        connection.execute(
            update(members).where(members.c.id == member).values(commitment=parsed.commitment)
        )
        # Whatever was issued over an earlier secret is of no use with this one.
        connection.execute(delete(credentials).where(credentials.c.member == member))
        return _keep(connection, member, key.term.id, response.encode())

    def issue(
        self, connection: Connection, member: str, request: CredentialRequestBody
    ) -> IssuedCredential:
        """Issue a member's credential under a key, over the secret it enrolled with.

        Args:
            connection: a transaction that writes.
            member: in good standing, and may post.
            request: as sent.

        Raises:
            WrongIssuerKey: the key is over, or there is none such.
            ForeignCommitment: the request is over another secret.
            MalformedRequest: it is no credential request.
        """
        parsed = _parsed(request.request)
        kept = connection.execute(
            select(members.c.commitment).where(members.c.id == member).with_for_update()
        ).scalar_one()
        if kept is None:
            raise Forbidden("this membership enrolled no secret: ask the operator to re-enrol it")
        if parsed.commitment != bytes(kept):
            raise ForeignCommitment(
                "the request is over another secret than the one enrolled: ask with the wallet "
                "that joined, or have its loss put on record and enrol again"
            )
        key = self._usable(request.key)
        stored = connection.execute(
            select(credentials.c.response).where(
                credentials.c.member == member, credentials.c.key == key.term.id
            )
        ).scalar_one_or_none()
        if stored is not None:
            return _issued(key.term.id, bytes(stored))
        try:
            response = renew(SecretKey.decode(key.secret), parsed, bytes(kept))
        except credential_errors.InvalidRequest as error:
            raise MalformedRequest(str(error)) from None
        return _keep(connection, member, key.term.id, response.encode())

    def issue_again(self, connection: Connection, member: str, request: str) -> IssuedCredential:
        """A credential under the key of the moment, for who joined before."""
        body = CredentialRequestBody(key=self.current.term.id, request=request)
        return self.issue(connection, member, body)

    def replace_coming(self, connection: Connection, member: str) -> None:
        """See that what a member holds of keys to come is worth nothing; see `keys`."""
        held = holders(connection, member)
        replace_coming(connection, self._seal, self._clock(), held)

    @property
    def current(self) -> StoredKey:
        """The key in use.

        Raises:
            Unavailable: none is, by the clock.
        """
        term = in_force([key.term for key in self.keys], self._clock())
        for key in self.keys:
            if key.term == term:
                return key
        raise Unavailable("the exchange has no issuer key at the moment: try again later")

    def _usable(self, key_id: str) -> StoredKey:
        keys = self._known(key_id)
        ids = [term.id for term in usable([key.term for key in keys], self._clock())]
        for key in keys:
            if key.term.id == key_id and key_id in ids:
                return key
        raise WrongIssuerKey(
            f"no credentials are issued under {key_id[:64]!r}: sync for the keys of the log"
        )

    def _known(self, key_id: str) -> tuple[StoredKey, ...]:
        """The keys; read anew where one is named that was not there when they were read."""
        if all(key.term.id != key_id for key in self.keys):
            with self._database.read() as connection:
                self.keys = load_keys(connection, self._seal)
        return self.keys

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.refresh()
            except (AcxError, OSError) as error:
                _log.error("issuer keys not refreshed", extra={"reason": str(error)})
            except Exception:  # noqa: BLE001 -- a dead thread would let a period begin without key
                _log.exception("issuer keys not refreshed")


def holders(connection: Connection, member: str) -> set[str]:
    """Ids of the keys under which a member has a credential."""
    return set(
        connection.execute(
            select(credentials.c.key).where(credentials.c.member == member)
        ).scalars()
    )


def _parsed(request: str) -> CredentialRequest:
    try:
        return CredentialRequest.decode(base64.b64decode(request, validate=True))
    except binascii.Error:
        raise MalformedRequest("the credential request is not base64") from None
    except credential_errors.MalformedEncoding as error:
        raise MalformedRequest(f"credential request: {error}") from None


def _keep(connection: Connection, member: str, key: str, response: bytes) -> IssuedCredential:
    connection.execute(insert(credentials).values(member=member, key=key, response=response))
    _log.info("issued")
    return _issued(key, response)


def _issued(key: str, response: bytes) -> IssuedCredential:
    return IssuedCredential(key=key, response=base64.b64encode(response).decode())
