"""The replica: a member's own copy of the log, all of it verified, and what follows from it.

One directory that stands apart from the wallet, so that it can be screened with by those who must
not see the secrets: `Replica.open(directory)` needs nothing else. Many processes may read while one
writes. Everything in it is a pure function of the log up to `size`: the entries, and for each
report its view (`acx.records.state`). Values are sealed at rest under the file `key`; what the log
erases is erased here in the same transaction that learns of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.errors import InconsistentLog
from acx.log.merkle import Frontier
from acx.member import database
from acx.member.errors import ReplicaError
from acx.member.trusted_log import Received, TrustedLog
from acx.member.vault import KEY_SIZE, Unsealable, Vault, sync_directory, write_secret_file
from acx.records.event import OPERATOR_TYPES, Event, parse_event
from acx.records.invite import Invite
from acx.records.state import Entry, Reports, ReportView, State

DATABASE_FILE: Final = "replica.db"
KEY_FILE: Final = "key"
LOCK_FILE: Final = "lock"
EVIDENCE_DIRECTORY: Final = "evidence"
SCHEMA_VERSION: Final = 1
FOLD_BATCH: Final = 100_000
"""Entries folded at a time, so that a first sync of any size fits in memory."""
PATIENCE_SECONDS: Final = 30.0
WIPE_SECONDS: Final = 1.0
"""How long a writer waits for readers before it leaves wiping to the next sync."""

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE entry (
    idx INTEGER PRIMARY KEY,
    entry BLOB NOT NULL,
    report BLOB,
    governs INTEGER NOT NULL,
    sealed BLOB
) STRICT;
CREATE INDEX entry_report ON entry (report) WHERE report IS NOT NULL;
CREATE INDEX entry_governs ON entry (idx) WHERE governs;
CREATE INDEX entry_missing ON entry (idx) WHERE sealed IS NULL;
CREATE TABLE report (
    id BLOB PRIMARY KEY,
    state TEXT NOT NULL,
    changed INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    incomplete BLOB
) STRICT;
CREATE INDEX report_changed ON report (changed);
CREATE INDEX report_incomplete ON report (id) WHERE incomplete IS NOT NULL;
"""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a replica was founded on, from the invite.

    Attributes:
        origin: the log's name.
        log_key: C2SP vkey of the log.
        operators: public keys of the operators.
        matching_key: the 32 bytes under which identifiers are digested.
        sandbox: whether this is an exchange to try things on.
    """

    origin: str
    log_key: str
    operators: tuple[str, ...]
    matching_key: bytes
    sandbox: bool = False

    @classmethod
    def of(cls, invite: Invite) -> Trust:
        """What an invite says."""
        return cls(
            origin=invite.origin,
            log_key=invite.log_key,
            operators=tuple(operator.key for operator in invite.operators),
            matching_key=invite.matching_key_bytes,
            sandbox=invite.sandbox,
        )


class StoredEntry(msgspec.Struct, frozen=True):
    """An entry as the replica keeps it.

    Attributes:
        index: its place in the log.
        entry: the 32 bytes in the tree.
        at: UTC hour; empty where there is no body.
        k: its secret; empty where there is no body.
        event: the event's bytes; empty where it was erased or has expired.
    """

    index: int
    entry: bytes
    at: str
    k: bytes
    event: bytes


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


class Replica:
    """A replica, opened for reading, or within `writing` for one writer."""

    def __init__(
        self, directory: Path, connection: sqlite3.Connection, vault: Vault, trust: Trust
    ) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self.trust = trust
        self._path = directory / DATABASE_FILE
        self._connection = connection
        self._vault = vault

    # -- making and opening ---------------------------------------------------------------------

    @classmethod
    def create(cls, directory: Path, trust: Trust) -> Replica:
        """Make an empty replica.

        Raises:
            ReplicaError: there is one already, or it cannot be written.
        """
        path = directory / DATABASE_FILE
        if path.exists():
            raise ReplicaError(f"{directory} already holds a replica; choose another directory")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / EVIDENCE_DIRECTORY).mkdir(mode=0o700, exist_ok=True)
        key = secrets.token_bytes(KEY_SIZE)
        write_secret_file(directory / KEY_FILE, key)
        vault = Vault(key)
        with database.explained(path, ReplicaError):
            connection = database.connect(path)
            with database.transaction(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                sealed = vault.seal(msgspec.msgpack.encode(trust), "trust")
                _set_meta(connection, "trust", sealed)
                _set_meta(connection, "checkpoint", b"")
                _set_meta(connection, "head", b"")
                _set_meta(connection, "frontier", Frontier().to_bytes())
                _set_meta(connection, "size", b"0")
                _set_meta(connection, "synced", b"0")
                _set_meta(connection, "unwiped", b"")
        sync_directory(directory)
        return cls(directory, connection, vault, trust)

    @classmethod
    def open(cls, directory: Path, *, read_only: bool = False) -> Replica:
        """Open a replica; no wallet is needed.

        Args:
            directory: `HOME/replica`, or a copy of one.
            read_only: without the right to write, for any number of processes.

        Raises:
            ReplicaError: there is none, or it does not open.
        """
        path = directory / DATABASE_FILE
        if not path.exists():
            raise ReplicaError(f"{directory} holds no replica; run `acx join` first")
        try:
            key = (directory / KEY_FILE).read_bytes()
            vault = Vault(key)
        except (OSError, Unsealable):
            raise ReplicaError(
                f"{directory / KEY_FILE} cannot be read, and the replica opens with it alone; bring"
                " it back, or delete the replica and sync again"
            ) from None
        with database.explained(path, ReplicaError):
            connection = database.connect(path, read_only=read_only)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                raise ReplicaError(f"{path} is of version {version}; upgrade acx")
            try:
                trust = msgspec.msgpack.decode(
                    vault.open(_meta(connection, "trust"), "trust"), type=Trust
                )
            except Unsealable:
                raise ReplicaError(
                    f"{directory / KEY_FILE} is not this replica's; bring the right one back"
                ) from None
            return cls(directory, connection, vault, trust)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    # -- reading --------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries that are trusted."""
        with self._explained():
            return int(_meta(self._connection, "size"))

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest trusted checkpoint; None before the first sync."""
        with self._explained():
            note = _meta(self._connection, "checkpoint").decode()
        return read_checkpoint(note) if note else None

    @property
    def synced(self) -> float:
        """When the head was last reached, in seconds since 1970; 0 for never."""
        with self._explained():
            return float(_meta(self._connection, "synced"))

    @property
    def index_directory(self) -> Path:
        """Where indexes made of this replica are cached; its writer wipes it on erasure."""
        return self.directory / "index"

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it everything read belongs to one state of the log, whatever is written."""
        with self._explained():
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def reports(self, *states: State, since: int = 0) -> Iterator[ReportView]:
        """Views of reports, in the order of their ids' digests.

        Args:
            states: only these; all by default.
            since: only those that changed after the log had this size.
        """
        condition = f"state IN ({','.join('?' * len(states))})" if states else "state <> ''"
        with self._explained():
            rows = self._connection.execute(
                f"SELECT id, sealed FROM report WHERE {condition} AND changed > ? ORDER BY id",  # noqa: S608 -- marks only
                (*states, since),
            )
            for identifier, sealed in rows:
                yield self._view(identifier, sealed)

    def report(self, report: str) -> ReportView | None:
        """The view of one report; None if the log knows none of this id."""
        identifier = self._vault.digest(report, "report")
        with self._explained():
            row = self._connection.execute(
                "SELECT sealed FROM report WHERE id = ? AND state <> ''", (identifier,)
            ).fetchone()
        return self._view(identifier, row[0]) if row else None

    def entries(self, after: int = -1) -> Iterator[StoredEntry]:
        """Trusted entries after an index, in order."""
        with self._explained():
            rows = self._connection.execute(
                "SELECT idx, entry, sealed FROM entry WHERE idx > ? AND idx < ? ORDER BY idx",
                (after, self.size),
            )
            for index, entry, sealed in rows:
                yield self._stored(index, entry, sealed)

    def entry(self, index: int) -> StoredEntry:
        """The trusted entry at a place.

        Raises:
            ReplicaError: the log is shorter.
        """
        found = next(self.entries(index - 1), None)
        if found is None or found.index != index:
            raise ReplicaError(f"there is no entry {index} in a log of {self.size}; sync first")
        return found

    def event_of(self, entry: StoredEntry) -> Event | None:
        """The parsed event of an entry; None where it was erased or has expired."""
        return parse_event(entry.event) if entry.event else None

    # -- writing --------------------------------------------------------------------------------

    @contextmanager
    def writing(
        self, receipts: Iterable[str] = (), *, patience: float = PATIENCE_SECONDS
    ) -> Iterator[Writer]:
        """Be the one writer.

        Args:
            receipts: checkpoints that the exchange signed for us elsewhere; the log must lead to
                each of them.
            patience: seconds to wait for another writer to end.

        Raises:
            ReplicaError: another process still is.
            InconsistentLog: passed on, after what proves it was kept in `evidence`.
        """
        descriptor = os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _locked(descriptor, patience):
                raise ReplicaError(
                    f"another acx is writing to {self.directory}; wait for it, or stop it"
                )
            with self._explained(), self.keeping_evidence():
                yield Writer(self, receipts)
        finally:
            os.close(descriptor)

    @contextmanager
    def keeping_evidence(self) -> Iterator[None]:
        """Within it, what proves that a log contradicts itself is kept in `evidence`."""
        try:
            yield
        except InconsistentLog as error:
            _keep_evidence(self.directory / EVIDENCE_DIRECTORY, error)
            raise

    # -- rows -----------------------------------------------------------------------------------

    def _explained(self) -> AbstractContextManager[None]:
        return database.explained(self._path, ReplicaError)

    def _view(self, identifier: bytes, sealed: bytes) -> ReportView:
        return msgspec.msgpack.decode(
            self._unseal(sealed, f"report/{identifier.hex()}"), type=ReportView
        )

    def _stored(self, index: int, entry: bytes, sealed: bytes | None) -> StoredEntry:
        if sealed is None:
            return StoredEntry(index, entry, "", b"", b"")
        k, at, event = msgspec.msgpack.decode(
            self._unseal(sealed, f"entry/{index}"), type=tuple[bytes, str, bytes]
        )
        return StoredEntry(index, entry, at, k, event)

    def _unseal(self, sealed: bytes, place: str) -> bytes:
        try:
            return self._vault.open(sealed, place)
        except Unsealable:
            raise ReplicaError(
                f"{self._path} is damaged ({place.split('/')[0]}); delete the replica's directory"
                " and sync again"
            ) from None


