"""The fold of one report: its events, in the order of the log, to its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Literal

import msgspec

from acx.records.event import (
    MAX_FOLLOW_UPS,
    Answer,
    Assessment,
    Corroboration,
    Dispute,
    Outcome,
    Resolution,
)
from acx.records.state.governance import Governance
from acx.records.state.kept import OUTCOME_TAG, Kept
from acx.records.state.view import DisputeView, Ignored, ReportView, State, Step

_ANSWER: Final = msgspec.json.Decoder(Answer)
_ASSESSMENT: Final = msgspec.json.Decoder(Assessment)
_CORROBORATION: Final = msgspec.json.Decoder(Corroboration)
_DISPUTE: Final = msgspec.json.Decoder(Dispute)
_OUTCOME: Final = msgspec.json.Decoder(Outcome)
_RESOLUTION: Final = msgspec.json.Decoder(Resolution)


def fold_report(report: str, events: Sequence[Kept], governance: Governance) -> ReportView | None:
    """The state of a report.

    Args:
        report: its id.
        events: its events, in log order.
        governance: what operators' events establish.

    Returns:
        Its view, or None if nothing shows that there is or was such a report.
    """
    fold = _Fold(report, governance)
    fold.run(events)
    return fold.view()


def objection(
    report: str, events: Sequence[Kept], governance: Governance, candidate: Kept
) -> Ignored:
    """Why the fold would ignore an event if it came next; empty if it would not."""
    fold = _Fold(report, governance)
    fold.run(events)
    if candidate.by in governance.operators:
        return governance.objection(candidate) or fold.operator_step(candidate)
    return fold.member_step(candidate)


def next_seq(report: str, events: Sequence[Kept], governance: Governance, by: str) -> int:
    """The `seq` that a key's next event for a report must have."""
    fold = _Fold(report, governance)
    fold.run(events)
    return fold.chains.next_seq(by)


