"""Whether the log, as it stands, takes an event: the fold's rules, asked before and not after.

What the fold would ignore is refused here, so that nobody is acknowledged for nothing. Intake asks
to refuse early; the sequencer asks again in the transaction that appends, which decides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy import Connection

from acx.exchange.errors import (
    EventRefused,
    NotAuthorised,
    ReportClosed,
    TagSpent,
    TooManyFollowUps,
    UnknownReport,
    WrongContexts,
    WrongSequence,
    WrongVersion,
)
from acx.exchange.home import Home
from acx.exchange.storage.ledger import (
    LogRow,
    known_events,
    known_reports,
    parsed,
    read_governing,
    read_report,
    spenders,
)
from acx.records.event import (
    MAX_FOLLOW_UPS,
    OPERATOR_TYPES,
    Event,
    outcome_context,
    public_key_text,
)
from acx.records.state import Entry, Reports

MAX_LOADED: Final = 20_000
"""Reports held in memory because a follow-up asked for them; beyond, all are let go."""
_GOVERNING: Final = OPERATOR_TYPES | {"registration"}


@dataclass(frozen=True, slots=True)
class Known:
    """The same event is in the log already, or before it in the same list."""

    index: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The log takes the event, at this place if all those before it are appended."""

    index: int


Verdict = Taken | Known | EventRefused


class Rules:
    """The fold of what matters for the next event: governance, and the reports it is about.

    A report's events are loaded when a follow-up to it comes; new reports need none. Safe to use
    from several threads.
    """

    def __init__(self, founder: str) -> None:
        """Know nothing yet.

        Args:
            founder: the service's key, which made the first operators.
        """
        self._founder = founder
        self._lock = threading.RLock()
        self._reports = Reports((founder,))
        # Reports whose history is in memory, and those of them that are followed to the last.
        self._touched: set[str] = set()
        self._loaded: set[str] = set()

    @classmethod
    def of_service(cls, home: Home) -> Self:
        """Those of the log that this home's service key founded."""
        return cls(public_key_text(home.service_key()))

    def load(self, connection: Connection) -> None:
        """Begin from what is in the log, forgetting everything else."""
        with self._lock:
            self._reports = Reports((self._founder,))
            self._touched = set()
            self._loaded = set()
            self._apply(read_governing(connection))

    def trim(self, connection: Connection) -> None:
        """Let go of reports, if there are too many in memory; all that was taken is in the rows."""
        with self._lock:
            if len(self._touched) > MAX_LOADED:
                self.load(connection)

    def judge(
        self, connection: Connection, events: Sequence[Event], next_index: int, *, take: bool
    ) -> list[Verdict]:
        """Say of each event whether the log takes it.

        Args:
            connection: the log, in one state.
            events: well-formed, with the contexts of their types.
            next_index: place of the first event that is taken.
            take: the events are to be appended in this order, so each counts for those after it,
                and from now on; if they are not, `load` again. Otherwise each is judged alone.
        """
        with self._lock:
            bench = _Bench(self, connection, events, next_index)
            return [bench.verdict(event, take=take) for event in events]

    def take(self, index: int, event: Event) -> None:
        """Count an event as appended."""
        with self._lock:
            if event.report in self._loaded or event.type in _GOVERNING:
                self._reports.apply(Entry(index, event))

    def operator_objection(self, connection: Connection, event: Event) -> str:
        """Why an operator's event would have no effect; empty if it would, or waits for another."""
        reason = self.objection(connection, event, (), take=True)
        return "" if reason == "waiting" else reason

    def is_gone(self, index: int) -> bool:
        """Whether an erasure or expiry in force lists a place."""
        with self._lock:
            return self._reports.is_gone(index)

    def next_seq(self, by: str, report: str = "") -> int:
        """The number of a key's next event."""
        with self._lock:
            return self._reports.next_seq(by, report)

    def objection(
        self,
        connection: Connection,
        event: Event,
        taken: Iterable[tuple[int, Event]],
        *,
        take: bool,
    ) -> str:
        """The fold's objection to an event.

        Args:
            connection: has the report's history so far.
            event: a follow-up.
            taken: what is to be appended and belongs to the same report.
            take: asked by the one who appends, so that nothing can come between what it sees and
                what it takes: from now on the report's events are followed as they are taken.
        """
        with self._lock:
            if event.report and event.report not in self._loaded:
                self._apply(read_report(connection, event.report))
                for index, earlier in taken:
                    self._reports.apply(Entry(index, earlier))
                self._touched.add(event.report)
                if take:
                    self._loaded.add(event.report)
            return self._reports.objection(event)

    def _apply(self, rows: Iterable[LogRow]) -> None:
        for row in rows:
            event = parsed(row)
            if event is not None:
                self._reports.apply(Entry(row.index, event))


