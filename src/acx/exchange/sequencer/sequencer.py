"""The sequencer: takes events in groups, and acknowledges each once it can never be lost.

The order of writes (DESIGN section 9), whose numbers the code carries:

1. one transaction: events, tags, entries, keys, and the head's compare-and-swap;
2. tiles and bundles, and their folders, on the disk;
3. the checkpoint signed and kept;
4. the checkpoint published, by rename;
5. acknowledged and streamed.

Whatever breaks after 1 leaves rows ahead of what is published. `_catch_up` publishes them from the
rows, at the start and after every failure, by the same steps.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from acx.errors import AcxError
from acx.exchange.clock import Clock, hour_text
from acx.exchange.errors import EventRefused, LeadError, LogBehind, Unavailable
from acx.exchange.home import Home
from acx.exchange.intake.rules import Known, Rules, Taken, Verdict
from acx.exchange.sequencer.lead import Lead
from acx.exchange.sequencer.outbox import Planned, Waiting, discharge, refuse, waiting
from acx.exchange.sequencer.publisher import Batch, Publisher
from acx.exchange.storage.database import KEYS, Database
from acx.exchange.storage.ledger import (
    REMOVING,
    LogRow,
    append,
    check_fence,
    condemn,
    destroy_condemned,
    load_head,
    read_rows,
)
from acx.exchange.witnessing.collector import ask_what_was_signed
from acx.exchange.witnessing.policy import read_policy
from acx.log.checkpoint import Checkpoint
from acx.log.entry import KEY_BYTES, seal
from acx.log.errors import LogError
from acx.records.event import Erasure, Event, Expiry, public_key_text, sign_event

MAX_GROUP: Final = 512
"""Events in one commit."""
MAX_WAITING: Final = 4_096
"""Posts that wait for their turn; beyond, they are told to come again."""
GATHER_SECONDS: Final = 0.002
"""How long a group is kept open for company once its first event is there."""
POLL_SECONDS: Final = 0.2
"""How often the outbox is looked at while nothing is posted."""
RETRY_SECONDS: Final = 1.0
"""How long to wait after a failure before the rows are taken up again."""
STUCK_SECONDS: Final = 10.0
"""How long nothing may succeed before the service counts as not ready."""
CHUNK: Final = 16_384
"""Rows published at once when catching up, so that memory stays bounded."""

_log = logging.getLogger("acx.exchange.sequencer")


@dataclass(frozen=True, slots=True)
class Published:
    """What a commit made visible.

    Attributes:
        rows: the entries, each with its event's bytes; without, where its key is destroyed.
        checkpoint: covers them.
        removing: whether keys were destroyed with it.
    """

    rows: Sequence[tuple[LogRow, bytes | None]]
    checkpoint: Checkpoint
    removing: bool


@dataclass(frozen=True, slots=True)
class Appended:
    """An event's place in the log, which it can no longer lose.

    Attributes:
        row: the entry.
        checkpoint: published, and covers it.
    """

    row: LogRow
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class _Post:
    event: Event
    place: Future[Appended | Known]


class Sequencer:
    """The one who appends, from `start` to `stop`.

    Attributes:
        publisher: what is visible of the log.
        rules: the fold of what matters for the next event.
    """

    def __init__(
        self,
        home: Home,
        database: Database,
        origin: str,
        *,
        clock: Clock,
        listener: Callable[[Published], None] | None = None,
    ) -> None:
        """Take the lead, and publish what an earlier leader committed and did not publish.

        Args:
            home: the operator's directory.
            database: its rows.
            origin: the log's name.
            clock: for the hour that entries bear.
            listener: is told of each commit, in the sequencer's thread; must be quick.

        Raises:
            LeadError: another process leads.
            LogBehind: the rows are behind what was signed.
            Unavailable, OSError: the database or the disk does not do its part.
        """
        self._database = database
        self._origin = origin
        self._clock = clock
        self._listener = listener
        self._service_key: Ed25519PrivateKey = home.service_key()
        self._service = public_key_text(self._service_key)
        self._lead = Lead(database, home.path)
        if restored := home.restored:
            self._lead.release()
            raise LogBehind(
                f"these rows ({restored}) came from a backup, and more may have been published "
                "since: nothing is signed, because the log could fork. Compare with a copy first: "
                "`acx exchange recover --from REPLICA|URL`"
            )
        # None wakes the thread without posting anything.
        self._posts: queue.Queue[_Post | None] = queue.Queue(MAX_WAITING)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_success = time.monotonic()
        self._failure = ""
        # An earlier leader may have stopped between destroying keys and overwriting them.
        self._forgotten = False
        try:
            self.publisher = Publisher(home, database, origin)
            ask_what_was_signed(self.publisher, read_policy(home.settings().witnesses))
            self.rules = Rules.of_service(home)
            self._catch_up()
        except BaseException:
            self._lead.release()
            raise

    @property
    def ready(self) -> bool:
        """Whether it appends: it leads, and did not fail for longer than `STUCK_SECONDS`."""
        running = self._thread is not None and self._thread.is_alive()
        return (running and not self._stopping.is_set()) and (
            not self._failure or time.monotonic() - self._last_success < STUCK_SECONDS
        )

    def start(self) -> None:
        """Append in a thread of its own, from now on."""
        self._thread = threading.Thread(target=self._run, name="acx-sequencer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the commit in hand, and let another process lead."""
        self._stopping.set()
        if self._thread is not None:
            self.wake()
            self._thread.join()
        self._lead.release()
        self._refuse_waiting("the exchange is stopping")

    def submit(self, event: Event) -> Future[Appended | Known]:
        """Hand over an event that intake has checked.

        Returns:
            Its place in the log, once it is published; or that it is there already. It may end in
            EventRefused, because another event was faster, or Unavailable.

        Raises:
            Unavailable: too many wait already, or nothing can be appended now.
        """
        if self._failure:
            raise Unavailable(f"nothing can be appended now: {self._failure}; send it again later")
        post = _Post(event, Future())
        try:
            self._posts.put_nowait(post)
        except queue.Full:
            raise Unavailable("too many events wait to be appended: send it again later") from None
        if self._stopping.is_set():
            self._refuse_waiting("the exchange is stopping")
        return post.place

    def wake(self) -> None:
        """Have the outbox looked at now, and not at the next poll."""
        with contextlib.suppress(queue.Full):
            self._posts.put_nowait(None)

    def drain(self) -> None:
        """Append what the outbox holds, in this thread; for a process that does nothing else."""
        while self._commit([]):
            pass

    def _run(self) -> None:
        while not self._stopping.is_set():
            posts = self._gather()
            try:
                if self._failure:
                    self._catch_up()
                self._commit(posts)
                self._forget()
                self._succeeded()
            except LeadError as error:
                self._stopping.set()
                self._failed(posts, str(error))
                _log.error("lead lost", extra={"reason": str(error)})
                return
            except (AcxError, OSError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._failed(posts, reason)
                _log.error("commit failed", extra={"reason": reason})
                self._stopping.wait(RETRY_SECONDS)
            except Exception:  # noqa: BLE001 -- a dead thread would leave every post waiting
                self._failed(posts, "an error in the exchange itself, see its log")
                _log.exception("commit failed")
                self._stopping.wait(RETRY_SECONDS)

    def _gather(self) -> list[_Post]:
        """The posts of the next group; none if none came for a while."""
        posts: list[_Post] = []
        seconds = POLL_SECONDS
        deadline = 0.0
        while len(posts) < MAX_GROUP:
            try:
                post = self._posts.get(timeout=seconds)
            except queue.Empty:
                break
            if post is not None:
                posts.append(post)
            deadline = deadline or time.monotonic() + GATHER_SECONDS
            seconds = max(0.0, deadline - time.monotonic())
        return posts

    def _succeeded(self) -> None:
        self._last_success = time.monotonic()
        self._failure = ""

    def _failed(self, posts: Sequence[_Post], reason: str) -> None:
        self._failure = reason
        for post in posts:
            if not post.place.done():
                post.place.set_exception(
                    Unavailable(f"not acknowledged ({reason}): send the same bytes again")
                )
        self._refuse_waiting(reason)

    def _refuse_waiting(self, reason: str) -> None:
        while True:
            try:
                post = self._posts.get_nowait()
            except queue.Empty:
                return
            if post is not None:
                post.place.set_exception(
                    Unavailable(f"not acknowledged ({reason}): send the same bytes again")
                )

    def _catch_up(self) -> None:
        """Publish the rows that are ahead of what is published, and know the log again."""
        with self._database.read() as connection:
            head = load_head(connection)
            check_fence(head, self._lead.fence)
            self.rules.load(connection)
        self.publisher.check(head)
        published = self.publisher.published
        start = published.size if self.publisher.matches(published.size, published.root) else 0
        while start < head.size:
            stop = min(head.size, start + CHUNK)
            with self._database.read() as connection:
                rows = read_rows(connection, start, stop)
            batch = self.publisher.grown(start, rows)
            if stop == head.size and batch.growth.root != head.root:
                raise LogError(
                    f"the rows' root is not that of the head at size {head.size}: the database is "
                    "damaged. Bring it back from a backup, then `acx exchange recover`"
                )
            # (2)
            self.publisher.write_files(batch)
            start = stop
        self._head = head
        if head.size > published.size:
            # (3) and (4)
            self.publisher.publish(self.publisher.sign(self._head))
        self._destroy_condemned()

    def _commit(self, posts: Sequence[_Post]) -> bool:
        """Append one group; return whether there was anything to append."""
        if not posts and not self._decided():
            return False
        # (1)
        with self._database.write() as connection:
            self.rules.trim(connection)
            events = self._take_decisions(connection, waiting(connection, MAX_GROUP))
            verdicts = self._take_posts(connection, posts, events)
            rows = self._seal(events)
            batch = self.publisher.grown(self._head.size, rows)
            head = self._head
            if rows:
                pairs = list(zip(rows, events, strict=True))
                head = append(connection, head, batch.growth.root, pairs)
        first, self._head = self._head.size, head
        if rows:
            self._show(batch, events)
        # (5)
        for post, verdict in zip(posts, verdicts, strict=True):
            if isinstance(verdict, EventRefused):
                post.place.set_exception(verdict)
            elif verdict.index < first:
                post.place.set_result(Known(verdict.index))
            else:
                row = rows[verdict.index - first]
                post.place.set_result(Appended(row, self.publisher.published))
        return True

    def _show(self, batch: Batch, events: Sequence[Event]) -> None:
        # (2)
        self.publisher.write_files(batch)
        # (3)
        checkpoint = self.publisher.sign(self._head)
        # (4)
        self.publisher.publish(checkpoint)
        self.publisher.prune(batch)
        # Only now may keys go: a replica accepts a missing body where a published event says why.
        removing = any(event.type in REMOVING for event in events)
        if removing:
            self._destroy_condemned()
        if self._listener is not None:
            pairs = [(row, event.raw) for row, event in zip(batch.rows, events, strict=True)]
            self._listener(Published(pairs, checkpoint, removing))

    def _decided(self) -> bool:
        with self._database.read() as connection:
            return bool(waiting(connection, 1))

    def _take_decisions(self, connection: Connection, decisions: Sequence[Waiting]) -> list[Event]:
        """The outbox's events, signed by the service where they are its own."""
        events: list[Event] = []
        for decision in decisions:
            start = self._head.size + len(events)
            taken, reason = self._take_decision(connection, decision, start)
            if reason:
                refuse(connection, decision.id, reason)
                # The decision's first events may have been counted as appended.
                self.rules.load(connection)
                for index, event in enumerate(events, self._head.size):
                    self.rules.take(index, event)
                continue
            events += taken
            discharge(connection, [decision.id])
            for event in taken:
                self._condemn(connection, event)
        return events

    def _take_decision(
        self, connection: Connection, decision: Waiting, start: int
    ) -> tuple[list[Event], str]:
        taken: list[Event] = []
        for planned in decision.events:
            event = self._signed(planned)
            reason = self.rules.operator_objection(connection, event)
            if reason:
                return taken, f"the log does not take the {event.type}: {reason}"
            self.rules.take(start + len(taken), event)
            taken.append(event)
        return taken, ""

    def _take_posts(
        self, connection: Connection, posts: Sequence[_Post], events: list[Event]
    ) -> list[Verdict]:
        """What becomes of each post; the new ones are added to the events."""
        verdicts = self.rules.judge(
            connection,
            [post.event for post in posts],
            self._head.size + len(events),
            take=True,
        )
        for post, verdict in zip(posts, verdicts, strict=True):
            if isinstance(verdict, Taken):
                events.append(post.event)
        return verdicts

    def _signed(self, event: Event | Planned) -> Event:
        if isinstance(event, Event):
            return event
        return sign_event(
            self._service_key,
            origin=self._origin,
            type=event.type,
            body=event.body,
            ref=event.ref,
            seq=self.rules.next_seq(self._service),
        )

    def _seal(self, events: Sequence[Event]) -> list[LogRow]:
        at = hour_text(self._clock())
        # All keys in one draw: each is as random, and the system is asked once.
        drawn = secrets.token_bytes(KEY_BYTES * len(events))
        rows = []
        for number, event in enumerate(events):
            index = self._head.size + number
            k = drawn[number * KEY_BYTES : (number + 1) * KEY_BYTES]
            sealed = seal(event.raw, at, k)
            rows.append(LogRow(index, at, sealed.entry, sealed.ciphertext, k))
        return rows

    def _condemn(self, connection: Connection, event: Event) -> None:
        body = event.body()
        if isinstance(body, Erasure | Expiry):
            condemn(connection, filter(self.rules.is_gone, body.indices))

    def _destroy_condemned(self) -> None:
        with self._database.write() as connection:
            destroyed = destroy_condemned(connection)
        if destroyed:
            self._forgotten = False
            _log.info("keys destroyed", extra={"count": destroyed})
        self._forget()

    def _forget(self) -> None:
        """See destroyed keys out of the database's files, now or as soon as nobody reads."""
        if not self._forgotten:
            self._forgotten = self._database.forget_deleted(KEYS)
