"""The OpenAPI document, from the types that requests and answers are made of."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from acx import __version__
from acx.member.screen import LEVELS
from acx.member.service import Answer, Screened
from acx.records.account import Account
from acx.web.member_api.problems import PROBLEMS
from acx.web.problem import MEDIA_TYPE, TYPE_PREFIX

Json = dict[str, Any]
NDJSON: Final = "application/x-ndjson"
_LEVEL: Final[Json] = {
    "name": "level",
    "in": "query",
    "description": "Weakest level of hits to give.",
    "schema": {"type": "string", "enum": list(LEVELS), "default": "possible"},
}
_PROBLEM: Final[Json] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"enum": [TYPE_PREFIX + kind.name for kind in PROBLEMS.values()]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do."},
    },
}


def openapi_document() -> Json:
    """The document at `/openapi.json`."""
    kinds = (Account, Answer, Screened)
    references, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    account, answer, screened = references
    problem = {"$ref": "#/components/schemas/Problem"}
    default = {"description": "A problem (RFC 9457).", "content": {MEDIA_TYPE: {"schema": problem}}}
    line = {"oneOf": [screened, {"type": "object", "properties": {"problem": problem}}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "acx member service", "version": __version__},
        "security": [{"token": []}],
        "paths": {
            "/v1/check": {
                "post": {
                    "summary": "The hits of one account, as at a sign-up.",
                    "parameters": [_LEVEL],
                    "requestBody": _body("application/json", account),
                    "responses": {"200": _answer("application/json", answer), "default": default},
                }
            },
            "/v1/screen": {
                "post": {
                    "summary": "The hits of a stream of accounts: a line out for each in.",
                    "parameters": [_LEVEL],
                    "requestBody": _body(NDJSON, account),
                    "responses": {"200": _answer(NDJSON, line), "default": default},
                }
            },
            "/healthz": {"get": _plain("The process runs.")},
            "/readyz": {"get": _plain("Accounts are answered for.")},
        },
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _body(media_type: str, schema: Json) -> Json:
    return {"required": True, "content": {media_type: {"schema": schema}}}


def _answer(media_type: str, schema: Json) -> Json:
    return {"description": "Found.", "content": {media_type: {"schema": schema}}}


def _plain(summary: str) -> Json:
    return {
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes.", "content": {"text/plain": {}}}},
    }
