"""The lead: at most one process appends to a log.

A lock on a file in the home keeps a second process on this machine out at once; on PostgreSQL an
advisory lock does so across machines. Locks can be lost without their holder noticing, so what
counts is the fencing number in the head's row: taking the lead raises it, and each commit demands
the number it began with.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import SQLAlchemyError

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
            # Said aloud, because the end of a session gives its locks back only a little later.
            with contextlib.suppress(SQLAlchemyError):
                self._session.execute(select(func.pg_advisory_unlock(_ADVISORY_KEY)))
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
        held = select(func.pg_try_advisory_lock(_ADVISORY_KEY))
        if not self._session.execute(held).scalar_one():
            raise LeadError("another machine leads this exchange: stop it first")
