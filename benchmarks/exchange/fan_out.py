"""How soon every connected member knows of an accepted report.

Data: 100 streams, 50 reports posted one after the other, on this machine over HTTP. Bar: p99 < 1 s
from the poster's acknowledgement to the entry at a member. The clock is one: poster and members are
one process, the exchange another.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.exchange.service import Exchange
from acx.records.invite import parse_invite
from benchmarks.exchange.intake import Member, run_server

FOLLOWERS = 100
REPORTS = 50


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            invite = parse_invite(exchange.invite("member"))
        context = multiprocessing.get_context("spawn")
        ready: Queue[str] = context.Queue()
        process = context.Process(target=run_server, args=(home, ready))
        process.start()
        try:
            member = Member(invite, Ed25519PrivateKey.generate(), ready.get(timeout=60))
            token = member.join()
            posts = member.posts(REPORTS)
            delays = sorted(asyncio.run(watch(member.url, token, posts)))
        finally:
            process.terminate()
            process.join()
    print(
        f"{FOLLOWERS} members informed of {REPORTS} reports: median "
        f"{delays[len(delays) // 2] * 1000:.1f} ms, p99 "
        f"{delays[len(delays) * 99 // 100] * 1000:.1f} ms, last {delays[-1] * 1000:.1f} ms after "
        "the acknowledgement (negative: before it)"
    )


async def watch(url: str, token: str, posts: list[bytes]) -> list[float]:
    """Seconds from acknowledgement to arrival, for each report and follower."""
    port = urlsplit(url).port
    arrived: list[dict[int, float]] = [{} for _ in range(FOLLOWERS)]
    acknowledged: dict[int, float] = {}

    async def follow(times: dict[int, float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b":\n\n")
        connected.release()
        while line := await reader.readline():
            if line.startswith(b"id: "):
                times[int(line[4:])] = time.perf_counter()
        writer.close()

    connected = asyncio.Semaphore(0)
    followers = [asyncio.create_task(follow(times)) for times in arrived]
    for _ in followers:
        await connected.acquire()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for post in posts:
        writer.write(post)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        answer = msgspec.json.decode(await reader.readexactly(length))
        acknowledged[answer["index"]] = time.perf_counter()
    writer.close()
    while not all(acknowledged.keys() <= times.keys() for times in arrived):
        await asyncio.sleep(0.05)
    for follower in followers:
        follower.cancel()
    return [times[index] - moment for index, moment in acknowledged.items() for times in arrived]
