"""Reporting says each thing once, proves that it arrived, and loses nothing on the way."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.member.lying_exchange import LyingExchange, Problem
from tests.member.processes import FAST, send_for_ever

from acx.member.client import ExchangeClient
from acx.member.contribute import Draft
from acx.member.errors import BadReceipt, ContributionError, Unreachable
from acx.member.home import Confirmation, Member
from acx.member.outbox import Sent
from acx.member.recovery import mark_restored
from acx.member.sync import sync
from acx.records.account import Account
from acx.records.event import Act, Dispute, Event, Resolution, parse_event, stand_context
from acx.records.files.reports import ReportRow


def row(number: int, **changes: Any) -> ReportRow:
    account = {
        "id": f"seller-{number}",
        "name": (f"Person Number{number} Smith",),
        "email": (f"person{number}.smith@mail{number}.test",),
        "bank_account": (f"ACCT-{number:08d}",),
    } | {name: value for name, value in changes.items() if name in Account.__struct_fields__}
    said: dict[str, Any] = {
        "conduct": "sold_counterfeits",
        "confirmed_by": ("test_buy",),
        "confirmed_on": "2026-10",
    } | {name: value for name, value in changes.items() if name not in account}
    return ReportRow(file="reports.jsonl", line=number, account=Account(**account), **said)


def report(member: Member, *rows: ReportRow, **options: Any) -> tuple[list[str], Sent]:
    done = member.report(rows, at_once=True, **options)
    assert done.sent is not None
    return [draft.action for draft in done.drafts], done.sent


def posted(exchange: LyingExchange) -> list[Event]:
    marker = b',"presentations":'
    return [
        parse_event(body[len(b'{"event":') : body.rindex(marker)])
        for name, _, body in exchange.requests
        if name == "POST /v1/events"
    ]


def test_reports_go_to_the_log_with_receipts(exchange: LyingExchange, member: Member) -> None:
    done = member.report([row(number) for number in range(5)], at_once=True)
    assert done.sent is not None
    assert (len(done.sent.acknowledged), done.sent.waiting) == (5, 0)
    assert sorted(message.index for message in done.sent.acknowledged) == list(range(1, 6))  # type: ignore[type-var]
    assert member.sync().size == 6
    with member.replica() as replica:
        assert {view.id for view in replica.reports("active")} == set(done.reports)


def test_nothing_of_the_store_leaves(exchange: LyingExchange, member: Member) -> None:
    report(member, row(4711))
    (event,) = posted(exchange)
    assert b"seller-4711" not in event.raw
    assert b"ACCT-" not in event.raw
    assert b'"h1:' in event.raw
    assert set(event.tags) == {
        stand_context(event.report, 1),
        next(context for context in event.tags if context.startswith("rate/")),
    }


def test_the_same_file_again_sends_nothing(exchange: LyingExchange, member: Member) -> None:
    rows = [row(number) for number in range(4)]
    report(member, *rows)
    before = len(posted(exchange))
    actions, sent = report(member, *rows)
    assert actions == ["unchanged"] * 4
    assert sent == Sent()
    assert len(posted(exchange)) == before


def test_a_changed_row_becomes_an_amendment(exchange: LyingExchange, member: Member) -> None:
    report(member, row(1), row(2))
    changed = row(2, phone=("+49 30 901820",))
    actions, _ = report(member, row(1), changed)
    assert actions == ["unchanged", "amend"]
    amendment = posted(exchange)[-1]
    assert (amendment.type, amendment.seq) == ("amendment", 1)
    assert set(amendment.tags) == {stand_context(amendment.report, v) for v in (1, 2)}
    actions, _ = report(member, row(1), changed)
    assert actions == ["unchanged", "unchanged"]
    with member.replica() as replica:
        view = replica.report(amendment.report)
    assert view is not None
    assert view.version == 2


def test_an_amendment_of_an_amendment_rests_on_the_present_version(
    exchange: LyingExchange, member: Member
) -> None:
    for phone in ("+49 30 901820", "+49 30 901821", "+49 30 901822"):
        report(member, row(1, phone=(phone,)))
    member.sync()
    with member.replica() as replica:
        (view,) = replica.reports()
    assert (view.version, view.contributors) == (3, 1)
    assert [step.ignored for step in view.timeline] == ["", "", ""]


def test_only_amend_opens_nothing(exchange: LyingExchange, member: Member) -> None:
    actions, sent = report(member, row(1), only_amend=True)
    assert (actions, sent) == (["unchanged"], Sent())


def test_a_row_that_hits_anothers_report_corroborates_it(
    exchange: LyingExchange, member: Member
) -> None:
    theirs = exchange.report("Maria Lopez Garcia", tag="theirs")
    again = row(1, name=("Maria Lopez Garcia",), email=("Maria.Lopez.Garcia@mail.test",))
    actions, _ = report(member, again)
    assert actions == ["corroborate"]
    event = posted(exchange)[-1]
    assert (event.type, event.report) == ("corroboration", theirs)
    assert b"Maria" not in event.raw
    actions, sent = report(member, again)
    assert (actions, sent) == (["unchanged"], Sent())
    with member.replica() as replica:
        view = replica.report(theirs)
    assert view is not None
    assert view.contributors == 2


def test_new_opens_a_report_all_the_same(exchange: LyingExchange, member: Member) -> None:
    exchange.report("Maria Lopez Garcia", tag="theirs")
    again = row(1, name=("Maria Lopez Garcia",), email=("Maria.Lopez.Garcia@mail.test",))
    actions, _ = report(member, again, always_new=True)
    assert actions == ["report"]
    assert posted(exchange)[-1].type == "report"


def test_a_row_that_hits_our_own_report_is_a_report_of_its_own(
    exchange: LyingExchange, member: Member
) -> None:
    report(member, row(1))
    actions, _ = report(member, row(1, id="seller-other"))
    assert actions == ["report"]


def test_a_dry_run_shows_what_would_leave_and_sends_nothing(
    exchange: LyingExchange, member: Member
) -> None:
    before = len(exchange.requests)
    done = member.report([row(1)], dry_run=True)
    assert done.sent is None
    assert exchange.requests[before:] == []
    (draft,) = done.drafts
    assert draft.action == "report"
    assert b"Person Number1 Smith" in draft.leaves
    assert b"seller-1" not in draft.leaves
    assert member.outbox() == []
    report(member, row(1))
    assert b'"body":' + draft.leaves in posted(exchange)[0].raw


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ("x" * 600,)}, "name"),
        ({"ip": ("no address",)}, "ip"),
        ({"confirmed_on": "2026-10-05"}, "confirmed_on"),
        ({"confirmed_by": ("hearsay",)}, "confirmed_by"),
        ({"brands": ("b",) * 60}, "brands"),
        ({"name": (), "email": (), "bank_account": ()}, "account"),
    ],
)
def test_a_row_that_cannot_leave_is_rejected_with_its_place(
    changes: dict[str, Any], field: str, exchange: LyingExchange, member: Member
) -> None:
    done = member.report([row(7, **changes), row(8)], at_once=True)
    bad, good = done.drafts
    assert isinstance(bad, Draft)
    assert (bad.action, bad.field, bad.file, bad.line) == ("rejected", field, "reports.jsonl", 7)
    assert bad.reason
    assert good.action == "report"
    assert [event.type for event in posted(exchange)] == ["report"]


def test_keys_and_rate_tags_are_never_used_twice(exchange: LyingExchange, member: Member) -> None:
    report(member, *[row(number) for number in range(6)])
    events = posted(exchange)
    assert len({event.by for event in events}) == 6
    rates = {tag for e in events for context, tag in e.tags.items() if context[:4] == "rate"}
    assert len(rates) == 6


def test_several_reports_go_in_another_order_than_their_rows(
    exchange: LyingExchange, member: Member
) -> None:
    rows = [row(number) for number in range(12)]
    report(member, *rows)
    names = [event.body_json.split(b"Number")[1].split(b" ")[0] for event in posted(exchange)]
    assert sorted(names, key=int) == [str(number).encode() for number in range(12)]
    assert names != [str(number).encode() for number in range(12)]


def test_reports_wait_and_in_haste_they_do_not(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    spaced = Member.open(member.home, FAST | {"spacing": 1000.0, "delay": 100_000.0})
    spaced.report([row(number) for number in range(6)])
    waits = [seconds for seconds in waited if seconds > 1]
    assert len(waits) >= 5
    assert len(set(waits)) == len(waits)
    waited.clear()
    spaced.report([row(7)])
    assert len([seconds for seconds in waited if seconds > 1]) == 1
    waited.clear()
    spaced.report([row(number) for number in range(10, 14)], at_once=True)
    assert [seconds for seconds in waited if seconds > 1] == []


def test_what_would_name_the_store_does_not_leave(exchange: LyingExchange, member: Member) -> None:
    config = member.home / "config.toml"
    config.write_text(
        config.read_text()
        + '[contributor]\nnames = ["Bluebird Fashion"]\ndomains = ["bluebird.test"]\n'
    )
    named = Member.open(member.home, FAST)
    done = named.report(
        [row(1, website=("https://shop.bluebird.test/seller/77", "https://own.example/"))],
        at_once=True,
    )
    assert done.warnings == ()
    assert [(f.field, f.rule) for f in done.drafts[0].findings] == [("website", "domain")]
    (event,) = posted(exchange)
    assert b"bluebird" not in event.raw
    assert b"own.example" in event.raw


def test_a_store_that_does_not_say_who_it_is_gets_a_warning(member: Member) -> None:
    assert "[contributor]" in member.report([row(1)], dry_run=True).warnings[0]


# What fails on the way


@contextmanager
def held_back(member: Member) -> Iterator[None]:
    """Within it reports wait, as on the day on which a wallet was restored."""
    with member.wallet() as wallet:
        mark_restored(wallet)
    yield
    with member.wallet() as wallet:
        mark_restored(wallet, time.time() - 24 * 3600)


def lost(handler: Any) -> None:
    """Take the request, and close without an answer."""


def test_a_dead_exchange_leaves_everything_in_the_outbox(
    exchange: LyingExchange, member: Member
) -> None:
    exchange.answers["/v1/events"] = lambda answer: (
        Problem(503, "busy", "Busy", "try later") if "event" in answer else answer
    )
    _, sent = report(member, row(1), row(2))
    assert (sent.waiting, len(sent.acknowledged)) == (2, 0)
    assert "try later" in sent.stopped
    del exchange.answers["/v1/events"]
    assert len(member.send(at_once=True).acknowledged) == 2
    assert {message.state for message in member.outbox()} == {"acknowledged"}


def test_a_lost_answer_sends_the_same_bytes_again(exchange: LyingExchange, member: Member) -> None:
    exchange.answers["/v1/events"] = lambda answer: lost if "receipt" in answer else answer
    _, sent = report(member, row(1))
    assert (sent.waiting, len(exchange.entries)) == (1, 2)
    del exchange.answers["/v1/events"]
    actions, sent = report(member, row(1))
    assert (actions, len(sent.acknowledged)) == (["unchanged"], 1)
    assert len(exchange.entries) == 2
    first, second = posted(exchange)
    assert first.raw == second.raw


def test_a_change_of_what_still_waits_takes_its_place(
    exchange: LyingExchange, member: Member
) -> None:
    with held_back(member):
        report(member, row(1))
    report(member, row(1, phone=("+49 30 901820",)))
    (event,) = posted(exchange)
    assert event.type == "report"
    assert b"901820" in event.raw


def test_a_refused_report_is_told_and_tried_again_by_the_next_run(
    exchange: LyingExchange, member: Member
) -> None:
    exchange.answers["/v1/events"] = lambda answer: (
        Problem(422, "invalid-event", "Invalid event", "upgrade acx")
        if "receipt" in answer
        else answer
    )
    _, sent = report(member, row(1))
    assert [message.problem for message in sent.failed] != []
    assert [item.kind for item in member.inbox()] == ["refused"]
    del exchange.entries[1:]
    del exchange.answers["/v1/events"]
    actions, sent = report(member, row(1))
    assert (actions, len(sent.acknowledged)) == (["report"], 1)
    first, second = posted(exchange)
    assert first.by != second.by


def test_a_spent_rate_tag_makes_it_take_the_next(exchange: LyingExchange, member: Member) -> None:
    refused: list[str] = []

    def twice_spent(answer: dict[str, Any]) -> Any:
        if "receipt" in answer and len(refused) < 2:
            refused.append(answer["event"])
            exchange.entries.pop()
            return Problem(409, "tag-spent", "Tag spent", "take another")
        return answer

    exchange.answers["/v1/events"] = twice_spent
    _, sent = report(member, row(1))
    assert len(sent.acknowledged) == 1
    assert len({event.by for event in posted(exchange)}) == 1
    assert len({str(event.tags) for event in posted(exchange)}) == 3


def test_a_wrong_clock_is_told_and_fails_nothing(exchange: LyingExchange, member: Member) -> None:
    def another_day(answer: dict[str, Any]) -> Any:
        if "receipt" not in answer:
            return answer
        exchange.entries.pop()
        return Problem(422, "wrong-date", "Another day's report", "rate/2031-01-01")

    exchange.answers["/v1/events"] = another_day
    _, sent = report(member, row(1))
    assert (sent.waiting, sent.failed) == (1, ())
    assert "clock" in sent.stopped
    del exchange.answers["/v1/events"]
    assert len(member.send(at_once=True).acknowledged) == 1


def test_a_report_that_waited_past_midnight_is_signed_for_the_new_day(
    exchange: LyingExchange, member: Member
) -> None:
    exchange.answers["/v1/events"] = lambda answer: lost if "receipt" in answer else answer
    report(member, row(1))
    del exchange.entries[1:]
    refused: list[str] = []

    def once(answer: dict[str, Any]) -> Any:
        if "receipt" in answer and not refused:
            refused.append(answer["event"])
            exchange.entries.pop()
            return Problem(422, "wrong-date", "Another day's report", "rate")
        return answer

    exchange.answers["/v1/events"] = once
    assert len(member.send(at_once=True).acknowledged) == 1
    assert len({event.raw for event in posted(exchange)}) == 2
    assert len({event.by for event in posted(exchange)}) == 1


@pytest.mark.parametrize("part", ["receipt", "index", "at", "k"])
def test_a_receipt_that_proves_nothing_acknowledges_nothing(
    part: str, exchange: LyingExchange, member: Member
) -> None:
    exchange.report("somebody else")
    changed: dict[str, Any] = {
        "receipt": exchange.receipt(0),
        "index": 0,
        "at": "2020-01-01T00Z",
        "k": "A" * 43 + "=",
    }
    exchange.answers["/v1/events"] = lambda answer: (
        answer | {part: changed[part]} if "receipt" in answer else answer
    )
    with pytest.raises(BadReceipt, match="does not prove") as refused:
        report(member, row(1))
    assert refused.value.exit_code == 5
    assert [message.state for message in member.outbox()] == ["sent"]
    assert list((member.home / "replica" / "evidence").rglob("1.txt"))
    del exchange.answers["/v1/events"]
    assert len(member.send(at_once=True).acknowledged) == 1


def test_an_acknowledged_report_that_is_not_in_the_log_is_told(
    exchange: LyingExchange, member: Member
) -> None:
    exchange.report("somebody")
    member.sync()
    report(member, row(1))
    del exchange.entries[2:]
    exchange.report("somebody else, in its place")
    with pytest.raises(Exception, match="two different logs") as refused:
        member.sync()
    assert getattr(refused.value, "exit_code", None) == 5


def test_an_acknowledged_report_that_a_later_log_lacks_is_told(
    exchange: LyingExchange, member: Member
) -> None:
    report(member, row(1))
    honest = list(exchange.entries)
    # Another process, which knows nothing of our receipts, has followed another log already.
    del exchange.entries[1:]
    for number in range(3):
        exchange.report(f"seller {number}")
    with member.replica() as replica:
        sync(replica, ExchangeClient(member.url, token="t"), threads=1)
    assert len(honest) == 2
    with pytest.raises(BadReceipt, match="another event there") as refused:
        member.sync()
    assert len(refused.value.evidence) == 2


def test_two_senders_do_not_send_at_once(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Member.open(member.home, FAST)

    def answer(answer: Any) -> Any:
        if "receipt" in answer:
            assert "another acx is sending" in other.send().stopped
        return answer

    exchange.answers["/v1/events"] = answer
    _, sent = report(member, row(1))
    assert len(sent.acknowledged) == 1


def test_nothing_is_lost_or_said_twice_when_killed(exchange: LyingExchange, member: Member) -> None:
    with held_back(member):
        report(member, *[row(number) for number in range(12)])
    context = multiprocessing.get_context("spawn")
    for attempt in range(4):
        process = context.Process(target=send_for_ever, args=(member.home,))
        process.start()
        seen = len(exchange.requests)
        while len(exchange.requests) < seen + 1 + attempt % 2 and len(exchange.entries) < 13:
            process.join(0.001)
        process.kill()
        process.join()
    member.send(at_once=True)
    assert [message.state for message in member.outbox()] == ["acknowledged"] * 12
    told = [parse_event(entry.raw) for entry in exchange.entries[1:]]
    assert len(told) == 12
    assert len({hashlib.sha256(event.body_json).digest() for event in told}) == 12
    # Every nonce that was burnt has gone out once, or never.
    rates = [tag for e in posted(exchange) for context, tag in e.tags.items() if "rate" in context]
    assert len(set(rates)) == len({event.raw for event in posted(exchange)})


# Follow-ups


def test_a_report_can_be_withdrawn_by_account_or_id(
    exchange: LyingExchange, member: Member
) -> None:
    report(member, row(1), row(2))
    member.withdraw("seller-1", "error", at_once=True)
    own = {item.account: item.report for item in member.reports()}
    member.withdraw(own["seller-2"], "duplicate", at_once=True)
    member.sync()
    assert {item.state for item in member.reports()} == {"withdrawn"}
    actions, _ = report(member, row(1))
    assert actions == ["withdrawn"]
    actions, _ = report(member, row(1), always_new=True)
    assert actions == ["report"]


def test_what_was_never_sent_is_withdrawn_by_not_sending_it(
    exchange: LyingExchange, member: Member
) -> None:
    with held_back(member):
        report(member, row(1))
    assert member.withdraw("seller-1", "error", at_once=True) == Sent()
    assert posted(exchange) == []


def test_only_what_is_ours_can_be_withdrawn(exchange: LyingExchange, member: Member) -> None:
    theirs = exchange.report("somebody")
    with pytest.raises(ContributionError, match="nothing of ours"):
        member.withdraw(theirs, "error")


def test_a_dispute_is_answered_from_the_inbox(exchange: LyingExchange, member: Member) -> None:
    report(member, row(1))
    (own,) = member.reports()
    exchange.act("dispute", Dispute(code="mistaken_identity"), report=own.report)
    member.sync()
    (item,) = member.inbox()
    assert (item.kind, item.account, item.code) == ("dispute", "seller-1", "mistaken_identity")
    member.answer(item.dispute, "stands", at_once=True)
    member.sync()
    assert member.inbox() == []
    with member.replica() as replica:
        view = replica.report(own.report)
    assert view is not None
    assert list(view.disputes[0].answers.values()) == ["stands"]
    with pytest.raises(ContributionError, match="no open dispute"):
        member.answer(item.dispute, "stands")


def test_others_reports_are_corroborated_and_outcomes_told(
    exchange: LyingExchange, member: Member
) -> None:
    theirs = exchange.report("somebody", tag="theirs")
    confirmation = Confirmation(
        report=theirs, confirmed_by=("laboratory",), confirmed_on="2026-11", account="seller-9"
    )
    member.corroborate([confirmation], at_once=True)
    member.outcome([(theirs, "blocked")], at_once=True)
    member.outcome([(theirs, "removed")], at_once=True)
    member.sync()
    with member.replica() as replica:
        view = replica.report(theirs)
    assert view is not None
    assert (view.contributors, view.outcomes) == (2, {"removed": 1})
    with pytest.raises(ContributionError, match="already"):
        member.corroborate([confirmation])


def test_a_decision_stays_here_unless_it_is_told(exchange: LyingExchange, member: Member) -> None:
    theirs = exchange.report("somebody", tag="theirs")
    member.sync()
    assert member.decide("seller-9", theirs, "blocked", by="ann", note="same bank") is None
    assert posted(exchange) == []
    told = member.decide("seller-9", theirs, "removed", tell=True, at_once=True)
    assert told is not None
    (event,) = posted(exchange)
    assert (event.type, event.body_json) == ("outcome", b'{"outcome":"removed"}')
    assert [(d.action, d.by) for d in member.decisions("seller-9")] == [
        ("blocked", "ann"),
        ("removed", ""),
    ]
    assert member.decisions("another") == []
    with pytest.raises(ContributionError, match="no report"):
        member.decide("seller-9", "a" * 26, "kept")


def test_a_closed_report_takes_no_follow_up(exchange: LyingExchange, member: Member) -> None:
    theirs = exchange.report("somebody", tag="theirs")
    dispute = exchange.act("dispute", Dispute(code="mistaken_identity"), report=theirs)
    decision = exchange.act(
        "resolution",
        Resolution(decision="upheld", code="mistaken_identity"),
        report=theirs,
        ref=dispute.id,
    )
    exchange.act("act", Act(act="approved"), ref=decision.id, by=1)
    confirmation = Confirmation(report=theirs, confirmed_by=("court",), confirmed_on="2026-11")
    with pytest.raises(ContributionError, match="rejected"):
        member.corroborate([confirmation])
    with pytest.raises(ContributionError, match="rejected"):
        member.outcome([(theirs, "blocked")])


def test_a_follow_up_needs_a_report_that_is_there(exchange: LyingExchange, member: Member) -> None:
    with pytest.raises(ContributionError, match="no report"):
        member.outcome([("a" * 26, "blocked")])


def test_an_amendment_by_hand_takes_the_place_of_the_report(
    exchange: LyingExchange, member: Member
) -> None:
    report(member, row(1))
    (own,) = member.reports()
    member.amend(own.report, row(1, brands=("Acme",)), at_once=True)
    member.sync()
    with member.replica() as replica:
        view = replica.report(own.report)
    assert view is not None
    assert view.report is not None
    assert view.report.brands == ("Acme",)
    with pytest.raises(ContributionError, match="says this already"):
        member.amend(own.report, row(1, brands=("Acme",)))


def test_an_unreachable_exchange_is_told_before_anything_is_decided(
    exchange: LyingExchange, member: Member
) -> None:
    away = Member.open(member.home, FAST | {"url": "http://127.0.0.1:9"})
    with pytest.raises(Unreachable):
        away.report([row(1)], at_once=True)
    assert away.outbox() == []
