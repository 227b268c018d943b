"""How many of the log's files a server answers a second.

Data: a log of 20,000 entries; `/checkpoint`, a full tile of hashes, an entries file and a bundle
(280 KB), and `/checkpoint` with the entity tag one has; 16 kept-alive connections, raw sockets and
epoll in one process, each asking again once it is answered. One server process, which the machine's
cores are shared with. Bar: `/checkpoint` and tiles >= 2,000 requests/s.
"""

from __future__ import annotations

import os
import re
import select
import socket
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from acx.exchange.service import Exchange
from benchmarks.exchange.stream_readers import fill, serving

CONNECTIONS = 16
SECONDS = float(os.environ.get("SECONDS", "5"))
BAR = 2000.0


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory(prefix="acx-bench-") as directory:
        home = Path(directory) / "home"
        with Exchange.init(home) as exchange:
            fill(exchange)
        with serving(home) as (url, _):
            port = urlsplit(url).port or 0
            known = tag_of(port, "/checkpoint")
            for name, path, more in (
                ("checkpoint", "/checkpoint", ""),
                ("checkpoint, 304", "/checkpoint", f"If-None-Match: {known}\r\n"),
                ("tile", "/tile/0/000", ""),
                ("entries", "/tile/entries/000", ""),
                ("bundle", "/bundle/000", ""),
            ):
                rate = measure(port, path, more)
                verdict = "met" if rate >= BAR else "NOT met"
                bar = "" if name == "bundle" else f"; bar {BAR:,.0f} {verdict}"
                print(f"{name}: {rate:,.0f} requests/s{bar}; load {os.getloadavg()[0]:.1f}")


def measure(port: int, path: str, more: str) -> float:
    """Answers a second."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()
    poll = select.epoll()
    waiting: dict[int, tuple[socket.socket, bytearray]] = {}
    for _ in range(CONNECTIONS):
        opened = socket.create_connection(("127.0.0.1", port))
        poll.register(opened, select.EPOLLIN)
        waiting[opened.fileno()] = (opened, bytearray())
        opened.sendall(request)
    answers, started = 0, time.perf_counter()
    length = len(_answer(port, request))
    while time.perf_counter() - started < SECONDS:
        for descriptor, _ in poll.poll(1):
            opened, got = waiting[descriptor]
            got += opened.recv(1 << 20)
            if len(got) >= length:
                answers += 1
                got.clear()
                opened.sendall(request)
    elapsed = time.perf_counter() - started
    for opened, _ in waiting.values():
        opened.close()
    return answers / elapsed


def _answer(port: int, request: bytes) -> bytes:
    """One whole answer."""
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.sendall(request)
        got = opened.recv(1 << 20)
        head, _, _ = got.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head.lower())
        whole = len(head) + 4 + (int(found[1]) if found and b" 304 " not in head else 0)
        while len(got) < whole:
            got += opened.recv(1 << 20)
    return got


def tag_of(port: int, path: str) -> str:
    """The entity tag of an answer."""
    head = _answer(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    (tag,) = re.findall(rb"(?im)^etag: (\S+)", head)
    return str(tag, "ascii")


if __name__ == "__main__":
    main()
