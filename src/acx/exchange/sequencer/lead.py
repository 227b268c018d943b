"""The lead: at most one process appends to a log.

A lock on a file in the home keeps a second process on this machine out at once; on PostgreSQL an
advisory lock does so across machines. Locks can be lost without their holder noticing, so what
counts is the fencing number in the head's row: taking the lead raises it, and each commit demands
the number it began with.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select, text, update

from acx.exchange.errors import LeadError
from acx.exchange.storage.database import Database
from acx.exchange.storage.schema import head

LOCK_FILE: Final = "lead.lock"
_ADVISORY_KEY: Final = int.from_bytes(b"acx-lead", "big")


class Lead:
    """Held from `take` to `release`.

    Attributes:
        fence: the fencing number of this leadership.
    """

    def __init__(self, database: Database, home: Path) -> None:
        """Take the lead.

        Raises:
            LeadError: another process has it.
        """
        self._file = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._session: Connection | None = None
        try:
            self._lock(database)
            with database.write() as connection:
                self.fence: int = connection.execute(
                    update(head).values(fence=head.c.fence + 1).returning(head.c.fence)
                ).scalar_one()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let another process lead."""
        if self._session is not None:
            # Closing a PostgreSQL session gives its advisory locks back.
            self._session.invalidate()
            self._session.close()
            self._session = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self, database: Database) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeadError("another process leads this exchange: stop it first") from None
        if database.is_sqlite:
            return
        self._session = database.session()
        held = self._session.execute(
            select(text("pg_try_advisory_lock(:key)")), {"key": _ADVISORY_KEY}
        ).scalar_one()
        if not held:
            raise LeadError("another machine leads this exchange: stop it first")
