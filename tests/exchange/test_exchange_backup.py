"""Backup, restore, recover: the way back, without a fork and without what was erased."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import zstandard
from sqlalchemy import select
from tests.exchange.acting import Actor, Draft, SetClock, check_log, verify_acknowledgement
from tests.exchange.founding import create_database

from acx.exchange.backup.backup import EVENT_KEYS
from acx.exchange.backup.http_copy import HttpCopy
from acx.exchange.backup.recovery import LogCopy
from acx.exchange.errors import (
    BackupError,
    HomeError,
    LeadError,
    LogBehind,
    RecoveryError,
    StorageError,
)
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.schema import metadata
from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.entry import entry_of
from acx.log.errors import LogError
from acx.records.sealed_text import Message

Join = Callable[..., Actor]


@dataclass(frozen=True)
class Copied:
    index: int
    entry: bytes
    at: str
    k: bytes
    event: bytes


@dataclass
class Copy:
    """A replica, as far as recovery goes."""

    checkpoint: Checkpoint | None
    held: list[Copied] = field(default_factory=list)

    @classmethod
    def of(cls, service: Service) -> Copy:
        copy = cls(read_checkpoint(service.published.note))
        for index, rendered in service.entries(-1, 1000).entries:
            tree = json.loads(rendered)
            if "entry" in tree:
                copy.held.append(Copied(index, base64.b64decode(tree["entry"]), "", b"", b""))
                continue
            raw = rendered.partition(b'"event":')[2].rpartition(b',"index":')[0]
            k = base64.b64decode(tree["k"])
            copy.held.append(Copied(index, entry_of(k, tree["at"], raw), tree["at"], k, raw))
        return copy

    def entries(self, after: int = -1) -> Iterator[Copied]:
        yield from self.held[after + 1 :]


@pytest.fixture
def target(directory: Path) -> Path:
    return directory / "backup"


@pytest.fixture
def restored(
    directory: Path, clock: SetClock, cleanup: ExitStack
) -> Callable[[Path, str | None], Exchange]:
    def restore(source: Path, database: str | None = "") -> Exchange:
        Exchange.restore(source, directory / "restored", database=database)
        return cleanup.enter_context(Exchange.open(directory / "restored", clock=clock))

    return restore


Restored = Callable[..., Exchange]


def test_a_restored_exchange_is_the_same_exchange(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    actor = join("A")
    draft = posted(service, actor)
    manifest = exchange.backup(target)
    assert manifest.size == service.published.size
    again = restored(target)
    assert rows(again) == rows(exchange)
    assert again.members() == exchange.members()
    again.recover(Copy.of(service))
    with again.lead() as serving:
        assert draft.post(serving) == draft.post(service)
        assert serving.member(actor.token).name == "A"
        posted(serving, actor)
        check_log(serving, actor.invite.log_key)


def test_what_was_filed_about_an_erased_report_does_not_come_back_with_a_backup(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    report = posted(service, join("A")).event.report
    exchange.disputes.file(report, "not_me", Message(text="not I"))
    exchange.backup(target)
    exchange.approve(exchange.erase(report, "data_subject", "ann"), "bob")
    again = restored(target)
    again.recover(Copy.of(service))
    assert again.expire().texts == 1
    assert [filing.sealed for filing in again.disputes.filings()] == [b""]


def test_a_backup_moves_from_one_kind_of_database_to_another(
    exchange: Exchange,
    service: Service,
    join: Join,
    target: Path,
    restored: Restored,
    postgres: str,
) -> None:
    draft = posted(service, join("A"))
    exchange.backup(target)
    other = "" if exchange.settings.database else create_database(postgres)
    again = restored(target, other)
    assert rows(again) == rows(exchange)
    again.recover(Copy.of(service))
    with again.lead() as serving:
        verify_acknowledgement(draft.post(serving), draft)


def test_a_restored_exchange_signs_nothing_before_it_was_compared(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    join("A")
    exchange.backup(target)
    again = restored(target)
    with pytest.raises(LogBehind, match="acx exchange recover"):
        again.lead()
    with pytest.raises(LogBehind, match="acx exchange recover"):
        again.invite("B")
    again.recover(None)
    again.lead().close()


def test_what_came_after_a_backup_is_brought_back_from_a_replica(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    actor = join("A")
    before = posted(service, actor)
    exchange.backup(target)
    since = [posted(service, actor) for _ in range(3)]
    join("B")
    acknowledged = [draft.post(service) for draft in since]
    copy = Copy.of(service)
    service.close()

    again = restored(target)
    recovered = again.recover(copy)
    assert recovered.size == len(copy.held)
    assert recovered.joined == 1
    with again.lead() as serving:
        for draft, word in zip(since, acknowledged, strict=True):
            verify_acknowledgement(word, draft)
            assert draft.post(serving).index == word.index
        before.post(serving)
        check_log(serving, actor.invite.log_key)
        last = json.loads(serving.entries(recovered.size - 1, 1).entries[0][1])
        assert last["event"]["body"] == {
            "act": "recovered",
            "count": recovered.size - recovered.before,
        }
        actor.nonce = 0
        with pytest.raises(Exception, match="spent"):
            posted(serving, actor)


def test_what_was_erased_after_a_backup_stays_erased(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    actor = join("A")
    draft = posted(service, actor)
    exchange.backup(target)
    exchange.approve(exchange.erase(draft.event.report, "data_subject", "ann"), "bob")
    copy = Copy.of(service)
    service.close()
    again = restored(target)
    again.recover(copy)
    with again.lead() as serving:
        assert check_log(serving, actor.invite.log_key).destroyed == 1


def test_an_exchange_is_built_up_from_a_replica_alone_where_the_rows_are_lost(
    exchange: Exchange, service: Service, join: Join, target: Path, restored: Restored
) -> None:
    exchange.backup(target)
    actor = join("A")
    draft = posted(service, actor)
    exchange.approve(exchange.erase(draft.event.report, "data_subject", "ann"), "bob")
    kept = posted(service, actor)
    copy = Copy.of(service)
    service.close()
    again = restored(target)
    again.recover(copy)
    with again.lead() as serving:
        report = check_log(serving, actor.invite.log_key)
        assert report.destroyed == 1
        assert kept.post(serving).index == len(copy.held) - 1


@pytest.mark.parametrize("damage", ["short", "behind", "gap", "changed", "other log", "none"])
def test_a_copy_that_is_not_enough_changes_nothing(
    exchange: Exchange,
    service: Service,
    join: Join,
    target: Path,
    restored: Restored,
    damage: str,
) -> None:
    actor = join("A")
    exchange.backup(target)
    old = Copy.of(service)
    for _ in range(3):
        posted(service, actor)
    copy = Copy.of(service)
    checkpoint = copy.checkpoint
    assert checkpoint
    if damage == "short":
        copy.held.pop()
    elif damage == "behind":
        copy = old
    elif damage == "gap":
        del copy.held[-2]
    elif damage == "changed":
        last = copy.held[-1]
        copy.held[-1] = Copied(last.index, last.entry, last.at, bytes(32), last.event)
    elif damage == "other log":
        lines = checkpoint.note.split("\n")
        copy.checkpoint = read_checkpoint("\n".join(["other.example", *lines[1:]]))
    else:
        copy.checkpoint = None
    service.close()
    again = restored(target)
    before = rows(again)
    if damage == "behind":
        # As it is when the database alone is restored, and the home still knows better.
        again.home.high_water.write_text(exchange.home.high_water.read_text())
    with pytest.raises((RecoveryError, LogError)):
        again.recover(copy)
    assert rows(again) == before
    with pytest.raises(LogBehind):
        again.lead()


def test_recovery_waits_until_the_server_is_stopped(exchange: Exchange, service: Service) -> None:
    with pytest.raises(LeadError, match="stop it first"):
        exchange.recover(Copy.of(service))


def test_a_backup_is_whole_or_not_there(
    exchange: Exchange, service: Service, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("acx.exchange.backup.backup.write_rows", full)
    with pytest.raises(BackupError, match="No space left"):
        exchange.backup(target)
    monkeypatch.undo()
    assert not list(target.parent.glob("backup*"))
    exchange.backup(target)
    with pytest.raises(BackupError, match="of its own"):
        exchange.backup(target)
    assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("file", ["rows.jsonl.zst", "event-keys.jsonl.zst", "home/keys/log.key"])
@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
def test_a_damaged_backup_is_refused_whole(
    exchange: Exchange, target: Path, directory: Path, file: str, damage: str
) -> None:
    exchange.backup(target)
    path = target / file
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(
            content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1])
        )
    with pytest.raises(BackupError, match="missing or damaged"):
        Exchange.restore(target, directory / "restored", database="")
    assert not (directory / "restored").exists()


@pytest.mark.parametrize("manifest", [None, b"", b"{}", b"\xff", b'{"format":1}'])
def test_what_is_no_backup_is_told_so(directory: Path, manifest: bytes | None) -> None:
    source = directory / "source"
    source.mkdir()
    if manifest is not None:
        (source / "backup.json").write_bytes(manifest)
    with pytest.raises(BackupError, match=r"backup\.json"):
        Exchange.restore(source, directory / "restored")


def test_a_backup_is_put_where_nothing_is(
    exchange: Exchange, target: Path, directory: Path, home: Path
) -> None:
    exchange.backup(target)
    with pytest.raises(HomeError, match="not empty"):
        Exchange.restore(target, home)
    if exchange.settings.database:
        with pytest.raises(StorageError, match="already"):
            Exchange.restore(target, directory / "restored")
        assert not (directory / "restored").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "ftp://x"])
def test_a_url_that_gives_no_log_is_told(url: str) -> None:
    with pytest.raises(RecoveryError):
        HttpCopy(url, "token")


def posted(service: Service, actor: Actor) -> Draft:
    draft = actor.report(service)
    draft.post(service)
    return draft


def rows(exchange: Exchange) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the head's fence, in order."""
    with exchange._database.read() as connection:
        return {
            table.name: sorted(
                (
                    tuple(
                        bytes(value) if isinstance(value, memoryview) else value
                        for name, value in row.items()
                        if name != "fence"
                    )
                    for row in connection.execute(select(table)).mappings()
                ),
                key=repr,
            )
            for table in metadata.sorted_tables
        }


def check_protocol(copy: Copy) -> LogCopy:
    """Mypy holds the copies of these tests to what recovery asks of a replica."""
    return copy


def test_a_restore_replays_erasures_over_keys_that_are_older_than_its_rows(
    exchange: Exchange, service: Service, join: Callable[..., Actor], directory: Path
) -> None:
    draft = join("A").report(service)
    draft.post(service)
    exchange.backup(directory / "before")
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    exchange.backup(directory / "after")
    keys = directory / "after" / EVENT_KEYS
    lines = {
        line
        for file in (keys, directory / "before" / EVENT_KEYS)
        for line in zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).readall().split()
    }
    keys.write_bytes(zstandard.ZstdCompressor().compress(b"\n".join([*sorted(lines), b""])))
    manifest = directory / "after" / "backup.json"
    listed = msgspec.json.decode(manifest.read_bytes())
    listed["files"][EVENT_KEYS] = hashlib.sha256(keys.read_bytes()).hexdigest()
    manifest.write_bytes(msgspec.json.encode(listed))
    service.close()
    Exchange.restore(directory / "after", directory / "again", database="")
    with Exchange.open(directory / "again") as restored:
        assert restored.audit().gone == 1
