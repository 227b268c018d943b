"""Whatever members, operators and strangers post, in whatever order it arrives."""

from __future__ import annotations

import io
import random

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.records.histories import (
    DISMISSED,
    STANDS,
    UPHELD,
    WITHDRAWS,
    Log,
    by,
    fold,
    report,
)
from tests.records.reference_fold import effects, facts, reference

from acx.records.event import (
    Act,
    Assessment,
    Outcome,
    Resolution,
    Withdrawal,
    canonical,
    parse_event,
    report_id,
)
from acx.records.state import Entry, Reports

OWNERS = {"r1": "ann", "r2": "bob"}
OTHER_KEYS = ("c1", "c2", "c3")
STAFF = ("olga", "oskar", "otto")  # Otto becomes an operator only if somebody adds him.
IDS = {name: report_id(by(name)) for name in OWNERS}

# Mostly right and sometimes wrong: what is wrong all the time leads nowhere.
report_keys = st.sampled_from(["r1", "r1", "r2"])
subjects = report_keys.map(IDS.__getitem__)
other_keys = st.sampled_from(OTHER_KEYS)
members = st.sampled_from(["ann", "bob", "cy", "dee"])
operators = st.sampled_from(["olga", "oskar", "olga", "oskar", "olga", "oskar", "otto", "eve"])
rarely = st.integers(0, 5).map(lambda n: n == 0)
names = st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=2, unique=True)
places = st.integers(0, 40)
removals = st.lists(st.integers(0, 9), max_size=3)
verdicts = st.sampled_from(["kept", "blocked"])


def repeatable(log: Log) -> random.Random:
    return random.Random(len(log.entries))  # noqa: S311 -- an order, not a secret


def apply(reports: Reports, entry: Entry) -> None:
    """Apply an entry; whatever changes by it has to be among what is said to have changed."""
    before = {view.id: view for view in reports}
    changed = reports.apply(entry)
    after = {view.id: view for view in reports}
    assert {name for name in before | after if before.get(name) != after.get(name)} <= changed


