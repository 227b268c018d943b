"""What a watch must not forget: whom the store checked, what was told, and alerts on their way.

One file, `HOME/watch/memory.db`, shared by `acx check`, the member's service and `acx watch`. Of an
account that was checked it keeps keyed digests of its values and, sealed, the store's own id; it
never leaves the machine. SQLite sees no value in the clear (`acx.member.vault`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

import msgspec

from acx.member import database
from acx.member.errors import MemoryFailure
from acx.member.vault import KEY_SIZE, Unsealable, Vault, write_secret_file

DIRECTORY: Final = "watch"
DATABASE_FILE: Final = "memory.db"
KEY_FILE: Final = "key"
DAY_SECONDS: Final = 24 * 3600
DIGEST_SIZE: Final = 16
"""Enough that two values among billions never meet."""
SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE checked (
    record BLOB PRIMARY KEY, account BLOB NOT NULL, day INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX checked_day ON checked (day);
CREATE TABLE digest (
    digest BLOB NOT NULL, record BLOB NOT NULL, PRIMARY KEY (digest, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX digest_record ON digest (record);
CREATE TABLE told (
    base BLOB NOT NULL, report BLOB NOT NULL, account BLOB NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (base, report, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE base (name BLOB PRIMARY KEY, size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    base BLOB NOT NULL, channel TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX waiting_channel ON waiting (base, channel, number);
"""


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """An account that was checked.

    Attributes:
        record: tells this check's values from others.
        account: tells this account from others; the same for all checks under one id.
        id: the store's own id; empty where none was given.
        day: of the check, counted from 1970.
    """

    record: bytes
    account: bytes
    id: str
    day: int


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is to be delivered.

    Attributes:
        number: its place in the queue.
        id: the same at every attempt.
        at: when it came up, in seconds since 1970.
        body: what it says, as JSON.
    """

    number: int
    id: str
    at: int
    body: bytes


class Memory:
    """The memory of one home; a thread has its own."""

    def __init__(self, path: Path, connection: sqlite3.Connection, vault: Vault) -> None:
        """Use `open`."""
        self._path = path
        self._connection = connection
        self._vault = vault

    @classmethod
    def open(cls, home: Path) -> Memory:
        """Open the memory of a home; the first time, it is made.

        Raises:
            MemoryFailure: it cannot be written, or its key is gone.
        """
        directory = home / DIRECTORY
        path = directory / DATABASE_FILE
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                write_secret_file(directory / KEY_FILE, secrets.token_bytes(KEY_SIZE))
            vault = Vault((directory / KEY_FILE).read_bytes())
        except (OSError, Unsealable) as error:
            raise MemoryFailure(
                f"{directory} cannot be used ({error}); make it writable, or delete it: whom this"
                " store checked is then forgotten"
            ) from None
        with database.explained(path, MemoryFailure):
            connection = database.connect(path)
            # What a power cut takes of the last second is no log that others rely on.
            connection.execute("PRAGMA synchronous = NORMAL")
            with database.transaction(connection):
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                elif version != SCHEMA_VERSION:
                    raise MemoryFailure(f"{path} is of version {version}; upgrade acx")
        return cls(path, connection, vault)

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block, or nothing of it."""
        return database.transaction(self._connection)

    def explained(self) -> AbstractContextManager[None]:
        """Within it SQLite's errors are one line of ours."""
        return database.explained(self._path, MemoryFailure)

    # -- whom the store checked -----------------------------------------------------------------

    def digest(self, field: str, value: str) -> bytes:
        """By what a value is found again, and by nothing else."""
        return self._vault.digest(value, f"checked/{field}")[:DIGEST_SIZE]

    def remember(self, account_id: str, digests: list[bytes], day: int) -> Remembered:
        """Keep that an account with these digests was checked on a day."""
        values = b"".join(sorted(digests)).hex()
        record = self._vault.digest(f"{account_id}\0{values}", "record")[:DIGEST_SIZE]
        account = self._account(account_id) if account_id else record
        kept = Remembered(record=record, account=account, id=account_id, day=day)
        sealed = self._vault.seal(account_id.encode(), f"checked/{record.hex()}")
        self._connection.execute(
            "INSERT INTO checked VALUES (?, ?, ?, ?)"
            " ON CONFLICT (record) DO UPDATE SET day = excluded.day",
            (record, account, day, sealed),
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO digest VALUES (?, ?)", [(digest, record) for digest in digests]
        )
        return kept

    def sharing(self, digests: list[bytes]) -> list[Remembered]:
        """Accounts that were checked and have one of these digests."""
        rows = self._connection.execute(
            "SELECT record, account, day, sealed FROM checked WHERE record IN"  # noqa: S608 -- marks only
            f" (SELECT record FROM digest WHERE digest IN ({_marks(digests)})) ORDER BY day",
            digests,
        ).fetchall()
        return [
            Remembered(
                record=record,
                account=account,
                id=self._open(sealed, f"checked/{record.hex()}").decode(),
                day=day,
            )
            for record, account, day, sealed in rows
        ]

    def shared(self, record: bytes, digests: list[bytes]) -> set[bytes]:
        """Which of these digests an account that was checked has."""
        rows = self._connection.execute(
            f"SELECT digest FROM digest WHERE record = ? AND digest IN ({_marks(digests)})",  # noqa: S608 -- marks only
            (record, *digests),
        )
        return {digest for (digest,) in rows}

    def forget(self, before: int, base: str) -> int:
        """Forget accounts that were last checked before a day, and what was told of them.

        Returns:
            How many checks were forgotten.
        """
        with self.transaction():
            self._connection.execute(
                "DELETE FROM digest WHERE record IN (SELECT record FROM checked WHERE day < ?)",
                (before,),
            )
            gone = self._connection.execute("DELETE FROM checked WHERE day < ?", (before,)).rowcount
            if gone:
                self._connection.execute(
                    "DELETE FROM told WHERE base = ?"
                    " AND account NOT IN (SELECT account FROM checked)",
                    (self._base(base),),
                )
        return gone

    def __len__(self) -> int:
        """Accounts that were checked, by their values."""
        (count,) = self._connection.execute("SELECT count(*) FROM checked").fetchone()
        return int(count)

    # -- what was told --------------------------------------------------------------------------

    def told_up_to(self, base: str) -> int | None:
        """Size of the log up to which hits of a base were told; None if it was never watched."""
        row = self._connection.execute(
            "SELECT size FROM base WHERE name = ?", (self._base(base),)
        ).fetchone()
        return row[0] if row else None

    def tell_from(self, base: str, size: int) -> None:
        """Look at what came after this size again, if more was looked at already."""
        self._connection.execute(
            "INSERT INTO base VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET size = min(size, excluded.size)",
            (self._base(base), size),
        )

    def told_until(self, base: str, size: int, *, since: int | None) -> None:
        """Hits were told up to this size; unless somebody wants it looked at again meanwhile."""
        self._connection.execute(
            "INSERT INTO base VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET size = excluded.size WHERE size = ?",
            (self._base(base), size, since),
        )

    def told(self, base: str, report: str = "") -> Iterator[tuple[str, bytes, bytes]]:
        """Report, account and hit of all that was told of a base, or of one report in it."""
        condition, values = ("AND report = ?", [self._report(report)]) if report else ("", [])
        rows = self._connection.execute(
            f"SELECT report, account, sealed FROM told WHERE base = ? {condition}",  # noqa: S608 -- marks only
            (self._base(base), *values),
        ).fetchall()
        for identifier, account, sealed in rows:
            place = f"told/{identifier.hex()}/{account.hex()}"
            name, hit = msgspec.msgpack.decode(self._open(sealed, place), type=tuple[str, bytes])
            yield name, account, hit

    def tell(self, base: str, report: str, account: str | bytes, hit: bytes) -> None:
        """Keep that a hit was told; `account` is the store's id, or as `Remembered` has it."""
        identifier, account = self._report(report), self._account(account)
        sealed = self._vault.seal(
            msgspec.msgpack.encode((report, hit)), f"told/{identifier.hex()}/{account.hex()}"
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)",
            (self._base(base), identifier, account, sealed),
        )

    def untell(self, base: str, report: str, account: str | bytes) -> None:
        """Forget a hit that was retracted."""
        self._connection.execute(
            "DELETE FROM told WHERE base = ? AND report = ? AND account = ?",
            (self._base(base), self._report(report), self._account(account)),
        )

    # -- alerts on their way --------------------------------------------------------------------

    def put(self, base: str, channel: str, alert_id: str, at: int, body: bytes) -> None:
        """Queue an alert."""
        self._connection.execute(
            "INSERT INTO waiting (base, channel, id, at, sealed) VALUES (?, ?, ?, ?, ?)",
            (self._base(base), channel, alert_id, at, self._vault.seal(body, "waiting")),
        )

    def next_waiting(self, base: str, channel: str) -> Waiting | None:
        """The oldest alert of a queue."""
        row = self._connection.execute(
            "SELECT number, id, at, sealed FROM waiting WHERE base = ? AND channel = ?"
            " ORDER BY number LIMIT 1",
            (self._base(base), channel),
        ).fetchone()
        if row is None:
            return None
        number, alert_id, at, sealed = row
        return Waiting(number=number, id=alert_id, at=at, body=self._open(sealed, "waiting"))

    def count_waiting(self, base: str, channel: str) -> int:
        """How many alerts a queue holds."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM waiting WHERE base = ? AND channel = ?",
            (self._base(base), channel),
        ).fetchone()
        return int(count)

    def done(self, number: int) -> None:
        """Take an alert from its queue."""
        self._connection.execute("DELETE FROM waiting WHERE number = ?", (number,))

    # -- sealing --------------------------------------------------------------------------------

    def _open(self, sealed: bytes, place: str) -> bytes:
        try:
            return self._vault.open(sealed, place)
        except Unsealable:
            raise MemoryFailure(
                f"{self._path} is damaged, or its key is another one; delete"
                f" {self._path.parent}: whom this store checked is then forgotten"
            ) from None

    def _base(self, name: str) -> bytes:
        return self._vault.digest(name, "base")[:DIGEST_SIZE]

    def _report(self, report: str) -> bytes:
        return self._vault.digest(report, "report")[:DIGEST_SIZE]

    def _account(self, account: str | bytes) -> bytes:
        if isinstance(account, bytes):
            return account
        return self._vault.digest(account, "account")[:DIGEST_SIZE]


def _marks(values: list[bytes]) -> str:
    return ",".join("?" * len(values))


def day_of(seconds: float) -> int:
    """The UTC day of a time, counted from 1970."""
    return int(seconds // DAY_SECONDS)
