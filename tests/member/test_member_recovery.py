"""What is lost with a machine comes back: from a backup, or from paper and the log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import FAST
from tests.member.test_member_report import posted, report, row

from acx.member.errors import NoMember, WalletError
from acx.member.home import Member
from acx.member.recovery import mark_restored
from acx.records.invite import format_invite

DAY = 24 * 3600


def test_a_backup_brings_everything_back(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    report(member, row(1), row(2))
    member.backup(tmp_path / "acx.backup", b"pass")
    (tmp_path / "pass").write_text("pass\n")
    options = FAST | {"passphrase_file": str(tmp_path / "pass")}
    Member.restore(tmp_path / "new", tmp_path / "acx.backup", b"pass", arguments=options)
    restored = Member.open(tmp_path / "new", options)
    assert restored.role == member.role
    assert restored.sync().size == 3
    assert [(o.account, o.report) for o in restored.reports()] == [
        (o.account, o.report) for o in member.reports()
    ]
    actions, _ = report(restored, row(1), row(2))
    assert actions == ["unchanged", "unchanged"]


def test_what_was_said_after_the_backup_is_found_in_the_log(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    report(member, row(1))
    member.backup(tmp_path / "acx.backup", b"pass")
    report(member, row(1, phone=("+49 30 901820",)), row(2))
    (tmp_path / "pass").write_text("pass\n")
    options = FAST | {"passphrase_file": str(tmp_path / "pass")}
    Member.restore(tmp_path / "new", tmp_path / "acx.backup", b"pass", arguments=options)
    restored = Member.open(tmp_path / "new", options)
    restored.sync()
    assert len(restored.reports()) == 2
    keys = {event.by for event in posted(exchange)}
    with restored.wallet() as wallet:
        mark_restored(wallet, time.time() - DAY)
    actions, sent = report(
        restored, row(1, phone=("+49 30 901821",)), row(2, phone=("+49 30 901822",)), row(3)
    )
    assert actions == ["amend", "amend", "report"]
    assert sent.failed == ()
    assert len({event.by for event in posted(exchange)} - keys) == 1
    with restored.replica() as replica:
        restored.sync()
        for view in replica.reports():
            assert all(step.ignored == "" for step in view.timeline)


def test_a_restored_wallet_waits_for_the_next_days_window(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    with member.wallet() as wallet:
        mark_restored(wallet)
    _, sent = report(member, row(1))
    assert (sent.waiting, posted(exchange)) == (1, [])
    assert "wait for tomorrow" in sent.stopped
    with member.wallet() as wallet:
        mark_restored(wallet, time.time() - DAY)
    assert len(member.send(at_once=True).acknowledged) == 1


def test_paper_and_the_log_bring_the_reports_back(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    line = format_invite(exchange.invite(url))
    joined = Member.join(line, tmp_path / "lost", arguments=FAST)
    lost = Member.open(tmp_path / "lost", FAST)
    report(lost, row(1), row(2), row(3))
    lost.withdraw("seller-3", "error", at_once=True)
    again = Member.join(line, tmp_path / "found", phrase=joined.phrase, arguments=FAST)
    assert again.phrase == joined.phrase
    found = Member.open(tmp_path / "found", FAST)
    found.sync()
    assert {(o.report, o.standing) for o in found.reports()} == {
        (o.report, o.standing) for o in lost.reports()
    }
    with found.wallet() as wallet:
        mark_restored(wallet, time.time() - DAY)
    # The store's own file tells whose reports they are: nothing is said twice.
    before = len(posted(exchange))
    actions, _ = report(found, row(1), row(2, phone=("+49 30 901820",)))
    assert actions == ["unchanged", "amend"]
    assert [event.type for event in posted(exchange)[before:]] == ["amendment"]
    assert {o.account for o in found.reports()} == {"seller-1", "seller-2", ""}


def test_a_wrong_phrase_leaves_nothing(exchange: LyingExchange, url: str, tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="recovery phrase"):
        Member.join(format_invite(exchange.invite(url)), tmp_path / "home", phrase="abc")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_never_replaces_a_home(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    member.backup(tmp_path / "acx.backup", b"pass")
    with pytest.raises(NoMember, match="already"):
        Member.restore(member.home, tmp_path / "acx.backup", b"pass")
    with pytest.raises(WalletError, match="passphrase is wrong"):
        Member.restore(tmp_path / "new", tmp_path / "acx.backup", b"wrong")
    assert not (tmp_path / "new").exists()
