"""The tree in files: 256 hashes each, written once, from which every proof is made.

Source: C2SP tlog-tiles v0.1.0. A tile of level l and index n holds the roots of 256 subtrees of
256^l leaves; the rightmost tile of a level may be partial, and then stands under a path of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

from acx.log.encoding import HASH_BYTES, MAX_SIZE
from acx.log.errors import MalformedFile, MalformedProof, MissingFile
from acx.log.merkle import EMPTY_ROOT, Frontier, hash_children, subtree_root

WIDTH: Final = 256
"""Places in a full tile."""
HEIGHT: Final = 8
"""_Rows of the tree that a tile stands for."""
MAX_LEVEL: Final = 63

_Rows = tuple[list[bytes], ...]
_CACHED_ROWS: Final = 64
"""Tiles whose inner rows are kept: 64 take some 4 MB."""

CHECKPOINT_PATH: Final = "checkpoint"


class Kind(StrEnum):
    """What a file of 256 places holds; the value is the start of its path."""

    HASHES = "tile"
    ENTRIES = "tile/entries"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Tile:
    """Which file it is.

    Attributes:
        kind: what it holds.
        level: level in the tree; 0 for entries and bundles.
        index: number within the level.
        width: places that are filled; a full file has 256.
    """

    kind: Kind
    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The file's path below the log's prefix, without a leading slash."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = f"{self.level}/" if self.kind is Kind.HASHES else ""
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{self.kind}/{level}{'/'.join(reversed(groups))}{partial}"


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Path of a tile of hashes."""
    return Tile(Kind.HASHES, level, index, width).path


def entries_path(index: int, width: int = WIDTH) -> str:
    """Path of the file with the entries whose leaf hashes level-0 tile `index` holds."""
    return Tile(Kind.ENTRIES, 0, index, width).path


def bundle_path(index: int, width: int = WIDTH) -> str:
    """Path of the file with the ciphertexts of the same places."""
    return Tile(Kind.BUNDLE, 0, index, width).path


_PATH: Final = re.compile(
    r"(?P<kind>tile/entries|tile|bundle)/(?:(?P<level>[0-9]{1,2})/)?"
    r"(?P<groups>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?",
    re.ASCII,
)


def parse_path(path: str) -> Tile:
    """Read the path of a file of 256 places.

    What comes out is safe to look up on disk: a path that is not written exactly as `Tile.path`
    writes it is refused, and none of those leaves its folder.

    Args:
        path: below the log's prefix, without a leading slash.

    Raises:
        MalformedFile: no such path can exist.
    """
    match = _PATH.fullmatch(path)
    if match:
        tile = Tile(
            kind=Kind(match["kind"]),
            level=int(match["level"] or 0),
            index=int(re.sub("[x/]", "", match["groups"])),
            width=int(match["width"] or WIDTH),
        )
        if (
            tile.level <= MAX_LEVEL
            and 1 <= tile.width <= WIDTH
            and tile.index <= MAX_SIZE // WIDTH
            and tile.path == path
        ):
            return tile
    raise MalformedFile(f"{path[:100]!r} is no path of a tile, of entries or of a bundle")


