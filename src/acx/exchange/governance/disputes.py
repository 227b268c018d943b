"""Disputes: opened by an operator, answered by contributors, decided by two, appealed once.

Deadlines are counted from the hour the log holds, and that one has passed is an event too: so what
a clock says that goes wrong later changes nothing that is on record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, select

from acx.exchange.clock import hour_text, parse_hour
from acx.exchange.errors import GovernanceError, Unavailable
from acx.exchange.governance import codes, filings, proposals
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.docket import Docket
from acx.exchange.governance.filings import Filing
from acx.exchange.governance.letters import Letters
from acx.exchange.governance.operators import SERVICE
from acx.exchange.governance.proposals import Proposal
from acx.exchange.home import Settings
from acx.exchange.storage.ledger import parsed, read_event
from acx.exchange.storage.schema import entries
from acx.records.event import Appeal, Dispute, Event, Lapse, Resolution
from acx.records.sealed_text import Message, SealedTextError, open_text, seal_text
from acx.records.state import DisputeView, State

Decided = Literal["upheld", "dismissed"]
Who = Literal["accused", "contributor", "operator"]
Stage = Literal["open", "upheld", "dismissed", "gone"]
_CODES_OF: Final = {"upheld": codes.UPHELD, "dismissed": codes.DISMISSED}


@dataclass(frozen=True, slots=True)
class Case:
    """A dispute as the operators see it.

    Attributes:
        id: the dispute's.
        report: the report it contests.
        code: why.
        stage: `open`, as it was decided, or `gone` with its report.
        state: of the report.
        contributors: members that stand behind it.
        opened: UTC hour.
        answers: how many of those who stand or stood behind the report have answered.
        lapsed: whether a deadline has passed and the log says so.
        appealed: whether this is the second round, or was.
        due: UTC hour at which the next deadline passes: for an answer, for the decision, for an
            appeal; empty if none is running.
        proposal: a decision that waits for a second operator, or empty.
    """

    id: str
    report: str
    code: str
    stage: Stage
    state: State
    contributors: int
    opened: str
    answers: int
    lapsed: bool
    appealed: bool
    due: str
    proposal: str

    def final_at(self, now: datetime) -> bool:
        """Whether nothing can change its decision any more."""
        if self.stage == "gone":
            return True
        return self.stage != "open" and (not self.due or hour_text(now) >= self.due)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written about a dispute, opened with an operator's key.

    Attributes:
        who: `accused`, `contributor` or `operator`.
        about: the filing, answer or resolution it belongs to.
        received: UTC hour.
        message: what it says; None where it cannot be opened.
        reason: why not.
    """

    who: Who
    about: str
    received: str
    message: Message | None
    reason: str = ""


