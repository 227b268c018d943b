"""Dates of birth."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import ascii_digits, plain

FIELD: Final = "birth_date"

_YEAR_FIRST: Final = re.compile(
    r"(?P<y>\d{4})(?:[-/.]|年) ?(?P<m>\d{1,2})(?:[-/.]|月) ?(?P<d>\d{1,2})日?(?:[T ][0-9:.]+Z?)?"
)
_COMPACT: Final = re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})")
_DAY_FIRST: Final = re.compile(r"(?P<d>\d{1,2})\. ?(?P<m>\d{1,2})\. ?(?P<y>\d{4})")


def normalise(value: str) -> str:
    """`YYYY-MM-DD`, from writings in which day and month cannot be taken for each other.

    Raises:
        NotNormalisable: another writing, or no day of the calendar.

    Source: ISO 8601-1.
    """
    text = ascii_digits(plain(FIELD, value))
    for writing in (_YEAR_FIRST, _COMPACT, _DAY_FIRST):
        if found := writing.fullmatch(text):
            try:
                return date(int(found["y"]), int(found["m"]), int(found["d"])).isoformat()
            except ValueError:
                raise NotNormalisable(FIELD, "no day of the calendar") from None
    raise NotNormalisable(FIELD, "write the date as YYYY-MM-DD")
