"""The exchange while it serves: it leads, takes posts, and lets members read.

What `acx.web.exchange_api` calls. Each method is one thing a caller may ask; who asks is checked
here, so that no door can be left open by a route.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from acx.exchange.admission.invites import Joined, JoinRequest, join
from acx.exchange.admission.members import (
    Member,
    is_admitted,
    member_of_key,
    member_of_token,
)
from acx.exchange.clock import Clock
from acx.exchange.errors import Forbidden, LeadError, MalformedRequest, Unauthenticated
from acx.exchange.feed.collection import Collection
from acx.exchange.feed.live import Live
from acx.exchange.feed.pages import KeyPages, entries_page, key_pages
from acx.exchange.feed.tail import Tail
from acx.exchange.governance.accused import Accused
from acx.exchange.governance.daily import DailyThread
from acx.exchange.governance.decisions import Decisions
from acx.exchange.governance.texts import Texts
from acx.exchange.home import Home, Settings
from acx.exchange.intake.intake import Acknowledgement, Intake
from acx.exchange.intake.proofs import machine_proofs
from acx.exchange.issuing.issuer import CredentialRequestBody, IssuedCredential, Issuer
from acx.exchange.sequencer.outbox import outcome
from acx.exchange.sequencer.publisher import CachedReader
from acx.exchange.sequencer.sequencer import Published, Sequencer
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import newest_checkpoint
from acx.exchange.webhooks.service import WebhookService
from acx.exchange.witnessing.collector import Collector
from acx.exchange.witnessing.policy import read_policy
from acx.log.checkpoint import Checkpoint
from acx.log.merkle import EMPTY_ROOT
from acx.records.event import public_key_text

POST_SECONDS: Final = 30.0
"""How long a poster waits for its acknowledgement before it is told to ask again."""
RECORD_SECONDS: Final = 5.0
"""How long a join waits to be on record; it is good even if that takes longer."""
_POLL_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """A page of the feed.

    Attributes:
        entries: index and rendered entry, in order.
        checkpoint: covers them.
        cosigned: the newest that enough witnesses have signed; of size 0 before one has.
    """

    entries: Sequence[tuple[int, bytes]]
    checkpoint: Checkpoint
    cosigned: Checkpoint


class Reading:
    """What members and anybody may read of one exchange, in any process that has its rows.

    Attributes:
        live: the live end of the log, for streams.
        collection: the reports as STIX objects, for TAXII.
        settings: as configured.
        public: the log's files.
    """

    def __init__(
        self, home: Home, settings: Settings, database: Database, files: CachedReader, live: Live
    ) -> None:
        """Nothing is read yet.

        Args:
            home: the operator's directory.
            settings: from its `config.toml`.
            database: its rows.
            files: the log's files.
            live: is fed by whoever makes this.
        """
        self.settings = settings
        self.public: Path = home.public
        self.live = live
        self._database = database
        self._files = files
        founder = public_key_text(home.service_key())
        self.collection = Collection(database, settings.origin, founder)

    @property
    def published(self) -> Checkpoint:
        """The checkpoint that everybody can see."""
        return self.live.newest

    @property
    def cosigned(self) -> Checkpoint:
        """The newest checkpoint that enough witnesses have signed; of size 0 before one has."""
        return self.live.cosigned

    def member(self, token: str) -> Member:
        """The member a bearer token belongs to.

        Raises:
            Unauthenticated, Suspended: nobody's, or a suspended member's.
        """
        if not token:
            raise Unauthenticated(
                "this needs `Authorization: Bearer TOKEN`, the token of your join"
            )
        with self._database.read() as connection:
            return member_of_token(connection, token)

    def log_file(self, path: str) -> bytes:
        """A tile, entries or a bundle; cut from a wider one, if that alone is left.

        Args:
            path: as `acx.log.tiles.parse_path` accepts it.

        Raises:
            MissingFile: there is no such file.
        """
        return self._files.read(path)

    def admitted(self, tokens: set[str]) -> set[str]:
        """Those of some tokens that are members' in good standing."""
        with self._database.read() as connection:
            return {token for token in tokens if is_admitted(connection, token)}

    def entries(
        self,
        after: int,
        limit: int,
        checkpoint: Checkpoint | None = None,
        max_bytes: int | None = None,
    ) -> EntriesPage:
        """Entries after a place, and a checkpoint that covers them.

        Args:
            after: the last place that is known, -1 for none.
            limit: at most so many.
            checkpoint: show no more than it covers; by default, than what is published.
            max_bytes: end the page rather than let it grow beyond this.
        """
        checkpoint = checkpoint or self.published
        with self._database.read() as connection:
            entries = entries_page(connection, checkpoint, after, limit, max_bytes)
        return EntriesPage(entries, checkpoint, self.cosigned)

    def keys(self, after: int) -> KeyPages:
        """Key pages from the one that holds `after + 1` on."""
        with self._database.read() as connection:
            return key_pages(connection, self.published, after)


