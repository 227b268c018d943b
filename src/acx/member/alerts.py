"""What has changed for the one who watches: events, hits among own sellers, and earlier checks.

Hits are looked for beside the stream, in a thread of their own: no event waits for them. What was
told is remembered with the home, so that a watch that starts again tells what came meanwhile, once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import msgspec
import polars as pl

from acx.matching.sellers import Sellers
from acx.member.checked import BASE, CheckedHit, recall
from acx.member.memory import Memory
from acx.member.replica import Replica, StoredEntry
from acx.member.screen import Hit, Screener
from acx.member.since_last import TOLD
from acx.records.files import FileFormatError
from acx.records.state import ReportView

_Hits: TypeAlias = dict[str, dict[str, Hit]]
"""By report and account."""


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
    """A hit among own sellers that is new or has changed.

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


Told: TypeAlias = NewEvent | NewHit | CheckedHit | SellersRead


class SellerBase(Protocol):
    """Own sellers, which change now and then."""

    def read(self) -> Iterable[pl.DataFrame]:
        """All of them."""

    def stamp(self) -> object:
        """Something that is another one once they have changed."""


class Frame:
    """Sellers that do not change."""

    def __init__(self, accounts: pl.DataFrame) -> None:
        self._accounts = accounts

    def read(self) -> Iterable[pl.DataFrame]:
        """All of them."""
        return [self._accounts]

    def stamp(self) -> object:
        """Always the same."""
        return None


