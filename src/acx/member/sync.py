"""Bring a replica up to date with an exchange, verified page by page."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import msgspec

from acx.member.errors import ExchangeError
from acx.member.replica import Replica
from acx.member.trusted_log import Opening, Received
from acx.member.wire import Page
from acx.member.witnessed import warning_of
from acx.member.writer import Writer, writing

Progress = Callable[[int, int], object]
"""Called with the number of entries done and the number there are."""


@dataclass(frozen=True, slots=True)
class ProvenPage:
    """Entries whose events are known to be signed, and a checkpoint that covers them.

    Attributes:
        entries: in order.
        checkpoint: the newest.
        cosigned: the newest that witnesses have signed too; empty for none.
    """

    entries: Sequence[Received]
    checkpoint: str
    cosigned: str


class Source(Protocol):
    """Where entries come from."""

    def events(self, after: int) -> Page | ProvenPage:
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


@dataclass(frozen=True, slots=True)
class Copy:
    """A source that is not the exchange itself, and may be behind it.

    Attributes:
        as_of: when it was made, in seconds since 1970; 0 where that is not known.
        complete: whether a body that it lacks is to be explained by an erasure in it; not where
            keys come from elsewhere and may be newer.
    """

    as_of: float
    complete: bool


def sync(
    replica: Replica,
    source: Source,
    *,
    receipts: Iterable[str] = (),
    threads: int = 0,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
    copy: Copy | None = None,
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
        copy: what the source is, where it is not the exchange itself.

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
            if copy is None:
                writer.log.see(page.checkpoint)
            else:
                # It may be behind what the exchange has shown.
                writer.log.recall(page.checkpoint)
            if page.cosigned:
                writer.see_cosigned(page.cosigned)
            take(opening)
            if not page.entries:
                break
            opening = (
                Opening(page.entries, replica.trust.origin, executor)
                if isinstance(page, Page)
                else Opening.done(page.entries)
            )
            after += len(page.entries)
        if copy is None:
            writer.log.require_all()
        changed.update(_confirm(writer, at_head=copy is None or copy.complete))
        if copy is None or copy.as_of > replica.synced:
            writer.reached_head(clock() if copy is None else copy.as_of)
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
