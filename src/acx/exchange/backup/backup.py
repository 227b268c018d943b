"""Making a backup, and putting one in place.

A backup is a directory: the rows, the keys of events apart from them, the operator's keys and
settings, what was published, and a manifest with digests. It holds every secret of the exchange.

**Keys of events stand apart**, with what was written in disputes, because destroying one must reach
the backups too: `event-keys` of an older backup is never needed once there is a newer one, so it is
deleted; the rows may be kept.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

import msgspec

from acx import __version__
from acx.exchange.backup.recovery import condemn_what_is_gone
from acx.exchange.backup.rows import KEY_TABLES, ROW_TABLES, read_rows_into, write_rows
from acx.exchange.clock import Clock, hour_text
from acx.exchange.durable import make_directory, sync_directory, write_durably
from acx.exchange.errors import BackupError, HomeError
from acx.exchange.home import CONFIG_FILE, Home, Settings
from acx.exchange.storage.database import Database, database_url
from acx.exchange.storage.ledger import destroy_condemned, list_condemned, load_head
from acx.log.tiles import CHECKPOINT_PATH

FORMAT: Final = "acx-backup/v1"
MANIFEST: Final = "backup.json"
ROWS: Final = "rows.jsonl.zst"
EVENT_KEYS: Final = "event-keys.jsonl.zst"
_HOME: Final = "home"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is of.

    Attributes:
        format: `acx-backup/v1`.
        acx: the version that made it.
        schema: version of the tables.
        origin: the log's name.
        size: entries in it.
        made: the UTC hour.
        files: path and SHA-256 of each file.
        condemned: places whose keys were to be destroyed at that moment, and may be in it still.
    """

    format: str
    acx: str
    schema: str
    origin: str
    size: int
    made: str
    files: dict[str, str]
    condemned: tuple[int, ...] = ()


def make_backup(
    home: Home, settings: Settings, database: Database, target: Path, *, clock: Clock
) -> Manifest:
    """Write a backup while the exchange serves, or does not.

    Args:
        home: the operator's directory.
        settings: from its `config.toml`.
        database: its rows.
        target: a directory that is not there yet.
        clock: the time.

    Raises:
        BackupError: the target is there, or cannot be written. Nothing half-done is left.
    """
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise BackupError(f"{target} exists: give each backup a directory of its own")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        make_directory(partial, mode=0o700)
        # Before the rows are read, so that they are never behind what was published.
        _copy_home(home, partial / _HOME)
        with database.read() as connection:
            size = load_head(connection).size
            write_rows(connection, ROW_TABLES, partial / ROWS)
            write_rows(connection, KEY_TABLES, partial / EVENT_KEYS)
            doomed = list_condemned(connection)
        manifest = Manifest(
            format=FORMAT,
            acx=__version__,
            schema=database.version(),
            origin=settings.origin,
            size=size,
            made=hour_text(clock()),
            files=_digests(partial),
            condemned=doomed,
        )
        write_durably(partial / MANIFEST, msgspec.json.encode(manifest), mode=0o600)
        partial.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def restore_backup(source: Path, target: Path, *, database: str | None = None) -> Manifest:
    """Put a backup in place, in an empty home and an empty database.

    The exchange that comes of it signs nothing until `recover` has compared it with what was
    published since: a log that goes on from an old state forks.

    Args:
        source: the backup.
        target: a directory that is empty, or not there.
        database: as in `config.toml`; by default, the one of the backup's settings.

    Raises:
        BackupError: it is no backup, damaged, or of another version.
        HomeError, StorageError: home or database are in use. Nothing half-done is left.
    """
    manifest = _read_manifest(source)
    if target.exists() and any(target.iterdir()):
        raise HomeError(f"{target} is not empty: choose another --home")
    existed = target.exists()
    try:
        shutil.copytree(source / _HOME, target, dirs_exist_ok=True)
        target.chmod(0o700)
        home = Home(target)
        # Before there are rows that could be led on from.
        home.mark_restored(manifest.size)
        settings = home.settings()
        if database is not None:
            settings = msgspec.structs.replace(settings, database=database)
            home.write_settings(settings)
        rows = Database(database_url(settings.database, target))
        try:
            with rows.made():
                _insert_rows(rows, source, manifest)
                _replay_erasures(rows, home)
        finally:
            rows.close()
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if existed:
            target.mkdir(mode=0o700)
        raise
    return manifest


def _insert_rows(database: Database, source: Path, manifest: Manifest) -> None:
    if database.version() != manifest.schema:
        raise BackupError(
            f"the backup has tables of version {manifest.schema}, this acx of "
            f"{database.version()}: restore it with acx {manifest.acx}, then migrate"
        )
    with database.write() as connection:
        read_rows_into(connection, source / ROWS)
        read_rows_into(connection, source / EVENT_KEYS)


def _replay_erasures(database: Database, home: Home) -> None:
    """Destroy the keys of what the restored log says is gone, wherever they came from."""
    with database.write() as connection:
        condemn_what_is_gone(connection, home)
        destroy_condemned(connection)
    database.forget_deleted()


def _copy_home(home: Home, target: Path) -> None:
    make_directory(target, mode=0o700)
    for name in ("keys", "matching.key", CONFIG_FILE, "high-water"):
        source = home.path / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            shutil.copy2(source, target / name)
    published = home.public / CHECKPOINT_PATH
    (target / "public").mkdir(mode=0o755)
    if published.exists():
        shutil.copy2(published, target / "public" / CHECKPOINT_PATH)


def _digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): _digest(path) for path in files}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(source: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
        if manifest.format != FORMAT:
            raise BackupError(f"{source} is a backup of format {manifest.format}: upgrade acx")
        found = _digests(source)
    except OSError:
        raise BackupError(f"{source} is no backup: it has no readable {MANIFEST}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"{source / MANIFEST} is damaged: {error}") from None
    for name, digest in manifest.files.items():
        if found.get(name) != digest:
            raise BackupError(f"{source / name} is missing or damaged: take another backup")
    return manifest
