"""Every report as STIX objects, in the order in which they changed: what TAXII hands out.

Nothing is stored for it. The order is kept in memory (`changes`), and a page's reports are read
from the rows, folded and rendered when it is asked for: what is amended, withdrawn or erased shows
in the next page, and no copy is left anywhere.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from sqlalchemy import Connection, bindparam, select

from acx.exchange.feed.changes import Change, Changes
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import LogRow
from acx.exchange.storage.schema import entries, event_keys
from acx.interchange import Stix
from acx.interchange.observables import observables
from acx.interchange.stix import ROLES, Object
from acx.interchange.stix_ids import stix_id
from acx.records.account import Subject
from acx.records.event import parse_event
from acx.records.state import Entry, ReportView, Step

MAX_OBJECTS: Final = 1_000
"""Objects in one page."""
MAX_EXAMINED: Final = 2_000
"""Reports looked at for one page; a filter that finds little gives short pages, and `more`."""
_BATCH: Final = 100
_CHUNK: Final = 1_000
_LAST_TICK: Final = 999

_ROWS: Final = (
    select(
        entries.c.report,
        entries.c.index,
        entries.c.event_id,
        entries.c.type,
        entries.c.entry,
        entries.c.ciphertext,
        event_keys.c.k,
    )
    .join(event_keys, event_keys.c.index == entries.c.index, isouter=True)
    .where(
        entries.c.report.in_(bindparam("reports", expanding=True)),
        entries.c.index < bindparam("size"),
    )
    .order_by(entries.c.index)
)

_SAID: Final = (
    select(
        entries.c.report,
        entries.c.index,
        entries.c.entry,
        entries.c.ciphertext,
        event_keys.c.k,
    )
    .join(event_keys, event_keys.c.index == entries.c.index)
    .where(
        entries.c.type.in_(("report", "amendment")),
        entries.c.index >= bindparam("start"),
        entries.c.index < bindparam("stop"),
    )
)

Position = tuple[int, int]
"""Of an object: its report's change, and its place among the report's objects."""
START: Final[Position] = (-1, 0)


@dataclass(frozen=True, slots=True)
class Item:
    """An object of the collection.

    Attributes:
        object: as STIX.
        position: in the collection.
        added: when it counts as added; strictly later than what stands before it.
    """

    object: Object
    position: Position
    added: datetime

    @property
    def version(self) -> str | None:
        """What tells its versions apart; None for observables, which have none."""
        version: str | None = self.object.get("modified", self.object.get("created"))
        return version


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page is filtered by.

    Attributes:
        ids: objects asked for; None for all.
        types: likewise.
        versions: likewise; each object has one version, the newest.
    """

    ids: Sequence[str] | None = None
    types: Container[str] | None = None
    versions: Container[str] | None = None

    def __contains__(self, item: Item) -> bool:
        return (
            (self.types is None or item.object["type"] in self.types)
            and (self.versions is None or item.version in self.versions)
            and (self.ids is None or item.object["id"] in self.ids)
        )