class Histories(RuleBasedStateMachine):
    """Each rule appends one event, right or wrong; the fold has always to agree."""

    @initialize(
        stride=st.sampled_from([1, 2]),
        corroborated=st.booleans(),
        amended=st.booleans(),
        is_disputed=st.booleans(),
        decided=st.sampled_from([None, UPHELD, DISMISSED]),
        appealed=st.booleans(),
    )
    def start(
        self,
        stride: int,
        decided: Resolution | None,
        *,
        corroborated: bool,
        amended: bool,
        is_disputed: bool,
        appealed: bool,
    ) -> None:
        self.log = Log(stride=stride)
        self.folded = Reports(by(name) for name in self.log.operators)
        self.applied = 0
        subject = self.log.report("ann", "r1", report("A"))
        if corroborated:
            self.log.corroborate("bob", "c1", subject)
        if amended:
            self.log.amend("ann", "r1", report("A", "B"), 1, 2)
        if is_disputed:
            dispute = self.log.dispute(subject).id
            if decided is not None:
                self.log.decide(subject, dispute, decided)
            if appealed:
                self.log.appeal(subject, dispute)

    def past(self, place: int, *types: str, about: str = "") -> str:
        """The id of an event of one of the types, one of the last of them, if there is any."""
        ids = [
            entry.event.id
            for entry in self.log.entries
            if entry.event.type in types and (not about or entry.event.report == about)
        ]
        return ids[-1 - place % min(2, len(ids))] if ids else ""

    def has(self, *types: str) -> bool:
        return bool(self.past(0, *types))

    @rule(name=report_keys, values=names, stolen=rarely)
    def reports(self, name: str, values: list[str], *, stolen: bool) -> None:
        self.log.report("eve" if stolen else OWNERS[name], name, report(*values))

    @rule(
        name=report_keys,
        values=names,
        stolen=rarely,
        steps=st.sampled_from([(0,), (0, 1), (0, 1), (1,), (1, 2), (2,)]),
    )
    def amends(self, name: str, values: list[str], steps: tuple[int, ...], *, stolen: bool) -> None:
        view = self.log.fold().get(IDS[name])
        version = view.version if view else 1
        member = "eve" if stolen else OWNERS[name]
        self.log.amend(member, name, report(*values), *(version + step for step in steps))

    @rule(member=members, name=other_keys, subject=subjects, ahead=rarely)
    def corroborates(self, member: str, name: str, subject: str, *, ahead: bool) -> None:
        view = self.log.fold().get(subject)
        version = view.version if view and view.version else 1
        self.log.corroborate(member, name, subject, version + ahead)

    @rule(data=st.data(), reopened=rarely)
    def withdraws(self, data: st.DataObject, *, reopened: bool) -> None:
        kinds = {"report", "corroboration", "outcome"}
        said = [entry.event for entry in self.log.entries if entry.event.type in kinds]
        event = data.draw(st.sampled_from(said))
        signer = next(name for name in (*OWNERS, *OTHER_KEYS) if by(name) == event.by)
        if reopened:
            signer = data.draw(st.sampled_from(OTHER_KEYS))
        self.log.withdraw(signer, event.report, "" if event.type == "report" else event.id)

    @rule(member=members, name=other_keys, subject=subjects, what=verdicts)
    def tells_the_outcome(self, member: str, name: str, subject: str, what: str) -> None:
        self.log.outcome(member, name, subject, msgspec.convert({"outcome": what}, Outcome))

    @precondition(lambda self: self.has("dispute"))
    @rule(name=report_keys, place=places, stands=st.booleans(), stolen=rarely)
    def answers(self, name: str, place: int, *, stands: bool, stolen: bool) -> None:
        view = self.log.fold().get(IDS[name])
        dispute = self.past(place, "dispute", about=IDS[name])
        answer = STANDS if stands else WITHDRAWS
        member = "eve" if stolen else OWNERS[name]
        version = view.version if view else 1
        self.log.answer(member, name, IDS[name], dispute, answer, version)

    @precondition(lambda self: self.has("dispute"))
    @rule(subject=subjects, member=members, name=other_keys, place=places, stands=st.booleans())
    def answers_too(
        self, subject: str, member: str, name: str, place: int, *, stands: bool
    ) -> None:
        dispute = self.past(place, "dispute", about=subject)
        self.log.answer(member, name, subject, dispute, STANDS if stands else WITHDRAWS)

    @rule(subject=subjects, operator=operators)
    def is_disputed(self, subject: str, operator: str) -> None:
        self.log.dispute(subject, operator)

    @precondition(lambda self: self.has("dispute"))
    @rule(subject=subjects, place=places, operator=operators)
    def lapses(self, subject: str, place: int, operator: str) -> None:
        self.log.lapse(subject, self.past(place, "dispute", about=subject), operator)

    @precondition(lambda self: self.has("dispute"))
    @rule(subject=subjects, place=places, operator=operators, upheld=st.booleans())
    def is_to_be_decided(self, subject: str, place: int, operator: str, *, upheld: bool) -> None:
        dispute = self.past(place, "dispute", about=subject)
        self.log.propose(subject, dispute, UPHELD if upheld else DISMISSED, operator)

    @precondition(lambda self: self.has("dispute"))
    @rule(subject=subjects, place=places, upheld=st.booleans())
    def is_decided(self, subject: str, place: int, *, upheld: bool) -> None:
        dispute = self.past(place, "dispute", about=subject)
        self.log.decide(subject, dispute, UPHELD if upheld else DISMISSED)

    @precondition(lambda self: self.has("dispute"))
    @rule(subject=subjects, place=places, operator=operators)
    def is_appealed(self, subject: str, place: int, operator: str) -> None:
        self.log.appeal(subject, self.past(place, "dispute", about=subject), operator)

    @precondition(lambda self: self.has("resolution", "erasure"))
    @rule(place=places, operator=operators, subject=subjects | st.just(""))
    def is_approved(self, place: int, operator: str, subject: str) -> None:
        self.log.approve(self.past(place, "resolution", "erasure"), operator, subject)

    @rule(
        act=st.sampled_from(["operator_added", "operator_removed"]),
        who=st.sampled_from(["otto", "otto", "olga"]),
        operator=operators,
    )
    def operators_change(self, act: str, who: str, operator: str) -> None:
        self.log.act(msgspec.convert({"act": act, "target": by(who)}, Act), operator)

    @rule(act=st.sampled_from(["joined", "joined", "suspended", "reinstated"]), operator=operators)
    def brands_change(self, act: str, operator: str) -> None:
        tree = {"act": act, "code": "brand", "target": by("brand")}
        self.log.act(msgspec.convert(tree, Act), operator)

    @rule(subject=subjects, confirmed=st.booleans())
    def is_assessed(self, subject: str, confirmed: bool) -> None:
        assessment = Assessment(assessment="confirmed" if confirmed else "refuted")
        self.log.assess("brand", subject, assessment)

    def listed(self, wanted: list[int]) -> list[int]:
        """Indices an erasure may list: no operator's event (`test_state_rules` lists one)."""
        staff = {by(name) for name in STAFF}
        theirs = {e.index for e in self.log.entries if e.event.by in staff}
        return [i * self.log.stride for i in wanted if i * self.log.stride not in theirs]

    @rule(wanted=removals, subject=subjects | st.just(""), operator=operators)
    def expires(self, wanted: list[int], subject: str, operator: str) -> None:
        self.log.expire(*self.listed(wanted), report=subject, operator=operator)

    @rule(wanted=removals, subject=subjects | st.just(""), operator=operators)
    def is_to_be_erased(self, wanted: list[int], subject: str, operator: str) -> None:
        self.log.erase(*self.listed(wanted), report=subject, operator=operator)

    @rule(wanted=removals, subject=subjects)
    def is_erased(self, wanted: list[int], subject: str) -> None:
        self.log.approve(self.log.erase(*self.listed(wanted), report=subject).id)

    @rule(place=places)
    def is_replayed(self, place: int) -> None:
        self.log.append(self.log.entries[place % len(self.log.entries)].event)

    @rule(name=report_keys | other_keys, subject=subjects, seq=st.integers(0, 3))
    def comes_out_of_order(self, name: str, subject: str, seq: int) -> None:
        self.log.add(name, "withdrawal", Withdrawal(reason="error"), report=subject, seq=seq)

    @rule(name=st.sampled_from(["r1", "c1", "olga", "otto"]), subject=subjects | st.just(""))
    def is_beyond_this_code(self, name: str, subject: str) -> None:
        event = self.log.add(name, "withdrawal", Withdrawal(reason="error"), report=subject)
        tree = msgspec.json.decode(event.raw) | {"type": "novelty"}
        self.log.entries[-1] = Entry(self.log.entries[-1].index, parse_event(canonical(tree)))

    @invariant()
    def agrees_with_the_reference(self) -> None:
        for entry in self.log.entries[self.applied :]:
            apply(self.folded, entry)
        self.applied = len(self.log.entries)
        expected = reference(self.log.entries, map(by, self.log.operators))
        assert {view.id: facts(view) for view in self.folded} == expected

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        log, in_order = self.log, list(self.folded)

        # In any order, and twice.
        shuffled = log.entries * 2
        repeatable(log).shuffle(shuffled)
        again = Reports(by(name) for name in log.operators)
        for entry in shuffled:
            apply(again, entry)
        assert list(again) == in_order
        assert again.registrations == self.folded.registrations

        # From a snapshot.
        stream = io.BytesIO()
        again.write_to(stream)
        stream.seek(0)
        restored = Reports.read_from(stream)
        assert list(restored) == in_order
        assert restored.operators == again.operators

        # A log read afresh lacks what is gone.
        left = [entry for entry in log.entries if not again.is_gone(entry.index)]
        assert list(fold(left)) == in_order

        # A stranger's events, wherever they stand, change nothing but the list of events.
        if log.stride > 1:
            forged = [
                Entry(entry.index + 1, forgery.event)
                for entry, forgery in zip(log.entries, self.forgeries(), strict=True)
            ]
            assert {view.id: effects(view) for view in fold(log.entries + forged)} == {
                view.id: effects(view) for view in in_order
            }

    def forgeries(self) -> list[Entry]:
        """What somebody without any authority may sign, about what is in the log."""
        forger = Log()
        for entry in self.log.entries:
            event = entry.event
            subject = event.report or report_id(by("r1"))
            forger.withdraw("eve", subject, event.id)
            forger.add("eve", "amendment", report("Somebody Else"), report=subject)
            forger.add("eve", "report", report("Somebody Else"), report=report_id(by("eve")))
            forger.dispute(subject, "eve")
            forger.propose(subject, self.past(entry.index, "dispute"), UPHELD, "eve")
            forger.approve(self.past(entry.index, "resolution", "erasure"), "eve")
            forger.act(Act(act="operator_added", target=by("eve")), "eve")
            forger.approve(forger.erase(entry.index, report=subject, operator="eve").id, "eve")
            forger.assess("eve", subject, Assessment(assessment="refuted"))
        return repeatable(self.log).sample(forger.entries, len(self.log.entries))


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
