"""The replica: a member's own copy of the log, all of it verified, and what follows from it.

One directory that stands apart from the wallet, so that it can be screened with by those who must
not see the secrets: `Replica.open(directory)` needs nothing else. Many processes may read while one
writes. Everything in it is a pure function of the log up to `size`: the entries, and for each
report its view (`acx.records.state`). Values are sealed at rest under the file `key`; what the log
erases is erased here in the same transaction that learns of it.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.errors import InconsistentLog
from acx.log.merkle import Frontier, hash_leaf
from acx.log.policy import NO_WITNESSES, parse_policy
from acx.log.tiles import MemoryReader, TileReader, grow
from acx.member import database
from acx.member.errors import ReplicaError
from acx.member.vault import KEY_SIZE, Unsealable, Vault, sync_directory, write_secret_file
from acx.records.event import Event, parse_event
from acx.records.invite import Invite
from acx.records.state import ReportView, State

DATABASE_FILE: Final = "replica.db"
KEY_FILE: Final = "key"
EVIDENCE_DIRECTORY: Final = "evidence"
INDEX_SIZE_FILE: Final = "size"
INDEX_DUE: Final = 1000
"""Reports that have changed until the matching index is written again."""
SCHEMA_VERSION: Final = 1
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
        policy: which witnesses must cosign (C2SP tlog-policy); empty for none.
    """

    origin: str
    log_key: str
    operators: tuple[str, ...]
    matching_key: bytes
    sandbox: bool = False
    policy: str = ""

    @classmethod
    def of(cls, invite: Invite) -> Trust:
        """What an invite says."""
        return cls(
            origin=invite.origin,
            log_key=invite.log_key,
            operators=tuple(operator.key for operator in invite.operators),
            matching_key=invite.matching_key_bytes,
            sandbox=invite.sandbox,
            policy=invite.witnesses,
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


class Replica:
    """A replica, opened for reading, or within `writing` for one writer.

    Attributes:
        directory: where it lies.
        trust: what it was founded on.
        connection: its database; for the writer.
        vault: seals its values; for the writer.
    """

    def __init__(
        self, directory: Path, connection: sqlite3.Connection, vault: Vault, trust: Trust
    ) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self.trust = trust
        self._path = directory / DATABASE_FILE
        self.connection = connection
        self.vault = vault

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
                set_meta(connection, "trust", sealed)
                set_meta(connection, "checkpoint", b"")
                set_meta(connection, "head", b"")
                set_meta(connection, "frontier", Frontier().to_bytes())
                set_meta(connection, "cosigned", b"")
                set_meta(connection, "cosigned_frontier", Frontier().to_bytes())
                set_meta(connection, "size", b"0")
                set_meta(connection, "synced", b"0")
                set_meta(connection, "synced_before", b"0")
                set_meta(connection, "unwiped", b"")
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
                    vault.open(meta(connection, "trust"), "trust"), type=Trust
                )
            except Unsealable:
                raise ReplicaError(
                    f"{directory / KEY_FILE} is not this replica's; bring the right one back"
                ) from None
            return cls(directory, connection, vault, trust)

    def close(self) -> None:
        """Give the file back."""
        self.connection.close()

    # -- reading --------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries that are trusted."""
        with self.explained():
            return int(meta(self.connection, "size"))

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest trusted checkpoint; None before the first sync."""
        with self.explained():
            note = meta(self.connection, "checkpoint").decode()
        return read_checkpoint(note) if note else None

    @property
    def cosigned(self) -> Checkpoint | None:
        """The newest trusted checkpoint that the policy's witnesses have cosigned; None for none.

        Where the invite asks for no witness, it is the trusted one.
        """
        if not parse_policy(self.trust.policy or NO_WITNESSES).quorum:
            return self.checkpoint
        with self.explained():
            note = meta(self.connection, "cosigned").decode()
        return read_checkpoint(note) if note else None

    @property
    def cosigned_size(self) -> int:
        """Entries before this index are under a cosigned checkpoint: the same for every member."""
        cosigned = self.cosigned
        return cosigned.size if cosigned else 0

    @property
    def synced(self) -> float:
        """When the head was last reached, in seconds since 1970; 0 for never."""
        with self.explained():
            return float(meta(self.connection, "synced"))

    @property
    def synced_before(self) -> float:
        """When the head was reached the time before, likewise."""
        with self.explained():
            return float(meta(self.connection, "synced_before"))

    @property
    def index_directory(self) -> Path:
        """Where the matching index is kept; the writer takes out at once what no longer counts."""
        return self.directory / "index"

    @property
    def index_is_due(self) -> bool:
        """Whether so much has changed since the index was written that it should be again."""
        try:
            size = int((self.index_directory / INDEX_SIZE_FILE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            size = 0
        return self.changed_since(size) >= INDEX_DUE

    def changed_since(self, size: int) -> int:
        """How many reports have changed after the log had this size."""
        with self.explained():
            (count,) = self.connection.execute(
                "SELECT count(*) FROM report WHERE changed > ? AND state <> ''", (size,)
            ).fetchone()
        return int(count)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it everything read belongs to one state of the log, whatever is written."""
        with self.explained():
            self.connection.execute("BEGIN")
            try:
                yield
            finally:
                self.connection.execute("COMMIT")

    def reports(self, *states: State, since: int = 0) -> Iterator[ReportView]:
        """Views of reports, in the order of their ids' digests.

        Args:
            states: only these; all by default.
            since: only those that changed after the log had this size; those of which nothing is
                left, which without it are no reports, come last.
        """
        condition = f"state IN ({','.join('?' * len(states))})" if states else "state <> ''"
        # The few that have changed are sorted: read in order, all others would be read with them.
        order = "+id" if since else "id"
        with self.explained():
            rows = self.connection.execute(
                f"SELECT id, sealed FROM report WHERE {condition} AND changed > ? ORDER BY {order}",  # noqa: S608 -- marks only
                (*states, since),
            )
            for identifier, sealed in rows:
                yield self._view(identifier, sealed)
            if since and not states:
                yield from self._vanished(since)

    def _vanished(self, since: int) -> Iterator[ReportView]:
        """Reports that expired without an event that names them, so that the fold has forgotten."""
        rows = self.connection.execute(
            "SELECT id, incomplete FROM report"
            " WHERE state = '' AND changed > ? AND incomplete IS NOT NULL ORDER BY id",
            (since,),
        )
        for identifier, sealed in rows:
            report = self.unseal(sealed, f"incomplete/{identifier.hex()}").decode()
            yield ReportView(id=report, state="expired", first_index=-1, last_index=-1)

    def report(self, report: str) -> ReportView | None:
        """The view of one report; None if the log knows none of this id."""
        identifier = self.vault.digest(report, "report")
        with self.explained():
            row = self.connection.execute(
                "SELECT sealed FROM report WHERE id = ? AND state <> ''", (identifier,)
            ).fetchone()
        return self._view(identifier, row[0]) if row else None

    def entries(self, after: int = -1) -> Iterator[StoredEntry]:
        """Trusted entries after an index, in order."""
        with self.explained():
            rows = self.connection.execute(
                "SELECT idx, entry, sealed FROM entry WHERE idx > ? AND idx < ? ORDER BY idx",
                (after, self.size),
            )
            for index, entry, sealed in rows:
                yield self.stored(index, entry, sealed)

    def entry(self, index: int) -> StoredEntry:
        """The trusted entry at a place.

        Raises:
            ReplicaError: the log is shorter.
        """
        found = next(self.entries(index - 1), None)
        if found is None or found.index != index:
            raise ReplicaError(f"there is no entry {index} in a log of {self.size}; sync first")
        return found

    def governing(self, since: int = 0) -> Iterator[tuple[int, Event]]:
        """Place and event of what says who may do what, from a place on, in order."""
        with self.explained():
            rows = self.connection.execute(
                "SELECT idx, entry, sealed FROM entry"
                " WHERE governs AND sealed IS NOT NULL AND idx >= ? AND idx < ? ORDER BY idx",
                (since, self.size),
            )
            for index, entry, sealed in rows:
                yield index, parse_event(self.stored(index, entry, sealed).event)

    def tiles(self) -> TileReader:
        """The tree over the trusted entries, as the files of a log, made in memory."""
        leaves = [hash_leaf(stored.entry) for stored in self.entries()]
        return MemoryReader(dict(grow(MemoryReader({}), 0, leaves).files))

    def event_of(self, entry: StoredEntry) -> Event | None:
        """The parsed event of an entry; None where it was erased or has expired."""
        return parse_event(entry.event) if entry.event else None

    @contextmanager
    def keeping_evidence(self) -> Iterator[None]:
        """Within it, what proves that a log contradicts itself is kept in `evidence`."""
        try:
            yield
        except InconsistentLog as error:
            _keep_evidence(self.directory / EVIDENCE_DIRECTORY, error)
            raise

    # -- rows -----------------------------------------------------------------------------------

    def explained(self) -> AbstractContextManager[None]:
        """Within it SQLite's errors are one line of ours."""
        return database.explained(self._path, ReplicaError)

    def _view(self, identifier: bytes, sealed: bytes) -> ReportView:
        return msgspec.msgpack.decode(
            self.unseal(sealed, f"report/{identifier.hex()}"), type=ReportView
        )

    def stored(self, index: int, entry: bytes, sealed: bytes | None) -> StoredEntry:
        """An entry from its row."""
        if sealed is None:
            return StoredEntry(index, entry, "", b"", b"")
        k, at, event = msgspec.msgpack.decode(
            self.unseal(sealed, f"entry/{index}"), type=tuple[bytes, str, bytes]
        )
        return StoredEntry(index, entry, at, k, event)

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """A value of this database.

        Raises:
            ReplicaError: it is damaged.
        """
        try:
            return self.vault.open(sealed, place)
        except Unsealable:
            raise ReplicaError(
                f"{self._path} is damaged ({place.split('/')[0]}); delete the replica's directory"
                " and sync again"
            ) from None


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
    for name, text in (("reason.txt", f"{error}\n"), ("fork.json", error.proof)):
        if text and not (folder / name).exists():
            write_secret_file(folder / name, text.encode())
    error.args = (f"{error}; what proves it is in {folder}",)


def meta(connection: sqlite3.Connection, name: str) -> bytes:
    """A value about the replica as a whole.

    Raises:
        ReplicaError: it is missing.
    """
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ReplicaError(f"the replica has no {name}: delete its directory and sync again")
    return bytes(row[0])


def set_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Keep a value about the replica as a whole."""
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
