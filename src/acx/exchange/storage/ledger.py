"""The log as rows: what the sequencer appends, and what the feed reads back.

Functions over a connection, whose transaction is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from acx.exchange.errors import LeadError
from acx.exchange.storage.schema import (
    checkpoints,
    condemned,
    entries,
    event_keys,
    head,
    tags,
)
from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.entry import open_sealed
from acx.records.event import OPERATOR_TYPES, Event, outcome_context, parse_event

_MAX_PARAMETERS: Final = 500
"""Values in one `IN`; SQLite of old builds allows 999 parameters."""

REMOVING: Final = ("erasure", "expiry")
"""Types of events that say that others are gone."""

# Made once: building a statement takes longer than running it, and these run for every event.
_KNOWN_EVENTS: Final = select(entries.c.event_id, entries.c.index).where(
    entries.c.event_id.in_(bindparam("ids", expanding=True))
)
_KNOWN_REPORTS: Final = (
    select(entries.c.report)
    .where(entries.c.report.in_(bindparam("reports", expanding=True)))
    .distinct()
)
_SPENDERS: Final = (
    select(tags.c.context, tags.c.tag, entries.c.by)
    .join(entries, entries.c.index == tags.c.index)
    .where(tags.c.tag.in_(bindparam("tags", expanding=True)))
)
_CHECKPOINT: Final = select(checkpoints.c.size).where(checkpoints.c.size == bindparam("at"))


@dataclass(frozen=True, slots=True)
class Head:
    """The log's head as the rows have it; `fence` is the leadership it was written under."""

    size: int
    root: bytes
    fence: int


@dataclass(frozen=True, slots=True)
class LogRow:
    """An entry at its place.

    Attributes:
        index: its place.
        at: the UTC hour it was taken; empty if it was recovered after its erasure, as is all below.
        entry: the 32 bytes in the tree.
        ciphertext: the sealed event.
        k: what opens it; None once destroyed.
    """

    index: int
    at: str
    entry: bytes
    ciphertext: bytes
    k: bytes | None

    def event_bytes(self) -> bytes | None:
        """The event's bytes, or None if the key is destroyed.

        Raises:
            EntryMismatch: the row does not hold what it was written with.
        """
        if self.k is None:
            return None
        return open_sealed(self.ciphertext, self.k, self.entry).event


def load_head(connection: Connection) -> Head:
    """The head."""
    row = connection.execute(select(head)).one()
    return Head(row.size, row.root, row.fence)


def check_fence(head: Head, fence: int) -> None:
    """Refuse to go on under a leadership that another has followed.

    Raises:
        LeadError: the head was taken over.
    """
    if head.fence != fence:
        raise LeadError("another process has taken the lead over: this one stops appending")


def append(
    connection: Connection, before: Head, root: bytes, rows: Sequence[tuple[LogRow, Event | None]]
) -> Head:
    """Append entries and move the head, if it is still where it was.

    Args:
        connection: a transaction that writes.
        before: the head the rows follow.
        root: of the tree with them.
        rows: in order; with the event, unless it was recovered after its erasure.

    Raises:
        LeadError: the head has moved: another process has taken the lead.
    """
    after = Head(before.size + len(rows), root, before.fence)
    moved = connection.execute(
        update(head)
        .where(head.c.size == before.size, head.c.fence == before.fence)
        .values(size=after.size, root=after.root)
    )
    if moved.rowcount != 1:
        check_fence(load_head(connection), before.fence)
        raise LeadError("the head has moved under this process: it stops appending")
    connection.execute(insert(entries), [_entry_values(row, event) for row, event in rows])
    keys = [{"index": row.index, "k": row.k} for row, _ in rows if row.k is not None]
    if keys:
        connection.execute(insert(event_keys), keys)
    _spend_tags(connection, rows)
    return after


def read_rows(connection: Connection, start: int, stop: int) -> list[LogRow]:
    """The entries from `start` to before `stop`."""
    return _rows(connection, _log_rows().where(entries.c.index >= start, entries.c.index < stop))


def read_places(connection: Connection, places: Sequence[int]) -> list[LogRow]:
    """The entries at some places, in order."""
    return [
        row
        for start in range(0, len(places), _MAX_PARAMETERS)
        for row in _rows(
            connection,
            _log_rows().where(entries.c.index.in_(places[start : start + _MAX_PARAMETERS])),
        )
    ]


