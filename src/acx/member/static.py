"""The log as plain files: in a folder, on a web server, an object store or a CDN.

What `acx exchange publish` writes. Nothing here is believed for where it came from: tiles must lead
to the signed root, entries to their tiles, and what a key opens to its entry; each file that does
not is named. What comes out are pages, which `acx.member.sync` takes as it takes the exchange's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Raw

from acx.log.authentic import AuthenticTiles
from acx.log.checkpoint import open_checkpoint
from acx.log.entry import keys_path, open_sealed, parse_bundle, parse_entries, parse_keys
from acx.log.errors import AlteredFile, EntryMismatch, MalformedFile, MissingFile
from acx.log.merkle import hash_leaf
from acx.log.note import Verifier
from acx.log.tiles import CHECKPOINT_PATH, WIDTH, Kind, Tile, TileReader, read_places
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, Refused
from acx.member.wire import Page, WireEntry
from acx.records.reading_key import READERS_PATH, open_page, open_reading_key

COSIGNED_PATH: Final = "cosigned"
PUBLISHED_PATH: Final = "published"
AHEAD: Final = 8
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

    def page(self, number: int) -> list[bytes | None]:
        """One page; neighbours come with it."""
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

    def __init__(self, files: TileReader, keys: Keys, log_key: str) -> None:
        """Read the checkpoint, and check the tree's right edge.

        Args:
            files: where they are.
            keys: of the entries.
            log_key: C2SP vkey of the log.

        Raises:
            LogError: there is no checkpoint of this log, or the tiles are not its.
        """
        self._files = files
        self._keys = keys
        self._verifier = Verifier.parse(log_key)
        self._executor = ThreadPoolExecutor(AHEAD, "acx-fetch")
        self._fetched: dict[int, Future[tuple[WireEntry, ...]]] = {}
        self._see_checkpoint()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what is being fetched."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def events(self, after: int) -> Page:
        """Entries after an index, up to the end of a file.

        At the end the checkpoint is read again: keys are destroyed only after the checkpoint that
        says why, so whoever misses one finds the reason there.

        Raises:
            LogError, ExchangeError: a file is missing, damaged or changed.
        """
        if after + 1 >= self.size:
            self._see_checkpoint()
        if after + 1 >= self.size:
            return Page((), self._note, self._cosigned)
        first = (after + 1) // WIDTH
        for index in range(first, min(first + AHEAD, -(-self.size // WIDTH))):
            if index not in self._fetched:
                self._fetched[index] = self._executor.submit(self._entries, self._tiles, index)
        entries = self._fetched.pop(first).result()
        return Page(entries[after + 1 - first * WIDTH :], self._note, self._cosigned)

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

    def _entries(self, tiles: AuthenticTiles, index: int) -> tuple[WireEntry, ...]:
        """The entries of one file of 256 places, each proven and opened."""
        leaves = tiles.leaves(index)
        width = len(leaves)
        entries = self._places(Tile(Kind.ENTRIES, 0, index, width), parse_entries)
        for place, (entry, leaf) in enumerate(zip(entries, leaves, strict=True)):
            if hash_leaf(entry) != leaf:
                raise AlteredFile(
                    f"{Tile(Kind.ENTRIES, 0, index, width).path}: place {place} is not what the log"
                    " has signed: it was changed on the way. Fetch it again, or take another copy"
                )
        bundle = Tile(Kind.BUNDLE, 0, index, width)
        sealed = self._places(bundle, parse_bundle)
        keys = self._keys.page(index)
        if len(keys) < width:
            raise BadAnswer(
                f"key page {index} is older than the checkpoint: it is being published right now;"
                " try again in a while"
            )
        return tuple(
            _opened(index * WIDTH + place, entry, text, k, bundle)
            for place, (entry, text, k) in enumerate(zip(entries, sealed, keys, strict=False))
        )

    def _places(self, tile: Tile, parse: Callable[[bytes, int], list[bytes]]) -> list[bytes]:
        data, width = read_places(self._files, tile)
        try:
            return parse(data, width)[: tile.width]
        except MalformedFile as error:
            raise MalformedFile(f"{tile.path}: {error}") from None


def _opened(index: int, entry: bytes, sealed: bytes, k: bytes | None, bundle: Tile) -> WireEntry:
    if k is None:
        return WireEntry(index, entry=_text(entry))
    try:
        found = open_sealed(sealed, k, entry)
    except EntryMismatch as error:
        raise AlteredFile(
            f"{bundle.path}: entry {index}: {error}: it or its key page was changed on the way."
            " Fetch them again, or take another copy"
        ) from None
    return WireEntry(index, found.at, Raw(found.event), _text(k))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
