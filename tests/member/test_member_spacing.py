"""Posts leave so that neither what was read before them nor their times tell whose they are."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice, repeat
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import FAST
from tests.member.test_member_report import row

from acx.member.client import ExchangeClient
from acx.member.contribute import outcome
from acx.member.errors import ContributionError
from acx.member.home import Member
from acx.member.outbox import Sent
from acx.member.recovery import mark_restored
from acx.member.replica import Replica
from acx.member.server_sent import ServerSentEvent
from acx.member.spacing import (
    READ_AFTER_SECONDS,
    Spacing,
    follow_ups_from,
    reading_shows,
    reads_before_posting,
)
from acx.member.watch import NOTED_SECONDS, Connected, Disconnected, watch
from acx.member.writer import writing
from acx.records.event import Outcome

HOUR = 3600.0


def waits(spacing: Spacing, types: Sequence[str], seed: int = 1) -> list[float]:
    """What the posts of one command wait, each after the one before."""
    drawn = random.Random(seed)  # noqa: S311 -- repeatable
    return [spacing.wait(type_, first=not place, random=drawn) for place, type_ in enumerate(types)]


def test_the_first_waits_anything_up_to_the_delay() -> None:
    drawn = [waits(Spacing(delay=600.0), ["report"], seed)[0] for seed in range(2000)]
    assert max(drawn) <= 600.0
    assert sum(drawn) / len(drawn) == pytest.approx(300.0, rel=0.05)
    assert sum(wait < 150 for wait in drawn) / len(drawn) == pytest.approx(0.25, abs=0.04)
    assert waits(Spacing(delay=0.0), ["report"]) == [0.0]


@pytest.mark.parametrize(("type_", "mean"), [("report", 20.0), ("outcome", 120.0)])
def test_those_after_it_wait_as_if_nothing_had_happened(type_: str, mean: float) -> None:
    _, *gaps = waits(Spacing(), [type_] * 4000)
    assert sum(gaps) / len(gaps) == pytest.approx(mean, rel=0.1)
    # Exponential: no gap tells how long it has lasted.
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.04)


def test_without_spacing_nothing_waits() -> None:
    assert waits(Spacing(0.0, 0.0, 0.0), ["report", "report", "outcome"]) == [0.0, 0.0, 0.0]


def test_how_long_it_takes_is_told_before() -> None:
    still = Counter({"report": 5, "outcome": 2})
    assert Spacing(delay=600.0).expected(still, "report", first=True) == 300 + 4 * 20 + 2 * 120
    assert Spacing().expected(still, "report", first=False) == 5 * 20 + 2 * 120


def test_a_copy_is_read_on_before_a_post_once_it_is_older_than_a_day() -> None:
    assert reads_before_posting(0.0, 1e9)
    assert reads_before_posting(1e9, 1e9 + READ_AFTER_SECONDS + 1)
    assert not reads_before_posting(1e9, 1e9 + READ_AFTER_SECONDS - 1)


def test_who_reads_seldom_and_has_just_done_so_is_told() -> None:
    now, delay = 1e9, 600.0
    assert reading_shows(now - 60, now - 24 * HOUR, now, delay)
    assert reading_shows(now - 60, 0.0, now, delay)
    assert not reading_shows(now - 60, now - HOUR, now, delay)
    assert not reading_shows(now - 8 * HOUR, now - 32 * HOUR, now, delay)
    # A wait as long as the time between two readings hides it.
    assert not reading_shows(now - 60, now - 24 * HOUR, now, 24 * HOUR)


# What a command that posts shows under the member's name


def asked(exchange: LyingExchange) -> list[str]:
    return [name.partition("?")[0] for name, _, _ in exchange.requests]


def sent(member: Member, number: int) -> Sent:
    done = member.report([row(number)])
    assert done.sent is not None
    assert len(done.sent.acknowledged) == 1
    return done.sent


def test_a_report_is_all_that_the_exchange_sees_of_a_command(
    exchange: LyingExchange, member: Member
) -> None:
    member.sync()
    member.sync()
    exchange.requests.clear()
    assert not sent(member, 1).read
    assert asked(exchange) == ["POST /v1/events"]
    member.withdraw("seller-1", "error")
    assert asked(exchange) == ["POST /v1/events"] * 2


def test_what_a_copy_does_not_hold_yet_is_read_before_it_is_followed_up(
    exchange: LyingExchange, member: Member
) -> None:
    member.sync()
    known, unknown = exchange.report("somebody"), exchange.report("somebody else")
    with pytest.raises(ContributionError):
        member.outcome([("nosuchreportatallxxxxxxxxxx", "blocked")])
    assert asked(exchange)[-1] != "POST /v1/events"
    exchange.requests.clear()
    member.outcome([(known, "blocked")])
    member.outcome([(unknown, "removed")])
    assert asked(exchange) == ["POST /v1/events"] * 2
    fresh = exchange.report("a third")
    exchange.requests.clear()
    member.outcome([(fresh, "blocked")])
    assert "GET /v1/events" in asked(exchange)
    assert asked(exchange)[-1] == "POST /v1/events"


def test_as_it_comes_one_report_goes_at_once() -> None:
    assert waits(Spacing(), ["report"]) == [0.0]


def test_an_old_copy_is_read_on_first_and_the_caller_is_told(
    exchange: LyingExchange, member: Member
) -> None:
    assert sent(member, 1).read
    exchange.requests.clear()
    with member.replica() as replica, writing(replica) as writer:
        writer.reached_head(time.time() - READ_AFTER_SECONDS - HOUR)
    assert sent(member, 2).read
    assert asked(exchange)[0] == "GET /v1/events"
    assert asked(exchange).count("POST /v1/events") == 1


def test_the_wait_is_between_reading_and_posting(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an amendment rests on what the copy does not hold yet."""
    at_wait: list[list[str]] = []
    delayed = Member.open(member.home, FAST | {"delay": 1e6})
    monkeypatch.setattr(time, "sleep", lambda _: at_wait.append(asked(exchange)))
    sent(delayed, 1)
    exchange.requests.clear()
    done = delayed.amend("seller-1", row(1, name=("Another Name Altogether",)))
    assert [message.type for message in done.acknowledged] == ["amendment"]
    assert asked(exchange)[-1] == "POST /v1/events"
    assert asked(exchange)[:-1] == at_wait[-1] != []


