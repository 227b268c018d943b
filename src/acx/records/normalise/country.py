"""Countries as ISO 3166-1 alpha-2 codes, from codes and English names."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final
from unicodedata import combining
from unicodedata import normalize as normalise_form

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import plain

FIELD: Final = "country"

_ALSO: Final = {"UK": "GB", "EL": "GR"}
"""Codes that the EU's own systems write (Interinstitutional style guide, section 7.1)."""


def normalise(value: str, field: str = FIELD) -> str:
    """The alpha-2 code of a country that is given by code or by an English name.

    The table is our own and part of `h1`: a country that is renamed keeps its old name too.

    Args:
        value: alpha-2, alpha-3 or a name.
        field: named in the error.

    Raises:
        NotNormalisable: no country.

    Source: ISO 3166-1; XK (Kosovo) is a user-assigned code in general use.
    """
    found = code(value)
    if not found:
        plain(field, value)
        raise NotNormalisable(field, "no country; write its ISO 3166-1 code of two letters")
    return found


def from_code(value: str) -> str:
    """The alpha-2 code that a code of two letters stands for, or nothing."""
    letters = value.strip().upper()
    return _codes().get(letters, "") if len(letters) == 2 else ""


@lru_cache(maxsize=4096)
def code(value: str) -> str:
    """The alpha-2 code of a country, or nothing where the value names none."""
    try:
        text = plain(FIELD, value)
    except NotNormalisable:
        return ""
    # The standard turns names round: «Korea, Republic of».
    first, _, rest = text.partition(", ")
    return (
        _codes().get(text.upper())
        or _names().get(_name_key(text))
        or _names().get(_name_key(f"{rest} {first}"), "")
    )


@cache
def alpha_2_codes() -> frozenset[str]:
    """Every code that `normalise` can give."""
    return frozenset(row[0] for row in _table())


@cache
def _table() -> tuple[tuple[str, ...], ...]:
    text = (files(__package__) / "countries.tsv").read_text(encoding="utf-8")
    return tuple(tuple(line.split("\t")) for line in text.splitlines())


@cache
def _codes() -> dict[str, str]:
    codes = {written: row[0] for row in _table() for written in row[:2]}
    return codes | _ALSO


@cache
def _names() -> dict[str, str]:
    return {_name_key(name): row[0] for row in _table() for name in row[2:]}


def _name_key(name: str) -> str:
    letters = "".join(c for c in normalise_form("NFD", name.casefold()) if not combining(c))
    words = re.sub(r"[\W_]+", " ", letters).split()
    return " ".join(word for word in words if word not in {"the", "and", "of"})
