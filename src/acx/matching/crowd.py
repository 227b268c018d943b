"""How common keys are in a seller base, kept apart from the index that is asked.

A screening of the whole base counts them; a check of one account is then weighed as the screening
weighed it. Keys are the index's: digests under its secret.
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

import msgspec
import numpy as np

from acx.matching.compiled import I32, SOURCES_DIGEST, U64, kernel
from acx.matching.storage import Secret
from acx.matching.table import Table, fill_directory, locate


class Crowd(NamedTuple):
    """Counts of keys.

    Attributes:
        keys: sorted.
        directory: as a table's.
        shift: as a table's.
        counts: accounts that have each key.
        accounts: how many there are.
    """

    keys: U64
    directory: I32
    shift: int
    counts: I32
    accounts: int

    def to_bytes(self, secret: Secret) -> bytes:
        """As it is kept; `read_crowd` reads it."""
        mark = _mark(secret)
        kept = _Kept(mark, self.accounts, self.keys.tobytes(), self.counts.tobytes())
        return msgspec.msgpack.encode(kept)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    mark: bytes
    accounts: int
    keys: bytes
    counts: bytes


def _mark(secret: Secret) -> bytes:
    """Tells which index's keys were counted, and by which version of acx."""
    return hmac.digest(secret.key, f"crowd/{SOURCES_DIGEST}".encode(), "sha256")


def read_crowd(data: bytes, secret: Secret) -> Crowd | None:
    """The crowd that was kept; None if it is damaged, of another index or another version's."""
    try:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        keys = np.frombuffer(bytearray(kept.keys), np.uint64)
        counts = np.frombuffer(bytearray(kept.counts), np.int32)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
        return None
    if kept.mark != _mark(secret) or len(keys) != len(counts):
        return None
    return Crowd(keys, *fill_directory(keys), counts, kept.accounts)


def crowd_of(tables: tuple[Table, ...], accounts: int) -> Crowd:
    """What the tables of an index counted of a seller base."""
    seen = [table.sellers > 0 for table in tables]
    keys = np.concatenate([table.keys[some] for table, some in zip(tables, seen, strict=True)])
    counts = np.concatenate([table.sellers[some] for table, some in zip(tables, seen, strict=True)])
    keys, first = np.unique(keys, return_index=True)
    return Crowd(keys, *fill_directory(keys), counts[first], accounts)


def count_crowd(crowd: Crowd, table: Table) -> None:
    """Take over into a table how many of a crowd have its keys."""
    _count(crowd, table.keys, table.sellers)


@kernel
def _count(crowd: Crowd, keys: U64, sellers: I32) -> None:
    for i in range(len(keys)):
        place = locate(crowd.keys, crowd.directory, crowd.shift, keys[i])
        sellers[i] = crowd.counts[place] if place >= 0 else 0