def test_what_cannot_go_today_does_not_wait_first(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waited {seconds}"))
    with member.wallet() as wallet:
        mark_restored(wallet)
    done = Member.open(member.home, FAST | {"delay": 1e6}).report([row(1)])
    assert done.sent is not None
    assert "restored today" in done.sent.stopped


class Quiet:
    """An exchange in which nothing happens any more."""

    def __init__(self, client: ExchangeClient) -> None:
        self.events = client.events

    def stream(self, after: int, silence: float) -> Iterator[ServerSentEvent]:
        yield ServerSentEvent("", b"", "")


def test_one_who_stays_connected_has_no_old_copy_however_quiet_the_log_is(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    exchange.report("somebody")
    with closing(Replica.create(tmp_path / "replica", exchange.trust)) as replica:
        times = chain([1e9], repeat(1e9 + NOTED_SECONDS + HOUR))
        quiet = Quiet(ExchangeClient(url, token="t", timeout=2.0))
        items = watch(replica, quiet, clock=partial(next, times), sleep=lambda _: None, threads=1)
        assert any(isinstance(item, Connected) for item in islice(items, 2))
        assert replica.synced == 1e9
        assert isinstance(next(items), Disconnected)
        assert replica.synced == 1e9 + NOTED_SECONDS + HOUR


def test_a_follow_up_waits_until_others_have_read_what_it_follows_and_holds_up_nothing(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = exchange.report("somebody")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    exchange.entries[-1].at = f"{hour:%Y-%m-%dT%HZ}"
    member.sync()
    waited: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        waited.append((seconds, asked(exchange).count("POST /v1/events")))

    monkeypatch.setattr(time, "sleep", sleep)
    held = Member.open(member.home, FAST | {"delay": 1e-6})
    with held.wallet() as wallet:
        outcome(wallet, fresh, Outcome(outcome="blocked"))
    done = held.report([row(1)])
    assert done.sent is not None
    assert {message.type for message in done.sent.acknowledged} == {"report", "outcome"}
    (long, before), *more = [(wait, posts) for wait, posts in waited if wait > 1]
    assert not more
    assert before == 1
    assert long == pytest.approx(follow_ups_from(hour.timestamp()) - time.time(), abs=60)
    assert HOUR - 60 < long <= 2 * HOUR
    waited.clear()
    again = exchange.report("somebody else")
    held.outcome([(again, "blocked")], at_once=True)
    assert not [wait for wait, _ in waited if wait > 1]


def test_what_is_taken_back_while_it_waits_is_never_posted(
    exchange: LyingExchange, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    member.sync()
    waits: list[str] = []

    def sleep(seconds: float) -> None:
        if seconds > 1 and not waits:
            waits.append("first")
            elsewhere = Member.open(member.home, FAST)
            queued = elsewhere.report([row(2)]).sent
            assert queued is not None
            assert "another acx is sending" in queued.stopped
            elsewhere.withdraw("seller-1", "error")

    monkeypatch.setattr(time, "sleep", sleep)
    done = Member.open(member.home, FAST | {"delay": 1e6}).report([row(1)])
    assert done.sent is not None
    # What the other command put in meanwhile goes along.
    assert [message.type for message in done.sent.acknowledged] == ["report"]
    assert asked(exchange).count("POST /v1/events") == 1
    assert {own.account: own.standing for own in member.reports()} == {
        "seller-1": "withdrawn",
        "seller-2": "open",
    }
