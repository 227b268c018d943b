"""The log as plain files in a folder, for any web server, object store or CDN.

```
checkpoint          the newest, with cosignatures once it has them
cosigned            the newest that enough witnesses have signed
tile/ bundle/       as the exchange serves them; a file never changes
keys/N              key page N, sealed for members
keys/readers        the reading key, sealed to each member in good standing
published           the UTC hour
```

Whoever reads while this writes finds nothing that contradicts itself, because of the order: (1)
what never changes; (2) key pages that have only grown; (3) the checkpoint; (4) key pages from which
something was erased, which the checkpoint explains by now; (5) what nobody needs any more goes.
Every file is whole or not there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection

from acx.exchange.admission.members import ACTIVE, list_members
from acx.exchange.clock import Clock, hour_text
from acx.exchange.durable import write_all_durably
from acx.exchange.errors import PublicationError
from acx.exchange.home import Home
from acx.exchange.sequencer.publisher import COSIGNED_PATH, CachedReader
from acx.exchange.storage.database import Database
from acx.exchange.storage.ledger import newest_checkpoint, read_keys
from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.entry import PAGE_KEYS, keys_path, pack_keys
from acx.log.errors import LogError
from acx.log.tiles import CHECKPOINT_PATH, Kind, Tile, files_grown, tiles
from acx.records.reading_key import (
    READERS_PATH,
    ReadingKeyError,
    draw_reading_key,
    open_page,
    seal_page,
    seal_reading_key,
)

PUBLISHED_PATH: Final = "published"
FILES_AT_ONCE: Final = 256
"""Files between two times that their folders are made durable."""
_LOCK_FILE: Final = "publish.lock"
_KEYS: Final = "keys"
_OURS: Final = frozenset({CHECKPOINT_PATH, COSIGNED_PATH, PUBLISHED_PATH, "tile", "bundle", _KEYS})


@dataclass(frozen=True, slots=True)
class Publication:
    """What one publishing did.

    Attributes:
        size: entries that are published now.
        written: files that are new or changed.
        removed: files that are gone.
    """

    size: int
    written: int
    removed: int


class _ReadingKey(msgspec.Struct, frozen=True, kw_only=True):
    """The reading key in force, and for whom."""

    key: bytes
    members: tuple[str, ...]
    readers: bytes


def publish(
    home: Home, database: Database, target: Path, *, clock: Clock, keys: bool = True
) -> Publication:
    """Bring a folder up to date with the log; what is there already is not written again.

    Args:
        home: the operator's directory.
        database: its rows.
        target: the folder; made if it is not there.
        clock: the time.
        keys: whether key pages are published, for members; without, members fetch them from the
            exchange.

    Raises:
        PublicationError: the folder holds something else, another log, or more than this exchange
            knows; or it cannot be written.
    """
    with _alone(home):
        try:
            return _Publishing(home, database, target, clock, keys=keys).run()
        except OSError as error:
            raise PublicationError(
                f"{error.filename or target} cannot be written: {error.strerror}; what was"
                " published before is still whole"
            ) from None


class _Publishing:
    def __init__(
        self, home: Home, database: Database, target: Path, clock: Clock, *, keys: bool
    ) -> None:
        self._home = home
        self._database = database
        self._target = target
        self._clock = clock
        self._keys = keys
        self._reader = CachedReader(home.public)
        self._written = 0
        self._removed = 0

    def run(self) -> Publication:
        # Before the rows are read, so that it is not ahead of them.
        cosigned = _read(self._home.public / COSIGNED_PATH)
        # One state of the rows: a key that is gone, and the checkpoint over what says why.
        with self._database.read() as connection:
            checkpoint = newest_checkpoint(connection)
            if checkpoint is None:
                raise PublicationError("nothing was signed so far: start the server once")
            before = self._published(checkpoint)
            # (1)
            self._copy_files(checkpoint)
            # (2)
            shrunk = self._write_keys(connection, checkpoint) if self._keys else {}
        # (3)
        signed = cosigned if cosigned and cosigned.size == checkpoint.size else checkpoint
        if cosigned:
            self._replace(COSIGNED_PATH, cosigned.note.encode())
        self._replace(PUBLISHED_PATH, f"{hour_text(self._clock())}\n".encode())
        self._replace(CHECKPOINT_PATH, signed.note.encode())
        # (4)
        self._write(shrunk)
        # (5)
        if not self._keys and (self._target / _KEYS).is_dir():
            self._removed += sum(1 for _ in (self._target / _KEYS).iterdir())
            shutil.rmtree(self._target / _KEYS)
        self._prune(before, checkpoint.size)
        return Publication(checkpoint.size, self._written, self._removed)

    def _published(self, checkpoint: Checkpoint) -> int:
        """How many entries the folder holds already."""
        target = self._target
        if not target.exists():
            target.mkdir(parents=True)
            target.chmod(0o755)
        foreign = sorted({path.name for path in target.iterdir()} - _OURS)
        if foreign:
            raise PublicationError(
                f"{target} holds other files ({foreign[0]}): publish to a directory of its own"
            )
        there = _read(target / CHECKPOINT_PATH)
        if there is None:
            return 0
        if there.origin != checkpoint.origin:
            raise PublicationError(
                f"{target} holds the log {there.origin}: publish to a directory of its own"
            )
        if there.size > checkpoint.size or (
            there.size == checkpoint.size and there.root != checkpoint.root
        ):
            raise PublicationError(
                f"{target} holds {there.size} entries, and this exchange signed other"
                f" {checkpoint.size}: is it an old backup? See `acx exchange recover`"
            )
        return there.size

    # (1)
    def _copy_files(self, checkpoint: Checkpoint) -> None:
        batch: dict[str, bytes] = {}
        for tile in _files(checkpoint.size):
            if not (self._target / tile.path).exists():
                batch[tile.path] = self._reader.read(tile.path)
            if len(batch) == FILES_AT_ONCE:
                self._write(batch)
                batch = {}
        self._write(batch)

    # (2)
    def _write_keys(self, connection: Connection, checkpoint: Checkpoint) -> dict[str, bytes]:
        """Write key pages; give those that have lost something, to be written later."""
        origin = checkpoint.origin
        reading = self._reading_key(connection, origin)
        self._replace(READERS_PATH, reading.readers)
        shrunk: dict[str, bytes] = {}
        grown: dict[str, bytes] = {}
        for number in range(-(-checkpoint.size // PAGE_KEYS)):
            first = number * PAGE_KEYS
            stop = min(first + PAGE_KEYS, checkpoint.size)
            found = read_keys(connection, first, stop)
            page = pack_keys([found.get(index) for index in range(first, stop)])
            path = keys_path(number)
            sealed = seal_page(reading.key, number, page, origin=origin)
            there = _bytes(self._target / path)
            if there == sealed:
                continue
            if there is None or page.startswith(_opened(reading.key, number, there, origin)):
                grown[path] = sealed
            else:
                shrunk[path] = sealed
            if len(grown) == FILES_AT_ONCE:
                self._write(grown)
                grown = {}
        self._write(grown)
        return shrunk

    def _reading_key(self, connection: Connection, origin: str) -> _ReadingKey:
        """The reading key; another one once somebody may read no more."""
        members = tuple(
            sorted(member.key for member in list_members(connection) if member.status == ACTIVE)
        )
        kept = self._home.reading_key()
        known = msgspec.msgpack.decode(kept, type=_ReadingKey) if kept else None
        if known is not None and known.members == members:
            return known
        key = known.key if known and set(known.members) <= set(members) else draw_reading_key()
        readers = seal_reading_key(key, members, origin=origin)
        drawn = _ReadingKey(key=key, members=members, readers=readers)
        self._home.keep_reading_key(msgspec.msgpack.encode(drawn))
        return drawn

    # (5)
    def _prune(self, before: int, size: int) -> None:
        """Drop partial files: of the last tile, those that only older readers than one ask for."""
        kept = {tile.path for seen in (before, size) for tile in _files(seen)}
        partial = [*self._target.glob("tile/**/*.p"), *self._target.glob("bundle/**/*.p")]
        for folder in partial:
            full = folder.with_suffix("").exists()
            for file in sorted(folder.iterdir()):
                if full or str(file.relative_to(self._target)) not in kept:
                    file.unlink()
                    self._removed += 1
            if not any(folder.iterdir()):
                folder.rmdir()

    def _write(self, files: dict[str, bytes]) -> None:
        if files:
            write_all_durably(self._target, files)
            self._written += len(files)

    def _replace(self, path: str, data: bytes) -> None:
        if _bytes(self._target / path) != data:
            self._write({path: data})


def _files(size: int) -> Iterator[Tile]:
    """Every file of a log of this size."""
    yield from tiles(size)
    for kind in (Kind.ENTRIES, Kind.BUNDLE):
        yield from (Tile(kind, 0, index, width) for index, width in files_grown(0, size))


def _opened(key: bytes, number: int, sealed: bytes, origin: str) -> bytes:
    """A page as it was published; something that nothing begins with, if under another key."""
    try:
        return open_page(key, number, sealed, origin=origin)
    except ReadingKeyError:
        return b"\xff"


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(file: Path) -> Checkpoint | None:
    data = _bytes(file)
    if data is None:
        return None
    try:
        return read_checkpoint(data.decode("utf-8", "replace"))
    except LogError as error:
        raise PublicationError(f"{file} is no checkpoint ({error}): remove it") from None


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep a second publishing of the same exchange out."""
    descriptor = os.open(home.path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PublicationError("another publishing is under way: wait for it") from None
    finally:
        os.close(descriptor)
