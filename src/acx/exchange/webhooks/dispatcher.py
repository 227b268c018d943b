"""Posts what is new to members' endpoints: in order, one post at a time to each, until it is taken.

A post holds the entries after an endpoint's cursor as the feed has them, in the form and with the
signature of Standard Webhooks. It bears the same id each time it is tried, and the cursor moves on
once it is taken: so an endpoint gets everything, in order, and some of it twice when an answer is
lost. One that fails is tried again later and later; what has failed for three days, or says that it
is gone, is left alone until its member asks for a replay, from where it stopped.

Source: https://github.com/standard-webhooks/standard-webhooks, specification of 2024.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection

from acx.errors import AcxError
from acx.exchange.clock import Clock
from acx.exchange.feed.pages import entries_page
from acx.exchange.storage.database import Database
from acx.exchange.webhooks import endpoints
from acx.exchange.webhooks.endpoints import Endpoint, Seal, second_text
from acx.exchange.webhooks.target import Answer, Network, post
from acx.log.checkpoint import Checkpoint

POST_ENTRIES: Final = 100
POST_BYTES: Final = 256 * 1024
"""A post holds so many entries, and about so many bytes of them, at most."""
AT_ONCE: Final = 16
"""Endpoints that are posted to at the same time."""
FIRST_PAUSE_SECONDS: Final = 5
LONGEST_PAUSE_SECONDS: Final = 600
"""Pauses double from the one to the other; each is shortened at random by up to half."""
GIVE_UP_SECONDS: Final = 3 * 24 * 3600
MAX_RETRY_AFTER: Final = 3600
LOOK_SECONDS: Final = 5.0
"""How often to look for what is due if nobody wakes."""
GATHER_SECONDS: Final = 0.05
"""How long to wait for company once something is new."""
_GONE: Final = 410

_log = logging.getLogger("acx.exchange.webhooks")


def signed(body: bytes, message: str, now: int, secrets: tuple[bytes, ...]) -> dict[str, str]:
    """The headers of a post: its id, its time, and a signature with each secret."""
    content = b"%b.%d.%b" % (message.encode(), now, body)
    signatures = (
        "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
        for secret in secrets
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": "acx",
        "webhook-id": message,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(signatures),
    }


def rendered(kind: str, now: int, data: bytes) -> bytes:
    """The body of a post."""
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (
        kind.encode(),
        second_text(now).encode(),
        data,
    )


class Dispatcher:
    """Posts in threads of its own, from `start` to `stop`.

    Attributes:
        told: called after each post, with whether it was taken; by default, nobody.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        allowed: tuple[Network, ...],
        newest: Callable[[], Checkpoint],
        *,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is posted yet.

        Args:
            database: of the endpoints and of what they are told.
            seal: opens their secrets.
            allowed: networks that are not public and may be posted to.
            newest: the checkpoint that everybody can see.
            clock: the time.
            chance: spreads retries; from 0 to below 1.
        """
        self._database = database
        self._seal = seal
        self._allowed = allowed
        self._newest = newest
        self._clock = clock
        self._chance = chance
        self.told: Callable[[bool], None] = lambda _: None
        self._posting: dict[str, Future[None]] = {}
        self._executor = ThreadPoolExecutor(AT_ONCE, "acx-webhook")
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Post from now on."""
        self._thread = threading.Thread(target=self._run, name="acx-webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave what is waiting; it is posted by whoever leads next."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Look for what is due now."""
        self._news.set()

    def settle(self) -> None:
        """Post until nothing is due any more, in the caller's time."""
        while self._dispatch():
            wait(list(self._posting.values()))
            self._posting.clear()

    def test(self, target: Endpoint) -> Answer:
        """Post something that says nothing, once."""
        now = self._now()
        body = rendered("webhook.test", now, b"{}")
        message = f"test_{target.id}_{now}"
        return post(target.url, body, signed(body, message, now, target.secrets), self._allowed)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                self._dispatch()
            except AcxError as error:
                _log.warning("webhooks wait", extra={"reason": str(error)})
            except Exception:  # noqa: BLE001 -- a dead thread would leave every endpoint waiting
                _log.exception("webhooks wait")
            self._news.wait(LOOK_SECONDS)
            # More may come at once: it goes into one post.
            self._stopping.wait(GATHER_SECONDS)

    def _dispatch(self) -> int:
        """Begin what is due; how much that is."""
        for name in [name for name, future in self._posting.items() if future.done()]:
            del self._posting[name]
        with self._database.read() as connection:
            waiting = endpoints.due(connection, self._seal, self._now(), self._newest().size)
        fresh = [each for each in waiting if each.id not in self._posting]
        for each in fresh:
            self._posting[each.id] = self._executor.submit(self._serve, each)
        return len(fresh)

    def _serve(self, target: Endpoint) -> None:
        try:
            self._deliver(target)
        except (AcxError, OSError, InvalidTag) as error:
            # Not the endpoint's fault: its turn comes again.
            _log.warning("not posted", extra={"webhook": target.id, "reason": str(error)})
        except Exception:  # noqa: BLE001 -- it would be lost in the future
            _log.exception("not posted", extra={"webhook": target.id})
        else:
            # There may be more to post by now.
            self._news.set()

    def _deliver(self, target: Endpoint) -> None:
        checkpoint, now = self._newest(), self._now()
        limit = target.stop - target.after - 1 if target.stop else POST_ENTRIES
        with self._database.read() as connection:
            page = entries_page(
                connection,
                checkpoint,
                target.after,
                limit,
                None if target.stop else POST_BYTES,
            )
        if not page:
            return
        first, last = page[0][0], page[-1][0]
        if not target.stop:
            with self._database.write() as connection:
                endpoints.begun(connection, target, last + 1)
        data = b'{"entries":[%b],"checkpoint":%b}' % (
            b",".join(entry for _, entry in page),
            msgspec.json.encode(checkpoint.note),
        )
        body = rendered("log.entries", now, data)
        headers: Mapping[str, str] = signed(
            body, f"{target.id}_{first}_{last}", now, target.secrets
        )
        answer = post(target.url, body, headers, self._allowed)
        self.told(answer.taken)
        with self._database.write() as connection:
            if answer.taken:
                endpoints.taken(connection, target, last)
            else:
                self._failed(connection, target, answer)

    def _failed(self, connection: Connection, target: Endpoint, answer: Answer) -> None:
        now = self._now()
        since = target.failing_since or now
        dead = answer.status == _GONE or now - since >= GIVE_UP_SECONDS
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(target.attempts, 16))
        spread = pause * (1 - self._chance() / 2)
        asked = min(answer.retry_after, MAX_RETRY_AFTER)
        endpoints.failed(
            connection,
            target,
            problem=answer.problem,
            since=since,
            due=now + max(1, round(spread), asked),
            dead=dead,
        )
        if dead:
            _log.warning("webhook given up", extra={"webhook": target.id})

    def _now(self) -> int:
        return int(self._clock().timestamp())
