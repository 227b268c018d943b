"""The log's own speed: a million entries hashed and tiled, one proof verified.

Data: entries of 32 bytes, counted up; events of a report's usual length, 600 bytes.
Bars: 1 M entries hashed and tiled < 20 s; one inclusion proof verified < 100 µs.
Peer: Tessera on files, 1,500 to 10,000 entries/s, its files written and synced; here hashing alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from acx.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from acx.log.entry import (
    draw_key,
    keys_path,
    open_sealed,
    pack_bundle,
    pack_entries,
    pack_keys,
    seal,
)
from acx.log.errors import MissingFile
from acx.log.fsck import fsck
from acx.log.merkle import (
    Frontier,
    hash_leaf,
    verify_consistency,
    verify_inclusion,
)
from acx.log.note import Signer
from acx.log.tiles import (
    bundle_path,
    consistency_path,
    entries_path,
    files_grown,
    grow,
    inclusion_path,
)

ENTRIES = 1_000_000
EVENTS = 20_000
HOUR = "2026-03-01T09Z"


class Files(dict[str, bytes]):
    """A log's files in memory: what is measured is the computing, not the disk."""

    def read(self, path: str) -> bytes:  # noqa: D102 -- TileReader says it
        try:
            return self[path]
        except KeyError:
            raise MissingFile(path) from None


@contextmanager
def timed(what: str, bar: str = "") -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:<62}{time.perf_counter() - started:8.2f} s  {bar}")


def each(what: str, run: Callable[[], object], bar: str = "", times: int = 2000) -> None:
    started = time.perf_counter()
    for _ in range(times):
        run()
    print(f"{what:<62}{(time.perf_counter() - started) / times * 1e6:8.1f} µs {bar}")


def main() -> None:
    files = Files()
    entries = [number.to_bytes(32, "big") for number in range(ENTRIES)]
    with timed(f"{ENTRIES:,} entries hashed and tiled", "bar: 20 s"):
        leaves = [hash_leaf(entry) for entry in entries]
        growth = grow(files, 0, leaves)
    files.update(growth.files)
    frontier = Frontier()
    with timed("the same, a replica's frontier extended"):
        frontier.extend(leaves)
    key = Signer.generate("benchmark.example/log")
    note = sign_checkpoint(Checkpoint(key.name, growth.size, growth.root), key)
    head = open_checkpoint(note, key.verifier)
    frontier.confirm(head)

    index = 777_777
    path = inclusion_path(files, index, head.size)
    each(
        "one inclusion proof verified",
        lambda: verify_inclusion(leaves[index], index, path, head),
        "bar: 100 µs",
    )
    each("one inclusion proof made from tiles", lambda: inclusion_path(files, index, head.size))
    old = Frontier()
    old.extend(leaves[:700_001])
    before = Checkpoint(key.name, old.size, old.root())
    proof = consistency_path(files, old.size, head.size)
    each("one consistency proof verified", lambda: verify_consistency(before, head, proof))
    each("one checkpoint signed", lambda: sign_checkpoint(head, key))
    each("one checkpoint opened", lambda: open_checkpoint(note, key.verifier))
    each("one leaf added to the tree in tiles", lambda: grow(files, head.size, leaves[:1]))
    each("a batch of 256 leaves added", lambda: grow(files, head.size, leaves[:256]), times=200)

    events()


def events() -> None:
    bodies = [b"%0600d" % number for number in range(EVENTS)]
    keys = [draw_key() for _ in bodies]
    with timed(f"{EVENTS:,} events sealed"):
        sealed = [seal(body, HOUR, k) for body, k in zip(bodies, keys, strict=True)]
    with timed("the same opened and compared with their entries"):
        for one, k in zip(sealed, keys, strict=True):
            open_sealed(one.ciphertext, k, one.entry)
    files = Files()
    growth = grow(files, 0, [hash_leaf(one.entry) for one in sealed])
    files.update(growth.files)
    for index, width in files_grown(0, EVENTS):
        batch = sealed[256 * index : 256 * index + width]
        files[entries_path(index, width)] = pack_entries([one.entry for one in batch])
        files[bundle_path(index, width)] = pack_bundle([one.ciphertext for one in batch])
        files[keys_path(index)] = pack_keys(keys[256 * index : 256 * index + width])
    key = Signer.generate("benchmark.example/log")
    note = sign_checkpoint(Checkpoint(key.name, growth.size, growth.root), key)
    files["checkpoint"] = note.encode()
    with timed("the log of them rebuilt and every event opened (fsck)"):
        report = fsck(files, key.verifier, keys=files)
    assert report.sound
    assert report.opened == EVENTS
