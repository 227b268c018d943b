"""Running an ASGI application: the socket, the signals, and what a connection may cost."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from acx.errors import AcxError
from acx.web.protocol import GuardedProtocol

MAX_CONNECTIONS: Final = 20_000
BACKLOG: Final = 1_024
KEEP_ALIVE_SECONDS: Final = 30
SHUTDOWN_SECONDS: Final = 5


class CannotListen(AcxError):
    """The address is taken, or is none of this machine's."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes any that is free.

    Raises:
        CannotListen: with the reason.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotListen(
            f"{host}:{port} cannot be listened on ({reason}): choose another --port or --host"
        ) from None
    return listening


def url_of(host: str, listening: socket.socket) -> str:
    """Where a socket is reached over HTTP."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def config(app: ASGIApp) -> uvicorn.Config:
    """How every service of acx is served."""
    # It would say which address asked for what; to turn it off below is not enough where somebody
    # else has set up logging.
    logging.getLogger("uvicorn.access").disabled = True
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


class Server(uvicorn.Server):
    """Answers until SIGINT or SIGTERM, and then returns."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        """Nothing is answered yet.

        Args:
            config: of the application.
            on_ready: called once requests are answered.
        """
        super().__init__(config)
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
        self._on_ready()
