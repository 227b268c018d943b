"""The OpenAPI document, from the types that requests are parsed into."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from acx import __version__
from acx.exchange.admission.invites import Joined, JoinRequest
from acx.exchange.governance.texts import TextRequest, TextTaken
from acx.exchange.intake.intake import Acknowledgement, PostRequest
from acx.exchange.issuing.issuer import CredentialRequestBody, IssuedCredential
from acx.exchange.webhooks.endpoints import (
    NewWebhook,
    Replay,
    Tested,
    Webhook,
    Webhooks,
    WebhookWithSecret,
)
from acx.web.exchange_api.problems import MEDIA_TYPE, PROBLEMS, TYPE_PREFIX
from acx.web.taxii.openapi import BASIC, taxii_paths

Json = dict[str, Any]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the log: `at`, `event` and `k`, or `entry` where the key is destroyed."""

    index: Annotated[int, Meta(ge=0)]
    at: str | msgspec.UnsetType = msgspec.UNSET
    event: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    k: str | msgspec.UnsetType = msgspec.UNSET
    entry: str | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, a checkpoint that covers them, and the newest that witnesses have signed too."""

    checkpoint: str
    cosigned: str
    entries: tuple[Entry, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, and what to do (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


_AFTER: Final[Json] = {
    "name": "after",
    "in": "query",
    "description": "Index of the last entry that is known; exclusive.",
    "schema": {"type": "integer", "minimum": -1},
}
_LIMIT: Final[Json] = {
    "name": "limit",
    "in": "query",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000},
}
_LAST_EVENT: Final[Json] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Takes the place of `after`.",
    "schema": {"type": "integer", "minimum": -1},
}
_WEBHOOK: Final[Json] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "maxLength": 26},
}
_PATH: Final[Json] = {
    "name": "path",
    "in": "path",
    "required": True,
    "description": "As C2SP tlog-tiles writes it; it holds slashes.",
    "schema": {"type": "string"},
}


def openapi_document() -> Json:
    """The document at `/openapi.json`."""
    kinds = (
        JoinRequest,
        Joined,
        CredentialRequestBody,
        IssuedCredential,
        PostRequest,
        Acknowledgement,
        TextRequest,
        TextTaken,
        Page,
        NewWebhook,
        WebhookWithSecret,
        Webhook,
        Webhooks,
        Replay,
        Tested,
        Problem,
    )
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    of = dict(zip(kinds, schemas, strict=True))
    bearer: list[Json] = [{"bearer": []}]
    signed: list[Json] = [{"signature": []}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "acx exchange",
            "version": __version__,
            "description": (
                "The wire contract is docs/reference/protocol.md; this document says the same "
                "where OpenAPI can. Problem types: "
                + ", ".join(f"`{kind.name}` ({kind.status})" for kind in PROBLEMS.values())
                + f", each under {TYPE_PREFIX}."
            ),
        },
        "paths": {
            "/v1/join": {
                "post": _operation(
                    "Become a member with an invite.", signed, of[Joined], body=of[JoinRequest]
                )
            },
            "/v1/credentials": {
                "post": _operation(
                    "A credential under an issuer key; asked again, the same.",
                    signed,
                    of[IssuedCredential],
                    body=of[CredentialRequestBody],
                )
            },
            "/v1/events": {
                "post": _operation(
                    "Append an event, anonymously; the same bytes again get the same answer.",
                    [],
                    of[Acknowledgement],
                    body=of[PostRequest],
                ),
                "get": _operation(
                    "Entries in order.", bearer, of[Page], parameters=[_AFTER, _LIMIT]
                ),
            },
            "/v1/disputes/texts": {
                "post": _operation(
                    "Words and files that belong to an answer, sealed to the operators.",
                    [],
                    of[TextTaken],
                    body=of[TextRequest],
                )
            },
            "/v1/keys": {
                "get": _operation(
                    "Key pages as they stand now, 33 bytes a place.",
                    bearer,
                    {},
                    media_type="application/octet-stream",
                    parameters=[_AFTER],
                )
            },
            "/v1/stream": {
                "get": _operation(
                    "Server-sent events: `entry`, `checkpoint` and `cosigned`.",
                    bearer,
                    {},
                    media_type="text/event-stream",
                    parameters=[_AFTER, _LAST_EVENT],
                )
            },
            "/v1/webhooks": {
                "post": _operation(
                    "Have what is new posted to an address; the secret is shown this once.",
                    bearer,
                    of[WebhookWithSecret],
                    body=of[NewWebhook],
                ),
                "get": _operation("How the webhooks stand.", bearer, of[Webhooks]),
            },
            "/v1/webhooks/{id}": {
                "delete": _operation("Post there no more.", bearer, None, parameters=[_WEBHOOK])
            },
            "/v1/webhooks/{id}/test": {
                "post": _operation(
                    "Post something that says nothing, now.",
                    bearer,
                    of[Tested],
                    parameters=[_WEBHOOK],
                )
            },
            "/v1/webhooks/{id}/rotate": {
                "post": _operation(
                    "Sign with another secret, and for a day with the old one too.",
                    bearer,
                    of[WebhookWithSecret],
                    parameters=[_WEBHOOK],
                )
            },
            "/v1/webhooks/{id}/replay": {
                "post": _operation(
                    "Post again from some place on; a dead one from where it stopped.",
                    bearer,
                    of[Webhook],
                    body=of[Replay],
                    parameters=[_WEBHOOK],
                )
            },
            "/checkpoint": {"get": _public("The signed head.", "text/plain; charset=utf-8")},
            "/cosigned": {
                "get": _public(
                    "The newest checkpoint that enough witnesses have signed.",
                    "text/plain; charset=utf-8",
                )
            },
            "/tile/{path}": {"get": _public("Hashes, or entries.", parameters=[_PATH])},
            "/bundle/{path}": {"get": _public("Encrypted events.", parameters=[_PATH])},
            "/healthz": {"get": _public("The process runs.", "text/plain")},
            "/readyz": {"get": _public("Events are being taken.", "text/plain")},
            **taxii_paths(),
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": BASIC,
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": "RFC 9421 by the member key, label `acx`, over @method, @path "
                    "and content-digest.",
                },
            },
        },
    }


def _operation(
    summary: str,
    security: list[Json],
    answer: Json | None,
    *,
    body: Json | None = None,
    media_type: str = "application/json",
    parameters: list[Json] | None = None,
) -> Json:
    operation: Json = {
        "summary": summary,
        "security": security,
        "responses": {
            **_done(answer, media_type),
            "default": {
                "description": "A problem.",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _done(answer: Json | None, media_type: str) -> Json:
    if answer is None:
        return {"204": {"description": "Done."}}
    return {"200": {"description": "Done.", "content": {media_type: {"schema": answer}}}}


def _public(
    summary: str,
    media_type: str = "application/octet-stream",
    parameters: list[Json] | None = None,
) -> Json:
    return _operation(summary, [], {}, media_type=media_type, parameters=parameters)
