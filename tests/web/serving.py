"""Exchanges that answer over a real socket: in a thread of this process, or as one of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.exchange.acting import Actor

from acx.exchange.issuing.issuer import IssuedCredential
from acx.exchange.service import Exchange
from acx.exchange.serving import Following, Service
from acx.exchange.storage.ledger import load_head
from acx.records.http_signature import sign_request
from acx.web.exchange_api.app import build_app
from acx.web.exchange_api.metrics import Metrics
from acx.web.exchange_api.server import Counted, _Server
from acx.web.server import config, listen, url_of


@dataclass
class Served:
    """An exchange, and an HTTP client to it."""

    exchange: Exchange
    service: Service
    metrics: Metrics
    url: str
    http: httpx.Client

    def signed(
        self,
        actor: Actor,
        path: str,
        value: object = None,
        *,
        body: bytes = b"",
        created: int = 0,
        **changes: str,
    ) -> httpx.Response:
        """Post something signed by a member's key; `changes` to headers afterwards."""
        body = body or msgspec.json.encode(value)
        created = created or int(time.time())
        headers = sign_request(actor.key, method="POST", path=path, body=body, created=created)
        return self.http.post(path, content=body, headers=headers | changes)

    def join(self, name: str, role: str = "contributor", clock: Any = None) -> Actor:
        """Make a member, over HTTP."""
        actor = Actor.invited(self.exchange, clock, name, role)
        answer = self.signed(actor, "/v1/join", actor.join_request)
        assert answer.status_code == 200, answer.text
        actor.token = answer.json()["token"]
        if "credential" in answer.json():
            actor.keep(self.service, IssuedCredential(**answer.json()["credential"]))
        self.settle()
        return actor

    def settle(self) -> None:
        """Wait until what is in the rows is published, such as that somebody has joined."""
        with self.exchange._database.read() as connection:
            size = load_head(connection).size
        while self.service.live.newest.size < size:
            time.sleep(0.002)

    def get(self, path: str, actor: Actor | None = None, **headers: str) -> httpx.Response:
        if actor is not None:
            headers["Authorization"] = f"Bearer {actor.token}"
        return self.http.get(path, headers=headers)


@contextmanager
def served(exchange: Exchange) -> Iterator[Served]:
    """Answer in a thread of this process, so that tests can reach into it."""
    metrics = Metrics()
    with (
        exchange.lead(metrics.published) as service,
        answering(service, metrics) as url,
        httpx.Client(base_url=url, timeout=30) as http,
    ):
        yield Served(exchange, service, metrics, url, http)


@contextmanager
def answering(service: Service | Following, metrics: Metrics) -> Iterator[str]:
    """Answer over a socket, in a thread; gives the URL."""
    listening = listen("127.0.0.1", 0)
    url = url_of("127.0.0.1", listening)
    ready = threading.Event()
    with listening:
        metrics.watch(service)
        app = Counted(build_app(service, metrics), metrics)
        server = _Server(config(app), service, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        assert ready.wait(30)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


@dataclass
class Process:
    """An exchange as an operator runs it."""

    home: Path
    port: int = 0
    output: list[str] = field(default_factory=list)
    url: str = ""

    def start(self) -> None:
        script = (
            "import sys; from pathlib import Path; from acx.web.exchange_api import serve; "
            "serve(Path(sys.argv[1]), port=int(sys.argv[2]), "
            "on_ready=lambda url: print(url, flush=True))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(self.home), str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.process.communicate()[1]

    def kill(self) -> None:
        """As a power cut would, but for the page cache."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """As an operator does; gives the exit code and the log."""
        self.process.send_signal(signal.SIGTERM)
        log = self.process.communicate(timeout=30)[1]
        return self.process.returncode, log
