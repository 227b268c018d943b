"""How soon every connected member shows a report as disputed.

Data: 100 members connected over HTTP on this machine, each with a fold of its own, and 30 disputes
opened by an operator's command beside the running server. A member opens each entry that arrives,
checks it against the tree's entry and its signature, folds it, and the moment counts at which its
fold says `disputed`. Bar: p99 < 1 s, from the start of the operator's command. The clock is one:
operator and members are one process, the exchange another.

Run: python -m benchmarks exchange.dispute_fan_out
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.exchange.service import Exchange
from acx.log.entry import entry_of
from acx.records.event import parse_event, public_key_text, verify_event
from acx.records.http_signature import sign_request
from acx.records.invite import Invite, parse_invite
from acx.records.state import Entry, Reports
from acx.web.exchange_api import serve
from benchmarks.exchange.erasure import fill

MEMBERS = 100
DISPUTES = 30


class _Fed(msgspec.Struct):
    index: int
    at: str
    k: bytes
    event: msgspec.Raw


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            exchange.add_operator("ann")
            reports = fill(exchange, DISPUTES)
            invite = parse_invite(exchange.invite("a reader", "receiver"))
        context = multiprocessing.get_context("spawn")
        ready: Queue[str] = context.Queue()
        process = context.Process(target=run_server, args=(home, ready))
        process.start()
        try:
            url = ready.get(timeout=60)
            delays = sorted(asyncio.run(dispute(home, url, invite, reports)))
        finally:
            process.terminate()
            process.join()
    median, late = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    print(
        f"{MEMBERS} members show {DISPUTES} reports as disputed: median {median * 1000:.0f} ms, "
        f"p99 {late * 1000:.0f} ms, last {delays[-1] * 1000:.0f} ms after the command began "
        "(bar: p99 < 1,000 ms)"
    )


def run_server(home: Path, ready: Queue[str]) -> None:
    """The exchange, in a process of its own."""
    serve(home, port=0, on_ready=ready.put)


async def dispute(home: Path, url: str, invite: Invite, reports: list[str]) -> list[float]:
    """Seconds from a command to each member's fold, for every report and member."""
    token = join(url, invite)
    operators = tuple(operator.key for operator in invite.operators)
    seen: list[dict[str, float]] = [{} for _ in range(MEMBERS)]
    started: dict[str, float] = {}
    connected = asyncio.Semaphore(0)

    async def follow(times: dict[str, float]) -> None:
        fold = Reports(operators)
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(
            b"GET /v1/stream?after=-1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + token.encode()
            + b"\r\n\r\n"
        )
        while line := await reader.readline():
            if line.startswith(b'data: {"'):
                fed = msgspec.json.decode(line[6:], type=_Fed)
                report = take(fold, fed, invite.origin)
                if report in reports and report not in times:
                    view = fold.get(report)
                    if view is not None and view.state == "disputed":
                        times[report] = time.perf_counter()
            elif line.startswith(b"event: checkpoint"):
                connected.release()
        writer.close()

    followers = [asyncio.create_task(follow(times)) for times in seen]
    for _ in followers:
        await connected.acquire()
    with Exchange.open(home) as exchange:
        for report in reports:
            started[report] = time.perf_counter()
            await asyncio.to_thread(exchange.disputes.open, report, "not_me", "ann")
    while not all(started.keys() <= times.keys() for times in seen):
        await asyncio.sleep(0.05)
    for follower in followers:
        follower.cancel()
    return [times[report] - moment for report, moment in started.items() for times in seen]


def take(fold: Reports, fed: _Fed, origin: str) -> str:
    """What a member does with an entry, the tree apart; gives the report it is about."""
    raw = bytes(fed.event)
    event = parse_event(raw)
    entry_of(fed.k, fed.at, raw)
    if event.type != "report":
        # Those that `fill` wrote are not signed.
        verify_event(event, origin)
    fold.apply(Entry(fed.index, event))
    return event.report


def join(url: str, invite: Invite) -> str:
    """Become a member that reads; gives the token."""
    key = Ed25519PrivateKey.generate()
    wanted = {
        "invite_id": invite.invite_id,
        "secret": invite.secret,
        "member_key": public_key_text(key),
        "terms": "1",
    }
    body = json.dumps(wanted).encode()
    headers = sign_request(key, method="POST", path="/v1/join", body=body, created=int(time.time()))
    with urlopen(Request(f"{url}/v1/join", body, headers=headers)) as answer:  # noqa: S310 -- ours
        return str(json.loads(answer.read())["token"])
