"""The live end of the log: followers wait here, and read what was published of late from memory.

No queue per follower: each has a cursor, and reads a shared window of recent commits. One that has
fallen out of the window, because it is slow or comes late, reads from storage until it is back. So
a slow reader costs nothing but its connection, and can hold nobody up.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from acx.exchange.feed.pages import render_entry
from acx.exchange.sequencer.sequencer import Published
from acx.log.checkpoint import Checkpoint

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""Rendered entries kept in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """What one commit made visible, rendered once for everybody.

    Attributes:
        first: index of its first entry.
        entries: rendered, in order.
        checkpoint: covers them.
    """

    first: int
    entries: Sequence[bytes]
    checkpoint: Checkpoint

    @property
    def stop(self) -> int:
        """Index after its last entry."""
        return self.first + len(self.entries)


class Live:
    """The window, and the followers that wait for more. Fed by one thread, read in any.

    Attributes:
        closed: nothing more will come; followers leave.
        cosigned: the newest checkpoint that enough witnesses have signed; of size 0 before one has.
    """

    def __init__(self, size: int, cosigned: Checkpoint) -> None:
        """Begin at what is published.

        Args:
            size: of the published checkpoint.
            cosigned: the newest one with cosignatures.
        """
        self.closed = False
        self.cosigned = cosigned
        self._size = size
        self._window: deque[Commit] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def feed(self, published: Published) -> None:
        """Take a commit in, and wake everybody."""
        entries = [render_entry(row, event) for row, event in published.rows]
        commit = Commit(published.rows[0][0].index, entries, published.checkpoint)
        with self._lock:
            if published.removing or (self._window and self._window[-1].stop != commit.first):
                # A key that is destroyed must not live on here.
                self._window.clear()
                self._bytes = 0
            self._size = commit.stop
            self._window.append(commit)
            self._bytes += sum(map(len, entries))
            while self._bytes > WINDOW_BYTES and len(self._window) > 1:
                self._bytes -= sum(map(len, self._window.popleft().entries))
        self._wake()

    def cosign(self, checkpoint: Checkpoint) -> None:
        """Take in that enough witnesses have signed a checkpoint, and wake everybody."""
        with self._lock:
            self.cosigned = checkpoint
        self._wake()

    def close(self) -> None:
        """Send the followers away."""
        self.closed = True
        self._wake()

    def after(self, index: int) -> list[Commit] | None:
        """The commits that go on after a place; None if the window begins later than that."""
        with self._lock:
            window = list(self._window)
        if not window or window[0].first > index + 1:
            return None
        return [commit for commit in window if commit.stop > index + 1]

    async def wait(self, index: int, told: Checkpoint, seconds: float) -> bool:
        """Wait for news; return whether there are any.

        Args:
            index: the last place that the follower knows.
            told: the cosigned checkpoint that it knows.
            seconds: how long to wait.
        """
        event = asyncio.Event()
        ticket = (asyncio.get_running_loop(), event)
        with self._lock:
            if self.closed or self._size > index + 1 or self.cosigned is not told:
                return True
            self._waiting.add(ticket)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            with self._lock:
                self._waiting.discard(ticket)

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        loops: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        for loop, event in waiting:
            loops.setdefault(loop, []).append(event)
        for loop, events in loops.items():
            loop.call_soon_threadsafe(_set_all, events)


def _set_all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        event.set()
