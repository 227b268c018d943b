"""What a witness must never forget: per log, the largest checkpoint that it has cosigned.

A rolled back witness would vouch for a fork, so a checkpoint is on the disk before anybody hears of
its cosignature, and looking up, judging and storing are one transaction, also between processes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.errors import LogError
from acx.log.note import Verifier
from acx.witness.errors import WitnessError

DATABASE_FILE: Final = "witness.db"
MAX_REFUSED: Final = 100
"""Refused checkpoints kept; anybody can send one that is old or badly proven."""
_VERSION: Final = 1
_BUSY_SECONDS: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log (vkey TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS refused (note TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT;
"""


class State:
    """The witness's database, for any number of threads and processes."""

    def __init__(self, directory: Path) -> None:
        """Open it, or make it.

        Raises:
            WitnessError: it cannot be opened, or is of another version.
        """
        self._path = directory / DATABASE_FILE
        self._lock = threading.Lock()
        with self._explained():
            # Transactions are begun by hand: one that will write has to say so at its beginning.
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise WitnessError(f"{self._path} is of version {version}: upgrade acx")
            self._connection.execute("PRAGMA journal_mode = WAL")
            # Else a commit could be lost with the power, and the witness be rolled back.
            self._connection.execute("PRAGMA synchronous = FULL")
            with self.deciding():
                for statement in _SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Within it nobody else decides; what is kept is on the disk when it ends.

        Raises:
            WitnessError: the disk or the database does not do its part; nothing was kept.
        """
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def logs(self) -> list[Verifier]:
        """Keys of the logs that are witnessed."""
        with self._explained():
            rows = self._connection.execute("SELECT vkey FROM log ORDER BY vkey").fetchall()
        return [Verifier.parse(vkey) for (vkey,) in rows]

    def add_log(self, log: Verifier) -> None:
        """Witness a log from now on; within `deciding`."""
        self._connection.execute("INSERT OR IGNORE INTO log VALUES (?)", (log.vkey,))

    def cosigned(self, origin: str) -> Checkpoint | None:
        """The largest checkpoint of a log that was cosigned; None for none.

        Raises:
            WitnessError: what is stored is damaged.
        """
        with self._explained():
            row = self._connection.execute(
                "SELECT note FROM cosigned WHERE origin = ?", (origin,)
            ).fetchone()
        if row is None:
            return None
        try:
            return read_checkpoint(row[0])
        except LogError as error:
            raise WitnessError(
                f"{self._path} is damaged ({error}): a witness that has forgotten must not go on"
                " under its key; start anew with another --home"
            ) from None

    def origins(self) -> list[str]:
        """Names of the logs of which something was cosigned."""
        with self._explained():
            rows = self._connection.execute("SELECT origin FROM cosigned").fetchall()
        return [origin for (origin,) in rows]

    def keep(self, origin: str, note: str) -> None:
        """Keep the checkpoint that is cosigned now; within `deciding`."""
        self._connection.execute("INSERT OR REPLACE INTO cosigned VALUES (?, ?)", (origin, note))

    def keep_refused(self, note: str, reason: str) -> None:
        """Keep a signed checkpoint that does not continue the last one; within `deciding`."""
        (count,) = self._connection.execute("SELECT count(*) FROM refused").fetchone()
        if count < MAX_REFUSED:
            self._connection.execute("INSERT OR IGNORE INTO refused VALUES (?, ?)", (note, reason))

    def refused(self) -> list[tuple[str, str]]:
        """Signed checkpoints that did not continue the last one, and why."""
        with self._explained():
            return self._connection.execute("SELECT note, reason FROM refused").fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise WitnessError(
                f"{self._path} cannot be used ({error}): check the disk and who owns it"
            ) from None
