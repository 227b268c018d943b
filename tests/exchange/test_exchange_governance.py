"""What operators do: on record, with four eyes where the rules ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.exchange.acting import Actor, Draft, SetClock, about, check_log, feed, folded
from tests.exchange.founding import Founded

from acx.exchange.errors import GovernanceError, HomeError
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.database import SQLITE_FILE
from acx.records.test_subject import ACCOUNT, is_test_subject

Join = Callable[..., Actor]


def test_a_new_exchange_begins_with_its_own_record(service: Service) -> None:
    events = [entry["event"] for entry in feed(service)]
    assert [event["type"] for event in events] == ["act", "terms", "key", "report", "act", "act"]
    assert events[2]["body"]["id"] == service.issuer.current.term.id


def test_the_test_subject_is_in_every_feed_from_the_beginning(
    exchange: Exchange, service: Service
) -> None:
    (report,) = list(folded(service))
    assert (report.state, report.contributors) == ("active", 1)
    assert report.report is not None
    assert is_test_subject(report.report.account)
    assert ACCOUNT.email == report.report.account.email


def test_a_replica_finds_every_act_in_force(
    exchange: Exchange, service: Service, join: Join
) -> None:
    join("A")
    reports = folded(service)
    assert reports.operators == {operator.key for operator in exchange.operators()}


def test_an_operators_key_is_its_own_and_kept_from_others(exchange: Exchange, home: Path) -> None:
    file = home / "keys" / "operators" / "ann.key"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(HomeError, match="has a key already"):
        exchange.add_operator("ann")


@pytest.mark.parametrize("name", ["", "../ann", "service", "a/b"])
def test_operators_have_plain_names(exchange: Exchange, name: str) -> None:
    with pytest.raises(GovernanceError):
        exchange.add_operator(name)


def test_an_erasure_takes_two_operators(exchange: Exchange, service: Service, join: Join) -> None:
    draft = posted(service, join("A"))
    with pytest.raises(GovernanceError, match="no operator called"):
        exchange.erase(draft.event.report, "court_order", "nobody")
    proposal = exchange.erase(draft.event.report, "court_order", "ann")
    assert service.published.size == len(feed(service)) == draft_index(service, draft) + 1
    with pytest.raises(GovernanceError, match="another operator"):
        exchange.approve(proposal, "ann")
    approved = exchange.approve(proposal, "bob")
    assert (approved.proposed_by, approved.approved_by) == ("ann", "bob")
    with pytest.raises(GovernanceError, match="already"):
        exchange.approve(proposal, "bob")


def test_after_an_erasure_every_replica_sees_it_and_the_log_still_verifies(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    draft = posted(service, actor)
    actor.amend(service, draft, about("Jo Doe", alias=("More",)), versions=(1, 2)).post(service)
    kept = posted(service, actor)
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    reports = folded(service)
    gone, standing = reports.get(draft.event.report), reports.get(kept.event.report)
    assert gone is not None
    assert gone.state == "erased"
    assert standing is not None
    assert standing.state == "active"
    assert check_log(service, actor.invite.log_key).destroyed == 2


def test_an_erased_key_is_in_no_file_of_the_database(
    founded: Founded, exchange: Exchange, service: Service, join: Join, home: Path
) -> None:
    draft = join("A").report(service)
    draft.post(service)
    with exchange._database.read() as connection:
        k = connection.execute(
            text('SELECT k FROM event_keys ORDER BY "index" DESC LIMIT 1')
        ).scalar_one()
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    with exchange._database.read() as connection:
        assert not connection.execute(
            text("SELECT 1 FROM event_keys WHERE k = :k"), {"k": bytes(k)}
        ).first()
    if not founded.database:
        for file in home.glob(SQLITE_FILE + "*"):
            assert bytes(k) not in file.read_bytes(), file.name


def test_a_proposal_that_the_log_has_overtaken_is_not_approved(
    exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    draft = posted(service, actor)
    proposal = exchange.erase(draft.event.report, "court_order", "ann")
    with pytest.raises(GovernanceError, match="waits"):
        exchange.erase(draft.event.report, "court_order", "bob")
    actor.amend(service, draft, about("Jo Doe")).post(service)
    with pytest.raises(GovernanceError, match="propose again"):
        exchange.approve(proposal, "bob")
    exchange.reject(proposal)
    exchange.approve(exchange.erase(draft.event.report, "court_order", "bob"), "ann")
    assert [p.approved_by for p in exchange.proposals()] == ["ann"]


@pytest.mark.parametrize("report", ["", "a" * 26, "nonsense"])
def test_only_what_is_in_the_log_is_erased(exchange: Exchange, report: str) -> None:
    with pytest.raises(GovernanceError, match="left to erase"):
        exchange.erase(report, "court_order", "ann")


@pytest.mark.parametrize("code", ["", "Free text.", "x" * 65])
def test_an_erasure_has_a_code_and_no_text(
    exchange: Exchange, service: Service, join: Join, code: str
) -> None:
    draft = posted(service, join("A"))
    with pytest.raises(GovernanceError, match="code"):
        exchange.erase(draft.event.report, code, "ann")


def test_commands_work_while_nothing_serves(
    exchange: Exchange, service: Service, join: Join
) -> None:
    draft = posted(service, join("A"))
    service.close()
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    exchange.invite("B")
    with exchange.lead() as again:
        types = [entry["event"]["type"] for entry in feed(again) if "event" in entry]
        assert types[-3:] == ["erasure", "act", "act"]


def test_commands_at_once_are_all_done(
    exchange: Exchange, service: Service, join: Join, clock: SetClock, home: Path
) -> None:
    actor = join("A")
    drafts = [posted(service, actor) for _ in range(4)]
    size = service.published.size
    proposals = [exchange.erase(draft.event.report, "court_order", "ann") for draft in drafts]
    failures: list[Exception] = []

    def approve(proposal: str) -> None:
        with Exchange.open(home, clock=clock) as other:
            try:
                other.approve(proposal, "bob")
            except Exception as error:  # noqa: BLE001 -- told below
                failures.append(error)

    threads = [threading.Thread(target=approve, args=(proposal,)) for proposal in proposals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert service.published.size == size + 8
    assert check_log(service, actor.invite.log_key).destroyed == 4


def test_an_approval_the_log_does_not_take_is_told_and_waits_again(
    exchange: Exchange, service: Service, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = posted(service, join("A"))
    proposal = exchange.erase(draft.event.report, "court_order", "ann")
    monkeypatch.setattr("acx.exchange.governance.operators.next_seq", lambda *_: 7)
    with pytest.raises(GovernanceError, match="not taken"):
        exchange.approve(proposal, "bob")
    monkeypatch.undo()
    size = service.published.size
    exchange.approve(proposal, "bob")
    assert service.published.size == size + 2


def posted(service: Service, actor: Actor) -> Draft:
    draft = actor.report(service)
    draft.post(service)
    return draft


def draft_index(service: Service, draft: Draft) -> int:
    index: int = draft.post(service).index
    return index
