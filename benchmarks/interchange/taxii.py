"""Pages of TAXII from an exchange of 100,000 reports, from the rows to the JSON.

Data: the reports of `benchmarks.interchange.reports` in SQLite.
Bar: a page of 1,000 objects < 200 ms at the 95th percentile, wherever it is.
Times are of the processor, without HTTP, so that a busy machine gives the same.

    python -m benchmarks interchange.taxii
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import median, quantiles

import msgspec
from benchmarks.interchange.reports import ORIGIN, SEED, events
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import URL, create_engine, insert

from acx.exchange.feed.collection import Collection, Wanted
from acx.exchange.storage.database import Database
from acx.exchange.storage.schema import entries, event_keys, metadata
from acx.log.entry import seal
from acx.records.event import Act, Event, public_key_text, sign_event

REPORTS = 100_000
PAGES = 200
BAR_MILLISECONDS = 200.0
"""Of the 95th percentile."""


def main() -> None:
    """Fill an exchange, page through it, and print what it took."""
    with tempfile.TemporaryDirectory() as directory:
        database, founder, size = _filled(Path(directory) / "exchange.sqlite")
        collection = Collection(database, ORIGIN, founder)
        print(f"{size:,} entries; {_memory():.0f} MiB before anything is asked")
        print(f"first page, the order read in: {_timed(lambda: collection.page(size)):8.0f} ms")
        print(f"memory with the order: {_memory():.0f} MiB")
        _report("a page anywhere", _pages(collection, size))
        identifiers = [item.object["id"] for item in collection.page(size, (size // 2, 0)).items]
        reports = [identifier for identifier in identifiers if identifier.startswith("report")]
        first = _timed(lambda: collection.page(size, wanted=Wanted(ids=reports[:1])))
        print(f"the first object by id: {first:8.0f} ms")
        by_id = [_timed(partial(_named, collection, size, identifier)) for identifier in reports]
        _report("an object by id", by_id)
        email = next(each for each in identifiers if each.startswith("email-addr"))
        first = _timed(lambda: collection.page(size, wanted=Wanted(ids=[email])))
        print(f"the first observable by id: {first:8.0f} ms")
        again = _timed(lambda: collection.page(size, wanted=Wanted(ids=[email])))
        print(f"an observable by id: {again:8.0f} ms")
        print(f"memory at the end: {_memory():.0f} MiB")
        database.close()


def _pages(collection: Collection, size: int) -> list[float]:
    places = random.Random(SEED).choices(range(size), k=PAGES)
    return [_timed(partial(_encoded, collection, size, place)) for place in places]


def _named(collection: Collection, size: int, identifier: str) -> None:
    assert collection.page(size, wanted=Wanted(ids=[identifier])).items


def _encoded(collection: Collection, size: int, place: int) -> bytes:
    page = collection.page(size, (place, 0))
    return msgspec.json.encode({"more": page.more, "objects": [i.object for i in page.items]})


def _report(what: str, milliseconds: list[float]) -> None:
    worst = quantiles(milliseconds, n=20)[-1]
    met = "met" if worst < BAR_MILLISECONDS else "NOT met"
    print(
        f"{what}: median {median(milliseconds):.0f} ms, p95 {worst:.0f} ms "
        f"(bar {BAR_MILLISECONDS:.0f} ms: {met})"
    )


def _filled(path: Path) -> tuple[Database, str, int]:
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url)
    metadata.create_all(engine)
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    founding = sign_event(key, origin=ORIGIN, type="act", body=Act(act="configured"))
    size = 0
    rng = random.Random(SEED)
    with engine.begin() as connection:
        left = chain([founding], events(REPORTS))
        while batch := list(islice(left, 5_000)):
            rows = [_row(index, event, rng) for index, event in enumerate(batch, size)]
            connection.execute(insert(entries), [row for row, _ in rows])
            keys = [{"index": row["index"], "k": k} for row, k in rows]
            connection.execute(insert(event_keys), keys)
            size += len(rows)
    engine.dispose()
    return Database(url), public_key_text(key), size


def _row(index: int, event: Event, rng: random.Random) -> tuple[dict[str, object], bytes]:
    k, at = rng.randbytes(32), f"2026-11-{1 + index // 10_000:02}T{index // 500 % 24:02}Z"
    sealed = seal(event.raw, at, k)
    return {
        "index": index,
        "event_id": event.id,
        "type": event.type,
        "report": event.report,
        "by": event.by,
        "seq": event.seq,
        "at": at,
        "entry": sealed.entry,
        "ciphertext": sealed.ciphertext,
    }, k


def _timed(call: Callable[[], object]) -> float:
    begun = time.process_time()
    call()
    return (time.process_time() - begun) * 1_000


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
