"""What tests run in processes of their own; little is imported, so that they start quickly."""

from __future__ import annotations

from pathlib import Path

FAST = {"timeout": 5.0, "spacing": 0.0, "follow_up_spacing": 0.0, "threads": 1}
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
