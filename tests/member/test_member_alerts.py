"""Alerts reach the store where it works, also on those it only checked, and none is lost."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks.webhooks import Webhook as Verifier
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange
from tests.member.receiving import receiving
from tests.web.serving import Process

from acx.cli.app import run
from acx.exchange.service import Exchange
from acx.member import deliver
from acx.member.deliver import Channel, Command, Webhook
from acx.member.errors import SettingError
from acx.member.home import Member, check
from acx.member.memory import Memory
from acx.member.screen import accounts_frame
from acx.member.watch import (
    Awoke,
    CheckedHit,
    Connected,
    Disconnected,
    Item,
    NewEvent,
    NewHit,
    watch,
)
from acx.records.account import Account, Subject
from acx.records.event import (
    Dispute,
    Lapse,
    Withdrawal,
    public_key_text,
    report_id,
    sign_event,
)
from acx.records.files.reports import ReportRow
from acx.records.normalise import digest
from acx.records.report import Report

MARIA = Account(id="m", name=("Maria Lopez Garcia",), email=("maria.lopez.garcia@mail.test",))
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DAYS = 24 * 3600.0


def until(items: Iterator[Item], kind: type[Item]) -> Any:
    """The next item of this kind."""
    for item in islice(items, 200):
        if isinstance(item, kind):
            return item
    raise AssertionError(kind)


def checked(member: Member, account: Account, **settings: Any) -> list[str]:
    """Check an account as `acx check` does; gives the reports that hit."""
    opened = Member.open(member.home, FAST | settings)
    with member.replica(read_only=True) as replica:
        hits, warning = check(replica, account, settings=opened.settings, home=member.home)
    assert warning == ""
    return [hit.report_id for hit in hits]


def withdraw(exchange: LyingExchange, key: Ed25519PrivateKey, report: str) -> None:
    exchange.append(
        sign_event(
            key,
            origin=exchange.origin,
            type="withdrawal",
            body=Withdrawal(reason="error"),
            report=report,
            seq=1,
        )
    )


# -- whom the store checked ---------------------------------------------------------------------


def test_a_report_on_somebody_let_in_before_alerts(
    real_exchange: RealExchange, tmp_path: Path
) -> None:
    for name in "ab":
        Member.join(real_exchange.invite(f"checked-{name}"), tmp_path / name, arguments=FAST)
    a, b = (Member.open(tmp_path / name, FAST) for name in "ab")
    b.sync()
    sign_up = Account(
        id="77",
        name=("Tordis Falkenrath",),
        phone=("0171 5550 123",),
        country=("DE",),
        bank_account=("DE89 3704 0044 0532 0130 00",),
    )
    assert checked(b, sign_up) == []
    items = b.watch()
    until(items, Connected)
    row = ReportRow(
        file="r.jsonl",
        line=1,
        account=Account(
            id="other",
            name=("Falkenrath, Tordis",),
            phone=("+49 171 5550123",),
            bank_account=("DE89370400440532013000",),
        ),
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
    )
    done = a.report([row], at_once=True)
    alert = until(items, CheckedHit)
    items.close()  # type: ignore[attr-defined]
    assert (alert.change, alert.hit.account_id) == ("new", "77")
    assert (alert.hit.report_id, alert.hit.level) == (done.reports[0], "exact")
    fields = {reason.partition(":")[0] for reason in alert.hit.reasons}
    assert {"name", "phone", "bank_account"} <= fields
    assert alert.checked_on == time.strftime("%Y-%m-%d", time.gmtime())
    kind = json.loads(msgspec.json.encode(alert))["kind"]
    assert kind == "checked"


def test_a_later_report_is_told_once_then_as_it_changes_and_goes(
    exchange: LyingExchange, member: Member
) -> None:
    member.sync()
    assert checked(member, MARIA) == []
    items = member.watch()
    until(items, Connected)
    key = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", key)
    assert until(items, CheckedHit).change == "new"
    dispute = exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    changed = until(items, CheckedHit)
    assert (changed.change, changed.hit.report_state) == ("changed", "disputed")
    exchange.act("lapse", Lapse(), report=report, ref=dispute.id)
    suspended = until(items, CheckedHit)
    assert (suspended.hit.level, suspended.hit.report_state) == ("possible", "suspended")
    withdraw(exchange, key, report)
    gone = until(items, CheckedHit)
    assert (gone.change, gone.hit.report_state) == ("retracted", "withdrawn")
    items.close()  # type: ignore[attr-defined]


def test_what_the_check_itself_found_is_told_only_when_it_changes(
    exchange: LyingExchange, member: Member
) -> None:
    key = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", key)
    member.sync()
    similar = Account(name=("Garcia Lopez M.",), email=("maria.lopez.garcia+2@mail.test",))
    assert checked(member, similar) == [report]
    items = member.watch()
    until(items, Connected)
    withdraw(exchange, key, report)
    gone = until(items, CheckedHit)
    items.close()  # type: ignore[attr-defined]
    assert (gone.change, gone.hit.account_id, gone.hit.report_id) == ("retracted", "", report)


def test_a_seller_that_was_checked_too_alerts_once(exchange: LyingExchange, member: Member) -> None:
    member.sync()
    checked(member, MARIA)
    items = member.watch(accounts_frame([MARIA]))
    until(items, Connected)
    exchange.report("Maria Lopez Garcia")
    until(items, NewHit)
    exchange.report("Somebody Else")
    until(items, NewEvent)
    items.close()  # type: ignore[attr-defined]
    again = member.watch(accounts_frame([MARIA]))
    seen = list(islice(again, 1))
    again.close()  # type: ignore[attr-defined]
    assert [type(item) for item in seen] == [Connected]


def test_a_name_alone_or_a_country_finds_nobody(exchange: LyingExchange, member: Member) -> None:
    member.sync()
    checked(member, Account(id="n", name=("Wang Wei",), country=("CN",), birth_date="1980-02-03"))
    items = member.watch()
    until(items, Connected)
    exchange.report("Wang Wei")
    until(items, NewEvent)
    exchange.hang_up.set()
    seen = []
    for item in islice(items, 20):
        seen.append(item)
        if isinstance(item, Connected):
            break
    items.close()  # type: ignore[attr-defined]
    assert not any(isinstance(item, CheckedHit) for item in seen)


def test_a_report_that_came_between_check_and_watch_is_told_at_the_start(
    exchange: LyingExchange, member: Member
) -> None:
    member.sync()
    checked(member, MARIA)
    exchange.report("Maria Lopez Garcia")
    member.sync()
    for expected in ("new", None):
        items = member.watch()
        seen = []
        for item in items:
            seen.append(item)
            if isinstance(item, Connected):
                break
        items.close()  # type: ignore[attr-defined]
        changes = [item.change for item in seen if isinstance(item, CheckedHit)]
        assert changes == ([expected] if expected else [])


def test_after_the_time_it_is_forgotten(exchange: LyingExchange, member: Member) -> None:
    member.sync()
    checked(member, MARIA, remember_checked=30)
    with closing(Memory.open(member.home)) as memory:
        assert len(memory) == 1
        memory.forget(int(time.time() // DAYS) - 29, "checked")
        assert len(memory) == 1
        memory.forget(int(time.time() // DAYS) + 1, "checked")
        assert len(memory) == 0
    checked(member, MARIA, remember_checked=0)
    with closing(Memory.open(member.home)) as memory:
        assert len(memory) == 0


def test_what_is_remembered_cannot_be_read(exchange: LyingExchange, member: Member) -> None:
    exchange.report("Maria Lopez Garcia")
    member.sync()
    checked(member, MARIA)
    data = b"".join(path.read_bytes() for path in (member.home / "watch").iterdir())
    for value in (b"maria", b"Maria", b"Lopez", b"mail.test"):
        assert value not in data


def test_the_answer_comes_also_where_nothing_can_be_remembered(
    exchange: LyingExchange, member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.report("Maria Lopez Garcia")
    member.sync()
    (member.home / "watch").write_text("in the way")
    command = ["check", "--home", str(member.home), "--email", MARIA.email[0], "--json"]
    assert run([*command, "--name", MARIA.name[0]]) == 0
    told = capsys.readouterr()
    assert len(json.loads(told.out)["hits"]) == 1
    assert "not remembered" in told.err


# -- going on -----------------------------------------------------------------------------------


def hits_until_connected(items: Iterator[Item]) -> list[tuple[str, str]]:
    seen = []
    for item in items:
        if isinstance(item, NewHit):
            seen.append((item.change, item.hit.account_id))
        if isinstance(item, Connected):
            break
    items.close()  # type: ignore[attr-defined]
    return seen


def test_a_watch_that_starts_again_tells_what_came_meanwhile_once(
    exchange: LyingExchange, member: Member
) -> None:
    key = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", key)
    sellers = accounts_frame([MARIA])

    def watched() -> list[tuple[str, str]]:
        return hits_until_connected(member.watch(sellers, base="sellers"))

    member.sync()
    # What hits already when a base is first watched is for `acx screen` to tell.
    assert watched() == []
    exchange.report("Maria Lopez Garcia")
    member.sync()
    assert watched() == [("new", "m")]
    assert watched() == []
    withdraw(exchange, key, report)
    assert watched() == [("retracted", "m")]
    assert watched() == []


def test_sleep_is_noticed_and_the_connection_made_anew(
    exchange: LyingExchange, member: Member
) -> None:
    skipped = [0.0]

    def clock() -> float:
        # An hour passes at every look while the stream is silent.
        skipped[0] += 3600.0 if "/v1/stream" in exchange.answers else 0.0
        return time.time() + skipped[0]

    exchange.answers["/v1/stream"] = lambda _: silent
    with member.wallet() as wallet, member.client(wallet) as client, member.replica() as replica:
        items = watch(replica, client, threads=1, clock=clock)
        until(items, Connected)
        assert until(items, Awoke).seconds >= 3600
        del exchange.answers["/v1/stream"]
        until(items, Connected)
        exchange.report("Somebody")
        until(items, NewEvent)
        items.close()  # type: ignore[attr-defined]


def silent(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n: alive\n\n")
    handler.wfile.flush()
    handler.rfile.read(1)


def test_a_watch_survives_the_restart_of_the_exchange(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1"
    home = tmp_path / "exchange"
    with Exchange.init(home, origin="", url=url, database="", sandbox=True) as made:
        made.add_operator("one")
        invite = made.invite("b", "receiver")
    process = Process(home)
    process.start()
    process.port = int(process.url.rpartition(":")[2])
    Member.join(invite, tmp_path / "b", arguments=FAST | {"url": process.url})
    member = Member.open(tmp_path / "b", FAST | {"url": process.url})
    items = member.watch()
    before = until(items, Connected)
    process.kill()
    assert until(items, Disconnected).reason
    process.start()
    after = until(items, Connected)
    assert after.size >= before.size
    items.close()  # type: ignore[attr-defined]
    process.stop()


# -- to where the store works -------------------------------------------------------------------


def alerting(member: Member, *channels: Channel, say: Any = None) -> Iterator[Item]:
    say = say or (lambda problem: None)
    items = member.watch(accounts_frame([MARIA]), base="s", channels=channels, say=say)
    until(items, Connected)
    return items


def test_a_command_gets_one_json_on_its_standard_input(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "told")
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    items = alerting(member, Command([sys.executable, "-c", script, str(tmp_path / "told")]))
    report = exchange.report("Maria Lopez Garcia")
    hit = until(items, NewHit)
    (line,) = (tmp_path / "told").read_text().splitlines()
    items.close()  # type: ignore[attr-defined]
    told = json.loads(line)
    assert told.pop("id").startswith("msg_")
    assert told == json.loads(msgspec.json.encode(hit))
    assert told["hit"]["report_id"] == report


@pytest.mark.parametrize(
    ("arguments", "seconds", "reason"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], 60.0, "exit code 7"),
        ([sys.executable, "-c", "import time; time.sleep(600)"], 0.2, "took longer than 0.2 s"),
        (["/nowhere/at/all"], 60.0, "cannot be run"),
    ],
    ids=["fails", "hangs", "missing"],
)
def test_a_command_that_fails_is_told_and_the_watch_goes_on(
    arguments: list[str], seconds: float, reason: str, exchange: LyingExchange, member: Member
) -> None:
    said: SimpleQueue[str] = SimpleQueue()
    items = alerting(member, Command(arguments, timeout=seconds), say=said.put)
    exchange.report("Maria Lopez Garcia")
    until(items, NewHit)
    assert reason in said.get(timeout=30)
    exchange.report("Maria Lopez Garcia")
    until(items, NewHit)
    assert reason in said.get(timeout=30)
    items.close()  # type: ignore[attr-defined]


def test_what_a_command_started_ends_with_it(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "held")
    # The child holds the pipe open for as long as it lives.
    shell = ["/bin/sh", "-c", f"sleep 600 > {shlex.quote(str(tmp_path / 'held'))} & wait"]
    said: SimpleQueue[str] = SimpleQueue()
    items = alerting(member, Command(shell, timeout=0.5), say=said.put)
    exchange.report("Maria Lopez Garcia")
    until(items, NewHit)
    assert (tmp_path / "held").read_text() == ""
    assert "took longer" in said.get(timeout=30)
    items.close()  # type: ignore[attr-defined]


def test_a_webhook_is_signed_as_standard_webhooks_says(
    exchange: LyingExchange, member: Member
) -> None:
    with receiving() as receiver:
        items = alerting(member, Webhook(receiver.url, SECRET))
        report = exchange.report("Maria Lopez Garcia")
        hit = until(items, NewHit)
        headers, body = receiver.posts.get(timeout=30)
        items.close()  # type: ignore[attr-defined]
    said = Verifier(SECRET).verify(body, headers)
    assert said["type"] == "acx.hit"
    assert said["data"].pop("id") == headers["webhook-id"]
    assert said["data"] == json.loads(msgspec.json.encode(hit))
    assert said["data"]["hit"]["report_id"] == report


def test_alerts_wait_in_order_for_an_endpoint_that_is_down_or_lies(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "FIRST_PAUSE_SECONDS", 0.01)
    statuses = iter([500, 302, 404])
    said: SimpleQueue[str] = SimpleQueue()
    with receiving() as receiver, receiving() as elsewhere:
        receiver.location = elsewhere.url
        receiver.answer = lambda: next(statuses, 200)
        items = alerting(member, Webhook(receiver.url, SECRET), say=said.put)
        reports = [exchange.report("Maria Lopez Garcia") for _ in range(3)]
        for _ in reports:
            until(items, NewHit)
        got = [receiver.posts.get(timeout=30) for _ in range(6)]
        items.close()  # type: ignore[attr-defined]
        ids = [headers["webhook-id"] for headers, _ in got]
        assert elsewhere.posts.empty()
    assert ids[:4] == ids[:1] * 4
    assert len(set(ids[3:])) == 3
    told = [json.loads(body)["data"]["hit"]["report_id"] for _, body in got[3:]]
    assert sorted(told) == sorted(reports)
    assert "answered 500" in said.get(timeout=30)
    assert "delivered again" in said.get(timeout=30)


def test_an_endpoint_that_answers_too_late_is_asked_again(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "FIRST_PAUSE_SECONDS", 0.01)
    said: SimpleQueue[str] = SimpleQueue()
    awake = threading.Event()
    with receiving() as receiver:
        receiver.answer = lambda: 200 if awake.wait(60) else 500
        items = alerting(member, Webhook(receiver.url, SECRET, timeout=0.2), say=said.put)
        exchange.report("Maria Lopez Garcia")
        until(items, NewHit)
        assert "did not answer in time" in said.get(timeout=30)
        awake.set()
        assert "delivered again" in said.get(timeout=30)
        items.close()  # type: ignore[attr-defined]


def test_what_was_not_delivered_is_after_the_next_start(
    exchange: LyingExchange, member: Member
) -> None:
    with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        url = receiver.url
    said: SimpleQueue[str] = SimpleQueue()
    items = alerting(member, Webhook(url, SECRET), say=said.put)
    report = exchange.report("Maria Lopez Garcia")
    until(items, NewHit)
    assert "cannot be reached" in said.get(timeout=30)
    items.close()  # type: ignore[attr-defined]
    with receiving(port) as receiver:
        items = alerting(member, Webhook(url, SECRET))
        _, body = receiver.posts.get(timeout=30)
        items.close()  # type: ignore[attr-defined]
    assert json.loads(body)["data"]["hit"]["report_id"] == report


@pytest.mark.parametrize("url", ["", "ftp://shop.test/", "http://", "no address"])
def test_what_is_no_address_for_a_webhook_is_told_at_once(url: str) -> None:
    with pytest.raises(SettingError, match="--webhook"):
        Webhook(url, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_äö"])
def test_what_is_no_secret_is_told_at_once(secret: str) -> None:
    with pytest.raises(SettingError, match="secret"):
        Webhook("http://127.0.0.1:1/", secret)


def test_a_program_that_is_not_there_is_a_usage_error(
    member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", "--home", str(member.home), "--exec", "/nowhere/at/all x"]) == 2
    assert "no such program" in capsys.readouterr().err


def test_reports_that_carry_digests_meet_what_was_checked_in_the_clear(
    exchange: LyingExchange, member: Member
) -> None:
    member.sync()
    checked(member, Account(id="d", id_document=("passport:DE:C01X00T47",), device=("abc-1",)))
    items = member.watch()
    until(items, Connected)
    document = digest("id_document", "passport:DE:C01X00T47", exchange.matching_key)
    device = digest("device", "abc-1", exchange.matching_key)
    key = Ed25519PrivateKey.generate()
    report = report_id(public_key_text(key))
    exchange.append(
        sign_event(
            key,
            origin=exchange.origin,
            type="report",
            body=Report(
                account=Subject(id_document=(document,), device=(device,)),
                conduct="sold_counterfeits",
                confirmed_by=("test_buy",),
                confirmed_on="2026-10",
            ),
            tags={"rate/2026-11-25": "aa", f"stand/{report}/1": "t"},
            issuer_key="k1",
        )
    )
    alert = until(items, CheckedHit)
    items.close()  # type: ignore[attr-defined]
    assert alert.hit.account_id == "d"
