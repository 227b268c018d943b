"""How soon every connected member knows of an accepted report.

Data: 100 streams, 50 reports posted one after the other, on this machine over HTTP; then again
while others flood the exchange with reports whose proofs do not hold. Bar: p99 < 1 s from the
poster's acknowledgement to the entry at a member, flood or not. The clock is one: poster, members
and flood are one process, the exchange another, its verifying processes others.
"""

from __future__ import annotations

import asyncio
import itertools
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
from benchmarks.exchange.intake import Member, issuer_public_key, run_server

FOLLOWERS = 100
REPORTS = 50
FLOOD = 20
FLOODERS = 32


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            invite = parse_invite(exchange.invite("member"))
            public_key = issuer_public_key(exchange)
        context = multiprocessing.get_context("spawn")
        ready: Queue[str] = context.Queue()
        process = context.Process(target=run_server, args=(home, ready))
        process.start()
        try:
            member = Member(invite, Ed25519PrivateKey.generate(), ready.get(timeout=60))
            token = member.join(public_key)
            junk = [spoilt(post) for _, post in member.reports(FLOOD)]
            for flood in ([], junk):
                posts = [post for _, post in member.reports(REPORTS)]
                delays = sorted(asyncio.run(watch(member.url, token, posts, flood)))
                print(
                    f"{FOLLOWERS} members informed of {REPORTS} reports"
                    f"{' under a flood of bad proofs' if flood else ''}: median "
                    f"{delays[len(delays) // 2] * 1000:.1f} ms, p99 "
                    f"{delays[len(delays) * 99 // 100] * 1000:.1f} ms, last "
                    f"{delays[-1] * 1000:.1f} ms after the acknowledgement (negative: before it)"
                )
        finally:
            process.terminate()
            process.join()


def spoilt(post: bytes) -> bytes:
    """A request whose last presentation proves nothing: found out only when it is verified."""
    at = post.rindex(b'"}') - 40
    changed = b"A" if post[at : at + 1] != b"A" else b"B"
    return post[:at] + changed + post[at + 1 :]


async def watch(url: str, token: str, posts: list[bytes], flood: list[bytes]) -> list[float]:
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
    flooding = [asyncio.create_task(pour(port, flood)) for _ in range(FLOODERS if flood else 0)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for post in posts:
        answer = {}
        # Told to come again, the poster does.
        while "index" not in answer:
            answer = msgspec.json.decode(await ask(reader, writer, post))
        acknowledged[answer["index"]] = time.perf_counter()
    writer.close()
    for task in flooding:
        task.cancel()
    while not all(acknowledged.keys() <= times.keys() for times in arrived):
        await asyncio.sleep(0.05)
    for follower in followers:
        follower.cancel()
    return [times[index] - moment for index, moment in acknowledged.items() for times in arrived]


async def pour(port: int | None, posts: list[bytes]) -> None:
    """Post the same again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for post in itertools.cycle(posts):
        await ask(reader, writer, post)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The body of the answer to a request."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return await reader.readexactly(length)
