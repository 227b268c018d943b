"""A first sync: 100,000 entries over HTTP, every hash and every signature checked, on disk.

Data: reports of different keys, signed for real, drawn from a fixed seed; served as ready-made
pages by a process of its own, so that the member's side alone is measured (the exchange's side is
`exchange.feed`'s matter).
Bar: 100 k entries, verified with signatures, < 30 s.
CPU seconds are of all threads, so that a busy machine gives the same; the elapsed time is of this
machine as it was.
"""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import random
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.log.checkpoint import Checkpoint, sign_checkpoint
from acx.log.entry import entry_of
from acx.log.merkle import Frontier, hash_leaf
from acx.log.note import Signer
from acx.member.client import ExchangeClient
from acx.member.replica import Replica, Trust
from acx.member.sync import sync
from acx.records.account import Subject
from acx.records.event import public_key_text, report_id, sign_event, stand_context
from acx.records.report import Report

ENTRIES = 100_000
PAGE = 1_000
ORIGIN = "bench.acx.example/log"
SEED = 20261125
BAR_SECONDS = 30.0


def main() -> None:
    """Serve a log, sync it, and print what it took."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=serve, args=(sending,), daemon=True)
    server.start()
    port, log_key = receiving.recv()
    with tempfile.TemporaryDirectory() as directory:
        replica = Replica.create(
            Path(directory) / "replica",
            Trust(origin=ORIGIN, log_key=log_key, operators=(), matching_key=bytes(32)),
        )
        client = ExchangeClient(f"http://127.0.0.1:{port}", token="bench", timeout=120.0)  # noqa: S106 -- nobody checks it
        begun, used = time.perf_counter(), time.process_time()
        synced = sync(replica, client)
        elapsed, cpu = time.perf_counter() - begun, time.process_time() - used
        size = sum(path.stat().st_size for path in replica.directory.iterdir() if path.is_file())
        assert synced.size == ENTRIES
        assert len(synced.changed) == ENTRIES
    server.terminate()
    print(f"first sync of {ENTRIES:,} entries: {elapsed:.1f} s, {cpu:.1f} CPU s")
    print(f"  {ENTRIES / elapsed:,.0f} entries/s; replica {size / 2**20:.0f} MiB")
    print(f"  bar {BAR_SECONDS:.0f} s: {'met' if elapsed < BAR_SECONDS else 'NOT met'}")


def serve(sending: Connection) -> None:
    """Serve the log; tells its port and key once it does."""
    pages, log_key = _pages()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            after = int(parse_qs(urlsplit(self.path).query)["after"][0])
            body = pages[(after + 1) // PAGE]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Be quiet: clients may be killed."""

    server = Server(("127.0.0.1", 0), Handler)
    sending.send((server.server_address[1], log_key))
    server.serve_forever()


def _pages() -> tuple[list[bytes], str]:
    rng = random.Random(SEED)
    signer = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(rng.randbytes(32)))
    frontier = Frontier()
    rendered: list[bytes] = []
    for index in range(ENTRIES):
        raw, k = signed_report(rng), rng.randbytes(32)
        at = "2026-11-25T02Z"
        frontier.append(hash_leaf(entry_of(k, at, raw)))
        rendered.append(
            b'{"index":%d,"at":"%s","k":"%s","event":%s}'
            % (index, at.encode(), base64.b64encode(k), raw)
        )
    note = sign_checkpoint(Checkpoint(ORIGIN, ENTRIES, frontier.root()), signer)
    tail = b'],"checkpoint":' + msgspec.json.encode(note) + b"}"
    pages = [
        b'{"entries":[' + b",".join(rendered[start : start + PAGE]) + tail
        for start in range(0, ENTRIES + 1, PAGE)
    ]
    return pages, signer.verifier.vkey


def signed_report(rng: random.Random) -> bytes:
    """A report of a key of its own, as canonical bytes."""
    key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    number = rng.randrange(10**9)
    report = report_id(public_key_text(key))
    subject = Subject(
        kind="organization",
        name=(f"Shenzhen {number} Trading Co., Ltd.", f"Chen {number}"),
        alias=(f"store{number}", "official outlet"),
        email=(f"seller{number}@mail.example",),
        phone=(f"+86755{number:09}",),
        address=(f"Room {number % 900}, No. {number % 99} Bao'an Road, Shenzhen 518000",),
        country=("CN",),
        bank_account=(f"h1:{hashlib.sha256(str(number).encode()).hexdigest()}",),
    )
    return sign_event(
        key,
        origin=ORIGIN,
        type="report",
        body=Report(
            account=subject,
            conduct="sold_counterfeits",
            confirmed_by=("test_buy",),
            confirmed_on="2026-10",
            categories=("footwear",),
        ),
        tags={
            "rate/2026-11-25": base64.b64encode(rng.randbytes(32)).decode(),
            stand_context(report, 1): base64.b64encode(rng.randbytes(32)).decode(),
        },
        issuer_key="k1",
    ).raw
