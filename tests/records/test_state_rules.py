"""What an event does to a report's state, rule by rule."""

from __future__ import annotations

import io

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
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

from acx.records.event import (
    MAX_FOLLOW_UPS,
    Act,
    Assessment,
    Corroboration,
    Dispute,
    Event,
    Outcome,
    Registration,
    Withdrawal,
    canonical,
    parse_event,
    public_key_text,
    report_id,
)
from acx.records.state import Entry, Reports, StateError


def ignored(log: Log, event: Event) -> str:
    view = log.view(event.report)
    return next(step.ignored for step in view.timeline if step.id == event.id)


# Reports and amendments


def test_a_report_is_active_with_one_contributor() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    view = log.view(subject)
    assert (view.state, view.version, view.contributors) == ("active", 1, 1)
    assert view.report == report("Chen Trading")
    assert (view.first_index, view.last_index) == (0, 0)


def test_a_report_without_its_stand_tag_opens_nothing() -> None:
    log = Log()
    event = log.add("r1", "report", report("Chen Trading"), report=report_id(by("r1")))
    assert log.fold().get(event.report) is None


def test_a_second_report_under_the_same_key_is_ignored() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.report("ann", "r1", report("Somebody Else"))
    assert log.view(subject).report == report("Chen Trading")


def test_an_amendment_that_adds_a_value_makes_a_version_behind_which_nobody_else_stands() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.corroborate("bob", "c1", subject)
    log.amend("ann", "r1", report("Chen Trading", emails=("new@shop.example",)), 1, 2)
    view = log.view(subject)
    assert (view.version, view.contributors, view.corroborations) == (2, 1, ())


def test_an_amendment_that_removes_a_value_keeps_version_and_contributors() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading", "Typo"))
    log.corroborate("bob", "c1", subject)
    log.amend("ann", "r1", report("Chen Trading"), 1)
    view = log.view(subject)
    assert (view.version, view.contributors) == (1, 2)
    assert view.report == report("Chen Trading")


def test_a_value_of_a_field_this_code_does_not_know_makes_a_version_too() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    amendment = log.amend("ann", "r1", report("Chen Trading"), 1, 2)
    body = msgspec.json.decode(amendment.body_json)
    body["account"]["wallet"] = ["bc1q…"]
    unknown = msgspec.structs.replace(amendment, body_json=canonical(body))
    log.entries[-1] = Entry(1, unknown)
    assert log.view(subject).version == 2


@pytest.mark.parametrize("versions", [(), (1,), (2,)])
def test_an_amendment_without_the_tags_of_both_versions_is_ignored(
    versions: tuple[int, ...],
) -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    amendment = log.amend("ann", "r1", report("Someone Else"), *versions)
    assert ignored(log, amendment) == "tag"
    assert log.view(subject).version == 1


def test_an_amendment_with_another_members_tag_is_ignored() -> None:
    log = Log()
    log.report("ann", "r1", report("Chen Trading"))
    assert ignored(log, log.amend("eve", "r1", report("Someone Else"), 1, 2)) == "tag"


def test_only_the_report_key_amends() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    event = log.add("eve", "amendment", report("Someone Else"), report=subject)
    assert ignored(log, event) == "not_its_key"


def test_follow_ups_end_at_the_limit() -> None:
    log = Log()
    log.report("ann", "r1", report("Chen Trading"))
    for _ in range(MAX_FOLLOW_UPS):
        assert ignored(log, log.amend("ann", "r1", report("Chen Trading"), 1)) == ""
    assert ignored(log, log.amend("ann", "r1", report("Chen Trading"), 1)) == "follow_ups"


def test_an_event_out_of_order_is_kept_and_ignored() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    late = log.add("c1", "corroboration", _corroboration(), report=subject, seq=1)
    view = log.view(subject)
    assert view.contributors == 1
    assert [step.id for step in view.timeline][1:] == [late.id]
    assert ignored(log, late) == "out_of_order"


# Contributors


def test_each_member_counts_once() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.corroborate("bob", "c1", subject)
    log.corroborate("bob", "c2", subject)
    log.corroborate("cy", "c3", subject)
    assert log.view(subject).contributors == 3


