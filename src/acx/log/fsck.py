"""Rebuilds a log from its files, and says which of them are not what they must be.

The entries are hashed anew, level by level up to the root that the log has signed; every tile on
the way is compared, and every event whose key is at hand is opened. A bad file does not stop it:
the report names each once, and the rest is still checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from acx.log.checkpoint import Checkpoint
from acx.log.entry import (
    keys_path,
    open_sealed,
    parse_bundle,
    parse_entries,
    parse_keys,
)
from acx.log.errors import EntryMismatch, LogError, MalformedFile, MissingFile
from acx.log.merkle import hash_leaf, subtree_root
from acx.log.note import Verifier
from acx.log.policy import Policy
from acx.log.tiles import (
    CHECKPOINT_PATH,
    HEIGHT,
    WIDTH,
    Kind,
    Tile,
    TileReader,
    edge_root,
    files_grown,
    parse_tile,
    read_places,
    read_tile,
)

MAX_PROBLEMS: Final = 1000
"""Bad files after which a check stops: a log damaged so far is not mended file by file."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that is not what it must be.

    Attributes:
        path: the file; the checkpoint's, where the files as a whole do not lead to its root.
        reason: what is wrong with it, at the first place where something is.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check has found.

    Attributes:
        checkpoint: the signed head that everything was held against.
        files: number of files read and understood.
        opened: events opened with their keys, and found to be what their entries commit to.
        destroyed: places whose key is destroyed.
        problems: bad files, in the order in which they were found.
        complete: whether the check went to the end, and did not stop at `MAX_PROBLEMS`.
    """

    checkpoint: Checkpoint
    files: int
    opened: int
    destroyed: int
    problems: tuple[Problem, ...]
    complete: bool

    @property
    def sound(self) -> bool:
        """Whether the files are exactly the log that was signed."""
        return not self.problems


def fsck(
    reader: TileReader,
    *logs: Verifier,
    policy: Policy | None = None,
    keys: TileReader | None = None,
) -> Report:
    """Check a log, file by file.

    Args:
        reader: the log's public files.
        logs: keys of the log; by default, the policy's.
        policy: how many witnesses must have cosigned the checkpoint; by default, none.
        keys: the key pages, where the caller may see them; by default, no event is opened.

    Returns:
        What was found. An unsound log raises nothing: it is what was looked for.

    Raises:
        LogError: there is no checkpoint that could be trusted, so nothing to check against.
    """
    checkpoint = (policy or Policy()).open(reader.read(CHECKPOINT_PATH), *logs)
    return _Check(reader, keys, checkpoint).run()


@dataclass(slots=True)
class _Check:
    reader: TileReader
    keys: TileReader | None
    checkpoint: Checkpoint
    files: int = 1
    opened: int = 0
    destroyed: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    # Level ► hashes computed from below that do not fill a tile yet.
    rows: list[list[bytes]] = field(default_factory=list)

    def run(self) -> Report:
        size = self.checkpoint.size
        for index, width in files_grown(0, size):
            if len(self.problems) >= MAX_PROBLEMS:
                return self._result(complete=False)
            entries = self._read(Tile(Kind.ENTRIES, 0, index, width), parse_entries)
            leaves = [hash_leaf(entry) for entry in entries]
            if width == WIDTH:
                signed = self._ascend(0, index, leaves)
            else:
                # The last file, so every level is as full as it gets.
                self._row(0).extend(leaves)
                self._edge()
                signed = self.rows[0]
            # Entries that cannot be read leave nothing to compare their events with.
            triples = zip(entries, leaves, signed, strict=False)
            good = [entry if leaf == due else None for entry, leaf, due in triples]
            self._events(Tile(Kind.BUNDLE, 0, index, width), good)
        if size % WIDTH == 0:
            self._edge()
        return self._result(complete=True)

    def _result(self, *, complete: bool) -> Report:
        return Report(
            checkpoint=self.checkpoint,
            files=self.files,
            opened=self.opened,
            destroyed=self.destroyed,
            problems=tuple(Problem(path, reason) for path, reason in self.problems.items()),
            complete=complete,
        )

    def _ascend(self, level: int, index: int, computed: list[bytes]) -> list[bytes]:
        """Settle the hashes of a full tile; their root goes to the level above."""
        tile = Tile(Kind.HASHES, level, index)
        hashes = self._settle(tile, computed, partial(self._is_in_parent, tile))
        row = self._row(level + 1)
        row.append(subtree_root(hashes) if hashes else self._root_in_parent(tile))
        if len(row) == WIDTH:
            self.rows[level + 1] = []
            self._ascend(level + 1, index // WIDTH, row)
        return hashes

    def _edge(self) -> None:
        """Settle the partial tiles, and compare all of them together with the signed root."""
        for level, computed in enumerate(self.rows):
            index, width = divmod(self.checkpoint.size >> HEIGHT * level, WIDTH)
            if width:
                tile = Tile(Kind.HASHES, level, index, width)
                hashes = self._settle(tile, computed, partial(self._is_in_root, level))
                self.rows[level] = hashes
        root, signed = edge_root(self.rows), self.checkpoint.root
        if root != signed:
            reason = f"the files lead to root {root.hex()}, signed is {signed.hex()}"
            self._report(CHECKPOINT_PATH, reason)

    def _settle(
        self, tile: Tile, computed: list[bytes], confirmed: Callable[[list[bytes]], bool]
    ) -> list[bytes]:
        """Compare a tile's file with what was computed from below.

        Args:
            tile: which tile.
            computed: its hashes as computed; empty where what lies below cannot be read.
            confirmed: whether what lies above the tile speaks for given hashes.

        Returns:
            The hashes to build upon, so that one altered file makes one problem.
        """
        published = self._read(tile, parse_tile)
        if not computed or not published or computed == published:
            return computed or published
        place = next(i for i in range(tile.width) if computed[i] != published[i])
        if not confirmed(published):
            self._report(tile.path, f"place {place} is not the hash of what lies below it")
            return computed
        self._blame_below(tile, place)
        return published

    def _blame_below(self, tile: Tile, place: int) -> None:
        """Report what a tile that is right was built from."""
        if tile.level == 0:
            entries = Tile(Kind.ENTRIES, 0, tile.index, tile.width)
            self._report(entries.path, f"place {place} is not the entry that was signed")
            return
        below = Tile(Kind.HASHES, tile.level - 1, tile.index * WIDTH + place)
        self._report(below.path, "neither it nor what lies below it is what was signed")
        if below.level == 0:
            # It agrees with its entries, or both were altered: either way they are wrong too.
            entries = Tile(Kind.ENTRIES, 0, below.index)
            self._report(entries.path, "its entries are not those that were signed")

    def _is_in_parent(self, tile: Tile, hashes: list[bytes]) -> bool:
        return subtree_root(hashes) == self._root_in_parent(tile)

    def _is_in_root(self, level: int, hashes: list[bytes]) -> bool:
        rows = [*self.rows[:level], hashes, *self.rows[level + 1 :]]
        return edge_root(rows) == self.checkpoint.root

    def _root_in_parent(self, tile: Tile) -> bytes:
        """A full tile's root, as the level above has it; zeros where that cannot be read."""
        index, place = divmod(tile.index, WIDTH)
        count = self.checkpoint.size >> HEIGHT * (tile.level + 1)
        parent = Tile(Kind.HASHES, tile.level + 1, index, min(WIDTH, count - index * WIDTH))
        try:
            return read_tile(self.reader, parent)[place]
        except LogError:
            return bytes(32)

    def _events(self, tile: Tile, entries: list[bytes | None]) -> None:
        """Check the ciphertexts of a bundle, and open those whose key and entry are at hand."""
        ciphertexts = self._read(tile, parse_bundle)
        keys = self._key_page(tile)
        self.destroyed += keys.count(None)
        places = zip(entries, ciphertexts, keys, strict=False)
        for place, (entry, ciphertext, k) in enumerate(places):
            if entry is None or k is None:
                continue
            try:
                open_sealed(ciphertext, k, entry)
            except EntryMismatch as error:
                self._report(tile.path, f"place {place}: {error} ({keys_path(tile.index)})")
            else:
                self.opened += 1

    def _key_page(self, tile: Tile) -> list[bytes | None]:
        if self.keys is None:
            return []
        path = keys_path(tile.index)
        try:
            # The page of a log that has grown since is longer than the checkpoint says.
            keys = parse_keys(self.keys.read(path))[: tile.width]
        except (MissingFile, MalformedFile) as error:
            self._report(path, str(error))
            return []
        self.files += 1
        if len(keys) < tile.width:
            self._report(path, f"has {len(keys)} keys where {tile.width} are due")
        return keys

    def _read(self, tile: Tile, parse: Callable[[bytes, int], list[bytes]]) -> list[bytes]:
        """The places of a file; none where it cannot be read, which is then reported."""
        try:
            places = parse(*read_places(self.reader, tile))[: tile.width]
        except (MissingFile, MalformedFile) as error:
            self._report(tile.path, str(error))
            return []
        self.files += 1
        return places

    def _row(self, level: int) -> list[bytes]:
        while len(self.rows) <= level:
            self.rows.append([])
        return self.rows[level]

    def _report(self, path: str, reason: str) -> None:
        # The first thing found wrong with a file; what follows from it is no news.
        self.problems.setdefault(path, reason)