EVERYTHING: Final = Wanted()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the collection.

    Attributes:
        items: in order.
        more: whether there may be further ones.
        next: where to go on.
    """

    items: Sequence[Item]
    more: bool
    next: Position


class Collection:
    """The reports of one exchange. Safe to use from several threads.

    Attributes:
        id: TAXII's.
    """

    def __init__(self, database: Database, origin: str, founder: str) -> None:
        """Know nothing yet.

        Args:
            database: the exchange's.
            origin: the log's name.
            founder: the service's key, which made the first operators.
        """
        self.id = stix_id("collection", origin).partition("--")[2]
        self._database = database
        self._changes = Changes(founder)
        self._origin = origin
        self._ids = _Ids()
        self._observables = _Observables()

    def page(
        self,
        size: int,
        after: Position = START,
        wanted: Wanted = EVERYTHING,
        limit: int = MAX_OBJECTS,
    ) -> Page:
        """The objects after a place.

        Args:
            size: of the published checkpoint; nothing beyond it is shown.
            after: the last place that is known.
            wanted: what counts.
            limit: at most so many, and at most `MAX_OBJECTS`.
        """
        limit = min(limit, MAX_OBJECTS)
        with self._database.read() as connection:
            reader = self._reader(connection, size)
            if wanted.ids is None:
                return _filled(reader.walk(after), after, wanted, limit)
            items = reader.named(wanted.ids, self._ids, self._observables)
            return _filled((item for item in items if item.position > after), after, wanted, limit)

    def position_at(self, size: int, moment: datetime) -> Position:
        """The last place whose object counts as added at a moment or earlier."""
        with self._database.read() as connection:
            self._changes.follow(connection, size)
        return self._changes.number_at(moment)

    def _reader(self, connection: Connection, size: int) -> _Reader:
        self._changes.follow(connection, size)
        return _Reader(connection, size, self._changes, Stix(self._origin, self._changes.hour_of))


@dataclass(frozen=True, slots=True)
class _Reader:
    """The collection as one transaction sees it."""

    connection: Connection
    size: int
    changes: Changes
    stix: Stix

    def walk(self, after: Position) -> Iterator[Item | None]:
        """The objects after a place; None instead of the rest, once enough was looked at."""
        yield from (item for item in self.common() if item.position > after)
        number = max(1, after[0])
        for _ in range(0, MAX_EXAMINED, _BATCH):
            changes = self.changes.after(number, _BATCH, self.size)
            for items in self.rendered(changes):
                yield from (item for item in items if item.position > after)
            if len(changes) < _BATCH:
                return
            number = changes[-1].number + 1
        if self.changes.after(number, 1, self.size):
            yield None

    def common(self) -> list[Item]:
        """What all reports' objects refer to."""
        return self._items(0, self.stix.common)

    def named(self, wanted: Sequence[str], ids: _Ids, observables_: _Observables) -> list[Item]:
        """The objects of these ids, each once, in order."""
        reports: set[str] = set()
        for identifier in wanted:
            kind = identifier.partition("--")[0]
            if kind == "note":
                reports.update(self.changes.reports_of_note(identifier))
            elif kind in ids.kinds:
                reports.update(ids.reports(identifier, self.changes))
            else:
                reports.update(observables_.reports(identifier, self))
        changes = [change for report in reports if (change := self.changes.of(report))]
        found: dict[str, Item] = {item.object["id"]: item for item in self.common()}
        for items in self.rendered(sorted(changes, key=lambda change: change.number)):
            found.update((item.object["id"], item) for item in items)
        named = [found[identifier] for identifier in set(wanted) if identifier in found]
        return sorted(named, key=lambda item: item.position)

    def rendered(self, changes: Sequence[Change]) -> Iterator[list[Item]]:
        """The objects of reports, as of their newest change."""
        for change, opened, view in self.views(changes):
            objects = self.stix.report(view, opened=opened, changed=change.index)
            yield self._items(change.number, objects)

    def views(self, changes: Sequence[Change]) -> Iterator[tuple[Change, int, ReportView]]:
        """Reports' states, each with the place of what opened it."""
        values = {"reports": [change.report for change in changes], "size": self.size}
        rows: dict[str, list[Any]] = {}
        for row in self.connection.execute(_ROWS, values) if changes else ():
            rows.setdefault(row.report, []).append(row)
        for change in changes:
            its = rows.get(change.report, [])
            opened = next((row.index for row in its if row.type == "report"), -1)
            if opened >= 0:
                yield change, opened, self._view(change, its)

    def _view(self, change: Change, rows: Sequence[Any]) -> ReportView:
        left = []
        for row in rows:
            raw = LogRow(row.index, "", row.entry, row.ciphertext or b"", row.k).event_bytes()
            if raw is not None:
                left.append(Entry(row.index, parse_event(raw)))
        view = self.changes.fold(change.report, left)
        # Of what has expired unnamed the fold has nothing to show, and readers elsewhere keep it.
        return view or ReportView(
            id=change.report,
            state="expired",
            first_index=rows[0].index,
            last_index=change.index,
            timeline=tuple(Step(row.index, row.event_id, row.type, "") for row in rows),
        )

    def _items(self, number: int, objects: Iterable[Object]) -> list[Item]:
        time = self.changes.time_of(number)
        return [
            Item(made, (number, place), time + timedelta(microseconds=min(place, _LAST_TICK)))
            for place, made in enumerate(objects)
        ]