class Remembering(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch remembers, and where.

    Attributes:
        home: the member's directory.
        base: name of the seller base, under which what was told of it is kept; empty for none.
        days: for how long accounts that were checked count.
        channels: names of the queues that alerts are put into.
    """

    home: Path
    base: str = ""
    days: float = 0.0
    channels: tuple[str, ...] = ()


class Alerts:
    """What has changed since it was last asked."""

    def __init__(
        self,
        replica: Replica,
        sellers: SellerBase | None,
        options: Mapping[str, Any],
        remembering: Remembering | None = None,
        queued: Callable[[], object] = lambda: None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Find what hits already, so that it is not told as new.

        Args:
            replica: what is known.
            sellers: own sellers.
            options: how to screen; see `Screener`.
            remembering: what to remember; nothing without.
            queued: called when alerts were put into a queue.
            clock: seconds since 1970.
        """
        self.size = replica.size
        self._replica = replica
        self._changed: dict[str, None] = {}
        self._searching: Future[list[Told]] | None = None
        self._when_found: Callable[[Future[list[Told]]], object] = lambda _: None
        self._worker = ThreadPoolExecutor(1, "acx-screen")
        self._sellers = sellers
        self._search: _Search | None = None
        if sellers is not None or remembering is not None:
            self._stamps = [sellers.stamp() if sellers is not None else None] * 2
            self._search = _Search(replica.directory, sellers, options, remembering, queued, clock)
            self._submit(self._search.begin)
            self._begun()

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what is being looked for."""
        if self._search is not None:
            self._worker.submit(self._search.close)
        self._worker.shutdown(wait=False)

    def _begun(self) -> None:
        """Wait for the first search, whose hits are told with the next ones."""
        assert self._searching is not None  # noqa: S101 -- it was just begun
        try:
            self._searching.result()
        except BaseException:
            self._worker.shutdown(wait=False)
            raise

    def tell(self, when_found: Callable[[Future[list[Told]]], object]) -> None:
        """Whom to give from now on what was found."""
        self._when_found = when_found

    def since(self, size: int) -> list[Told]:
        """Events that are new since the log had this size; their hits are looked for from now."""
        with self._replica.snapshot():
            self.size = self._replica.size
            views = {view.id: view for view in self._replica.reports(since=size)}
            items: list[Told] = [
                self._event(entry, views) for entry in self._replica.entries(size - 1)
            ]
        if self._search is not None:
            self._changed |= dict.fromkeys(views)
            self._look()
        return items

    def changes(self, found: Future[list[Told]]) -> list[Told]:
        """What a search has found; what came up meanwhile is looked for next."""
        if found is self._searching:
            self._searching = None
        items = found.result()
        self._look()
        return items

    def hits_now(self) -> list[Told]:
        """Wait for all that is being looked for."""
        items: list[Told] = []
        while self._searching is not None:
            items += self.changes(self._searching)
        return items

    def look_at_sellers(self) -> None:
        """Begin to read the seller base again, if it has changed and is being written no more."""
        if self._sellers is None or self._search is None or self._searching is not None:
            return
        stamp = self._sellers.stamp()
        # Known, seen last: what has just changed may still be growing.
        known, seen = self._stamps
        self._stamps = [known, stamp]
        if stamp not in (None, known) and stamp == seen:
            self._stamps = [stamp, stamp]
            self._submit(self._search.again)

    def _look(self) -> None:
        """Begin to look for hits of all that has changed, unless a search is under way."""
        if self._searching is None and self._changed and self._search is not None:
            reports, self._changed = list(self._changed), {}
            search = self._search
            self._submit(lambda: search.of(reports))

    def _submit(self, search: Callable[[], list[Told]]) -> None:
        self._searching = self._worker.submit(search)
        self._searching.add_done_callback(self._when_found)

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


class _Search:
    """Looks for hits, by a view of the replica and a memory of its own, in one thread."""

    def __init__(
        self,
        directory: Path,
        base: SellerBase | None,
        options: Mapping[str, Any],
        remembering: Remembering | None,
        queued: Callable[[], object],
        clock: Callable[[], float],
    ) -> None:
        self._base = base
        self._replica = Replica.open(directory, read_only=True)
        self._options = options
        self._screener: Screener | None = None
        self._sellers: Sellers | None = None
        self._hits: _Hits = {}
        self._remembering = remembering
        self._memory = Memory.open(remembering.home) if remembering is not None else None
        self._queued = queued
        self._clock = clock

    def close(self) -> None:
        """Give the files back."""
        self._replica.close()
        if self._memory is not None:
            self._memory.close()

    def begin(self) -> list[Told]:
        """Find all hits: those are told that came since an earlier watch told its own."""
        items: list[Told] = []
        if self._base is not None:
            hits = self._all(self._base)
            earlier = self._told_earlier()
            if earlier is None:
                self._hits = hits
                self._keep([NewHit(change="new", hit=hit) for hit in _flat(hits)])
            else:
                self._hits = earlier
                items = self._apply(None, hits)
        return items + self._recall()

    def again(self) -> list[Told]:
        """Read the sellers again, and find all hits."""
        assert self._base is not None  # noqa: S101 -- only a seller base changes
        try:
            hits = self._all(self._base)
        except FileFormatError as error:
            accounts = len(self._sellers) if self._sellers is not None else 0
            return [SellersRead(accounts=accounts, problem=str(error))]
        assert self._sellers is not None  # noqa: S101 -- they were just read
        return [SellersRead(accounts=len(self._sellers)), *self._apply(None, hits)]

    def of(self, reports: list[str]) -> list[Told]:
        """Find the hits of reports that have changed."""
        items: list[Told] = []
        if self._sellers is not None:
            found = self._matcher().screen_for(reports, self._sellers)
            items = self._apply(reports, _by_report(found))
        return items + self._recall()

    def _all(self, base: SellerBase) -> _Hits:
        matcher = self._matcher()
        self._sellers = matcher.sellers(base.read())
        return _by_report(matcher.screen_all(self._sellers))

    def _matcher(self) -> Screener:
        """The index, opened at the first use, with all that the log has said so far."""
        if self._screener is None:
            self._screener = Screener(self._replica, **self._options)
        self._screener.refresh()
        return self._screener

    def _apply(self, reports: Sequence[str] | None, hits: _Hits) -> list[Told]:
        """Compare with what was told; None is all reports."""
        items: list[NewHit] = []
        for report in [*{**self._hits, **hits}] if reports is None else reports:
            before, now = self._hits.pop(report, {}), hits.get(report, {})
            if now:
                self._hits[report] = now
            items += _changes(before, now)
        self._keep(items, queue=True)
        return list(items)

    def _recall(self) -> list[Told]:
        """Reports on those whom the store checked; a seller's hit is told as that alone."""
        memory, remembering = self._memory, self._remembering
        if memory is None or remembering is None or not remembering.days:
            return []
        with memory.explained(), memory.transaction():
            since = memory.told_up_to(BASE)
            if since is None:
                return []
            with self._replica.snapshot():
                size = self._replica.size
                views = list(self._replica.reports(since=since)) if size != since else []
            found = recall(
                memory,
                self._matcher,
                views,
                matching_key=self._replica.trust.matching_key,
                days=remembering.days,
                clock=self._clock,
            )
            items = [
                item
                for item in found
                if item.hit.account_id not in self._hits.get(item.hit.report_id, {})
            ]
            self._queue(items)
            memory.told_until(BASE, size, since=since)
        if items:
            self._queued()
        return list(items)

    def _told_earlier(self) -> _Hits | None:
        """What an earlier watch over the same sellers told; None if there was none."""
        memory, remembering = self._memory, self._remembering
        if memory is None or remembering is None or not remembering.base:
            return None
        with memory.explained():
            if memory.told_up_to(remembering.base) is None:
                return None
            hits: _Hits = {}
            for report, _, told in memory.told(remembering.base):
                hit = msgspec.msgpack.decode(told, type=Hit)
                hits.setdefault(report, {})[hit.account_id] = hit
            return hits

    def _keep(self, items: Sequence[NewHit], *, queue: bool = False) -> None:
        """Remember what is told, and queue it, in one step."""
        memory, remembering = self._memory, self._remembering
        if memory is None or remembering is None:
            return
        with memory.explained(), memory.transaction():
            if base := remembering.base:
                for item in items:
                    report, account = item.hit.report_id, item.hit.account_id
                    if item.change == "retracted":
                        memory.untell(base, report, account)
                    else:
                        memory.tell(base, report, account, msgspec.msgpack.encode(item.hit))
                memory.told_until(base, self._replica.size, since=memory.told_up_to(base))
            if queue:
                self._queue(items)
        if queue and items:
            self._queued()

    def _queue(self, items: Sequence[NewHit | CheckedHit]) -> None:
        memory, remembering = self._memory, self._remembering
        if memory is None or remembering is None:
            return
        for item in items:
            body = msgspec.json.encode(item)
            alert = f"msg_{secrets.token_hex(16)}"
            for channel in remembering.channels:
                memory.put(remembering.base, channel, alert, int(self._clock()), body)


def _flat(hits: _Hits) -> Iterator[Hit]:
    for found in hits.values():
        yield from found.values()


def _by_report(hits: pl.DataFrame) -> _Hits:
    found: _Hits = {}
    for row in hits.iter_rows(named=True):
        hit = msgspec.convert(row, Hit)
        found.setdefault(hit.report_id, {})[hit.account_id] = hit
    return found


def _changes(before: Mapping[str, Hit], now: Mapping[str, Hit]) -> list[NewHit]:
    items: list[NewHit] = []
    for account, hit in now.items():
        earlier = before.get(account)
        if earlier is None:
            items.append(NewHit(change="new", hit=hit))
        elif _said(earlier) != _said(hit):
            items.append(NewHit(change="changed", hit=hit))
    items += [
        NewHit(change="retracted", hit=hit) for account, hit in before.items() if account not in now
    ]
    return items


def _said(hit: Hit) -> tuple[object, ...]:
    return tuple(getattr(hit, name) for name in TOLD)
