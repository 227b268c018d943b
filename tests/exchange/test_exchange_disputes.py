"""Disputes: opened, answered, decided by two, appealed once; deadlines pass in the log alone."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.exchange.acting import Actor, Draft, SetClock, event_at, feed, folded
from tests.exchange.founding import Founded

from acx.exchange.errors import GovernanceError, NotAuthorised, ReportClosed, UnknownReport
from acx.exchange.governance import codes
from acx.exchange.governance.disputes import Case
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.schema import refusals
from acx.records.event import Event
from acx.records.sealed_text import Message
from acx.records.state import ReportView

Join = Callable[..., Actor]


@pytest.fixture
def founded(founded_on_sqlite: Founded) -> Founded:
    """The rules are the same on every database; what is stored is tested on both elsewhere."""
    return founded_on_sqlite


@pytest.fixture
def reporter(join: Join) -> Actor:
    return join("A")


@pytest.fixture
def reported(service: Service, reporter: Actor) -> Draft:
    draft = reporter.report(service)
    draft.post(service)
    return draft


def test_a_dispute_is_in_the_feed_at_once_with_its_code_and_nothing_else(
    exchange: Exchange, service: Service, reported: Draft
) -> None:
    case = exchange.disputes.open(reported.event.report, "not_me", "ann")
    last = feed(service)[-1]["event"]
    assert (last["type"], last["body"], last["ref"]) == ("dispute", {"code": "not_me"}, "")
    assert view(service, reported).state == "disputed"
    assert (case.stage, case.state, case.answers) == ("open", "disputed", 0)


def test_the_service_opens_one_if_nobody_is_named(
    exchange: Exchange, service: Service, reported: Draft
) -> None:
    exchange.disputes.open(reported.event.report, "not_me")
    assert view(service, reported).state == "disputed"


@pytest.mark.parametrize("report", ["", "a" * 26, "Jo Doe"])
def test_what_does_not_exist_cannot_be_disputed(exchange: Exchange, report: str) -> None:
    with pytest.raises(GovernanceError, match="no report"):
        exchange.disputes.open(report, "not_me", "ann")


def test_what_is_erased_or_withdrawn_cannot_be_disputed(
    exchange: Exchange, service: Service, reporter: Actor, reported: Draft
) -> None:
    other = reporter.report(service)
    other.post(service)
    exchange.approve(exchange.erase(reported.event.report, "court_order", "ann"), "bob")
    with pytest.raises(GovernanceError, match="erased"):
        exchange.disputes.open(reported.event.report, "not_me", "ann")
    reporter.withdraw(service, other).post(service)
    with pytest.raises(GovernanceError, match="withdrawn already"):
        exchange.disputes.open(other.event.report, "not_me", "ann")


@pytest.mark.parametrize("code", ["", "Free text", "court_order"])
def test_a_dispute_has_a_code_of_the_published_list(
    exchange: Exchange, reported: Draft, code: str
) -> None:
    with pytest.raises(GovernanceError, match="not_me, not_seller"):
        exchange.disputes.open(reported.event.report, code, "ann")


def test_two_operators_decide(exchange: Exchange, service: Service, reported: Draft) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    proposal = exchange.disputes.decide(dispute, "upheld", "other_person", "ann")
    assert view(service, reported).state == "disputed"
    with pytest.raises(GovernanceError, match="another operator"):
        exchange.approve(proposal.id, "ann")
    exchange.approve(proposal.id, "bob")
    assert view(service, reported).state == "rejected"
    types = [entry["event"]["type"] for entry in feed(service)[-2:]]
    assert types == ["resolution", "act"]


def test_a_dispute_is_decided_once(exchange: Exchange, service: Service, reported: Draft) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    proposal = exchange.disputes.decide(dispute, "dismissed", "standard_met", "ann")
    with pytest.raises(GovernanceError, match=f"proposal {proposal.id} .* waits"):
        exchange.disputes.decide(dispute, "upheld", "genuine", "bob")
    exchange.approve(proposal.id, "bob")
    assert view(service, reported).state == "active"
    with pytest.raises(GovernanceError, match="already"):
        exchange.approve(proposal.id, "bob")
    with pytest.raises(GovernanceError, match="decided already, as dismissed"):
        exchange.disputes.decide(dispute, "upheld", "genuine", "ann")


def test_a_proposal_the_log_has_overtaken_is_refused(
    exchange: Exchange, service: Service, reported: Draft
) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    proposal = exchange.disputes.decide(dispute, "dismissed", "standard_met", "ann")
    exchange.approve(exchange.erase(reported.event.report, "court_order", "bob"), "ann")
    with pytest.raises(GovernanceError, match="erased"):
        exchange.approve(proposal.id, "bob")
    assert exchange.disputes.case(dispute).stage == "gone"


@pytest.mark.parametrize(("decision", "code"), [("upheld", "standard_met"), ("dismissed", "x")])
def test_each_decision_has_codes_of_its_own(
    exchange: Exchange, reported: Draft, decision: str, code: str
) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    with pytest.raises(GovernanceError, match="choose one of"):
        exchange.disputes.decide(dispute, decision, code, "ann")  # type: ignore[arg-type]


def test_a_decision_is_appealed_once_and_in_time(
    exchange: Exchange, service: Service, reported: Draft
) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    with pytest.raises(GovernanceError, match="nothing is decided"):
        exchange.disputes.appeal(dispute)
    decided(exchange, dispute, "dismissed", "standard_met")
    assert exchange.disputes.appeal(dispute, "new_evidence", "ann").stage == "open"
    assert view(service, reported).state == "disputed"
    decided(exchange, dispute, "upheld", "genuine")
    assert view(service, reported).state == "rejected"
    with pytest.raises(GovernanceError, match="second decision is the last"):
        exchange.disputes.appeal(dispute)


def test_an_appeal_comes_too_late_after_its_days(
    exchange: Exchange, reported: Draft, clock: SetClock
) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    decided(exchange, dispute, "dismissed", "standard_met")
    clock.pass_(days=31)
    with pytest.raises(GovernanceError, match="could be appealed until"):
        exchange.disputes.appeal(dispute)


def test_silence_suspends_only_what_one_member_alone_stands_behind(
    exchange: Exchange, service: Service, join: Join, reporter: Actor, clock: SetClock
) -> None:
    alone, together = reporter.report(service), reporter.report(service)
    for draft in (alone, together):
        draft.post(service)
        exchange.disputes.open(draft.event.report, "not_me", "ann")
    join("B").corroborate(service, together.event).post(service)
    clock.pass_(days=13, hours=23)
    assert exchange.expire().lapsed == 0
    clock.pass_(hours=1)
    assert exchange.expire(dry_run=True).lapsed == 2
    assert exchange.expire().lapsed == 2
    assert view(service, alone).state == "suspended"
    assert view(service, together).state == "disputed"
    assert exchange.expire().lapsed == 0
    last = [entry["event"]["body"] for entry in feed(service)[-2:]]
    assert last == [{"code": "no_answer"}] * 2


def test_an_answer_gives_the_operators_more_time_and_not_for_ever(
    exchange: Exchange, service: Service, reporter: Actor, reported: Draft, clock: SetClock
) -> None:
    case = exchange.disputes.open(reported.event.report, "not_me", "ann")
    reporter.answer(service, reported, opened(service, case)).post(service)
    assert exchange.disputes.case(case.id).answers == 1
    clock.pass_(days=14)
    assert exchange.expire().lapsed == 0
    clock.pass_(days=16)
    assert exchange.expire().lapsed == 1
    assert feed(service)[-1]["event"]["body"] == {"code": "no_decision"}
    assert view(service, reported).state == "suspended"


def test_a_clock_that_goes_back_undoes_nothing_and_decides_nothing(
    exchange: Exchange, service: Service, reported: Draft, clock: SetClock
) -> None:
    exchange.disputes.open(reported.event.report, "not_me", "ann")
    clock.pass_(days=15)
    exchange.expire()
    clock.pass_(days=-15, hours=-2)
    assert view(service, reported).state == "suspended"
    with pytest.raises(GovernanceError, match="a clock that went back"):
        exchange.expire()


def test_an_appeal_runs_with_deadlines_of_its_own(
    exchange: Exchange, service: Service, reported: Draft, clock: SetClock
) -> None:
    dispute = exchange.disputes.open(reported.event.report, "not_me", "ann").id
    clock.pass_(days=15)
    exchange.expire()
    decided(exchange, dispute, "dismissed", "standard_met")
    exchange.disputes.appeal(dispute)
    assert view(service, reported).state == "disputed"
    assert exchange.expire().lapsed == 0
    clock.pass_(days=14)
    assert exchange.expire().lapsed == 1


def test_only_who_stands_behind_the_report_answers_and_only_while_it_is_open(
    exchange: Exchange, service: Service, join: Join, reporter: Actor, reported: Draft
) -> None:
    other_report = reporter.report(service)
    other_report.post(service)
    case = exchange.disputes.open(reported.event.report, "not_me", "ann")
    dispute = opened(service, case)
    answer = reporter.answer(service, reported, dispute)
    stranger = reporter.follow(
        service,
        "answer",
        answer.event.body(),
        reported.event,
        key=other_report.key,
        ref=dispute.id,
        versions=(1,),
    )
    with pytest.raises(NotAuthorised):
        stranger.post(service)
    with pytest.raises(UnknownReport):
        reporter.answer(service, other_report, dispute).post(service)
    decided(exchange, case.id, "dismissed", "standard_met")
    with pytest.raises(ReportClosed, match="decided"):
        reporter.answer(service, reported, dispute).post(service)


def test_a_filing_becomes_a_dispute_or_is_closed(exchange: Exchange, reported: Draft) -> None:
    report = reported.event.report
    first, second = (
        exchange.disputes.file(report, "not_me", Message(text=f"not I, {n}")) for n in (1, 2)
    )
    case = exchange.disputes.open(report, "not_me", "ann", first.id)
    exchange.disputes.close_filing(second.id, "duplicate")
    states = {f.id: (f.dispute, f.closed, bool(f.sealed)) for f in exchange.disputes.filings()}
    assert states == {first.id: (case.id, "", True), second.id: ("", "duplicate", False)}
    with pytest.raises(GovernanceError, match="already"):
        exchange.disputes.open(report, "not_me", "ann", first.id)
    with pytest.raises(GovernanceError, match="already"):
        exchange.disputes.close_filing(second.id, "duplicate")


def test_what_is_filed_is_read_by_operators_alone_and_deleted_when_all_is_decided(
    exchange: Exchange, reported: Draft, clock: SetClock, home: Path
) -> None:
    words = Message(text="I never sold a shoe in my life", contact="jo@example.com")
    filing = exchange.disputes.file(reported.event.report, "not_me", words)
    case = exchange.disputes.open(reported.event.report, "not_me", "ann", filing.id)
    (written,) = exchange.disputes.written(case.id, "bob")
    assert (written.who, written.message) == ("accused", words)
    for file in home.rglob("*"):
        if file.is_file():
            assert b"never sold" not in file.read_bytes()
    decided(exchange, case.id, "dismissed", "standard_met")
    assert exchange.expire().texts == 0
    clock.pass_(days=30)
    assert exchange.expire().texts == 1
    assert exchange.disputes.written(case.id, "bob") == ()


def test_the_accused_is_told_the_decision_and_the_reasons_by_letter(
    exchange: Exchange, reported: Draft, home: Path
) -> None:
    filing = exchange.disputes.file(
        reported.event.report, "not_me", Message(text="", contact="jo@example.com")
    )
    case = exchange.disputes.open(reported.event.report, "not_me", "ann", filing.id)
    proposal = exchange.disputes.decide(
        case.id, "upheld", "other_person", "ann", "The birth dates differ."
    )
    assert "told to 1" in exchange.approve(proposal.id, "bob").result
    (file,) = (home / "outgoing").iterdir()
    letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert letter["To"] == "jo@example.com"
    text = letter.get_content()
    assert "You were right" in text
    assert "The birth dates differ." in text
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_refused_is_kept_and_names_nobody(exchange: Exchange, reported: Draft) -> None:
    with pytest.raises(GovernanceError):
        exchange.disputes.open("Jo Doe, born 1990", "not_me", "ann")
    with pytest.raises(GovernanceError):
        exchange.disputes.open(reported.event.report, "no_code", "ann")
    with exchange._database.read() as connection:
        rows = connection.execute(select(refusals).order_by(refusals.c.id)).all()
    assert [(row.operator, row.act, row.target) for row in rows] == [
        ("ann", "dispute", ""),
        ("ann", "dispute", reported.event.report),
    ]
    assert "Jo Doe" not in str(rows)


def test_whatever_the_rules_do_not_allow_changes_nothing_and_is_kept(
    exchange: Exchange, service: Service, reporter: Actor, reported: Draft, clock: SetClock
) -> None:
    report = reported.event.report
    held = reporter.report(service)
    held.post(service)
    exchange.retention.hold(held.event.report, "court_order", "ann")
    dispute = exchange.disputes.open(report, "not_me", "ann").id
    own = exchange.disputes.decide(dispute, "dismissed", "standard_met", "ann")
    before = service.published.size

    def back_in_time() -> None:
        clock.pass_(days=-1)
        try:
            exchange.expire()
        finally:
            clock.pass_(days=1)

    refused: list[tuple[str, str, Callable[[], object]]] = [
        ("approved", "another operator", lambda: exchange.approve(own.id, "ann")),
        (
            "resolution",
            "waits",
            lambda: exchange.disputes.decide(dispute, "upheld", "genuine", "bob"),
        ),
        ("dispute", "no report", lambda: exchange.disputes.open("a" * 26, "not_me", "ann")),
        ("resolution", "no dispute", lambda: decided(exchange, "a" * 26, "upheld", "genuine")),
        ("appeal", "nothing is decided", lambda: exchange.disputes.appeal(dispute)),
        ("erasure", "legal hold", lambda: exchange.erase(held.event.report, "court_order", "bob")),
        ("expiry", "clock that went back", back_in_time),
    ]
    for _, reason, attempt in refused:
        with pytest.raises(GovernanceError, match=reason):
            attempt()
    assert [refusal.act for refusal in exchange.refusals()] == [act for act, _, _ in refused]
    assert service.published.size == before
    exchange.approve(own.id, "bob")
    with pytest.raises(GovernanceError, match="already"):
        exchange.approve(own.id, "bob")
    with pytest.raises(GovernanceError, match="decided already"):
        exchange.disputes.decide(dispute, "upheld", "genuine", "bob")
    assert [refusal.act for refusal in exchange.refusals()[-2:]] == ["approved", "resolution"]


def decided(exchange: Exchange, dispute: str, decision: str, code: str) -> None:
    proposal = exchange.disputes.decide(dispute, decision, code, "ann")  # type: ignore[arg-type]
    exchange.approve(proposal.id, "bob")


def opened(service: Service, case: Case) -> Event:
    """The dispute's event, as a wallet sees it."""
    for entry in reversed(feed(service)):
        event = event_at(service, entry["index"])
        if event.id == case.id:
            return event
    raise AssertionError("not in the feed")


def view(service: Service, draft: Draft) -> ReportView:
    found = folded(service).get(draft.event.report)
    assert found is not None
    return found


def test_the_published_codes_are_those_that_are_taken() -> None:
    page = (Path(__file__).parents[2] / "docs" / "governance.md").read_text(encoding="utf-8")
    for what, listed in codes.LISTS.items():
        assert f"(`{what}`)" in page
        for code, says in listed.items():
            assert f"| `{code}` | {says} |" in page
