from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.log import definitions
from tests.log.whole_log import Files

from acx.log.checkpoint import Checkpoint
from acx.log.errors import LogError, MalformedFile, MalformedProof, MissingFile
from acx.log.merkle import EMPTY_ROOT, hash_leaf, verify_consistency, verify_inclusion
from acx.log.tiles import (
    WIDTH,
    DirectoryReader,
    Kind,
    Tile,
    bundle_path,
    consistency_path,
    entries_path,
    files_grown,
    grow,
    inclusion_path,
    parse_path,
    read_tile,
    root_from_tiles,
    tile_path,
    tiles,
    tiles_grown,
)

ENTRIES = [b"%d" % n for n in range(70_000)]
LEAVES = [hash_leaf(entry) for entry in ENTRIES]
SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65_535, 65_536, 65_537, 70_000]


def published(size: int, *before: int) -> Files:
    """The files of a log that grew to this size by way of others."""
    files = Files()
    old = 0
    for step in (*before, size):
        files.update(grow(files, old, LEAVES[old:step]).files)
        old = step
    return files


@pytest.fixture(scope="module")
def full() -> Files:
    return published(70_000)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_are_the_hashes_the_standard_defines(size: int) -> None:
    growth = grow(Files(), 0, LEAVES[:size])
    files = dict(growth.files)
    assert set(files) == {tile.path for tile in tiles(size)}
    assert growth.root == definitions.mth(ENTRIES[:size])
    every = list(tiles(size))
    for tile in every[:: 1 + len(every) // 6] + every[-3:]:
        first, span = tile.index * WIDTH, WIDTH**tile.level
        # MTH(D[(n*256+i) * 256**l : (n*256+i+1) * 256**l])
        hashes = [
            definitions.mth(ENTRIES[i * span : (i + 1) * span])
            for i in range(first, first + tile.width)
        ]
        assert files[tile.path] == b"".join(hashes)


def test_a_tree_of_70_000_has_the_tiles_the_standard_counts() -> None:
    found = list(tiles(70_000))
    full = {level: sum(t.width == WIDTH for t in found if t.level == level) for level in range(3)}
    partial = {t.level: t.width for t in found if t.width < WIDTH}
    assert full == {0: 273, 1: 1, 2: 0}
    assert partial == {0: 112, 1: 17, 2: 1}


def test_a_tree_of_256_has_a_full_tile_and_one_hash_above_it() -> None:
    assert [tile.path for tile in tiles(256)] == ["tile/0/000", "tile/1/000.p/1"]


def test_an_empty_tree_has_no_tiles() -> None:
    assert list(tiles(0)) == []
    assert grow(Files(), 0, []).root == EMPTY_ROOT
    assert root_from_tiles(Files(), 0) == EMPTY_ROOT


def grow_and_compare(steps: list[int]) -> None:
    files, old = Files(), 0
    for size in steps:
        growth = grow(files, old, LEAVES[old:size])
        assert [path for path, _ in growth.files] == [t.path for t in tiles_grown(old, size)]
        files.update(growth.files)
        assert growth.root == root_from_tiles(files, size)
        old = size
    at_once = published(steps[-1])
    assert {path: files[path] for path in at_once} == at_once
    for size in steps:
        assert {tile.path for tile in tiles(size)} <= set(files)


@given(st.lists(st.integers(0, 900), min_size=2, max_size=4).map(sorted))
def test_growing_in_batches_writes_the_same_tiles_as_growing_at_once(steps: list[int]) -> None:
    grow_and_compare(steps)


@pytest.mark.parametrize(
    "steps",
    [[65_535, 65_536, 65_537, 70_000], [1, 65_537], [300, 65_536, 70_000]],
)
def test_growing_past_a_full_level_writes_the_same_tiles_as_growing_at_once(
    steps: list[int],
) -> None:
    grow_and_compare(steps)


def test_growing_by_one_at_a_time_writes_every_partial_tile() -> None:
    files = published(600, *range(600))
    for size in range(601):
        assert {tile.path for tile in tiles(size)} <= set(files)
        assert root_from_tiles(files, size) == definitions.mth(ENTRIES[:size])


@pytest.mark.parametrize(
    ("old", "size", "expected"),
    [
        (0, 0, []),
        (5, 5, []),
        (256, 256, []),
        (0, 1, [(0, 1)]),
        (0, 256, [(0, 256)]),
        (255, 257, [(0, 256), (1, 1)]),
        (256, 257, [(1, 1)]),
        (300, 700, [(1, 256), (2, 188)]),
    ],
)
def test_entries_and_bundles_are_written_again_from_the_file_that_was_partial(
    old: int, size: int, expected: list[tuple[int, int]]
) -> None:
    assert list(files_grown(old, size)) == expected


@pytest.mark.parametrize("size", SIZES[1:])
def test_inclusion_paths_from_tiles_are_those_the_rfc_defines(full: Files, size: int) -> None:
    root = definitions.mth(ENTRIES[:size])
    for index in {0, size // 3, size // 2, size - size // 5 - 1, size - 1}:
        path = inclusion_path(full, index, size)
        if size <= 1000:
            assert path == definitions.path(index, ENTRIES[:size])
        head = Checkpoint("log.example", size, root)
        verify_inclusion(LEAVES[index], index, path, head)


@pytest.mark.parametrize("size", SIZES)
def test_consistency_paths_from_tiles_are_those_the_rfc_defines(full: Files, size: int) -> None:
    new = Checkpoint("log.example", size, definitions.mth(ENTRIES[:size]))
    for old_size in {size, *(s for s in (*SIZES, 300, 40_000) if s <= size)}:
        proof = consistency_path(full, old_size, size)
        if old_size > 0 and size <= 1000:
            assert proof == definitions.proof(old_size, ENTRIES[:size])
        old = Checkpoint("log.example", old_size, definitions.mth(ENTRIES[:old_size]))
        verify_consistency(old, new, proof)


@settings(max_examples=60)
@given(st.data())
def test_every_proof_from_a_small_trees_tiles_is_the_one_the_rfc_defines(
    data: st.DataObject,
) -> None:
    size = data.draw(st.integers(1, 600))
    files = published(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert inclusion_path(files, index, size) == definitions.path(index, ENTRIES[:size])
    assert consistency_path(files, old, size) == definitions.proof(old, ENTRIES[:size])


def test_proves_from_full_tiles_where_the_partial_ones_are_gone() -> None:
    files = published(512, 300)
    del files["tile/0/001.p/44"]
    assert inclusion_path(files, 299, 300) == definitions.path(299, ENTRIES[:300])


def test_refuses_to_prove_what_is_not_in_the_log(full: Files) -> None:
    for index, size in [(-1, 5), (5, 5), (0, 0), (0, -1), (0, 2**64)]:
        with pytest.raises(MalformedProof):
            inclusion_path(full, index, size)
    for old, size in [(6, 5), (-1, 5), (0, 2**64)]:
        with pytest.raises(MalformedProof):
            consistency_path(full, old, size)


def test_names_the_tile_that_is_missing_or_damaged() -> None:
    files = published(300)
    del files["tile/0/001.p/44"]
    with pytest.raises(MissingFile, match=r"tile/0/001\.p/44"):
        inclusion_path(files, 0, 300)
    files["tile/0/001.p/44"] = bytes(43 * 32)
    with pytest.raises(MalformedFile, match=r"tile/0/001\.p/44"):
        grow(files, 300, [bytes(32)])
    with pytest.raises(MalformedFile, match=r"tile/0/001\.p/44"):
        inclusion_path(files, 299, 300)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (tile_path(0, 0), "tile/0/000"),
        (tile_path(0, 5), "tile/0/005"),
        (tile_path(2, 1_234_067), "tile/2/x001/x234/067"),
        (tile_path(63, 999, 1), "tile/63/999.p/1"),
        (tile_path(0, 1000, 255), "tile/0/x001/000.p/255"),
        (entries_path(1_000_000), "tile/entries/x001/x000/000"),
        (bundle_path(7, 12), "bundle/007.p/12"),
    ],
)
def test_writes_paths_in_the_standards_form(path: str, expected: str) -> None:
    assert path == expected


widths = st.integers(1, 256)
any_tile = st.one_of(
    st.builds(Tile, st.just(Kind.HASHES), st.integers(0, 63), st.integers(0, 2**55 - 1), widths),
    st.builds(
        Tile,
        st.sampled_from([Kind.ENTRIES, Kind.BUNDLE]),
        st.just(0),
        st.integers(0, 2**55 - 1),
        widths,
    ),
)


@given(any_tile)
def test_paths_are_read_back_as_what_they_name(tile: Tile) -> None:
    assert parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "keys/0",
        "tile",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/8/0/000",
        "tile/data/000",
        "tile/entries/0/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile//0/000",
        "tile/0/../0/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000%2e",
        "tile/0/" + "x999/" * 20 + "999",
        "tile/0/x999/x999/x999/x999/x999/999",
        "bundle/0/000",
        "bundle/../../etc/passwd",
    ],
)
def test_refuses_every_path_in_another_form(path: str) -> None:
    with pytest.raises(MalformedFile):
        parse_path(path)


@given(st.text(alphabet="tile/entrsbundx0123456789.p", max_size=40))
def test_a_path_is_refused_or_in_the_one_form(path: str) -> None:
    try:
        tile = parse_path(path)
    except LogError:
        return
    assert tile.path == path


def test_reads_a_log_that_lies_in_a_folder(tmp_path: Path) -> None:
    for path, data in published(300).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    reader = DirectoryReader(tmp_path)
    assert root_from_tiles(reader, 300) == definitions.mth(ENTRIES[:300])
    with pytest.raises(MissingFile, match="tile/5/000"):
        reader.read("tile/5/000")
    with pytest.raises(MissingFile, match="cannot be read"):
        reader.read("tile/0")
    assert read_tile(reader, Tile(Kind.HASHES, 0, 1, 44)) == LEAVES[256:300]
