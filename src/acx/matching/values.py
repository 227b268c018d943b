"""Fields compared by equality: their values as codes, one for each level of the model.

What one field says of another is used as well: a mailbox's domain beside websites, the name in a
mailbox beside handles, the number in `whatsapp:+49…` beside phones. Such values support: they can
agree, and say nothing where they don't.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from acx.matching import emails, numbers, phones, websites
from acx.matching.compiled import I64, U8, U64, inner, kernel
from acx.matching.model import NUMBERS
from acx.matching.names import Names, letter_of, word_length
from acx.matching.text import MAX_BYTES, Values, hash_text

CODES: Final = 3
"""Codes of a value, one for each of its field's levels."""

FIELD_BITS: Final = 0xFF
"""Of what there is about a value, the number of its field."""
SUPPORTS: Final = 0x100
"""Flag of a value that another field gave."""
FROM_NAME: Final = 0x200
"""Flag of a value made of the account's own name: it agrees whenever the names do."""

TAIL: Final = 8
"""Digits at the end of an account number that identify it inside an IBAN."""
SHORTEST_NICKNAME: Final = 5
SHORTEST_MARK: Final = 3
"""Letters of a name's word that make a mailbox one of the name."""
MARKING_NAMES: Final = 16
"""Names of an account that are looked for in its mailboxes."""


class Coded(NamedTuple):
    """Values of one field: where each row's start, what there is about each, their codes."""

    starts: I64
    about: I64
    codes: U64


def code_values(plain: dict[str, Values], names: Names, default_country: str) -> Coded:
    """Values of all fields, row by row, each row's sorted by field.

    Args:
        plain: folded values by column.
        names: the same rows' names.
        default_country: where phone numbers are national, if the account has no country.
    """
    rows = len(plain["kind"].starts) - 1
    calling = _calling_codes(plain["country"], default_country)
    sources = [
        source
        for source in (
            *_of_emails(plain["email"], names),
            *_of_websites(plain["website"]),
            *_of_contacts(plain["contact"], names, calling),
            *_of_handles(plain["handle"], names),
            *_of_phones(plain["phone"], calling),
            *_of_numbers(plain),
            *_of_plain(plain),
        )
        if source.codes.any()
    ]
    return _by_row(sources, rows)


def _room() -> U8:
    """Memory for what a kernel reads of one value."""
    return np.empty(MAX_BYTES, np.uint8)


def _blank(values: Values) -> U64:
    return np.zeros((len(values.text.offsets) - 1, CODES), np.uint64)


def _coded(field: str, values: Values, codes: U64, flags: I64 | int = 0) -> Coded:
    return Coded(values.starts, np.full(len(codes), NUMBERS[field], np.int64) | flags, codes)


def _of_emails(values: Values, names: Names) -> Iterator[Coded]:
    codes, stems, domains = _blank(values), _blank(values), _blank(values)
    if len(codes):
        emails.email_codes(values.text, _room(), _room(), codes, stems, domains)
        flags = _made_of_names(values, names)
        yield _coded("email", values, codes, flags)
        yield _coded("handle", values, stems, flags | SUPPORTS)
        domains[np.isin(domains[:, 2], websites.mail_providers())] = 0
        yield _coded("website", values, domains, SUPPORTS)


def _of_websites(values: Values) -> Iterator[Coded]:
    codes = _blank(values)
    if len(codes):
        websites.website_codes(values.text, websites.public_suffixes(), codes)
        yield _coded("website", values, codes)


def _of_contacts(values: Values, names: Names, calling: I64) -> Iterator[Coded]:
    codes, nicknames, called = _blank(values), _blank(values), _blank(values)
    if len(codes):
        numeric = np.zeros(len(codes), np.uint64)
        numbers.nickname_codes(
            values.text, emails.SHORTEST_MAILBOX, _room(), codes, nicknames, numeric
        )
        yield _coded("contact", values, codes)
        flags = _made_of_names(values, names)
        yield _coded("handle", values, nicknames, flags | SUPPORTS)
        phones.phone_codes(values.text, calling[_rows_of(values.starts)], _room(), called)
        called[numeric == 0] = 0
        yield _coded("phone", values, called, SUPPORTS)


def _of_handles(values: Values, names: Names) -> Iterator[Coded]:
    codes, nicknames = _blank(values), _blank(values)
    if len(codes):
        numeric = np.zeros(len(codes), np.uint64)
        numbers.nickname_codes(values.text, SHORTEST_NICKNAME, _room(), codes, nicknames, numeric)
        codes[:, 1] = nicknames[:, 1]
        yield _coded("handle", values, codes, _made_of_names(values, names))


def _of_phones(values: Values, calling: I64) -> Iterator[Coded]:
    codes = _blank(values)
    if len(codes):
        phones.phone_codes(values.text, calling[_rows_of(values.starts)], _room(), codes)
        yield _coded("phone", values, codes)


