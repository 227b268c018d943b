"""How C2SP texts write numbers and bytes: every value in one writing only.

Each parser returns None for anything else, because only its caller knows what the value was for.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

HASH_BYTES: Final = 32
MAX_SIZE: Final = 2**63 - 1
"""Largest tree: sizes fit a signed 64-bit integer in every implementation."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def parse_decimal(text: str) -> int | None:
    """A number from 0 to `MAX_SIZE`, in ASCII digits without leading zeroes."""
    if not _DECIMAL.fullmatch(text):
        return None
    value = int(text)
    return value if value <= MAX_SIZE else None


def parse_base64(text: str) -> bytes | None:
    """Bytes in standard base64 (RFC 4648, section 4), padded, with no stray bits at the end."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # A decoder ignores the unused bits of the last character; two texts must not be one value.
    return data if format_base64(data) == text else None


def parse_hash(text: str) -> bytes | None:
    """A SHA-256 hash in base64."""
    data = parse_base64(text) if len(text) == 44 else None
    return data if data is not None and len(data) == HASH_BYTES else None


def format_base64(data: bytes) -> str:
    """Bytes in standard base64, padded."""
    return base64.b64encode(data).decode()
