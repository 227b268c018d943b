"""Running the exchange: sockets, signals, and the order in which things start and stop."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acx.exchange.errors import HomeError
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.web.exchange_api.app import build_app
from acx.web.exchange_api.logs import configure_logs
from acx.web.exchange_api.metrics import Metrics
from acx.web.exchange_api.protocol import GuardedProtocol

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8440
MAX_CONNECTIONS: Final = 20_000
BACKLOG: Final = 1_024
KEEP_ALIVE_SECONDS: Final = 30
SHUTDOWN_SECONDS: Final = 5
SWITCH_SECONDS: Final = 0.001
"""How long a thread may hold the interpreter while another wants it. One that comes back from a
signature or from the disk waits so long; with Python's 5 ms, posts take twice the time."""


def serve(
    home: Path,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    metrics_port: int | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an exchange until SIGINT or SIGTERM.

    Args:
        home: the operator's directory.
        host: address to listen on.
        port: likewise; 0 takes any that is free.
        metrics_port: where Prometheus asks, on the same address; None for nowhere.
        on_ready: given the URL, once requests are answered.

    Raises:
        HomeError, StorageError, LeadError, LogBehind: it cannot start, with what to do.
    """
    configure_logs()
    sys.setswitchinterval(SWITCH_SECONDS)
    with Exchange.open(home) as exchange:
        listening = _listen(host, port)
        metrics = Metrics()
        with exchange.lead(metrics.published) as service, listening:
            metrics.watch(service)
            if metrics_port is not None:
                metrics.serve(host, metrics_port)
            app = Counted(build_app(service, metrics), metrics)
            url = f"http://{_shown(host)}:{listening.getsockname()[1]}"
            _Server(_config(app), service, url, on_ready).run(sockets=[listening])


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


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        url: str,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        super().__init__(config)
        self._service = service
        self._url = url
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal and return; uvicorn's own way would end the process there."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        captured = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in captured}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams first: they would keep the server waiting."""
        self._service.live.close()
        await super().shutdown(sockets)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=GuardedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        # Where a request came from is nobody's business here, also not what a proxy says of it.
        proxy_headers=False,
        lifespan="off",
        ws="none",
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HomeError(
            f"{host}:{port} cannot be listened on ({reason}): choose another --port or --host"
        ) from None
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
