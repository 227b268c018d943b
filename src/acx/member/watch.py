"""Stay connected: every new event, and every new hit among one's own sellers, as it arrives.

The stream brings entries and checkpoints; they go through the same verification as pages do, and
nothing is told before it is trusted. A lost connection is made again, with growing pauses, and what
was missed is fetched in between: no gap, and nothing twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec
import polars as pl

from acx.log.errors import InconsistentLog, LogError
from acx.member.alerts import (
    Alerts,
    Frame,
    NewEvent,
    NewHit,
    Remembering,
    SellerBase,
    SellersRead,
    Told,
)
from acx.member.checked import CheckedHit
from acx.member.errors import BadAnswer, ExchangeError
from acx.member.replica import Replica
from acx.member.server_sent import ServerSentEvent
from acx.member.sync import Source, sync
from acx.member.trusted_log import Opening
from acx.member.wire import WireEntry
from acx.member.writer import writing

__all__ = [
    "Awoke",
    "CheckedHit",
    "Connected",
    "Disconnected",
    "Feed",
    "Item",
    "NewEvent",
    "NewHit",
    "Remembering",
    "SellerBase",
    "SellersRead",
    "watch",
]

HEARTBEAT_SECONDS: Final = 60.0
"""Silence after which a connection counts as dead; exchanges send heartbeats well before."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
MAX_UNCOVERED: Final = 10_000
"""Entries a stream may send before a checkpoint must cover them."""
NOTED_SECONDS: Final = 3600.0
"""How often one who stays connected notes that there is nothing new."""
STOOD_STILL_SECONDS: Final = 30.0
"""A second that took so long by the clock was slept through; no connection survives that."""

_Kind = TypeVar("_Kind")


_Arrived: TypeAlias = "SimpleQueue[ServerSentEvent | Future[list[Told]] | Exception | None]"
"""What happens, in the order in which it does: None is the end of the stream."""


class Feed(Source, Protocol):
    """Pages, and the stream."""

    def stream(self, after: int, silence: float) -> Iterator[ServerSentEvent]:
        """Server-sent events after an index."""


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="connected"):
    """The stream is open, and everything up to `size` is known.

    Attributes:
        size: entries.
        warning: that witnesses lag behind for long; else empty.
    """

    size: int
    warning: str = ""


class Disconnected(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="disconnected"):
    """The stream ended; it is opened again after a pause."""

    reason: str
    pause: float


class Awoke(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="awoke"):
    """This machine slept, or stood still: the connection is made anew at once."""

    seconds: float


Item: TypeAlias = Connected | Disconnected | Awoke | Told


def watch(
    replica: Replica,
    feed: Feed,
    sellers: pl.DataFrame | SellerBase | None = None,
    *,
    level: str = "possible",
    prior: float | None = None,
    default_country: str = "",
    weights: str = "",
    home: Path | None = None,
    threads: int = 0,
    remembering: Remembering | None = None,
    queued: Callable[[], object] = lambda: None,
    renew: Callable[[], object] = lambda: None,
    heartbeat: float = HEARTBEAT_SECONDS,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] | None = None,
    left: threading.Event | None = None,
) -> Iterator[Item]:
    """Follow the log for ever, from where the replica ends.

    Args:
        replica: is brought and kept up to date; other processes may read it, and sync it too.
        feed: the exchange.
        sellers: own sellers, to look for new hits in; they are read again when they change.
        level: weakest level of hits to tell.
        prior: share of accounts expected to be somebody reported.
        default_country: where national phone numbers are tried last.
        weights: file of estimated weights to match with; the shipped ones without.
        home: the member's directory, where the matching index is kept.
        threads: that check signatures.
        remembering: whom the store checked and what was told before, so that a watch that starts
            again tells what came meanwhile; nothing is remembered without.
        queued: called, from another thread, when alerts were put into a queue.
        renew: called often: sees to what a member has to do now and then while it is connected.
        heartbeat: seconds of silence after which the connection counts as dead.
        clock: seconds since 1970.
        sleep: waits between attempts.
        left: ends it, within a second, when another thread sets it.

    Yields:
        What happens, as it happens.

    Raises:
        InconsistentLog: the log contradicts itself; it is not followed any further.
        ReplicaError: the replica cannot be written.
    """
    told = replica.size
    pause = FIRST_PAUSE_SECONDS
    left = left or threading.Event()
    options = {
        "level": level,
        "prior": prior,
        "default_country": default_country,
        "weights": weights,
        "home": home,
    }
    base = Frame(sellers) if isinstance(sellers, pl.DataFrame) else sellers
    with Alerts(replica, base, options, remembering, queued, clock=clock) as alerts:
        while not left.is_set():
            try:
                synced = sync(replica, feed, threads=threads, clock=clock)
                yield from alerts.since(told)
                yield from alerts.hits_now()
                told = alerts.size
                yield Connected(size=told, warning=synced.warning)
                pause = FIRST_PAUSE_SECONDS
                for found in _follow(replica, feed, told, heartbeat, clock, alerts, renew, left):
                    yield from alerts.since(told)
                    yield from found
                    told = alerts.size
                reason = "the exchange closed the stream"
            except _StoodStill as slept:
                yield Awoke(seconds=slept.seconds)
                continue
            except _Left:
                return
            except InconsistentLog:
                raise
            except (ExchangeError, LogError) as error:
                reason = str(error)
            # Up to half more, so that members do not all come back at once.
            wait = pause * (1 + random.random() / 2)  # noqa: S311 -- no secret
            yield Disconnected(reason=reason, pause=wait)
            (sleep or left.wait)(wait)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _follow(
    replica: Replica,
    feed: Feed,
    size: int,
    heartbeat: float,
    clock: Callable[[], float],
    alerts: Alerts,
    renew: Callable[[], object],
    left: threading.Event,
) -> Iterator[list[Told]]:
    """Take what the stream brings; yields each time something became trusted, or hits are found."""
    arrived: _Arrived = SimpleQueue()
    ended = threading.Event()
    alerts.tell(arrived.put)
    threading.Thread(
        target=_read, args=(feed.stream(size - 1, heartbeat), arrived, ended), daemon=True
    ).start()
    try:
        yield from _taken(replica, arrived, clock, alerts, renew, left)
    finally:
        ended.set()


