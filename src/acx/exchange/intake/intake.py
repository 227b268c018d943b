"""Intake: one post, from its bytes to an acknowledgement.

Steps, in the order of the protocol, the cheap ones first: (1) size; (2) the same event again gets
the same answer; (3) form and type; (4) signature; (5) contexts and dates; (6) the report takes it,
and its tags are unspent; (7) authorisation. Then the sequencer decides, and the poster is answered.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

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
from acx.exchange.intake.authorise import Poster, authorise
from acx.exchange.intake.contexts import check_contexts
from acx.exchange.intake.rules import Known
from acx.exchange.sequencer.sequencer import Appended, Sequencer
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import (
    checkpoint_covering,
    known_events,
    load_period_secrets,
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


class PostRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is posted.

    Attributes:
        event: the event's canonical bytes, verbatim.
        presentations: by context.
    """

    event: msgspec.Raw
    presentations: Annotated[dict[str, Any], Meta(max_length=8)]


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


class Intake:
    """Takes posts for one log. Called from any number of threads."""

    def __init__(
        self, database: Database, sequencer: Sequencer, origin: str, *, clock: Clock
    ) -> None:
        self._database = database
        self._sequencer = sequencer
        self._origin = origin
        self._clock = clock
        with database.read() as connection:
            self._secrets = load_period_secrets(connection)

    def check(self, body: bytes, poster: Poster) -> Event | Acknowledgement:
        """Steps 1 to 7: everything that can be known before the sequencer's turn.

        Args:
            body: of the request.
            poster: verifies who signed the request.

        Returns:
            The event, to hand to the sequencer; or the answer, if it is in the log already.

        Raises:
            Refused: at the step that its class tells.
        """
        # (1)
        if len(body) > MAX_POST_BYTES:
            raise TooLarge(f"a post has at most {MAX_POST_BYTES} bytes")
        request = _decoded(body)
        raw = bytes(request.event)
        if len(raw) > MAX_EVENT_BYTES:
            raise TooLarge(f"an event has at most {MAX_EVENT_BYTES} bytes")
        with self._database.read() as connection:
            # (2)
            event_id = short_id(raw)
            known = (
                self.known(connection, event_id) if known_events(connection, [event_id]) else None
            )
            if known is not None:
                return known
            # (3)
            event = _parsed(raw)
            # (4)
            try:
                verify_event(event, self._origin)
            except EventError as error:
                raise InvalidEvent(str(error)) from None
            # (5)
            check_contexts(event, self._clock())
            # (6)
            size = self._sequencer.publisher.published.size
            (verdict,) = self._sequencer.rules.judge(connection, [event], size, take=False)
            if isinstance(verdict, EventRefused):
                raise verdict
            # An event that is appended and not published yet goes on: the sequencer knows when.
            # (7)
            authorise(
                event, request.presentations, poster, connection=connection, secrets=self._secrets
            )
        return event

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


def _decoded(body: bytes) -> PostRequest:
    try:
        return msgspec.json.decode(body, type=PostRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"the post is not {{event, presentations}}: {error}") from None


def _parsed(raw: bytes) -> Event:
    try:
        event = parse_event(raw)
    except EventError as error:
        raise InvalidEvent(str(error)) from None
    if event.type in OPERATOR_TYPES:
        raise Forbidden(f"a {event.type} is an operator's: it is not taken here")
    if not event.known:
        raise InvalidEvent(f"this exchange does not know {event.type!r} v{event.v} yet")
    return event
