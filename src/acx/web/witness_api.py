"""The witness over HTTP (C2SP tlog-witness): parse, call, render."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from acx.web.logs import configure_logs
from acx.web.server import Server, config, listen, url_of
from acx.witness.errors import WitnessError
from acx.witness.witness import MAX_BODY_BYTES, TEXT_TYPE, Answer, Witness

DEFAULT_PORT: Final = 8441

_log = logging.getLogger("acx.witness")


def serve(
    witness: Witness, host: str, port: int, *, on_ready: Callable[[str], None] | None = None
) -> None:
    """Cosign until SIGINT or SIGTERM.

    Args:
        witness: opened.
        host: address to listen on.
        port: likewise; 0 takes any that is free.
        on_ready: given the URL, once requests are answered.

    Raises:
        CannotListen: the address is taken, or none of this machine's.
    """
    configure_logs()
    with listen(host, port) as listening:
        url = url_of(host, listening)
        ready = (lambda: on_ready(url)) if on_ready is not None else (lambda: None)
        Server(config(build_app(witness)), ready).run(sockets=[listening])


def build_app(witness: Witness) -> Starlette:
    """The ASGI application of one witness."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _rendered(Answer(413, f"a body has {MAX_BODY_BYTES} bytes at most\n"))
        answer = await _in_thread(witness.add_checkpoint, bytes(body))
        _log.info("add-checkpoint", extra={"status": answer.status})
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            _log.warning("not a continuation", extra={"reason": answer.body.strip()})
        return _rendered(answer)

    async def checkpoint(request: Request) -> Response:
        return _rendered(await _in_thread(witness.checkpoint, request.path_params["digest"]))

    async def healthz(_request: Request) -> Response:
        return _rendered(Answer(200, "ok\n"))

    routes = [
        Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
        Route("/{digest}/checkpoint", checkpoint, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
    ]
    handlers = {
        WitnessError: _on_witness_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_disconnect,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


async def _in_thread(call: Callable[..., Answer], *arguments: object) -> Answer:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


def _rendered(answer: Answer) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Type": answer.content_type}
    return Response(answer.body, status_code=answer.status, headers=headers)


async def _on_witness_error(_request: Request, error: Exception) -> Response:
    _log.error("nothing is cosigned", extra={"reason": str(error)})
    return Response(
        "the witness cannot keep what it cosigns; try again later\n",
        status_code=503,
        media_type=TEXT_TYPE,
    )


async def _on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Response(
        "here are POST /add-checkpoint and GET /HASH/checkpoint\n",
        status_code=status,
        media_type=TEXT_TYPE,
    )


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    # Nobody is there to read it.
    return Response(status_code=400)
