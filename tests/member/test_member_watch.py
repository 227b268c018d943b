"""Watching tells each event and each hit once, whatever happens to the connection."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import LyingExchange, Problem

from acx.log.errors import InconsistentLog
from acx.member.client import ExchangeClient
from acx.member.replica import Replica
from acx.member.screen import accounts_frame
from acx.member.sync import sync
from acx.member.watch import Connected, Disconnected, Item, NewEvent, NewHit, watch
from acx.records.account import Account
from acx.records.event import Dispute, Withdrawal, sign_event

SELLERS = accounts_frame(
    [
        Account(id="m", name=("Maria Lopez Garcia",), email=("maria.lopez.garcia@mail.test",)),
        Account(id="i", name=("Heinrich Baumgartner",), email=("h.baum@post.test",)),
    ]
)


@pytest.fixture
def replica(exchange: LyingExchange, tmp_path: Path) -> Replica:
    return Replica.create(tmp_path / "replica", exchange.trust)


def watching(replica: Replica, url: str, **options: Any) -> Iterator[Item]:
    pauses: list[float] = []
    client = ExchangeClient(url, token="t", timeout=2.0)
    return watch(replica, client, SELLERS, sleep=pauses.append, threads=1, **options)


def until(items: Iterator[Item], *kinds: type[Item]) -> list[Item]:
    """Items up to the first of these kinds, it included."""
    seen = []
    for item in islice(items, 100):
        seen.append(item)
        if isinstance(item, kinds):
            return seen
    raise AssertionError(seen)


def told(items: list[Item]) -> list[tuple[str, object]]:
    short: list[tuple[str, object]] = []
    for item in items:
        match item:
            case NewEvent():
                short.append((item.type, item.index))
            case NewHit():
                short.append((item.change, item.hit.account_id))
            case Connected():
                short.append(("connected", item.size))
            case Disconnected():
                short.append(("disconnected", item.pause > 0))
    return short


def test_tells_what_was_missed_and_then_what_comes(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.report("Somebody Else")
    items = watching(replica, url)
    assert told(until(items, Connected)) == [("report", 0), ("connected", 1)]
    exchange.report("Maria Lopez Garcia")
    assert told(until(items, NewHit)) == [("report", 1), ("new", "m")]
    assert replica.size == 2


def test_tells_how_a_hit_changes_and_goes(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    items = watching(replica, url)
    until(items, Connected)
    key = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", key)
    until(items, NewHit)
    exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    assert told(until(items, NewHit)) == [("dispute", 1), ("changed", "m")]
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
    assert told(until(items, NewHit)) == [("withdrawal", 2), ("retracted", "m")]


def test_a_hit_that_was_there_before_is_not_told_as_new(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("Maria Lopez Garcia")
    sync(replica, ExchangeClient(url, token="t"), threads=1)
    items = watching(replica, url)
    assert told(until(items, Connected)) == [("connected", 1)]
    exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    assert told(until(items, NewHit)) == [("dispute", 1), ("changed", "m")]


def test_reconnects_without_gap_or_repeat(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    items = watching(replica, url)
    until(items, Connected)
    exchange.report("Somebody")
    seen = until(items, NewEvent)
    exchange.hang_up.set()
    seen += until(items, Disconnected)
    exchange.report("While Nobody Listened")
    seen += until(items, Connected)
    exchange.report("Maria Lopez Garcia")
    seen += until(items, NewHit)
    assert told(seen) == [
        ("report", 0),
        ("disconnected", True),
        ("report", 1),
        ("connected", 2),
        ("report", 2),
        ("new", "m"),
    ]


def test_pauses_grow_while_the_exchange_is_down(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.answers["/v1/events"] = lambda _: Problem(503, "busy", "Busy", "try later")
    items = watching(replica, url)
    pauses = [item.pause for item in islice(items, 10) if isinstance(item, Disconnected)]
    assert len(pauses) == 10
    assert pauses[0] < 1 < pauses[3]
    assert all(pause <= 90 for pause in pauses)
    del exchange.answers["/v1/events"]
    until(items, Connected)


def test_another_process_may_sync_meanwhile(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    items = watching(replica, url)
    until(items, Connected)
    other = Replica.open(replica.directory)
    for name in ("Somebody", "Maria Lopez Garcia", "Somebody Else"):
        exchange.report(name)
        sync(other, ExchangeClient(url, token="t"), threads=1)
    seen = until(items, NewHit)
    exchange.report("One More")
    seen += until(items, NewEvent)
    events = [item.index for item in seen if isinstance(item, NewEvent)]
    assert events == sorted(set(events))
    assert events[0] == 0


@pytest.mark.parametrize("lie", ["altered", "fork", "forged"])
def test_stops_at_a_log_that_contradicts_itself(
    lie: str, exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.report("Somebody")
    items = watching(replica, url)
    until(items, Connected)
    if lie == "fork":
        exchange.entries[0].k = bytes(32)
        exchange.report("Somebody Else")
    elif lie == "forged":
        index = exchange.append(exchange.entries[0].raw)
        exchange.entries[index].raw = exchange.entries[0].raw.replace(b"Somebody", b"Somebodx")
    else:
        honest = exchange.note
        exchange.note = lambda size=None, signer=None: honest(0)  # type: ignore[method-assign]
        exchange.report("Somebody Else")
        exchange.note = lambda size=None, signer=None: altered(exchange, honest)  # type: ignore[method-assign]
    before = replica.size
    with pytest.raises(InconsistentLog):
        until(items, NewEvent)
    assert replica.size == before


def altered(exchange: LyingExchange, honest: Any) -> str:
    """A checkpoint over other entries than the stream gives."""
    kept = exchange.entries[-1].k
    exchange.entries[-1].k = bytes(32)
    note: str = honest()
    exchange.entries[-1].k = kept
    return note


@pytest.mark.parametrize(
    "sent",
    [
        b"event: entry\ndata: {}\n\n",
        b"event: entry\ndata: [\n\n",
        b"event: checkpoint\ndata: 5\n\n",
        b'event: checkpoint\ndata: "none"\n\n',
        b"\xff\xfe\x00",
        b"",
    ],
)
def test_a_damaged_stream_is_left_and_joined_again(
    sent: bytes, exchange: LyingExchange, url: str, replica: Replica
) -> None:
    def damaged(_: Any) -> Any:
        def answer(handler: Any) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + sent)

        del exchange.answers["/v1/stream"]
        return answer

    exchange.answers["/v1/stream"] = damaged
    items = watching(replica, url)
    until(items, Disconnected)
    until(items, Connected)
    exchange.report("Somebody")
    assert told(until(items, NewEvent)) == [("report", 0)]
