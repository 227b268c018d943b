"""The routes of TAXII 2.1: each parses, authorises, asks the collection, and renders."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from acx.errors import AcxError
from acx.exchange.errors import Forbidden, Unauthenticated
from acx.exchange.feed.collection import Item, Page
from acx.exchange.serving import Reading
from acx.web.taxii.errors import TAXII, NotFound, Problem, error_handler
from acx.web.taxii.negotiation import STIX, check_accept
from acx.web.taxii.query import Query, format_next, parse_query

PREFIX: Final = "/taxii2"
ROOT: Final = "v1"
ALIAS: Final = "reports"
"""What a client may write instead of the collection's id."""
MAX_CONTENT_LENGTH: Final = 1024
"""Of a request; nothing is taken here anyway."""

Json = dict[str, Any]


def taxii_app(
    service: Reading,
    admit: Callable[[str], Awaitable[object]],
    threads: Executor,
    problem_type: Callable[[Exception], Problem],
) -> Starlette:
    """The ASGI application, to be mounted at `PREFIX`.

    Args:
        service: the exchange.
        admit: counts a request of the member whose token it is given, and raises for anybody else.
        threads: for what may wait for the disk.
        problem_type: tells the kind of an error of the exchange.
    """
    api = _Api(service, admit, threads)
    collection = f"/{ROOT}/collections/{{collection}}/"
    objects = f"{collection}objects/"
    routes: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/", api.discovery),
        (f"/{ROOT}/", api.root),
        (f"/{ROOT}/status/{{id}}/", api.status),
        (f"/{ROOT}/collections/", api.collections),
        (collection, api.collection),
        (f"{collection}manifest/", api.manifest),
        (objects, api.objects),
        (f"{objects}{{object}}/", api.objects),
        (f"{objects}{{object}}/versions/", api.versions),
    ]
    on_error = error_handler(problem_type)
    app = Starlette(
        routes=[
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in routes),
            Route(objects, api.refuse, methods=["POST"]),
            Route(f"{objects}{{object}}/", api.refuse, methods=["DELETE"]),
        ],
        exception_handlers={AcxError: on_error, HTTPException: on_error, Exception: on_error},
    )
    # A client that is sent elsewhere may leave its credentials behind.
    app.router.redirect_slashes = False
    return app


class _Api:
    def __init__(
        self, service: Reading, admit: Callable[[str], Awaitable[object]], threads: Executor
    ) -> None:
        self._service = service
        self._admit_member = admit
        self._threads = threads

    async def discovery(self, request: Request) -> Response:
        """What is here. Addresses are relative: how a client got here is the proxy's matter."""
        await self._admit(request)
        root = f"{PREFIX}/{ROOT}/"
        return _answer(
            {
                "title": f"acx exchange {self._service.settings.origin}",
                "description": "Confirmed counterfeiters, as members have reported them.",
                "default": root,
                "api_roots": [root],
            }
        )

    async def root(self, request: Request) -> Response:
        """The one API root."""
        await self._admit(request)
        return _answer(
            {
                "title": self._service.settings.origin,
                "versions": [TAXII],
                "max_content_length": MAX_CONTENT_LENGTH,
            }
        )

    async def status(self, request: Request) -> Response:
        """Nothing is ever added here, so there is no status of it."""
        await self._admit(request)
        raise NotFound("nothing is posted here, so nothing has a status")

    async def collections(self, request: Request) -> Response:
        """The one collection, in a list."""
        await self._admit(request)
        return _answer({"collections": [self._collection]})

    async def collection(self, request: Request) -> Response:
        """The one collection."""
        await self._admit(request)
        return _answer(self._collection)

    async def manifest(self, request: Request) -> Response:
        """What there is, without the objects."""
        page = await self._page(request)
        return _page(page, "objects", [_record(item) for item in page.items])

    async def objects(self, request: Request) -> Response:
        """The objects, or one."""
        page = await self._page(request)
        return _page(page, "objects", [item.object for item in page.items])

    async def versions(self, request: Request) -> Response:
        """The versions of one object: the newest is the only one that is kept."""
        page = await self._page(request)
        return _page(page, "versions", [_version(item) for item in page.items])

    async def refuse(self, request: Request) -> Response:
        """Reports come signed and anonymously, and never through here."""
        await self._admit(request)
        raise Forbidden("this collection is for reading: report with `acx report`")

    @property
    def _collection(self) -> Json:
        return {
            "id": self._service.collection.id,
            # No full stop in it: OpenCTI's connector writes ROOT.TITLE.
            "title": "Reports",
            "description": "Every report and how it stands; one that falls comes revoked.",
            "alias": ALIAS,
            "can_read": True,
            "can_write": False,
            "media_types": [STIX],
        }

    async def _page(self, request: Request) -> Page:
        await self._admit(request)
        identifier = request.path_params.get("object")
        query = parse_query(request.query_params, ids=None if identifier is None else (identifier,))
        page = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, query)
        if identifier is not None and not page.items and query.added_after is None:
            raise NotFound("there is no such object, or none any more")
        return page

    def _ask(self, query: Query) -> Page:
        collection, size = self._service.collection, self._service.published.size
        after = query.after
        if query.added_after is not None:
            after = max(after, collection.position_at(size, query.added_after))
        return collection.page(size, after, query.wanted, query.limit)

    async def _admit(self, request: Request) -> None:
        check_accept(", ".join(request.headers.getlist("accept")))
        await self._admit_member(_token(request))
        collection = request.path_params.get("collection", ALIAS)
        if collection not in {self._service.collection.id, ALIAS}:
            raise NotFound(f"there is one collection here: {self._service.collection.id}")


def _token(request: Request) -> str:
    """The member's token: a bearer's, or the password of any user."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    token = credentials.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        token = decoded.partition(":")[2]
    elif scheme.lower() != "bearer":
        token = ""
    if not token:
        raise Unauthenticated(
            "this needs the token of your join: as `Authorization: Bearer TOKEN`, or as the "
            "password of any user name"
        )
    return token


def _record(item: Item) -> Json:
    return {
        "id": item.object["id"],
        "date_added": _timestamp(item.added),
        "version": _version(item),
        "media_type": STIX,
    }


def _version(item: Item) -> str:
    # Observables have no version of their own.
    return item.version or _timestamp(item.added)


def _page(page: Page, name: str, contents: list[Any]) -> Response:
    body: Json = {"more": page.more}
    headers = {}
    if page.more:
        body["next"] = format_next(page.next)
    if contents:
        body[name] = contents
        headers["X-TAXII-Date-Added-First"] = _timestamp(page.items[0].added)
        headers["X-TAXII-Date-Added-Last"] = _timestamp(page.items[-1].added)
    return _answer(body, headers)


def _answer(body: Json, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(body),
        headers={"Cache-Control": "no-store"} | (headers or {}),
        media_type=TAXII,
    )


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