def test_a_member_that_corroborates_its_own_report_adds_nothing() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    assert ignored(log, log.corroborate("ann", "c1", subject)) == "own_report"
    assert log.view(subject).contributors == 1


def test_a_corroboration_of_another_version_adds_nothing() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    early = log.corroborate("bob", "c1", subject, version=2)
    log.amend("ann", "r1", report("Chen Trading", "Chen Li"), 1, 2)
    late = log.corroborate("cy", "c2", subject, version=1)
    assert ignored(log, early) == ignored(log, late) == "version"
    assert log.view(subject).contributors == 1


def test_a_corroboration_before_its_report_is_ignored() -> None:
    log = Log()
    log.corroborate("bob", "c1", report_id(by("r1")))
    subject = log.report("ann", "r1", report("Chen Trading"))
    assert log.view(subject).contributors == 1


def test_a_report_stays_active_while_one_contributor_stands() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    corroboration = log.corroborate("bob", "c1", subject)
    log.withdraw("r1", subject)
    assert (log.view(subject).state, log.view(subject).contributors) == ("active", 1)
    log.withdraw("c1", subject, corroboration.id)
    assert (log.view(subject).state, log.view(subject).contributors) == ("withdrawn", 0)


@pytest.mark.parametrize("thief", ["r1", "c2", "eve"])
def test_only_its_own_key_withdraws_a_corroboration(thief: str) -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    corroboration = log.corroborate("bob", "c1", subject)
    log.corroborate("cy", "c2", subject)
    assert ignored(log, log.withdraw(thief, subject, corroboration.id)) == "not_its_key"
    assert log.view(subject).contributors == 3


def test_who_has_withdrawn_amends_no_more() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.corroborate("bob", "c1", subject)
    log.withdraw("r1", subject)
    assert ignored(log, log.amend("ann", "r1", report("Chen"), 1, 2)) == "withdrawn"


# Outcomes and assessments


def test_the_same_members_later_outcome_replaces_its_earlier() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.outcome("bob", "o1", subject, Outcome(outcome="kept"))
    log.outcome("cy", "o2", subject, Outcome(outcome="blocked"))
    last = log.outcome("bob", "o3", subject, Outcome(outcome="blocked"))
    assert log.view(subject).outcomes == {"blocked": 2}
    log.withdraw("o3", subject, last.id)
    assert log.view(subject).outcomes == {"blocked": 1}


def test_only_an_admitted_brand_assesses_and_registers() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    too_early = log.assess("brand", subject, Assessment(assessment="refuted"))
    log.add("brand", "registration", Registration(brand="Too Early"))
    assert ignored(log, too_early) == "not_a_brand"
    log.act(Act(act="joined", code="brand", target=by("brand")))
    log.assess("brand", subject, Assessment(assessment="confirmed"))
    log.add("brand", "registration", Registration(brand="Acme"))
    assert log.view(subject).assessments == {by("brand"): "confirmed"}
    assert log.fold().registrations == {by("brand"): Registration(brand="Acme")}
    log.act(Act(act="suspended", target=by("brand")))
    log.assess("brand", subject, Assessment(assessment="refuted"))
    assert log.view(subject).assessments == {by("brand"): "confirmed"}
    assert log.fold().registrations == {by("brand"): Registration(brand="Acme")}


# Disputes


def disputed(contributors: int = 1) -> tuple[Log, str, str]:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    for n in range(1, contributors):
        log.corroborate(f"m{n}", f"c{n}", subject)
    return log, subject, log.dispute(subject).id


def test_a_dispute_awaits_the_contributors_answer() -> None:
    log, subject, dispute = disputed()
    assert log.view(subject).state == "disputed"
    assert log.view(subject).awaiting_answer == (dispute,)
    log.answer("ann", "r1", subject, dispute, STANDS)
    assert log.view(subject).state == "disputed"
    assert log.view(subject).awaiting_answer == ()


def test_an_answer_may_withdraw() -> None:
    log, subject, dispute = disputed()
    log.answer("ann", "r1", subject, dispute, WITHDRAWS)
    assert log.view(subject).state == "withdrawn"


