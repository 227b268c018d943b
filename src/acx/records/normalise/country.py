"""Countries as ISO 3166-1 alpha-2 codes, from codes and English names."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

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


@lru_cache(maxsize=4096)
def code(value: str) -> str:
    """The alpha-2 code of a country, or nothing where the value names none."""
    upper = value.strip().upper()
    if upper in _codes():
        return _codes()[upper]
    try:
        return _names().get(_name_key(plain(FIELD, value)), "")
    except NotNormalisable:
        return ""


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
    names = {_name_key(name): row[0] for row in _table() for name in row[2:]}
    return names | {key.lower(): found for key, found in _codes().items()}


def _name_key(name: str) -> str:
    letters = re.sub(
        r"[^a-z]+",
        " ",
        unicodedata.normalize("NFD", name.casefold()).encode("ascii", "ignore").decode(),
    )
    return " ".join(word for word in letters.split() if word not in {"the", "and", "of"})