class Chains:
    """The order that each key keeps among its own events for one report."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance
        self._last: dict[str, Kept] = {}

    def next_seq(self, by: str) -> int:
        """The `seq` that comes next."""
        last = self._last.get(by)
        return 0 if last is None else last.seq + 1

    def admit(self, kept: Kept) -> int | None:
        """Take a key's next event, if it is the next.

        Numbers may be missing where as many entries of the log in between are gone.

        Returns:
            How many numbers are missing before it, or None if it is out of order.
        """
        last = self._last.get(kept.by)
        expected, since = (0, -1) if last is None else (last.seq + 1, last.index)
        skipped = kept.seq - expected
        if skipped < 0:
            return None
        if skipped > 0 and self._governance.gone_between(since, kept.index) < skipped:
            return None
        self._last[kept.by] = kept
        return skipped


@dataclass(slots=True)
class _Contribution:
    """What one key said of the actor: the report itself, or a corroboration of one version."""

    id: str
    by: str
    version: int
    tag: str
    body: bytes
    standing: bool = True


@dataclass(slots=True)
class _Dispute:
    id: str
    index: int
    code: str
    since: int
    stage: Literal["open", "upheld", "dismissed"] = "open"
    decided: int = -1
    lapsed: bool = False
    appealed: bool = False
    answers: dict[str, Literal["stands", "withdraws"]] = field(default_factory=dict)
    # Decisions proposed since it was last opened: those before an appeal do not decide it.
    proposals: dict[str, Literal["upheld", "dismissed"]] = field(default_factory=dict)

    def view(self) -> DisputeView:
        return DisputeView(
            id=self.id,
            index=self.index,
            code=self.code,
            stage=self.stage,
            lapsed=self.lapsed,
            appealed=self.appealed,
            since=self.since,
            decided=self.decided,
            answers=dict(self.answers),
        )


class _Fold:
    def __init__(self, report: str, governance: Governance) -> None:
        self.report = report
        self.governance = governance
        self.chains = Chains(governance)
        self.timeline: list[Step] = []
        self.upgrade_needed = False
        self.named_by_operator = -1
        self.own: _Contribution | None = None
        self.corroborations: dict[str, _Contribution] = {}
        self.follow_ups: dict[str, int] = {}
        self.outcomes: dict[str, tuple[str, Kept]] = {}
        self.disputes: dict[str, _Dispute] = {}
        self.assessments: dict[str, str] = {}
        self.skipped = 0

    def run(self, events: Sequence[Kept]) -> None:
        governance = self.governance
        left = [kept for kept in events if not governance.is_gone(kept.index)]
        decisions = sorted(
            (
                (governance.approvals[kept.id], kept)
                for kept in left
                if kept.type == "resolution" and kept.id in governance.approvals
            ),
            key=itemgetter(0),
        )
        for kept in left:
            while decisions and decisions[0][0] <= kept.index:
                self._decide(*decisions.pop(0))
            verdict = governance.verdicts.get(kept.index)
            if verdict is None:
                ignored = self.member_step(kept)
            else:
                ignored = verdict or self.operator_step(kept)
                self.upgrade_needed |= verdict == "unreadable"
            self.timeline.append(Step(kept.index, kept.id, kept.type, ignored))
        for approved, kept in decisions:
            self._decide(approved, kept)

    def member_step(self, kept: Kept) -> Ignored:
        """Take an event that no operator's key signed; return why it is ignored, if it is."""
        skipped = self.chains.admit(kept)
        if skipped is None:
            return "out_of_order"
        self.skipped = skipped
        if not kept.type:
            self.upgrade_needed = True
            return "unreadable"
        if kept.type == "report":
            return self._open(kept)
        step = _MEMBER_STEPS.get(kept.type)
        if step is None:
            return "not_an_operator"
        return "no_report" if self.own is None else step(self, kept, self.own)

    def operator_step(self, kept: Kept) -> Ignored:
        """Take an event that an operator's key signed; return why it is ignored, if it is."""
        if self.named_by_operator < 0:
            self.named_by_operator = kept.index
        if kept.type == "erasure":
            return "" if kept.id in self.governance.approvals else "waiting"
        step = _OPERATOR_STEPS.get(kept.type)
        if step is None:
            return ""
        return "no_report" if self.own is None else step(self, kept)

    def view(self) -> ReportView | None:
        if self.own is not None:
            return self._present(self.own)
        state = self._gone()
        if state is None:
            return None
        return ReportView(
            id=self.report,
            state=state,
            first_index=self.timeline[0].index,
            last_index=self.timeline[-1].index,
            upgrade_needed=self.upgrade_needed,
            timeline=tuple(self.timeline),
        )

    def _present(self, own: _Contribution) -> ReportView:
        standing = [
            c for c in self.corroborations.values() if c.standing and c.version == own.version
        ]
        tags = {c.tag for c in standing}
        if own.standing:
            tags.add(own.tag)
        disputes = self.disputes.values()
        return ReportView(
            id=self.report,
            state=self._state(len(tags)),
            version=own.version,
            report_json=own.body,
            contributors=len(tags),
            corroborations=tuple(_CORROBORATION.decode(c.body) for c in standing),
            first_index=self.timeline[0].index,
            last_index=self.timeline[-1].index,
            disputes=tuple(dispute.view() for dispute in disputes),
            awaiting_answer=tuple(
                dispute.id
                for dispute in disputes
                if dispute.stage == "open" and own.standing and own.id not in dispute.answers
            ),
            outcomes=self._outcomes(),
            assessments=dict(sorted(self.assessments.items())),
            upgrade_needed=self.upgrade_needed,
            timeline=tuple(self.timeline),
        )

    def _state(self, contributors: int) -> State:
        stages = {dispute.stage for dispute in self.disputes.values()}
        if "upheld" in stages:
            return "rejected"
        if contributors == 0:
            return "withdrawn"
        if "open" not in stages:
            return "active"
        lapsed = any(d.stage == "open" and d.lapsed for d in self.disputes.values())
        return "suspended" if lapsed and contributors < 2 else "disputed"

    def _gone(self) -> State | None:
        """State of a report whose opening event is not there.

        It is shown only where an operator's event names it: others could name anything.
        """
        if self.named_by_operator < 0:
            return None
        named = self.governance.named.get(self.report)
        if named is not None:
            return named
        # An erasure names its report, so what left without being named has expired.
        gone_before = self.governance.gone_between(-1, self.named_by_operator)
        return "expired" if gone_before else None

    def _outcomes(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for outcome, _ in self.outcomes.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        return dict(sorted(counts.items()))

    # Members' events

    def _open(self, kept: Kept) -> Ignored:
        if self.own is not None:
            return "already_open"
        # That the report's id is its key's, `parse_event` has seen to.
        tag = kept.tag(1)
        if not tag:
            return "tag"
        self.own = _Contribution(kept.id, kept.by, 1, tag, kept.body)
        return ""

    def amend(self, kept: Kept, own: _Contribution) -> Ignored:
        if kept.by != own.by:
            return "not_its_key"
        if not own.standing:
            return "withdrawn"
        if self.follow_ups.get(kept.by, 0) >= MAX_FOLLOW_UPS:
            return "follow_ups"
        version = self._amended_version(kept, own)
        if version is None:
            return "tag"
        own.version, own.tag, own.body = version, kept.tag(version), kept.body
        self._count_follow_up(kept)
        return ""

    def _amended_version(self, kept: Kept, own: _Contribution) -> int | None:
        if kept.tag(own.version):
            if kept.tag(own.version) != own.tag:
                return None
            if not _adds_values(own.body, kept.body):
                return own.version
            return own.version + 1 if kept.tag(own.version + 1) else None
        # Amendments that are gone may have made versions in between; its tags tell which.
        versions = [version for version, _ in kept.tags if version != OUTCOME_TAG]
        if not versions or not 0 < versions[0] - own.version <= self.skipped:
            return None
        return versions[-1] if versions[-1] - versions[0] <= 1 else None

    def withdraw(self, kept: Kept, own: _Contribution) -> Ignored:
        if kept.ref in {"", own.id}:
            return self._withdraw_contribution(kept, own)
        if kept.ref in self.corroborations:
            return self._withdraw_contribution(kept, self.corroborations[kept.ref])
        for tag, (_, outcome) in self.outcomes.items():
            if outcome.id == kept.ref:
                if outcome.by != kept.by:
                    return "not_its_key"
                del self.outcomes[tag]
                return ""
        return "unknown_ref"

    def _withdraw_contribution(self, kept: Kept, contribution: _Contribution) -> Ignored:
        if kept.by != contribution.by:
            return "not_its_key"
        if not contribution.standing:
            return "withdrawn"
        contribution.standing = False
        return ""

    def corroborate(self, kept: Kept, own: _Contribution) -> Ignored:
        version = _CORROBORATION.decode(kept.body).version
        if version != own.version:
            return "version"
        tag = kept.tag(version)
        if not tag:
            return "tag"
        if tag == own.tag:
            return "own_report"
        self.corroborations[kept.id] = _Contribution(kept.id, kept.by, version, tag, kept.body)
        return ""

    def record_outcome(self, kept: Kept, _own: _Contribution) -> Ignored:
        tag = kept.tag(OUTCOME_TAG)
        if not tag:
            return "tag"
        self.outcomes[tag] = (_OUTCOME.decode(kept.body).outcome, kept)
        return ""

    def answer(self, kept: Kept, own: _Contribution) -> Ignored:
        dispute = self.disputes.get(kept.ref)
        if dispute is None:
            return "unknown_ref"
        if dispute.stage != "open":
            return "decided"
        theirs = [c for c in (own, *self.corroborations.values()) if c.by == kept.by]
        standing = [c for c in theirs if c.standing]
        if not standing:
            return "withdrawn" if theirs else "not_its_key"
        spoken_for = [c for c in standing if kept.tag(c.version) == c.tag]
        if not spoken_for:
            return "tag"
        if self.follow_ups.get(kept.by, 0) >= MAX_FOLLOW_UPS:
            return "follow_ups"
        answer = _ANSWER.decode(kept.body).answer
        dispute.answers[spoken_for[-1].id] = answer
        spoken_for[-1].standing = answer == "stands"
        self._count_follow_up(kept)
        return ""

    def assess(self, kept: Kept, _own: _Contribution) -> Ignored:
        if not self.governance.is_brand(kept.by, kept.index):
            return "not_a_brand"
        self.assessments[kept.by] = _ASSESSMENT.decode(kept.body).assessment
        return ""

    def register(self, _kept: Kept, _own: _Contribution) -> Ignored:
        # A registration is about a brand; in a report it has no place.
        return "unknown_ref"

    def _count_follow_up(self, kept: Kept) -> None:
        self.follow_ups[kept.by] = self.follow_ups.get(kept.by, 0) + 1

    # Operators' events

    def dispute(self, kept: Kept) -> Ignored:
        code = _DISPUTE.decode(kept.body).code
        self.disputes[kept.id] = _Dispute(kept.id, kept.index, code, kept.index)
        return ""

    def lapse(self, kept: Kept) -> Ignored:
        dispute = self.disputes.get(kept.ref)
        if dispute is None:
            return "unknown_ref"
        if dispute.stage != "open":
            return "decided"
        dispute.lapsed = True
        return ""

    def propose(self, kept: Kept) -> Ignored:
        dispute = self.disputes.get(kept.ref)
        if dispute is None:
            return "unknown_ref"
        if dispute.stage != "open":
            return "decided"
        dispute.proposals[kept.id] = _RESOLUTION.decode(kept.body).decision
        return "" if kept.id in self.governance.approvals else "waiting"

    def _decide(self, approved: int, kept: Kept) -> None:
        dispute = self.disputes.get(kept.ref)
        if dispute is not None and dispute.stage == "open" and kept.id in dispute.proposals:
            dispute.stage = dispute.proposals[kept.id]
            dispute.decided = approved

    def appeal(self, kept: Kept) -> Ignored:
        dispute = self.disputes.get(kept.ref)
        if dispute is None:
            return "unknown_ref"
        if dispute.stage == "open" or dispute.appealed:
            return "decided"
        dispute.stage, dispute.appealed, dispute.lapsed = "open", True, False
        dispute.since = kept.index
        dispute.answers.clear()
        dispute.proposals.clear()
        return ""


def _adds_values(before: bytes, after: bytes) -> bool:
    """Whether an amended report's account holds a value that the one before did not.

    Compared as JSON and not as `Subject`: a field of a later version counts too, so that every
    version of acx counts the same versions of a report.
    """
    return bool(_account_values(after) - _account_values(before))


def _account_values(body: bytes) -> set[tuple[str, bytes]]:
    account = msgspec.json.decode(body)["account"]
    return {
        (name, msgspec.json.encode(value, order="sorted"))
        for name, values in account.items()
        for value in (values if isinstance(values, list) else [values])
        if value != ""
    }


_MEMBER_STEPS: Final[dict[str, Callable[[_Fold, Kept, _Contribution], Ignored]]] = {
    "amendment": _Fold.amend,
    "withdrawal": _Fold.withdraw,
    "corroboration": _Fold.corroborate,
    "outcome": _Fold.record_outcome,
    "answer": _Fold.answer,
    "assessment": _Fold.assess,
    "registration": _Fold.register,
}
_OPERATOR_STEPS: Final[dict[str, Callable[[_Fold, Kept], Ignored]]] = {
    "dispute": _Fold.dispute,
    "lapse": _Fold.lapse,
    "resolution": _Fold.propose,
    "appeal": _Fold.appeal,
}
