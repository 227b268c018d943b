"""Issued numbers: bank accounts, tax and registration numbers, documents; and other plain codes."""

from __future__ import annotations

import numpy as np

from acx.matching.compiled import U8, U64, hash_bytes, kernel
from acx.matching.text import Text

SHORTEST = 4
SHORTEST_DIGITS = 6
"""Digits that a number without its letters needs to say anything."""


@kernel
def number_codes(text: Text, tail: int, kept: U8, codes: U64) -> None:
    """Codes of folded numbers that somebody issued.

    Args:
        text: folded, with or without `CC:` or `kind:CC:`; digests stay as they are.
        tail: 0, or digits at the end that alone identify (a bank account inside an IBAN).
        kept: room for what is read of one value.
        codes: values × levels, filled: letters and digits; digits without leading letters and
            zeros, or the last `tail` digits.
    """
    for v in range(len(text.offsets) - 1):
        start, end = text.offsets[v], text.offsets[v + 1]
        if (
            end - start > 3
            and text.data[start] == 104
            and text.data[start + 1] == 49
            and text.data[start + 2] == 58
        ):
            codes[v, 0] = hash_bytes(text.data, start, end)
            continue
        for i in range(end - 1, start - 1, -1):
            if text.data[i] == 58:
                start = i + 1
                break
        n = 0
        for i in range(start, end):
            c = text.data[i]
            if (48 <= c <= 57 or 97 <= c <= 122) and n < len(kept):
                kept[n] = c
                n += 1
        if n < SHORTEST:
            continue
        codes[v, 0] = hash_bytes(kept, 0, n)
        first = 0
        if tail:
            first = max(n - tail, 0)
            for i in range(n - 1, first - 1, -1):
                if not 48 <= kept[i] <= 57:
                    first = i + 1
                    break
        else:
            while first < n and first < 4 and 97 <= kept[first] <= 122:
                first += 1
            while first < n and kept[first] == 48:
                first += 1
        if n - first >= (tail or SHORTEST_DIGITS):
            codes[v, 1] = hash_bytes(kept, first, n)


@kernel
def plain_codes(text: Text, kept: U8, codes: U64) -> None:
    """Codes of folded values without their white space; nothing else is equal.

    Args:
        text: folded values.
        kept: room for what is read of one value.
        codes: values × levels, filled at level 0.
    """
    for v in range(len(text.offsets) - 1):
        n = 0
        for i in range(text.offsets[v], text.offsets[v + 1]):
            if text.data[i] > 32 and n < len(kept):
                kept[n] = text.data[i]
                n += 1
        if n:
            codes[v, 0] = hash_bytes(kept, 0, n)


@kernel
def date_codes(text: Text, codes: U64) -> None:
    """Days as numbers: YYYYMMDD, 0 where it is none."""
    for v in range(len(text.offsets) - 1):
        start, end = text.offsets[v], text.offsets[v + 1]
        value = np.uint64(0)
        digits = 0
        for i in range(start, end):
            c = text.data[i]
            if 48 <= c <= 57:
                value = value * np.uint64(10) + np.uint64(c - 48)
                digits += 1
        if digits == 8:
            codes[v, 0] = value


@kernel
def nickname_codes(
    text: Text, shortest: int, kept: U8, codes: U64, nicknames: U64, numeric: U64
) -> None:
    """Codes of `network:name` values.

    Args:
        text: folded values.
        shortest: characters that a name needs to be evidence outside its network.
        kept: room for what is read of one value.
        codes: values × levels, filled: the whole.
        nicknames: values × levels, filled at level 1: the name without punctuation and digits at
            the end.
        numeric: filled with 1 where the name is a phone number.
    """
    for v in range(len(text.offsets) - 1):
        start, end = text.offsets[v], min(text.offsets[v + 1], text.offsets[v] + len(kept))
        n = 0
        colon = -1
        for i in range(start, end):
            c = text.data[i]
            if c > 32 and c != 64:
                if c == 58 and colon < 0:
                    colon = n
                kept[n] = c
                n += 1
        if n == 0:
            continue
        codes[v, 0] = hash_bytes(kept, 0, n)
        m = 0
        digits = 0
        for i in range(colon + 1, n):
            c = kept[i]
            if 48 <= c <= 57 or 97 <= c <= 122:
                digits += 48 <= c <= 57
                kept[m] = c
                m += 1
        if digits == m and m >= 7:
            numeric[v] = 1
            continue
        while m > 4 and 48 <= kept[m - 1] <= 57:
            m -= 1
        if m >= shortest:
            nicknames[v, 1] = hash_bytes(kept, 0, m)
