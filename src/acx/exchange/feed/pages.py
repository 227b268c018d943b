"""Pages of entries and of keys, from the rows.

Only what is under the published checkpoint is shown: a member that has more than that could not
verify it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from acx.exchange.storage.ledger import LogRow, read_keys, read_rows
from acx.log.checkpoint import Checkpoint
from acx.log.entry import PAGE_KEYS, pack_keys

MAX_ENTRIES: Final = 1_000
"""Entries in one page."""
MAX_PAGE_BYTES: Final = 32 * 1024 * 1024
"""A page ends early rather than grow beyond this."""
MAX_KEY_PAGES: Final = 256
"""Key pages in one answer: 65,536 keys, 2 MiB."""


@dataclass(frozen=True, slots=True)
class KeyPages:
    """Key pages in a row, as they stand now.

    Attributes:
        first_index: place of the first key.
        data: 33 bytes a place.
    """

    first_index: int
    data: bytes


def render_entry(row: LogRow, event: bytes | None) -> bytes:
    """One entry as members read it (ENTRY in the protocol), with the event's bytes verbatim."""
    if event is None or row.k is None:
        return b'{"entry":"%b","index":%d}' % (base64.b64encode(row.entry), row.index)
    return b'{"at":"%b","event":%b,"index":%d,"k":"%b"}' % (
        row.at.encode(),
        event,
        row.index,
        base64.b64encode(row.k),
    )


def entries_page(
    connection: Connection,
    checkpoint: Checkpoint,
    after: int,
    limit: int,
    max_bytes: int | None = None,
) -> list[tuple[int, bytes]]:
    """The entries after a place, rendered, each with its index.

    Args:
        connection: a transaction that reads.
        checkpoint: published; nothing beyond it is shown.
        after: the last place that is known, -1 for none.
        limit: at most so many.
        max_bytes: the page ends rather than grow beyond this, after one entry at least; by default
            `MAX_PAGE_BYTES`.
    """
    max_bytes = max_bytes or MAX_PAGE_BYTES
    start = after + 1
    stop = min(checkpoint.size, start + min(limit, MAX_ENTRIES))
    page: list[tuple[int, bytes]] = []
    size = 0
    for row in read_rows(connection, start, stop):
        rendered = render_entry(row, row.event_bytes())
        size += len(rendered)
        if page and size > max_bytes:
            break
        page.append((row.index, rendered))
    return page


def key_pages(connection: Connection, checkpoint: Checkpoint, after: int) -> KeyPages:
    """The key pages from the one that holds `after + 1` on, as many as one answer takes."""
    first = (after + 1) // PAGE_KEYS * PAGE_KEYS
    stop = min(checkpoint.size, first + MAX_KEY_PAGES * PAGE_KEYS)
    if first >= stop:
        return KeyPages(min(first, checkpoint.size), b"")
    keys = read_keys(connection, first, stop)
    return KeyPages(first, pack_keys([keys.get(index) for index in range(first, stop)]))
