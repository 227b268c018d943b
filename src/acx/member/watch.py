"""Stay connected: every new event, and every new hit among one's own sellers, as it arrives.

The stream brings entries and checkpoints; they go through the same verification as pages do, and
nothing is told before it is trusted. A lost connection is made again, with growing pauses, and what
was missed is fetched in between: no gap, and nothing twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar

import msgspec
import polars as pl

from acx.log.errors import InconsistentLog, LogError
from acx.matching.sellers import Sellers
from acx.member.errors import BadAnswer, ExchangeError
from acx.member.replica import Replica, StoredEntry
from acx.member.screen import Hit, Screener
from acx.member.server_sent import ServerSentEvent
from acx.member.since_last import TOLD
from acx.member.sync import Source, sync
from acx.member.trusted_log import Opening
from acx.member.wire import WireEntry
from acx.member.writer import writing
from acx.records.files import FileFormatError
from acx.records.state import ReportView

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


_Hits: TypeAlias = dict[str, dict[str, Hit]]
"""By report and account."""
_Arrived: TypeAlias = "SimpleQueue[ServerSentEvent | Future[_Found] | Exception | None]"
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


class SellersRead(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="sellers"):
    """The seller base has changed, and was read again.

    Attributes:
        accounts: how many there are now.
        problem: why it could not be read: the one before is still watched; empty if it could.
    """

    accounts: int
    problem: str = ""


Item = Connected | Disconnected | NewEvent | NewHit | SellersRead


class SellerBase(Protocol):
    """Own sellers, which change now and then."""

    def read(self) -> Iterable[pl.DataFrame]:
        """All of them."""

    def stamp(self) -> object:
        """Something that is another one once they have changed."""


class _Frame:
    """Sellers that do not change."""

    def __init__(self, accounts: pl.DataFrame) -> None:
        self._accounts = accounts

    def read(self) -> Iterable[pl.DataFrame]:
        return [self._accounts]

    def stamp(self) -> object:
        return None


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
    renew: Callable[[], object] = lambda: None,
    heartbeat: float = HEARTBEAT_SECONDS,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] = time.sleep,
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
        renew: called often: sees to what a member has to do now and then while it is connected.
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
    pause = FIRST_PAUSE_SECONDS
    options = {
        "level": level,
        "prior": prior,
        "default_country": default_country,
        "weights": weights,
        "home": home,
    }
    base = _Frame(sellers) if isinstance(sellers, pl.DataFrame) else sellers
    with _Alerts(replica, base, options) as alerts:
        while True:
            try:
                synced = sync(replica, feed, threads=threads, clock=clock)
                yield from alerts.since(told)
                yield from alerts.hits_now()
                told = alerts.size
                yield Connected(size=told, warning=synced.warning)
                pause = FIRST_PAUSE_SECONDS
                for found in _follow(replica, feed, told, heartbeat, clock, alerts, renew):
                    yield from alerts.since(told)
                    yield from found
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
    replica: Replica,
    feed: Feed,
    size: int,
    heartbeat: float,
    clock: Callable[[], float],
    alerts: _Alerts,
    renew: Callable[[], object],
) -> Iterator[list[Item]]:
    """Take what the stream brings; yields each time something became trusted, or hits are found."""
    arrived: _Arrived = SimpleQueue()
    alerts.tell(arrived)
    threading.Thread(
        target=_read, args=(feed.stream(size - 1, heartbeat), arrived), daemon=True
    ).start()
    entries: list[WireEntry] = []
    while (sent := _next(arrived, alerts, renew)) is not None:
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
    arrived: _Arrived, alerts: _Alerts, renew: Callable[[], object]
) -> ServerSentEvent | Future[_Found] | Exception | None:
    """What happens next; Ctrl-C is heard meanwhile, whichever thread the system gives it to."""
    while True:
        renew()
        with suppress(Empty):
            return arrived.get(timeout=1.0)
        alerts.look_at_sellers()


def _read(stream: Iterator[ServerSentEvent], arrived: _Arrived) -> None:
    """Read a stream to its end, which is told as None or as the error that it was."""
    try:
        for sent in stream:
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


class _Alerts:
    """What has changed for the one who watches.

    Hits are looked for beside the stream, in a thread of their own: no event waits for them.
    """

    def __init__(
        self, replica: Replica, sellers: SellerBase | None, options: dict[str, Any]
    ) -> None:
        """Find what hits already, so that it is not told as new."""
        self.size = replica.size
        self._replica = replica
        self._changed: dict[str, None] = {}
        self._screening: Future[_Found] | None = None
        self._arrived: _Arrived = SimpleQueue()
        self._worker = ThreadPoolExecutor(1, "acx-screen")
        self._hits: _Hits = {}
        self._sellers = sellers
        self._screen: _Screen | None = None
        if sellers is not None:
            self._stamps = [sellers.stamp()] * 2
            self._screen = _Screen(replica.directory, sellers, options)
            self._hits = self._screen.all().hits

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what is being looked for."""
        if self._screen is not None:
            self._worker.submit(self._screen.close)
        self._worker.shutdown(wait=False)

    def tell(self, arrived: _Arrived) -> None:
        """Where to say from now on that hits were found."""
        self._arrived = arrived

    def since(self, size: int) -> list[Item]:
        """Events that are new since the log had this size; their hits are looked for from now."""
        with self._replica.snapshot():
            self.size = self._replica.size
            views = {view.id: view for view in self._replica.reports(since=size)}
            items: list[Item] = [
                self._event(entry, views) for entry in self._replica.entries(size - 1)
            ]
        if self._screen is not None:
            self._changed |= dict.fromkeys(views)
            self._look()
        return items

    def changes(self, found: Future[_Found]) -> list[Item]:
        """What a search for hits has changed; what came up meanwhile is looked for next."""
        self._screening = None
        items = self._apply(found.result())
        self._look()
        return items

    def hits_now(self) -> list[Item]:
        """Wait for all that is being looked for."""
        items: list[Item] = []
        while self._screening is not None:
            items += self.changes(self._screening)
        return items

    def look_at_sellers(self) -> None:
        """Begin to read the seller base again, if it has changed and is being written no more."""
        if self._sellers is None or self._screen is None or self._screening is not None:
            return
        stamp = self._sellers.stamp()
        # Known, seen last: what has just changed may still be growing.
        known, seen = self._stamps
        self._stamps = [known, stamp]
        if stamp not in (None, known) and stamp == seen:
            self._stamps = [stamp, stamp]
            self._submit(self._screen.all)

    def _look(self) -> None:
        """Begin to look for hits of all that has changed, unless a search is under way."""
        if self._screening is None and self._changed and self._screen is not None:
            reports, self._changed = list(self._changed), {}
            screen = self._screen
            self._submit(lambda: screen.some(reports))

    def _submit(self, search: Callable[[], _Found]) -> None:
        self._screening = self._worker.submit(search)
        self._screening.add_done_callback(self._arrived.put)

    def _apply(self, found: _Found) -> list[Item]:
        items: list[Item] = []
        reports = found.reports
        if reports is None:
            items.append(SellersRead(accounts=found.accounts, problem=found.problem))
            reports = [] if found.problem else [*{**self._hits, **found.hits}]
        for report in reports:
            before, now = self._hits.pop(report, {}), found.hits.get(report, {})
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Hits of some reports, or of all of them.

    Attributes:
        reports: that were looked for; None for all.
        hits: by report and account.
        accounts: sellers among whom they were looked for.
        problem: why the sellers could not be read.
    """

    reports: list[str] | None
    hits: _Hits
    accounts: int
    problem: str = ""


class _Screen:
    """Looks for hits, by a view of the replica of its own: one thread at a time may ask it."""

    def __init__(self, directory: Path, base: SellerBase, options: dict[str, Any]) -> None:
        """Open the index."""
        self._base = base
        self._replica = Replica.open(directory, read_only=True)
        self._screener = Screener(self._replica, **options)
        self._sellers: Sellers | None = None

    def close(self) -> None:
        """Give the files back."""
        self._replica.close()

    def all(self) -> _Found:
        """Read the sellers, and find all hits."""
        self._screener.refresh()
        try:
            self._sellers = self._screener.sellers(self._base.read())
        except FileFormatError as error:
            if self._sellers is None:
                raise
            return _Found(reports=None, hits={}, accounts=len(self._sellers), problem=str(error))
        hits = self._screener.screen_all(self._sellers)
        return _Found(reports=None, hits=_by_report(hits), accounts=len(self._sellers))

    def some(self, reports: list[str]) -> _Found:
        """Find the hits of reports that have changed."""
        assert self._sellers is not None  # noqa: S101 -- all hits are looked for first
        self._screener.refresh()
        hits = self._screener.screen_for(reports, self._sellers)
        return _Found(reports=reports, hits=_by_report(hits), accounts=len(self._sellers))


def _by_report(hits: pl.DataFrame) -> _Hits:
    found: _Hits = {}
    for row in hits.iter_rows(named=True):
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
