"""The log as plain files: in a folder, on a web server, an object store or a CDN.

What `acx exchange publish` writes. Nothing here is believed for where it came from: tiles must lead
to the signed root, entries to their tiles, and what a key opens to its entry; each file that does
not is named. What comes out are pages, which `acx.member.sync` takes as it takes the exchange's.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.log.authentic import AuthenticTiles
from acx.log.checkpoint import open_checkpoint
from acx.log.entry import (
    Opened,
    keys_path,
    open_sealed,
    parse_bundle,
    parse_entries,
    parse_keys,
)
from acx.log.errors import AlteredFile, EntryMismatch, MalformedFile, MissingFile
from acx.log.merkle import hash_leaf
from acx.log.note import Verifier
from acx.log.tiles import CHECKPOINT_PATH, WIDTH, Kind, Tile, TileReader, read_places
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, Refused
from acx.member.sync import ProvenPage
from acx.member.trusted_log import Received, event_at, verify_signatures
from acx.records.reading_key import READERS_PATH, open_page, open_reading_key

COSIGNED_PATH: Final = "cosigned"
PUBLISHED_PATH: Final = "published"
WORTH_PROCESSES: Final = 20_000
"""Entries to read from which on processes of their own are worth their start."""
PAGE_FILES: Final = 4
"""Files whose entries are taken at once: some thousand, as from the exchange."""
AHEAD: Final = 16
"""Files of 256 places that are fetched ahead, each by a thread of its own."""
_ABSENT: Final = frozenset({403, 404, 410})
"""Object stores that may not be listed say 403 of what is not there."""


class Site:
    """Files below a URL."""

    def __init__(self, client: ExchangeClient) -> None:
        """`client` needs no token."""
        self._client = client

    def read(self, path: str) -> bytes:
        """A file.

        Raises:
            MissingFile: it is not there.
            ExchangeError: it cannot be fetched.
        """
        try:
            return self._client.public_file(path)
        except Refused as refusal:
            if refusal.status in _ABSENT:
                raise MissingFile(f"{path} is missing from {self._client.url}") from None
            raise


class Keys(Protocol):
    """Where the keys of entries come from."""

    def page(self, number: int) -> list[bytes | None]:
        """The keys of 256 places, None where one is destroyed; the last page may be shorter."""


class SealedKeys:
    """Key pages that lie beside the other files, sealed for members."""

    def __init__(self, files: TileReader, member_key: Ed25519PrivateKey, origin: str) -> None:
        """Open the reading key.

        Raises:
            MissingFile: there are no key pages here.
            ReadingKeyError: they are for others.
        """
        self._files = files
        self._origin = origin
        self._key = open_reading_key(files.read(READERS_PATH), member_key, origin=origin)

    def page(self, number: int) -> list[bytes | None]:
        """One page.

        Raises:
            MissingFile, MalformedFile, ReadingKeyError: it is not there, or does not open.
        """
        sealed = self._files.read(keys_path(number))
        return parse_keys(open_page(self._key, number, sealed, origin=self._origin))


class KeysOfExchange:
    """Key pages that the exchange gives for a member's token."""

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._first = 0
        self._keys: list[bytes | None] = []
        self._lock = threading.Lock()

    def page(self, number: int) -> list[bytes | None]:
        """One page; neighbours come with it."""
        with self._lock:
            start = number * WIDTH - self._first
            if not 0 <= start < len(self._keys):
                self._first, data = self._client.key_pages(number * WIDTH - 1)
                self._keys = parse_keys(data)
                start = number * WIDTH - self._first
            return self._keys[max(start, 0) : start + WIDTH] if start >= 0 else []


