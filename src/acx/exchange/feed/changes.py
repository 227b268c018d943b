"""In which order reports changed, and when: what a reader asks who wants only what is new.

Every entry of the log makes at least one **change**, and one more for each entry that it takes away
(an expiry takes many at once). Changes are numbered from 1 on; a report stands at its newest. The
numbers follow from the log alone, so they are the same in every process, today and after a restart.

A change has a time too, because TAXII's readers ask by time. The log knows the hour only, so each
change is a millisecond after the one before it within its hour: times rise strictly, and tell
nothing finer than the hour. They are later than the hour by `DELAY`, so that a reader who asks with
the time of its last visit, by whatever clock, misses nothing and may see the last hours' once more.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Select, bindparam, select

from acx.exchange.clock import parse_hour
from acx.exchange.storage.ledger import parsed, read_rows
from acx.exchange.storage.schema import entries
from acx.interchange.stix import note_id
from acx.records.event import OPERATOR_TYPES, Event
from acx.records.state import Entry, Governed, ReportView

DELAY: Final = timedelta(hours=2)
_STEP: Final = timedelta(milliseconds=1)
_TICK: Final = timedelta(microseconds=1)
_CHUNK: Final = 50_000
_WORTHWHILE: Final = 10_000

_NEW_ROWS: Final = (
    select(entries.c.index, entries.c.type, entries.c.report, entries.c.at)
    .where(entries.c.index >= bindparam("start"), entries.c.index < bindparam("stop"))
    .order_by(entries.c.index)
)
_REPORTS_AT: Final = (
    select(entries.c.report)
    .where(entries.c.index.in_(bindparam("indices", expanding=True)))
    .distinct()
)
_REPORT_OF: Final = select(entries.c.report).where(entries.c.event_id == bindparam("event"))
_PARAMETERS: Final = 500


@dataclass(frozen=True, slots=True)
class Change:
    """A report's newest change.

    Attributes:
        number: the change's.
        report: the report's id.
        index: the entry that made it.
    """

    number: int
    report: str
    index: int


@dataclass(frozen=True, slots=True)
class _Hour:
    """An hour in which something was taken.

    Attributes:
        text: `YYYY-MM-DDTHHZ`.
        index: the first entry's place.
        number: the first change's.
        begins: the first change's time.
    """

    text: str
    index: int
    number: int
    begins: datetime


class Changes:
    """The changes of a log, brought up to date from its rows. Safe to use from several threads."""

    def __init__(self, founder: str) -> None:
        """Know nothing yet.

        Args:
            founder: the service's key, which made the first operators.
        """
        self._lock = threading.RLock()
        self._governed = Governed((founder,))
        self._size = 0
        self._next = 1
        # Changes in order, those that others have followed among them; reports by ordinal.
        self._numbers = array("q")
        self._indices = array("q")
        self._ordinals = array("l")
        self._reports: list[str] = []
        self._ordinal_of: dict[str, int] = {}
        self._newest = array("q")
        self._hours: list[_Hour] = []
        self._notes: dict[str, str] = {}
        self._removals = 0

    def follow(self, connection: Connection, size: int) -> None:
        """Take in what was published since.

        Args:
            connection: a transaction that reads.
            size: of the published checkpoint.
        """
        with self._lock:
            while self._size < size:
                stop = min(size, self._size + _CHUNK)
                bounds = {"start": self._size, "stop": stop}
                for index, kind, report, at in connection.execute(_NEW_ROWS, bounds):
                    self._take(connection, index, kind or "", report or "", at or "")
                self._size = stop
            if len(self._numbers) > 2 * len(self._reports) + _WORTHWHILE:
                self._compact()

    def after(self, number: int, limit: int, size: int) -> list[Change]:
        """The reports whose newest change has this number or a later one, in order.

        Args:
            number: the first that counts.
            limit: at most so many.
            size: of the log as the caller sees it. Others may have followed it further: what has
                changed since stands after everything the caller sees, where it will find it.
        """
        with self._lock:
            found: list[Change] = []
            for place in range(bisect_left(self._numbers, number), len(self._numbers)):
                if len(found) == limit or self._indices[place] >= size:
                    break
                ordinal = self._ordinals[place]
                if self._newest[ordinal] == self._numbers[place]:
                    found.append(self._change(place, ordinal))
            return found

    def of(self, report: str) -> Change | None:
        """A report's newest change; None if there is no such report."""
        with self._lock:
            ordinal = self._ordinal_of.get(report)
            if ordinal is None:
                return None
            return self._change(bisect_left(self._numbers, self._newest[ordinal]), ordinal)

    def reports(self, start: int = 0) -> Sequence[str]:
        """Every report there ever was, by ordinal, from one on; an ordinal is for good."""
        with self._lock:
            return self._reports[start:]

    def reports_of_note(self, identifier: str) -> list[str]:
        """The report whose dispute a STIX note tells of, by the note's id."""
        with self._lock:
            return [self._notes[identifier]] if identifier in self._notes else []

    @property
    def removals(self) -> int:
        """How many times something was taken away."""
        return self._removals

    def fold(self, report: str, entries_: Iterable[Entry]) -> ReportView | None:
        """A report's view under what operators have established so far.

        Args:
            report: its id.
            entries_: those that belong to it and are left.
        """
        with self._lock:
            return self._governed.fold(report, entries_)

    def hour_of(self, index: int) -> str:
        """The UTC hour of an entry, `YYYY-MM-DDTHHZ`; never earlier than that of one before."""
        with self._lock:
            return self._hours[self._hour_at(index)].text

    def time_of(self, number: int) -> datetime:
        """When a change counts as made; 0 is before all of them."""
        with self._lock:
            place = bisect_right(self._hours, number, key=lambda hour: hour.number) - 1
            hour = self._hours[max(0, place)]
            return hour.begins + (number - hour.number) * _STEP

    def number_at(self, moment: datetime) -> tuple[int, int]:
        """Where a time falls among the changes.

        Returns:
            The last change that begins then or earlier, and the microseconds since it began.
        """
        with self._lock:
            place = bisect_right(self._hours, moment, key=lambda hour: hour.begins) - 1
            if place < 0:
                since = moment - self.time_of(0)
                return (0, since // _TICK) if since >= timedelta() else (-1, 0)
            hour = self._hours[place]
            steps, rest = divmod(moment - hour.begins, _STEP)
            number = hour.number + steps
            if place + 1 < len(self._hours) and number >= self._hours[place + 1].number:
                return self._hours[place + 1].number - 1, _STEP // _TICK
            return number, rest // _TICK

    def _change(self, place: int, ordinal: int) -> Change:
        return Change(self._numbers[place], self._reports[ordinal], self._indices[place])

    def _hour_at(self, index: int) -> int:
        return max(0, bisect_right(self._hours, index, key=lambda hour: hour.index) - 1)

    def _take(self, connection: Connection, index: int, kind: str, report: str, at: str) -> None:
        if at and (not self._hours or at > self._hours[-1].text):
            self._begin(at, index)
        changed = {report}
        width = 1
        if kind in OPERATOR_TYPES:
            for event in _events_at(connection, index):
                gone = self._govern(connection, index, event, changed)
                width += gone
        for rank, name in enumerate(sorted(changed - {""})):
            self._append(self._next + rank, index, name)
        self._next += width

    def _begin(self, hour: str, index: int) -> None:
        begins = parse_hour(hour) + DELAY
        if self._hours:
            begins = max(begins, self.time_of(self._next))
        self._hours.append(_Hour(hour, index, self._next, begins))

    def _govern(self, connection: Connection, index: int, event: Event, changed: set[str]) -> int:
        """Let an operator's event govern; note the reports it changes, and how many it may."""
        if event.type == "dispute":
            self._notes[note_id(event.id)] = event.report
        gone = self._governed.take(Entry(index, event))
        if event.ref:
            changed |= _reports(connection, _REPORT_OF, {"event": event.ref})
        self._removals += bool(gone)
        for start in range(0, len(gone), _PARAMETERS):
            part = {"indices": gone[start : start + _PARAMETERS]}
            changed |= _reports(connection, _REPORTS_AT, part)
        return len(gone) + bool(event.ref)

    def _append(self, number: int, index: int, report: str) -> None:
        ordinal = self._ordinal_of.get(report)
        if ordinal is None:
            ordinal = self._ordinal_of[report] = len(self._reports)
            self._reports.append(report)
            self._newest.append(number)
        self._newest[ordinal] = number
        self._numbers.append(number)
        self._indices.append(index)
        self._ordinals.append(ordinal)

    def _compact(self) -> None:
        """Let go of changes that others have followed."""
        kept = [
            place
            for place, ordinal in enumerate(self._ordinals)
            if self._newest[ordinal] == self._numbers[place]
        ]
        self._numbers = array("q", (self._numbers[place] for place in kept))
        self._indices = array("q", (self._indices[place] for place in kept))
        self._ordinals = array("l", (self._ordinals[place] for place in kept))


def _reports(connection: Connection, query: Select[str], values: Mapping[str, object]) -> set[str]:
    """Reports that a query names; rows that were recovered without their event name none."""
    return {report for report in connection.execute(query, values).scalars() if report}


def _events_at(connection: Connection, index: int) -> Iterator[Event]:
    for row in read_rows(connection, index, index + 1):
        event = parsed(row)
        if event is not None:
            yield event