class _Ids:
    """Which report an object is of, by its id: half the UUID of every report's, role by role.

    Ids follow from the report's, so none has to be read for it.
    """

    kinds: Final = frozenset(ROLES.values())

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halves = {role: array("Q") for role in ROLES}

    def reports(self, identifier: str, changes: Changes) -> Iterator[str]:
        """The reports that may have an object of this id."""
        kind = identifier.partition("--")[0]
        half = _half(identifier)
        with self._lock:
            for role in (role for role, its in ROLES.items() if its == kind):
                halves = self._halves[role]
                for report in changes.reports(len(halves)):
                    halves.append(_half(stix_id(kind, report, role)))
                for ordinal in np.flatnonzero(np.array(halves, np.uint64) == half):
                    yield changes.reports(int(ordinal))[0]


@dataclass(slots=True)
class _Observables:
    """Which reports an observable may be of. Read through when first asked, then followed.

    An observable's id can be guessed from its value: so it is kept in memory only, and begun afresh
    once something was erased.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _removals: int = 0
    _size: int = 0
    _halves: array[int] = field(default_factory=lambda: array("Q"))
    _reports: list[str] = field(default_factory=list)

    def reports(self, identifier: str, reader: _Reader) -> list[str]:
        """The reports that may hold an observable of this id, or have held it."""
        with self._lock:
            if self._removals != reader.changes.removals:
                self._removals = reader.changes.removals
                self._halves, self._reports, self._size = array("Q"), [], 0
            while self._size < reader.size:
                stop = min(reader.size, self._size + _CHUNK)
                bounds = {"start": self._size, "stop": stop}
                for report, *row in reader.connection.execute(_SAID, bounds):
                    self._take(report, *row)
                self._size = stop
            found = np.flatnonzero(np.array(self._halves, np.uint64) == _half(identifier))
            return [self._reports[int(place)] for place in found]

    def _take(self, report: str, index: int, entry: bytes, ciphertext: bytes, k: bytes) -> None:
        raw = LogRow(index, "", entry, ciphertext, k).event_bytes()
        try:
            subject = _SUBJECT.decode(raw or b"").body.account
        except msgspec.DecodeError:
            # Of a later version of acx; the fold leaves it out too.
            return
        for made in observables(subject):
            self._halves.append(_half(made["id"]))
            self._reports.append(report)


class _Said(msgspec.Struct, frozen=True):
    account: Subject


class _Event(msgspec.Struct, frozen=True):
    """So much of an event of type `report` or `amendment` as says whom it is about."""

    body: _Said


_SUBJECT: Final = msgspec.json.Decoder(_Event)


def _half(identifier: str) -> int:
    """The first 64 bits of an id's UUID; 0 of what is no id."""
    digits = identifier.partition("--")[2].replace("-", "")[:16]
    try:
        return int(digits, 16)
    except ValueError:
        return 0


def _filled(items: Iterable[Item | None], after: Position, wanted: Wanted, limit: int) -> Page:
    """As many as a page may have of those that are wanted."""
    page: list[Item] = []
    told: set[str] = set()
    last = after
    for item in items:
        if item is None:
            return Page(page, more=True, next=last)
        if item in wanted and item.object["id"] not in told:
            if len(page) == limit:
                return Page(page, more=True, next=last)
            page.append(item)
            told.add(item.object["id"])
        last = item.position
    return Page(page, more=False, next=last)
