"""The routes: each parses, authorises, calls the service, and renders."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from acx.errors import AcxError
from acx.exchange.admission.invites import JoinRequest
from acx.exchange.admission.members import Member
from acx.exchange.errors import MalformedRequest, Unauthenticated, Unavailable
from acx.exchange.feed.pages import MAX_ENTRIES
from acx.exchange.governance.texts import MAX_TEXT_BYTES
from acx.exchange.intake.intake import MAX_POST_BYTES
from acx.exchange.issuing.issuer import CredentialRequestBody
from acx.exchange.serving import (
    POST_SECONDS,
    EntriesPage,
    Following,
    Service,
    encode_page,
)
from acx.exchange.webhooks.endpoints import NewWebhook, Replay
from acx.exchange.webhooks.service import WebhookService
from acx.log.checkpoint import Checkpoint
from acx.records.http_signature import signed_record, verify_request
from acx.web.dispute_pages import dispute_routes
from acx.web.exchange_api.limits import (
    CREDENTIALS,
    JOINS,
    MAX_SMALL_BODY,
    READS,
    TESTS,
    TEXTS,
    Allowance,
    bounded,
)
from acx.web.exchange_api.log_files import LogFiles
from acx.web.exchange_api.metrics import Metrics
from acx.web.exchange_api.openapi import openapi_document
from acx.web.exchange_api.problems import (
    MethodNotAllowed,
    NotFound,
    on_error,
    problem_response,
    problem_type,
)
from acx.web.exchange_api.stream import Streams
from acx.web.taxii import PREFIX as TAXII
from acx.web.taxii import taxii_app

THREADS: Final = 4
"""Threads that read pages, and do the rest of what may wait for the disk."""
BEHIND_SECONDS: Final = 2.0
"""How far one process may be behind another of the same exchange."""
MAX_PLACE: Final = 2**53 - 1
_NEVER_STORED: Final = {"Cache-Control": "no-store"}

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Request = TypeVar("_Request", bound=msgspec.Struct)


def build_app(service: Service | Following, metrics: Metrics | None = None) -> Starlette:
    """The ASGI application of one exchange.

    Args:
        service: leads, or only reads: then what writes is answered `unavailable`.
        metrics: counts requests; by default, a registry that nobody reads.
    """
    metrics = metrics or Metrics(service)
    api = _Api(service, metrics)
    routes = [
        # First, because they are asked for most.
        Route("/checkpoint", api.checkpoint, methods=["GET"]),
        Route("/tile/{path:path}", api.files.file, methods=["GET"]),
        Route("/bundle/{path:path}", api.files.file, methods=["GET"]),
        *(_writing(service, api.admit) if isinstance(service, Service) else _NO_WRITING),
        Route("/v1/events", api.entries, methods=["GET"]),
        Route("/v1/keys", api.keys, methods=["GET"]),
        Route("/v1/stream", api.stream, methods=["GET"]),
        Route("/cosigned", api.cosigned, methods=["GET"]),
        Route("/healthz", api.healthz, methods=["GET"]),
        Route("/readyz", api.readyz, methods=["GET"]),
        Route("/openapi.json", api.openapi, methods=["GET"]),
        Mount(TAXII, taxii_app(service, api.admit, api.threads, problem_type)),
    ]
    handlers = {
        AcxError: on_error,
        HTTPException: _on_http_error,
        ClientDisconnect: _on_disconnect,
        Exception: on_error,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    # An address has one writing.
    app.router.redirect_slashes = False
    return app


def _writing(service: Service, admit: Callable[[str], Awaitable[Member]]) -> list[Route]:
    api = _WritingApi(service)
    hooks = _WebhookApi(service.webhooks, admit)
    return [
        Route("/v1/join", api.join, methods=["POST"]),
        Route("/v1/credentials", api.credential, methods=["POST"]),
        Route("/v1/events", api.post, methods=["POST"]),
        Route("/v1/disputes/texts", api.text, methods=["POST"]),
        Route("/v1/webhooks", hooks.create, methods=["POST"]),
        Route("/v1/webhooks", hooks.list, methods=["GET"]),
        Route("/v1/webhooks/{id}", hooks.delete, methods=["DELETE"]),
        Route("/v1/webhooks/{id}/test", hooks.test, methods=["POST"]),
        Route("/v1/webhooks/{id}/rotate", hooks.rotate, methods=["POST"]),
        Route("/v1/webhooks/{id}/replay", hooks.replay, methods=["POST"]),
        *dispute_routes(service.accused, service.settings),
    ]


async def _elsewhere(_request: Request) -> Response:
    raise Unavailable("this process only reads: send it to the address of the one that leads")


_NO_WRITING: Final = [
    *(
        Route(path, _elsewhere, methods=["POST"])
        for path in ("/v1/join", "/v1/credentials", "/v1/events", "/v1/disputes/texts")
    ),
    Route("/v1/webhooks", _elsewhere, methods=["GET", "POST"]),
    Route("/v1/webhooks/{path:path}", _elsewhere, methods=["POST", "DELETE"]),
    Route("/dispute", _elsewhere, methods=["GET", "POST"]),
    Route("/dispute/{page}", _elsewhere, methods=["GET", "POST"]),
]


class _Threads:
    """Runs what may wait for the disk."""

    def __init__(self) -> None:
        self.threads: Executor = ThreadPoolExecutor(THREADS, thread_name_prefix="acx-api")

    def _run(
        self,
        function: Callable[_Parameters, _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Awaitable[_Result]:
        call = functools.partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self.threads, call)


class _WritingApi(_Threads):
    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._credentials = Allowance(CREDENTIALS)
        self._joins = Allowance(JOINS)
        self._texts = Allowance(TEXTS)

    async def join(self, request: Request) -> Response:
        """Become a member."""
        self._joins.spend("everybody")
        body = await bounded(request.stream(), MAX_SMALL_BODY)
        joined = await self._run(self._join, request, body)
        return _json(joined)

    async def credential(self, request: Request) -> Response:
        """A member's credential under an issuer key."""
        body = await bounded(request.stream(), MAX_SMALL_BODY)
        return _json(await self._run(self._credential, request, body))

    async def post(self, request: Request) -> Response:
        """Take an event. Of the request, its body alone goes any further."""
        body = await bounded(request.stream(), MAX_POST_BYTES)
        answer = asyncio.wrap_future(self._service.post(body))
        try:
            async with asyncio.timeout(POST_SECONDS):
                return _json(await answer)
        except TimeoutError:
            raise Unavailable("not acknowledged in time: send the same bytes again") from None

    async def text(self, request: Request) -> Response:
        """Take what belongs to an answer and not into the log; as anonymously as an event."""
        self._texts.spend("everybody")
        body = await bounded(request.stream(), MAX_TEXT_BYTES)
        return _json(await self._run(self._service.texts.take, body))

    def _join(self, request: Request, body: bytes) -> msgspec.Struct:
        signed_by = self._verified(request, body)
        return self._service.join(
            _decoded(body, JoinRequest), signed_by, signed_record(request.headers, body)
        )

    def _credential(self, request: Request, body: bytes) -> msgspec.Struct:
        signed_by = self._verified(request, body)
        self._credentials.spend(signed_by)
        return self._service.credential(_decoded(body, CredentialRequestBody), signed_by)

    def _verified(self, request: Request, body: bytes) -> str:
        return verify_request(
            request.headers,
            method=request.method,
            path=request.scope["raw_path"].partition(b"?")[0].decode("latin-1"),
            body=body,
            now=int(time.time()),
        ).key


