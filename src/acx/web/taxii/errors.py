"""Errors in TAXII's form: the same problem types as elsewhere, in other words."""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from acx.errors import AcxError
from acx.web.exchange_api.problems import (
    RETRY_AFTER_SECONDS,
    MethodNotAllowed,
    NotFound,
    ProblemType,
    problem_type,
)
from acx.web.taxii.negotiation import TAXII, NotAcceptable

_NOT_ACCEPTABLE: Final = ProblemType("not-acceptable", 406, "No media type that is spoken here")
_AUTHENTICATE: Final = 'Basic realm="acx", charset="UTF-8", Bearer'

_log = logging.getLogger("acx.web.taxii")


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler of every exception.

    Source: TAXII 2.1, section 3.6.1.
    """
    if isinstance(error, HTTPException):
        error = _of_routing(error)
    kind = _NOT_ACCEPTABLE if isinstance(error, NotAcceptable) else problem_type(error)
    description = str(error)
    if kind.status == 500:
        route = getattr(request.scope.get("route"), "path", "")
        _log.error("request failed", exc_info=error, extra={"route": route})
        description = "an error in the exchange itself: the operator finds it in the log"
    headers = {"Cache-Control": "no-store"}
    if kind.status in {429, 503}:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if kind.status == 401:
        headers["WWW-Authenticate"] = _AUTHENTICATE
    body = {
        "title": kind.title,
        "description": description,
        "error_code": kind.name,
        "http_status": str(kind.status),
    }
    return Response(msgspec.json.encode(body), kind.status, headers=headers, media_type=TAXII)


def _of_routing(error: HTTPException) -> AcxError:
    if error.status_code == 405:
        return MethodNotAllowed("the address takes other methods")
    return NotFound("there is nothing at this address: addresses of TAXII end in a slash")
