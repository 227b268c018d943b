"""Connections as acx's servers need them, over uvicorn's.

Bounds on what one may cost before there is a request to refuse: uvicorn bounds neither the size of
headers nor the time a client takes to send them. And, for what is told to thousands at once, a way
past ASGI's one call a message and connection (`Connection`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES: Final = 16 * 1024
REQUEST_SECONDS: Final = 30.0
"""How long a client may take to send a request."""
LOST_SECONDS: Final = 60
"""How long a peer may not acknowledge what was sent before the system counts it as gone."""
CONNECTION: Final = "acx.connection"
"""The ASGI extension under which a request finds its connection."""


class Connection(Protocol):
    """The connection of a response that has been started, to be written to without waiting."""

    @property
    def buffered(self) -> int:
        """Bytes that are written and not yet taken by the system."""

    def write(self, data: bytes) -> None:
        """Write to a chunked response; the caller keeps an eye on `buffered`."""

    def bound(self, size: int) -> None:
        """Have the system hold only about so many bytes that the peer has not acknowledged."""

    async def drained(self, seconds: float) -> None:
        """Wait until the system has taken most of what was written.

        Raises:
            TimeoutError: it does not, for so long.
        """

    def abort(self) -> None:
        """Cut it off."""

    def when_lost(self, callback: Callable[[], None]) -> None:
        """Have something called once the connection is gone, or now if it is."""


def chunk(data: bytes) -> bytes:
    """A chunk of a body of unknown length (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 where a request comes whole in due time, and its headers are short."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._in_headers = True
        self._deadline: asyncio.TimerHandle | None = None
        self._lost = False
        self._when_lost: list[Callable[[], None]] = []

    @property
    def buffered(self) -> int:
        """Bytes that are written and not yet taken by the system."""
        return self.transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write to a chunked response."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def bound(self, size: int) -> None:
        """Have the system hold only about so many bytes that the peer has not acknowledged."""
        self._set_option(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    async def drained(self, seconds: float) -> None:
        """Wait until the system has taken most of what was written."""
        if self.flow.write_paused and not self._lost:
            await asyncio.wait_for(self.flow.drain(), seconds)

    def abort(self) -> None:
        """Cut it off."""
        self.transport.abort()

    def when_lost(self, callback: Callable[[], None]) -> None:
        """Have something called once the connection is gone."""
        if self._lost:
            callback()
        else:
            self._when_lost.append(callback)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: its first request is due."""
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Also of a peer that is there and takes nothing: its window stays shut.
            self._set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_SECONDS * 1000)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._request_came()
        super().connection_lost(exc)
        self._lost = True
        for callback in self._when_lost:
            callback()
        self._when_lost.clear()

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]
        self._in_headers = True
        self._header_bytes = 0
        self._expect_request()

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._request_came()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.send_400_response("Headers too large.")

    def _set_option(self, level: int, option: int, value: int) -> None:
        opened = self.transport.get_extra_info("socket")
        if opened is not None:
            # It may be gone already.
            with contextlib.suppress(OSError):
                opened.setsockopt(level, option, value)

    def _expect_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _request_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()
