"""Websites: the host, and the domain that somebody registered."""

from __future__ import annotations

from functools import cache

import numpy as np

from acx.matching.compiled import U8, U64, find, hash_bytes, inner, kernel
from acx.matching.text import Text, data_lines, hash_text


@cache
def public_suffixes() -> U64:
    """Codes of the suffixes under which names are registered, of the installed list.

    Source: publicsuffix.org, private suffixes (`myshopify.com`) included.
    """
    from tldextract import TLDExtract

    extract = TLDExtract(
        cache_dir=None,
        suffix_list_urls=(),
        fallback_to_snapshot=True,
        include_psl_private_domains=True,
    )
    return np.array(sorted({hash_text(suffix) for suffix in extract.tlds}), np.uint64)


@cache
def mail_providers() -> U64:
    """Codes of domains where anybody can have a mailbox."""
    return np.array(
        sorted({hash_text(line[0]) for line in data_lines("mail_providers.tsv")}), np.uint64
    )


@kernel
def website_codes(text: Text, suffixes: U64, codes: U64) -> None:
    """Codes of folded URLs, hosts or e-mail addresses.

    Args:
        text: folded values.
        suffixes: `public_suffixes()`.
        codes: values × levels, filled: the host without `www`; the registered domain, twice: the
            last level is where mailboxes' domains agree.
    """
    for v in range(len(text.offsets) - 1):
        start, end = _host(text.data, text.offsets[v], text.offsets[v + 1])
        if end - start < 4:
            continue
        codes[v, 0] = hash_bytes(text.data, start, end)
        label = start
        for i in range(start, end):
            if text.data[i] == 46:
                if find(suffixes, hash_bytes(text.data, i + 1, end)) >= 0:
                    codes[v, 1] = hash_bytes(text.data, label, end)
                    break
                label = i + 1
        if codes[v, 1] == 0:
            codes[v, 1] = codes[v, 0]
        codes[v, 2] = codes[v, 1]


@inner
def _host(data: U8, start: int, end: int) -> tuple[int, int]:
    while start < end and data[start] <= 32:
        start += 1
    for i in range(start, end - 2):
        if data[i] == 58 and data[i + 1] == 47 and data[i + 2] == 47:
            start = i + 3
            break
    stop = end
    for i in range(start, end):
        if data[i] in (47, 63, 35, 92) or data[i] <= 32:
            stop = i
            break
    for i in range(start, stop):
        if data[i] == 64:
            start = i + 1
    for i in range(start, stop):
        if data[i] == 58:
            stop = i
            break
    if (
        stop - start > 4
        and data[start] == 119
        and data[start + 1] == 119
        and data[start + 2] == 119
        and data[start + 3] == 46
    ):
        start += 4
    while stop > start and data[stop - 1] == 46:
        stop -= 1
    return start, stop
