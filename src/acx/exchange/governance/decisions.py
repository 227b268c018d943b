"""How what operators decide gets on record, whether the server runs or not.

A decision is one transaction with the events that say so (`sequencer.outbox`). The process that
leads appends them; if none does, the command leads for as long as that takes. What the rules do not
allow is told to who tried, and kept among the refusals.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, insert, select

from acx.exchange.clock import Clock, hour_text
from acx.exchange.errors import GovernanceError, LeadError, Unavailable
from acx.exchange.governance.operators import SERVICE, Signatory, signing_key
from acx.exchange.home import Home, Settings
from acx.exchange.sequencer.outbox import Planned, discharge, outcome, plan
from acx.exchange.sequencer.sequencer import Sequencer
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import condemned_left, load_head
from acx.exchange.storage.schema import refusals
from acx.log.checkpoint import read_checkpoint
from acx.log.tiles import CHECKPOINT_PATH
from acx.records.event import ID_PATTERN, Event, public_key_text

SETTLE_SECONDS: Final = 30.0
"""How long a command waits for the server to append what it decided."""
_POLL_SECONDS: Final = 0.05
_ID: Final = re.compile(ID_PATTERN)

_log = logging.getLogger("acx.exchange.governance")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an operator tried and the rules do not allow.

    Attributes:
        at: UTC hour.
        operator: who tried.
        act: what.
        target: the id it was about, or empty.
        reason: why it was refused.
    """

    at: str
    operator: str
    act: str
    target: str
    reason: str


@dataclass(slots=True)
class Decision:
    """One being made.

    Attributes:
        connection: its transaction.
    """

    connection: Connection
    _planned: list[int] = field(default_factory=list)

    def plan(self, *events: Event | Planned) -> None:
        """Have events appended together."""
        self._planned.append(plan(self.connection, *events))

    @property
    def planned(self) -> tuple[int, ...]:
        """What is to be waited for, as the outbox numbers it."""
        return tuple(self._planned)


class Decisions:
    """The decisions of one exchange.

    Attributes:
        home: its directory.
        settings: from its `config.toml`.
        database: its rows.
        clock: the time.
    """

    def __init__(self, home: Home, settings: Settings, database: Database, clock: Clock) -> None:
        self.home = home
        self.settings = settings
        self.database = database
        self.clock = clock

    @property
    def founder(self) -> str:
        """The service's key, which founded the log."""
        return public_key_text(self.home.service_key())

    @contextmanager
    def deciding(self) -> Iterator[Connection]:
        """A transaction whose planned events are appended before this returns, or by the server."""
        with self.leading() as settle:
            with self.database.write() as connection:
                yield connection
            settle()

    @contextmanager
    def recording(
        self, undo: Callable[[Connection], None] = lambda _connection: None
    ) -> Iterator[Decision]:
        """A decision that is on record, and its keys destroyed, before this returns.

        Args:
            undo: takes back what the decision noted down beside its events, if the log does not
                take them.

        Raises:
            GovernanceError: the log does not take it.
            Unavailable: the server has not appended it in time; it will.
        """
        with self.leading() as settle:
            with self.database.write() as connection:
                decision = Decision(connection)
                yield decision
            for planned in decision.planned:
                self._await(planned, undo, settle)

    @contextmanager
    def leading(self) -> Iterator[Callable[[], None]]:
        """Lead if nobody does; gives what sees the outbox appended, as far as it is ours to do."""
        sequencer = self._sequencer()
        if sequencer is None:
            yield self._append_if_nobody_leads
            return
        try:
            yield sequencer.drain
        finally:
            sequencer.stop()

    @contextmanager
    def attempt(self, operator: str, act: str, target: str) -> Iterator[None]:
        """Within it, what the rules do not allow is kept among the refusals.

        Args:
            operator: who tries.
            act: what.
            target: the id it is about; anything else is not kept, because it may name somebody.
        """
        try:
            yield
        except GovernanceError as error:
            about = target if _ID.match(target) else ""
            _log.info("refused", extra={"act": act, "operator": operator, "target": about})
            with self.database.write() as connection:
                connection.execute(
                    insert(refusals).values(
                        at=hour_text(self.clock()),
                        operator=operator,
                        act=act,
                        target=about,
                        reason=str(error) if about else type(error).__name__,
                    )
                )
            raise

    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused, the oldest first."""
        with self.database.read() as connection:
            rows = connection.execute(select(refusals).order_by(refusals.c.id))
            return tuple(
                Refusal(row.at, row.operator, row.act, row.target, row.reason) for row in rows
            )

    def signatory(self, connection: Connection, name: str) -> Signatory:
        """An operator who signs now.

        Args:
            connection: knows the keys on record.
            name: whose key; `service` for the service's own.

        Raises:
            GovernanceError: no such operator, or another key than the one on record.
        """
        if name == SERVICE:
            return Signatory(SERVICE, self.home.service_key(), self.settings.origin)
        return Signatory(name, signing_key(connection, self.home, name), self.settings.origin)

    def _append_if_nobody_leads(self) -> None:
        """Whoever led a moment ago may have been a command like this one, and be done."""
        with self.leading() as settle:
            if settle != self._append_if_nobody_leads:
                settle()

    def _published(self) -> int:
        """Size of the checkpoint that everybody can see."""
        note = (self.home.public / CHECKPOINT_PATH).read_text(encoding="utf-8")
        return read_checkpoint(note).size

    def _sequencer(self) -> Sequencer | None:
        """The one who appends, if nobody else is."""
        try:
            return Sequencer(self.home, self.database, self.settings.origin, clock=self.clock)
        except LeadError:
            return None

    def _await(
        self, planned: int, undo: Callable[[Connection], None], settle: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            settle()
            with self.database.read() as connection:
                refused = outcome(connection, planned)
                done = refused == "" and not condemned_left(connection)
                size = load_head(connection).size
            if done and self._published() >= size:
                return
            if refused:
                with self.database.write() as connection:
                    discharge(connection, [planned])
                    undo(connection)
                raise GovernanceError(f"this was not taken: {refused}")
            time.sleep(_POLL_SECONDS)
        raise Unavailable(
            "the server has not appended it yet: it is kept and will be, once the server is ready "
            "(see its log)"
        )
