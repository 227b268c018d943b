"""Errors on the wire: one problem type per error class (RFC 9457)."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from acx.errors import AcxError
from acx.exchange import errors
from acx.records.http_signature import HttpSignatureError
from acx.web.problem import MEDIA_TYPE, TYPE_PREFIX, ProblemType, rendered

__all__ = [
    "MEDIA_TYPE",
    "PROBLEMS",
    "TYPE_PREFIX",
    "MethodNotAllowed",
    "NotFound",
    "ProblemType",
    "on_error",
    "problem_response",
    "problem_type",
]

_log = logging.getLogger("acx.web.exchange_api")


class NotFound(AcxError):
    """There is nothing at this address."""


class MethodNotAllowed(AcxError):
    """The address takes other methods."""


PROBLEMS: Final[dict[type[AcxError], ProblemType]] = {
    NotFound: ProblemType("not-found", 404, "Nothing is here"),
    MethodNotAllowed: ProblemType("method-not-allowed", 405, "The address takes other methods"),
    HttpSignatureError: ProblemType("bad-signature", 401, "The request is not signed as it should"),
    errors.Unauthenticated: ProblemType("unauthenticated", 401, "Nobody's token or key"),
    errors.Forbidden: ProblemType("forbidden", 403, "Not for this caller"),
    errors.Suspended: ProblemType("suspended", 403, "The membership is suspended"),
    errors.RateLimited: ProblemType("rate-limited", 429, "Too many requests"),
    errors.InviteRefused: ProblemType("invite-refused", 403, "The invite admits nobody here"),
    errors.InviteExpired: ProblemType("invite-expired", 410, "The invite is too old"),
    errors.InviteUsed: ProblemType("invite-used", 409, "The invite is used up"),
    errors.ForeignCommitment: ProblemType(
        "foreign-commitment", 409, "Another secret than the one enrolled"
    ),
    errors.OtherTerms: ProblemType("other-terms", 409, "Other terms are in force"),
    errors.MalformedRequest: ProblemType("malformed-request", 400, "Not a request of the protocol"),
    errors.TooLarge: ProblemType("too-large", 413, "The request is too large"),
    errors.NoSuchWebhook: ProblemType("unknown-webhook", 404, "No webhook of the caller's"),
    errors.TooManyWebhooks: ProblemType("too-many-webhooks", 409, "No more webhooks"),
    errors.EventRefused: ProblemType("event-refused", 422, "The log does not take the event"),
    errors.InvalidEvent: ProblemType("invalid-event", 422, "Not an event, or not its key's"),
    errors.WrongContexts: ProblemType("wrong-contexts", 422, "Other tags than the type needs"),
    errors.WrongDate: ProblemType("wrong-date", 422, "Another day's report"),
    errors.WrongIssuerKey: ProblemType("wrong-issuer-key", 409, "Not an issuer key in use"),
    errors.MissingPresentation: ProblemType(
        "missing-presentation", 422, "Not a presentation for each tag"
    ),
    errors.MalformedPresentation: ProblemType("malformed-presentation", 422, "No presentation"),
    errors.PresentationLength: ProblemType(
        "presentation-length", 422, "A presentation of another length"
    ),
    errors.PresentationPoint: ProblemType(
        "presentation-point", 422, "A presentation with what is no point"
    ),
    errors.PresentationIdentity: ProblemType(
        "presentation-identity", 422, "A presentation with the identity"
    ),
    errors.PresentationNumber: ProblemType(
        "presentation-number", 422, "A presentation with a number too large"
    ),
    errors.InvalidPresentation: ProblemType(
        "invalid-presentation", 422, "A presentation that proves nothing"
    ),
    errors.UnknownReport: ProblemType("unknown-report", 404, "The report is not in the log"),
    errors.ReportClosed: ProblemType("report-closed", 409, "The report takes no such event"),
    errors.WrongSequence: ProblemType("wrong-sequence", 409, "Not the key's next event"),
    errors.WrongVersion: ProblemType("wrong-version", 409, "The report has another version"),
    errors.TooManyFollowUps: ProblemType("too-many-follow-ups", 409, "No more follow-ups"),
    errors.TagSpent: ProblemType("tag-spent", 409, "The tag is spent"),
    errors.NotAuthorised: ProblemType("not-authorised", 403, "Not this key's to say"),
    errors.Erased: ProblemType("erased", 410, "The event was erased"),
    errors.Unavailable: ProblemType("unavailable", 503, "Not now; the same again later"),
}
"""By class; an error of another class has the problem type of its nearest parent."""

_INTERNAL: Final = ProblemType("internal", 500, "An error in the exchange itself")
_INTERNAL_DETAIL: Final = "an error in the exchange itself: the operator finds it in the log"


def problem_type(error: Exception) -> ProblemType:
    """The problem type of an error."""
    for kind in type(error).__mro__:
        if kind in PROBLEMS:
            return PROBLEMS[kind]
    return _INTERNAL


def problem_response(error: Exception, *, route: str = "") -> Response:
    """The answer that tells an error.

    Args:
        error: raised by a request.
        route: the route's pattern, for the log; never the path, which may hold anything.
    """
    kind = problem_type(error)
    detail = str(error)
    if kind is _INTERNAL:
        _log.error("request failed", exc_info=error, extra={"route": route})
        detail = _INTERNAL_DETAIL
    elif isinstance(error, errors.EventRefused):
        # That and why, and nothing of what or by whom.
        _log.info("event refused", extra={"route": route, "problem": kind.name})
    return rendered(kind, detail)


async def on_error(request: Request, error: Exception) -> Response:
    """Starlette's handler of every exception."""
    route = request.scope.get("route")
    return problem_response(error, route=getattr(route, "path", ""))
