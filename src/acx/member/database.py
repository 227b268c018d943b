"""SQLite as the member's side uses it: durable, wiped on delete, shared by several processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from acx.errors import AcxError

BUSY_SECONDS: Final = 30.0
"""How long a process waits for another's transaction before it gives up."""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a database file; a new one is readable by its owner alone.

    Args:
        path: the file; its folder exists.
        read_only: open an existing one without the right to write.
    """
    if read_only:
        connection = _open(path, "ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # Nobody writes, and this process may not even make the files that tell so: the
            # database alone is all there is.
            connection.close()
            connection = _open(path, "ro&immutable=1")
    else:
        if not path.exists():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        connection = _open(path, "rw")
    if not read_only:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it; other writers wait, readers don't.

    Within another transaction it is a part of that one.
    """
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        _roll_back(connection)
        raise
    connection.execute("COMMIT")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # A full disk has rolled it back already.
        connection.execute("ROLLBACK")


@contextmanager
def explained(path: Path, error_class: type[AcxError]) -> Iterator[None]:
    """SQLite's errors as one line of ours.

    Raises:
        AcxError: of the class given, with the file and what to do.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise error_class(f"{path}: {_advice(error)}") from error


def _advice(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, advice in _ADVICE.items():
        if name.startswith(prefix):
            return advice
    return f"{error}; run again, and restore it from a backup if that does not help"


_ADVICE: Final = {
    "SQLITE_FULL": "the disk is full; make room and run the command again, nothing is lost",
    "SQLITE_BUSY": "another acx keeps it busy; wait for it to end and run the command again",
    "SQLITE_READONLY": "no permission to write; check who owns the directory",
    "SQLITE_CANTOPEN": "cannot be opened; check that the directory exists and who owns it",
    "SQLITE_PERM": "no permission; check who owns the directory",
    "SQLITE_NOTADB": "is damaged or something else; restore it from a backup",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_IOERR": "the disk failed to read or write; check it, then run the command again",
}
