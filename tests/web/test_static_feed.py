"""The log as plain files, from the operator who publishes them to the member who reads them."""

from __future__ import annotations

import functools
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from tests.exchange.acting import Actor, SetClock, about
from tests.web.serving import Served

from acx.exchange.errors import PublicationError
from acx.exchange.feed import publication
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.storage import ledger
from acx.log.authentic import AuthenticTiles
from acx.log.checkpoint import Checkpoint
from acx.log.errors import AlteredFile, LogError, MissingFile
from acx.log.fsck import fsck
from acx.log.merkle import hash_leaf
from acx.log.note import Verifier
from acx.log.tiles import DirectoryReader, MemoryReader, grow
from acx.member import static, vault
from acx.member.errors import BadAnswer, Withheld
from acx.member.home import Member
from acx.records.event import Act
from acx.records.reading_key import ReadingKeyError


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "SCRYPT_LOG_N", 10)


@pytest.fixture
def target(home: Path) -> Path:
    return home.parent / "published"


def post_reports(exchange: Served, actor: Actor, count: int) -> list[str]:
    drafts = [actor.report(exchange.service, about(f"Jo Doe {n}")) for n in range(count)]
    for future in [exchange.service.post(draft.body) for draft in drafts]:
        future.result(60)
    return [draft.event.report for draft in drafts]


def fill(exchange: Served, count: int) -> None:
    """Append what needs no proof."""
    size = exchange.service.published.size + count
    with exchange.exchange._deciding() as connection:
        planned = [Planned("act", Act(act="configured", code="tried"))] * count
        plan(connection, *planned)
    while exchange.service.published.size < size:
        time.sleep(0.005)


def joined(exchange: Served, home: Path, name: str) -> Member:
    arguments = {"url": exchange.url, "threads": 1, "timeout": 5.0}
    invite = exchange.exchange.invite(name, "receiver")
    Member.join(invite, home, arguments=arguments)
    return Member.open(home, arguments)


@pytest.fixture
def contributor(exchange: Served, clock: SetClock) -> Actor:
    return exchange.join("A", clock=clock)


@pytest.fixture
def member(exchange: Served, home: Path) -> Member:
    return joined(exchange, home.parent / "member", "B")


def offline(member: Member) -> Member:
    """The same member, who cannot reach the exchange."""
    return Member.open(member.home, {"url": "http://127.0.0.1:9", "threads": 1, "timeout": 5.0})


@contextmanager
def web_server(directory: Path) -> Iterator[str]:
    """Python's own server of files, which knows nothing of us."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def contents(member: Member) -> list[object]:
    with member.replica(read_only=True) as replica:
        return [replica.size, *replica.entries(), *sorted(replica.reports(), key=repr)]


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every file: what was not written again keeps both."""
    return {
        str(file.relative_to(directory)): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in directory.rglob("*")
        if file.is_file()
    }


def test_plain_files_in_a_folder_or_on_any_web_server_give_the_same_replica_as_the_exchange(
    exchange: Served, contributor: Actor, home: Path, target: Path
) -> None:
    reports = post_reports(exchange, contributor, 5)
    members = [joined(exchange, home.parent / name, name) for name in ("B", "C", "D")]
    exchange.exchange.approve(exchange.exchange.erase(reports[1], "data_subject", "ann"), "bob")
    exchange.exchange.publish(target)
    synced = members[0].sync()
    with web_server(target) as url:
        from_files = [
            offline(members[1]).sync_from(url),
            offline(members[2]).sync_from(str(target)),
        ]
    assert [each.size for each in from_files] == [synced.size] * 2
    assert [each.changed for each in from_files] == [synced.changed] * 2
    assert not from_files[0].warning
    first, *others = map(contents, members)
    assert others == [first] * 2


def test_reading_goes_on_across_files_where_it_ended(
    exchange: Served, member: Member, target: Path
) -> None:
    for count in (3, 140, 140):
        fill(exchange, count)
        exchange.exchange.publish(target)
        synced = offline(member).sync_from(str(target))
        assert synced.size - synced.since >= count
    assert synced.size > 256
    assert offline(member).sync_from(str(target)).since == synced.size
    report = fsck(DirectoryReader(target), Verifier.parse(exchange.exchange.log_key))
    assert report.sound, report.problems


