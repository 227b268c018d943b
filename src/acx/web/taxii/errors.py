"""Errors in TAXII's form."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, Protocol

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from acx.errors import AcxError

TAXII: Final = "application/taxii+json;version=2.1"
_AUTHENTICATE: Final = 'Basic realm="acx", charset="UTF-8", Bearer'
_RETRY_AFTER_SECONDS: Final = 5

_log = logging.getLogger("acx.web.taxii")


class Problem(Protocol):
    """A kind of problem, as clients tell it apart."""

    @property
    def name(self) -> str:
        """For programs."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def title(self) -> str:
        """The same for every occurrence."""


class TaxiiError(AcxError):
    """A request that TAXII itself refuses; it is its own kind of problem."""

    name: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]


class NotAcceptable(TaxiiError):
    """The client takes no media type that is spoken here."""

    name, status, title = "not-acceptable", 406, "No media type that is spoken here"


class NotFound(TaxiiError):
    """There is nothing at this address."""

    name, status, title = "not-found", 404, "Nothing is here"


class MethodNotAllowed(TaxiiError):
    """The address takes other methods."""

    name, status, title = "method-not-allowed", 405, "The address takes other methods"


def error_handler(
    problem_type: Callable[[Exception], Problem],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Starlette's handler of every exception.

    Args:
        problem_type: tells the kind of an error of the exchange.

    Source: TAXII 2.1, section 3.6.1.
    """

    async def on_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = _of_routing(error)
        problem = error if isinstance(error, TaxiiError) else problem_type(error)
        description = str(error)
        if problem.status == 500:
            route = getattr(request.scope.get("route"), "path", "")
            _log.error("request failed", exc_info=error, extra={"route": route})
            description = "an error in the exchange itself: the operator finds it in the log"
        headers = {"Cache-Control": "no-store"}
        if problem.status in {429, 503}:
            headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        if problem.status == 401:
            headers["WWW-Authenticate"] = _AUTHENTICATE
        body = {
            "title": problem.title,
            "description": description,
            "error_code": problem.name,
            "http_status": str(problem.status),
        }
        return Response(
            msgspec.json.encode(body), problem.status, headers=headers, media_type=TAXII
        )

    return on_error


def _of_routing(error: HTTPException) -> TaxiiError:
    if error.status_code == 405:
        return MethodNotAllowed("the address takes other methods")
    return NotFound("there is nothing at this address: addresses of TAXII end in a slash")
