"""What everybody can see of the log: files, and the signed checkpoint that vouches for them.

Steps 2 to 4 of the order of writes (DESIGN section 9). They start from rows that are committed, so
a step that failed is repeated until it succeeds, by this process or the next.
"""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from acx.exchange.durable import write_all_durably, write_durably
from acx.exchange.errors import LogBehind
from acx.exchange.home import Home
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import Head, LogRow, check_fence, load_head, save_checkpoint
from acx.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from acx.log.entry import SEALED_SIZES, pack_bundle, pack_entries, parse_bundle
from acx.log.errors import LogError, MissingFile
from acx.log.merkle import EMPTY_ROOT, hash_leaf
from acx.log.note import Signer, Verifier
from acx.log.tiles import (
    CHECKPOINT_PATH,
    WIDTH,
    DirectoryReader,
    Growth,
    Kind,
    Tile,
    files_grown,
    grow,
    parse_path,
    root_from_tiles,
)

CACHED_BYTES: Final = 24 * 1024 * 1024
"""Files kept in memory: a tile has 8 KiB, a bundle a few hundred."""
COSIGNED_PATH: Final = "cosigned"
"""Name of the newest checkpoint that enough witnesses have signed, beside the checkpoint."""
_LOST: Final = bytes(SEALED_SIZES[0])
"""Stands for the ciphertext of an event that was gone already when its row was recovered."""


class CachedReader:
    """The log's files, those used of late from memory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disk = DirectoryReader(root)
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, path: str) -> bytes:
        """The file's bytes.

        Raises:
            MissingFile: there is none.
        """
        data = self._cache.get(path)
        if data is None:
            try:
                data = self._disk.read(path)
            except MissingFile:
                data = self._narrowed(path)
            self.keep(path, data)
        return data

    def _narrowed(self, path: str) -> bytes:
        """A partial file cut from a wider one.

        Files that are written again from the rows are those of the newest checkpoint alone, and
        somebody may hold an older one.
        """
        tile = parse_path(path)
        folder = self._root.joinpath(path).parent
        wider = (int(file.name) for file in folder.glob("[0-9]*") if file.name.isdecimal())
        widths = sorted(width for width in wider if width > tile.width)
        if tile.width == WIDTH or not widths:
            raise MissingFile(f"{path} is missing from {self._root}")
        data = self._disk.read(str(Path(path).with_name(str(widths[0]))))
        if tile.kind is Kind.BUNDLE:
            return pack_bundle(parse_bundle(data, widths[0])[: tile.width])
        return data[: len(data) // widths[0] * tile.width]

    def keep(self, path: str, data: bytes) -> None:
        """Remember a file that was just written or read."""
        with self._lock:
            self._bytes += len(data) - len(self._cache.pop(path, b""))
            self._cache[path] = data
            while self._bytes > CACHED_BYTES:
                self._bytes -= len(self._cache.popitem(last=False)[1])

    def forget(self) -> None:
        """Read everything from the disk again."""
        with self._lock:
            self._cache.clear()
            self._bytes = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that follow what is published, and the tree with them."""

    rows: Sequence[LogRow]
    growth: Growth


