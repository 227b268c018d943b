"""The service's refusals, one problem type each (RFC 9457)."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from acx.errors import AcxError
from acx.log.errors import InconsistentLog
from acx.member.errors import ReplicaError
from acx.records.files import FileFormatError
from acx.web.problem import ProblemType, rendered

_log = logging.getLogger("acx.web.member_api")


class Unauthenticated(AcxError):
    """Nobody's token."""


class Forbidden(AcxError):
    """A token that is for something else."""


class RateLimited(AcxError):
    """More than a caller may ask at once."""


class TooLarge(AcxError):
    """A body or line that is too long."""


class MalformedRequest(AcxError):
    """Not what the service is asked."""


class NotFound(AcxError):
    """There is nothing at this address."""


class MethodNotAllowed(AcxError):
    """The address takes other methods."""


PROBLEMS: Final[dict[type[AcxError], ProblemType]] = {
    NotFound: ProblemType("not-found", 404, "Nothing is here"),
    MethodNotAllowed: ProblemType("method-not-allowed", 405, "The address takes other methods"),
    Unauthenticated: ProblemType("unauthenticated", 401, "Nobody's token"),
    Forbidden: ProblemType("forbidden", 403, "Not with this token"),
    RateLimited: ProblemType("rate-limited", 429, "Too many requests"),
    TooLarge: ProblemType("too-large", 413, "The request is too large"),
    MalformedRequest: ProblemType("malformed-request", 400, "Not a request of this service"),
    FileFormatError: ProblemType("malformed-account", 400, "Not an account"),
    ReplicaError: ProblemType("stale-replica", 503, "The replica cannot be relied on"),
    InconsistentLog: ProblemType("inconsistent-log", 503, "The log contradicts itself"),
}
"""By class; an error of another class has the problem type of its nearest parent."""

_INTERNAL: Final = ProblemType("internal", 500, "An error in the service itself")
_INTERNAL_DETAIL: Final = "an error in the service itself: its log has more"


def problem_type(error: Exception) -> ProblemType:
    """The problem type of an error."""
    for kind in type(error).__mro__:
        if kind in PROBLEMS:
            return PROBLEMS[kind]
    return _INTERNAL


def problem_response(error: Exception, *, route: str = "") -> Response:
    """The answer that tells an error; `route` is the pattern, for the log."""
    kind = problem_type(error)
    if kind is not _INTERNAL:
        return rendered(kind, str(error))
    _log.error("request failed", exc_info=error, extra={"route": route})
    return rendered(kind, _INTERNAL_DETAIL)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler of every exception."""
    route = request.scope.get("route")
    return problem_response(error, route=getattr(route, "path", ""))
