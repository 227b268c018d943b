"""How long reports are kept, and how they go: erased by two, or expired; held where the law says.

What goes is what members have said about a report, all of it: its key is destroyed as soon as the
log says so, and what was written about it beside the log is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from acx.exchange.clock import hour_text, years_after
from acx.exchange.errors import GovernanceError
from acx.exchange.governance import codes, filings, proposals
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.docket import Docket, acts_about_reports
from acx.exchange.governance.proposals import Proposal
from acx.exchange.home import Settings
from acx.exchange.sequencer.outbox import Planned
from acx.exchange.storage.database import FORGETTING_SECONDS, TEXTS
from acx.exchange.storage.ledger import LogRow, erasable, parsed, read_versions
from acx.exchange.storage.schema import entries, event_keys
from acx.records.event import Act, Erasure, Event, Expiry
from acx.records.report import Report
from acx.records.test_subject import is_test_subject

MAX_INDICES: Final = 5_000
"""Places in one event; what is more goes into several."""
_ATTEMPTS: Final = frozenset({"attempted_to_sell", "attempted_to_register"})
_PAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Hold:
    """A report that may neither be erased nor expire.

    Attributes:
        report: its id.
        code: why, one of `codes.HOLD`.
    """

    report: str
    code: str


class Retention:
    """What is kept and what goes, in one exchange."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def erase(self, reports: Sequence[str], code: str, by: str) -> Proposal:
        """Propose that reports be erased, for another operator to approve.

        Args:
            reports: their ids; several leave in one go.
            code: why, one of `codes.ERASURE`.
            by: the operator who signs.

        Raises:
            GovernanceError: no such report or operator, one under legal hold, or in a proposal
                that waits already.
        """
        decisions = self._decisions
        wanted = list(dict.fromkeys(reports))
        with decisions.attempt(by, "erasure", wanted[0] if len(wanted) == 1 else ""):
            codes.checked(code, codes.ERASURE, "an erasure")
            with decisions.database.write() as connection:
                self._refuse_waiting(connection, wanted)
                indices = self._erasable(connection, wanted)
                signatory = decisions.signatory(connection, by)
                about = wanted[0] if len(wanted) == 1 else ""
                after = proposals.reserved(connection, signatory, about)
                events = [
                    signatory.sign(
                        connection,
                        "erasure",
                        Erasure(indices=tuple(part), code=code),
                        report=about,
                        after=after + number,
                    )
                    for number, part in enumerate(_parts(indices))
                ]
                return proposals.propose(
                    connection,
                    signatory,
                    "erasure",
                    events,
                    code=code,
                    now=decisions.clock(),
                    details=msgspec.json.encode(wanted).decode(),
                )

    def check(self, connection: Connection, proposal: Proposal) -> None:
        """See that a proposed erasure still takes all there is of its reports."""
        proposed = [index for event in proposal.events for index in _listed(event)]
        if proposed != self._erasable(connection, _reports_of(proposal)):
            raise GovernanceError(
                "a report has changed since this was proposed: `acx exchange reject` it, and "
                "propose again"
            )

    def approved(self, proposal: Proposal) -> str:
        """Delete what was written about the reports beside the log."""
        with self._decisions.database.write() as connection:
            filings.forget_reports(connection, _reports_of(proposal))
        self._decisions.database.forget_deleted(TEXTS, patience=FORGETTING_SECONDS)
        return ""

    def hold(self, report: str, code: str, by: str) -> None:
        """Keep a report from being erased and from expiring, on record.

        Raises:
            GovernanceError: no such report, held already, or a code that is none.
        """
        codes.checked(code, codes.HOLD, "a hold")
        self._act("held", report, code, by)

    def release(self, report: str, code: str, by: str) -> None:
        """End a hold, on record.

        Raises:
            GovernanceError: the report is not held, or a code that is none.
        """
        codes.checked(code, codes.RELEASE, "a release")
        self._act("released", report, code, by)

    def holds(self) -> tuple[Hold, ...]:
        """The reports that are held."""
        with self._decisions.database.read() as connection:
            return tuple(Hold(report, code) for report, code in held(connection).items())

    def expired(self, connection: Connection, now: datetime) -> dict[str, list[int]]:
        """The reports whose time is over and that nothing holds ► the places that go with them."""
        kept = {*held(connection), _test_report(connection)}
        settings = self._decisions.settings
        due = [report for report in self._older(connection, settings, now) if report not in kept]
        return erasable(connection, due)

    def _older(self, connection: Connection, settings: Settings, now: datetime) -> Iterator[str]:
        """The reports that are older than what they say allows."""
        attempts = hour_text(years_after(now, -settings.attempt_retention_years))
        others = hour_text(years_after(now, -settings.retention_years))
        first, last = min(attempts, others), max(attempts, others)
        query = (
            select(entries.c.report, entries.c.at)
            .join(event_keys, event_keys.c.index == entries.c.index)
            .where(entries.c.type == "report", entries.c.at <= last)
            .order_by(entries.c.index)
        )
        rows = connection.execute(query).all()
        unclear = [row.report for row in rows if row.at > first]
        conduct = dict(self._conducts(connection, unclear))
        for row in rows:
            limit = attempts if conduct.get(row.report) in _ATTEMPTS else others
            if row.at <= max(first, limit):
                yield row.report

    def _conducts(
        self, connection: Connection, reports: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """What the subject of each report did, as its current version says."""
        for start in range(0, len(reports), _PAGE):
            part = reports[start : start + _PAGE]
            openings: dict[str, LogRow] = {}
            amended: set[str] = set()
            for report, kind, row in read_versions(connection, part):
                if kind == "report":
                    openings.setdefault(report, row)
                else:
                    amended.add(report)
            for report in openings.keys() - amended:
                raw = openings[report].event_bytes()
                if raw is not None:
                    yield report, _EVENT.decode(raw).body.conduct
            if amended:
                docket = Docket(connection, self._decisions.founder, amended)
                for view in docket.reports:
                    if view.report is not None:
                        yield view.id, view.report.conduct

    def _act(self, act: str, report: str, code: str, by: str) -> None:
        decisions = self._decisions
        with decisions.attempt(by, act, report), decisions.recording() as decision:
            connection = decision.connection
            Docket(connection, decisions.founder, [report]).standing(report)
            if (report in held(connection)) == (act == "held"):
                raise GovernanceError(f"report {report} is {'' if act == 'held' else 'not '}held")
            signatory = decisions.signatory(connection, by)
            decision.plan(signatory.sign(connection, "act", Act(act=act, code=code), report=report))

    def _erasable(self, connection: Connection, reports: Sequence[str]) -> list[int]:
        found = erasable(connection, reports)
        missing = [report for report in reports if report not in found]
        if missing:
            raise GovernanceError(
                f"no report {missing[0][:64]!r} in the log has anything left to erase: check its id"
            )
        holds = held(connection)
        for report in reports:
            if report in holds:
                raise GovernanceError(
                    f"report {report} is under legal hold ({holds[report]}): `acx exchange "
                    "release` comes first"
                )
        return sorted(index for indices in found.values() for index in indices)

    @staticmethod
    def _refuse_waiting(connection: Connection, reports: Sequence[str]) -> None:
        for proposal in proposals.waiting(connection, "erasure"):
            both = set(reports) & set(_reports_of(proposal))
            if both:
                raise GovernanceError(
                    f"proposal {proposal.id} for report {min(both)} waits: `acx exchange approve`"
                )


def held(connection: Connection) -> Mapping[str, str]:
    """The reports that are held ► why."""
    found: dict[str, str] = {}
    for event, act in acts_about_reports(connection):
        if act.act == "held":
            found[event.report] = act.code
        elif act.act == "released":
            found.pop(event.report, None)
    return found


def retention_years(settings: Settings, conduct: str) -> int:
    """How long a report is kept, by what it says its subject did."""
    attempted = conduct in _ATTEMPTS
    return settings.attempt_retention_years if attempted else settings.retention_years


def expiries(indices: Sequence[int]) -> tuple[Planned, ...]:
    """The events by which the service lets entries expire."""
    return tuple(Planned("expiry", Expiry(indices=tuple(part))) for part in _parts(sorted(indices)))


def _test_report(connection: Connection) -> str:
    """The report about the test subject, which is there for good; empty if there is none."""
    first = (
        select(entries.c.report)
        .where(entries.c.type == "report")
        .order_by(entries.c.index)
        .limit(1)
    )
    for report, _kind, row in read_versions(connection, connection.execute(first).scalars()):
        event = parsed(row)
        body = event.body() if event is not None else None
        if isinstance(body, Report) and is_test_subject(body.account):
            return report
    return ""


def _parts(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(indices), MAX_INDICES):
        yield indices[start : start + MAX_INDICES]


def _listed(event: Event) -> tuple[int, ...]:
    body = event.body()
    return body.indices if isinstance(body, Erasure) else ()


def _reports_of(proposal: Proposal) -> list[str]:
    if not proposal.details:
        return [proposal.report]
    return msgspec.json.decode(proposal.details, type=list[str])


class _Conduct(msgspec.Struct, frozen=True):
    conduct: str


class _Event(msgspec.Struct, frozen=True):
    """So much of an event of type `report` as says how long it is kept."""

    body: _Conduct


_EVENT: Final = msgspec.json.Decoder(_Event)