def _of_numbers(plain: dict[str, Values]) -> Iterator[Coded]:
    for field in ("bank_account", "tax_id", "registration_no", "id_document"):
        codes = _blank(plain[field])
        if len(codes):
            tail = TAIL if field == "bank_account" else 0
            numbers.number_codes(plain[field].text, tail, _room(), codes)
            yield _coded(field, plain[field], codes)


def _of_plain(plain: dict[str, Values]) -> Iterator[Coded]:
    for field in ("country", "kind", "ip", "device", "birth_date"):
        codes = _blank(plain[field])
        if len(codes):
            if field == "birth_date":
                numbers.date_codes(plain[field].text, codes)
            else:
                numbers.plain_codes(plain[field].text, _room(), codes)
            yield _coded(field, plain[field], codes)


def _rows_of(starts: I64) -> I64:
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def _calling_codes(country: Values, default_country: str) -> I64:
    """Calling code of each row's first country, of the default country, 0 if there is none."""
    codes = np.zeros((len(country.text.offsets), 1), np.uint64)
    if len(codes) > 1:
        numbers.plain_codes(country.text, _room(), codes)
    codes[-1] = hash_text(default_country.lower())
    known, called = phones.calling_codes()
    place = np.searchsorted(known, codes[:, 0])
    place[place == len(known)] = 0
    found = np.where(known[place] == codes[:, 0], called[place], 0)
    calling = np.full(len(country.starts) - 1, found[-1])
    some = np.flatnonzero(np.diff(country.starts))
    calling[some] = found[country.starts[some]]
    return calling


def _made_of_names(values: Values, names: Names) -> I64:
    flags = np.zeros(len(values.text.offsets) - 1, np.int64)
    _mark_made_of_names(values, names, flags)
    return flags


@kernel
def _mark_made_of_names(values: Values, names: Names, flags: I64) -> None:
    """Set `FROM_NAME` where a mailbox or nickname is made of the account's own names.

    It has one of their words in it, or is made of pieces of them, as «heng.cong88» is of
    «Hengcong».
    """
    data, offsets, rows = values.text.data, values.text.offsets, values.starts
    entries, bounds, words = names.starts, names.first, names.words
    for row in range(len(rows) - 1):
        last = entries[row + 1]
        if last > entries[row] + MARKING_NAMES:
            last = entries[row] + MARKING_NAMES
        for v in range(rows[row], rows[row + 1]):
            end = offsets[v]
            while end < offsets[v + 1] and data[end] != 64:
                end += 1
            begin, beyond = bounds[entries[row]], bounds[last]
            for w in range(begin, beyond):
                length = word_length(words, w)
                if length >= SHORTEST_MARK and _contains(data, offsets[v], end, words, w, length):
                    flags[v] = FROM_NAME
                    break
            if flags[v] == 0 and _is_pieced(data, offsets[v], end, words, begin, beyond):
                flags[v] = FROM_NAME


@inner
def _contains(data: U8, start: int, end: int, words: U64, w: int, length: int) -> bool:
    for i in range(start, end - length + 1):
        place = 0
        while place < length and data[i + place] == letter_of(words, w, place):
            place += 1
        if place == length:
            return True
    return False


@inner
def _is_pieced(data: U8, start: int, end: int, words: U64, first: int, last: int) -> bool:
    """Whether all letters stand in runs that occur in a word, the longest of them not short."""
    longest = 0
    i = start
    while i < end:
        stop = i
        while stop < end and 97 <= data[stop] <= 122:
            stop += 1
        if stop == i:
            # The network of `network:name` is none of the name.
            longest = 0 if data[i] == 58 else longest
            i += 1
            continue
        network = stop < end and data[stop] == 58
        if not network and not _occurs(data, i, stop, words, first, last):
            return False
        longest = max(longest, stop - i)
        i = stop
    return longest >= SHORTEST_MARK


@inner
def _occurs(data: U8, start: int, end: int, words: U64, first: int, last: int) -> bool:
    """Whether a run of letters is a part of one of the words."""
    for w in range(first, last):
        for place in range(word_length(words, w) - (end - start) + 1):
            i = start
            while i < end and data[i] == letter_of(words, w, place + i - start):
                i += 1
            if i == end:
                return True
    return False


def _by_row(sources: list[Coded], rows: int) -> Coded:
    starts = np.zeros(rows + 1, np.int64)
    for source in sources:
        starts += source.starts
    about = np.empty(starts[-1], np.int64)
    codes = np.empty((starts[-1], CODES), np.uint64)
    filled = starts[:-1].copy()
    for source in sorted(sources, key=lambda each: int(each.about[0]) & FIELD_BITS):
        counts = np.diff(source.starts)
        place = np.repeat(filled - source.starts[:-1], counts) + np.arange(source.starts[-1])
        about[place] = source.about
        codes[place] = source.codes
        filled += counts
    return Coded(starts, about, codes)
