"""Intake: one post, from its bytes to an acknowledgement.

Steps, in the order of the protocol, the cheap ones first: (1) size; (2) the same event again gets
the same answer; (3) form and type; (4) signature; (5) contexts and dates; (6) the report takes it,
and its tags are unspent; (7) its key is in use, and what lies beside it has the shape of what would
prove it; (8) the proofs, in processes of their own. Then the sequencer decides, and the poster is
answered. Nothing here knows who posted.
"""

from __future__ import annotations

import base64
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from acx.errors import AcxError
from acx.exchange.admission.members import member_of_key
from acx.exchange.clock import Clock
from acx.exchange.errors import (
    Erased,
    EventRefused,
    Forbidden,
    InvalidEvent,
    MalformedRequest,
    TooLarge,
    Unavailable,
)
from acx.exchange.intake.authorise import Standing, VerifyingKey, claim, refusal
from acx.exchange.intake.contexts import check_contexts
from acx.exchange.intake.proofs import Claim, Proofs, Refutation
from acx.exchange.intake.rules import Known
from acx.exchange.sequencer.sequencer import MAX_WAITING, Appended, Sequencer
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import (
    checkpoint_covering,
    known_events,
    read_event,
)
from acx.log.proof import LogProof
from acx.log.tiles import inclusion_path
from acx.records.event import (
    MAX_EVENT_BYTES,
    OPERATOR_TYPES,
    Event,
    EventError,
    parse_event,
    short_id,
    verify_event,
)

MAX_PRESENTATIONS_BYTES: Final = 64 * 1024
MAX_POST_BYTES: Final = MAX_EVENT_BYTES + MAX_PRESENTATIONS_BYTES + 256
WORKERS: Final = 2
"""Threads that check posts; most of a check is a signature, outside the interpreter lock."""
MAX_TOGETHER: Final = 64
"""Posts that are checked together."""


class PostRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is posted.

    Attributes:
        event: the event's canonical bytes, verbatim.
        presentations: by context, base64.
    """

    event: msgspec.Raw
    presentations: Annotated[dict[str, str], Meta(max_length=8)]


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's word that an event is in the log, and what checks it.

    Attributes:
        report: the report it belongs to.
        event: its id.
        index: its place.
        at: the UTC hour it was taken.
        k: its key, base64.
        receipt: a C2SP tlog-proof with its checkpoint.
    """

    report: str
    event: str
    index: int
    at: str
    k: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Provable:
    """An event that the log would take, once what is claimed of it is proved.

    Attributes:
        event: to hand to the sequencer.
        claim: what is still to be proved; nothing where the event's key is enough.
    """

    event: Event
    claim: Claim | None


Checked = Provable | Acknowledgement | AcxError
"""What to go on with; or the answer, if the event is in the log already; or a refusal."""