def test_a_corroborator_may_answer_for_itself() -> None:
    log, subject, dispute = disputed(contributors=2)
    answer = log.answer("m1", "c1", subject, dispute, WITHDRAWS)
    view = log.view(subject)
    assert ignored(log, answer) == ""
    assert view.contributors == 1
    assert view.awaiting_answer == (dispute,)
    assert view.disputes[0].answers == {log.entries[1].event.id: "withdraws"}


@pytest.mark.parametrize(
    ("member", "name", "reason"),
    [("eve", "r1", "tag"), ("ann", "eve", "not_its_key"), ("ann", "c1", "tag")],
)
def test_an_answer_needs_the_contributors_key_and_tag(member: str, name: str, reason: str) -> None:
    log, subject, dispute = disputed(contributors=2)
    assert ignored(log, log.answer(member, name, subject, dispute, WITHDRAWS)) == reason


def test_only_operators_dispute() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    assert ignored(log, log.dispute(subject, operator="eve")) == "not_an_operator"
    assert log.view(subject).state == "active"


def test_a_lapsed_dispute_suspends_a_report_of_one_contributor_only() -> None:
    log, subject, dispute = disputed()
    log.lapse(subject, dispute)
    assert log.view(subject).state == "suspended"
    second = log.corroborate("bob", "c1", subject)
    assert log.view(subject).state == "disputed"
    log.withdraw("c1", subject, second.id)
    assert log.view(subject).state == "suspended"


def test_dismissed_is_active_again_and_upheld_is_rejected() -> None:
    log, subject, dispute = disputed()
    log.decide(subject, dispute, DISMISSED)
    assert log.view(subject).state == "active"
    log, subject, dispute = disputed(contributors=3)
    log.decide(subject, dispute, UPHELD)
    assert log.view(subject).state == "rejected"


def test_a_resolution_waits_for_another_operator() -> None:
    log, subject, dispute = disputed()
    proposal = log.propose(subject, dispute, UPHELD)
    log.approve(proposal.id, operator="olga")
    log.approve(proposal.id, operator="eve")
    assert ignored(log, proposal) == "waiting"
    assert log.fold().awaiting_approval == {proposal.id: proposal_index(log, proposal)}
    assert log.view(subject).state == "disputed"
    log.approve(proposal.id)
    assert log.view(subject).state == "rejected"
    assert log.fold().awaiting_approval == {}


def proposal_index(log: Log, event: Event) -> int:
    return next(entry.index for entry in log.entries if entry.event.id == event.id)


def test_deciding_twice_is_ignored() -> None:
    log, subject, dispute = disputed()
    first, second = log.propose(subject, dispute, DISMISSED), log.propose(subject, dispute, UPHELD)
    log.approve(first.id)
    log.approve(second.id)
    assert log.view(subject).state == "active"
    assert ignored(log, log.propose(subject, dispute, UPHELD)) == "decided"


def test_an_appeal_reopens_once_and_the_next_resolution_is_final() -> None:
    log, subject, dispute = disputed()
    stale = log.propose(subject, dispute, UPHELD)
    log.decide(subject, dispute, DISMISSED)
    log.appeal(subject, dispute)
    assert log.view(subject).state == "disputed"
    assert log.view(subject).awaiting_answer == (dispute,)
    log.approve(stale.id)
    assert log.view(subject).state == "disputed", "proposed before the appeal"
    log.decide(subject, dispute, UPHELD)
    assert ignored(log, log.appeal(subject, dispute)) == "decided"
    assert log.view(subject).state == "rejected"


def test_one_upheld_dispute_of_several_rejects() -> None:
    log, subject, first = disputed()
    second = log.dispute(subject).id
    log.decide(subject, first, UPHELD)
    log.decide(subject, second, DISMISSED)
    assert log.view(subject).state == "rejected"


def test_a_dispute_says_where_its_round_began_and_was_decided() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    dispute = log.dispute(subject)
    (opened,) = log.view(subject).disputes
    assert (opened.since, opened.decided) == (1, -1)
    log.decide(subject, dispute.id, DISMISSED)
    log.appeal(subject, dispute.id)
    (appealed,) = log.view(subject).disputes
    assert (appealed.index, appealed.since, appealed.decided) == (1, 4, 3)


