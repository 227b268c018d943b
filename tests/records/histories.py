"""A log written by hand: members, operators and brands with keys of their own sign its events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.records.account import Subject
from acx.records.event import (
    Act,
    Answer,
    Appeal,
    Assessment,
    Body,
    Corroboration,
    Dispute,
    Erasure,
    Event,
    Expiry,
    Lapse,
    Outcome,
    Resolution,
    Withdrawal,
    outcome_context,
    public_key_text,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.report import Report
from acx.records.state import Entry, Reports, ReportView

ORIGIN = "exchange.example/test"


@cache
def key(name: str) -> Ed25519PrivateKey:
    """The key of that name; the same in every test."""
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")[:32])


def by(name: str) -> str:
    """The public key of that name, as in events."""
    return public_key_text(key(name))


def report(*names: str, emails: tuple[str, ...] = ()) -> Report:
    """A report about an account of these names."""
    return Report(
        account=Subject(name=names, email=emails),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-03",
    )


def tag(member: str, context: str) -> str:
    """The tag of a member in a context: one and always the same."""
    return f"{member}@{context}"


@dataclass
class Log:
    """A log that grows by one event a call; keys count their own `seq` unless told otherwise.

    Events stand `stride` places apart, so that a test can put others between.
    """

    operators: tuple[str, ...] = ("olga", "oskar")
    stride: int = 1
    entries: list[Entry] = field(default_factory=list)
    _signed: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(
        self,
        signer: str,
        event_type: str,
        body: Body,
        *,
        report: str = "",
        ref: str = "",
        tags: dict[str, str] | None = None,
        seq: int | None = None,
    ) -> Event:
        """Append an event that `signer` signs."""
        expected = self._signed.get((signer, report), 0)
        event = sign_event(
            key(signer),
            origin=ORIGIN,
            type=event_type,
            body=body,
            report=report,
            ref=ref,
            seq=expected if seq is None else seq,
            tags=tags,
        )
        if seq is None:
            self._signed[signer, report] = expected + 1
        self.append(event)
        return event

    @property
    def next_index(self) -> int:
        """Where the next event goes."""
        return len(self.entries) * self.stride

    def append(self, event: Event) -> None:
        """Append an event as it is."""
        self.entries.append(Entry(self.next_index, event))

    def report(self, member: str, name: str, body: Report) -> str:
        """`member` reports under the key `name`; returns the report's id."""
        identifier = report_id(by(name))
        tags = {stand_context(identifier, 1): tag(member, stand_context(identifier, 1))}
        return self.add(name, "report", body, report=identifier, tags=tags).report

    def amend(self, member: str, name: str, body: Report, *versions: int) -> Event:
        """`member` amends the report of key `name`, standing behind these versions."""
        identifier = report_id(by(name))
        contexts = [stand_context(identifier, version) for version in versions]
        tags = {context: tag(member, context) for context in contexts}
        return self.add(name, "amendment", body, report=identifier, tags=tags)

    def corroborate(self, member: str, name: str, report: str, version: int = 1) -> Event:
        """`member` corroborates a version of a report under the key `name`."""
        context = stand_context(report, version)
        body = Corroboration(version=version, confirmed_by=("court",), confirmed_on="2026-04")
        tags = {context: tag(member, context)}
        return self.add(name, "corroboration", body, report=report, tags=tags)

    def withdraw(self, name: str, report: str, ref: str = "") -> Event:
        """The key `name` takes back what `ref` is."""
        return self.add(name, "withdrawal", Withdrawal(reason="error"), report=report, ref=ref)

    def outcome(self, member: str, name: str, report: str, outcome: Outcome) -> Event:
        """`member` tells under the key `name` what it did."""
        context = outcome_context(report)
        tags = {context: tag(member, context)}
        return self.add(name, "outcome", outcome, report=report, tags=tags)

    def answer(
        self, member: str, name: str, report: str, dispute: str, answer: Answer, version: int = 1
    ) -> Event:
        """`member` answers a dispute under the key `name`."""
        context = stand_context(report, version)
        tags = {context: tag(member, context)}
        return self.add(name, "answer", answer, report=report, ref=dispute, tags=tags)

    def dispute(self, report: str, operator: str = "olga") -> Event:
        """An operator enters a dispute."""
        return self.add(operator, "dispute", Dispute(code="not_me"), report=report)

    def lapse(self, report: str, dispute: str, operator: str = "olga") -> Event:
        """An operator notes that a deadline has passed."""
        return self.add(operator, "lapse", Lapse(), report=report, ref=dispute)

    def appeal(self, report: str, dispute: str, operator: str = "olga") -> Event:
        """An operator enters an appeal."""
        return self.add(operator, "appeal", Appeal(), report=report, ref=dispute)

    def propose(
        self, report: str, dispute: str, resolution: Resolution, operator: str = "olga"
    ) -> Event:
        """An operator proposes to decide a dispute."""
        return self.add(operator, "resolution", resolution, report=report, ref=dispute)

    def approve(self, proposal: str, operator: str = "oskar", report: str = "") -> Event:
        """An operator approves what another proposed."""
        return self.add(operator, "act", Act(act="approved"), report=report, ref=proposal)

    def decide(self, report: str, dispute: str, resolution: Resolution) -> None:
        """Two operators decide a dispute."""
        self.approve(self.propose(report, dispute, resolution).id)

    def act(self, act: Act, operator: str = "olga") -> Event:
        """An operator's act about no report."""
        return self.add(operator, "act", act)

    def erase(self, *indices: int, report: str = "", operator: str = "olga") -> Event:
        """An operator proposes an erasure."""
        body = Erasure(indices=indices, code="request")
        return self.add(operator, "erasure", body, report=report)

    def expire(self, *indices: int, report: str = "", operator: str = "olga") -> Event:
        """An operator expires entries."""
        return self.add(operator, "expiry", Expiry(indices=indices), report=report)

    def assess(self, brand: str, report: str, assessment: Assessment) -> Event:
        """A brand assesses a report."""
        return self.add(brand, "assessment", assessment, report=report)

    def fold(self) -> Reports:
        """The fold over the log, in its order."""
        return fold(self.entries, self.operators)

    def view(self, report: str) -> ReportView:
        """A report's view."""
        view = self.fold().get(report)
        assert view is not None
        return view


def fold(entries: Iterable[Entry], operators: tuple[str, ...] = ("olga", "oskar")) -> Reports:
    """The fold over entries in the order given."""
    reports = Reports(by(name) for name in operators)
    for entry in entries:
        reports.apply(entry)
    return reports


UPHELD = Resolution(decision="upheld", code="proved")
DISMISSED = Resolution(decision="dismissed", code="unproved")
STANDS = Answer(answer="stands")
WITHDRAWS = Answer(answer="withdraws")