class Writer:
    """The one process that extends a replica.

    Entries are staged as they come, each by itself verified, and no reader sees them. `confirm`
    makes those trusted that lead to a signed root, all at once. A process that dies in between has
    lost nothing and broken nothing: the next one takes up the staged entries.

    Attributes:
        log: decides what is trusted.
    """

    def __init__(self, replica: Replica, receipts: Iterable[str]) -> None:
        """Use `Replica.writing`."""
        self._replica = replica
        self._connection = replica._connection  # noqa: SLF001 -- its other half
        self._vault = replica._vault  # noqa: SLF001
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
            Frontier.from_bytes(_meta(self._connection, "frontier")),
        )
        head = _meta(self._connection, "head").decode()
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
            _set_meta(self._connection, "head", self.log.head.note.encode())

    def discard(self) -> None:
        """Forget what was staged and is not trusted."""
        self._recent.clear()
        with database.transaction(self._connection):
            self._connection.execute("DELETE FROM entry WHERE idx >= ?", (self._replica.size,))
            _set_meta(self._connection, "head", b"")
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
            _set_meta(self._connection, "checkpoint", self.log.trusted.note.encode())
            _set_meta(self._connection, "frontier", self.log.trusted_frontier.to_bytes())
            _set_meta(self._connection, "size", str(size).encode())
            if removing:
                _set_meta(self._connection, "unwiped", b"1")
        self._recent.clear()
        if _meta(self._connection, "unwiped"):
            self._wipe()
        return Confirmed(since, size, tuple(sorted(changed)))

    def reached_head(self, now: float) -> None:
        """Note when everything there was had been taken."""
        with database.transaction(self._connection):
            _set_meta(self._connection, "synced", repr(now).encode())
        if _meta(self._connection, "unwiped"):
            self._wipe()

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
            touched.add(self._replica._unseal(sealed, place).decode())  # noqa: SLF001
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
        self._connection.executemany(
            f"INSERT INTO report VALUES (?, ?, {size}, ?, ?) ON CONFLICT (id) DO UPDATE SET"  # noqa: S608 -- a number
            " state = excluded.state, changed = excluded.changed, sealed = excluded.sealed,"
            " incomplete = excluded.incomplete",
            rows,
        )
        # A report that shows for the first time as nothing has not changed.
        return {names[key] for key, state, *_ in rows if state or key in before}

    def _row(
        self, identifier: bytes, report: str, view: ReportView | None, before: bytes | None
    ) -> tuple[bytes, str, bytes, bytes | None] | None:
        """The row that keeps a view; None if it says nothing new."""
        place = f"report/{identifier.hex()}"
        encoded = msgspec.msgpack.encode(view)
        if before is not None and self._replica._unseal(before, place) == encoded:  # noqa: SLF001
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

    # Rows

    def _events(self, condition: str, values: tuple[object, ...]) -> Iterator[tuple[int, Event]]:
        """Events that are still there, in the order of the log."""
        for index in self._indices(f"{condition} AND sealed IS NOT NULL", values):
            event = self._recent.get(index)
            if event is None:
                row = self._connection.execute(
                    "SELECT entry, sealed FROM entry WHERE idx = ?", (index,)
                ).fetchone()
                event = parse_event(self._replica._stored(index, *row).event)  # noqa: SLF001
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
        """Leave no copy of what was erased: neither in SQLite's log nor in cached indexes.

        A reader may hold the log open; then the next sync does it.
        """
        if self._replica.index_directory.exists():
            shutil.rmtree(self._replica.index_directory)
        self._connection.execute(f"PRAGMA busy_timeout = {int(WIPE_SECONDS * 1000)}")
        busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._connection.execute(f"PRAGMA busy_timeout = {int(database.BUSY_SECONDS * 1000)}")
        if not busy:
            with database.transaction(self._connection):
                _set_meta(self._connection, "unwiped", b"")


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


def _keep_evidence(directory: Path, error: InconsistentLog) -> None:
    """Keep the signed notes that prove what the exchange did, and say where they are."""
    if not error.evidence:
        return
    digest = hashlib.sha256("\0".join(error.evidence).encode()).hexdigest()[:16]
    folder = directory / digest
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number, note in enumerate(error.evidence, start=1):
        path = folder / f"{number}.txt"
        if not path.exists():
            write_secret_file(path, note.encode())
    if not (folder / "reason.txt").exists():
        write_secret_file(folder / "reason.txt", f"{error}\n".encode())
    error.args = (f"{error}; what proves it is in {folder}",)


def _meta(connection: sqlite3.Connection, name: str) -> bytes:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ReplicaError(f"the replica has no {name}: delete its directory and sync again")
    return bytes(row[0])


def _set_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