class Following(Reading, AbstractContextManager["Following"]):
    """One exchange that another process leads: this one reads, and any number may."""

    def __init__(self, home: Home, settings: Settings, database: Database) -> None:
        """Follow what is published from now on.

        Raises:
            LogError: nothing was published so far.
        """
        with database.read() as connection:
            newest = newest_checkpoint(connection)
        if newest is None:
            raise LeadError("nothing was signed so far: start the process that leads first")
        live = Live(newest, Checkpoint(settings.origin, 0, EMPTY_ROOT))
        super().__init__(home, settings, database, CachedReader(home.public), live)
        self._tail = Tail(database, live, home.public)
        self._tail.start()

    @property
    def ready(self) -> bool:
        """Whether what is published can be read."""
        return self._tail.ready

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Follow no more."""
        self.live.close()
        self._tail.stop()


class Service(Reading, AbstractContextManager["Service"]):
    """One exchange, led by this process.

    Attributes:
        sequencer: appends.
        intake: checks posts.
        issuer: issues credentials.
        accused: answers those who may be in the record.
        texts: takes what belongs to answers and not into the log.
        webhooks: posts what is new to members that ask for it.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        database: Database,
        *,
        clock: Clock,
        listener: Callable[[Published], None] | None = None,
    ) -> None:
        """Take the lead and begin to append.

        Args:
            home: the operator's directory.
            settings: from its `config.toml`.
            database: its rows.
            clock: the time.
            listener: told of each commit, in the sequencer's thread.

        Raises:
            LeadError: another process leads.
            LogBehind: the rows are behind what was signed.
        """
        self._clock = clock
        self._listener = listener
        self.issuer = Issuer(database, home.issuer_key(), clock=clock)
        self.sequencer = Sequencer(
            home, database, settings.origin, clock=clock, listener=self._heard
        )
        publisher = self.sequencer.publisher
        live = Live(publisher.published, publisher.read_cosigned())
        super().__init__(home, settings, database, publisher.reader, live)
        self._collector = Collector(
            self.sequencer.publisher, read_policy(settings.witnesses), self.live.cosign
        )
        self.intake = Intake(
            database,
            self.sequencer,
            settings.origin,
            clock=clock,
            verifying_key=self.issuer.verifying_key,
            proofs=machine_proofs(),
        )
        # The next period's key is in the log before anybody asks.
        self.issuer.refresh()
        self.sequencer.drain()
        self.sequencer.start()
        self.issuer.start()
        self._collector.start()
        decisions = Decisions(home, settings, database, clock)
        self.accused = Accused(decisions)
        self.texts = Texts(decisions)
        self._daily = DailyThread(decisions)
        self.webhooks = WebhookService(
            home, settings, database, lambda: self.live.newest, clock=clock
        )
        self.live.listen(self.webhooks.dispatcher.wake)
        self.webhooks.dispatcher.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the commit in hand and stop."""
        self.close()

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def close(self) -> None:
        """Finish the commit in hand and stop."""
        self._daily.stop()
        self.webhooks.dispatcher.stop()
        self.accused.close()
        self.issuer.stop()
        self.live.close()
        self._collector.stop()
        self.intake.close()
        self.sequencer.stop()

    @property
    def published(self) -> Checkpoint:
        """The checkpoint that everybody can see."""
        return self.sequencer.publisher.published

    @property
    def ready(self) -> bool:
        """Whether events are being taken."""
        return self.sequencer.ready

    def join(self, request: JoinRequest, signed_by: str, acceptance: str = "") -> Joined:
        """Make the holder of an invite a member, on record.

        Args:
            request: as sent.
            signed_by: the key that signed the request.
            acceptance: the request and its signature, kept as what shows that the terms were
                accepted.

        Raises:
            MalformedRequest: the request names another key than the one that signed it.
            InviteRefused, InviteUsed, InviteExpired: the invite does not admit it.
        """
        if signed_by != request.member_key:
            raise MalformedRequest("the request is signed by another key than its member_key")
        with self._database.write() as connection:
            joined, decision = join(
                connection,
                request,
                now=self._clock(),
                terms=self.settings.terms,
                issuer=self.issuer,
                acceptance=acceptance,
            )
        if decision is not None:
            self._await(decision)
        return joined

    def credential(self, request: CredentialRequestBody, signed_by: str) -> IssuedCredential:
        """A member's credential under a key; asked again, the same one.

        Args:
            request: as sent.
            signed_by: the key that signed the request.

        Raises:
            Unauthenticated, Suspended: the key is no member's in good standing.
            Forbidden: its role gets none.
            WrongIssuerKey, ForeignCommitment, MalformedRequest: see `Issuer.issue`.
        """
        with self._database.write() as connection:
            member = member_of_key(connection, signed_by)
            if not member.may_post:
                raise Forbidden("this membership reads and does not report: it gets no credentials")
            return self.issuer.issue(connection, member.id, request)

    def post(self, body: bytes) -> Future[Acknowledgement]:
        """Take an event, from its bytes to its acknowledgement.

        Args:
            body: of the request; nothing else of it is known here.

        Returns:
            The answer. It may end in any Refused or Unavailable.

        Raises:
            Unavailable: too many posts wait already.
        """
        return self.intake.take(body)

    def _await(self, decision: int) -> None:
        """Wait until a decision is on record: what its maker does next may rest on it."""
        self.sequencer.wake()
        deadline = time.monotonic() + RECORD_SECONDS
        while time.monotonic() < deadline:
            with self._database.read() as connection:
                if outcome(connection, decision) is not None:
                    return
            time.sleep(_POLL_SECONDS)

    def _heard(self, published: Published) -> None:
        self.live.feed(published)
        self._collector.wake()
        if self._listener is not None:
            self._listener(published)


def encode_page(page: EntriesPage) -> bytes:
    """A page of the feed as JSON, the events' bytes verbatim."""
    entries = b",".join(rendered for _, rendered in page.entries)
    return b'{"checkpoint":%b,"cosigned":%b,"entries":[%b]}' % (
        msgspec.json.encode(page.checkpoint.note),
        msgspec.json.encode(page.cosigned.note),
        entries,
    )
