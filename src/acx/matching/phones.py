"""Phone numbers: the same number, or the same national number.

A light reading of writings, so that millions cost seconds: trunk zeros go, the calling code of the
account's country comes. Where a country's numbering plan would know better, the last eight digits
still agree, at less weight; a test holds the reading to libphonenumber.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from acx.matching.compiled import I64, U8, U64, hash_bytes, inner, kernel, to_int
from acx.matching.text import Text, hash_text

LONGEST = 15
"""Digits of an international number. Source: ITU-T E.164."""
MOST_DIGITS = 39
"""Digits that are read; a longer number is none."""
SHORTEST = 7
"""Fewer digits are an extension or a service number."""
SUFFIX = 8


@cache
def calling_codes() -> tuple[U64, I64]:
    """Countries, by the hash of their lower-case code, and their calling codes."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    found = {
        hash_text(region.lower()): code
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        for region in regions
    }
    countries = sorted(found)
    return np.array(countries, np.uint64), np.array([found[c] for c in countries], np.int64)


@kernel
def phone_codes(text: Text, calling: I64, digits: U8, codes: U64) -> None:
    """Codes of folded phone numbers.

    Args:
        text: folded numbers.
        calling: calling code of the country in which each may be national, 0 if unknown.
        digits: room for what is read of one number.
        codes: values × levels, filled: the international number; its last digits.
    """
    for v in range(len(text.offsets) - 1):
        start, end = text.offsets[v], text.offsets[v + 1]
        n = 0
        plus = False
        bracket = False
        for i in range(start, end):
            c = text.data[i]
            if c == 43 and n == 0:
                plus = True
            elif c == 40:
                bracket = True
            elif 48 <= c <= 57:
                # «+44 (0)20 …»: the trunk zero that one dials only at home.
                if not (bracket and plus and c == 48 and i + 1 < end and text.data[i + 1] == 41):
                    if n < MOST_DIGITS:
                        digits[n] = c
                        n += 1
                bracket = False
        first = 0
        if not plus and n > 9 and digits[0] == 48 and digits[1] == 48:
            plus, first = True, 2
        if not plus:
            while first < n and digits[first] == 48:
                first += 1
        length = n - first
        if length < SHORTEST or length > LONGEST:
            continue
        code = calling[v]
        if (
            not plus
            and code > 0
            and not (first == 0 and length >= 11 and _begins(digits, first, code))
        ):
            # A trunk prefix other than 0: 8 in Russia and its neighbours, 06 in Hungary.
            if (code == 7 and length == 11 and digits[first] == 56) or (
                code == 36 and first == 1 and digits[first] == 54
            ):
                first += 1
            size = 1 if code < 10 else 2 if code < 100 else 3
            for i in range(n - 1, first - 1, -1):
                digits[i + size] = digits[i]
            rest = code
            for i in range(size - 1, -1, -1):
                digits[first + i] = 48 + rest % 10
                rest //= 10
            n += size
        codes[v, 0] = hash_bytes(digits, first, n)
        if n - first >= SUFFIX:
            codes[v, 1] = hash_bytes(digits, n - SUFFIX, n)


@inner
def _begins(digits: U8, first: int, code: int) -> bool:
    size = 1 if code < 10 else 2 if code < 100 else 3
    value = 0
    for i in range(first, first + size):
        value = value * 10 + to_int(digits[i]) - 48
    return value == code
