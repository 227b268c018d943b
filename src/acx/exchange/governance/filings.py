"""What belongs to a dispute and not into the log: the accused's filing, and sealed texts.

Filings are private until an operator has triaged one and identified who filed; what is written is
sealed to the operators from the moment it arrives, and deleted once the dispute is final.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from acx.exchange.clock import hour_text
from acx.exchange.errors import GovernanceError
from acx.exchange.governance.operators import SERVICE
from acx.exchange.storage.schema import entries, filings, operators, texts
from acx.records.event import short_id
from acx.records.sealed_text import Message, seal_text

Proof = Literal["email", "domain", "operator"]
UNTRIAGED_DAYS: Final = 90
"""After so long a filing that became no dispute is deleted."""
TEXTS_AN_ANSWER: Final = 5


@dataclass(frozen=True, slots=True)
class Filing:
    """What somebody who is accused has filed.

    Attributes:
        id: told to who filed.
        report: the report it is about.
        code: why it is contested, one of `codes.DISPUTE`.
        proved_by: what who filed has shown: control of an address or a domain in the record, or
            to an operator who it is.
        received: the UTC hour.
        dispute: the dispute that came of it, or empty.
        closed: why it became none, or empty.
        sealed: what was written; empty once deleted.
    """

    id: str
    report: str
    code: str
    proved_by: Proof
    received: str
    dispute: str
    closed: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class SealedText:
    """What somebody wrote to the operators, or they among themselves, about a dispute.

    Attributes:
        about: the answer, or the proposed resolution, that it belongs to.
        received: the UTC hour.
        sealed: opens with an operator's key.
    """

    about: str
    received: str
    sealed: bytes


def recipients(connection: Connection) -> tuple[str, ...]:
    """The keys that texts are sealed to: every operator's, and not the service's own.

    Raises:
        GovernanceError: there is none yet.
    """
    rows = connection.execute(
        select(operators.c.public_key).where(operators.c.name != SERVICE)
    ).scalars()
    keys = tuple(rows)
    if not keys:
        raise GovernanceError("nobody can read what is filed: `acx exchange operator add` first")
    return keys


def file(
    connection: Connection,
    *,
    origin: str,
    report: str,
    code: str,
    proved_by: Proof,
    message: Message,
    now: datetime,
) -> Filing:
    """Take a filing in, sealed.

    Raises:
        GovernanceError: nobody can read it yet.
        SealedTextError: it is too long.
    """
    identifier = short_id(secrets.token_bytes(32))
    sealed = seal_text(message, recipients(connection), origin=origin, about=identifier)
    filing = Filing(identifier, report, code, proved_by, hour_text(now), "", "", sealed)
    connection.execute(
        insert(filings).values(
            id=filing.id,
            report=report,
            code=code,
            proved_by=proved_by,
            received=filing.received,
            sealed=sealed,
        )
    )
    return filing


def load_filing(connection: Connection, filing_id: str) -> Filing:
    """A filing.

    Raises:
        GovernanceError: there is none of this id.
    """
    row = connection.execute(select(filings).where(filings.c.id == filing_id)).one_or_none()
    if row is None:
        raise GovernanceError(f"no filing {filing_id[:64]!r}: see `acx exchange dispute filings`")
    return _filing(row)


def list_filings(connection: Connection) -> tuple[Filing, ...]:
    """Every filing, the oldest first."""
    rows = connection.execute(select(filings).order_by(filings.c.received, filings.c.id))
    return tuple(map(_filing, rows))


def filings_of(connection: Connection, dispute: str) -> tuple[Filing, ...]:
    """The filings that a dispute came of."""
    rows = connection.execute(select(filings).where(filings.c.dispute == dispute))
    return tuple(map(_filing, rows))


def attach(connection: Connection, filing: Filing, dispute: str) -> None:
    """A filing has become a dispute."""
    connection.execute(update(filings).where(filings.c.id == filing.id).values(dispute=dispute))


def close(connection: Connection, filing: Filing, code: str) -> None:
    """A filing has become none; what was written is deleted."""
    connection.execute(
        update(filings).where(filings.c.id == filing.id).values(closed=code, sealed=None)
    )


def add_text(
    connection: Connection, *, dispute: str, about: str, sealed: bytes, now: datetime
) -> str:
    """Keep a sealed text; the same again changes nothing.

    Returns:
        Its id.

    Raises:
        GovernanceError: there are as many as there may be.
    """
    identifier = short_id(sealed)
    known = list(connection.execute(select(texts.c.id).where(texts.c.about == about)).scalars())
    if identifier in known:
        return identifier
    if len(known) >= TEXTS_AN_ANSWER:
        raise GovernanceError(f"an answer has at most {TEXTS_AN_ANSWER} texts")
    connection.execute(
        insert(texts).values(
            id=identifier, dispute=dispute, about=about, received=hour_text(now), sealed=sealed
        )
    )
    return identifier


def texts_of(connection: Connection, dispute: str) -> tuple[SealedText, ...]:
    """The texts that belong to a dispute."""
    rows = connection.execute(
        select(texts).where(texts.c.dispute == dispute).order_by(texts.c.received, texts.c.id)
    )
    return tuple(SealedText(row.about, row.received, bytes(row.sealed)) for row in rows)


def forget_disputes(connection: Connection, disputes: Iterable[str]) -> int:
    """Delete what was written in disputes; that somebody filed stays.

    Returns:
        How many texts there were.
    """
    ids = list(disputes)
    deleted = connection.execute(delete(texts).where(texts.c.dispute.in_(ids))).rowcount
    return deleted + _forget(connection, filings.c.dispute.in_(ids))


def forget_reports(connection: Connection, reports: Iterable[str]) -> int:
    """Delete what was written about reports that are gone, in filings and in disputes."""
    ids = list(reports)
    disputes = connection.execute(
        select(entries.c.event_id).where(entries.c.type == "dispute", entries.c.report.in_(ids))
    ).scalars()
    return forget_disputes(connection, disputes) + _forget(connection, filings.c.report.in_(ids))


def forget_untriaged(connection: Connection, before: str) -> int:
    """Delete filings that became no dispute for long."""
    return _forget(connection, filings.c.dispute.is_(None), filings.c.received < before)


def reports_filed_about(connection: Connection) -> set[str]:
    """The reports about which something filed is kept still."""
    query = select(filings.c.report).where(filings.c.sealed.is_not(None))
    return set(connection.execute(query).scalars())


def written(connection: Connection) -> set[str]:
    """The disputes in which something written is kept still."""
    by_accused = select(filings.c.dispute).where(
        filings.c.dispute.is_not(None), filings.c.sealed.is_not(None)
    )
    return set(connection.execute(select(texts.c.dispute).union(by_accused)).scalars())


def _forget(connection: Connection, *conditions: object) -> int:
    return connection.execute(
        update(filings)
        .where(filings.c.sealed.is_not(None), *conditions)  # type: ignore[arg-type]
        .values(sealed=None)
    ).rowcount


def _filing(row: Row[*tuple[object, ...]]) -> Filing:
    return Filing(
        row.id,
        row.report,
        row.code,
        row.proved_by,
        row.received,
        row.dispute or "",
        row.closed or "",
        bytes(row.sealed or b""),
    )
