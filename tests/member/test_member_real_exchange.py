"""The member's side against a real exchange: a process of its own, over a real socket."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange

from acx.log.tiles import DirectoryReader
from acx.member.client import ExchangeClient
from acx.member.errors import Refused
from acx.member.home import Member, check, screen
from acx.member.screen import accounts_frame
from acx.member.verify import PublicFiles, verify_public
from acx.member.watch import Connected, NewHit
from acx.records.account import Account
from acx.records.files.reports import ReportRow


@pytest.fixture
def stores(
    real_exchange: RealExchange, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[Member, Member]:
    """Two stores that have just joined."""
    homes = []
    for name in ("a", "b"):
        home = tmp_path / name
        Member.join(real_exchange.invite(f"{request.node.name[:60]}-{name}"), home, arguments=FAST)
        homes.append(Member.open(home, FAST))
    return homes[0], homes[1]


def row(name: str, **account: Any) -> ReportRow:
    mail = f"{name.lower().replace(' ', '.')}@{len(name)}mail.test"
    return ReportRow(
        file="reports.jsonl",
        line=1,
        account=Account(id=f"id-{name}", name=(name,), email=(mail,), **account),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
    )


def test_one_reports_and_the_other_finds_the_same_actor(stores: tuple[Member, Member]) -> None:
    a, b = stores
    done = a.report(
        [row("Ulrike Meinhardt", bank_account=("DE89 3704 0044 0532 0130 00",))], at_once=True
    )
    assert done.sent is not None
    assert done.sent.stopped == ""
    b.sync()
    come_back = Account(id="77", name=("Meinhardt U.",), bank_account=("DE89370400440532013000",))
    with b.replica(read_only=True) as replica:
        hits, _ = screen(replica, accounts_frame([come_back]), settings=b.settings)
        assert [hit.report_id for hit in check(replica, come_back, settings=b.settings)[0]] == list(
            done.reports
        )
    assert hits["report_id"].to_list() == list(done.reports)
    assert any(reason.startswith("bank_account:") for reason in hits["reasons"][0])


def test_a_rerun_sends_what_changed_and_corroborators_are_counted(
    stores: tuple[Member, Member],
) -> None:
    a, b = stores
    a.report([row("Bernhard Quandt"), row("Cecilia Malmros")], at_once=True)
    changed = row("Cecilia Malmros", phone=("+46 8 123 456 00",))
    again = a.report([row("Bernhard Quandt"), changed], at_once=True)
    assert [draft.action for draft in again.drafts] == ["unchanged", "amend"]
    theirs = b.report([row("Bernhard Quandt")], at_once=True)
    assert [draft.action for draft in theirs.drafts] == ["corroborate"]
    a.sync()
    own = {item.account: item for item in a.reports()}
    assert own["id-Bernhard Quandt"].contributors == 2
    assert own["id-Cecilia Malmros"].version == 2
    assert all(message.state == "acknowledged" for message in (*a.outbox(), *b.outbox()))


def test_a_withdrawn_report_stands_while_somebody_else_stands_behind_it(
    stores: tuple[Member, Member],
) -> None:
    a, b = stores
    a.report([row("Dagmar Hallstrom")], at_once=True)
    b.report([row("Dagmar Hallstrom")], at_once=True)
    a.withdraw("id-Dagmar Hallstrom", "error", at_once=True)
    a.sync()
    (own,) = a.reports()
    assert (own.state, own.contributors, own.standing) == ("active", 1, "withdrawn")
    b.withdraw("id-Dagmar Hallstrom", "cleared", at_once=True)
    a.sync()
    assert a.reports()[0].state == "withdrawn"


def test_an_erased_report_is_gone_and_everybody_verifies(
    real_exchange: RealExchange, stores: tuple[Member, Member], tmp_path: Path
) -> None:
    a, b = stores
    done = a.report([row("Egon Fahrenkamp")], at_once=True)
    (report,) = done.reports
    b.sync()
    with real_exchange.operate() as operator:
        operator.approve(operator.erase(report, "court_order", "one"), "two")
    for member in stores:
        _sync_until(member, report, "erased")
        checked = member.verify(against=real_exchange.url)
        assert checked.verified.gone >= 1
        assert checked.compared is not None
        assert checked.keys == checked.verified.size
    later = Member.join(real_exchange.invite("later"), tmp_path / "later", arguments=FAST)
    assert later.role == "contributor"
    fresh = Member.open(tmp_path / "later", FAST)
    fresh.sync()
    with fresh.replica() as late, b.replica() as early:
        b.sync()
        assert late.size == early.size
        assert {v.id: v for v in late.reports()} == {v.id: v for v in early.reports()}


def _sync_until(member: Member, report: str, state: str) -> None:
    """The exchange appends what operators decide within its next batch."""
    for _ in range(100):
        member.sync()
        with member.replica() as replica:
            view = replica.report(report)
        if view is not None and view.state == state:
            return
        threading.Event().wait(0.1)
    raise AssertionError(view)


def test_an_outsider_verifies_the_public_log(
    real_exchange: RealExchange, stores: tuple[Member, Member]
) -> None:
    a, _ = stores
    a.report([row("Friedrich Wasmann")], at_once=True)
    a.sync()
    with a.replica() as replica:
        key, size = replica.trust.log_key, replica.size
    client = ExchangeClient(real_exchange.url)
    over_http = verify_public(PublicFiles(client), key)
    on_disk = verify_public(DirectoryReader(real_exchange.home / "public"), key)
    assert over_http.checkpoint.size >= size
    assert on_disk.checkpoint.size >= size


def test_an_alert_comes_while_the_reporter_is_still_connected(
    stores: tuple[Member, Member],
) -> None:
    a, b = stores
    sellers = accounts_frame(
        [Account(id="s1", name=("Gunhild Marken",), email=("gunhild.marken@14mail.test",))]
    )
    items = b.watch(sellers)
    for item in items:
        if isinstance(item, Connected):
            break
    done = a.report([row("Gunhild Marken")], at_once=True)
    alerts = (item for item in items if isinstance(item, NewHit))
    alert = next(alerts)
    assert (alert.hit.account_id, alert.hit.report_id) == ("s1", done.reports[0])
    items.close()  # type: ignore[attr-defined]


def test_a_suspended_member_is_told_so_and_loses_nothing(
    real_exchange: RealExchange, tmp_path: Path
) -> None:
    Member.join(real_exchange.invite("suspended"), tmp_path / "s", arguments=FAST)
    member = Member.open(tmp_path / "s", FAST)
    member.sync()
    with real_exchange.operate() as operator:
        operator.suspend("suspended")
    with pytest.raises(Refused, match="suspended"):
        member.sync()
    with member.wallet() as wallet, member.replica() as replica:
        assert wallet.messages() == []
        assert replica.size > 0
    with real_exchange.operate() as operator:
        operator.reinstate("suspended")
    done = member.report([row("Hjalmar Soderberg")], at_once=True)
    assert done.sent is not None
    assert len(done.sent.acknowledged) == 1


def test_a_receiver_reads_and_is_told_that_it_cannot_report(
    real_exchange: RealExchange, tmp_path: Path
) -> None:
    Member.join(real_exchange.invite("reader", "receiver"), tmp_path / "r", arguments=FAST)
    member = Member.open(tmp_path / "r", FAST)
    assert member.sync().size > 0
    done = member.report([row("Ingrid Frisch")], at_once=True)
    assert done.sent is not None
    assert "reads and does not report" in done.sent.stopped


def test_a_used_invite_is_refused_and_leaves_nothing(
    real_exchange: RealExchange, tmp_path: Path
) -> None:
    line = real_exchange.invite("once")
    Member.join(line, tmp_path / "first", arguments=FAST)
    with pytest.raises(Refused, match="used up"):
        Member.join(line, tmp_path / "second", arguments=FAST)
    assert not (tmp_path / "second").exists()
