"""Operators: whose signatures count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, insert, select

from acx.exchange.errors import GovernanceError
from acx.exchange.home import Home
from acx.exchange.sequencer.outbox import Planned, next_seq, plan
from acx.exchange.storage.schema import operators
from acx.records.event import Act, Body, Event, EventError, public_key_text, sign_event

SERVICE: Final = "service"
"""Name of the key that signs what the service does by itself; it founds the log."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, as members know it.

    Attributes:
        name: what it is called.
        key: its public key, base64.
        added: the UTC hour.
    """

    name: str
    key: str
    added: str


@dataclass(frozen=True, slots=True)
class Signatory:
    """An operator who signs now.

    Attributes:
        name: what it is called.
        key: signs.
        origin: the log's name.
    """

    name: str
    key: Ed25519PrivateKey
    origin: str

    @property
    def public(self) -> str:
        """The public key, as in events."""
        return public_key_text(self.key)

    def sign(
        self,
        connection: Connection,
        type: str,  # noqa: A002 -- the field's name
        body: Body,
        *,
        report: str = "",
        ref: str = "",
        after: int = 0,
    ) -> Event:
        """An event, numbered to come after everything this operator has on record or planned.

        Args:
            connection: the log and the outbox.
            type: one of `acx.records.event.BODIES`.
            body: the type's record.
            report: the report it is about, if one.
            ref: the event it is about, if one.
            after: events signed and not planned yet that it comes after as well.

        Raises:
            GovernanceError: the event would be none, or over a limit.
        """
        try:
            return sign_event(
                self.key,
                origin=self.origin,
                type=type,
                body=body,
                report=report,
                ref=ref,
                seq=next_seq(connection, self.public, report) + after,
            )
        except EventError as error:
            raise GovernanceError(f"this {type} cannot be signed: {error}") from None

    def approve(self, connection: Connection, event: Event, after: int = 0) -> Event:
        """The act that approves another operator's event; `after` as in `sign`."""
        body = Act(act="approved", code=event.type)
        return self.sign(connection, "act", body, report=event.report, ref=event.id, after=after)


def list_operators(connection: Connection) -> tuple[Operator, ...]:
    """Every operator, the service's key among them, in the order of their names."""
    rows = connection.execute(select(operators).order_by(operators.c.name))
    return tuple(Operator(row.name, row.public_key, row.added) for row in rows)


def add_operator(
    connection: Connection, name: str, key: Ed25519PrivateKey, *, hour: str
) -> Operator:
    """Put an operator on record.

    Raises:
        GovernanceError: there is one of this name.
    """
    if connection.execute(select(operators).where(operators.c.name == name)).first():
        raise GovernanceError(f"there is an operator called {name} already")
    operator = Operator(name, public_key_text(key), hour)
    connection.execute(
        insert(operators).values(name=name, public_key=operator.key, added=operator.added)
    )
    if name != SERVICE:
        plan(connection, Planned("act", Act(act="operator_added", target=operator.key)))
    return operator


def signing_key(connection: Connection, home: Home, name: str) -> Ed25519PrivateKey:
    """The key of an operator, where it is kept on this machine and on record.

    Raises:
        GovernanceError: no such operator, or another key than the one on record.
        HomeError: the key is not here.
    """
    row = connection.execute(select(operators).where(operators.c.name == name)).one_or_none()
    if row is None or name == SERVICE:
        raise GovernanceError(
            f"there is no operator called {name!r}: `acx exchange operator add {name}` first"
        )
    key = home.operator_key(name)
    if public_key_text(key) != row.public_key:
        raise GovernanceError(f"the key of {name} in this home is not the one on record")
    return key
