"""The outbox: events that were decided on and are still to be appended.

Whoever decides (a command, the join request) writes the decision and its events in one transaction,
and is done; the process that leads appends them. So commands work while the server runs and while
it does not, and neither can be half-done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from acx.exchange.storage.schema import entries, outbox
from acx.records.event import BODIES, Body, Event, canonical, parse_event


@dataclass(frozen=True, slots=True)
class Planned:
    """An event the service's own key will sign when it is appended."""

    type: str
    body: Body
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One decision's events, to be appended together.

    Attributes:
        id: rises; decisions are appended in this order.
        events: signed by operators, or planned for the service's key.
    """

    id: int
    events: tuple[Event | Planned, ...]


class _Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    signed: str = ""
    type: str = ""
    body: msgspec.Raw = msgspec.Raw(b"{}")
    ref: str = ""


def plan(connection: Connection, *events: Event | Planned) -> int:
    """Note down events to append together, in this transaction.

    Returns:
        The decision's id, to ask for its `outcome`.
    """
    rows = [
        _Row(signed=event.raw.decode())
        if isinstance(event, Event)
        else _Row(type=event.type, body=msgspec.Raw(canonical(event.body)), ref=event.ref)
        for event in events
    ]
    inserted = connection.execute(
        insert(outbox).values(acts=msgspec.json.encode(rows)).returning(outbox.c.id)
    )
    return int(inserted.scalar_one())


def waiting(connection: Connection, limit: int) -> tuple[Waiting, ...]:
    """The oldest decisions whose events are still to be appended."""
    rows = connection.execute(
        select(outbox.c.id, outbox.c.acts)
        .where(outbox.c.refused.is_(None))
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return tuple(Waiting(row.id, tuple(map(_event, _decode(row.acts)))) for row in rows)


def discharge(connection: Connection, decisions: Iterable[int]) -> None:
    """Strike out decisions, in the transaction that appends their events."""
    connection.execute(delete(outbox).where(outbox.c.id.in_(list(decisions))))


def refuse(connection: Connection, decision: int, reason: str) -> None:
    """Note down that a decision's events cannot be appended, for whoever waits for them."""
    connection.execute(update(outbox).where(outbox.c.id == decision).values(refused=reason))


def outcome(connection: Connection, decision: int) -> str | None:
    """How a decision stands: None while it waits, empty once appended, else why it was refused."""
    row = connection.execute(select(outbox.c.refused).where(outbox.c.id == decision)).one_or_none()
    return "" if row is None else row.refused


def next_seq(connection: Connection, by: str, report: str) -> int:
    """The number of the next event `by` signs about `report`, those in the outbox counted too."""
    last = connection.execute(
        select(func.max(entries.c.seq)).where(entries.c.by == by, entries.c.report == report)
    ).scalar_one()
    seqs = [-1 if last is None else int(last)]
    for row in connection.execute(select(outbox.c.acts).where(outbox.c.refused.is_(None))):
        for item in _decode(row.acts):
            event = _event(item)
            if isinstance(event, Event) and (event.by, event.report) == (by, report):
                seqs.append(event.seq)
    return max(seqs) + 1


def _decode(acts: bytes) -> list[_Row]:
    return msgspec.json.decode(acts, type=list[_Row])


def _event(row: _Row) -> Event | Planned:
    if row.signed:
        return parse_event(row.signed.encode())
    return Planned(row.type, msgspec.json.decode(row.body, type=BODIES[row.type]), row.ref)
