"""Domain names, of websites and of e-mail addresses."""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise.errors import NotNormalisable

MAX_CHARACTERS: Final = 253
"""Source: RFC 1035, section 2.3.4, as text without the dot of the root."""

_DOTS: Final = re.compile("[.\u3002]")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def normalise(field: str, name: str) -> str:
    """One writing of a domain name: ASCII, lower case, no dot at the end.

    Which top-level domains exist is not asked: the list changes, and names that are reserved for
    tests and documents are names here too.

    Args:
        field: named in the error.
        name: in any script, already `plain`.

    Raises:
        NotNormalisable: no name, or one without a dot.

    Source: RFC 5890 (names in other scripts), UTS #46 (what is mapped before, nontransitional).
    """
    labels = [_to_ascii(field, label) for label in _DOTS.split(name.strip().lower())]
    if labels[-1] == "":
        labels.pop()
    if len(labels) < 2 or labels[-1].isdigit():
        raise NotNormalisable(field, "no domain name such as example.com")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise NotNormalisable(field, "no domain name: a part is empty, too long or has other signs")
    ascii_name = ".".join(labels)
    if len(ascii_name) > MAX_CHARACTERS:
        raise NotNormalisable(field, f"domain name longer than {MAX_CHARACTERS} characters")
    return ascii_name


def _to_ascii(field: str, label: str) -> str:
    if label.isascii():
        return label
    import idna

    try:
        return idna.encode(label, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise NotNormalisable(field, "no domain name that can be registered (IDNA)") from None