def test_publishing_writes_what_is_new_and_nothing_else(exchange: Served, target: Path) -> None:
    fill(exchange, 280)
    first = exchange.exchange.publish(target)
    before = files_of(target)
    again = exchange.exchange.publish(target)
    assert (again.size, again.written, again.removed) == (first.size, 0, 0)
    assert files_of(target) == before
    fill(exchange, 1)
    third = exchange.exchange.publish(target)
    changed = {path for path, state in files_of(target).items() if before.get(path) != state}
    width = third.size % 256
    assert changed == {
        "checkpoint",
        "keys/1",
        *(f"{kind}/001.p/{width}" for kind in ("tile/0", "tile/entries", "bundle")),
    }
    # The one before is there still, for who is reading just now; those before that are gone.
    exchange.exchange.publish(target)
    assert not (target / f"bundle/001.p/{first.size % 256}").exists()
    assert not (target / "bundle/000.p").exists()


def test_everybody_may_carry_the_files_and_they_say_nothing(
    exchange: Served, contributor: Actor, target: Path
) -> None:
    (report,) = post_reports(exchange, contributor, 1)
    mask = os.umask(0o077)
    try:
        exchange.exchange.publish(target)
    finally:
        os.umask(mask)
    for path in [target, *target.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    whole = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
    page = exchange.service.entries(-1, 1000)
    keys = [msgspec.json.decode(rendered).get("k") for _, rendered in page.entries]
    assert b"Jo Doe" not in whole
    assert report.encode() not in whole
    for k in filter(None, keys):
        assert msgspec.convert(k, bytes) not in whole


def test_what_is_erased_is_gone_from_the_files_with_the_next_publishing(
    exchange: Served, contributor: Actor, member: Member, target: Path
) -> None:
    (report,) = post_reports(exchange, contributor, 1)
    exchange.exchange.publish(target)
    offline(member).sync_from(str(target))
    before = (target / "keys/0").read_bytes()
    exchange.exchange.approve(exchange.exchange.erase(report, "data_subject", "ann"), "bob")
    exchange.exchange.publish(target)
    assert (target / "keys/0").read_bytes() != before
    offline(member).sync_from(str(target))
    with member.replica(read_only=True) as replica:
        view = replica.report(report)
        assert view is not None
        assert view.state == "erased"
        assert not any(b"Jo Doe" in entry.event for entry in replica.entries())


def test_a_key_that_is_gone_without_a_word_is_withheld(
    exchange: Served,
    contributor: Actor,
    member: Member,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post_reports(exchange, contributor, 1)
    real = ledger.read_keys

    def without_one(*args: int) -> dict[int, bytes]:
        return {index: k for index, k in real(*args).items() if index != 3}  # type: ignore[arg-type]

    monkeypatch.setattr(publication, "read_keys", without_one)
    exchange.exchange.publish(target)
    with pytest.raises(Withheld, match="withheld at index 3"):
        offline(member).sync_from(str(target))
    assert contents(member) == [0]


def test_a_file_that_was_changed_on_the_way_is_named_and_refused(
    exchange: Served, member: Member, target: Path
) -> None:
    size = exchange.exchange.publish(target).size
    partial = (f"{kind}/000.p/{size}" for kind in ("tile/0", "tile/entries", "bundle"))
    for path in (*partial, "keys/0"):
        data = (target / path).read_bytes()
        at = len(data) // 2
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        for altered in (changed, data[:-1], b""):
            (target / path).write_bytes(altered)
            named = "key page 0" if path == "keys/0" else path
            with pytest.raises((LogError, ReadingKeyError), match=re.escape(named)):
                offline(member).sync_from(str(target))
        (target / path).unlink()
        with pytest.raises(MissingFile, match=re.escape(path)):
            offline(member).sync_from(str(target))
        assert contents(member) == [0]
        (target / path).write_bytes(data)
    assert offline(member).sync_from(str(target)).size == size


def test_other_processes_prove_as_this_one_does(
    exchange: Served, member: Member, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "WORTH_PROCESSES", 0)
    size = exchange.exchange.publish(target).size
    bundle = target / f"bundle/000.p/{size}"
    data = bundle.read_bytes()
    bundle.write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with pytest.raises(AlteredFile, match="bundle/000"):
        offline(member).sync_from(str(target))
    bundle.write_bytes(data)
    assert offline(member).sync_from(str(target)).size == size
    assert contents(member)[0] == size


def test_another_logs_files_and_none_are_refused(
    exchange: Served, member: Member, target: Path
) -> None:
    with pytest.raises(MissingFile, match="checkpoint"):
        offline(member).sync_from(str(target))
    exchange.exchange.publish(target)
    (target / "checkpoint").write_text("acx.example/other\n1\n" + "A" * 43 + "=\n\n— x AAAA\n")
    with pytest.raises(LogError):
        offline(member).sync_from(str(target))


def test_files_that_are_behind_the_replica_change_nothing(
    exchange: Served, contributor: Actor, member: Member, target: Path
) -> None:
    exchange.exchange.publish(target)
    post_reports(exchange, contributor, 2)
    size = member.sync().size
    synced = offline(member).sync_from(str(target))
    assert (synced.since, synced.size) == (size, size)
    assert "older" in synced.warning


def test_who_reads_while_it_is_published_is_told_to_come_again(
    exchange: Served, contributor: Actor, member: Member, target: Path
) -> None:
    exchange.exchange.publish(target)
    old = (target / "keys/0").read_bytes()
    post_reports(exchange, contributor, 1)
    exchange.exchange.publish(target)
    (target / "keys/0").write_bytes(old)
    with pytest.raises(BadAnswer, match="try again"):
        offline(member).sync_from(str(target))


def test_without_key_pages_the_exchange_gives_them_and_has_the_last_word(
    exchange: Served, contributor: Actor, member: Member, target: Path
) -> None:
    reports = post_reports(exchange, contributor, 2)
    exchange.exchange.publish(target)
    exchange.exchange.publish(target, keys=False)
    assert not (target / "keys").exists()
    # Newer than the files: one of their entries is gone, and they do not say why.
    exchange.exchange.approve(exchange.exchange.erase(reports[0], "data_subject", "ann"), "bob")
    post_reports(exchange, contributor, 1)
    synced = member.sync_from(str(target))
    assert synced.size == exchange.service.published.size
    assert set(reports) <= set(synced.changed)


def test_who_was_suspended_reads_nothing_that_is_published_afterwards(
    exchange: Served, contributor: Actor, home: Path, target: Path
) -> None:
    members = {name: joined(exchange, home.parent / name, name) for name in ("B", "C")}
    exchange.exchange.publish(target)
    for member in members.values():
        offline(member).sync_from(str(target))
    key = (target / "keys/0").read_bytes()
    exchange.exchange.suspend("B")
    exchange.exchange.publish(target)
    assert (target / "keys/0").read_bytes() != key
    with pytest.raises(ReadingKeyError, match="suspended"):
        offline(members["B"]).sync_from(str(target))
    offline(members["C"]).sync_from(str(target))


def test_a_folder_with_something_else_in_it_is_left_alone(exchange: Served, target: Path) -> None:
    target.mkdir()
    (target / "letters.txt").write_text("mine")
    with pytest.raises(PublicationError, match="letters"):
        exchange.exchange.publish(target)
    assert [path.name for path in target.iterdir()] == ["letters.txt"]


def test_nothing_older_is_published_over_something_newer(
    exchange: Served, contributor: Actor, home: Path, target: Path
) -> None:
    exchange.exchange.publish(target)
    size = exchange.service.published.size
    note = exchange.service.published.note
    newer = re.sub(rf"^{size}$", str(size + 5), note, flags=re.MULTILINE)
    (target / "checkpoint").write_text(newer)
    with pytest.raises(PublicationError, match="old backup"):
        exchange.exchange.publish(target)


def test_two_publish_one_after_the_other(exchange: Served, target: Path) -> None:
    with (
        publication._alone(exchange.exchange.home),
        pytest.raises(PublicationError, match="under way"),
    ):
        exchange.exchange.publish(target)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 65_536, 65_537, 66_000])
def test_each_tile_of_a_tree_is_held_to_its_root(size: int) -> None:
    leaves = [hash_leaf(b"%d" % n) for n in range(size)]
    grown = grow(MemoryReader({}), 0, leaves)
    files = dict(grown.files)
    checkpoint = Checkpoint("log", size, grown.root)
    tiles = AuthenticTiles(MemoryReader(files), checkpoint)
    last = (size - 1) // 256
    for index in {0, last // 2, last}:
        assert tiles.leaves(index) == leaves[index * 256 : (index + 1) * 256]
    for path in list(files)[:: max(1, len(files) // 8)]:
        altered = files | {path: files[path][:-1] + bytes([files[path][-1] ^ 1])}
        with pytest.raises(AlteredFile, match=re.escape(path)):
            all_leaves(AuthenticTiles(MemoryReader(altered), checkpoint))


def all_leaves(tiles: AuthenticTiles) -> list[bytes]:
    last = (tiles.checkpoint.size - 1) // 256
    return [leaf for index in range(last + 1) for leaf in tiles.leaves(index)]
