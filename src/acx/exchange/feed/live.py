"""The live end of the log: what was published of late, from memory, and who is told of more.

No queue per follower: each has a cursor, and reads a shared window of recent commits. One that has
fallen out of the window, because it is slow or comes late, reads from storage until it is back. So
a slow reader costs nothing but its connection, and can hold nobody up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
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
    """The window, and whoever listens for more. Fed by one thread, read in any.

    Attributes:
        closed: nothing more will come; followers leave.
        newest: the checkpoint over everything that was fed.
        cosigned: the newest checkpoint that enough witnesses have signed; of size 0 before one has.
    """

    def __init__(self, newest: Checkpoint, cosigned: Checkpoint) -> None:
        """Begin at what is published.

        Args:
            newest: the published checkpoint.
            cosigned: the newest one with cosignatures.
        """
        self.closed = False
        self.newest = newest
        self.cosigned = cosigned
        self._window: deque[Commit] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Have something called whenever there is news, in the thread that brings it."""
        with self._lock:
            self._listeners.append(listener)

    def feed(self, published: Published) -> None:
        """Take a commit in, and tell everybody."""
        entries = [render_entry(row, event) for row, event in published.rows]
        commit = Commit(published.rows[0][0].index, entries, published.checkpoint)
        with self._lock:
            if published.removing or (self._window and self._window[-1].stop != commit.first):
                # A key that is destroyed must not live on here.
                self._window.clear()
                self._bytes = 0
            self.newest = commit.checkpoint
            self._window.append(commit)
            self._bytes += sum(map(len, entries))
            while self._bytes > WINDOW_BYTES and len(self._window) > 1:
                self._bytes -= sum(map(len, self._window.popleft().entries))
        self._tell()

    def skip(self, newest: Checkpoint) -> None:
        """Move on to a checkpoint without its entries; whoever needs them reads storage."""
        with self._lock:
            self._window.clear()
            self._bytes = 0
            self.newest = newest
        self._tell()

    def cosign(self, checkpoint: Checkpoint) -> None:
        """Take in that enough witnesses have signed a checkpoint, and tell everybody."""
        with self._lock:
            self.cosigned = checkpoint
        self._tell()

    def close(self) -> None:
        """Send the followers away."""
        self.closed = True
        self._tell()

    def after(self, index: int) -> list[Commit] | None:
        """The commits that go on after a place; None if the window begins later than that."""
        with self._lock:
            if index + 1 >= self.newest.size:
                return []
            if not self._window or self._window[0].first > index + 1:
                return None
            return [commit for commit in self._window if commit.stop > index + 1]

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