# Operators


def test_an_operator_counts_from_its_addition_to_its_removal() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    assert ignored(log, log.dispute(subject, operator="otto")) == "not_an_operator"
    log.act(Act(act="operator_added", target=by("otto")))
    accepted = log.add("otto", "dispute", Dispute(code="now"), report=subject, seq=0)
    assert ignored(log, accepted) == ""
    log.act(Act(act="operator_removed", target=by("otto")))
    assert ignored(log, log.dispute(subject, operator="otto")) == "not_an_operator"
    assert by("otto") not in log.fold().operators


def test_a_stranger_adds_no_operator() -> None:
    log = Log()
    log.act(Act(act="operator_added", target=by("eve")), operator="eve")
    assert log.fold().operators == {by("olga"), by("oskar")}


def test_an_operator_that_corroborates_is_no_contributor() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    assert ignored(log, log.corroborate("olga", "olga", subject)) == "an_operator"


def test_an_act_can_have_a_second_signature_which_is_anothers() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    act = log.add("olga", "act", Act(act="held"), report=subject)
    assert ignored(log, log.approve(act.id, "olga", report=subject)) == "own_proposal"
    approval = log.approve(act.id, "oskar", report=subject)
    assert ignored(log, approval) == ""
    assert ignored(log, log.approve(approval.id, "olga", report=subject)) == "nothing_to_approve"
    assert ignored(log, log.approve(act.id, "oskar", report=subject)) == "nothing_to_approve"
    assert not log.fold().awaiting_approval


def test_an_act_of_a_later_acx_changes_nothing() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.act(Act(act="something_new", target=by("olga")))
    assert log.view(subject).state == "active"
    assert log.fold().operators == {by("olga"), by("oskar")}


# Erasure and expiry


def test_an_erased_report_keeps_its_name_and_nothing_else() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    erasure = log.erase(0, report=subject)
    assert log.view(subject).state == "active"
    log.approve(erasure.id)
    view = log.view(subject)
    assert (view.state, view.version, view.contributors) == ("erased", 0, 0)
    assert view.report is None
    assert [step.id for step in view.timeline] == [erasure.id]


def test_erased_absorbs_what_comes_later() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.approve(log.erase(0, report=subject).id)
    log.amend("ann", "r1", report("Chen Trading"), 1)
    log.corroborate("bob", "c1", subject)
    log.expire(0, report=subject)
    assert log.view(subject).state == "erased"


def test_an_expired_report_is_expired() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.dispute(subject)
    log.expire(0)
    assert log.view(subject).state == "expired"


def test_a_report_of_which_nothing_is_left_is_not_shown() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.expire(0)
    assert log.fold().get(subject) is None
    assert list(log.fold()) == []


def test_what_is_gone_is_dropped_from_memory_and_snapshot() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.approve(log.erase(0, report=subject).id)
    stream = io.BytesIO()
    log.fold().write_to(stream)
    assert b"Chen" not in stream.getvalue()


def test_an_erased_amendment_leaves_the_later_ones_in_order() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen"))
    log.amend("ann", "r1", report("Chen", "wrong person"), 1, 2)
    log.amend("ann", "r1", report("Chen", "Chen Li"), 2, 3)
    log.approve(log.erase(1, report=subject).id)
    view = log.view(subject)
    assert (view.state, view.version, view.contributors) == ("active", 3, 1)
    assert view.report == report("Chen", "Chen Li")


def test_an_erasure_reaches_neither_operators_events_nor_the_future() -> None:
    log = Log()
    first = log.report("ann", "r1", report("Chen Trading"))
    log.dispute(first)
    log.approve(log.erase(1, 4, report=first).id)
    second = log.report("ann", "r2", report("Doe Trading"))
    assert log.view(first).state == "disputed"
    assert log.view(second).state == "active"
    assert not any(log.fold().is_gone(index) for index in range(6))


# What this code cannot read


def unreadable(name: str, subject: str, seq: int, **changes: object) -> Event:
    log = Log()
    event = log.add(name, "withdrawal", _withdrawal(), report=subject, seq=seq)
    tree = msgspec.json.decode(event.raw) | changes
    return parse_event(canonical(tree))


