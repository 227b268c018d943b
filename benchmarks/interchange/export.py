"""Exports of a replica of 100,000 reports, in every format that is written.

Data: reports with two names, two e-mail addresses, two websites and two products each, signed for
real from a fixed seed (`benchmarks.interchange.reports`).
Bar: STIX < 30 s.
CPU seconds are of all threads, so that a busy machine gives the same; the elapsed time is of this
machine as it was.

    python -m benchmarks interchange.export
"""

from __future__ import annotations

import base64
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from benchmarks.interchange.reports import ORIGIN, SEED, events
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import entry_of
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Signer
from acx.member.export import FORMATS, export
from acx.member.replica import Replica, Trust
from acx.member.sync import sync
from acx.member.wire import Page

REPORTS = 100_000
PAGE = 1_000
BAR_SECONDS = 30.0


def main() -> None:
    """Fill a replica, export it, and print what it took."""
    with tempfile.TemporaryDirectory() as directory:
        replica = filled(Path(directory) / "replica", REPORTS)
        for form in FORMATS:
            path = Path(directory) / f"reports.{form}"
            begun, used = time.perf_counter(), time.process_time()
            assert export(replica, path, format=form) == REPORTS
            elapsed, cpu = time.perf_counter() - begun, time.process_time() - used
            size = path.stat().st_size / 2**20
            print(f"{form:8} {elapsed:6.1f} s {cpu:6.1f} CPU s {size:8.0f} MiB")
            if form == "stix":
                print(f"  bar {BAR_SECONDS:.0f} s: {'met' if elapsed < BAR_SECONDS else 'NOT met'}")
            path.unlink()
        replica.close()


def filled(directory: Path, reports: int) -> Replica:
    """A replica that holds so many reports."""
    rng = random.Random(SEED)
    signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)))
    trust = Trust(origin=ORIGIN, log_key=signer.verifier.vkey, operators=(), matching_key=bytes(32))
    replica = Replica.create(directory, trust)
    sync(replica, _Log(reports, signer, rng))
    return replica


class _Log:
    """A log in memory, as a source of pages."""

    def __init__(self, reports: int, signer: Signer, rng: random.Random) -> None:
        frontier = Frontier()
        self._rendered = []
        for index, event in enumerate(events(reports)):
            k, at = rng.randbytes(32), f"2026-11-25T{min(23, index * 24 // reports):02}Z"
            frontier.append(hash_leaf(entry_of(k, at, event.raw)))
            self._rendered.append(
                b'{"index":%d,"at":"%s","k":"%s","event":%s}'
                % (index, at.encode(), base64.b64encode(k), event.raw)
            )
        self._note = sign_checkpoint(Checkpoint(ORIGIN, reports, frontier.root()), signer)

    def events(self, after: int) -> Page:
        """Entries after an index."""
        return msgspec.json.decode(b"".join(self._page(after + 1)), type=Page)

    def _page(self, start: int) -> Iterator[bytes]:
        yield b'{"entries":[' + b",".join(self._rendered[start : start + PAGE])
        yield b'],"checkpoint":' + msgspec.json.encode(self._note) + b"}"
