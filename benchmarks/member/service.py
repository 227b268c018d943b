"""The member's local service: one account at sign-up, and a stream of them.

Data: a replica of 100,000 reports (`member.first_sync`'s), and accounts of the same kind that are
none of them. The service is a process of its own, asked over loopback by one client
that keeps its connection, then by four.
Bar: none was set for the service; the check is what a person waits for at a registration.
Memory is the server's, resident, at its most.

    python -m benchmarks member.service
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import msgspec

from acx.member.client import ExchangeClient
from acx.member.replica import Replica, Trust
from acx.member.settings import Settings
from acx.member.sync import sync
from acx.member.tokens import Tokens
from acx.web.limits import Rate
from acx.web.member_api import serve as serve_member
from benchmarks.member.first_sync import ORIGIN, SEED
from benchmarks.member.first_sync import serve as serve_log

CHECKS = 2_000
LINES = 100_000


def main() -> None:
    """Print latencies, rates and memory."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        _replicated(home / "replica")
        token, _ = Tokens(home).create(["check", "screen"])
        receiving, sending = multiprocessing.Pipe(duplex=False)
        server = multiprocessing.Process(target=_serve, args=(home, sending), daemon=True)
        began = time.perf_counter()
        server.start()
        url = receiving.recv()
        print(f"ready after {time.perf_counter() - began:.1f} s; {_memory(server.pid)} MiB")
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=600, trust_env=False) as client:
            accounts = _accounts(CHECKS)
            _told("one client", _checks(client, accounts))
            began = time.perf_counter()
            with ThreadPoolExecutor(4) as threads:
                parts = [accounts[start::4] for start in range(4)]
                found = list(threads.map(lambda part: _checks(client, part), parts))
            _told("four clients", [seconds for part in found for seconds in part])
            print(f"  {CHECKS / (time.perf_counter() - began):,.0f} checks/s")
            meanwhile: list[float] = []
            done = threading.Event()

            def ask() -> None:
                while not done.is_set():
                    meanwhile.extend(_checks(client, accounts[:20]))

            _stream(url, headers, LINES)
            print(f"  {_memory(server.pid)} MiB at most")
            asking = threading.Thread(target=ask)
            asking.start()
            _stream(url, headers, LINES)
            done.set()
            asking.join()
            _told("one client, beside the stream", meanwhile)
        remembered = home / "watch" / "memory.db"
        print(f"remembered: {remembered.stat().st_size / 2**20:.1f} MiB")
        server.terminate()


def _serve(home: Path, sending: Connection) -> None:
    serve_member(
        home / "replica",
        Settings(),
        Tokens(home),
        home=home,
        port=0,
        checks=Rate(per_second=1e6, burst=1_000_000),
        on_ready=sending.send,
    )


def _replicated(directory: Path) -> None:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    log = multiprocessing.Process(target=serve_log, args=(sending,), daemon=True)
    log.start()
    port, log_key = receiving.recv()
    trust = Trust(origin=ORIGIN, log_key=log_key, operators=(), matching_key=bytes(32))
    replica = Replica.create(directory, trust)
    client = ExchangeClient(f"http://127.0.0.1:{port}", token="bench", timeout=120.0)  # noqa: S106 -- nobody checks it
    print(f"replica of {sync(replica, client).size:,} entries")
    replica.close()
    log.terminate()


def _accounts(count: int) -> list[bytes]:
    rng = random.Random(SEED + 1)
    accounts = []
    for place in range(count):
        number = rng.randrange(10**9)
        account = {
            "id": f"s{place}",
            "name": [f"Guangzhou {number} Industry Limited", f"Li {number}"],
            "email": [f"owner{number}@post.example"],
            "phone": [f"+86200{number:09}"],
            "address": [f"Room {number % 700}, No. {number % 88} Zhongshan Road, Guangzhou"],
            "country": ["CN"],
        }
        accounts.append(msgspec.json.encode(account))
    return accounts


def _checks(client: httpx.Client, accounts: list[bytes]) -> list[float]:
    times = []
    for account in accounts:
        began = time.perf_counter()
        client.post("/v1/check", content=account).raise_for_status()
        times.append(time.perf_counter() - began)
    return times


def _stream(url: str, headers: dict[str, str], count: int) -> None:
    body = _accounts(min(count, 10_000))

    def lines() -> Iterator[bytes]:
        for start in range(0, count, 100):
            yield b"\n".join(body[(start + n) % len(body)] for n in range(100)) + b"\n"

    began = time.perf_counter()
    got = 0
    with httpx.stream(
        "POST", f"{url}/v1/screen", content=lines(), headers=headers, timeout=600, trust_env=False
    ) as answer:
        for chunk in answer.iter_bytes():
            got += chunk.count(b"\n")
    assert got == count, (got, count)
    seconds = time.perf_counter() - began
    print(f"stream of {count:,}: {seconds:.1f} s, {count / seconds:,.0f} lines/s")


def _told(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    p99 = ordered[int(0.99 * len(ordered)) - 1]
    print(
        f"check, {what}: median {1000 * statistics.median(ordered):.1f} ms,"
        f" p99 {1000 * p99:.1f} ms ({len(ordered):,} asked)"
    )


def _memory(process: int | None) -> int:
    """The most that a process had resident, in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