class StaticFeed(AbstractContextManager["StaticFeed"]):
    """Pages of the log, made of its files.

    Attributes:
        size: entries under the checkpoint that lies there.
    """

    def __init__(
        self,
        files: TileReader,
        keys: Keys,
        log_key: str,
        *,
        processes: int = 0,
    ) -> None:
        """Read the checkpoint, and check the tree's right edge.

        Args:
            files: where they are.
            keys: of the entries.
            log_key: C2SP vkey of the log.
            processes: that prove and open entries, once there are many; 0 for this one alone.

        Raises:
            LogError: there is no checkpoint of this log, or the tiles are not its.
        """
        self._files = files
        self._keys = keys
        self._verifier = Verifier.parse(log_key)
        self._executor = ThreadPoolExecutor(AHEAD, "acx-fetch")
        self._fetched: dict[int, Future[list[Received]]] = {}
        self._processes = processes
        self._workers: Executor | None = None
        self._see_checkpoint()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what is being fetched."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._workers is not None:
            self._workers.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def prove(places: Places, origin: str) -> list[Received]:
        """Prove what was fetched, in whichever process."""
        return prove_places(places, origin)

    def events(self, after: int) -> ProvenPage:
        """Entries after an index, from a few files.

        At the end the checkpoint is read again: keys are destroyed only after the checkpoint that
        says why, so whoever misses one finds the reason there.

        Raises:
            LogError, ExchangeError: a file is missing, damaged or changed.
        """
        if after + 1 >= self.size:
            self._see_checkpoint()
        if after + 1 >= self.size:
            return ProvenPage((), self._note, self._cosigned)
        if self._processes and not self._workers and self.size - after > WORTH_PROCESSES:
            # Not forked: this process has threads.
            context = multiprocessing.get_context("spawn")
            self._workers = ProcessPoolExecutor(self._processes, context)
        first = (after + 1) // WIDTH
        stop = -(-self.size // WIDTH)
        for index in range(first, min(first + AHEAD, stop)):
            if index not in self._fetched:
                self._fetched[index] = self._executor.submit(self._entries, self._tiles, index)
        entries = [
            entry
            for index in range(first, min(first + PAGE_FILES, stop))
            for entry in self._fetched.pop(index).result()
        ]
        return ProvenPage(entries[after + 1 - first * WIDTH :], self._note, self._cosigned)

    @property
    def as_of(self) -> float:
        """When it was published, to the hour, in seconds since 1970; 0 if it does not say."""
        try:
            hour = self._text(PUBLISHED_PATH, "").strip().removesuffix("Z") + ":00+00:00"
            return datetime.fromisoformat(hour).timestamp()
        except ValueError:
            return 0.0

    def _see_checkpoint(self) -> None:
        # Read before it: it must never be ahead of the entries that are given.
        cosigned = self._text(COSIGNED_PATH, "")
        note = self._text(CHECKPOINT_PATH)
        checkpoint = open_checkpoint(note, self._verifier)
        self._tiles = AuthenticTiles(self._files, checkpoint)
        self._fetched.clear()
        self._note, self._cosigned, self.size = note, cosigned, checkpoint.size

    def _text(self, path: str, otherwise: str | None = None) -> str:
        try:
            return self._files.read(path).decode()
        except MissingFile:
            if otherwise is None:
                raise
            return otherwise
        except UnicodeDecodeError:
            raise MalformedFile(f"{path} is damaged: fetch it again") from None

    def _entries(self, tiles: AuthenticTiles, index: int) -> list[Received]:
        fetched = self._fetch(tiles, index)
        origin = tiles.checkpoint.origin
        if self._workers is None:
            return self.prove(fetched, origin)
        return self._workers.submit(self.prove, fetched, origin).result()

    def _fetch(self, tiles: AuthenticTiles, index: int) -> Places:
        leaves = tiles.leaves(index)
        width = len(leaves)
        entries = Tile(Kind.ENTRIES, 0, index, width)
        bundle = Tile(Kind.BUNDLE, 0, index, width)
        fetched = Places(
            entries_tile=entries,
            bundle_tile=bundle,
            leaves=leaves,
            entries=read_places(self._files, entries),
            bundle=read_places(self._files, bundle),
            keys=self._keys.page(index),
        )
        if len(fetched.keys) < width:
            raise BadAnswer(
                f"key page {index} is older than the checkpoint: it is being published right now;"
                " try again in a while"
            )
        return fetched


@dataclass(frozen=True, slots=True)
class Places:
    """What the files say of up to 256 places.

    Attributes:
        entries_tile: which file the entries are from.
        bundle_tile: which the ciphertexts.
        leaves: their leaf hashes, which the signed root vouches for.
        entries: that file, and how many places it holds.
        bundle: likewise.
        keys: the keys that are left; there may be more.
    """

    entries_tile: Tile
    bundle_tile: Tile
    leaves: Sequence[bytes]
    entries: tuple[bytes, int]
    bundle: tuple[bytes, int]
    keys: Sequence[bytes | None]


def open_places(places: Places) -> list[tuple[int, bytes, bytes, Opened | None]]:
    """Prove entries by their leaf hashes and events by their entries.

    Returns:
        For each place its index, entry, key and event; an empty key and None where it is destroyed.

    Raises:
        MalformedFile, AlteredFile: a file is not what was published, and which.
    """
    entries = _parsed(places.entries_tile, places.entries, parse_entries)
    for place, (entry, leaf) in enumerate(zip(entries, places.leaves, strict=True)):
        if hash_leaf(entry) != leaf:
            raise AlteredFile(
                f"{places.entries_tile.path}: place {place} is not what the log has signed: it was"
                " changed on the way. Fetch it again, or take another copy"
            )
    sealed = _parsed(places.bundle_tile, places.bundle, parse_bundle)
    first = places.bundle_tile.index * WIDTH
    opened: list[tuple[int, bytes, bytes, Opened | None]] = []
    for index, (entry, text, k) in enumerate(
        zip(entries, sealed, places.keys, strict=False), first
    ):
        if k is None:
            opened.append((index, entry, b"", None))
            continue
        try:
            opened.append((index, entry, k, open_sealed(text, k, entry)))
        except EntryMismatch as error:
            raise AlteredFile(
                f"{places.bundle_tile.path}: entry {index}: {error}: it or its key page was changed"
                " on the way. Fetch them again, or take another copy"
            ) from None
    return opened


def prove_places(places: Places, origin: str) -> list[Received]:
    """Prove entries, and that their events are signed for this exchange.

    Raises:
        MalformedFile, AlteredFile: a file is not what was published, and which.
        InvalidEntry: an event that no honest exchange would have taken.
    """
    received = [
        Received(index, entry, "", b"", None)
        if opened is None
        else Received(index, entry, opened.at, k, event_at(index, opened.event))
        for index, entry, k, opened in open_places(places)
    ]
    verify_signatures(received, origin)
    return received


def _parsed(
    tile: Tile, data: tuple[bytes, int], parse: Callable[[bytes, int], list[bytes]]
) -> list[bytes]:
    try:
        return parse(*data)[: tile.width]
    except MalformedFile as error:
        raise MalformedFile(f"{tile.path}: {error}") from None
