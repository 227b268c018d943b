"""Running the service: the index warm, the exchange followed, the socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn

from acx.member.home import Member
from acx.member.service import ScreeningService
from acx.member.settings import Settings
from acx.member.tokens import Tokens
from acx.web.limits import Rate
from acx.web.logs import configure_logs
from acx.web.member_api.app import CHECKS, build_app
from acx.web.protocol import GuardedProtocol
from acx.web.server import Server, config, listen, url_of

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8450


class StreamingProtocol(GuardedProtocol):
    """HTTP/1.1 where a body may take long, as long as some of it keeps coming."""

    def data_received(self, data: bytes) -> None:
        """Some of a request: the rest is due from now."""
        super().data_received(data)
        if not self._in_headers and self._deadline is not None:
            self._request_came()
            self._expect_request()

    def _give_up(self) -> None:
        if getattr(self, "flow", None) is not None and self.flow.read_paused:
            # It is we who do not read: what came before is still being screened.
            self._deadline = None
            self._expect_request()
            return
        super()._give_up()


def serve(
    replica: Path,
    settings: Settings,
    tokens: Tokens,
    *,
    member: Member | None = None,
    home: Path | None = None,
    prior: float | None = None,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    checks: Rate = CHECKS,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Answer until SIGINT or SIGTERM.

    Args:
        replica: directory of the replica.
        settings: that hold for screening.
        tokens: who may ask.
        member: whose exchange is followed; without, another process writes the replica.
        home: where checks are remembered; nowhere without.
        prior: share of accounts expected to be somebody reported.
        host: address to listen on.
        port: likewise; 0 takes any that is free.
        checks: what one token may ask of `/v1/check`.
        on_ready: given the URL, once requests are answered.

    Raises:
        CannotListen: the address is taken, or none of this machine's.
        ReplicaError: there is no replica.
    """
    configure_logs()
    with (
        listen(host, port) as listening,
        ScreeningService(replica, settings, home=home, prior=prior) as service,
    ):
        if member is not None:
            service.follow(member)
        url = url_of(host, listening)
        ready = (lambda: on_ready(url)) if on_ready is not None else (lambda: None)
        Server(configured(build_app(service, tokens, checks)), ready).run(sockets=[listening])


def configured(app: Any) -> uvicorn.Config:
    """How the service is served: as all are, but that bodies may be long."""
    made = config(app)
    made.http = StreamingProtocol
    return made
