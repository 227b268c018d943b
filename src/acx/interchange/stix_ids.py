"""Ids of STIX objects, the same wherever and whenever an object is made."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Final

from acx.records.event import canonical

_DOMAIN: Final = "acx-stix/v1"
_OBSERVABLES: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7").bytes


def stix_id(kind: str, *name: str) -> str:
    """The id of an object that somebody says: SDOs, SROs, bundles.

    The UUID is of version 4, as STIX and TAXII ask: its random bits are a hash of the name, whose
    own randomness is the report's key. The name never holds a value of an account, so an id that
    is left after an erasure tells nothing and can confirm no guess.

    Args:
        kind: the object's type.
        name: tells it from all others of the type: a report's id and a role in it.

    Source: STIX 2.1, section 2.9; RFC 9562, section 5.4.
    """
    digest = hashlib.sha256("\0".join((_DOMAIN, kind, *name)).encode()).digest()
    return f"{kind}--{_formed(digest, 4)}"


def observable_id(kind: str, contributing: Mapping[str, str]) -> str:
    """The id of a cyber-observable object: every producer gives the same value the same id.

    Args:
        kind: the object's type.
        contributing: those of its id contributing properties that it has.

    Source: STIX 2.1, section 2.9: UUIDv5 over the properties' RFC 8785 JSON.
    """
    digest = hashlib.sha1(_OBSERVABLES + canonical(contributing), usedforsecurity=False).digest()
    return f"{kind}--{_formed(digest, 5)}"


def _formed(digest: bytes, version: int) -> str:
    """The first sixteen bytes of a hash as a UUID of a version, RFC 9562's variant."""
    data = bytearray(digest[:16])
    data[6] = data[6] & 0x0F | version << 4
    data[8] = data[8] & 0x3F | 0x80
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
