"""Stay connected: every new event, and every new hit among one's own sellers, as it arrives.

The stream brings entries and checkpoints; they go through the same verification as pages do, and
nothing is told before it is trusted. A lost connection is made again, with growing pauses, and what
was missed is fetched in between: no gap, and nothing twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec
import polars as pl

from acx.log.errors import InconsistentLog, LogError
from acx.member.errors import BadAnswer, ExchangeError
from acx.member.replica import Replica, StoredEntry
from acx.member.screen import Hit, Screener
from acx.member.server_sent import ServerSentEvent
from acx.member.since_last import TOLD
from acx.member.sync import Source, sync
from acx.member.trusted_log import Opening
from acx.member.wire import WireEntry
from acx.member.writer import writing
from acx.records.state import ReportView

HEARTBEAT_SECONDS: Final = 60.0
"""Silence after which a connection counts as dead; exchanges send heartbeats well before."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
MAX_UNCOVERED: Final = 10_000
"""Entries a stream may send before a checkpoint must cover them."""

_Kind = TypeVar("_Kind")


class Feed(Source, Protocol):
    """Pages, and the stream."""

    def stream(self, after: int, silence: float) -> Iterator[ServerSentEvent]:
        """Server-sent events after an index."""


class Connected(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="connected"):
    """The stream is open, and everything up to `size` is known."""

    size: int


class Disconnected(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="disconnected"):
    """The stream ended; it is opened again after a pause."""

    reason: str
    pause: float


class NewEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="event"):
    """An event that is in the log now.

    Attributes:
        index: its place.
        at: UTC hour the exchange gave it.
        type: what it says.
        report: the report it belongs to; empty for none.
        report_state: how that report stands now; empty for none.
    """

    index: int
    at: str
    type: str
    report: str
    report_state: str


class NewHit(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hit"):
    """A hit that is new or has changed.

    Attributes:
        change: `new`, `changed` or `retracted`.
        hit: as it is now; as it last was, where it is retracted.
    """

    change: str
    hit: Hit


Item = Connected | Disconnected | NewEvent | NewHit


def watch(
    replica: Replica,
    feed: Feed,
    sellers: pl.DataFrame | None = None,
    *,
    level: str = "possible",
    prior: float | None = None,
    default_country: str = "",
    threads: int = 0,
    heartbeat: float = HEARTBEAT_SECONDS,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Item]:
    """Follow the log for ever, from where the replica ends.

    Args:
        replica: is brought and kept up to date; other processes may read it, and sync it too.
        feed: the exchange.
        sellers: own sellers, to look for new hits in.
        level: weakest level of hits to tell.
        prior: share of accounts expected to be somebody reported.
        default_country: where national phone numbers are tried last.
        threads: that check signatures.
        heartbeat: seconds of silence after which the connection counts as dead.
        clock: seconds since 1970.
        sleep: waits between attempts.

    Yields:
        What happens, as it happens.

    Raises:
        InconsistentLog: the log contradicts itself; it is not followed any further.
        ReplicaError: the replica cannot be written.
    """
    told = replica.size
    alerts = _Alerts(replica, sellers, level, prior, default_country)
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            sync(replica, feed, threads=threads, clock=clock)
            yield from alerts.since(told)
            told = alerts.size
            yield Connected(size=told)
            pause = FIRST_PAUSE_SECONDS
            for _ in _follow(replica, feed, told, heartbeat, clock):
                yield from alerts.since(told)
                told = alerts.size
            reason = "the exchange closed the stream"
        except InconsistentLog:
            raise
        except (ExchangeError, LogError) as error:
            reason = str(error)
        # Up to half more, so that members do not all come back at once.
        wait = pause * (1 + random.random() / 2)  # noqa: S311 -- no secret
        yield Disconnected(reason=reason, pause=wait)
        sleep(wait)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _follow(
    replica: Replica, feed: Feed, size: int, heartbeat: float, clock: Callable[[], float]
) -> Iterator[None]:
    """Take what the stream brings; yields each time something became trusted."""
    entries: list[WireEntry] = []
    for sent in feed.stream(size - 1, heartbeat):
        if sent.event == "entry":
            entries.append(_decoded(sent.data, WireEntry))
            if len(entries) > MAX_UNCOVERED:
                raise BadAnswer("the stream sends entries and no checkpoint; connecting again")
        elif sent.event == "checkpoint":
            _take(replica, entries, _decoded(sent.data, str), clock)
            entries.clear()
            yield


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


class _Alerts:
    """What has changed for the one who watches."""

    def __init__(
        self,
        replica: Replica,
        sellers: pl.DataFrame | None,
        level: str,
        prior: float | None,
        default_country: str,
    ) -> None:
        """Find what hits already, so that it is not told as new."""
        self.size = replica.size
        self._replica = replica
        self._sellers = sellers
        self._options: dict[str, Any] = {
            "level": level,
            "prior": prior,
            "default_country": default_country,
        }
        self._hits: dict[str, dict[str, Hit]] = {}
        if sellers is not None:
            self._hits = self._found(None)

    def since(self, size: int) -> list[Item]:
        """What is new since the log had this size, in the order of the log; hits last."""
        with self._replica.snapshot():
            self.size = self._replica.size
            views = {view.id: view for view in self._replica.reports(since=size)}
            items: list[Item] = [
                self._event(entry, views) for entry in self._replica.entries(size - 1)
            ]
        if self._sellers is None or not views:
            return items
        found = self._found(list(views))
        for report in views:
            before, now = self._hits.pop(report, {}), found.get(report, {})
            if now:
                self._hits[report] = now
            items += _changes(before, now)
        return items

    def _event(self, entry: StoredEntry, views: Mapping[str, ReportView]) -> NewEvent:
        event = self._replica.event_of(entry)
        if event is None:
            return NewEvent(index=entry.index, at="", type="", report="", report_state="")
        view = views.get(event.report)
        return NewEvent(
            index=entry.index,
            at=entry.at,
            type=event.type,
            report=event.report,
            report_state=view.state if view is not None else "",
        )

    def _found(self, reports: list[str] | None) -> dict[str, dict[str, Hit]]:
        """Hits by report and account."""
        found: dict[str, dict[str, Hit]] = {}
        screener = Screener(self._replica, reports=reports, **self._options)
        if self._sellers is not None and len(screener):
            for row in screener.screen(self._sellers).iter_rows(named=True):
                hit = msgspec.convert(row, Hit)
                found.setdefault(hit.report_id, {})[hit.account_id] = hit
        return found


def _changes(before: Mapping[str, Hit], now: Mapping[str, Hit]) -> list[Item]:
    items: list[Item] = []
    for account, hit in now.items():
        earlier = before.get(account)
        if earlier is None:
            items.append(NewHit(change="new", hit=hit))
        elif _told(earlier) != _told(hit):
            items.append(NewHit(change="changed", hit=hit))
    items += [
        NewHit(change="retracted", hit=hit) for account, hit in before.items() if account not in now
    ]
    return items


def _told(hit: Hit) -> tuple[object, ...]:
    return tuple(getattr(hit, name) for name in TOLD)


def _decoded(data: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the stream sent what is no entry ({error}); connecting again") from None
