"""The wallet: what a member must keep to itself, and must not lose.

The seed and its counter, the exchange's token, which of the store's accounts was reported under
which report, and the outbox of what is on its way. One SQLite file in `HOME/wallet`; every value
is sealed under a data key, which a passphrase or the file `key` beside it opens. Several processes
may use one wallet at once.
"""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from acx.member import database, vault
from acx.member.errors import WalletError
from acx.member.seed import Seed
from acx.member.vault import (
    KEY_SIZE,
    Unsealable,
    Vault,
    passphrase_key,
    sync_directory,
    write_secret_file,
)

DATABASE_FILE: Final = "wallet.db"
KEY_FILE: Final = "key"
KEYS: Final = "contribution"
"""Counts the keys that were derived from the seed."""

_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT;
CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE contribution (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    report BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX contribution_account ON contribution (account);
CREATE INDEX contribution_report ON contribution (report);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    contribution INTEGER NOT NULL REFERENCES contribution (id),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'acknowledged', 'failed')),
    checked INTEGER NOT NULL DEFAULT 0,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX message_state ON message (state, contribution);
CREATE INDEX message_unchecked ON message (id) WHERE state = 'acknowledged' AND NOT checked;
CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    report BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX decision_account ON decision (account);
"""
_EXHIBITS: Final = """
CREATE TABLE exhibit (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX exhibit_account ON exhibit (account);
"""
_MIGRATIONS: Final = (_SCHEMA, _EXHIBITS)
"""What brings a wallet from each version to the next, beginning with an empty file."""
SCHEMA_VERSION: Final = len(_MIGRATIONS)

Kind = Literal["report", "corroboration", "outcome"]
MessageState = Literal["waiting", "sent", "acknowledged", "failed"]


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """One key of ours and what it stands for: a report, a corroboration or an outcome.

    Attributes:
        id: place in the wallet; 0 until stored.
        kind: which of the three.
        counter: the seed's counter its key follows from.
        report: id of the report it opened, or that it is about.
        account: the store's own id of the account; empty where none is known.
        version: of the report, as of our last word.
        event: id of the event that opened it; empty until it was first sent.
        next_seq: sequence number of the key's next event.
        digest: of what was last said, to tell a change.
        state: `open`, or `withdrawn`, or `failed` where the exchange refused to open it.
    """

    id: int = 0
    kind: Kind
    counter: int
    report: str
    account: str = ""
    version: int = 1
    event: str = ""
    next_seq: int = 0
    digest: str = ""
    state: Literal["open", "withdrawn", "failed"] = "open"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Something said, on its way to the log: an entry of the outbox.

    Attributes:
        id: place in the outbox; 0 until stored.
        contribution: whose key signs it.
        type: of the event.
        body: of the event, as canonical JSON.
        ref: id of the event it is about.
        state: `waiting`, `sent` (it may have arrived), `acknowledged`, `failed`.
        queued: when it was put here, in seconds since 1970.
        event: the event's bytes, signed and fixed, once it was first sent.
        presentations: what is posted beside it.
        index: its place in the log, once acknowledged.
        at: the hour the exchange gave it.
        receipt: proof that the log holds it.
        k: the entry's secret, base64.
        problem: why it failed.
        acknowledged: when the exchange acknowledged it, in seconds since 1970; 0 before.
    """

    id: int = 0
    contribution: int
    type: str
    body: bytes
    ref: str = ""
    state: MessageState = "waiting"
    queued: float = 0.0
    event: bytes = b""
    presentations: bytes = b"{}"
    index: int | None = None
    at: str = ""
    receipt: str = ""
    k: str = ""
    problem: str = ""
    acknowledged: float = 0.0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person of the store decided about a hit, on the store's own ground.

    Attributes:
        id: place in the wallet; 0 until stored.
        account: the store's own id of the account.
        report: the report that was hit.
        action: what was done.
        by: who decided.
        note: why, in the store's own words; never leaves.
        decided: when, in seconds since 1970.
        level: of the hit, as it was known then; empty where no screening had found it.
        reasons: of the hit, `field:comparison:bits`: which fields agreed, and no values.
        log_size: how much of the log was known then.
    """

    id: int = 0
    account: str
    report: str
    action: Literal["blocked", "removed", "no_match", "kept"]
    by: str = ""
    note: str = ""
    decided: float = 0.0
    level: str = ""
    reasons: tuple[str, ...] = ()
    log_size: int = 0


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is evidence against an account: what it takes to prove that we held it.

    Attributes:
        id: place in the wallet; 0 until stored.
        account: the store's own id of the account.
        kind: what the file is (`invoice`, `test_buy_photo`, …).
        commitment: SHA-256(nonce ‖ file), hex, as the report has it.
        nonce: 32 random bytes, without which nobody can try files against the commitment.
        file: where the file was; it is not copied.
        size: of the file, in bytes.
        held: whether the store still keeps the file.
    """

    id: int = 0
    account: str
    kind: str
    commitment: str
    nonce: bytes
    file: str
    size: int
    held: bool = True


_Record = TypeVar("_Record", Contribution, Message, Decision, Exhibit)


class Wallet:
    """A member's wallet, opened."""

    def __init__(self, directory: Path, connection: sqlite3.Connection, data_key: bytes) -> None:
        """Use `create` or `open`."""
        self.directory = directory
        self._path = directory / DATABASE_FILE
        self._connection = connection
        self._data_key = data_key
        self._vault = Vault(data_key)
        self._origin = _meta(connection, "origin").decode()

    # -- making and opening ---------------------------------------------------------------------

    @classmethod
    def create(cls, directory: Path, seed: Seed, origin: str, passphrase: bytes | None) -> Wallet:
        """Make a wallet around a seed.

        Args:
            directory: must not hold one.
            seed: new, or from a recovery phrase.
            origin: the exchange's.
            passphrase: protects it; without one a key file beside it does, for servers.

        Raises:
            WalletError: there is one already, or it cannot be written.
        """
        if (directory / DATABASE_FILE).exists():
            raise WalletError(f"{directory} already holds a wallet; choose another --home")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_key = secrets.token_bytes(KEY_SIZE)
        path = directory / DATABASE_FILE
        with database.explained(path, WalletError):
            connection = database.connect(path)
            with database.transaction(connection):
                _migrate(connection, 0)
                _set_meta(connection, "origin", origin.encode())
                _protect(connection, directory, data_key, passphrase)
            wallet = cls(directory, connection, data_key)
            wallet.keep_secret("seed", seed.data)
        sync_directory(directory)
        return wallet

    @classmethod
    def open(cls, directory: Path, passphrase: bytes | None = None) -> Wallet:
        """Open a wallet.

        Args:
            directory: `HOME/wallet`.
            passphrase: needed where one protects it.

        Raises:
            WalletError: there is none, or it does not open.
        """
        path = directory / DATABASE_FILE
        if not path.exists():
            raise WalletError(f"{directory} holds no wallet; join first, or restore a backup")
        with database.explained(path, WalletError):
            connection = database.connect(path)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise WalletError(f"{path} is of version {version}; upgrade acx")
            if version < SCHEMA_VERSION:
                with database.transaction(connection):
                    # Another process may have done it while this one waited.
                    version = connection.execute("PRAGMA user_version").fetchone()[0]
                    _migrate(connection, version)
            return cls(directory, connection, _data_key(connection, directory, passphrase))

    @staticmethod
    def needs_passphrase(directory: Path) -> bool:
        """Whether a passphrase protects the wallet, rather than a key file."""
        path = directory / DATABASE_FILE
        if not path.exists():
            return False
        with database.explained(path, WalletError):
            connection = database.connect(path, read_only=True)
            try:
                return _meta(connection, "protection") == b"passphrase"
            finally:
                connection.close()

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes of the block, durably, or none; other processes wait their turn."""
        with database.explained(self._path, WalletError), database.transaction(self._connection):
            yield

    # -- secrets --------------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """The exchange's origin."""
        return self._origin

    def seed(self) -> Seed:
        """The seed."""
        return Seed(self.secret("seed"), self._origin)

    def keep_secret(self, name: str, value: bytes) -> None:
        """Keep a value under a name, in place of what was there."""
        sealed = self._vault.seal(value, f"secret/{name}")
        with self.transaction():
            self._connection.execute(
                "INSERT INTO secret VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
                (name, sealed),
            )

    def secret(self, name: str) -> bytes:
        """The value kept under a name.

        Raises:
            WalletError: there is none.
        """
        with database.explained(self._path, WalletError):
            row = self._connection.execute(
                "SELECT sealed FROM secret WHERE name = ?", (name,)
            ).fetchone()
        if row is None:
            raise WalletError(f"{self.directory} has no {name}; run `acx join` again")
        return self._unseal(row[0], f"secret/{name}")

    def has_secret(self, name: str) -> bool:
        """Whether something is kept under a name."""
        with database.explained(self._path, WalletError):
            found = self._connection.execute("SELECT 1 FROM secret WHERE name = ?", (name,))
            return found.fetchone() is not None

    def burn_counters(self, count: int, name: str = KEYS) -> range:
        """Numbers that were never given before, durably marked as used before they are given.

        Args:
            count: how many.
            name: what is counted: keys of the seed, or the reports of a day.
        """
        with self.transaction():
            (after,) = self._connection.execute(
                "INSERT INTO counter VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET next = next + excluded.next RETURNING next",
                (name, count),
            ).fetchone()
        return range(after - count, after)

    def burn_counters_to(self, least: int) -> None:
        """Mark every counter below `least` as used, after keys were found in the log."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO counter VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET next = max(next, excluded.next)",
                (KEYS, least),
            )

    # -- contributions --------------------------------------------------------------------------

    def store(self, contribution: Contribution) -> Contribution:
        """Keep a contribution, new or changed.

        Returns:
            The same with its `id`.
        """
        with self.transaction():
            row = (
                self._vault.digest(contribution.account, "account"),
                self._vault.digest(contribution.report, "report"),
            )
            if not contribution.id:
                cursor = self._connection.execute(
                    "INSERT INTO contribution (account, report, sealed) VALUES (?, ?, x'')", row
                )
                contribution = msgspec.structs.replace(contribution, id=cursor.lastrowid)
            self._connection.execute(
                "UPDATE contribution SET account = ?, report = ?, sealed = ? WHERE id = ?",
                (*row, self._seal(contribution), contribution.id),
            )
        return contribution

    def contribution(self, identifier: int) -> Contribution:
        """The contribution stored under this id."""
        return self._select(Contribution, "WHERE id = ?", (identifier,))[0]

    def contributions(self, *, account: str = "", report: str = "") -> list[Contribution]:
        """Contributions, oldest first; of one account or about one report if asked for."""
        if account:
            return self._select(
                Contribution,
                "WHERE account = ? ORDER BY id",
                (self._vault.digest(account, "account"),),
            )
        if report:
            return self._select(
                Contribution,
                "WHERE report = ? ORDER BY id",
                (self._vault.digest(report, "report"),),
            )
        return self._select(Contribution, "ORDER BY id", ())

    # -- outbox ---------------------------------------------------------------------------------

    def put(self, message: Message) -> Message:
        """Put a message into the outbox, or change the one that is there.

        Returns:
            The same with its `id`.
        """
        with self.transaction():
            if not message.id:
                cursor = self._connection.execute(
                    "INSERT INTO message (contribution, state, sealed) VALUES (?, 'waiting', x'')",
                    (message.contribution,),
                )
                message = msgspec.structs.replace(
                    message, id=cursor.lastrowid, queued=message.queued or time.time()
                )
            self._connection.execute(
                "UPDATE message SET state = ?, sealed = ? WHERE id = ?",
                (message.state, self._seal(message), message.id),
            )
        return message

    def message(self, identifier: int) -> Message:
        """The message stored under this id."""
        return self._select(Message, "WHERE id = ?", (identifier,))[0]

    def messages(
        self, *, contribution: int | None = None, states: tuple[MessageState, ...] = ()
    ) -> list[Message]:
        """Messages, oldest first; of one contribution or in some states if asked for."""
        conditions: list[str] = []
        values: list[object] = []
        if contribution is not None:
            conditions.append("contribution = ?")
            values.append(contribution)
        if states:
            conditions.append(f"state IN ({','.join('?' * len(states))})")
            values.extend(states)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        return self._select(Message, where + "ORDER BY id", tuple(values))

    def next_to_send(self) -> list[int]:
        """Ids of what could go out now: of each contribution the first that is not settled.

        A key's events go in their order, so a later one waits until the earlier is acknowledged.
        """
        with database.explained(self._path, WalletError):
            rows = self._connection.execute(
                "SELECT min(id) FROM message WHERE state IN ('waiting', 'sent')"
                " GROUP BY contribution ORDER BY 1"
            ).fetchall()
        return [identifier for (identifier,) in rows]

    def unchecked(self) -> list[Message]:
        """Acknowledged messages that were not yet looked for in the replica."""
        return self._select(Message, "WHERE state = 'acknowledged' AND NOT checked ORDER BY id", ())

    def mark_checked(self, messages: Sequence[Message]) -> None:
        """Note that the replica holds these messages where the exchange said."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE message SET checked = 1 WHERE id = ?",
                [(message.id,) for message in messages],
            )

    def count_unsettled(self) -> int:
        """Number of messages that are still to be acknowledged."""
        with database.explained(self._path, WalletError):
            row = self._connection.execute(
                "SELECT count(*) FROM message WHERE state IN ('waiting', 'sent')"
            ).fetchone()
        return int(row[0])

    def drop(self, message: Message) -> None:
        """Take a message that was never sent out of the outbox."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM message WHERE id = ? AND state = 'waiting'", (message.id,)
            )

    # -- decisions ------------------------------------------------------------------------------

    def record(self, decision: Decision) -> Decision:
        """Keep a decision; earlier ones about the same hit stay on record.

        Returns:
            The same with its `id` and time.
        """
        with self.transaction():
            cursor = self._connection.execute(
                "INSERT INTO decision (account, report, sealed) VALUES (?, ?, x'')",
                (
                    self._vault.digest(decision.account, "account"),
                    self._vault.digest(decision.report, "report"),
                ),
            )
            decision = msgspec.structs.replace(
                decision, id=cursor.lastrowid, decided=decision.decided or time.time()
            )
            self._connection.execute(
                "UPDATE decision SET sealed = ? WHERE id = ?", (self._seal(decision), decision.id)
            )
        return decision

    def decisions(self, account: str = "") -> list[Decision]:
        """Decisions, oldest first; about one account if asked for."""
        if not account:
            return self._select(Decision, "ORDER BY id", ())
        digest = self._vault.digest(account, "account")
        return self._select(Decision, "WHERE account = ? ORDER BY id", (digest,))

    # -- exhibits -------------------------------------------------------------------------------

    def keep_exhibit(self, exhibit: Exhibit) -> Exhibit:
        """Keep an exhibit, new or changed.

        Returns:
            The same with its `id`.
        """
        with self.transaction():
            if not exhibit.id:
                cursor = self._connection.execute(
                    "INSERT INTO exhibit (account, sealed) VALUES (?, x'')",
                    (self._vault.digest(exhibit.account, "account"),),
                )
                exhibit = msgspec.structs.replace(exhibit, id=cursor.lastrowid)
            self._connection.execute(
                "UPDATE exhibit SET sealed = ? WHERE id = ?", (self._seal(exhibit), exhibit.id)
            )
        return exhibit

    def exhibits(self, account: str = "") -> list[Exhibit]:
        """Exhibits, oldest first; against one account if asked for."""
        if not account:
            return self._select(Exhibit, "ORDER BY id", ())
        digest = self._vault.digest(account, "account")
        return self._select(Exhibit, "WHERE account = ? ORDER BY id", (digest,))

    # -- protection -----------------------------------------------------------------------------

    def protect(self, passphrase: bytes | None) -> None:
        """Let another passphrase, or the key file, open the wallet from now on."""
        with self.transaction():
            _protect(self._connection, self.directory, self._data_key, passphrase)
        if passphrase is not None:
            (self.directory / KEY_FILE).unlink(missing_ok=True)

    def backup(self, path: Path, passphrase: bytes) -> None:
        """Write the whole wallet to one new file that the passphrase opens.

        Raises:
            WalletError: the file exists or cannot be written.
        """
        if path.exists():
            raise WalletError(f"{path} exists; give the backup a name of its own")
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".acx-backup-") as folder:
            draft = Path(folder) / DATABASE_FILE
            with database.explained(path, WalletError):
                _copy(
                    self._connection,
                    draft,
                    lambda copy: _protect(copy, draft.parent, self._data_key, passphrase),
                )
            draft.rename(path)
        sync_directory(path.parent)

    @classmethod
    def restore(cls, directory: Path, backup: Path, passphrase: bytes) -> Wallet:
        """Make a wallet from a backup; the same passphrase opens it.

        Raises:
            WalletError: there is a wallet already, or the backup does not open.
        """
        if (directory / DATABASE_FILE).exists():
            raise WalletError(f"{directory} already holds a wallet; choose another --home")
        if not backup.is_file():
            raise WalletError(
                f"{backup}: no such file; give the file that `acx wallet backup` made"
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".restore-") as folder:
            draft = Path(folder) / DATABASE_FILE
            with database.explained(backup, WalletError):
                source = database.connect(backup, read_only=True)
                try:
                    _copy(source, draft, lambda copy: _data_key(copy, directory, passphrase))
                finally:
                    source.close()
            draft.rename(directory / DATABASE_FILE)
        sync_directory(directory)
        return cls.open(directory, passphrase)

    # -- rows -----------------------------------------------------------------------------------

    def _select(
        self, record: type[_Record], where: str, values: tuple[object, ...]
    ) -> list[_Record]:
        table = record.__name__.lower()
        with database.explained(self._path, WalletError):
            rows = self._connection.execute(
                f"SELECT id, sealed FROM {table} {where}",  # noqa: S608 -- constants of this module
                values,
            ).fetchall()
        return [
            msgspec.msgpack.decode(self._unseal(sealed, f"{table}/{row}"), type=record)
            for row, sealed in rows
        ]

    def _seal(self, record: Contribution | Message | Decision | Exhibit) -> bytes:
        place = f"{type(record).__name__.lower()}/{record.id}"
        return self._vault.seal(msgspec.msgpack.encode(record), place)

    def _unseal(self, sealed: bytes, place: str) -> bytes:
        try:
            return self._vault.open(sealed, place)
        except Unsealable:
            raise WalletError(
                f"{self._path} is damaged ({place.split('/')[0]}); restore it from a backup"
            ) from None


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for script in _MIGRATIONS[version:]:
        for statement in script.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _copy(
    source: sqlite3.Connection, path: Path, then: Callable[[sqlite3.Connection], object]
) -> None:
    """Copy a database into a new file, whole and on disk, and do something to the copy."""
    copy = database.connect(path)
    try:
        source.backup(copy)
        with database.transaction(copy):
            then(copy)
        # One file, with no log beside it, until it is next opened.
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()


def _protect(
    connection: sqlite3.Connection, directory: Path, data_key: bytes, passphrase: bytes | None
) -> None:
    """Wrap the data key under a passphrase, or under the key file, made if there is none."""
    salt = secrets.token_bytes(16)
    if passphrase is None:
        path = directory / KEY_FILE
        if not path.exists():
            write_secret_file(path, secrets.token_bytes(KEY_SIZE))
        wrapping_key = _read_key_file(path)
    else:
        log_n = vault.SCRYPT_LOG_N
        wrapping_key = passphrase_key(passphrase, salt, log_n)
        _set_meta(connection, "scrypt-log-n", str(log_n).encode())
    _set_meta(connection, "protection", b"key-file" if passphrase is None else b"passphrase")
    _set_meta(connection, "salt", salt)
    _set_meta(connection, "data-key", Vault(wrapping_key).seal(data_key, "data-key"))


def _data_key(connection: sqlite3.Connection, directory: Path, passphrase: bytes | None) -> bytes:
    if _meta(connection, "protection") == b"key-file":
        wrapping_key = _read_key_file(directory / KEY_FILE)
        advice = f"{directory / KEY_FILE} is not this wallet's; restore both from one backup"
    elif passphrase is None:
        raise WalletError("the wallet has a passphrase; give it with ACX_PASSPHRASE_FILE")
    else:
        log_n = int(_meta(connection, "scrypt-log-n"))
        wrapping_key = passphrase_key(passphrase, _meta(connection, "salt"), log_n)
        advice = "the passphrase is wrong"
    try:
        return Vault(wrapping_key).open(_meta(connection, "data-key"), "data-key")
    except Unsealable:
        raise WalletError(advice) from None


def _read_key_file(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise WalletError(
            f"{path}: {error.strerror}; the wallet opens with this file alone, bring it back"
        ) from None
    if mode & 0o077:
        raise WalletError(f"{path} can be read by others; run: chmod 600 {path}")
    if len(data) != KEY_SIZE:
        raise WalletError(f"{path} is damaged; bring it back from a backup")
    return data


def _meta(connection: sqlite3.Connection, name: str) -> bytes:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise WalletError(f"the wallet has no {name}: it is damaged; restore it from a backup")
    return bytes(row[0])


def _set_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
