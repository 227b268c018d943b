"""Carries events to the log, and texts to its operators, without telling members apart.

Every post is the same request but for its body: the bytes of its head are written here and depend
on no library's version, the body is padded to one of a few sizes, and the connection is new each
time, goes through a relay or proxy where there is one, and is used for nothing else. The proof that
the log holds the event comes with the answer, so nothing is fetched afterwards.
"""

from __future__ import annotations

import http.client
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx

from acx.member.client import (
    MAX_SMALL_ANSWER,
    SLOWEST,
    Acknowledgement,
    decoded,
    points_elsewhere,
    refused,
)
from acx.member.errors import BadAnswer, SettingError, Unreachable
from acx.member.tunnel import Hop, open_tunnel

EVENTS_PATH: Final = "/v1/events"
TEXTS_PATH: Final = "/v1/disputes/texts"
PADDED: Final = (8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10)
"""Sizes of bodies; JSON may end in spaces."""
HEADERS: Final = (
    ("User-Agent", "acx"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
    ("Content-Type", "application/json"),
)
"""The same for everybody, in this order, between `Host` and `Content-Length`."""
_CHUNK: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}


class Poster:
    """Carries events to the log, each over a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        before: Sequence[Hop] = (),
        relays: Sequence[Hop] = (),
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: the exchange's.
            timeout: seconds of silence after which somebody on the way counts as dead.
            before: proxies that every connection from here has to go through.
            relays: who passes posts on: one of them at random, another if it cannot be reached;
                none to post directly.

        Raises:
            SettingError: the URL is none.
        """
        self._url = url.rstrip("/")
        try:
            parts = urlsplit(self._url)
            self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            self._host = ""
        if not self._host:
            raise SettingError(f"{url!r} is no address acx can use: give http(s)://HOST[:PORT]")
        self._authority = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path
        self._timeout = timeout
        self._before = tuple(before)
        self._relays = tuple(relays)
        # Loading the certificate authorities takes longer than the rest of a post, so once.
        self._tls: ssl.SSLContext | None = (
            httpx.create_ssl_context(trust_env=True) if parts.scheme == "https" else None
        )

    def post(self, event: bytes, presentations: bytes = b"{}") -> Acknowledgement:
        """Post an event.

        Args:
            event: its bytes.
            presentations: canonical JSON.

        Raises:
            Unreachable: no answer; `sent` says whether it may have arrived.
            Refused: the exchange said no.
            BadAnswer: the answer was not one.
        """
        body = b'{"event":' + event + b',"presentations":' + presentations + b"}"
        return decoded(self._post(EVENTS_PATH, body), Acknowledgement, "events")

    def post_text(self, text: bytes) -> None:
        """Post what goes to the operators, and into no log; the same again changes nothing.

        Args:
            text: as `acx.member.texts.sealed` makes it.

        Raises:
            Unreachable, Refused, BadAnswer: as for an event.
        """
        self._post(TEXTS_PATH, text)

    def _post(self, path: str, body: bytes) -> bytes:
        with self._connection() as connection:
            return self._exchange(connection, self._prefix + path, padded(body))

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        """A connection that ends in due time, whatever the other side does."""
        connection = self._secured(self._reach())
        # Past any protection: what has to end is the connection below.
        expiry = threading.Timer(
            SLOWEST * self._timeout, socket.socket.shutdown, (connection, socket.SHUT_RDWR)
        )
        expiry.daemon = True
        expiry.start()
        started = time.monotonic()
        try:
            yield connection
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() - started >= SLOWEST * self._timeout:
                reason = "is too slow"
            elif isinstance(error, TimeoutError):
                reason = "did not answer in time"
            else:
                reason = f"broke the connection ({type(error).__name__})"
            raise Unreachable(f"{self._url} {reason}; try again later", sent=True) from None
        finally:
            expiry.cancel()
            connection.close()

    def _reach(self) -> socket.socket:
        """Connect by one of the relays, or directly where there is none."""
        ways: list[tuple[Hop, ...]] = [(relay,) for relay in self._relays] or [()]
        secrets.SystemRandom().shuffle(ways)
        for way in ways:
            try:
                return open_tunnel(self._host, self._port, self._before + way, self._timeout)
            except Unreachable as error:
                failure = error
        if self._relays:
            raise Unreachable(
                f"no relay or proxy passes the post on: {failure}. --via takes another one;"
                " --direct takes none, and then the exchange sees this machine's address",
                sent=False,
            )
        raise failure

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_hostname=self._host)
        except (OSError, ValueError) as error:
            connection.close()
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error
            raise Unreachable(
                f"{self._url} cannot be reached safely ({reason}); check the address", sent=False
            ) from None

    def _exchange(self, connection: socket.socket, path: str, body: bytes) -> bytes:
        """Send a body, and give what is answered."""
        request = http.client.HTTPConnection(self._host)
        request.sock = connection
        request.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
        for name, value in (
            ("Host", self._authority),
            *HEADERS,
            ("Content-Length", str(len(body))),
        ):
            request.putheader(name, value)
        request.endheaders(body)
        answer = request.getresponse()
        if answer.status // 100 == 3:
            raise points_elsewhere(self._url, answer.headers.get("Location", ""))
        content = self._read(answer)
        if answer.status // 100 != 2:
            raise refused(self._url, answer.status, content)
        return content

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        content = b""
        while data := answer.read1(_CHUNK):
            content += data
            if len(content) > MAX_SMALL_ANSWER:
                raise BadAnswer(
                    f"{self._host} gave more than {MAX_SMALL_ANSWER} bytes; nothing was taken"
                )
        announced = answer.headers.get("Content-Length", "")
        if announced.isdecimal() and len(content) < int(announced):
            raise http.client.IncompleteRead(content)
        return content


def padded(body: bytes) -> bytes:
    """A body made as long as one of `PADDED`, so that its length tells little."""
    return body.ljust(next((size for size in PADDED if size >= len(body)), 0))
