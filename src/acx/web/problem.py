"""Errors on the wire (RFC 9457): how every service of acx tells what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.responses import Response

TYPE_PREFIX: Final = "https://acx.example/problems/"
MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem, as clients tell it apart.

    Attributes:
        name: ends the type's URI.
        status: HTTP status.
        title: the same for every occurrence.
    """

    name: str
    status: int
    title: str


def problem_of(kind: ProblemType, detail: str) -> dict[str, str | int]:
    """The members of a problem; `detail` says what to do."""
    return {
        "type": TYPE_PREFIX + kind.name,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }


def rendered(kind: ProblemType, detail: str) -> Response:
    """A problem as an answer."""
    headers = {"Cache-Control": "no-store"}
    if kind.status in {429, 503}:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = msgspec.json.encode(problem_of(kind, detail))
    return Response(body, kind.status, headers=headers, media_type=MEDIA_TYPE)
