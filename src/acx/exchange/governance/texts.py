"""Texts of contributors: what belongs to an answer and must not stand in the log.

Whoever answered a dispute may send words and files after it, sealed to the operators and signed by
the very key that answered: so the exchange learns no more of who writes than it knew.
"""

from __future__ import annotations

import base64
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection

from acx.exchange.errors import (
    GovernanceError,
    MalformedRequest,
    NotAuthorised,
    ReportClosed,
    TooManyFollowUps,
    UnknownReport,
)
from acx.exchange.governance import filings
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.disputes import Disputes
from acx.exchange.storage.ledger import parsed, read_event
from acx.records.event import Event, Id, Signature
from acx.records.sealed_text import (
    MAX_SEALED_BYTES,
    SealedTextError,
    recipients_of,
    text_statement,
)

MAX_TEXT_BYTES: Final = MAX_SEALED_BYTES + 1024


class TextRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that belongs to an answer.

    Attributes:
        answer: id of the answer in the log.
        text: the sealed text, verbatim.
        signature: base64, by the key that signed the answer, over `text_statement`.
    """

    answer: Id
    text: msgspec.Raw
    signature: Signature


class TextTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's word that a text is kept for the operators.

    Attributes:
        text: its id.
    """

    text: str


class Texts:
    """Takes texts for one exchange."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._disputes = Disputes(decisions)

    def take(self, body: bytes) -> TextTaken:
        """Keep a text for the operators; the same again gets the same answer.

        Args:
            body: of the request.

        Raises:
            MalformedRequest: it is no text, or sealed to somebody who is no operator.
            UnknownReport: there is no such answer.
            NotAuthorised: it is not signed by the key that answered.
            ReportClosed: the dispute is decided.
            TooManyFollowUps: the answer has as many texts as it may.
        """
        request = _parse(body)
        raw = bytes(request.text)
        with self._decisions.database.write() as connection:
            answer = _answer(connection, request.answer)
            self._verify(request, raw, answer)
            _check_recipients(connection, raw)
            if self._disputes.stage(connection, answer.ref) != "open":
                raise ReportClosed("the dispute is decided: nobody would read it any more")
            try:
                identifier = filings.add_text(
                    connection,
                    dispute=answer.ref,
                    about=answer.id,
                    sealed=raw,
                    now=self._decisions.clock(),
                )
            except GovernanceError as error:
                raise TooManyFollowUps(str(error)) from None
        return TextTaken(text=identifier)

    def _verify(self, request: TextRequest, raw: bytes, answer: Event) -> None:
        statement = text_statement(
            raw, origin=self._decisions.settings.origin, answer=request.answer
        )
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(answer.by))
        try:
            key.verify(base64.b64decode(request.signature), statement)
        except InvalidSignature:
            raise NotAuthorised("the text is not signed by the key that answered") from None


def _parse(body: bytes) -> TextRequest:
    try:
        return msgspec.json.decode(body, type=TextRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"not {{answer, text, signature}}: {error}") from None


def _answer(connection: Connection, event_id: str) -> Event:
    row = read_event(connection, event_id)
    event = parsed(row) if row is not None else None
    if event is None or event.type != "answer":
        raise UnknownReport("the log holds no such answer: post it first")
    return event


def _check_recipients(connection: Connection, raw: bytes) -> None:
    try:
        unknown = recipients_of(raw) - set(filings.recipients(connection))
    except SealedTextError as error:
        raise MalformedRequest(str(error)) from None
    if unknown:
        raise MalformedRequest(
            "the text is sealed to somebody who is no operator: read the operators in the log"
        )
