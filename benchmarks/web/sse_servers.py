"""Which web framework and server carry the stream best.

Data: N idle SSE connections (raw sockets and epoll in one process, so that the server is what is
measured), then 20 broadcasts of 600 bytes to all of them; and small JSON posts over 16 kept-alive
connections. Peers: Starlette on uvicorn, granian and hypercorn, and aiohttp, each one process.
Bar: none; the figures are ratios in one run and decide `docs/decisions/web-server.md`.

Needs the peers, which acx does not install:
`pip install starlette 'uvicorn[standard]' granian hypercorn aiohttp`
"""

from __future__ import annotations

import importlib.util
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CONNECTIONS = int(os.environ.get("CONNECTIONS", "2000"))
BROADCASTS = 20
POSTS = 3000
PAYLOAD = b"x" * 600

APPS = """
import asyncio
SUBSCRIBERS = set()
def broadcast(data):
    for queue in SUBSCRIBERS:
        queue.put_nowait(data)

def starlette_app():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
    async def stream(request):
        queue = asyncio.Queue()
        SUBSCRIBERS.add(queue)
        async def events():
            try:
                yield b": hello\\n\\n"
                while True:
                    yield b"data: " + await queue.get() + b"\\n\\n"
            finally:
                SUBSCRIBERS.discard(queue)
        return StreamingResponse(events(), media_type="text/event-stream")
    async def cast(request):
        broadcast(await request.body())
        return Response()
    async def post(request):
        return JSONResponse({"size": len(await request.body())})
    return Starlette(routes=[Route("/stream", stream), Route("/cast", cast, methods=["POST"]),
                             Route("/post", post, methods=["POST"])])

def aiohttp_main(port):
    from aiohttp import web
    async def stream(request):
        queue = asyncio.Queue()
        SUBSCRIBERS.add(queue)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\\n\\n")
        try:
            while True:
                await response.write(b"data: " + await queue.get() + b"\\n\\n")
        finally:
            SUBSCRIBERS.discard(queue)
    async def cast(request):
        broadcast(await request.read())
        return web.Response()
    async def post(request):
        return web.json_response({"size": len(await request.read())})
    app = web.Application()
    app.add_routes([web.get("/stream", stream), web.post("/cast", cast), web.post("/post", post)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)
"""

SERVERS = {
    "starlette + uvicorn": (
        "import uvicorn\n"
        "uvicorn.run(starlette_app(), host='127.0.0.1', port={port}, log_level='error')"
    ),
    "starlette + granian": (
        "from granian import Granian\n"
        "Granian('apps:starlette_app', factory=True, address='127.0.0.1', port={port},"
        " interface='asginl', log_enabled=False, backlog=8192, backpressure=8192).serve()"
    ),
    "starlette + hypercorn": (
        "import asyncio, hypercorn.asyncio, hypercorn.config\n"
        "config = hypercorn.config.Config(); config.bind = ['127.0.0.1:{port}']\n"
        "asyncio.run(hypercorn.asyncio.serve(starlette_app(), config))"
    ),
    "aiohttp": "aiohttp_main({port})",
}


@contextmanager
def serving(code: str, port: int, folder: Path) -> Iterator[int]:
    """The server as a process of its own; yields its pid."""
    (folder / "apps.py").write_text(APPS)
    script = folder / "serve.py"
    body = "\n".join("    " + line for line in code.replace("{port}", str(port)).splitlines())
    script.write_text(f"from apps import *\nif __name__ == '__main__':\n{body}\n")
    process = subprocess.Popen([sys.executable, str(script)], cwd=folder)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children, MB."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(
                line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line
            )
        except OSError:
            continue
        if int(fields["Pid"]) == pid or int(fields["PPid"]) == pid:
            total += int(fields.get("VmRSS", "0 kB").split()[0])
    return total / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time used by a process and its children so far, seconds."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def request(port: int, path: str, body: bytes) -> bytes:
    """A POST as bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def measure(port: int, pid: int) -> dict[str, float]:
    """Connect, broadcast, post."""
    poll = select.epoll()
    readers: dict[int, socket.socket] = {}
    for _ in range(CONNECTIONS):
        reader = socket.create_connection(("127.0.0.1", port))
        reader.sendall(f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        reader.setblocking(False)
        readers[reader.fileno()] = reader
        poll.register(reader, select.EPOLLIN)
    waiting = set(readers)
    deadline = time.monotonic() + 60
    while waiting and time.monotonic() < deadline:
        for fd, _ in poll.poll(1):
            if b": hello" in readers[fd].recv(65536):
                waiting.discard(fd)
    memory, cpu = resident_mb(pid), cpu_seconds(pid)
    caster = socket.create_connection(("127.0.0.1", port), timeout=15)
    last: list[float] = []
    for _ in range(BROADCASTS):
        start = time.perf_counter()
        caster.sendall(request(port, "/cast", PAYLOAD))
        missing = set(readers)
        received = dict.fromkeys(readers, 0)
        while missing and time.perf_counter() - start < 10:
            for fd, _ in poll.poll(1):
                received[fd] += len(readers[fd].recv(65536))
                if received[fd] >= len(PAYLOAD):
                    missing.discard(fd)
        last.append(time.perf_counter() - start)
        caster.recv(65536)
        time.sleep(0.05)
    cpu = cpu_seconds(pid) - cpu
    for reader in readers.values():
        reader.close()
    return {
        "connected": float(CONNECTIONS - len(waiting)),
        "MB": memory,
        "last reader, median ms": 1000 * statistics.median(last),
        "CPU ms per broadcast": 1000 * cpu / BROADCASTS,
        "posts/s": posts_per_second(port),
    }


def posts_per_second(port: int) -> float:
    """Small posts over 16 connections kept alive."""
    poll = select.epoll()
    clients = {}
    message = request(port, "/post", PAYLOAD)
    for _ in range(16):
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLIN)
        client.sendall(message)
    done = 0
    start = time.perf_counter()
    while done < POSTS:
        ready = poll.poll(5)
        if not ready:
            return float("nan")
        for fd, _ in ready:
            answer = clients[fd].recv(65536)
            if not answer.endswith(b"}"):
                answer += clients[fd].recv(65536)
            done += 1
            clients[fd].sendall(message)
    return done / (time.perf_counter() - start)


def main() -> None:
    """Print a table, a row a server."""
    import tempfile

    missing = [n for n in ("granian", "hypercorn", "aiohttp") if not importlib.util.find_spec(n)]
    if missing:
        print(f"skipped: pip install {' '.join(missing)} to measure")
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CONNECTIONS + 1000), hard))
    del soft
    print(f"{CONNECTIONS} connections, {BROADCASTS} broadcasts of {len(PAYLOAD)} bytes")
    for turn, (name, code) in enumerate(SERVERS.items()):
        port = 18100 + turn
        with tempfile.TemporaryDirectory() as folder, serving(code, port, Path(folder)) as pid:
            row = measure(port, pid)
        print(f"{name:24}" + "  ".join(f"{key} {value:.0f}" for key, value in row.items()))


if __name__ == "__main__":
    main()