class Disputes:
    """The disputes of one exchange."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._settings = decisions.settings
        self._letters = Letters(decisions.home, decisions.settings, decisions.clock)

    def file(self, report: str, code: str, message: Message) -> Filing:
        """Enter what somebody has filed who is known to an operator otherwise than by the page.

        Raises:
            GovernanceError: no such report, or a code that is none.
        """
        codes.checked(code, codes.DISPUTE, "a dispute")
        with self._decisions.database.write() as connection:
            self._docket(connection, [report]).standing(report)
            return filings.file(
                connection,
                origin=self._settings.origin,
                report=report,
                code=code,
                proved_by="operator",
                message=message,
                now=self._decisions.clock(),
            )

    def filings(self) -> tuple[Filing, ...]:
        """Every filing, the oldest first."""
        with self._decisions.database.read() as connection:
            return filings.list_filings(connection)

    def close_filing(self, filing_id: str, code: str) -> Filing:
        """Let a filing become no dispute, and delete what was written.

        Raises:
            GovernanceError: no such filing, one that is a dispute already, or a code that is none.
        """
        codes.checked(code, codes.CLOSING, "closing a filing")
        with self._decisions.database.write() as connection:
            filing = self._untriaged(connection, filing_id)
            filings.close(connection, filing, code)
            return filing

    def open(self, report: str, code: str, by: str = SERVICE, filing_id: str = "") -> Case:
        """Open a dispute: the accused is identified, and has something to say that counts.

        Args:
            report: the report it contests.
            code: why, one of `codes.DISPUTE`.
            by: the operator who signs.
            filing_id: what it came of, if it was filed.

        Raises:
            GovernanceError: no such report, one that stands no more, or a code that is none.
        """
        decisions = self._decisions
        with decisions.attempt(by, "dispute", report):
            codes.checked(code, codes.DISPUTE, "a dispute")
            with decisions.recording() as decision:
                connection = decision.connection
                view = self._docket(connection, [report]).standing(report)
                if view.state in {"withdrawn", "rejected"}:
                    raise GovernanceError(
                        f"report {report} is {view.state} already: there is nothing to dispute"
                    )
                event = decisions.signatory(connection, by).sign(
                    connection, "dispute", Dispute(code=code), report=report
                )
                if filing_id:
                    filing = self._untriaged(connection, filing_id)
                    if filing.report != report:
                        raise GovernanceError(f"filing {filing.id} is about another report")
                    filings.attach(connection, filing, event.id)
                decision.plan(event)
        return self.case(event.id)

    def decide(
        self, dispute: str, decided: Decided, code: str, by: str, reasons: str = ""
    ) -> Proposal:
        """Propose a decision, for another operator to approve.

        Args:
            dispute: its id.
            decided: `upheld` if the accused is right.
            code: why, one of `codes.UPHELD` or `codes.DISMISSED`.
            by: the operator who signs.
            reasons: words for the accused; sealed, sent with the decision, in no log.

        Raises:
            GovernanceError: no such dispute, decided already, or a proposal waits.
        """
        decisions = self._decisions
        with decisions.attempt(by, "resolution", dispute):
            codes.checked(code, _CODES_OF[decided], f"a decision as {decided}")
            with decisions.database.write() as connection:
                case = self._open_case(connection, dispute)
                if case.proposal:
                    raise GovernanceError(
                        f"proposal {case.proposal} to decide this dispute waits: `acx exchange "
                        "approve` or `reject` it"
                    )
                signatory = decisions.signatory(connection, by)
                event = signatory.sign(
                    connection,
                    "resolution",
                    Resolution(decision=decided, code=code),
                    report=case.report,
                    ref=dispute,
                    after=proposals.reserved(connection, signatory, case.report),
                )
                if reasons:
                    sealed = seal_text(
                        Message(text=reasons),
                        filings.recipients(connection),
                        origin=self._settings.origin,
                        about=event.id,
                    )
                    filings.add_text(
                        connection,
                        dispute=dispute,
                        about=event.id,
                        sealed=sealed,
                        now=decisions.clock(),
                    )
                return proposals.propose(
                    connection,
                    signatory,
                    "resolution",
                    [event],
                    code=f"{decided}:{code}",
                    now=decisions.clock(),
                )

    def appeal(self, dispute: str, code: str = "appeal", by: str = SERVICE) -> Case:
        """Reopen a decided dispute, once.

        Raises:
            GovernanceError: no such dispute, not decided, appealed before, or too late.
        """
        decisions = self._decisions
        with decisions.attempt(by, "appeal", dispute):
            codes.checked(code, codes.APPEAL, "an appeal")
            with decisions.recording() as decision:
                connection = decision.connection
                case = self._case(connection, dispute)
                if case.stage in {"open", "gone"}:
                    raise GovernanceError(f"dispute {dispute} is {case.stage}: nothing is decided")
                if case.appealed:
                    raise GovernanceError(
                        f"dispute {dispute} was appealed before: its second decision is the last"
                    )
                if case.final_at(decisions.clock()):
                    raise GovernanceError(f"dispute {dispute} could be appealed until {case.due}")
                event = decisions.signatory(connection, by).sign(
                    connection, "appeal", Appeal(code=code), report=case.report, ref=dispute
                )
                decision.plan(event)
        return self.case(dispute)

    def case(self, dispute: str) -> Case:
        """A dispute.

        Raises:
            GovernanceError: there is none of this id.
        """
        with self._decisions.database.read() as connection:
            return self._case(connection, dispute)

    def stage(self, connection: Connection, dispute: str) -> Stage:
        """How far a dispute is.

        Raises:
            GovernanceError: there is none of this id.
        """
        return self._case(connection, dispute).stage

    def cases(self) -> tuple[Case, ...]:
        """Every dispute in the log, the oldest first."""
        with self._decisions.database.read() as connection:
            return self._cases(connection)

    def written(self, dispute_or_filing: str, by: str) -> tuple[Written, ...]:
        """What was written about a dispute, or in a filing, opened with an operator's key.

        Raises:
            GovernanceError: no such dispute, filing or operator.
        """
        with self._decisions.database.read() as connection:
            key = self._decisions.signatory(connection, by).key
            found: list[tuple[Who, str, str, bytes]] = [
                ("accused", filing.id, filing.received, filing.sealed)
                for filing in filings.filings_of(connection, dispute_or_filing)
            ]
            if not found and self._event(connection, dispute_or_filing) is None:
                filing = filings.load_filing(connection, dispute_or_filing)
                found = [("accused", filing.id, filing.received, filing.sealed)]
            found += [
                (
                    "contributor" if _is_answer(connection, text.about) else "operator",
                    text.about,
                    text.received,
                    text.sealed,
                )
                for text in filings.texts_of(connection, dispute_or_filing)
            ]
        return tuple(
            self._opened(who, about, received, sealed, key)
            for who, about, received, sealed in found
            if sealed
        )

    def committed(self, dispute_or_filing: str) -> frozenset[str]:
        """The commitments to evidence in the report that a dispute or filing is about."""
        with self._decisions.database.read() as connection:
            event = self._event(connection, dispute_or_filing)
            report = (
                event.report
                if event is not None
                else filings.load_filing(connection, dispute_or_filing).report
            )
            view = self._docket(connection, [report]).reports.get(report)
        said = view.report if view is not None else None
        return frozenset(e.commitment for e in said.evidence) if said is not None else frozenset()

    def check(self, connection: Connection, proposal: Proposal) -> None:
        """See that a proposed decision still decides something."""
        self._open_case(connection, proposal.events[0].ref)

    def approved(self, proposal: Proposal) -> str:
        """Tell the accused what was decided, where a way to tell is known."""
        event = proposal.events[0]
        body = event.body()
        if not isinstance(body, Resolution):
            raise TypeError(f"a {event.type} decides no dispute")
        told = failed = 0
        for written in self.written(event.ref, proposal.approved_by):
            if written.who == "accused" and written.message and written.message.contact:
                try:
                    self._tell(written.message.contact, body, proposal)
                    told += 1
                except Unavailable:
                    failed += 1
        if failed:
            return f"the letter to the accused did not leave: tell {failed} of {told + failed}"
        return f"told to {told} who filed" if told else "nobody to tell by letter: no contact"

    def lapse(self, connection: Connection, now: datetime) -> tuple[Event, ...]:
        """The events that say which deadlines have passed, signed and still to be planned."""
        service = self._decisions.signatory(connection, SERVICE)
        return tuple(
            service.sign(
                connection,
                "lapse",
                Lapse(code="no_decision" if case.answers else "no_answer"),
                report=case.report,
                ref=case.id,
                after=number,
            )
            for number, case in _numbered_by_report(
                case
                for case in self._cases(connection)
                if case.stage == "open" and case.due and hour_text(now) >= case.due
            )
        )

    def forget_final(self, connection: Connection, now: datetime) -> int:
        """Delete what was written in disputes that are final, or about what is gone; how much."""
        kept = filings.written(connection)
        final = [c.id for c in self._cases(connection) if c.id in kept and c.final_at(now)]
        # Reports go with what was filed about them; a restored backup may bring that back.
        filed = filings.reports_filed_about(connection)
        views = self._docket(connection, filed).reports
        gone = [r for r in filed if (view := views.get(r)) is None or not view.report_json]
        untriaged = hour_text(now - timedelta(days=filings.UNTRIAGED_DAYS))
        self._letters.forget()
        return (
            filings.forget_disputes(connection, final)
            + filings.forget_reports(connection, gone)
            + filings.forget_untriaged(connection, untriaged)
        )

    def _tell(self, contact: str, body: Resolution, proposal: Proposal) -> None:
        event = proposal.events[0]
        written = self.written(event.ref, proposal.approved_by)
        reasons = [w.message.text for w in written if w.about == event.id and w.message]
        text = _letter(self._settings.origin, self.case(event.ref), body, reasons)
        self._letters.send(contact, f"Your dispute {event.ref} is decided", text)

    def _opened(
        self, who: Who, about: str, received: str, sealed: bytes, key: Ed25519PrivateKey
    ) -> Written:
        try:
            message = open_text(sealed, key, origin=self._settings.origin, about=about)
        except SealedTextError as error:
            return Written(who, about, received, None, str(error))
        return Written(who, about, received, message)

    def _untriaged(self, connection: Connection, filing_id: str) -> Filing:
        filing = filings.load_filing(connection, filing_id)
        if filing.dispute or filing.closed:
            done = f"is dispute {filing.dispute}" if filing.dispute else f"is {filing.closed}"
            raise GovernanceError(f"filing {filing.id} {done} already")
        return filing

    def _open_case(self, connection: Connection, dispute: str) -> Case:
        case = self._case(connection, dispute)
        if case.stage == "gone":
            raise GovernanceError(f"the report of dispute {dispute} is {case.state}")
        if case.stage != "open":
            raise GovernanceError(
                f"dispute {dispute} is decided already, as {case.stage}: it can be appealed once"
            )
        return case

    def _case(self, connection: Connection, dispute: str) -> Case:
        event = self._event(connection, dispute)
        if event is None:
            raise GovernanceError(f"no dispute {dispute[:64]!r}: see `acx exchange dispute list`")
        (case,) = self._build(connection, [event])
        return case

    def _cases(self, connection: Connection) -> tuple[Case, ...]:
        ids = select(entries.c.event_id).where(entries.c.type == "dispute")
        query = ids.order_by(entries.c.index)
        events = [self._event(connection, found) for found in connection.execute(query).scalars()]
        return self._build(connection, [event for event in events if event is not None])

    def _build(self, connection: Connection, events: Iterable[Event]) -> tuple[Case, ...]:
        disputed = list(events)
        docket = self._docket(connection, [event.report for event in disputed])
        waits = {
            proposal.events[0].ref: proposal.id
            for proposal in proposals.waiting(connection, "resolution")
        }
        return tuple(self._of(event, docket, waits.get(event.id, "")) for event in disputed)

    def _of(self, event: Event, docket: Docket, proposal: str) -> Case:
        body = event.body()
        view = docket.reports.get(event.report)
        code = body.code if isinstance(body, Dispute) else ""
        found = [d for d in view.disputes if d.id == event.id] if view else []
        case = Case(
            id=event.id,
            report=event.report,
            code=code,
            stage="gone",
            state=view.state if view else "expired",
            contributors=view.contributors if view else 0,
            opened=docket.hour_of(event.id),
            answers=0,
            lapsed=False,
            appealed=False,
            due="",
            proposal=proposal,
        )
        for dispute in found:
            return replace(
                case,
                stage=dispute.stage,
                answers=len(dispute.answers),
                lapsed=dispute.lapsed,
                appealed=dispute.appealed,
                due=_due(dispute, docket.hours, self._settings),
            )
        return case

    def _docket(self, connection: Connection, reports: Iterable[str]) -> Docket:
        return Docket(connection, self._decisions.founder, reports)

    def _event(self, connection: Connection, dispute: str) -> Event | None:
        row = read_event(connection, dispute)
        event = parsed(row) if row is not None else None
        return event if event is not None and event.type == "dispute" else None


def _letter(origin: str, case: Case, body: Resolution, reasons: Iterable[str]) -> str:
    """What the accused is told of a decision."""
    upheld = body.decision == "upheld"
    decided = (
        "You were right: the report is rejected, and no member is shown it as standing."
        if upheld
        else "The report stands."
    )
    further = (
        "This decision is the last one here. Courts and the data protection authority are open "
        "to you."
        if case.appealed
        else f"It can be appealed once, until {case.due}: answer this letter."
    )
    paragraphs = (
        f"Two operators of {origin} have decided your dispute of report {case.report}.",
        decided,
        f"Reason: {_CODES_OF[body.decision][body.code]} ({body.code})",
        *(reason.strip() for reason in reasons),
        further,
    )
    return "\n\n".join(paragraphs) + "\n"


def _is_answer(connection: Connection, event_id: str) -> bool:
    row = read_event(connection, event_id)
    event = parsed(row) if row is not None else None
    return event is not None and event.type == "answer"


def _due(dispute: DisputeView, hours: dict[int, str], settings: Settings) -> str:
    if dispute.stage == "open":
        if dispute.lapsed:
            return ""
        days = settings.decision_days if dispute.answers else settings.answer_days
        return hour_text(parse_hour(hours[dispute.since]) + timedelta(days=days))
    if dispute.appealed:
        return ""
    return hour_text(parse_hour(hours[dispute.decided]) + timedelta(days=settings.appeal_days))


def _numbered_by_report(cases: Iterable[Case]) -> Iterable[tuple[int, Case]]:
    """Each case, with how many before it are of the same report."""
    before: dict[str, int] = {}
    for case in cases:
        number = before.get(case.report, 0)
        before[case.report] = number + 1
        yield number, case