def read_keys(connection: Connection, start: int, stop: int) -> dict[int, bytes]:
    """The keys that are left from `start` to before `stop`."""
    query = select(event_keys.c.index, event_keys.c.k).where(
        event_keys.c.index >= start, event_keys.c.index < stop
    )
    return {index: bytes(k) for index, k in connection.execute(query)}


def read_report(connection: Connection, report: str) -> list[LogRow]:
    """The entries whose events belong to a report, in order."""
    return _rows(connection, _log_rows().where(entries.c.report == report))


def read_reports(connection: Connection, reports: Iterable[str]) -> list[LogRow]:
    """The entries whose events belong to any of some reports; a report's are in order."""
    return [
        row
        for part in _parts(reports)
        for row in _rows(connection, _log_rows().where(entries.c.report.in_(part)))
    ]


def read_versions(
    connection: Connection, reports: Iterable[str]
) -> Iterator[tuple[str, str, LogRow]]:
    """What opened or amended any of some reports: report, type and entry."""
    for part in _parts(reports):
        query = _log_rows().add_columns(entries.c.report, entries.c.type)
        for *row, report, kind in connection.execute(
            query.where(entries.c.report.in_(part), entries.c.type.in_(("report", "amendment")))
        ):
            index, at, entry, ciphertext, k = row
            yield (
                report,
                kind,
                LogRow(index, at or "", bytes(entry), bytes(ciphertext or b""), k and bytes(k)),
            )


def acts_at(connection: Connection, day: str) -> list[Event]:
    """The operators' acts of one UTC day (`YYYY-MM-DD`), in order."""
    query = _log_rows().where(entries.c.type == "act", entries.c.at.startswith(day))
    return [event for row in _rows(connection, query) if (event := parsed(row)) is not None]


def newest_hour(connection: Connection) -> str:
    """The hour of the last entry."""
    query = select(entries.c.at).where(entries.c.at.is_not(None)).order_by(entries.c.index.desc())
    return connection.execute(query.limit(1)).scalar_one_or_none() or ""


def read_governing(connection: Connection) -> list[LogRow]:
    """The entries that say who may do what: operators' events, and brands' registrations."""
    return _rows(
        connection,
        _log_rows().where(entries.c.type.in_(sorted(OPERATOR_TYPES | {"registration"}))),
    )


def erasable(connection: Connection, reports: Iterable[str]) -> dict[str, list[int]]:
    """The places of what members have said about reports, if it can be opened still.

    Corroborations, outcomes and answers too: alone they would be of nobody. Operators' events hold
    codes only, and stay.
    """
    found: dict[str, list[int]] = {}
    for part in _parts(reports):
        query = (
            select(entries.c.report, entries.c.index)
            .join(event_keys, event_keys.c.index == entries.c.index)
            .where(entries.c.report.in_(part), entries.c.type.not_in(sorted(OPERATOR_TYPES)))
            .order_by(entries.c.index)
        )
        for report, index in connection.execute(query):
            found.setdefault(report, []).append(index)
    return found


def read_event(connection: Connection, event_id: str) -> LogRow | None:
    """The entry that holds an event."""
    found = _rows(connection, _log_rows().where(entries.c.event_id == event_id))
    return found[0] if found else None


def parsed(row: LogRow) -> Event | None:
    """A row's event, or None if its key is destroyed."""
    raw = row.event_bytes()
    return None if raw is None else parse_event(raw)


