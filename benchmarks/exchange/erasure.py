"""How long it takes to erase ten thousand reports from a log of a million, proofs intact.

Data: a log of 1,000,000 reports of one page's size (`ACX_ENTRIES` for another size), written as
rows and published as an exchange publishes them; 1,000 inclusion proofs are taken before. Then two
operators erase 10,000 reports, drawn from a fixed seed, in one go: proposal, approval, both on
record, keys destroyed and overwritten. Bar: < 60 s, and every proof from before still verifies.
Peer: none; logs of this kind keep what they hold.

Run: python -m benchmarks exchange.erasure   (some 4 GB of disk, and minutes to write the log)
"""

from __future__ import annotations

import base64
import os
import random
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from acx.exchange.clock import hour_text, utc_now
from acx.exchange.service import Exchange
from acx.exchange.storage.database import SQLITE_FILE, Database, database_url
from acx.exchange.storage.ledger import LogRow, append, load_head, read_keys, read_rows
from acx.log.checkpoint import open_checkpoint
from acx.log.entry import seal
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Verifier
from acx.log.proof import LogProof, verify_proof
from acx.log.tiles import CHECKPOINT_PATH, DirectoryReader, inclusion_path
from acx.records.account import Subject
from acx.records.event import Event, canonical, parse_event, report_id, stand_context
from acx.records.report import Report

ENTRIES = int(os.environ.get("ACX_ENTRIES", "1000000"))
ERASED = 10_000
PROOFS = 1_000
_BATCH = 20_000


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            for name in ("ann", "bob"):
                exchange.add_operator(name)
            started = time.perf_counter()
            reports = fill(exchange, ENTRIES)
            exchange.invite("a reader", "receiver")  # publishes what was written
            print(f"a log of {size(exchange):,} written in {time.perf_counter() - started:.0f} s")
            measure(exchange, reports)


def measure(exchange: Exchange, reports: list[str]) -> None:
    """Erase, and check what is left."""
    draw = random.Random(20260401)
    verifier = Verifier.parse(exchange.log_key)
    before = open_checkpoint(
        (exchange.home.public / CHECKPOINT_PATH).read_text(encoding="utf-8"), verifier
    )
    reader = DirectoryReader(exchange.home.public)
    proofs = [
        LogProof(index, tuple(inclusion_path(reader, index, before.size)), before.note)
        for index in draw.sample(range(before.size), PROOFS)
    ]
    chosen = draw.sample(reports, ERASED)
    started = time.perf_counter()
    proposal = exchange.retention.erase(chosen, "court_order", "ann")
    proposed = time.perf_counter()
    exchange.approve(proposal.id, "bob")
    done = time.perf_counter()
    with rows_of(exchange).read() as connection:
        after = load_head(connection).size
        keys = len(read_keys(connection, 0, after))
        leaves = {
            proof.index: hash_leaf(read_rows(connection, proof.index, proof.index + 1)[0].entry)
            for proof in proofs
        }
    for proof in proofs:
        verify_proof(proof, leaves[proof.index], verifier)
    assert after - keys == ERASED
    audited = exchange.audit()
    assert not audited.problems, audited.problems[:3]
    wal = exchange.home.path / f"{SQLITE_FILE}-wal"
    print(
        f"{ERASED:,} reports erased by two operators in {done - started:.1f} s (proposal "
        f"{proposed - started:.1f} s, approval and keys {done - proposed:.1f} s; bar: 60 s), by "
        f"{len(proposal.events)} erasures and their approvals; {len(proofs):,} proofs from before "
        f"still verify, the audit finds nothing; write-ahead log {wal.stat().st_size} bytes"
    )


def fill(exchange: Exchange, count: int) -> list[str]:
    """Write so many reports as rows; gives their ids."""
    database = rows_of(exchange)
    with database.read() as connection:
        head = load_head(connection)
        tree = Frontier()
        tree.extend([hash_leaf(row.entry) for row in read_rows(connection, 0, head.size)])
    hour = hour_text(utc_now())
    ids: list[str] = []
    events = written()
    while len(ids) < count:
        rows: list[tuple[LogRow, Event | None]] = []
        for _ in range(min(_BATCH, count - len(ids))):
            event = next(events)
            k = secrets.token_bytes(32)
            sealed = seal(event.raw, hour, k)
            index = head.size + len(rows)
            rows.append((LogRow(index, hour, sealed.entry, sealed.ciphertext, k), event))
            ids.append(event.report)
        tree.extend([hash_leaf(row.entry) for row, _ in rows])
        with database.write() as connection:
            head = append(connection, load_head(connection), tree.root(), rows)
    return ids


def written() -> Iterator[Event]:
    """Reports; whoever reads rows has no signature to check."""
    number = 0
    while True:
        number += 1
        by = base64.b64encode(secrets.token_bytes(32)).decode()
        report = report_id(by)
        body = Report(
            account=Subject(
                kind="organization",
                name=(f"Example Trading {number} Ltd",),
                email=(f"sales{number}@trading.example",),
                phone=(f"+4930{number:08}",),
                address=(f"{number} Harbour Road, Hamburg, Germany",),
                country=("DE",),
            ),
            conduct="sold_counterfeits",
            confirmed_by=("test_buy",),
            confirmed_on="2026-10",
        )
        tag = base64.b64encode(secrets.token_bytes(33)).decode()
        event = {
            "v": 1,
            "type": "report",
            "report": report,
            "ref": "",
            "seq": 0,
            "body": body,
            "tags": {stand_context(report, 1): tag},
            "key": "bench",
            "by": by,
            "signature": base64.b64encode(bytes(64)).decode(),
        }
        yield parse_event(canonical(event))


def rows_of(exchange: Exchange) -> Database:
    """The exchange's rows, as a process of its own would open them."""
    return Database(database_url(exchange.settings.database, exchange.home.path))


def size(exchange: Exchange) -> int:
    """Entries in the log."""
    with rows_of(exchange).read() as connection:
        return load_head(connection).size
