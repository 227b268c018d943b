"""E-mail addresses: the same, a variant of one mailbox, or the same local part elsewhere."""

from __future__ import annotations

import numpy as np

from acx.matching.compiled import U8, U64, hash_bytes, inner, kernel
from acx.matching.text import Text, hash_text

SHORTEST_STEM = 4
"""Local parts are stripped of digits only down to so many characters."""
SHORTEST_MAILBOX = 6
"""A shorter local part, found at another provider, says nothing."""

_GOOGLEMAIL = np.uint64(hash_text("googlemail.com"))
_GMAIL = np.uint64(hash_text("gmail.com"))


@kernel
def email_codes(text: Text, local: U8, mailbox: U8, codes: U64, stems: U64, domains: U64) -> None:
    """Codes of folded e-mail addresses.

    Args:
        text: folded addresses.
        local: room for what is read of one local part.
        mailbox: likewise.
        codes: values × levels, filled: the mailbox (tags behind a plus and Gmail's dots lead to
            the same); without dots, dashes and digits at the end; the local part of that alone.
        stems: values × levels, filled at level 1: the same local part, 0 if short.
        domains: values × levels, filled at level 2: the domain.
    """
    for v in range(len(text.offsets) - 1):
        start, end = _inner(text.data, text.offsets[v], text.offsets[v + 1])
        at = -1
        for i in range(start, end):
            if text.data[i] == 64:
                at = i
        if at <= start or at + 1 >= end:
            continue
        domain = _domain(text.data, at + 1, end)
        n, size = 0, 0
        for i in range(start, min(at, start + len(local))):
            c = text.data[i]
            if c == 43:
                break
            if c not in (46, 45, 95):
                local[n] = c
                n += 1
            if c != 46 or domain != _GMAIL:
                mailbox[size] = c
                size += 1
        codes[v, 0] = hash_bytes(mailbox, 0, size) ^ domain
        stem = n
        while stem > 0 and 48 <= local[stem - 1] <= 57:
            stem -= 1
        # A number, such as one of QQ, is a name of its own; after a name, it is nearly nothing.
        stem = n if stem == 0 else max(stem, min(n, SHORTEST_STEM))
        code = hash_bytes(local, 0, stem)
        codes[v, 1] = code ^ domain
        if stem >= SHORTEST_MAILBOX:
            codes[v, 2] = code
            stems[v, 1] = code
        domains[v, 2] = domain


@inner
def _inner(data: U8, start: int, end: int) -> tuple[int, int]:
    """What is inside `Name <address>` and `mailto:address`, without white space around."""
    for i in range(start, end):
        if data[i] == 60 or (data[i] == 58 and i - start == 6):
            start = i + 1
            break
    for i in range(start, end):
        if data[i] == 62 or data[i] == 63:
            end = i
            break
    while start < end and data[start] <= 32:
        start += 1
    while end > start and data[end - 1] <= 32:
        end -= 1
    return start, end


@inner
def _domain(data: U8, start: int, end: int) -> np.uint64:
    """Code of a domain; that of googlemail.com is gmail.com's."""
    code = hash_bytes(data, start, end)
    return _GMAIL if code == _GOOGLEMAIL else code