class Publisher:
    """Writes the log's files, signs its head, and publishes it.

    Attributes:
        published: the checkpoint that everybody can see.
        reader: the log's files.
    """

    def __init__(self, home: Home, database: Database, origin: str) -> None:
        """Take up what is published.

        Raises:
            HomeError: the log key is missing.
            LogError: the checkpoint is not this log's.
        """
        self._public = home.public
        self._high_water = home.high_water
        self._database = database
        self._signer = Signer(origin, home.log_key())
        self.reader = CachedReader(home.public)
        self.published = self._read(home.public / CHECKPOINT_PATH)
        self._signed = self._read(self._high_water)
        self._keeping = threading.Lock()
        self._stopped = ""

    @property
    def verifier(self) -> Verifier:
        """The log's public key."""
        return self._signer.verifier

    @property
    def vkey(self) -> str:
        """The log's public key, as a line to hand out."""
        return self.verifier.vkey

    @property
    def largest_signed(self) -> int:
        """Size of the largest checkpoint that is known to have been signed."""
        return max(self.published.size, self._signed.size)

    def open_copy(self, checkpoint: Checkpoint | None) -> Checkpoint:
        """The checkpoint of a copy of the log, if this log signed it.

        Raises:
            LogError: there is none, or another log's.
        """
        if checkpoint is None:
            raise MissingFile("the copy has no checkpoint: sync it first")
        return self._open(checkpoint.note)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Note down that a checkpoint was signed, though the database may not know.

        What is noted down never becomes less: a witness may know of more than this process signs.
        """
        with self._keeping:
            if checkpoint.size < self._signed.size:
                return
            write_durably(self._high_water, checkpoint.note.encode(), mode=0o600)
            self._signed = checkpoint

    def stop(self, reason: str) -> None:
        """Sign nothing from now on; `check` says why."""
        self._stopped = reason

    def check(self, head: Head) -> None:
        """Refuse to go on from rows that are behind what was ever signed, or beside it.

        Raises:
            LogBehind: a database from an old backup, say.
        """
        if self._stopped:
            raise LogBehind(self._stopped)
        for name, signed in (
            ("published", self.published),
            ("signed", self._signed),
        ):
            if signed.size > head.size:
                raise LogBehind(
                    f"the database holds {head.size} entries, and {signed.size} were {name}: "
                    "nothing is signed, because the log would fork. Bring the entries back with "
                    "`acx exchange recover --from REPLICA|URL`"
                )
            if signed.size == head.size and signed.root != head.root:
                raise LogBehind(
                    f"the database's {head.size} entries are not those that were {name}: nothing "
                    "is signed, because the log would fork. Bring back the right database, or use "
                    "`acx exchange recover --from REPLICA|URL`"
                )

    def grown(self, before: int, rows: Sequence[LogRow]) -> Batch:
        """The tree with further rows; nothing is written."""
        leaves = [hash_leaf(row.entry) for row in rows]
        return Batch(rows, grow(self.reader, before, leaves))

    def matches(self, size: int, root: bytes) -> bool:
        """Whether the files on disk are those of a tree."""
        self.reader.forget()
        try:
            return root_from_tiles(self.reader, size) == root
        except LogError:
            return False

    def write_files(self, batch: Batch) -> None:
        """Step 2: tiles, entries and bundles, and their folders, on the disk.

        Raises:
            OSError: call again.
        """
        first = batch.growth.size - len(batch.rows)
        files = dict(batch.growth.files)
        for index, width in files_grown(first, batch.growth.size):
            known = max(0, min(first - index * WIDTH, WIDTH))
            start = index * WIDTH + known - first
            rows = batch.rows[start : start + width - known]
            entries = pack_entries([row.entry for row in rows])
            bundle = pack_bundle([row.ciphertext or _LOST for row in rows])
            for kind, data in ((Kind.ENTRIES, entries), (Kind.BUNDLE, bundle)):
                before = self.reader.read(Tile(kind, 0, index, known).path) if known else b""
                files[Tile(kind, 0, index, width).path] = before + data
        write_all_durably(self._public, files)
        for path, data in files.items():
            self.reader.keep(path, data)

    def sign(self, head: Head) -> Checkpoint:
        """Step 3: sign the head and keep the checkpoint, in the database and beside it.

        Raises:
            LogBehind: something larger, or of another root, was signed.
            LeadError: another process leads by now.
            Unavailable, OSError: call again.
        """
        self.check(head)
        checkpoint = Checkpoint(self._signer.name, head.size, head.root)
        # Ed25519 gives the same signature again, so a repeated step 3 keeps the same checkpoint.
        signed = replace(checkpoint, note=sign_checkpoint(checkpoint, self._signer))
        self.keep(signed)
        with self._database.write() as connection:
            # Whoever leads by now may have published more, which this must not take back.
            check_fence(load_head(connection), head.fence)
            save_checkpoint(connection, signed.size, signed.root, signed.note)
            # Those who only read are told with the commit, by the database itself.
            self._database.wake(connection)
        return signed

    def publish(self, checkpoint: Checkpoint) -> None:
        """Step 4: let everybody see it.

        Raises:
            OSError: call again.
        """
        write_durably(self._public / CHECKPOINT_PATH, checkpoint.note.encode())
        self.published = checkpoint

    def read_cosigned(self) -> Checkpoint:
        """What was published with cosignatures last; of size 0 before the first.

        Raises:
            LogError: the file is damaged, or another log's.
        """
        return self._read(self._public / COSIGNED_PATH)

    def publish_cosigned(self, checkpoint: Checkpoint) -> None:
        """Let everybody see what witnesses have signed.

        Raises:
            OSError: call again.
        """
        write_durably(self._public / COSIGNED_PATH, checkpoint.note.encode())

    def prune(self, batch: Batch) -> None:
        """Drop the partial files whose full one is there now."""
        full = [path for path, _ in batch.growth.files if ".p/" not in path]
        for path in full:
            tile = parse_path(path)
            kinds = [Kind.HASHES] if tile.level else list(Kind)
            for kind in kinds:
                partial = self._public / (Tile(kind, tile.level, tile.index).path + ".p")
                shutil.rmtree(partial, ignore_errors=True)

    def _read(self, file: Path) -> Checkpoint:
        try:
            return self._open(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Checkpoint(self._signer.name, 0, EMPTY_ROOT)
        except UnicodeDecodeError as error:
            raise MissingFile(f"{file} is damaged: bring it back from a backup") from error

    def _open(self, note: str) -> Checkpoint:
        return open_checkpoint(note, self._signer.verifier)
