"""Whether an account is a person's or an organization's."""

from __future__ import annotations

from typing import Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import fold

FIELD: Final = "kind"

_WRITINGS: Final = {
    "person": "person",
    "individual": "person",
    "natural person": "person",
    "organization": "organization",
    "organisation": "organization",
    "company": "organization",
    "business": "organization",
    "legal person": "organization",
}


def normalise(value: str) -> str:
    """`person` or `organization`.

    Raises:
        NotNormalisable: neither.
    """
    found = _WRITINGS.get(fold(FIELD, value))
    if not found:
        raise NotNormalisable(FIELD, "write person or organization")
    return found
