"""An answer's words and files go to the operators alone: sealed, anonymous, and not for long."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange, Problem
from tests.member.processes import FAST
from tests.member.real_exchange import ACX, RealExchange
from tests.member.test_member_report import report, row

from acx.exchange.governance import filings
from acx.member.errors import ContributionError, EvidenceError
from acx.member.home import Member
from acx.records.event import Act, Dispute, public_key_text
from acx.records.sealed_text import SIZES

INVOICE = b"%PDF-1.7 Rechnung 4711, Unmistakable Trading"
WORDS = "Our examiner found false serials on two of three pairs."


@pytest.fixture
def invoice(tmp_path: Path) -> Path:
    path = tmp_path / "invoice.pdf"
    path.write_bytes(INVOICE)
    return path


@pytest.fixture
def disputed(exchange: LyingExchange, member: Member, invoice: Path) -> str:
    """A dispute of a report of the member's, in an exchange whose operators have keys apart."""
    exchange.act("act", Act(act="operator_added", target=public_key_text(READER)))
    member.add_evidence("seller-1", [invoice], "invoice")
    report(member, row(1))
    ours = member.reports()[0].report
    dispute = exchange.act("dispute", Dispute(code="goods_genuine"), report=ours)
    member.sync()
    return dispute.id


READER = LyingExchange().operators[0]


def test_the_text_follows_the_answer_the_same_way_and_is_kept_no_longer(
    exchange: LyingExchange, member: Member, disputed: str, invoice: Path
) -> None:
    before = len(exchange.requests)
    member.answer(disputed, "stands", text=WORDS, files=[invoice])
    posts = [request for request in exchange.requests[before:] if request[0].startswith("POST")]
    assert [line for line, _, _ in posts] == ["POST /v1/events", "POST /v1/disputes/texts"]
    heads = [
        {name: value for name, value in headers.items() if name != "content-length"}
        for _, headers, _ in posts
    ]
    assert heads[0] == heads[1]
    for secret in (WORDS.encode(), INVOICE, b"authorization"):
        assert all(secret not in body for _, _, body in posts)
    text = member.outbox()[-1]
    assert (text.type, text.state, text.body, text.event) == ("text", "acknowledged", b"", b"")
    member.sync()


def test_a_text_that_cannot_leave_waits_and_leaves_as_the_same_bytes(
    exchange: LyingExchange, member: Member, disputed: str
) -> None:
    exchange.answers["/v1/disputes/texts"] = lambda _: Problem(503, "unavailable", "Later", "")
    sent = member.answer(disputed, "stands", text=WORDS)
    assert (len(sent.acknowledged), sent.waiting) == (1, 1)
    exchange.answers.clear()
    assert len(member.send().acknowledged) == 1
    first, second = (body for line, _, body in exchange.requests if "texts" in line)
    assert first == second


def test_what_the_exchange_refuses_for_good_waits_in_the_inbox(
    exchange: LyingExchange, member: Member, disputed: str
) -> None:
    exchange.answers["/v1/disputes/texts"] = lambda _: Problem(409, "report-closed", "Decided", "")
    member.answer(disputed, "stands", text=WORDS)
    (item,) = member.inbox()
    assert item.kind == "refused"
    assert "Decided" in item.problem


def test_a_text_goes_with_its_answer_or_not_at_all(
    exchange: LyingExchange, member: Member, disputed: str
) -> None:
    exchange.answers["/v1/events"] = lambda _: Problem(409, "report-closed", "Decided", "")
    member.answer(disputed, "stands", text=WORDS)
    assert [m.type for m in member.outbox() if m.state != "acknowledged"] == ["answer"]


def test_more_can_be_said_after_an_answer_and_not_before(
    exchange: LyingExchange, member: Member, disputed: str
) -> None:
    with pytest.raises(ContributionError, match="--stands or --withdraws"):
        member.answer(disputed, None, text=WORDS)
    member.answer(disputed, "stands")
    member.answer(disputed, None, text=WORDS)
    lines = [line for line, _, _ in exchange.requests if line.startswith("POST")]
    assert lines[-2:] == ["POST /v1/events", "POST /v1/disputes/texts"]
    with pytest.raises(ContributionError, match="awaits our answer"):
        member.answer(disputed, "withdraws")


def test_only_what_was_committed_to_is_handed_over(
    member: Member, disputed: str, invoice: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pdf"
    other.write_bytes(b"never committed to")
    with pytest.raises(EvidenceError, match="acx evidence list"):
        member.answer(disputed, "stands", files=[other])
    invoice.write_bytes(INVOICE + b" changed")
    with pytest.raises(EvidenceError, match="was changed since"):
        member.answer(disputed, "stands", files=[invoice])
    other.write_bytes(bytes(SIZES[-1]))
    member.add_evidence("seller-1", [other], "photo")
    with pytest.raises(EvidenceError, match="the rest with another"):
        member.answer(disputed, "stands", files=[other])
    assert [m.type for m in member.outbox()] == ["report"]


def test_operators_read_it_see_what_was_committed_to_and_lose_it_with_the_decision(
    real_exchange: RealExchange, tmp_path: Path, invoice: Path
) -> None:
    def acx(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*ACX, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    store = tmp_path / "store"
    Member.join(real_exchange.invite("answering store"), store, arguments=FAST)
    member = Member.open(store, FAST)
    member.add_evidence("seller-1", [invoice], "invoice")
    (ours,) = member.report([row(1)], at_once=True).reports
    with real_exchange.operate() as operator:
        dispute = operator.disputes.open(ours, "goods_genuine", "one").id
    member.sync()
    (tmp_path / "words.txt").write_text(WORDS)
    done = acx(
        *("answer", dispute, "--stands", "--text", str(tmp_path / "words.txt")),
        *("--evidence", str(invoice), "--now", "--home", str(store)),
    )
    assert (done.returncode, done.stdout) == (0, "2 acknowledged\n"), done.stderr
    assert "may say who you are" in done.stderr
    home = ("--home", str(real_exchange.home))
    out = tmp_path / "handed-over"
    shown = acx(
        *("exchange", "dispute", "show", dispute, "--as", "two", "--out", str(out), "--json"), *home
    )
    (written,) = json.loads(shown.stdout)["written"]
    assert (written["who"], written["text"]) == ("contributor", WORDS)
    assert [(f["kind"], f["in_report"]) for f in written["files"]] == [("invoice", True)]
    assert [file.read_bytes() for file in out.iterdir()] == [INVOICE]
    with real_exchange.operate() as operator:
        with operator._database.read() as connection:
            sealed = [text.sealed for text in filings.texts_of(connection, dispute)]
        first = operator.disputes.decide(dispute, "dismissed", "standard_met", "one")
        operator.approve(first.id, "two")
        operator.disputes.appeal(dispute, "new_evidence", "one")
        last = operator.disputes.decide(dispute, "upheld", "genuine", "one")
        operator.approve(last.id, "two")
        operator.expire()
        assert operator.disputes.written(dispute, "two") == ()
    slots = [s.encode() for raw in sealed for s in json.loads(raw)["recipients"].values()]
    needles = (WORDS.encode(), INVOICE, *slots)
    for file in real_exchange.home.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not [needle for needle in needles if needle in content], file.name
