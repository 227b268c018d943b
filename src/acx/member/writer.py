"""The one process that extends a replica: it stages, confirms, folds and destroys."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from acx.log.checkpoint import read_checkpoint
from acx.log.errors import InconsistentLog
from acx.log.fork import forked
from acx.log.merkle import Frontier
from acx.member import database
from acx.member.errors import ReplicaError
from acx.member.replica import Replica, meta, set_meta
from acx.member.trusted_log import Received, TrustedLog
from acx.records.event import OPERATOR_TYPES, Event, parse_event
from acx.records.state import Entry, Reports, ReportView

FOLD_BATCH: Final = 100_000
"""Entries folded at a time, so that a first sync of any size fits in memory."""
LOCK_FILE: Final = "lock"
PATIENCE_SECONDS: Final = 30.0
WIPE_SECONDS: Final = 1.0
"""How long a writer waits for readers before it leaves wiping to the next sync."""


class Confirmed(msgspec.Struct, frozen=True):
    """What became trusted in one step.

    Attributes:
        since: size before.
        size: size now.
        changed: ids of the reports whose view changed.
    """

    since: int
    size: int
    changed: tuple[str, ...]


@contextmanager
def writing(
    replica: Replica, receipts: Iterable[str] = (), *, patience: float = PATIENCE_SECONDS
) -> Iterator[Writer]:
    """Be the one writer.

    Args:
        replica: opened to write.
        receipts: checkpoints that the exchange signed for us elsewhere; the log must lead to each
            of them.
        patience: seconds to wait for another writer to end.

    Raises:
        ReplicaError: another process still writes.
        InconsistentLog: passed on, after what proves it was kept in `evidence`.
    """
    descriptor = os.open(replica.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor, patience):
            raise ReplicaError(
                f"another acx is writing to {replica.directory}; wait for it, or stop it"
            )
        with replica.explained(), replica.keeping_evidence():
            yield Writer(replica, receipts)
    finally:
        os.close(descriptor)


class Writer:
    """The one process that extends a replica.

    Entries are staged as they come, each by itself verified, and no reader sees them. `confirm`
    makes those trusted that lead to a signed root, all at once. A process that dies in between has
    lost nothing and broken nothing: the next one takes up the staged entries.

    Attributes:
        log: decides what is trusted.
    """

    def __init__(self, replica: Replica, receipts: Iterable[str]) -> None:
        """Use `writing`."""
        self._replica = replica
        self._connection = replica.connection
        self._vault = replica.vault
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS touched (id BLOB PRIMARY KEY)")
        # Parsed events of entries that were staged here, to spare parsing them again.
        self._recent: dict[int, Event] = {}
        try:
            self.log = self._take_up(receipts)
        except InconsistentLog:
            self.discard()
            raise

    def _take_up(self, receipts: Iterable[str] = ()) -> TrustedLog:
        """The trusted log as stored, extended by what an earlier process staged."""
        log = TrustedLog(
            self._replica.trust.origin,
            self._replica.trust.log_key,
            self._replica.checkpoint,
            Frontier.from_bytes(meta(self._connection, "frontier")),
            policy=self._replica.trust.policy,
            cosigned=self._replica.cosigned,
            cosigned_frontier=Frontier.from_bytes(meta(self._connection, "cosigned_frontier")),
        )
        head = meta(self._connection, "head").decode()
        for note in (*receipts, head) if head else receipts:
            log.recall(note)
        staged = self._connection.execute(
            "SELECT entry FROM entry WHERE idx >= ? ORDER BY idx", (log.size,)
        ).fetchall()
        log.resume([entry for (entry,) in staged])
        return log

    def stage(self, received: Sequence[Received]) -> None:
        """Take verified entries, and keep them; `confirm` makes them trusted.

        Raises:
            InconsistentLog: they contradict a signed root. Nothing staged is left.
        """
        try:
            self.log.take(received)
        except InconsistentLog:
            self.discard()
            raise
        rows = []
        for item in received:
            sealed, report, governs = None, None, False
            if item.event is not None:
                if len(self._recent) < FOLD_BATCH:
                    self._recent[item.index] = item.event
                sealed = self._vault.seal(
                    msgspec.msgpack.encode((item.k, item.at, item.event.raw)),
                    f"entry/{item.index}",
                )
                # What the fold needs whatever report it folds: little, so a superset will do.
                governs = not item.event.report or item.event.type in OPERATOR_TYPES
                report = self._digest(item.event.report)
            rows.append((item.index, item.entry, report, governs, sealed))
        with database.transaction(self._connection):
            self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?)", rows)
            set_meta(self._connection, "head", self.log.head.note.encode())

    def see_cosigned(self, note: str) -> None:
        """Take notice of a checkpoint that witnesses have signed; `confirm` keeps it.

        Raises:
            LogError: it is no checkpoint of this log's.
            InconsistentLog: it contradicts what was taken. Nothing staged is left.
        """
        try:
            self.log.see_cosigned(note, self._taken)
        except InconsistentLog as error:
            self.discard()
            seen, trusted = read_checkpoint(note), self._replica.checkpoint
            if trusted is not None and 0 < seen.size <= trusted.size:
                raise forked(str(error), trusted, seen, self._replica.tiles()) from None
            raise

    def _taken(self, start: int, stop: int) -> list[bytes]:
        rows = self._connection.execute(
            "SELECT entry FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", (start, stop)
        )
        return [entry for (entry,) in rows]

    def discard(self) -> None:
        """Forget what was staged and is not trusted."""
        self._recent.clear()
        with database.transaction(self._connection):
            self._connection.execute("DELETE FROM entry WHERE idx >= ?", (self._replica.size,))
            set_meta(self._connection, "head", b"")
        self.log = self._take_up()

    def confirm(self, *, at_head: bool = False) -> Confirmed | None:
        """Make everything under the newest trusted checkpoint visible, in one transaction.

        Steps: (1) operators' events say what is gone; (2) what has no body must be gone, else it is
        withheld; (3) what is gone is destroyed here too; (4) reports that may have changed are
        folded again; (5) size, checkpoint and tree move on.

        Args:
            at_head: the exchange was asked and has nothing more, so no erasure is still to come.

        Returns:
            What became trusted; None if nothing did, or if an entry lacks its body and the erasure
            that explains it may be still to come.

        Raises:
            Withheld: at step 2. Nothing staged is left.
        """
        try:
            return self._confirm(at_head)
        except InconsistentLog:
            self.discard()
            raise

    def _confirm(self, at_head: bool) -> Confirmed | None:
        since, size = self._replica.size, self.log.trusted.size
        if size == since:
            if self.log.cosigned_size > self._replica.cosigned_size:
                with database.transaction(self._connection):
                    self._keep_cosigned()
            return None
        with database.transaction(self._connection):
            # (1)
            reports, touched, removing = self._governed(since, size)
            # (2)
            missing = self._indices("sealed IS NULL AND idx >= ? AND idx < ?", (since, size))
            if not all(reports.is_gone(index) for index in missing):
                if at_head:
                    self.log.require_bodies(missing, reports.is_gone)
                return None
            # (3)
            if removing:
                touched |= self._destroy(reports, removing)
            # (4)
            changed = self._fold(reports, since, size, touched)
            # (5)
            set_meta(self._connection, "checkpoint", self.log.trusted.note.encode())
            set_meta(self._connection, "frontier", self.log.trusted_frontier.to_bytes())
            set_meta(self._connection, "size", str(size).encode())
            self._keep_cosigned()
            if removing or self._closed_any(size):
                set_meta(self._connection, "unwiped", b"1")
        self._recent.clear()
        if meta(self._connection, "unwiped"):
            self._wipe()
        return Confirmed(since, size, tuple(sorted(changed)))

    def reached_head(self, now: float) -> None:
        """Note when everything there was had been taken."""
        with database.transaction(self._connection):
            set_meta(self._connection, "synced_before", meta(self._connection, "synced"))
            set_meta(self._connection, "synced", repr(now).encode())
        if meta(self._connection, "unwiped"):
            self._wipe()

    def _keep_cosigned(self) -> None:
        set_meta(self._connection, "cosigned", self.log.cosigned.note.encode())
        frontier = self.log.cosigned_frontier.to_bytes()
        set_meta(self._connection, "cosigned_frontier", frontier)

    # (1)
    def _governed(self, since: int, size: int) -> tuple[Reports, set[str], set[int]]:
        """A fold of what governs; reports touched by it anew, and indices it may have removed."""
        reports = Reports(self._replica.trust.operators)
        touched: set[str] = set()
        removals: dict[str, tuple[int, ...]] = {}
        removing: set[int] = set()
        for index, event in self._events("governs AND idx < ?", (size,)):
            changed = reports.apply(Entry(index, event))
            if event.type in ("erasure", "expiry") and event.known:
                body = event.body()
                removals[event.id] = getattr(body, "indices", ())
            if index < since:
                continue
            touched |= changed
            removing.update(removals.get(event.id, ()), removals.get(event.ref, ()))
        return reports, touched, removing

    # (2)
    # (3)
    def _destroy(self, reports: Reports, indices: Iterable[int]) -> set[str]:
        touched: set[str] = set()
        for index in indices:
            if not reports.is_gone(index):
                continue
            for _, event in self._events("idx = ?", (index,)):
                touched.add(event.report)
            self._recent.pop(index, None)
            self._connection.execute(
                "UPDATE entry SET sealed = NULL, report = NULL WHERE idx = ?", (index,)
            )
        # What is gone may explain a gap in another report's events.
        rows = self._connection.execute(
            "SELECT id, incomplete FROM report WHERE incomplete IS NOT NULL"
        ).fetchall()
        for identifier, sealed in rows:
            place = f"incomplete/{identifier.hex()}"
            touched.add(self._replica.unseal(sealed, place).decode())
        return touched - {""}

    # (4)
    def _fold(self, reports: Reports, since: int, size: int, touched: set[str]) -> set[str]:
        changed: set[str] = set()
        for start in range(since, size, FOLD_BATCH):
            end = min(start + FOLD_BATCH, size)
            for _, event in self._events("idx >= ? AND idx < ? AND NOT governs", (start, end)):
                touched.add(event.report)
            if start > since:
                # A fresh one for each batch, so that memory stays bounded.
                reports, _, _ = self._governed(size, size)
            changed |= self._refold(reports, touched - {""}, size)
            touched = set()
        return changed

    def _refold(self, reports: Reports, touched: set[str], size: int) -> set[str]:
        names = {self._vault.digest(report, "report"): report for report in touched}
        self._connection.execute("DELETE FROM temp.touched")
        self._connection.executemany("INSERT INTO temp.touched VALUES (?)", zip(names))
        for index, event in self._events(
            "report IN (SELECT id FROM temp.touched) AND idx < ?", (size,)
        ):
            reports.apply(Entry(index, event))
        before = dict(
            self._connection.execute(
                "SELECT id, sealed FROM report WHERE id IN (SELECT id FROM temp.touched)"
            )
        )
        rows = [
            row
            for identifier, report in names.items()
            if (row := self._row(identifier, report, reports.get(report), before.get(identifier)))
        ]
        # A report that shows for the first time as nothing has not changed.
        changed = [size if state or key in before else 0 for key, state, *_ in rows]
        self._connection.executemany(
            "INSERT INTO report VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " state = excluded.state, changed = excluded.changed, sealed = excluded.sealed,"
            " incomplete = excluded.incomplete",
            [(*row[:2], at, *row[2:]) for row, at in zip(rows, changed, strict=True)],
        )
        return {names[row[0]] for row, at in zip(rows, changed, strict=True) if at}

    def _row(
        self, identifier: bytes, report: str, view: ReportView | None, before: bytes | None
    ) -> tuple[bytes, str, bytes, bytes | None] | None:
        """The row that keeps a view; None if it says nothing new."""
        place = f"report/{identifier.hex()}"
        encoded = msgspec.msgpack.encode(view)
        if before is not None and self._replica.unseal(before, place) == encoded:
            return None
        # What the log has of it may make sense once something else is gone: ask again then.
        incomplete = (
            view is None
            or not view.version
            or any(step.ignored == "out_of_order" for step in view.timeline)
        )
        return (
            identifier,
            view.state if view else "",
            self._vault.seal(encoded, place),
            self._vault.seal(report.encode(), f"incomplete/{identifier.hex()}")
            if incomplete
            else None,
        )

    def _closed_any(self, size: int) -> bool:
        """Whether a report that has just changed counts no more."""
        row = self._connection.execute(
            "SELECT 1 FROM report WHERE changed = ? AND state IN"
            " ('withdrawn', 'rejected', 'expired', 'erased') LIMIT 1",
            (size,),
        ).fetchone()
        return row is not None

    # Rows

    def _events(self, condition: str, values: tuple[object, ...]) -> Iterator[tuple[int, Event]]:
        """Events that are still there, in the order of the log."""
        for index in self._indices(f"{condition} AND sealed IS NOT NULL", values):
            event = self._recent.get(index)
            if event is None:
                row = self._connection.execute(
                    "SELECT entry, sealed FROM entry WHERE idx = ?", (index,)
                ).fetchone()
                event = parse_event(self._replica.stored(index, *row).event)
            yield index, event

    def _indices(self, condition: str, values: tuple[object, ...]) -> list[int]:
        rows = self._connection.execute(
            f"SELECT idx FROM entry WHERE {condition}",  # noqa: S608 -- this class's own
            values,
        )
        return sorted(index for (index,) in rows)

    def _digest(self, report: str) -> bytes | None:
        return self._vault.digest(report, "report") if report else None

    def _wipe(self) -> None:
        """Leave no copy of what counts no more: neither in SQLite's log nor in the matching index.

        A reader may hold the log open, or be writing the index; then the next sync does it.
        """
        indexed = True
        if self._replica.index_directory.exists():
            from acx.member.index import update

            indexed = update(self._replica)
        self._connection.execute(f"PRAGMA busy_timeout = {int(WIPE_SECONDS * 1000)}")
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._connection.execute(f"PRAGMA busy_timeout = {int(database.BUSY_SECONDS * 1000)}")
        if indexed and not busy:
            with database.transaction(self._connection):
                set_meta(self._connection, "unwiped", b"")


def _locked(descriptor: int, patience: float) -> bool:
    """Take the writer's lock; the system lets go of it if its holder dies."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True
