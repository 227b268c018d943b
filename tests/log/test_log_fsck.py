from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.log.whole_log import ORIGIN, Files, WholeLog, events

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import keys_path, pack_entries, pack_keys
from acx.log.errors import LogError, UntrustedNote
from acx.log.fsck import MAX_PROBLEMS, Report, fsck
from acx.log.merkle import EMPTY_ROOT, hash_leaf
from acx.log.note import Signer
from acx.log.policy import parse_policy
from acx.log.tiles import CHECKPOINT_PATH, Kind, Tile, tiles

SIZE = 600


@pytest.fixture(scope="module")
def log() -> WholeLog:
    log = WholeLog()
    log.append(*events(SIZE))
    log.destroy(7)
    return log


def check(log: WholeLog, files: Files, **options: Files) -> Report:
    return fsck(files, log.signer.verifier, keys=options.get("keys", files))


def bad_paths(report: Report) -> list[str]:
    return [problem.path for problem in report.problems]


def paths_of(kind: Kind) -> list[str]:
    widths = (256, 256, SIZE - 512)
    return [Tile(kind, 0, index, width).path for index, width in enumerate(widths)]


TILES = [tile.path for tile in tiles(SIZE)]
ENTRIES = paths_of(Kind.ENTRIES)
BUNDLES = paths_of(Kind.BUNDLE)
PAGES = [keys_path(page) for page in range(3)]


def test_a_sound_log_is_rebuilt_and_every_event_with_a_key_opened(log: WholeLog) -> None:
    report = check(log, log.files)
    assert report.sound
    assert report.complete
    assert report.checkpoint == log.checkpoint
    assert (report.opened, report.destroyed) == (SIZE - 1, 1)
    assert report.files == 1 + len(TILES) + len(ENTRIES) + len(BUNDLES) + len(PAGES)


@pytest.mark.parametrize("sizes", [(0,), (1,), (255,), (256,), (257,), (1, 2, 3, 300)])
def test_logs_of_every_shape_are_sound(sizes: tuple[int, ...]) -> None:
    log = WholeLog()
    done = 0
    for size in sizes:
        log.append(*events(size)[done:])
        done = size
    report = check(log, log.files)
    assert report.sound
    assert report.opened == sizes[-1]


def test_without_key_pages_the_hashes_are_checked_all_the_same(log: WholeLog) -> None:
    report = fsck(log.files, log.signer.verifier)
    assert report.sound
    assert (report.opened, report.destroyed) == (0, 0)


