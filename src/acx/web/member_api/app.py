"""The routes: each parses, authorises, asks the service, and renders."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from acx.errors import AcxError
from acx.member.screen import LEVELS, Hit
from acx.member.service import Screened, ScreeningService
from acx.member.tokens import Scope as TokenScope
from acx.member.tokens import Tokens
from acx.records.account import Account
from acx.records.files import FileFormatError, parse_account
from acx.records.files.errors import listed
from acx.web.limits import Allowance, Rate, bounded
from acx.web.member_api.lines import MAX_LINE_BYTES, Line, Spool, answered
from acx.web.member_api.openapi import openapi_document
from acx.web.member_api.problems import (
    Forbidden,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    TooLarge,
    Unauthenticated,
    on_error,
    problem_response,
    problem_type,
)
from acx.web.problem import problem_of

MAX_BODY: Final = 128 * 1024
CHECKS: Final = Rate(per_second=200, burst=1_000)
MOST_SCREENINGS: Final = 4
"""Streams of accounts that are screened at once."""
THREADS: Final = 2
NDJSON: Final = "application/x-ndjson"
_NEVER_STORED: Final = {"Cache-Control": "no-store"}

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def build_app(service: ScreeningService, tokens: Tokens, checks: Rate = CHECKS) -> Starlette:
    """The ASGI application of one member.

    Args:
        service: warm.
        tokens: who may ask.
        checks: what one token may ask of `/v1/check`.
    """
    api = _Api(service, tokens, checks)
    routes = [
        Route("/v1/check", api.check, methods=["POST"]),
        Route("/v1/screen", api.screen, methods=["POST"]),
        Route("/healthz", api.healthz, methods=["GET"]),
        Route("/readyz", api.readyz, methods=["GET"]),
        Route("/openapi.json", api.openapi, methods=["GET"]),
    ]
    handlers = {
        AcxError: on_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_disconnect,
        Exception: on_error,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


class _Api:
    def __init__(self, service: ScreeningService, tokens: Tokens, checks: Rate) -> None:
        self._service = service
        self._tokens = tokens
        self._checks = Allowance(checks, RateLimited)
        self._screenings = 0
        self._threads = ThreadPoolExecutor(THREADS, "acx-service")
        self._openapi = msgspec.json.encode(openapi_document())

    async def check(self, request: Request) -> Response:
        """The hits of one account."""
        self._checks.spend(self._admit(request, "check"))
        level = _level(request)
        account, unknown = parse_account(await bounded(request.stream(), MAX_BODY, TooLarge))
        answer = await self._run(self._service.check, account)
        ignored = f"no fields of an account, ignored: {listed(unknown, 10)}" if unknown else ""
        answer = msgspec.structs.replace(
            answer,
            hits=_at_least(level, answer.hits),
            warning="; ".join(filter(None, (answer.warning, ignored))),
        )
        return _json(answer)

    async def screen(self, request: Request) -> Response:
        """The hits of a stream of accounts, one line out for each line in."""
        self._admit(request, "screen")
        level = _level(request)
        await self._run(self._service.require_ready)
        if self._screenings >= MOST_SCREENINGS:
            raise RateLimited(f"{MOST_SCREENINGS} streams are being screened: wait for one to end")

        async def answer(lines: Sequence[Line], first: int) -> bytes:
            return await self._run(self._screened, lines, first, level)

        return _Streamed(self, request, answer)

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return Response("ok\n", headers=_NEVER_STORED, media_type="text/plain")

    async def readyz(self, request: Request) -> Response:
        """Accounts are answered for."""
        try:
            await self._run(self._service.require_ready)
        except AcxError as error:
            return problem_response(error)
        return Response("ready\n", headers=_NEVER_STORED, media_type="text/plain")

    async def openapi(self, request: Request) -> Response:
        """What there is to ask."""
        return Response(self._openapi, media_type="application/json")

    def count_screening(self, change: int) -> None:
        """A stream began or ended."""
        self._screenings += change

    def _admit(self, request: Request, scope: TokenScope) -> str:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.find(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise Unauthenticated(
                "this needs `Authorization: Bearer TOKEN`, a token of `acx token create`"
            )
        if scope not in token.scopes:
            raise Forbidden(f"this token is not for {scope}: make one with --scope {scope}")
        return token.id

    def _screened(self, lines: Sequence[Line], first: int, level: str) -> bytes:
        accounts: list[Account] = []
        problems: dict[int, AcxError] = {}
        for place, line in enumerate(lines):
            if line is None:
                problems[place] = TooLarge(f"a line may have {MAX_LINE_BYTES} bytes")
                continue
            try:
                accounts.append(parse_account(line)[0])
            except FileFormatError as error:
                problems[place] = error
        found = iter(self._service.screen(accounts) if accounts else ())
        return b"".join(
            _problem_line(first + place, problems[place])
            if place in problems
            else _hit_line(next(found), level)
            for place in range(len(lines))
        )

    def _run(
        self,
        function: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Awaitable[_Result]:
        call = functools.partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


class _Streamed(Response):
    """Answers while the request is still coming; Starlette's own would read it away."""

    def __init__(
        self,
        api: _Api,
        request: Request,
        answer: Callable[[Sequence[Line], int], Awaitable[bytes]],
    ) -> None:
        super().__init__(None, media_type=NDJSON, headers=_NEVER_STORED)
        del self.headers["content-length"]
        self._api = api
        self._request = request
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        spool = Spool()
        self._api.count_screening(1)
        try:
            await send(start)
            task = asyncio.create_task(answered(self._request.stream(), self._answer, spool))
            try:
                async for data in spool.read():
                    body = {"type": "http.response.body", "body": data, "more_body": True}
                    await send(body)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientDisconnect:
            # Nobody is there to read the rest.
            return
        finally:
            self._api.count_screening(-1)
            spool.close()


def _level(request: Request) -> str:
    level = request.query_params.get("level", "possible")
    if level not in LEVELS:
        raise MalformedRequest(f"level is one of {', '.join(LEVELS)}")
    return level


def _at_least(level: str, hits: list[Hit]) -> list[Hit]:
    return [hit for hit in hits if LEVELS.index(hit.level) <= LEVELS.index(level)]


def _hit_line(screened: Screened, level: str) -> bytes:
    shown = msgspec.structs.replace(screened, hits=_at_least(level, screened.hits))
    return msgspec.json.encode(shown) + b"\n"


def _problem_line(number: int, error: AcxError) -> bytes:
    problem = problem_of(problem_type(error), str(error))
    return msgspec.json.encode({"line": number, "problem": problem}) + b"\n"


def _json(value: msgspec.Struct) -> Response:
    return Response(
        msgspec.json.encode(value), headers=_NEVER_STORED, media_type="application/json"
    )


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    # Nobody is there to read it.
    return Response(status_code=400)


async def _on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return problem_response(MethodNotAllowed("the address takes other methods"))
    return problem_response(NotFound("there is nothing at this address: see /openapi.json"))