class _WebhookApi(_Threads):
    def __init__(self, webhooks: WebhookService, admit: Callable[[str], Awaitable[Member]]) -> None:
        # Threads of its own: a test waits for somebody else's server.
        super().__init__()
        self._webhooks = webhooks
        self._admit = admit
        self._tests = Allowance(TESTS)

    async def create(self, request: Request) -> Response:
        """Have what is new posted somewhere."""
        member = await self._admit(_bearer(request))
        body = await bounded(request.stream(), MAX_SMALL_BODY)
        made = await self._run(self._webhooks.create, member, _decoded(body, NewWebhook))
        return _json(made)

    async def list(self, request: Request) -> Response:
        """How a member's webhooks stand."""
        member = await self._admit(_bearer(request))
        return _json(await self._run(self._webhooks.list, member))

    async def delete(self, request: Request) -> Response:
        """Have nothing posted there any more."""
        member = await self._admit(_bearer(request))
        await self._run(self._webhooks.delete, member, request.path_params["id"])
        return Response(status_code=204, headers=_NEVER_STORED)

    async def test(self, request: Request) -> Response:
        """See whether a post arrives."""
        member = await self._admit(_bearer(request))
        self._tests.spend(member.id)
        return _json(await self._run(self._webhooks.test, member, request.path_params["id"]))

    async def rotate(self, request: Request) -> Response:
        """Take another secret."""
        member = await self._admit(_bearer(request))
        return _json(await self._run(self._webhooks.rotate, member, request.path_params["id"]))

    async def replay(self, request: Request) -> Response:
        """Have it posted again."""
        member = await self._admit(_bearer(request))
        body = await bounded(request.stream(), MAX_SMALL_BODY)
        asked = _decoded(body or b"{}", Replay)
        name = request.path_params["id"]
        return _json(await self._run(self._webhooks.replay, member, name, asked))


