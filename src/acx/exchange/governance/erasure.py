"""Erasure with four eyes: one operator proposes, another approves, then keys are destroyed.

The first operator's signed event waits as a proposal. The second's approval is appended together
with it, so the log never holds one without the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, update

from acx.exchange.clock import hour_text
from acx.exchange.errors import GovernanceError
from acx.exchange.sequencer.outbox import next_seq, plan
from acx.exchange.storage.ledger import erasable
from acx.exchange.storage.schema import proposals
from acx.records.event import Act, Erasure, Event, EventError, parse_event, sign_event


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one operator has signed and another has yet to approve.

    Attributes:
        id: what `approve` is given.
        kind: `erasure`.
        report: what it is about.
        code: why.
        proposed_by: the operator who signed it.
        approved_by: the operator who approved it, or empty.
        created: the UTC hour.
    """

    id: str
    kind: str
    report: str
    code: str
    proposed_by: str
    approved_by: str
    created: str


@dataclass(frozen=True, slots=True)
class Signatory:
    """An operator who signs now."""

    name: str
    key: Ed25519PrivateKey
    public: str


def propose_erasure(
    connection: Connection,
    signatory: Signatory,
    *,
    origin: str,
    report: str,
    code: str,
    now: datetime,
) -> Proposal:
    """Sign the erasure of a report and its amendments, for another operator to approve.

    Raises:
        GovernanceError: nothing to erase, a proposal that waits already, or a code that is none.
    """
    waits = connection.execute(
        select(proposals.c.id).where(
            proposals.c.report == report, proposals.c.approved_by.is_(None)
        )
    ).scalar_one_or_none()
    if waits is not None:
        raise GovernanceError(f"proposal {waits} for this report waits: `acx exchange approve`")
    indices = erasable(connection, report)
    if not indices:
        raise GovernanceError(
            f"no report {report[:64]!r} in the log has anything left to erase: check its id"
        )
    event = _signed_erasure(
        connection, signatory, origin, report, Erasure(indices=tuple(indices), code=code)
    )
    proposal = Proposal(event.id, "erasure", report, code, signatory.name, "", hour_text(now))
    connection.execute(
        insert(proposals).values(
            id=proposal.id,
            kind=proposal.kind,
            report=report,
            code=code,
            event=event.raw,
            proposed_by=signatory.name,
            created=proposal.created,
        )
    )
    return proposal


def approve(
    connection: Connection, signatory: Signatory, *, origin: str, proposal_id: str
) -> tuple[Proposal, int]:
    """Sign the approval of another operator's proposal, and plan both events.

    Returns:
        The proposal, and the id of the decision in the outbox.

    Raises:
        GovernanceError: no such proposal, one's own, or one that the log has overtaken.
    """
    row = connection.execute(
        select(proposals).where(proposals.c.id == proposal_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise GovernanceError(f"no proposal {proposal_id[:64]!r}: see `acx exchange proposals`")
    if row.approved_by is not None:
        raise GovernanceError(f"{row.approved_by} has approved this proposal already")
    if row.proposed_by == signatory.name:
        raise GovernanceError(
            f"{signatory.name} proposed this: another operator has to approve it (--as OTHER)"
        )
    event = parse_event(row.event)
    body = event.body()
    if not isinstance(body, Erasure) or list(body.indices) != erasable(connection, row.report):
        raise GovernanceError(
            "the report has changed since this was proposed: `acx exchange reject` it, and "
            "propose again"
        )
    approval = sign_event(
        signatory.key,
        origin=origin,
        type="act",
        body=Act(act="approved", code=event.type),
        report=row.report,
        ref=event.id,
        seq=next_seq(connection, signatory.public, row.report),
    )
    decision = plan(connection, event, approval)
    connection.execute(
        update(proposals).where(proposals.c.id == row.id).values(approved_by=signatory.name)
    )
    return (
        Proposal(
            row.id, row.kind, row.report, row.code, row.proposed_by, signatory.name, row.created
        ),
        decision,
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


def list_proposals(connection: Connection) -> tuple[Proposal, ...]:
    """Every proposal, those that wait first."""
    rows = connection.execute(
        select(proposals).order_by(proposals.c.approved_by.is_not(None), proposals.c.created)
    )
    return tuple(
        Proposal(
            row.id,
            row.kind,
            row.report,
            row.code,
            row.proposed_by,
            row.approved_by or "",
            row.created,
        )
        for row in rows
    )


def _signed_erasure(
    connection: Connection, signatory: Signatory, origin: str, report: str, body: Erasure
) -> Event:
    try:
        return sign_event(
            signatory.key,
            origin=origin,
            type="erasure",
            body=body,
            report=report,
            seq=next_seq(connection, signatory.public, report),
        )
    except EventError as error:
        raise GovernanceError(f"not a code of an erasure: {error}") from None
