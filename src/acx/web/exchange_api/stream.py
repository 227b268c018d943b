"""The log as server-sent events: what a member is told the moment it is published.

Followers are in one of two states. **At the head** they have all been sent the same, and what is
new is rendered and framed once and written to each connection, in one turn of the loop. Whoever is
behind, because it has just come or its connection is full, **catches up** on its own: from the
window of recent commits, else from storage, a little at a time, each piece only once the connection
has taken the one before. So a reader that is slow or dead costs a bounded buffer and nobody else's
time, and one that takes nothing at all for a minute is cut off.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
from starlette.types import Scope, Send

from acx.errors import AcxError
from acx.exchange.feed.live import Commit, Live
from acx.exchange.serving import EntriesPage
from acx.log.checkpoint import Checkpoint
from acx.log.merkle import EMPTY_ROOT
from acx.web.protocol import CONNECTION, Connection, chunk

HEARTBEAT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 60.0
"""How long a follower may take nothing of what waits for it."""
MAX_BUFFERED: Final = 256 * 1024
"""Bytes that may wait for one follower at the head; beyond, it catches up on its own."""
SYSTEM_BYTES: Final = 128 * 1024
"""Bytes that the system may hold for one follower; it would take megabytes."""
PIECE_ENTRIES: Final = 256
PIECE_BYTES: Final = 128 * 1024
"""Entries, and bytes, read from storage at once for a follower that catches up."""
READERS: Final = 2
"""Followers that read from storage at the same time; the others wait their turn."""

_HEARTBEAT: Final = b":\n\n"
_NOTHING: Final = Checkpoint("", 0, EMPTY_ROOT)


class Storage(Protocol):
    """Reads for followers that catch up."""

    def __call__(
        self, after: int, limit: int, checkpoint: Checkpoint, max_bytes: int
    ) -> Awaitable[EntriesPage]:
        """Entries after a place, under a checkpoint, at most so many and about so many bytes."""


class Follower:
    """One connection."""

    def __init__(self, connection: Connection, token: str, after: int) -> None:
        self.connection = connection
        self.token = token
        self.after = after
        self.cosigned = _NOTHING
        self.ended = False
        self._called = asyncio.Event()
        connection.bound(SYSTEM_BYTES)
        connection.when_lost(self.end)

    def end(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._called.set()

    def call(self, after: int, cosigned: Checkpoint) -> None:
        """Have it look after itself from here on."""
        self.after, self.cosigned = after, cosigned
        self._called.set()

    async def called(self) -> None:
        """Wait until the head is not kept up for it any more."""
        await self._called.wait()
        self._called.clear()


class Streams:
    """The followers of one server, all on one event loop."""

    def __init__(
        self,
        live: Live,
        storage: Storage,
        admitted: Callable[[set[str]], Awaitable[set[str]]],
    ) -> None:
        """Nobody follows yet.

        Args:
            live: the live end of the log.
            storage: reads what is not there any more.
            admitted: which of some tokens are still members' in good standing; asked as often as
                the heart beats.
        """
        self._live = live
        self._storage = storage
        self._admitted = admitted
        self._all: set[Follower] = set()
        self._at_head: set[Follower] = set()
        # What all at the head have been sent.
        self._sent = live.newest.size - 1
        self._cosigned = live.cosigned
        self._reading = asyncio.Semaphore(READERS)
        self._beating: asyncio.Task[None] | None = None
        self._told = False

    async def follow(self, scope: Scope, send: Send, *, token: str, after: int) -> None:
        """Send the log after a place, for ever; the response has been started.

        A checkpoint is sent once all its entries are, so a follower can verify up to it at once.
        What witnesses have signed comes behind: `cosigned` covers entries that were sent before it.

        Args:
            scope: of the request.
            send: the connection's.
            token: the member's.
            after: the last place that the follower knows, -1 for none.
        """
        self._begin()
        follower = Follower(scope["extensions"][CONNECTION], token, after)
        self._all.add(follower)
        try:
            # The first bytes tell the client, and proxies on the way, that the stream stands.
            await self._send(send, _HEARTBEAT)
            while not (follower.ended or self._live.closed):
                if self._join(follower):
                    await follower.called()
                else:
                    await self._send(send, await self._next(follower))
            await self._send(send, b"", more=False)
        except (TimeoutError, AcxError):
            # It takes nothing, or there is nothing to be had now: it may come again.
            follower.connection.abort()
        finally:
            self._all.discard(follower)
            self._at_head.discard(follower)

    async def reached(self, index: int, seconds: float) -> bool:
        """Whether the log has a place, or gets it within some time; -1 it always has."""
        deadline = asyncio.get_running_loop().time() + seconds
        while index >= self._live.newest.size:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    def _begin(self) -> None:
        if self._beating is None:
            loop = asyncio.get_running_loop()
            self._live.listen(lambda: self._tell(loop))
            self._beating = loop.create_task(self._beat())
            self._spread()

    @staticmethod
    async def _send(send: Send, data: bytes, *, more: bool = True) -> None:
        message = {"type": "http.response.body", "body": data, "more_body": more}
        await asyncio.wait_for(send(message), STALL_SECONDS)

    # At the head

    def _join(self, follower: Follower) -> bool:
        """Keep a follower up with the others, if it knows what they know."""
        self._spread()
        known = follower.after == self._sent and follower.cosigned is self._cosigned
        if known and not follower.connection.buffered > MAX_BUFFERED:
            self._at_head.add(follower)
            return True
        return False

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        """Spread what is new soon; called in any thread, and once for several commits."""
        if not self._told:
            self._told = True
            try:
                loop.call_soon_threadsafe(self._spread)
            except RuntimeError:
                # The server has ended, and its loop with it.
                return

    def _spread(self) -> None:
        """Write what is new to all at the head."""
        self._told = False
        if self._live.closed:
            for follower in self._all:
                if follower not in self._at_head:
                    # Perhaps it reads nothing, and would hold up the end.
                    follower.connection.abort()
                follower.end()
            return
        sent, cosigned = self._sent, self._cosigned
        commits = self._live.after(sent)
        data = b""
        if commits is None:
            # More at once than the window holds.
            self._dismiss(self._at_head)
            self._sent = self._live.newest.size - 1
        elif commits:
            data = b"".join(_rendered(commit, sent) for commit in commits)
            self._sent = commits[-1].stop - 1
        self._cosigned = self._live.cosigned
        if self._cosigned is not cosigned and self._cosigned.size:
            data += _checkpoint(self._cosigned, b"cosigned")
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        framed = chunk(data)
        full = []
        for follower in self._at_head:
            follower.connection.write(framed)
            if follower.connection.buffered > MAX_BUFFERED:
                full.append(follower)
        self._dismiss(full)

    def _dismiss(self, followers: Sequence[Follower] | set[Follower]) -> None:
        for follower in tuple(followers):
            self._at_head.discard(follower)
            follower.call(self._sent, self._cosigned)

    async def _beat(self) -> None:
        """Now and then tell all that the stream stands, and send away who is suspended."""
        while not self._live.closed:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            tokens = {follower.token for follower in self._all}
            try:
                admitted = await self._admitted(tokens) if tokens else tokens
            except AcxError:
                # Asked again at the next beat.
                admitted = tokens
            for follower in tuple(self._all):
                if follower.token in tokens - admitted:
                    follower.end()
            self._write(_HEARTBEAT)

    # Catching up

    async def _next(self, follower: Follower) -> bytes:
        """What comes next for a follower, and only once its connection is free to take it."""
        await follower.connection.drained(STALL_SECONDS)
        checkpoint = self._live.newest
        commits = self._live.after(follower.after)
        if commits is None:
            async with self._reading:
                page = await self._storage(follower.after, PIECE_ENTRIES, checkpoint, PIECE_BYTES)
            data = _entries(page.entries)
            if page.entries:
                follower.after = page.entries[-1][0]
            if follower.after + 1 == checkpoint.size:
                data += _checkpoint(checkpoint)
            return data
        if commits:
            first = commits[0]
            data = _rendered(first, follower.after)
            follower.after = first.stop - 1
            return data
        follower.cosigned = self._live.cosigned
        return _checkpoint(follower.cosigned, b"cosigned") if follower.cosigned.size else b""


def _rendered(commit: Commit, after: int) -> bytes:
    if commit.first > after:
        return _whole(commit)
    rest = list(enumerate(commit.entries, commit.first))[after + 1 - commit.first :]
    return _entries(rest) + _checkpoint(commit.checkpoint)


@functools.lru_cache(maxsize=64)
def _whole(commit: Commit) -> bytes:
    """A commit as every follower gets it that is about there: made once for all of them."""
    entries = list(enumerate(commit.entries, commit.first))
    return _entries(entries) + _checkpoint(commit.checkpoint)


def _entries(entries: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(b"id: %d\nevent: entry\ndata: %b\n\n" % entry for entry in entries)


def _checkpoint(checkpoint: Checkpoint, event: bytes = b"checkpoint") -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event, msgspec.json.encode(checkpoint.note))