class _Api(_Threads):
    def __init__(self, service: Service | Following, metrics: Metrics) -> None:
        super().__init__()
        self._service = service
        self._metrics = metrics
        self._reads = Allowance(READS)
        self.files = LogFiles(self._file)
        self._cosigned = LogFiles(self._file)
        self._streams = Streams(service.live, self._read, self._admitted)
        self._openapi = msgspec.json.encode(openapi_document())

    async def entries(self, request: Request) -> Response:
        """A page of entries."""
        await self._member(request)
        after = _number(request, "after", default=-1, lowest=-1)
        limit = _number(request, "limit", default=MAX_ENTRIES, lowest=1)
        page = await self._run(self._service.entries, after, limit)
        return Response(encode_page(page), headers=_NEVER_STORED, media_type="application/json")

    async def keys(self, request: Request) -> Response:
        """Key pages as they stand."""
        await self._member(request)
        after = _number(request, "after", default=-1, lowest=-1)
        pages = await self._run(self._service.keys, after)
        return Response(
            pages.data,
            headers=_NEVER_STORED | {"Acx-First-Index": str(pages.first_index)},
            media_type="application/octet-stream",
        )

    async def stream(self, request: Request) -> Response:
        """The log as it grows."""
        await self._member(request)
        head = self._service.live.newest.size - 1
        after = _number(request, "after", default=head, lowest=-1)
        if (last := request.headers.get("last-event-id")) is not None:
            after = _parse_number(last, "Last-Event-ID", lowest=-1)
        # Another process of this exchange may have told it a moment earlier.
        if not await self._streams.reached(after, BEHIND_SECONDS):
            raise MalformedRequest(
                f"there is no entry {after} in a log of {self._service.live.newest.size}: a cursor"
                " is the index of an entry that was sent. If one was, compare this exchange with"
                " other members (acx verify --against)"
            )
        return _Stream(self._streams, self._metrics, _bearer(request), after)

    async def _read(
        self, after: int, limit: int, checkpoint: Checkpoint, max_bytes: int
    ) -> EntriesPage:
        return await self._run(self._service.entries, after, limit, checkpoint, max_bytes)

    async def _admitted(self, tokens: set[str]) -> set[str]:
        return await self._run(self._service.admitted, tokens)

    async def checkpoint(self, request: Request) -> Response:
        """The signed head, with cosignatures once there are any."""
        published, cosigned = self._service.published, self._service.cosigned
        newest = cosigned if cosigned.size == published.size else published
        return self.files.checkpoint(newest, request.headers)

    async def cosigned(self, request: Request) -> Response:
        """The newest checkpoint that enough witnesses have signed."""
        cosigned = self._service.cosigned
        if not cosigned.note:
            raise NotFound("no checkpoint was cosigned so far")
        return self._cosigned.checkpoint(cosigned, request.headers)

    async def _file(self, path: str) -> bytes:
        return await self._run(self._service.log_file, path)

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return Response("ok\n", headers=_NEVER_STORED, media_type="text/plain")

    async def readyz(self, request: Request) -> Response:
        """Events are being taken."""
        if not self._service.ready:
            return problem_response(Unavailable("nothing is appended now: see the server's log"))
        return Response("ready\n", headers=_NEVER_STORED, media_type="text/plain")

    async def openapi(self, request: Request) -> Response:
        """What there is to ask."""
        return Response(self._openapi, media_type="application/json")

    async def _member(self, request: Request) -> Member:
        return await self.admit(_bearer(request))

    async def admit(self, token: str) -> Member:
        """Count a member's reading; anybody else is refused."""
        self._reads.spend(token)
        return await self._run(self._service.member, token)


class _Stream(Response):
    """A response that follows the log."""

    def __init__(self, streams: Streams, metrics: Metrics, token: str, after: int) -> None:
        super().__init__(
            headers=_NEVER_STORED | {"X-Accel-Buffering": "no"}, media_type="text/event-stream"
        )
        del self.headers["content-length"]
        self._streams = streams
        self._metrics = metrics
        self._token = token
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events for as long as the member is there, and in good standing."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        with self._metrics.following():
            await self._streams.follow(scope, send, token=self._token, after=self._after)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("this needs `Authorization: Bearer TOKEN`, the token of your join")
    return token.strip()


def _number(request: Request, name: str, *, default: int, lowest: int) -> int:
    text = request.query_params.get(name)
    return default if text is None else _parse_number(text, name, lowest=lowest)


def _parse_number(text: str, name: str, *, lowest: int) -> int:
    try:
        value = int(text) if len(text) <= 17 and text.isascii() else None
    except ValueError:
        value = None
    if value is None or not lowest <= value <= MAX_PLACE:
        raise MalformedRequest(f"{name} is a number from {lowest} on")
    return value


def _decoded(body: bytes, kind: type[_Request]) -> _Request:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"the body is not what the protocol describes: {error}") from None


def _json(value: msgspec.Struct) -> Response:
    return Response(
        msgspec.json.encode(value), headers=_NEVER_STORED, media_type="application/json"
    )


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    # Nobody is there to read it; and nothing is wrong here that a log would have to tell.
    return Response(status_code=400)


async def _on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return problem_response(MethodNotAllowed("the address takes other methods"))
    return problem_response(NotFound("there is nothing at this address: see /openapi.json"))