@pytest.mark.parametrize("changes", [{"type": "novelty"}, {"v": 2}])
def test_an_event_this_code_cannot_read_is_flagged_and_keeps_its_place(
    changes: dict[str, object],
) -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    log.entries.append(Entry(1, unreadable("r1", subject, 1, **changes)))
    withdrawal = log.add("r1", "withdrawal", _withdrawal(), report=subject, seq=2)
    view = log.view(subject)
    assert view.upgrade_needed
    assert log.fold().unreadable == 1
    assert [step.ignored for step in view.timeline] == ["", "unreadable", ""]
    assert (withdrawal.seq, view.state) == (2, "withdrawn")


# The interface


def test_apply_names_the_reports_that_may_have_changed() -> None:
    log = Log()
    subject = log.report("ann", "r1", report("Chen Trading"))
    other = log.report("ann", "r2", report("Doe Trading"))
    log.approve(log.erase(0, report=subject).id)
    reports = Reports(by(name) for name in log.operators)
    changed = [reports.apply(entry) for entry in log.entries]
    assert changed == [{subject}, {other}, {subject}, {subject}]
    assert reports.apply(log.entries[0]) == frozenset()


def test_views_come_in_log_order() -> None:
    log = Log()
    ids = [log.report("ann", f"r{n}", report(f"Seller {n}")) for n in range(5)]
    assert [view.id for view in fold(reversed(log.entries))] == ids


def test_an_objection_says_what_the_fold_would_ignore() -> None:
    log, subject, dispute = disputed()
    reports = log.fold()
    draft = Log()
    late = draft.add("c1", "corroboration", _corroboration(), report=subject, seq=3)
    assert reports.objection(late) == "out_of_order"
    assert reports.objection(draft.corroborate("ann", "c9", subject)) == "own_report"
    assert reports.objection(draft.corroborate("bob", "c8", subject)) == ""
    assert reports.objection(draft.dispute(subject, operator="eve")) == "not_an_operator"
    draft.dispute(subject)
    assert reports.objection(draft.propose(subject, dispute, UPHELD)) == "waiting"
    assert reports.objection(draft.propose(subject, "a" * 26, UPHELD, "oskar")) == "unknown_ref"
    assert reports.objection(draft.approve(dispute)) == "nothing_to_approve"
    fresh = public_key_text(Ed25519PrivateKey.generate())
    assert reports.next_seq(fresh, subject) == 0
    assert reports.next_seq(by("r1"), subject) == 1
    assert reports.next_seq(by("olga"), subject) == 1
    assert reports.next_seq(by("olga")) == 0


def test_a_snapshot_gives_the_same_reports() -> None:
    log, subject, dispute = disputed(contributors=2)
    log.propose(subject, dispute, UPHELD)
    stream = io.BytesIO()
    log.fold().write_to(stream)
    stream.seek(0)
    restored = Reports.read_from(stream)
    assert list(restored) == list(log.fold())
    assert restored.awaiting_approval == log.fold().awaiting_approval
    assert restored.operators == log.fold().operators


@pytest.mark.parametrize("keep", [0, 4, 9, 40, 100, -1])
def test_a_snapshot_cut_short_is_refused(keep: int) -> None:
    log, _, _ = disputed()
    stream = io.BytesIO()
    log.fold().write_to(stream)
    with pytest.raises(StateError, match="fold the log again"):
        Reports.read_from(io.BytesIO(stream.getvalue()[:keep]))


@given(st.data())
def test_a_damaged_snapshot_is_refused(data: st.DataObject) -> None:
    log, _, _ = disputed()
    stream = io.BytesIO()
    log.fold().write_to(stream)
    damaged = bytearray(stream.getvalue())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(StateError, match="fold the log again"):
        Reports.read_from(io.BytesIO(damaged))


def _corroboration() -> Corroboration:
    return Corroboration(version=1, confirmed_by=("court",), confirmed_on="2026-04")


def _withdrawal() -> Withdrawal:
    return Withdrawal(reason="error")
