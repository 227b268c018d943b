"""Entries as the exchange sends them, in pages and over the stream."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

PAGE_ENTRIES: Final = 1000
MAX_CHECKPOINT_CHARACTERS: Final = 512 * 1024


class WireEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry as it comes: opened (`at`, `event`, `k`), or only its commitment (`entry`).

    Attributes:
        index: its place in the log.
        at: UTC hour the exchange gave it.
        event: the event's canonical bytes, verbatim.
        k: base64 of the secret that the entry was made with.
        entry: base64 of the entry itself, where k is destroyed.
    """

    index: Annotated[int, Meta(ge=0, lt=2**53)]
    at: Annotated[str, Meta(max_length=32)] = ""
    event: msgspec.Raw = msgspec.Raw(b"")
    k: Annotated[str, Meta(max_length=64)] = ""
    entry: Annotated[str, Meta(max_length=64)] = ""


class Page(msgspec.Struct, frozen=True):
    """Entries in order, and a checkpoint that covers at least them.

    Attributes:
        entries: in order.
        checkpoint: the newest.
        cosigned: the newest that witnesses have signed too; empty for none.
    """

    entries: Annotated[tuple[WireEntry, ...], Meta(max_length=PAGE_ENTRIES)]
    checkpoint: Annotated[str, Meta(max_length=MAX_CHECKPOINT_CHARACTERS)]
    cosigned: Annotated[str, Meta(max_length=MAX_CHECKPOINT_CHARACTERS)] = ""
