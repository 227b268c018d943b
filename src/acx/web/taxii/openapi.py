"""TAXII's addresses, as the exchange's OpenAPI document tells them."""

from __future__ import annotations

from typing import Any, Final

from acx.exchange.feed.collection import MAX_OBJECTS
from acx.web.taxii.errors import TAXII

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_COLLECTION: Final = "/taxii2/v1/collections/{collection}/"
_PAGING: Final[dict[str, Json]] = {
    "added_after": {"type": "string", "format": "date-time"},
    "limit": {"type": "integer", "minimum": 1, "default": MAX_OBJECTS},
    "next": _TEXT,
    "match[id]": _TEXT,
    "match[type]": _TEXT,
    "match[version]": _TEXT,
    "match[spec_version]": _TEXT,
}
_ADDRESSES: Final[tuple[tuple[str, str, bool], ...]] = (
    ("/taxii2/", "TAXII 2.1: discovery.", False),
    ("/taxii2/v1/", "TAXII 2.1: the API root.", False),
    ("/taxii2/v1/collections/", "TAXII 2.1: the one collection, in a list.", False),
    (_COLLECTION, "TAXII 2.1: the collection.", False),
    (f"{_COLLECTION}manifest/", "TAXII 2.1: what objects there are.", True),
    (f"{_COLLECTION}objects/", "TAXII 2.1: reports as STIX 2.1 objects.", True),
    (f"{_COLLECTION}objects/{{object}}/", "TAXII 2.1: one object.", True),
    (f"{_COLLECTION}objects/{{object}}/versions/", "TAXII 2.1: an object's versions.", True),
)

BASIC: Final[Json] = {
    "type": "http",
    "scheme": "basic",
    "description": "The token as the password of any user name; TAXII only.",
}


def taxii_paths() -> Json:
    """What can be asked, by path (docs/interchange.md)."""
    return {
        path: {"get": _operation(path, summary, paged=paged)} for path, summary, paged in _ADDRESSES
    }


def _operation(path: str, summary: str, *, paged: bool) -> Json:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("collection", "object")
        if f"{{{name}}}" in path
    ]
    if paged:
        parameters += [
            {"name": name, "in": "query", "schema": schema} for name, schema in _PAGING.items()
        ]
    content: Json = {TAXII: {"schema": {}}}
    return {
        "summary": summary,
        "security": [{"bearer": []}, {"basic": []}],
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "A problem, in TAXII's form.", "content": content},
        },
    }
