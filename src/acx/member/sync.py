"""Bring a replica up to date with an exchange, verified page by page."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from acx.member.errors import ExchangeError
from acx.member.replica import Replica
from acx.member.trusted_log import Opening
from acx.member.wire import Page
from acx.member.witnessed import warning_of
from acx.member.writer import Writer, writing

Progress = Callable[[int, int], object]
"""Called with the number of entries done and the number there are."""


class Source(Protocol):
    """Where entries come from."""

    def events(self, after: int) -> Page:
        """Entries after an index."""


class Synced(msgspec.Struct, frozen=True):
    """What a sync brought.

    Attributes:
        since: size of the log before.
        size: size now.
        changed: ids of reports that are new or changed.
        cosigned: entries that the invite's witnesses have cosigned; `size` where it asks for none.
        warning: what else should be seen to, such as witnesses that lag behind for long.
    """

    since: int
    size: int
    changed: tuple[str, ...]
    cosigned: int
    warning: str = ""


def sync(
    replica: Replica,
    source: Source,
    *,
    receipts: Iterable[str] = (),
    threads: int = 0,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Synced:
    """Take everything up to the exchange's head.

    Args:
        replica: to extend.
        source: the exchange.
        receipts: checkpoints that the exchange signed for us elsewhere (our own receipts); the log
            must lead to each of them.
        threads: that check signatures; 0 is one per processor.
        progress: told how far it is.
        clock: seconds since 1970.

    Raises:
        ExchangeError: no or no proper answer; what came before it is kept.
        InconsistentLog: the log contradicts itself; the replica is as before, the evidence kept.
    """
    since = replica.size
    changed: set[str] = set()

    def take(opening: Opening) -> None:
        writer.stage(opening.result())
        changed.update(_confirm(writer))
        if progress is not None:
            progress(writer.log.size, writer.log.head.size)

    with (
        writing(replica, receipts) as writer,
        ThreadPoolExecutor(threads or os.cpu_count() or 1, "acx-verify") as executor,
    ):
        opening = Opening((), replica.trust.origin)
        after = writer.log.size - 1
        while True:
            # The next page comes while the signatures of the last one are checked.
            try:
                page = source.events(after)
            except ExchangeError:
                take(opening)
                raise
            writer.log.see(page.checkpoint)
            if page.cosigned:
                writer.see_cosigned(page.cosigned)
            take(opening)
            if not page.entries:
                break
            opening = Opening(page.entries, replica.trust.origin, executor)
            after += len(page.entries)
        writer.log.require_all()
        changed.update(_confirm(writer, at_head=True))
        writer.reached_head(clock())
    return Synced(
        since,
        replica.size,
        tuple(sorted(changed)),
        replica.cosigned_size,
        warning_of(replica, clock()),
    )


def _confirm(writer: Writer, *, at_head: bool = False) -> set[str]:
    confirmed = writer.confirm(at_head=at_head)
    return set(confirmed.changed) if confirmed else set()
