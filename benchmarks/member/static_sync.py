"""A million events from static files: proven and decrypted, with every signature, into a replica.

Data: reports of different keys, signed for real, drawn from a fixed seed, as `acx exchange publish`
lays them out (1.3 GB, kept in the system's temporary directory for the next run), read from disk.
Bars: proofs and decryption < 60 s, every signature too < 120 s, in two processes. The third figure
is all that `acx sync --from` does: the same, and the replica written and folded; it has no bar.
`ENTRIES` in the environment makes it smaller; the bars shrink with it.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import keys_path, pack_bundle, pack_entries, pack_keys, seal
from acx.log.merkle import hash_leaf
from acx.log.note import Signer
from acx.log.tiles import WIDTH, DirectoryReader, MemoryReader, bundle_path, entries_path, grow
from acx.member.replica import Replica, Trust
from acx.member.static import Places, SealedKeys, StaticFeed, open_places
from acx.member.sync import Copy, sync
from acx.member.trusted_log import Received
from acx.records.event import public_key_text
from acx.records.reading_key import READERS_PATH, draw_reading_key, seal_page, seal_reading_key
from benchmarks.member.first_sync import ORIGIN, signed_report

ENTRIES = int(os.environ.get("ENTRIES", "1000000"))
PROCESSES = 2
BAR_PROVEN, BAR_SIGNED = 60.0 * ENTRIES / 1e6, 120.0 * ENTRIES / 1e6
MEMBER = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
LOG = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
AT = "2026-11-25T02Z"


def main() -> None:
    """Make the log if it is not there, read it three times, and print what that took."""
    log = Path(tempfile.gettempdir()) / f"acx-static-sync-{ENTRIES}"
    if not (log / "checkpoint").exists():
        shutil.rmtree(log, ignore_errors=True)
        make(log)
    verifier = Signer(ORIGIN, LOG).verifier
    for what, kind, bar in (
        ("proofs and decryption", Unsigned, BAR_PROVEN),
        ("and every signature", StaticFeed, BAR_SIGNED),
    ):
        with measured() as took, opened(log, verifier.vkey, kind) as feed:
            after = -1
            while entries := feed.events(after).entries:
                after += len(entries)
        assert after + 1 == ENTRIES
        verdict = "met" if took[0] < bar else "NOT met"
        print(f"{what}, {PROCESSES} processes: {told(took)}; bar {bar:.0f} s {verdict}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        replica = Replica.create(
            Path(directory) / "replica",
            Trust(origin=ORIGIN, log_key=verifier.vkey, operators=(), matching_key=bytes(32)),
        )
        with measured() as took, opened(log, verifier.vkey, StaticFeed) as feed:
            synced = sync(replica, feed, copy=Copy(time.time(), complete=True))
        assert synced.size == len(synced.changed) == ENTRIES
        print(f"all of acx sync --from, the replica written and folded: {told(took)}")


class Unsigned(StaticFeed):
    """Proves and opens, and looks at no signature: what only a benchmark does."""

    @staticmethod
    def prove(places: Places, origin: str) -> list[Received]:  # noqa: ARG004 -- its parent's
        """Prove and open."""
        return [
            Received(index, entry, opened.at, k, None)
            for index, entry, k, opened in open_places(places)
            if opened is not None
        ]


@contextmanager
def opened(log: Path, vkey: str, kind: type[StaticFeed]) -> Iterator[StaticFeed]:
    """The files, read as a member does."""
    files = DirectoryReader(log)
    keys = SealedKeys(files, MEMBER, ORIGIN)
    with kind(files, keys, vkey, processes=PROCESSES) as feed:
        yield feed


@contextmanager
def measured() -> Iterator[list[float]]:
    """Seconds, and processor seconds of this process and of those it has started and ended."""
    took: list[float] = []
    started, before = time.perf_counter(), os.times()
    yield took
    after = os.times()
    took.append(time.perf_counter() - started)
    took.append(sum(after[:4]) - sum(before[:4]))


def told(took: list[float]) -> str:
    """The figures, with the machine's load."""
    return f"{took[0]:.1f} s, {took[1]:.1f} CPU s; load {os.getloadavg()[0]:.1f}"


def make(log: Path) -> None:
    """Write the log's files."""
    print(f"making a log of {ENTRIES:,} entries in {log}", flush=True)
    started = time.perf_counter()
    key = draw_reading_key()
    numbers = range(-(-ENTRIES // WIDTH))
    for folder in ("tile/entries", "bundle", "keys"):
        (log / folder).mkdir(parents=True)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pages = pool.imap(partial(make_page, log, key), numbers, chunksize=8)
        leaves = [leaf for page in pages for leaf in page]
    growth = grow(MemoryReader({}), 0, leaves)
    for path, data in growth.files:
        write(log / path, data)
    readers = seal_reading_key(key, [public_key_text(MEMBER)], origin=ORIGIN)
    write(log / READERS_PATH, readers)
    checkpoint = Checkpoint(ORIGIN, growth.size, growth.root)
    write(log / "checkpoint", sign_checkpoint(checkpoint, Signer(ORIGIN, LOG)).encode())
    print(f"made in {time.perf_counter() - started:.0f} s", flush=True)


def make_page(log: Path, key: bytes, number: int) -> list[bytes]:
    """Write what belongs to 256 places; give their leaf hashes."""
    rng = random.Random(number)
    first = number * WIDTH
    keys = [rng.randbytes(32) for _ in range(min(WIDTH, ENTRIES - first))]
    sealed = [seal(signed_report(rng), AT, k) for k in keys]
    width = len(keys)
    write(log / entries_path(number, width), pack_entries([each.entry for each in sealed]))
    write(log / bundle_path(number, width), pack_bundle([each.ciphertext for each in sealed]))
    page = seal_page(key, number, pack_keys(keys), origin=ORIGIN)
    write(log / keys_path(number), page)
    return [hash_leaf(each.entry) for each in sealed]


def write(file: Path, data: bytes) -> None:
    """A file, its folder made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


if __name__ == "__main__":
    main()