def _taken(
    replica: Replica,
    arrived: _Arrived,
    clock: Callable[[], float],
    alerts: Alerts,
    renew: Callable[[], object],
    left: threading.Event,
) -> Iterator[list[Told]]:
    entries: list[WireEntry] = []
    while (sent := _next(arrived, alerts, clock, renew, left)) is not None:
        if isinstance(sent, Exception):
            raise sent
        if isinstance(sent, Future):
            yield alerts.changes(sent)
        elif sent.event == "entry":
            entries.append(_decoded(sent.data, WireEntry))
            if len(entries) > MAX_UNCOVERED:
                raise BadAnswer("the stream sends entries and no checkpoint; connecting again")
        elif sent.event == "checkpoint":
            _take(replica, entries, _decoded(sent.data, str), clock)
            entries.clear()
            yield []
        elif sent.event == "cosigned":
            _take_cosigned(replica, _decoded(sent.data, str))
        elif not sent.event and not entries and clock() - replica.synced > NOTED_SECONDS:
            # A heartbeat: still connected, and nothing new.
            with writing(replica) as writer:
                writer.reached_head(clock())


def _next(
    arrived: _Arrived,
    alerts: Alerts,
    clock: Callable[[], float],
    renew: Callable[[], object],
    left: threading.Event,
) -> ServerSentEvent | Future[list[Told]] | Exception | None:
    """What happens next; Ctrl-C is heard meanwhile, whichever thread the system gives it to."""
    while True:
        if left.is_set():
            raise _Left
        renew()
        asked = clock()
        with suppress(Empty):
            return arrived.get(timeout=1.0)
        if (seconds := clock() - asked) > STOOD_STILL_SECONDS:
            raise _StoodStill(seconds)
        alerts.look_at_sellers()


class _Left(Exception):
    """Nobody listens any more."""


class _StoodStill(Exception):
    """Much more time has passed than was waited."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


def _read(stream: Iterator[ServerSentEvent], arrived: _Arrived, ended: threading.Event) -> None:
    """Read a stream to its end, which is told as None or as the error that it was."""
    try:
        for sent in stream:
            if ended.is_set():
                return
            arrived.put(sent)
        arrived.put(None)
    except Exception as error:  # noqa: BLE001 -- raised again by who reads the queue
        arrived.put(error)


def _take(
    replica: Replica, entries: list[WireEntry], note: str, clock: Callable[[], float]
) -> None:
    """Trust what a checkpoint of the stream covers."""
    received = Opening(entries, replica.trust.origin).result()
    with writing(replica) as writer:
        # Not `see`: another process may have synced further than the stream has come.
        writer.log.recall(note)
        writer.stage([entry for entry in received if entry.index >= writer.log.size])
        writer.confirm()
        if replica.size < writer.log.head.size:
            raise BadAnswer("the stream sent an entry without its body; asking for it again")
        writer.reached_head(clock())


def _take_cosigned(replica: Replica, note: str) -> None:
    """Note what witnesses have signed of what is trusted already."""
    with writing(replica) as writer:
        writer.see_cosigned(note)
        writer.confirm()


def _decoded(data: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the stream sent what is no entry ({error}); connecting again") from None