class _Bench:
    """One sitting: a list of events against the log, with what the database knows of them."""

    def __init__(
        self, rules: Rules, connection: Connection, events: Sequence[Event], next_index: int
    ) -> None:
        self._rules = rules
        self._connection = connection
        self._next = next_index
        self._events = known_events(connection, (event.id for event in events))
        opening = (event.report for event in events if event.type == "report")
        self._reports = known_reports(connection, opening)
        pairs = (pair for event in events for pair in event.tags.items())
        self._spenders = spenders(connection, pairs)
        self._taken: dict[str, list[tuple[int, Event]]] = {}

    def verdict(self, event: Event, *, take: bool) -> Verdict:
        if event.id in self._events:
            return Known(self._events[event.id])
        refusal = self._by_state(event, take=take) or self._by_tags(event)
        if refusal is not None:
            return refusal
        place = self._next
        if take:
            self._take(place, event)
        return Taken(place)

    def _take(self, place: int, event: Event) -> None:
        self._rules.take(place, event)
        self._taken.setdefault(event.report, []).append((place, event))
        self._next += 1
        self._events[event.id] = place
        self._reports.add(event.report)
        self._spenders |= dict.fromkeys(event.tags.items(), event.by)

    def _by_state(self, event: Event, *, take: bool) -> EventRefused | None:
        if event.type == "report":
            if event.report in self._reports:
                return ReportClosed("the report key was used already: make a new one")
            return _REFUSALS["out_of_order"]() if event.seq else None
        taken = self._taken.get(event.report, ())
        reason = self._rules.objection(self._connection, event, taken, take=take)
        return _REFUSALS.get(reason, _closed)() if reason else None

    def _by_tags(self, event: Event) -> EventRefused | None:
        for context, tag in event.tags.items():
            spender = self._spenders.get((context, tag))
            if spender not in {None, event.by} and context != outcome_context(event.report):
                return TagSpent(f"the tag for {context} was spent with another event")
        return None


def _closed() -> EventRefused:
    return ReportClosed("the report takes no such event any more")


def _not_its_key() -> EventRefused:
    return NotAuthorised("the key that signed the event has no part in what it is about")


_REFUSALS: Final[dict[str, Callable[[], EventRefused]]] = {
    "no_report": lambda: UnknownReport("no such report stands in this log"),
    "unknown_ref": lambda: UnknownReport("the log has no event that this one could refer to"),
    "out_of_order": lambda: WrongSequence(
        "the event is not the next one its key signs for this report: read the log, sign it anew"
    ),
    "not_its_key": _not_its_key,
    "not_a_brand": lambda: NotAuthorised(
        "no brand in good standing signed this: operators verify a brand's registered marks first"
    ),
    "not_an_operator": _not_its_key,
    "tag": lambda: WrongContexts(
        "the tags are not those of the report's version: a changed account value makes a new one"
    ),
    "own_report": lambda: TagSpent("a member stands behind its own report already"),
    "decided": lambda: ReportClosed("the dispute is decided: it takes no answer any more"),
    "version": lambda: WrongVersion(
        "the report has another version by now: read it and decide again"
    ),
    "follow_ups": lambda: TooManyFollowUps(
        f"the report has {MAX_FOLLOW_UPS} amendments and answers, and takes no more"
    ),
}
"""The fold's reasons that need more words than «closed»."""
