"""What tests run in processes of their own; little is imported, so that they start quickly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

    from acx.records.account import Account

FAST = {"timeout": 5.0, "spacing": 0.0, "follow_up_spacing": 0.0, "delay": 0.0, "threads": 1}
"""Settings of members in tests: no pauses."""


def send_for_ever(home: Path) -> None:
    """Send what waits in a member's outbox, again and again."""
    from acx.member.home import Member

    member = Member.open(home, FAST)
    while True:
        member.send(at_once=True)


def sync_for_ever(directory: Path, url: str) -> None:
    """Bring a replica up to date, again and again."""
    from acx.member.client import ExchangeClient
    from acx.member.replica import Replica
    from acx.member.sync import sync

    while True:
        sync(Replica.open(directory), ExchangeClient(url, token="t", timeout=2.0), threads=1)


def screen_often(home: Path, account: Account, times: int, answers: SimpleQueue[list[str]]) -> None:
    """Open a member's index again and again, and tell which reports an account hits."""
    from acx.member import index
    from acx.member.replica import Replica
    from acx.member.screen import Screener

    index.KEPT_FROM = 1  # type: ignore[misc]
    for _ in range(times):
        replica = Replica.open(home / "replica", read_only=True)
        hits = Screener(replica, home=home).check(account)
        answers.put([hit.report_id for hit in hits])
        replica.close()
