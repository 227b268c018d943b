"""Four eyes: what one operator has signed waits here until another approves it.

The first operator's signed event waits as a proposal. The second's approval is appended together
with it, so the log never holds one without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, Protocol, get_args

from sqlalchemy import Connection, Row, delete, insert, select, update

from acx.exchange.clock import hour_text
from acx.exchange.errors import GovernanceError
from acx.exchange.governance.operators import Signatory
from acx.exchange.sequencer.outbox import next_seq
from acx.exchange.storage.schema import proposals
from acx.records.event import Event, parse_event

Kind = Literal["erasure", "resolution", "invitation", "verification", "reenrolment"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one operator has signed and another has yet to approve.

    Attributes:
        id: what `approve` is given: the first event's id.
        kind: `erasure`, `resolution`, `invitation`, `verification` or `reenrolment`.
        report: what it is about; empty if no report, or more than one.
        code: why.
        proposed_by: the operator who signed it.
        approved_by: the operator who approved it, or empty.
        created: the UTC hour.
        events: what was signed.
        details: what its approval needs to know and the log does not hold, as JSON.
        result: what its approval made, shown this once: an invite's line.
    """

    id: str
    kind: Kind
    report: str
    code: str
    proposed_by: str
    approved_by: str
    created: str
    events: tuple[Event, ...]
    details: str = ""
    result: str = ""


class Approvable(Protocol):
    """What can be proposed: it knows whether a proposal still fits, and what follows from it."""

    def check(self, connection: Connection, proposal: Proposal) -> None:
        """See that the log has not overtaken a proposal.

        Raises:
            GovernanceError: it has; with what to do.
        """

    def approved(self, proposal: Proposal) -> str:
        """Do what follows once it is on record; give what is to be shown for it."""


def propose(
    connection: Connection,
    signatory: Signatory,
    kind: Kind,
    events: Sequence[Event],
    *,
    code: str,
    now: datetime,
    details: str = "",
) -> Proposal:
    """Keep what an operator has signed for another to approve.

    Raises:
        GovernanceError: the same was proposed before.
    """
    first = events[0]
    if connection.execute(select(proposals.c.id).where(proposals.c.id == first.id)).first():
        raise GovernanceError(f"the same was proposed already, as {first.id}")
    proposal = Proposal(
        id=first.id,
        kind=kind,
        report=first.report,
        code=code,
        proposed_by=signatory.name,
        approved_by="",
        created=hour_text(now),
        events=tuple(events),
        details=details,
    )
    connection.execute(
        insert(proposals).values(
            id=proposal.id,
            kind=kind,
            report=proposal.report,
            code=code,
            # Canonical JSON holds no line feed.
            event=b"\n".join(event.raw for event in events),
            proposed_by=signatory.name,
            created=proposal.created,
            details=details,
        )
    )
    return proposal


def reserved(connection: Connection, signatory: Signatory, report: str) -> int:
    """How many events about a report (or none) an operator has signed that wait for approval."""
    return sum(
        event.by == signatory.public and event.report == report
        for kind in KINDS
        for proposal in waiting(connection, kind)
        for event in proposal.events
    )


def approve(connection: Connection, signatory: Signatory, proposal_id: str) -> Proposal:
    """Mark another operator's proposal as approved by this one.

    Raises:
        GovernanceError: no such proposal, one's own, or one that is approved already.
    """
    row = connection.execute(
        select(proposals).where(proposals.c.id == proposal_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise GovernanceError(f"no proposal {proposal_id[:64]!r}: see `acx exchange proposals`")
    proposal = _proposal(row)
    if proposal.approved_by:
        raise GovernanceError(f"{proposal.approved_by} has approved this proposal already")
    if signatory.name == proposal.proposed_by or signatory.public == proposal.events[0].by:
        raise GovernanceError(
            f"{signatory.name} proposed this: another operator has to approve it (--as OTHER)"
        )
    connection.execute(
        update(proposals).where(proposals.c.id == proposal.id).values(approved_by=signatory.name)
    )
    return replace(proposal, approved_by=signatory.name)


def check_order(connection: Connection, proposal: Proposal) -> None:
    """See that nothing has come between what was signed before and what is to be appended now.

    Raises:
        GovernanceError: something has.
    """
    for number, event in enumerate(proposal.events):
        if event.seq != next_seq(connection, event.by, event.report) + number:
            raise GovernanceError(
                f"{proposal.proposed_by} has signed other things since, or has proposed some "
                "before that wait still: approve those first, or `acx exchange reject` this one "
                "and propose it again"
            )


def reject(connection: Connection, proposal_id: str) -> None:
    """Drop a proposal that nobody has approved; nothing of it is in the log.

    Raises:
        GovernanceError: no such proposal, or it is approved.
    """
    dropped = connection.execute(
        delete(proposals).where(proposals.c.id == proposal_id, proposals.c.approved_by.is_(None))
    )
    if not dropped.rowcount:
        raise GovernanceError(f"no proposal {proposal_id[:64]!r} waits: nothing was rejected")


def reopen(connection: Connection, proposal_id: str) -> None:
    """Let a proposal wait again, because the log did not take it."""
    connection.execute(
        update(proposals).where(proposals.c.id == proposal_id).values(approved_by=None)
    )


def waiting(connection: Connection, kind: Kind) -> tuple[Proposal, ...]:
    """The proposals of a kind that nobody has approved."""
    rows = connection.execute(
        select(proposals).where(proposals.c.kind == kind, proposals.c.approved_by.is_(None))
    )
    return tuple(map(_proposal, rows))


def list_proposals(connection: Connection) -> tuple[Proposal, ...]:
    """Every proposal, those that wait first."""
    rows = connection.execute(
        select(proposals).order_by(proposals.c.approved_by.is_not(None), proposals.c.created)
    )
    return tuple(map(_proposal, rows))


def _proposal(row: Row[*tuple[object, ...]]) -> Proposal:
    return Proposal(
        row.id,
        row.kind,
        row.report,
        row.code,
        row.proposed_by,
        row.approved_by or "",
        row.created,
        tuple(parse_event(raw) for raw in bytes(row.event).split(b"\n")),
        row.details,
    )
