"""Running the exchange: sockets, signals, and the order in which things start and stop."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acx.exchange.intake.proofs import machine_proofs
from acx.exchange.service import Exchange
from acx.exchange.serving import Following, Service
from acx.web.exchange_api.app import build_app
from acx.web.exchange_api.metrics import Metrics
from acx.web.logs import configure_logs
from acx.web.server import Server, config, listen, url_of

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8440
SWITCH_SECONDS: Final = 0.001
"""How long a thread may hold the interpreter while another wants it. One that comes back from a
signature or from the disk waits so long; with Python's 5 ms, posts take twice the time."""


def serve(
    home: Path,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    metrics_port: int | None = None,
    follow: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an exchange until SIGINT or SIGTERM.

    Args:
        home: the operator's directory.
        host: address to listen on.
        port: likewise; 0 takes any that is free.
        follow: only read, beside the process that leads.
        metrics_port: where Prometheus asks, on the same address; None for nowhere.
        on_ready: given the URL, once requests are answered.

    Raises:
        HomeError, StorageError, LeadError, LogBehind, CannotListen: it cannot start, with what to
            do.
    """
    configure_logs()
    sys.setswitchinterval(SWITCH_SECONDS)
    with Exchange.open(home) as exchange, closing(machine_proofs()):
        listening = listen(host, port)
        metrics = Metrics()
        serving = exchange.follow() if follow else exchange.lead(metrics.published)
        with serving as service, listening:
            metrics.watch(service)
            if metrics_port is not None:
                metrics.serve(host, metrics_port)
            app = Counted(build_app(service, metrics), metrics)
            url = url_of(host, listening)
            ready = (lambda: on_ready(url)) if on_ready is not None else (lambda: None)
            _Server(config(app), service, ready).run(sockets=[listening])


class Counted:
    """Counts requests by route and status, and nothing else about them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                seconds = time.monotonic() - started
                self._metrics.answered(route, message["status"], seconds)
            await send(message)

        await self._app(scope, receive, counted)


class _Server(Server):
    def __init__(
        self,
        config: uvicorn.Config,
        service: Service | Following,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config, on_ready)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams first: they would keep the server waiting."""
        self._service.live.close()
        await super().shutdown(sockets)
