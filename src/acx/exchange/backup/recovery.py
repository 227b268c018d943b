"""Bringing an exchange whose rows are behind up to date, from a copy of its log.

Every member's replica is such a copy. What it says is believed as far as the log's own signature
reaches: the checkpoint is ours, and the entries lead to its root.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from sqlalchemy import Connection

from acx.exchange.errors import RecoveryError
from acx.exchange.home import Home
from acx.exchange.intake.rules import Rules
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.sequencer.publisher import Publisher
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import (
    Head,
    LogRow,
    append,
    condemn,
    load_head,
    parsed,
    read_governing,
    read_rows,
)
from acx.log.checkpoint import Checkpoint
from acx.log.entry import seal
from acx.log.errors import LogError
from acx.log.merkle import Frontier, hash_leaf
from acx.records.event import Act, Erasure, Event, Expiry, parse_event, verify_event

_BATCH: Final = 1_000


class CopiedEntry(Protocol):
    """An entry as a copy of the log has it; all but the first two are empty where it is gone."""

    @property
    def index(self) -> int:
        """Its place."""

    @property
    def entry(self) -> bytes:
        """The 32 bytes in the tree."""

    @property
    def at(self) -> str:
        """UTC hour at which it was taken."""

    @property
    def k(self) -> bytes:
        """Its key."""

    @property
    def event(self) -> bytes:
        """The event's bytes."""


class LogCopy(Protocol):
    """A copy of the log: a member's replica, or another server of it."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Covers the entries."""

    def entries(self, after: int = -1) -> Iterator[CopiedEntry]:
        """Entries after a place, in order."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery brought back.

    Attributes:
        before: entries that the rows held.
        size: entries that they hold now.
        joined: members that joined in between: their invites and tokens are lost with the rows, so
            they have to be invited again.
    """

    before: int
    size: int
    joined: int


def recover_rows(
    home: Home, database: Database, origin: str, fence: int, copy: LogCopy
) -> Recovered:
    """Append what the rows lack, in one transaction that takes effect only if the root is right.

    Args:
        home: the operator's directory.
        database: its rows.
        origin: the log's name.
        fence: of the leadership that is held.
        copy: of the log.

    Raises:
        RecoveryError: the copy is smaller than what was published, damaged, or of another history.
        LogError: its checkpoint is not signed by this log.
    """
    publisher = Publisher(home, database, origin)
    checkpoint = publisher.open_copy(copy.checkpoint)
    if checkpoint.size < publisher.largest_signed:
        raise RecoveryError(
            f"the copy has {checkpoint.size} entries, and {publisher.largest_signed} were "
            "published: find a member whose replica has them"
        )
    with database.write() as connection:
        head = load_head(connection)
        before = head.size
        if checkpoint.size < before:
            raise RecoveryError(
                f"the copy has {checkpoint.size} entries, the database {before}: there is nothing "
                "to bring back"
            )
        tree = _tree(connection, before)
        head = Head(before, tree.root(), fence)
        joined = 0
        entries = copy.entries(before - 1)
        while batch := [_row(entry, origin) for entry in islice(entries, _BATCH)]:
            _check_places(batch, head.size, checkpoint.size)
            tree.extend([hash_leaf(row.entry) for row, _ in batch])
            head = append(connection, head, tree.root(), batch)
            joined += sum(event is not None and _admits(event) for _, event in batch)
        if (head.size, head.root) != (checkpoint.size, checkpoint.root):
            raise RecoveryError(
                f"with the copy's entries the database holds {head.size} of {checkpoint.size} and "
                "another root than was signed: the copy is damaged, or the backup is of another "
                "history. Nothing was changed; try another replica"
            )
        condemn_what_is_gone(connection, home)
        if head.size > before:
            plan(connection, Planned("act", Act(act="recovered", count=head.size - before)))
    publisher.keep(checkpoint)
    return Recovered(before, head.size, joined)


def _tree(connection: Connection, size: int) -> Frontier:
    tree = Frontier()
    for start in range(0, size, _BATCH):
        rows = read_rows(connection, start, min(size, start + _BATCH))
        tree.extend([hash_leaf(row.entry) for row in rows])
    return tree


def _row(copied: CopiedEntry, origin: str) -> tuple[LogRow, Event | None]:
    if not copied.event:
        return LogRow(copied.index, "", copied.entry, b"", None), None
    try:
        event = parse_event(copied.event)
        verify_event(event, origin)
        sealed = seal(copied.event, copied.at, copied.k)
    except LogError as error:
        raise RecoveryError(f"entry {copied.index} of the copy is damaged: {error}") from None
    if sealed.entry != copied.entry:
        raise RecoveryError(f"entry {copied.index} of the copy is not what it commits to")
    return LogRow(copied.index, copied.at, sealed.entry, sealed.ciphertext, copied.k), event


def _check_places(batch: Sequence[tuple[LogRow, Event | None]], start: int, stop: int) -> None:
    places = [row.index for row, _ in batch]
    if places != list(range(start, start + len(batch))) or places[-1] >= stop:
        raise RecoveryError(f"the copy has other places than {start} and on: it is damaged")


def _admits(event: Event) -> bool:
    body = event.body() if event.type == "act" else None
    return isinstance(body, Act) and body.act == "joined"


def condemn_what_is_gone(connection: Connection, home: Home) -> None:
    """Note down the keys that erasures in the log have condemned: a backup may hold them still."""
    rules = Rules.of_service(home)
    rules.load(connection)
    listed: set[int] = set()
    for row in read_governing(connection):
        event = parsed(row)
        body = event.body() if event is not None and event.known else None
        if isinstance(body, Erasure | Expiry):
            listed.update(body.indices)
    condemn(connection, filter(rules.is_gone, listed))
