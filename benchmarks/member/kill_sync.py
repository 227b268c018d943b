"""`kill -9` during a sync, fifty times at random instants: nothing is broken, nothing lost.

Data: the first sync's log, shorter; each process is killed somewhere between its start and the end
of a sync, also within transactions. After each kill the replica must open, be sound and stand at a
signed checkpoint; whenever one is complete it must equal one built without a kill, and verify from
the ground up.
Bar: 50 kills, no difference.
"""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from acx.member.client import ExchangeClient
from acx.member.replica import Replica, Trust
from acx.member.sync import sync
from acx.member.verify import verify_replica
from benchmarks.member import first_sync

KILLS = 50
ENTRIES = 10_000
SEED = 9


def main() -> None:
    """Kill, check, and compare."""
    rng = random.Random(SEED)
    first_sync.ENTRIES = ENTRIES
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=first_sync.serve, args=(sending,), daemon=True)
    server.start()
    port, log_key = receiving.recv()
    url = f"http://127.0.0.1:{port}"
    trust = Trust(origin=first_sync.ORIGIN, log_key=log_key, operators=(), matching_key=bytes(32))
    with tempfile.TemporaryDirectory() as place:
        whole = Replica.create(Path(place) / "whole", trust)
        begun = time.perf_counter()
        _sync(whole.directory, url)
        longest = time.perf_counter() - begun
        wanted = _content(whole)
        kills = complete = staged = attempt = 0
        while kills < KILLS:
            directory = Path(place) / f"{attempt}"
            Replica.create(directory, trust).close()
            while kills < KILLS:
                process = multiprocessing.Process(target=_sync, args=(directory, url))
                process.start()
                process.join(rng.uniform(0, longest / 2))
                if process.is_alive():
                    process.kill()
                    kills += 1
                process.join()
                staged += _check(directory)
                survivor = Replica.open(directory)
                done = survivor.size == ENTRIES
                if done:
                    assert _content(survivor) == wanted
                    complete += 1
                survivor.close()
                if done:
                    break
            attempt += 1
        _sync(directory, url)
        last = Replica.open(directory)
        assert _content(last) == wanted
        verify_replica(last)
    server.terminate()
    print(f"{kills} kills; {staged} left staged entries behind, which the next sync took up")
    print(f"{complete + 1} replicas completed after kills: all equal to one built without")


def _sync(directory: Path, url: str) -> None:
    sync(Replica.open(directory), ExchangeClient(url, token="bench"))  # noqa: S106 -- nobody checks it


def _check(directory: Path) -> bool:
    """Whether staged entries were left; a broken replica ends the benchmark."""
    with sqlite3.connect(directory / "replica.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count = connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    replica = Replica.open(directory)
    checkpoint = replica.checkpoint
    size = replica.size
    assert size == (checkpoint.size if checkpoint else 0)
    replica.close()
    return bool(count > size)


def _content(replica: Replica) -> tuple[object, ...]:
    checkpoint = replica.checkpoint
    assert checkpoint is not None
    return (
        checkpoint.root,
        tuple((entry.entry, entry.event) for entry in replica.entries()),
        tuple(sorted(view.id for view in replica.reports("active"))),
    )
