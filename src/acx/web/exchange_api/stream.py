"""The log as server-sent events: what a member is told the moment it is published."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from acx.exchange.feed.live import Commit
from acx.exchange.serving import EntriesPage, Service
from acx.log.checkpoint import Checkpoint
from acx.log.merkle import EMPTY_ROOT

HEARTBEAT_SECONDS: Final = 15.0
_HEARTBEAT: Final = b":\n\n"
_NOTHING: Final = Checkpoint("", 0, EMPTY_ROOT)


async def follow(
    service: Service,
    after: int,
    *,
    read: Callable[[int, Checkpoint], Awaitable[EntriesPage]],
    still_admitted: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    """The log after a place, for ever.

    A checkpoint is sent once all its entries are, so a follower can verify up to it at once. What
    witnesses have signed comes behind: `cosigned` covers entries that were sent before it.

    Args:
        service: the exchange.
        after: the last place that the follower knows, -1 for none.
        read: reads entries after a place, under a checkpoint, from storage.
        still_admitted: asked as often as the heart beats; a suspended member's stream ends.
    """
    live = service.live
    told = _NOTHING
    # The first bytes tell the client, and proxies on the way, that the stream stands.
    yield _HEARTBEAT
    asked = time.monotonic()
    while not live.closed:
        if time.monotonic() - asked >= HEARTBEAT_SECONDS:
            if not await still_admitted():
                return
            asked = time.monotonic()
        commits = live.after(after)
        if commits:
            for commit in commits:
                yield _rendered(commit, after)
                after = commit.stop - 1
        elif commits is None and service.published.size > after + 1:
            checkpoint = service.published
            while after + 1 < checkpoint.size and not live.closed:
                page = await read(after, checkpoint)
                yield _entries(page.entries)
                after = page.entries[-1][0]
            yield _checkpoint(checkpoint)
        elif (cosigned := live.cosigned) is not told:
            told = cosigned
            if cosigned.size:
                yield _checkpoint(cosigned, b"cosigned")
        elif not await live.wait(after, told, HEARTBEAT_SECONDS):
            yield _HEARTBEAT


def _rendered(commit: Commit, after: int) -> bytes:
    if commit.first > after:
        return _whole(commit)
    rest = list(enumerate(commit.entries, commit.first))[after + 1 - commit.first :]
    return _entries(rest) + _checkpoint(commit.checkpoint)


@functools.lru_cache(maxsize=64)
def _whole(commit: Commit) -> bytes:
    """A commit as every follower at the head gets it: made once for all of them."""
    entries = list(enumerate(commit.entries, commit.first))
    return _entries(entries) + _checkpoint(commit.checkpoint)


def _entries(entries: Sequence[tuple[int, bytes]]) -> bytes:
    return b"".join(b"id: %d\nevent: entry\ndata: %b\n\n" % entry for entry in entries)


def _checkpoint(checkpoint: Checkpoint, event: bytes = b"checkpoint") -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event, msgspec.json.encode(checkpoint.note))
