"""What the exchange does by itself once a day: deadlines, retention, and what it need not keep.

No clock is trusted further than the log: if it reads earlier than the last entry's hour, nothing
lapses or expires; if it is far ahead, only an operator who has looked at it lets things expire.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from acx.errors import AcxError
from acx.exchange.clock import hour_text, parse_hour
from acx.exchange.errors import GovernanceError
from acx.exchange.governance import filings
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.disputes import Disputes
from acx.exchange.governance.retention import Retention, expiries
from acx.exchange.storage.database import FORGETTING_SECONDS, TEXTS
from acx.exchange.storage.ledger import newest_hour

AHEAD_DAYS: Final = 31
"""How far the clock may be ahead of the log before nobody but an operator lets things expire."""
LOOK_SECONDS: Final = 600.0
"""How often the service looks whether a new day has begun."""

_log = logging.getLogger("acx.exchange.daily")


@dataclass(frozen=True, slots=True)
class Done:
    """What a day's work came to.

    Attributes:
        lapsed: disputes whose deadline has passed.
        reports: reports that expired.
        entries: entries that went with them.
        texts: sealed texts and filings that were deleted.
    """

    lapsed: int
    reports: int
    entries: int
    texts: int


class Daily:
    """A day's work, done by the service or by an operator's command."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._disputes = Disputes(decisions)
        self._retention = Retention(decisions)

    def run(self, *, dry_run: bool = False, looked_at: bool = True) -> Done:
        """Let pass what has passed, and expire what is over.

        Args:
            dry_run: only say what would be done.
            looked_at: whether an operator answers for the clock.

        Raises:
            GovernanceError: the clock cannot be right.
        """
        decisions = self._decisions
        now = decisions.clock()
        with decisions.database.read() as connection:
            newest = newest_hour(connection)
            if hour_text(now) < newest:
                raise GovernanceError(
                    f"the clock says {hour_text(now)} and the log's last entry is of {newest}: "
                    "nothing lapses or expires by a clock that went back; set it right"
                )
            if not looked_at and now - parse_hour(newest) > timedelta(days=AHEAD_DAYS):
                raise GovernanceError(
                    f"the clock says {hour_text(now)}, long after the log's last entry ({newest}): "
                    "if it is right, run `acx exchange expire`"
                )
            over = self._retention.expired(connection, now)
            lapsing = self._disputes.lapse(connection, now)
            indices = [index for places in over.values() for index in places]
        if dry_run:
            return Done(len(lapsing), len(over), len(indices), 0)
        if lapsing or indices:
            with decisions.recording() as decision:
                # Anew: another process may have done the same meanwhile.
                lapsing = self._disputes.lapse(decision.connection, now)
                for event in lapsing:
                    decision.plan(event)
                if indices:
                    decision.plan(*expiries(indices))
        with decisions.database.write() as connection:
            texts = filings.forget_reports(connection, over)
            texts += self._disputes.forget_final(connection, now)
        # Every day, for what could not be overwritten when it was deleted: somebody read then.
        decisions.database.forget_deleted(TEXTS, patience=FORGETTING_SECONDS)
        return Done(len(lapsing), len(over), len(indices), texts)


class DailyThread:
    """Does the day's work while the service runs, from its start on."""

    def __init__(self, decisions: Decisions) -> None:
        self._daily = Daily(decisions)
        self._clock = decisions.clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="acx-daily", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done, and stop."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        done_on = ""
        while not self._stopping.is_set():
            today = hour_text(self._clock())[:10]
            if today != done_on and self._attempt():
                done_on = today
            self._stopping.wait(LOOK_SECONDS)

    def _attempt(self) -> bool:
        try:
            done = self._daily.run(looked_at=False)
        except (AcxError, OSError) as error:
            _log.error("the day's work was not done", extra={"reason": str(error)})
            return False
        except Exception:  # noqa: BLE001 -- a dead thread would let every deadline pass unseen
            _log.exception("the day's work was not done")
            return False
        _log.info(
            "the day's work is done",
            extra={"lapsed": done.lapsed, "expired": done.reports, "texts": done.texts},
        )
        return True
