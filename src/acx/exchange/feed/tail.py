"""What another process publishes, read off the rows: the live end of a process that does not lead.

Wake-ups only say that there is something to read; what there is, the rows say. So none that is lost
or comes twice can make a gap or a repeat.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Final

from acx.errors import AcxError
from acx.exchange.feed.live import Live
from acx.exchange.sequencer.publisher import COSIGNED_PATH
from acx.exchange.sequencer.sequencer import Published
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import newest_checkpoint, read_removals, read_rows
from acx.log.checkpoint import read_checkpoint
from acx.log.errors import LogError

CHUNK: Final = 512
"""Rows taken in at once."""
LOOK_SECONDS: Final = 0.5
"""How often to look without having been woken."""
RETRY_SECONDS: Final = 1.0
STUCK_SECONDS: Final = 10.0
"""How long the rows may not be readable before this process counts as not ready."""

_log = logging.getLogger("acx.exchange.feed")


class Tail:
    """Feeds a `Live` from the rows, in a thread of its own, from `start` to `stop`."""

    def __init__(self, database: Database, live: Live, public: Path) -> None:
        """Nothing is read yet.

        Args:
            database: the rows.
            live: is fed.
            public: where the leader puts what witnesses have signed.
        """
        self._database = database
        self._live = live
        self._cosigned = public / COSIGNED_PATH
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acx-tail", daemon=True)
        self._last_success = time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether it could read the rows of late."""
        return time.monotonic() - self._last_success < STUCK_SECONDS

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                # Listening first: what is published from here on wakes us.
                with self._database.wakeups() as wait:
                    while not self._stopping.is_set():
                        self._take()
                        self._last_success = time.monotonic()
                        wait(LOOK_SECONDS)
            except AcxError as error:
                _log.warning("the rows cannot be read", extra={"reason": str(error)})
                self._stopping.wait(RETRY_SECONDS)

    def _take(self) -> None:
        while True:
            start = self._live.newest.size
            with self._database.read() as connection:
                newest = newest_checkpoint(connection)
                if newest is None or newest.size <= start:
                    break
                stop = min(newest.size, start + CHUNK)
                rows = read_rows(connection, start, stop)
                removals = read_removals(connection, start, stop)
                checkpoint = newest if stop == newest.size else None
            if checkpoint is None:
                # Far behind: what is in between is read from storage by whoever needs it.
                self._live.skip(newest)
                continue
            # Nothing that was there before something was removed may stay in memory.
            kept = [row for row in rows if not removals or row.index >= removals[-1]]
            published = [(row, row.event_bytes()) for row in kept]
            self._live.feed(Published(published, checkpoint, removing=bool(removals)))
        self._look_for_cosigned()

    def _look_for_cosigned(self) -> None:
        try:
            note = self._cosigned.read_text(encoding="utf-8")
            if note != self._live.cosigned.note:
                cosigned = read_checkpoint(note)
                if cosigned.size <= self._live.newest.size:
                    self._live.cosign(cosigned)
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError, LogError) as error:
            _log.warning("no cosigned checkpoint", extra={"reason": str(error)})