class TileReader(Protocol):
    """Where a log's files come from: a folder, a server, a cache."""

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Args:
            path: below the log's prefix, as this module writes it.

        Raises:
            MissingFile: there is none.
        """


@dataclass(frozen=True, slots=True)
class DirectoryReader:
    """Reads a log that lies in a folder, as it is published."""

    root: Path

    def read(self, path: str) -> bytes:
        """The file's bytes."""
        try:
            return self.root.joinpath(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(f"{path} is missing from {self.root}") from None
        except OSError as error:
            raise MissingFile(f"{path} in {self.root} cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class MemoryReader:
    """Reads files that are in memory, by path."""

    files: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Raises:
            MissingFile: there is none.
        """
        try:
            return self.files[path]
        except KeyError:
            raise MissingFile(f"{path} is missing") from None


def tiles(size: int) -> Iterator[Tile]:
    """All tiles of hashes that a tree of this size has, level by level."""
    yield from tiles_grown(0, size)


def tiles_grown(old_size: int, size: int) -> Iterator[Tile]:
    """The tiles of hashes that are new when a tree grows, level by level."""
    level = 0
    while size:
        yield from (
            Tile(Kind.HASHES, level, index, width) for index, width in files_grown(old_size, size)
        )
        old_size, size, level = old_size // WIDTH, size // WIDTH, level + 1


def files_grown(old_size: int, size: int) -> Iterator[tuple[int, int]]:
    """Index and width of the level-0 files that are new when a log grows.

    Entries and bundles are such files too: file (n, w) holds places 256 n to 256 n + w.
    """
    for index in range(old_size // WIDTH, -(-size // WIDTH) if size > old_size else 0):
        yield index, min(WIDTH, size - index * WIDTH)


def read_places(reader: TileReader, tile: Tile) -> tuple[bytes, int]:
    """Read a file; where a partial one is gone, the full one that took its place.

    A log may drop a partial file once the full one is there.

    Returns:
        The bytes, and how many places they hold: the tile's width, or that of a full file.

    Raises:
        MissingFile: neither is there.
    """
    try:
        return reader.read(tile.path), tile.width
    except MissingFile:
        if tile.width == WIDTH:
            raise
    try:
        return reader.read(replace(tile, width=WIDTH).path), WIDTH
    except MissingFile:
        raise MissingFile(f"{tile.path} is missing, and so is the full file") from None


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile.

    Args:
        data: the file.
        width: number of hashes it must hold.

    Raises:
        MalformedFile: it is not as long as that.
    """
    if len(data) != width * HASH_BYTES:
        raise MalformedFile(
            f"tile has {len(data)} bytes where {width * HASH_BYTES} are due: fetch it again"
        )
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def read_tile(reader: TileReader, tile: Tile) -> list[bytes]:
    """The hashes of a tile, also where only the full one that took its place is left.

    Raises:
        MissingFile: it is not there.
        MalformedFile: it is not as long as its width says.
    """
    data, width = read_places(reader, tile)
    try:
        return parse_tile(data, width)[: tile.width]
    except MalformedFile as error:
        raise MalformedFile(f"{tile.path}: {error}") from None


@dataclass(frozen=True, slots=True)
class Growth:
    """A tree that has grown.

    Attributes:
        size: number of leaves now.
        root: root now.
        files: path and bytes of every new tile; the last level comes last.
    """

    size: int
    root: bytes
    files: list[tuple[str, bytes]]


def grow(reader: TileReader, old_size: int, leaves: Sequence[bytes]) -> Growth:
    """Add leaves to a tree in tiles.

    Reads the partial tiles along the right edge, one a level, and writes nothing.

    Args:
        reader: the tree's files so far. They are not verified: compare `Growth.root` with what you
            have, or verify a checkpoint first.
        old_size: number of leaves so far.
        leaves: leaf hashes to add.

    Raises:
        MissingFile: a partial tile is not there.
        MalformedFile: one is damaged.
    """
    files: list[tuple[str, bytes]] = []
    edge: list[list[bytes]] = []
    row, count, level = list(leaves), old_size, 0
    while row or count:
        index, width = divmod(count, WIDTH)
        if width:
            row = read_tile(reader, Tile(Kind.HASHES, level, index, width)) + row
        parents = []
        whole = len(row) // WIDTH * WIDTH
        for start in range(0, whole, WIDTH):
            hashes = row[start : start + WIDTH]
            files.append((tile_path(level, index + start // WIDTH), b"".join(hashes)))
            parents.append(subtree_root(hashes))
        rest = row[whole:]
        if rest and len(row) > width:
            files.append((tile_path(level, index + whole // WIDTH, len(rest)), b"".join(rest)))
        edge.append(rest)
        row, count, level = parents, count // WIDTH, level + 1
    return Growth(old_size + len(leaves), edge_root(edge), files)


def edge_root(edge: Sequence[Sequence[bytes]]) -> bytes:
    """Root of a tree from the partial tiles along its right edge, level 0 first."""
    root: bytes | None = None
    for hashes in edge:
        for part in reversed(_frontier(hashes)):
            root = part if root is None else hash_children(part, root)
    return EMPTY_ROOT if root is None else root


def _frontier(hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    frontier = Frontier()
    frontier.extend(hashes)
    return frontier.hashes


def root_from_tiles(reader: TileReader, size: int) -> bytes:
    """Root of the tree in tiles, from its right edge.

    Raises:
        MissingFile: a partial tile is not there.
        MalformedFile: one is damaged.
    """
    return grow(reader, size, ()).root


def inclusion_path(reader: TileReader, index: int, size: int) -> list[bytes]:
    """The sibling hashes from a leaf up, in the tree of the given size.

    Args:
        reader: the tree's files, for this size at least.
        index: place of the leaf, counted from 0.
        size: number of leaves of the tree to prove it in.

    Raises:
        MalformedProof: there is no such place.
        MissingFile, MalformedFile: a tile is not as it should be.

    Source: RFC 9162, section 2.1.3.1.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise MalformedProof(f"leaf {index} is outside a log of {size} leaves")
    tree = _TileTree(reader, size)
    start, end = 0, size
    siblings: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return [tree.root(*span) for span in reversed(siblings)]


def consistency_path(reader: TileReader, old_size: int, size: int) -> list[bytes]:
    """The hashes that prove a tree to be the beginning of a larger one.

    Args:
        reader: the tree's files, for the larger size at least.
        old_size: number of leaves of the smaller tree.
        size: number of leaves of the larger.

    Raises:
        MalformedProof: the smaller tree is larger.
        MissingFile, MalformedFile: a tile is not as it should be.

    Source: RFC 9162, section 2.1.4.1.
    """
    if not 0 <= old_size <= size <= MAX_SIZE:
        raise MalformedProof(f"a log of {old_size} leaves cannot have grown to {size}")
    if old_size in (0, size):
        return []
    tree = _TileTree(reader, size)
    start, end = 0, size
    spans: list[tuple[int, int]] = []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    # A subtree that is the whole old tree is left out: the verifier has its root.
    if start:
        spans.append((start, end))
    return [tree.root(*span) for span in reversed(spans)]


def earlier_root(reader: TileReader, old_size: int, size: int) -> bytes:
    """Root over the first leaves of a tree.

    Args:
        reader: the tree's files, for the larger size at least.
        old_size: number of leaves, from the first on.
        size: number of leaves of the tree.

    Raises:
        MalformedProof: the tree has fewer.
        MissingFile, MalformedFile: a tile is not as it should be.
    """
    if not 1 <= old_size <= size <= MAX_SIZE:
        raise MalformedProof(f"a log of {size} leaves has not begun with {old_size}")
    return _TileTree(reader, size).root(0, old_size)


def _split(count: int) -> int:
    """The largest power of two below a number."""
    return 1 << (count - 1).bit_length() - 1


class _TileTree:
    """The hashes of a tree of one size, each tile read once."""

    def __init__(self, reader: TileReader, size: int) -> None:
        self._reader = reader
        self._size = size
        self._tiles: dict[tuple[int, int], _Rows] = {}

    def root(self, start: int, end: int) -> bytes:
        """Root over leaves `start` to `end`, which are a subtree of the tree's own shape."""
        parts = []
        while start < end:
            height = (end - start).bit_length() - 1
            parts.append(self._node(start, height))
            start += 1 << height
        root = parts.pop()
        while parts:
            root = hash_children(parts.pop(), root)
        return root

    def _node(self, start: int, height: int) -> bytes:
        """Root of the whole subtree of this height that begins at leaf `start`."""
        level, row = divmod(height, HEIGHT)
        index, place = divmod(start >> level * HEIGHT, WIDTH)
        return self._rows(level, index)[row][place >> row]

    def _rows(self, level: int, index: int) -> _Rows:
        if (level, index) not in self._tiles:
            width = min(WIDTH, (self._size >> level * HEIGHT) - index * WIDTH)
            tile = Tile(Kind.HASHES, level, index, width)
            data, found = read_places(self._reader, tile)
            try:
                self._tiles[level, index] = _rows_of(data, found)
            except MalformedFile as error:
                raise MalformedFile(f"{tile.path}: {error}") from None
        return self._tiles[level, index]


@lru_cache(maxsize=_CACHED_ROWS)
def _rows_of(data: bytes, width: int) -> _Rows:
    """A tile's hashes, and above them the rows of the tree that the tile stands for.

    Kept, because proofs about neighbours and about the next size of a log share their tiles.
    """
    rows = [parse_tile(data, width)]
    while len(rows[-1]) > 1:
        below = rows[-1]
        # A last one without a partner is no whole subtree yet.
        rows.append([hash_children(a, b) for a, b in zip(below[::2], below[1::2], strict=False)])
    return tuple(rows)
