"""The audit: every act of the operators as the log holds it, held against the rules.

It reads a copy of the log and nothing else, the exchange's own rows or anybody's replica, and
believes no more than it can check: that the entries are those the log signed, that each act is
signed by somebody who was an operator then, in the operator's own order, that what needs two
operators has two, and that nothing is missing but what was erased or has expired on record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import Connection

from acx.exchange.backup.recovery import CopiedEntry, LogCopy
from acx.exchange.storage.ledger import load_head, read_rows
from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.entry import entry_of
from acx.log.errors import LogError
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Verifier
from acx.records.event import (
    OPERATOR_TYPES,
    Act,
    Appeal,
    Dispute,
    Event,
    EventError,
    Lapse,
    Resolution,
    canonical,
    parse_event,
    verify_event,
)
from acx.records.state import Entry
from acx.records.state.governance import TWO_SIGNATURES, Governance
from acx.records.state.kept import keep
from acx.records.test_subject import is_test_subject

COUNTED_ROLES: Final = frozenset({"contributor", "customs", "brand"})
"""Roles whose word counts in the log: invites to them are bounded."""
_BATCH: Final = 2_000
_TWO_FOR_ACTS: Final = frozenset({"verified"})
"""Acts that always take two operators; invites do beyond a daily number."""


@dataclass(frozen=True, slots=True)
class AuditedAct:
    """One event that an operator signed.

    Attributes:
        index: its place in the log.
        at: UTC hour.
        type: of the event.
        by: the operator's key.
        about: the report, and the event, that it is about.
        says: its body as JSON.
        approved_by: key of the operator who approved it, or empty.
        ignored: why it has no effect, or empty.
    """

    index: int
    at: str
    type: str
    by: str
    about: tuple[str, str]
    says: str
    approved_by: str
    ignored: str


@dataclass(frozen=True, slots=True)
class Quality:
    """How the reports of all members together fared; never of one, which would name it.

    Attributes:
        reports: that are in the log, or were and are named by a dispute: what else was erased
            or has expired cannot be counted any more.
        disputed: reports with a dispute.
        upheld: reports with a dispute decided for the accused, as it stands now.
        dismissed: disputes decided against.
        open: disputes not decided.
        lapsed: of these, past a deadline.
    """

    reports: int
    disputed: int
    upheld: int
    dismissed: int
    open: int
    lapsed: int

    @property
    def upheld_share(self) -> float:
        """Share of all reports whose dispute was decided for the accused."""
        return self.upheld / self.reports if self.reports else 0.0


@dataclass(slots=True)
class Audited:
    """What an audit found.

    Attributes:
        origin: the log's name.
        size: entries in it.
        acts: everything operators signed, in order.
        counts: act or type ► how many.
        invited: role ► how many were invited.
        joined: role ► how many joined.
        gone: entries that were erased or expired on record.
        quality: how reports fared.
        problems: what is wrong; empty if all is as it should be.
    """

    origin: str
    size: int
    acts: list[AuditedAct] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    invited: Counter[str] = field(default_factory=Counter)
    joined: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    quality: Quality = field(default_factory=lambda: Quality(0, 0, 0, 0, 0, 0))
    problems: list[str] = field(default_factory=list)


class RowsCopy:
    """The exchange's own rows, as a copy of the log.

    Attributes:
        checkpoint: as it is published.
    """

    def __init__(self, connection: Connection, checkpoint: Checkpoint) -> None:
        self._connection = connection
        self.checkpoint: Checkpoint | None = checkpoint

    def entries(self, after: int = -1) -> Iterator[CopiedEntry]:
        """Entries after a place, in order."""
        size = load_head(self._connection).size
        for start in range(after + 1, size, _BATCH):
            for row in read_rows(self._connection, start, min(size, start + _BATCH)):
                yield _Copied(row.index, row.entry, row.at, row.k or b"", row.event_bytes() or b"")


@dataclass(frozen=True, slots=True)
class _Copied:
    index: int
    entry: bytes
    at: str
    k: bytes
    event: bytes


class _Glance(msgspec.Struct, frozen=True):
    """So much of an event as says whether an audit looks at it."""

    type: str
    by: str
    report: str


_GLANCE: Final = msgspec.json.Decoder(_Glance)


def audit(
    copy: LogCopy, *, origin: str, log_key: str, founders: tuple[str, ...], invites_daily: int
) -> Audited:
    """Hold everything operators did against the rules.

    Args:
        copy: of the log.
        origin: the log's name.
        log_key: its key, a C2SP vkey.
        founders: keys of the operators that founded it.
        invites_daily: invites a day to roles that post; beyond, each takes two operators.
    """
    auditor = _Auditor(copy, origin, founders, invites_daily)
    auditor.read(log_key)
    auditor.judge()
    auditor.weigh()
    return auditor.found


@dataclass(slots=True)
class _Fate:
    """How far a dispute is."""

    report: str
    stage: str = "open"
    lapsed: bool = False
    appealed: bool = False
    proposed: dict[str, str] = field(default_factory=dict)

    def decide(self, proposal: str) -> None:
        """A second operator has approved a proposed decision."""
        if self.stage == "open" and proposal in self.proposed:
            self.stage = self.proposed[proposal]

    def reopen(self) -> None:
        """It is appealed; what was proposed before decides nothing any more."""
        if self.stage != "open" and not self.appealed:
            self.stage, self.lapsed, self.appealed = "open", False, True
            self.proposed.clear()


class _Auditor:
    def __init__(
        self, copy: LogCopy, origin: str, founders: tuple[str, ...], invites_daily: int
    ) -> None:
        self._copy = copy
        self._invites_daily = invites_daily
        self._governance = Governance(founders)
        self._operators = set(founders)
        self._signed: list[tuple[str, int, Event]] = []
        self._without_body: list[int] = []
        self._reports: set[str] = set()
        self.found = Audited(origin, 0)

    def read(self, log_key: str) -> None:
        """The whole log: its tree, its holes, and what operators signed."""
        tree = Frontier()
        for entry in self._copy.entries():
            tree.append(hash_leaf(entry.entry))
            if not entry.event:
                self._without_body.append(entry.index)
                continue
            glance = _GLANCE.decode(entry.event)
            if glance.type in OPERATOR_TYPES or glance.by in self._operators:
                self._take(entry)
            elif glance.type == "report" and not _is_test(entry.event):
                self._reports.add(glance.report)
        self.found.size = tree.size
        checkpoint = self._copy.checkpoint
        if checkpoint is None:
            self._problem("the copy has no checkpoint: nothing vouches for its entries")
            return
        try:
            signed = open_checkpoint(checkpoint.note, Verifier.parse(log_key))
        except LogError as error:
            self._problem(f"the head is not this log's: {error}")
            return
        if (signed.size, signed.root) != (tree.size, tree.root()):
            self._problem(f"the {tree.size} entries are not those of the signed {signed.size}")

    def _take(self, entry: CopiedEntry) -> None:
        try:
            event = parse_event(entry.event)
            verify_event(event, self.found.origin)
        except EventError as error:
            self._problem(f"entry {entry.index}: {error}")
            return
        if entry_of(entry.k, entry.at, entry.event) != entry.entry:
            self._problem(f"entry {entry.index} is not what the tree commits to")
            return
        self._governance.take(keep(Entry(entry.index, event)))
        self._operators |= self._governance.operators
        self._signed.append((entry.at, entry.index, event))

    def judge(self) -> None:
        """Each act against the rules."""
        approvers = {index: event.by for _, index, event in self._signed}
        approvals = self._governance.approvals
        invites: Counter[str] = Counter()
        verified: set[str] = set()
        for at, index, event in self._signed:
            verdict = self._governance.verdicts.get(index, "not_an_operator")
            approved = approvals.get(event.id, -1)
            if verdict:
                self._problem(f"entry {index}, a {event.type}, has no effect: {verdict}")
            if event.type in TWO_SIGNATURES and approved < 0:
                self._problem(f"entry {index}, a {event.type}, was approved by nobody else")
            body = event.body() if event.known else None
            if isinstance(body, Act):
                self._judge_act(index, at, event, body, approved, invites, verified)
            self.found.counts[body.act if isinstance(body, Act) else event.type] += 1
            self.found.acts.append(
                AuditedAct(
                    index=index,
                    at=at,
                    type=event.type,
                    by=event.by,
                    about=(event.report, event.ref),
                    says=canonical(msgspec.json.decode(event.body_json)).decode(),
                    approved_by=approvers.get(approved, ""),
                    ignored=verdict,
                )
            )
        self._judge_holes()

    def _judge_act(
        self,
        index: int,
        at: str,
        event: Event,
        act: Act,
        approved: int,
        invites: Counter[str],
        verified: set[str],
    ) -> None:
        if act.act in _TWO_FOR_ACTS:
            if approved < 0:
                self._problem(f"entry {index}: {act.act} takes two operators, and one signed")
            else:
                verified.add(event.id)
        elif act.act == "invited":
            self.found.invited[act.code] += 1
            if act.code in COUNTED_ROLES and approved < 0:
                invites[at[:10]] += 1
                if invites[at[:10]] > self._invites_daily:
                    self._problem(
                        f"entry {index}: more than {self._invites_daily} invites on {at[:10]} "
                        "without a second operator"
                    )
        elif act.act == "joined":
            self.found.joined[act.code] += 1
            if act.code == "brand" and event.ref not in verified:
                self._problem(f"entry {index}: a brand whose marks two operators did not verify")

    def _judge_holes(self) -> None:
        gone = self._governance.erased | self._governance.expired
        missing = set(self._without_body)
        for index in sorted(missing - gone):
            self._problem(f"entry {index} is withheld: nothing says that it was erased")
        for index in sorted(gone - missing):
            if index < self.found.size:
                self._problem(f"entry {index} is gone on record, and its key is still here")
        self.found.gone = len(missing & gone)

    def weigh(self) -> None:
        """How disputed reports fared, by operators' events alone: these outlast what is erased."""
        disputes: dict[str, _Fate] = {}
        decided: dict[str, _Fate] = {}
        for _, index, event in self._signed:
            if self._governance.verdicts.get(index, "not_an_operator"):
                continue
            body, fate = event.body(), disputes.get(event.ref)
            if isinstance(body, Dispute):
                disputes[event.id] = _Fate(event.report)
            elif event.ref in decided:
                decided[event.ref].decide(event.ref)
            elif fate is not None and isinstance(body, Resolution):
                fate.proposed[event.id] = body.decision
                decided[event.id] = fate
            elif fate is not None and isinstance(body, Lapse):
                fate.lapsed = True
            elif fate is not None and isinstance(body, Appeal):
                fate.reopen()
        fates = disputes.values()
        disputed = {fate.report for fate in fates}
        self.found.quality = Quality(
            reports=len(self._reports | disputed),
            disputed=len(disputed),
            upheld=len({fate.report for fate in fates if fate.stage == "upheld"}),
            dismissed=sum(fate.stage == "dismissed" for fate in fates),
            open=sum(fate.stage == "open" for fate in fates),
            lapsed=sum(fate.lapsed and fate.stage == "open" for fate in fates),
        )

    def _problem(self, problem: str) -> None:
        self.found.problems.append(problem)


def _is_test(event: bytes) -> bool:
    if b"acx-test.example" not in event:
        return False
    body = parse_event(event).body()
    account = getattr(body, "account", None)
    return account is not None and is_test_subject(account)