def flip_last_bit(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def cut(data: bytes) -> bytes:
    return data[:-1]


def lengthen(data: bytes) -> bytes:
    return data + b"\x00"


@pytest.mark.parametrize("damage", [flip_last_bit, cut, lengthen])
@pytest.mark.parametrize("path", TILES + ENTRIES + BUNDLES)
def test_names_the_one_file_that_was_altered(
    log: WholeLog, path: str, damage: Callable[[bytes], bytes]
) -> None:
    files = Files(log.files)
    files[path] = damage(files[path])
    assert bad_paths(check(log, files)) == [path]


@pytest.mark.parametrize("path", TILES + ENTRIES + BUNDLES + PAGES)
def test_names_the_one_file_that_is_missing(log: WholeLog, path: str) -> None:
    files = Files(log.files)
    del files[path]
    assert bad_paths(check(log, files)) == [path]


@pytest.mark.parametrize("damage", [cut, lengthen])
@pytest.mark.parametrize("path", PAGES)
def test_names_the_key_page_that_is_damaged(
    log: WholeLog, path: str, damage: Callable[[bytes], bytes]
) -> None:
    keys = Files(log.files)
    keys[path] = damage(keys[path])
    assert bad_paths(check(log, log.files, keys=keys)) == [path]


def test_names_place_bundle_and_page_where_a_key_does_not_open(log: WholeLog) -> None:
    keys = Files({keys_path(page): log.files[keys_path(page)] for page in range(3)})
    keys["keys/1"] = flip_last_bit(keys["keys/1"])
    (problem,) = check(log, log.files, keys=keys).problems
    assert problem.path == "bundle/001"
    assert problem.reason == "place 255: the key does not open the ciphertext (keys/1)"


def test_an_event_exchanged_for_another_is_found(log: WholeLog) -> None:
    """Ciphertext and key belong together, yet not to the entry."""
    files = Files(log.files)
    files[BUNDLES[0]], files[PAGES[0]] = files[BUNDLES[1]], files[PAGES[1]]
    (problem,) = check(log, files).problems
    assert problem.path == BUNDLES[0]
    assert "another event" in problem.reason


def test_a_key_page_that_is_shorter_than_the_log_is_found(log: WholeLog) -> None:
    keys = Files(log.files)
    keys[PAGES[2]] = pack_keys(log.keys[512:-1])
    (problem,) = check(log, log.files, keys=keys).problems
    assert (problem.path, problem.reason) == ("keys/2", "has 87 keys where 88 are due")


def test_two_bad_files_are_two_problems(log: WholeLog) -> None:
    files = Files(log.files)
    for path in (ENTRIES[0], TILES[1]):
        files[path] = flip_last_bit(files[path])
    assert set(bad_paths(check(log, files))) == {ENTRIES[0], TILES[1]}


def test_entries_and_their_tile_altered_together_are_both_named(log: WholeLog) -> None:
    files = Files(log.files)
    entries = [*log.entries[:256]]
    entries[3] = bytes(32)
    files[ENTRIES[0]] = pack_entries(entries)
    files[TILES[0]] = b"".join(map(hash_leaf, entries))
    assert {ENTRIES[0], TILES[0]} <= set(bad_paths(check(log, files)))


def test_entries_and_their_tile_altered_differently_are_both_named(log: WholeLog) -> None:
    files = Files(log.files)
    for path in (ENTRIES[0], TILES[0]):
        files[path] = flip_last_bit(files[path])
    assert {ENTRIES[0], TILES[0]} <= set(bad_paths(check(log, files)))


def test_a_tile_whose_level_above_is_altered_too_is_found(log: WholeLog) -> None:
    files = Files(log.files)
    for path in ("tile/0/001", "tile/1/000.p/2"):
        files[path] = flip_last_bit(files[path])
    assert set(bad_paths(check(log, files))) == {"tile/0/001", "tile/1/000.p/2"}


def test_files_that_agree_with_each_other_and_not_with_the_signed_root_are_found(
    log: WholeLog,
) -> None:
    other = WholeLog(signer=log.signer)
    other.append(*events(SIZE))
    files = Files(other.files)
    files[CHECKPOINT_PATH] = log.files[CHECKPOINT_PATH]
    (problem,) = check(log, files).problems
    assert problem.path == CHECKPOINT_PATH
    assert log.checkpoint.root.hex() in problem.reason


def test_an_empty_log_with_another_root_is_found(log: WholeLog) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), log.signer)
    (problem,) = check(log, Files({CHECKPOINT_PATH: note.encode()})).problems
    assert EMPTY_ROOT.hex() in problem.reason


def test_what_is_under_an_older_checkpoint_is_checked_while_the_log_goes_on() -> None:
    log = WholeLog()
    log.append(*events(300))
    older = log.files[CHECKPOINT_PATH]
    log.append(*events(600)[300:])
    files = Files(log.files)
    files[CHECKPOINT_PATH] = older
    for path in [p for p in files if "/001.p/44" in p]:
        # A log may drop a partial file once the full one is there.
        del files[path]
    report = check(log, files)
    assert report.sound
    assert report.opened == 300


def test_higher_levels_are_checked_too() -> None:
    log = WholeLog()
    entries = events(65_536 + 300)
    log.append(*entries)
    for path in ("tile/1/000", "tile/2/000.p/1", "tile/1/001.p/1"):
        files = Files(log.files)
        files[path] = flip_last_bit(files[path])
        # Without keys, it opens no event and is done sooner.
        assert bad_paths(fsck(files, log.signer.verifier)) == [path]


def test_stops_where_a_log_is_damaged_beyond_mending(log: WholeLog) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 2**62, bytes(32)), log.signer)
    report = check(log, Files({CHECKPOINT_PATH: note.encode()}))
    assert not report.complete
    assert not report.sound
    assert MAX_PROBLEMS <= len(report.problems) < MAX_PROBLEMS + 10


def test_checks_nothing_against_a_checkpoint_that_cannot_be_trusted(log: WholeLog) -> None:
    with pytest.raises(UntrustedNote):
        fsck(log.files, Signer.generate("other.example/log").verifier)
    with pytest.raises(LogError):
        fsck(Files(), log.signer.verifier)


def test_takes_the_logs_key_from_a_policy(log: WholeLog) -> None:
    policy = parse_policy(f"log {log.signer.verifier.vkey}\nquorum none\n")
    assert fsck(log.files, policy=policy).sound