class Intake:
    """Takes posts for one log, from any number of threads.

    Posts that come at the same time are checked together: a statement to the database serves them
    all. One that comes alone waits for nobody.
    """

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        origin: str,
        *,
        clock: Clock,
        verifying_key: VerifyingKey,
        proofs: Proofs,
    ) -> None:
        """Begin to take posts.

        Args:
            database: the log's rows.
            sequencer: appends what is checked.
            origin: the log's name.
            clock: for the dates that reports bear.
            verifying_key: knows the issuer's keys.
            proofs: verifies presentations.
        """
        self._database = database
        self._sequencer = sequencer
        self._origin = origin
        self._clock = clock
        self._verifying_key = verifying_key
        self._proofs = proofs
        self._waiting: queue.Queue[tuple[bytes, Future[Acknowledgement]] | None] = queue.Queue(
            MAX_WAITING
        )
        self._workers = [
            threading.Thread(target=self._work, name=f"acx-intake-{n}", daemon=True)
            for n in range(WORKERS)
        ]
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Finish what is being checked and stop; the sequencer goes on."""
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            worker.join()

    def take(self, post: bytes) -> Future[Acknowledgement]:
        """Check a post and have it appended.

        Args:
            post: body of the request.

        Returns:
            The answer to it. It may end in any Refused or Unavailable.

        Raises:
            Unavailable: too many wait already.
        """
        answer: Future[Acknowledgement] = Future()
        # Who no longer waits cannot take the event back.
        answer.set_running_or_notify_cancel()
        try:
            self._waiting.put_nowait((post, answer))
        except queue.Full:
            raise Unavailable("too many events wait to be checked: send it again later") from None
        return answer

    def check(self, posts: Sequence[bytes]) -> list[Checked]:
        """Everything that can be known of posts at a glance; steps 1 to 7."""
        candidates = [_Candidate(post) for post in posts]
        for candidate in candidates:
            # (1)
            candidate.attempt(candidate.decode)
        with self._database.read() as connection:
            # (2)
            known = known_events(connection, (c.id for c in candidates if c.open))
            for candidate in candidates:
                if candidate.open and candidate.id in known:
                    candidate.attempt(partial(self._answer_again, candidate, connection))
                # (3) to (5)
                candidate.attempt(partial(candidate.verify, self._origin, self._clock()))
            # (6)
            self._judge(connection, [candidate for candidate in candidates if candidate.open])
            # (7)
            standing = cache(partial(member_of_key, connection))
            for candidate in candidates:
                candidate.attempt(
                    partial(
                        candidate.authorise,
                        origin=self._origin,
                        verifying_key=self._verifying_key,
                        standing=standing,
                    )
                )
        return [candidate.outcome for candidate in candidates]

    def _answer_again(self, candidate: _Candidate, connection: Connection) -> None:
        candidate.answer = self.known(connection, candidate.id)

    def _judge(self, connection: Connection, candidates: Sequence[_Candidate]) -> None:
        size = self._sequencer.publisher.published.size
        events = [candidate.event for candidate in candidates if candidate.event]
        verdicts = self._sequencer.rules.judge(connection, events, size, take=False)
        for candidate, verdict in zip(candidates, verdicts, strict=True):
            # One that is appended and not published yet goes on: the sequencer knows when it is.
            if isinstance(verdict, EventRefused):
                candidate.answer = verdict

    def _work(self) -> None:
        while True:
            group = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while group[-1] is not None and len(group) < MAX_TOGETHER:
                    group.append(self._waiting.get_nowait())
            posts = [item for item in group if item is not None]
            try:
                checked: Sequence[Checked | Exception] = self.check([post for post, _ in posts])
            except Exception as error:  # noqa: BLE001 -- a dead thread would leave posts waiting
                checked = [error] * len(posts)
            for (_, answer), found in zip(posts, checked, strict=True):
                self._go_on(found, answer)
            if group[-1] is None:
                return

    def _go_on(self, checked: Checked | Exception, answer: Future[Acknowledgement]) -> None:
        """Answer what is decided, and have the rest proved and appended."""
        if isinstance(checked, Acknowledgement):
            answer.set_result(checked)
            return
        if isinstance(checked, Exception):
            answer.set_exception(checked)
            return
        event, claimed = checked.event, checked.claim
        if claimed is None:
            self._append(event, answer)
            return

        def proved(verdict: Future[Refutation | None]) -> None:
            try:
                refuted = verdict.result()
            except Exception:  # noqa: BLE001 -- a process died, or is stopping
                answer.set_exception(
                    Unavailable("the proof was not verified: send the same bytes again")
                )
                return
            if refuted is None:
                self._append(event, answer)
            else:
                answer.set_exception(refusal(refuted))

        try:
            # (8)
            self._proofs.refute(claimed).add_done_callback(proved)
        except Unavailable as error:
            answer.set_exception(error)

    def _append(self, event: Event, answer: Future[Acknowledgement]) -> None:
        def appended(place: Future[Appended | Known]) -> None:
            try:
                answer.set_result(self.acknowledge(event, place.result()))
            except Exception as error:  # noqa: BLE001 -- whoever waits is told, whatever it is
                answer.set_exception(error)

        try:
            self._sequencer.submit(event).add_done_callback(appended)
        except Unavailable as error:
            answer.set_exception(error)

    def known(self, connection: Connection, event_id: str) -> Acknowledgement | None:
        """The answer to a post that was acknowledged before; None if none was.

        Raises:
            Erased: the event was erased since.
        """
        row = read_event(connection, event_id)
        if row is None:
            return None
        covering = checkpoint_covering(connection, row.index)
        published = self._sequencer.publisher.published
        if covering is None or published.size <= row.index:
            return None
        raw = row.event_bytes()
        if raw is None or row.k is None:
            raise Erased("the event was erased from the log: it cannot be acknowledged again")
        event = parse_event(raw)
        size, note = covering
        return self._acknowledgement(event, row.index, row.at, row.k, size, note)

    def acknowledge(self, event: Event, place: Appended | Known) -> Acknowledgement:
        """The answer to a post that the sequencer has taken."""
        if isinstance(place, Known):
            with self._database.read() as connection:
                known = self.known(connection, event.id)
            if known is None:
                raise Unavailable("the event is being published: send the same bytes again shortly")
            return known
        row, checkpoint = place.row, place.checkpoint
        if row.k is None:
            raise Erased("the event was erased from the log: it cannot be acknowledged again")
        return self._acknowledgement(
            event, row.index, row.at, row.k, checkpoint.size, checkpoint.note
        )

    def _acknowledgement(
        self, event: Event, index: int, at: str, k: bytes, size: int, note: str
    ) -> Acknowledgement:
        path = inclusion_path(self._sequencer.publisher.reader, index, size)
        return Acknowledgement(
            report=event.report,
            event=event.id,
            index=index,
            at=at,
            k=base64.b64encode(k).decode(),
            receipt=LogProof(index, tuple(path), note).text,
        )


class _Candidate:
    """A post on its way through the checks; the first thing that answers it ends them."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._raw = b""
        self._presentations: dict[str, str] = {}
        self._claim: Claim | None = None
        self.id = ""
        self.event: Event | None = None
        self.answer: Acknowledgement | AcxError | None = None

    @property
    def open(self) -> bool:
        return self.answer is None

    @property
    def outcome(self) -> Checked:
        if self.answer is not None:
            return self.answer
        if self.event is None:
            raise AssertionError("every step was taken")
        return Provable(self.event, self._claim)

    def attempt(self, step: Callable[[], None]) -> None:
        """Take a step, unless an earlier one has answered; a refusal is an answer."""
        if self.open:
            try:
                step()
            except AcxError as error:
                self.answer = error

    def decode(self) -> None:
        body = self._body
        if len(body) > MAX_POST_BYTES:
            raise TooLarge(f"a post has at most {MAX_POST_BYTES} bytes")
        try:
            request = msgspec.json.decode(body, type=PostRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRequest(f"the post is not {{event, presentations}}: {error}") from None
        self._raw = bytes(request.event)
        self._presentations = request.presentations
        if len(self._raw) > MAX_EVENT_BYTES:
            raise TooLarge(f"an event has at most {MAX_EVENT_BYTES} bytes")
        self.id = short_id(self._raw)

    def verify(self, origin: str, now: datetime) -> None:
        try:
            # (3)
            event = parse_event(self._raw)
            if event.type in OPERATOR_TYPES:
                raise Forbidden(f"a {event.type} is an operator's: it is not taken here")
            if not event.known:
                raise InvalidEvent(f"this exchange does not know {event.type!r} v{event.v} yet")
            # (4)
            verify_event(event, origin)
        except EventError as error:
            raise InvalidEvent(str(error)) from None
        # (5)
        check_contexts(event, now)
        self.event = event

    def authorise(self, *, origin: str, verifying_key: VerifyingKey, standing: Standing) -> None:
        if self.event is not None:
            self._claim = claim(
                self.event,
                self._presentations,
                origin=origin,
                verifying_key=verifying_key,
                standing=standing,
            )
