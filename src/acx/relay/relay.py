"""The relay: an HTTP proxy that knows one method, CONNECT, and one destination.

The exchange sees the relay's address and not the member's; the relay sees the member's address and,
where the exchange is at an https URL, nothing of the post. Addresses are in memory while their
tunnel stands, to bound what one of them can take, and nowhere else: nothing is logged of a tunnel.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from acx.relay.errors import RelayError

MAX_HEAD_BYTES: Final = 4 * 1024
CHUNK: Final = 64 * 1024
_REQUEST_LINE: Final = re.compile(r"([A-Z]{1,16}) (\S{1,512}) HTTP/1\.[01]", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}

_log = logging.getLogger("acx.relay")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tunnel, one address and all together may take.

    Attributes:
        head_seconds: within which a request must have come whole.
        connect_seconds: within which the exchange must take the connection.
        tunnel_seconds: how long a tunnel may stand; an acknowledgement takes at most 30 s.
        tunnel_bytes: that may pass in either direction; the largest post, files for a dispute,
            has some 3 MiB.
        tunnels: that may stand at once.
        tunnels_per_address: likewise, from one address.
    """

    head_seconds: float = 10.0
    connect_seconds: float = 10.0
    tunnel_seconds: float = 120.0
    tunnel_bytes: int = 4 << 20
    tunnels: int = 1_000
    tunnels_per_address: int = 50


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the relay passes on to.

    Attributes:
        host: name or address, in lower case.
        port: TCP port.
    """

    host: str
    port: int

    @classmethod
    def of_url(cls, url: str) -> Self:
        """The destination that an exchange's URL stands for.

        Raises:
            RelayError: it is no http or https URL.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            host, port = None, 0
        if not host or " " in url:
            raise RelayError(
                f"{url!r} is no exchange's URL: give --to http(s)://HOST[:PORT], as in the invites"
            )
        return cls(host, port)

    @property
    def authority(self) -> str:
        """As a CONNECT request names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class _Refusal(Exception):
    """An answer instead of a tunnel."""

    def __init__(self, status: str, detail: str, headers: str = "") -> None:
        super().__init__(detail)
        self.answer = (
            f"HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain\r\n"
            f"Content-Length: {len(detail) + 1}\r\nConnection: close\r\n\r\n{detail}\n"
        ).encode()


def run(
    to: Destination, listening: socket.socket, *, on_ready: Callable[[], None] | None = None
) -> None:
    """Relay until SIGINT or SIGTERM.

    Args:
        to: the one place to pass on to.
        listening: a socket that is bound and listens.
        on_ready: called once connections are taken.
    """

    async def until_stopped() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio.run makes one
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        relay = Relay(to)
        _log.info("relaying", extra={"to": to.authority})
        with contextlib.suppress(asyncio.CancelledError):
            await relay.serve(listening, on_ready)
        _log.info("stopped", extra={"tunnels": relay.passed, "refused": relay.refused})

    asyncio.run(until_stopped())


class Relay:
    """Passes connections on, until it is stopped.

    Attributes:
        passed: tunnels that stood.
        refused: requests that were answered with a refusal.
    """

    def __init__(self, to: Destination, limits: Limits | None = None) -> None:
        """Nothing listens yet.

        Args:
            to: the one place to pass on to.
            limits: by default, those for posts.
        """
        self._to = to
        self._limits = limits or Limits()
        self._standing: Counter[str] = Counter()
        self.passed = 0
        self.refused = 0

    async def serve(
        self, listening: socket.socket, on_ready: Callable[[], None] | None = None
    ) -> None:
        """Pass on until cancelled; then standing tunnels are cut.

        Args:
            listening: a socket that is bound and listens.
            on_ready: called once connections are taken.
        """
        connections: set[asyncio.Task[None]] = set()

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 -- asyncio runs this in a task of its own
            connections.add(task)
            try:
                await self._serve_one(reader, writer)
            finally:
                connections.discard(task)

        server = await asyncio.start_server(accepted, sock=listening, limit=MAX_HEAD_BYTES)
        try:
            if on_ready is not None:
                on_ready()
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str((writer.get_extra_info("peername") or ("",))[0])
        self._standing[address] += 1
        try:
            try:
                await self._pass_on(address, reader, writer)
            except _Refusal as refusal:
                self.refused += 1
                await _answer(writer, refusal, self._limits.head_seconds)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # Whoever it was has gone, or was too slow to be told anything.
            pass
        finally:
            self._standing[address] -= 1
            self._standing += Counter()  # Forgets addresses without a tunnel.
            await _close(writer)

    async def _pass_on(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        limits = self._limits
        if (
            self._standing.total() > limits.tunnels
            or self._standing[address] > limits.tunnels_per_address
        ):
            raise _Refusal("503 Service Unavailable", "too many tunnels stand; come again later",
                           "Retry-After: 10\r\n")  # fmt: skip
        async with asyncio.timeout(limits.head_seconds):
            self._require_destination(await _read_head(reader))
        onward, away = await self._connect()
        self.passed += 1
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.timeout(limits.tunnel_seconds), asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, away, limits.tunnel_bytes))
                both.create_task(_pump(onward, writer, limits.tunnel_bytes))
        except* OSError:
            # One side has gone, the time is up, or more came than a post has.
            pass
        finally:
            await _close(away)

    def _require_destination(self, head: str) -> None:
        """Check that a request is for what this relay does.

        Raises:
            _Refusal: it is not.
        """
        match = _REQUEST_LINE.fullmatch(head.partition("\r\n")[0])
        if match is None:
            raise _Refusal("400 Bad Request", "this is no HTTP/1.1 request")
        method, target = match.groups()
        if method != "CONNECT":
            raise _Refusal(
                "405 Method Not Allowed",
                f"this relay knows CONNECT {self._to.authority} alone",
                "Allow: CONNECT\r\n",
            )
        if target.lower() != self._to.authority:
            raise _Refusal("403 Forbidden", f"this relay passes on to {self._to.authority} alone")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                return await asyncio.open_connection(self._to.host, self._to.port)
        except TimeoutError:
            raise _Refusal("504 Gateway Timeout", "the exchange does not answer") from None
        except (OSError, UnicodeError):
            raise _Refusal("502 Bad Gateway", "the exchange cannot be reached") from None


async def _read_head(reader: asyncio.StreamReader) -> str:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Refusal(
            "431 Request Header Fields Too Large", f"a request has {MAX_HEAD_BYTES} bytes at most"
        ) from None
    return head.decode("latin-1")


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int) -> None:
    """Pass bytes on, up to the limit, and then the end of them.

    Raises:
        ConnectionAbortedError: there are more.
    """
    while data := await source.read(CHUNK):
        limit -= len(data)
        if limit < 0:
            raise ConnectionAbortedError
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


async def _answer(writer: asyncio.StreamWriter, refusal: _Refusal, seconds: float) -> None:
    writer.write(refusal.answer)
    async with asyncio.timeout(seconds):
        await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
