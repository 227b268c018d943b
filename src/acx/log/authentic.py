"""Tiles that a signed checkpoint vouches for, whoever carried them.

Each tile's hashes must lead to the hash that the tile above has for it, up to the root that the log
has signed. So a file that was changed on the way is found at once and named, before anything that
rests on it is taken.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from acx.log.checkpoint import Checkpoint
from acx.log.errors import AlteredFile
from acx.log.merkle import subtree_root
from acx.log.tiles import WIDTH, Kind, Tile, TileReader, edge_root, read_tile

_CACHED: Final = 64
"""Upper tiles kept: one stands for 65,536 leaves or more."""


class AuthenticTiles:
    """The hashes of a tree, from files that anybody may have touched.

    Attributes:
        checkpoint: signed; its signature is already verified.
    """

    def __init__(self, reader: TileReader, checkpoint: Checkpoint) -> None:
        """Check the right edge of the tree against the root.

        Args:
            reader: the log's files, for this checkpoint at least.
            checkpoint: its signature already verified.

        Raises:
            MissingFile, MalformedFile: a tile is not there, or is none.
            AlteredFile: the files lead to another root.
        """
        self.checkpoint = checkpoint
        self._reader = reader
        self._edge: list[list[bytes]] = []
        self._upper = lru_cache(_CACHED)(self._authentic)
        size, level = checkpoint.size, 0
        while size:
            index, width = divmod(size, WIDTH)
            self._edge.append(self._read(level, index, width) if width else [])
            size, level = index, level + 1
        if edge_root(self._edge) != checkpoint.root:
            paths = [
                _tile(level, (checkpoint.size >> 8 * level) // WIDTH, len(hashes)).path
                for level, hashes in enumerate(self._edge)
                if hashes
            ]
            raise AlteredFile(
                f"{', '.join(paths)}: the hashes do not lead to the signed root of"
                f" {checkpoint.size} entries: one was changed on the way. Fetch again, or take"
                " another copy",
                evidence=(checkpoint.note,),
            )

    def leaves(self, index: int) -> list[bytes]:
        """The leaf hashes of places 256 · index to at most 256 · index + 255.

        Raises:
            MissingFile, MalformedFile: a tile is not there, or is none.
            AlteredFile: it was changed.
        """
        return self._authentic(0, index)

    def _authentic(self, level: int, index: int) -> list[bytes]:
        if index == (self.checkpoint.size >> 8 * level) // WIDTH:
            return self._edge[level]
        hashes = self._read(level, index, WIDTH)
        above, place = divmod(index, WIDTH)
        if subtree_root(hashes) != self._upper(level + 1, above)[place]:
            raise AlteredFile(
                f"{_tile(level, index, WIDTH).path} is not the tile that the log has signed: it was"
                " changed on the way. Fetch it again, or take another copy",
                evidence=(self.checkpoint.note,),
            )
        return hashes

    def _read(self, level: int, index: int, width: int) -> list[bytes]:
        return read_tile(self._reader, _tile(level, index, width))


def _tile(level: int, index: int, width: int) -> Tile:
    return Tile(Kind.HASHES, level, index, width)