def known_events(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Those of the events that are in the log, with their places."""
    return {
        event_id: index
        for part in _parts(ids)
        for event_id, index in connection.execute(_KNOWN_EVENTS, {"ids": part})
    }


def known_reports(connection: Connection, reports: Iterable[str]) -> set[str]:
    """Those of the reports that any event in the log belongs to."""
    return {
        row.report
        for part in _parts(reports)
        for row in connection.execute(_KNOWN_REPORTS, {"reports": part})
    }


def spenders(
    connection: Connection, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Those of the `(context, tag)` that are spent, with the key that spent each."""
    found = {}
    pairs = set(wanted)
    for part in _parts(tag for _, tag in pairs):
        for row in connection.execute(_SPENDERS, {"tags": part}):
            if (row.context, row.tag) in pairs:
                found[row.context, row.tag] = row.by or ""
    return found


def save_checkpoint(connection: Connection, size: int, root: bytes, note: str) -> None:
    """Keep a signed checkpoint; the same one again changes nothing."""
    if connection.execute(_CHECKPOINT, {"at": size}).first() is None:
        connection.execute(insert(checkpoints), {"size": size, "root": root, "note": note})


def checkpoint_covering(connection: Connection, index: int) -> tuple[int, str] | None:
    """The first checkpoint that covers a place: size and note."""
    row = connection.execute(
        select(checkpoints.c.size, checkpoints.c.note)
        .where(checkpoints.c.size > index)
        .order_by(checkpoints.c.size)
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.size, row.note)


def read_removals(connection: Connection, start: int, stop: int) -> list[int]:
    """The places from `start` to before `stop` whose events say that others are gone, in order."""
    query = select(entries.c.index).where(
        entries.c.index >= start, entries.c.index < stop, entries.c.type.in_(REMOVING)
    )
    return sorted(connection.execute(query).scalars())


def newest_checkpoint(connection: Connection) -> Checkpoint | None:
    """The checkpoint that was signed last; None before the first."""
    query = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    note = connection.execute(query).scalar_one_or_none()
    return None if note is None else read_checkpoint(note)


def condemn(connection: Connection, indices: Iterable[int]) -> None:
    """Note down keys that are to be destroyed as soon as the log says so in public."""
    fresh = set(indices) - set(connection.execute(select(condemned.c.index)).scalars())
    if fresh:
        connection.execute(insert(condemned), [{"index": index} for index in sorted(fresh)])


def destroy_condemned(connection: Connection) -> int:
    """Destroy the keys noted down.

    Returns:
        How many were noted down.
    """
    connection.execute(delete(event_keys).where(event_keys.c.index.in_(select(condemned.c.index))))
    return connection.execute(delete(condemned)).rowcount


def list_condemned(connection: Connection) -> tuple[int, ...]:
    """The places whose keys are noted down for destruction."""
    query = select(condemned.c.index).order_by(condemned.c.index)
    return tuple(connection.execute(query).scalars())


def condemned_left(connection: Connection) -> bool:
    """Whether keys are noted down that are not destroyed yet."""
    return connection.execute(select(condemned.c.index).limit(1)).first() is not None


def _log_rows() -> Select[int, str, bytes, bytes, bytes]:
    return (
        select(entries.c.index, entries.c.at, entries.c.entry, entries.c.ciphertext, event_keys.c.k)
        .join(event_keys, event_keys.c.index == entries.c.index, isouter=True)
        .order_by(entries.c.index)
    )


def _rows(connection: Connection, query: Select[int, str, bytes, bytes, bytes]) -> list[LogRow]:
    return [_log_row(row) for row in connection.execute(query)]


def _log_row(row: Row[int, str, bytes, bytes, bytes]) -> LogRow:
    index, at, entry, ciphertext, k = row
    return LogRow(index, at or "", bytes(entry), bytes(ciphertext or b""), k and bytes(k))


def _entry_values(row: LogRow, event: Event | None) -> dict[str, object]:
    return {
        "index": row.index,
        "event_id": event and event.id,
        "type": event and event.type,
        "report": event and event.report,
        "by": event and event.by,
        "seq": event and event.seq,
        "at": row.at or None,
        "entry": row.entry,
        "ciphertext": row.ciphertext or None,
    }


def _spend_tags(connection: Connection, rows: Sequence[tuple[LogRow, Event | None]]) -> None:
    """Note down each tag with the event that spent it; an outcome's with the latest."""
    spent = {
        (context, tag): (row.index, context == outcome_context(event.report))
        for row, event in rows
        if event is not None
        for context, tag in event.tags.items()
    }
    known = spenders(connection, spent)
    for context, tag in known:
        index, replaces = spent[context, tag]
        if replaces:
            connection.execute(
                update(tags).where(tags.c.context == context, tags.c.tag == tag).values(index=index)
            )
    fresh = [
        {"context": context, "tag": tag, "index": index}
        for (context, tag), (index, _) in spent.items()
        if (context, tag) not in known
    ]
    if fresh:
        connection.execute(insert(tags), fresh)


def _parts(values: Iterable[str]) -> list[list[str]]:
    unique = sorted(set(values))
    return [unique[i : i + _MAX_PARAMETERS] for i in range(0, len(unique), _MAX_PARAMETERS)]
