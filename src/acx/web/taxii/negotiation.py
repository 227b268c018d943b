"""Media types, as TAXII 2.1 has clients and servers agree on them."""

from __future__ import annotations

from typing import Final

from acx.web.taxii.errors import TAXII, NotAcceptable

STIX: Final = "application/stix+json;version=2.1"

_ANY: Final = frozenset({"*/*", "application/*"})


def check_accept(accept: str) -> None:
    """Refuse a client that takes no TAXII 2.1.

    Args:
        accept: the header's value; empty where there is none, which takes anything.

    Raises:
        NotAcceptable: other types or versions only.

    Source: TAXII 2.1, section 1.6.8; RFC 9110, section 12.5.1.
    """
    if accept.strip() and not any(map(_takes, accept.split(","))):
        raise NotAcceptable(f"this server speaks TAXII 2.1: send `Accept: {TAXII}`")


def _takes(media_range: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in media_range.split(";"))
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    if not values.get("q", "1").strip("0."):
        return False
    if kind in _ANY:
        return True
    return kind == "application/taxii+json" and values.get("version", "2.1").strip('"') == "2.1"
