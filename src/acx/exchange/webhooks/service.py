"""What a member may ask about its webhooks; each method is one request."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import msgspec

from acx.exchange.admission.members import Member
from acx.exchange.clock import Clock
from acx.exchange.home import Home, Settings
from acx.exchange.storage.database import Database
from acx.exchange.webhooks import endpoints
from acx.exchange.webhooks.dispatcher import Dispatcher
from acx.exchange.webhooks.endpoints import (
    NewWebhook,
    Replay,
    Seal,
    Tested,
    Webhook,
    Webhooks,
    WebhookWithSecret,
)
from acx.exchange.webhooks.target import checked_url
from acx.log.checkpoint import Checkpoint


class WebhookService:
    """Members' webhooks, and the dispatcher that posts to them.

    Attributes:
        dispatcher: posts what is new.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        database: Database,
        newest: Callable[[], Checkpoint],
        *,
        clock: Clock,
    ) -> None:
        """Nothing is posted yet.

        Args:
            home: has the key that secrets are sealed under.
            settings: say which networks may be posted to beside the public ones.
            database: of webhooks and entries.
            newest: the checkpoint that everybody can see.
            clock: the time.
        """
        self._database = database
        self._seal = Seal(home.issuer_key())
        self._allowed = tuple(map(ipaddress.ip_network, settings.webhook_networks))
        self._newest = newest
        self._clock = clock
        self.dispatcher = Dispatcher(database, self._seal, self._allowed, newest, clock=clock)

    def create(self, member: Member, request: NewWebhook) -> WebhookWithSecret:
        """Post what comes after a place to a URL; the secret is shown this once.

        Raises:
            MalformedRequest: the URL cannot be one of a target.
            TooManyWebhooks: the member has as many as it may have.
        """
        url = checked_url(request.url, self._allowed)
        head = self._newest().size - 1
        after = head if request.after is msgspec.UNSET else min(request.after, head)
        with self._database.write() as connection:
            made = endpoints.create(connection, self._seal, member.id, url, after)
        self.dispatcher.wake()
        return made

    def list(self, member: Member) -> Webhooks:
        """A member's webhooks, and how it goes."""
        with self._database.read() as connection:
            return endpoints.of_member(connection, member.id)

    def delete(self, member: Member, name: str) -> None:
        """Post there no more.

        Raises:
            NoSuchWebhook: the member has none of this id.
        """
        with self._database.write() as connection:
            endpoints.remove(connection, member.id, name)

    def rotate(self, member: Member, name: str) -> WebhookWithSecret:
        """Sign with another secret, and for a day with the one before too.

        Raises:
            NoSuchWebhook: the member has none of this id.
        """
        with self._database.write() as connection:
            return endpoints.rotate(connection, self._seal, member.id, name, self._clock())

    def replay(self, member: Member, name: str, request: Replay) -> Webhook:
        """Post again from some place on; a dead one from where it stopped.

        Raises:
            NoSuchWebhook: the member has none of this id.
        """
        with self._database.write() as connection:
            shown = endpoints.replay(connection, member.id, name, request, self._newest().size - 1)
        self.dispatcher.wake()
        return shown

    def test(self, member: Member, name: str) -> Tested:
        """Post something that says nothing, now, and tell how that went.

        Raises:
            NoSuchWebhook: the member has none of this id.
        """
        now = int(self._clock().timestamp())
        with self._database.read() as connection:
            target = endpoints.endpoint(connection, self._seal, member.id, name, now)
        answer = self.dispatcher.test(target)
        return Tested(status=answer.status, problem=answer.problem)
