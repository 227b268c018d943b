"""Accounts prepared for comparison: every field in codes, row by row.

The same kernels prepare one account and a million: only the way from records to columns of text
differs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import polars as pl

from acx.matching import emails, numbers, phones, text, websites
from acx.matching.addresses import Addresses, address_keys, most_address_keys, parse_addresses
from acx.matching.compiled import I32, I64, U8, U64, inner, kernel, salted, sort
from acx.matching.digests import digest_account, digest_frame
from acx.matching.images import BANDS, Images, image_keys, parse_images
from acx.matching.model import NUMBERS
from acx.matching.names import (
    SOUND,
    Names,
    letter_of,
    most_name_keys,
    name_keys,
    parse_names,
    word_length,
)
from acx.matching.options import MatchOptions
from acx.matching.text import Text, Values
from acx.records.account import FIELDS as COLUMNS
from acx.records.account import Account

CODES: Final = 3
"""Codes of a value, one for each of its field's levels."""

FIELD_BITS: Final = 0xFF
SUPPORTS: Final = 0x100
"""Flag of a value that another field gave: it can agree, its absence or difference says nothing."""
FROM_NAME: Final = 0x200
"""Flag of a value made of the account's own name: it agrees whenever the names do."""

SHORTEST_MARK: Final = 3
"""Letters of a word that make a mailbox one of the name."""
MARKING_NAMES: Final = 16
"""Names of an account that are looked for in its mailboxes."""

TAIL: Final = 8
"""Digits at the end of an account number that identify it inside an IBAN."""

BIRTH_DATE: Final = NUMBERS["birth_date"]

WORD_AND_DATE_KEY: Final = np.uint64(161)


class Profiles(NamedTuple):
    """One side's accounts.

    Attributes:
        starts: row i's values are `starts[i]:starts[i + 1]`, sorted by field.
        about: the number of each value's field in the model, and its flags.
        codes: values × levels, 0 where a value has no such level.
        names: the names.
        addresses: the addresses.
        images: the image hashes.
    """

    starts: I64
    about: I64
    codes: U64
    names: Names
    addresses: Addresses
    images: Images


def of_frame(accounts: pl.DataFrame, options: MatchOptions, *, subjects: bool = False) -> Profiles:
    """Prepare a frame of accounts; columns that are missing count as empty.

    Args:
        accounts: with columns of an account.
        options: how to match.
        subjects: they are those who may be found.
    """
    if options.matching_key is not None:
        accounts = digest_frame(
            accounts, options.matching_key, options.default_country, every=not subjects
        )
    empty = Values(np.zeros(len(accounts) + 1, np.int64), text.text_of([]))
    columns = {
        column: text.lists_column(accounts[column]) if column in accounts.columns else empty
        for column in COLUMNS
        if column != "id"
    }
    return _prepare(columns, len(accounts), options.default_country)


def of_account(account: Account, options: MatchOptions) -> Profiles:
    """Prepare one account."""
    if options.matching_key is not None:
        account = digest_account(account, options.matching_key, options.default_country)
    columns = {}
    for column in COLUMNS[1:]:
        value = getattr(account, column)
        values = ([value] if value else []) if isinstance(value, str) else value
        columns[column] = Values(np.array([0, len(values)], np.int64), text.text_of(values))
    return _prepare(columns, 1, options.default_country)


class _Source(NamedTuple):
    """Values of one field: what each is, their rows' starts, their codes."""

    about: I64
    starts: I64
    codes: U64


def _prepare(columns: dict[str, Values], rows: int, default_country: str) -> Profiles:
    plain = {
        column: Values(values.starts, text.fold(values.text, text.PLAIN))
        for column, values in columns.items()
        if column not in ("name", "alias", "related", "address")
    }
    parsed, roles = _together([columns["name"], columns["alias"], columns["related"]], rows)
    folded = Values(parsed.starts, text.fold(parsed.text, text.NAME))
    profile_names = parse_names(folded, roles)
    sources = _sources(plain, profile_names, default_country)
    where = columns["address"]
    starts, about, codes = _by_row(sources, rows)
    return Profiles(
        starts,
        about,
        codes,
        profile_names,
        parse_addresses(Values(where.starts, text.fold(where.text, text.ADDRESS))),
        parse_images(plain["image_hash"]),
    )


def _sources(plain: dict[str, Values], names: Names, default_country: str) -> list[_Source]:
    """The codes of every field that is compared by equality."""
    found = []

    def add(field: str, starts: I64, codes: U64, flags: I64 | int = 0) -> None:
        if codes.any():
            about = np.full(len(codes), NUMBERS[field], np.int64) | flags
            found.append(_Source(about, starts, codes))

    def made_of_names(values: Values) -> I64:
        flags = np.zeros(len(values.text.offsets) - 1, np.int64)
        _mark_made_of_names(values, names, flags)
        return flags

    def blank(values: Values) -> U64:
        return np.zeros((len(values.text.offsets) - 1, CODES), np.uint64)

    email = plain["email"]
    codes, stems, domains = blank(email), blank(email), blank(email)
    if len(codes):
        emails.email_codes(email.text, codes, stems[:, 1], domains[:, 2])
        flags = made_of_names(email)
        add("email", email.starts, codes, flags)
        add("handle", email.starts, stems, flags | SUPPORTS)
        common = np.isin(domains[:, 2], websites.mail_providers())
        domains[common] = 0
        add("website", email.starts, domains, SUPPORTS)
    codes = blank(plain["website"])
    if len(codes):
        websites.website_codes(plain["website"].text, websites.public_suffixes(), codes)
        codes[:, 2] = codes[:, 1]
        add("website", plain["website"].starts, codes)
    calling = _calling_codes(plain["country"], default_country)
    contact = plain["contact"]
    codes, numeric = blank(contact), np.zeros(len(contact.text.offsets) - 1, np.uint64)
    if len(codes):
        numbers.nickname_codes(contact.text, 6, codes, numeric)
        nick = codes.copy()
        nick[:, 0] = 0
        codes[:, 1] = 0
        add("contact", contact.starts, codes)
        add("handle", contact.starts, nick, made_of_names(contact) | SUPPORTS)
        called = blank(contact)
        phones.phone_codes(contact.text, calling[_rows_of(contact.starts)], called)
        called[numeric == 0] = 0
        add("phone", contact.starts, called, SUPPORTS)
    codes = blank(plain["handle"])
    if len(codes):
        numbers.nickname_codes(plain["handle"].text, 5, codes, np.zeros(len(codes), np.uint64))
        add("handle", plain["handle"].starts, codes, made_of_names(plain["handle"]))
    phone = plain["phone"]
    codes = blank(phone)
    if len(codes):
        phones.phone_codes(phone.text, calling[_rows_of(phone.starts)], codes)
        add("phone", phone.starts, codes)
    for column in ("bank_account", "tax_id", "registration_no", "id_document"):
        codes = blank(plain[column])
        if len(codes):
            numbers.number_codes(plain[column].text, TAIL if column == "bank_account" else 0, codes)
            add(column, plain[column].starts, codes)
    for column in ("country", "kind", "ip", "device"):
        codes = blank(plain[column])
        if len(codes):
            numbers.plain_codes(plain[column].text, codes)
            add(column, plain[column].starts, codes)
    codes = blank(plain["birth_date"])
    if len(codes):
        numbers.date_codes(plain["birth_date"].text, codes)
        add("birth_date", plain["birth_date"].starts, codes)
    return sorted(found, key=lambda source: int(source.about[0]) & FIELD_BITS)


@kernel
def _mark_made_of_names(values: Values, names: Names, flags: I64) -> None:
    """Set `FROM_NAME` where a mailbox or nickname has a word of the account's own names in it."""
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
            for w in range(bounds[entries[row]], bounds[last]):
                length = word_length(words, w)
                if length >= SHORTEST_MARK and _contains(data, offsets[v], end, words, w, length):
                    flags[v] = FROM_NAME
                    break


@inner
def _contains(data: U8, start: int, end: int, words: U64, w: int, length: int) -> bool:
    for i in range(start, end - length + 1):
        place = 0
        while place < length and data[i + place] == letter_of(words, w, place):
            place += 1
        if place == length:
            return True
    return False


def _rows_of(starts: I64) -> I64:
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


def _calling_codes(country: Values, default_country: str) -> I64:
    """Calling code of each row's first country, of the default country, 0 if there is none."""
    codes = np.zeros((len(country.text.offsets), 1), np.uint64)
    numbers.plain_codes(country.text, codes[:-1])
    codes[-1] = text.hash_text(default_country.lower())
    known, called = phones.calling_codes()
    place = np.searchsorted(known, codes[:, 0])
    place[place == len(known)] = 0
    found = np.where(known[place] == codes[:, 0], called[place], 0)
    calling = np.full(len(country.starts) - 1, found[-1])
    some = np.flatnonzero(np.diff(country.starts))
    calling[some] = found[country.starts[some]]
    return calling


def _together(columns: list[Values], rows: int) -> tuple[Values, U8]:
    """Values of several columns row by row, and which column each is of."""
    if rows == 1:
        data = np.concatenate([column.text.data for column in columns])
        sizes = np.concatenate([np.diff(column.text.offsets) for column in columns])
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        counts = [len(column.text.offsets) - 1 for column in columns]
        roles = np.repeat(np.arange(len(columns), dtype=np.uint8), counts)
        return Values(np.array([0, len(sizes)], np.int64), Text(data, offsets)), roles
    starts = np.zeros(rows + 1, np.int64)
    for column in columns:
        starts += column.starts
    order_role = np.empty(starts[-1], np.uint8)
    sizes = np.empty(starts[-1], np.int64)
    source = np.empty(starts[-1], np.int64)
    filled = starts[:-1].copy()
    for role, column in enumerate(columns):
        counts = np.diff(column.starts)
        place = np.repeat(filled - column.starts[:-1], counts) + np.arange(column.starts[-1])
        order_role[place] = role
        sizes[place] = np.diff(column.text.offsets)
        source[place] = column.text.offsets[:-1]
        filled += counts
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    data = np.empty(offsets[-1], np.uint8)
    for role, column in enumerate(columns):
        chosen = np.flatnonzero(order_role == role)
        _gather(column.text.data, source[chosen], sizes[chosen], data, offsets[:-1][chosen])
    return Values(starts, Text(data, offsets)), order_role


@kernel
def _gather(data: U8, at: I64, size: I64, out: U8, to: I64) -> None:
    for v in range(len(at)):
        for i in range(size[v]):
            out[to[v] + i] = data[at[v] + i]


def _by_row(sources: list[_Source], rows: int) -> tuple[I64, I64, U64]:
    """Values of all fields row by row, each row's sorted by field."""
    starts = np.zeros(rows + 1, np.int64)
    for source in sources:
        starts += source.starts
    about = np.empty(starts[-1], np.int64)
    codes = np.empty((starts[-1], CODES), np.uint64)
    filled = starts[:-1].copy()
    for source in sources:
        counts = np.diff(source.starts)
        place = np.repeat(filled - source.starts[:-1], counts) + np.arange(source.starts[-1])
        about[place] = source.about
        codes[place] = source.codes
        filled += counts
    return starts, about, codes


@inner
def value_key(code: np.uint64, field: int, level: int) -> np.uint64:
    """The key of a value at a level, which also counts how common it is."""
    return salted(code, np.uint64(4 * field + level + 1))


@inner
def most_keys(profiles: Profiles, row: int) -> int:
    """No row has more keys than this."""
    values = profiles.starts[row + 1] - profiles.starts[row]
    pictures = profiles.images.starts[row + 1] - profiles.images.starts[row]
    of_names = most_name_keys(profiles.names, row)
    of_addresses = most_address_keys(profiles.addresses, row)
    return CODES * values + 2 * of_names + of_addresses + BANDS * pictures


@inner
def row_keys(profiles: Profiles, row: int, keys: U64) -> int:
    """Keys of a row, sorted, each once, at the beginning of `keys`; returns how many."""
    n = 0
    born = np.uint64(0)
    starts, about, codes = profiles.starts, profiles.about, profiles.codes
    for v in range(starts[row], starts[row + 1]):
        field = about[v] & FIELD_BITS
        if field == BIRTH_DATE:
            born = codes[v, 0]
        for level in range(CODES):
            if codes[v, level] != 0:
                keys[n] = value_key(codes[v, level], field, level)
                n += 1
    names = profiles.names
    n = name_keys(names, row, keys, n)
    if born != 0:
        entries, bounds, words = names.starts, names.first, names.words
        for w in range(bounds[entries[row]], bounds[entries[row + 1]]):
            keys[n] = salted(words[w, SOUND] + born, WORD_AND_DATE_KEY)
            n += 1
    n = address_keys(profiles.addresses, row, keys, n)
    n = image_keys(profiles.images, row, keys, n)
    sort(keys, n)
    kept = 0
    for i in range(n):
        if kept == 0 or keys[kept - 1] != keys[i]:
            keys[kept] = keys[i]
            kept += 1
    return kept


@kernel
def _bounds(profiles: Profiles, bounds: I64) -> None:
    """Fill with where each row's keys begin at the latest."""
    for row in range(len(bounds) - 1):
        bounds[row + 1] = bounds[row] + most_keys(profiles, row)


@kernel
def _fill_keys(profiles: Profiles, keys: U64, rows: I32, buffer: U64) -> int:
    n = 0
    for row in range(len(profiles.starts) - 1):
        count = row_keys(profiles, row, buffer)
        for i in range(count):
            keys[n] = buffer[i]
            rows[n] = row
            n += 1
    return n


def all_keys(profiles: Profiles) -> tuple[U64, I32]:
    """Keys of all rows, and whose each is."""
    bounds = key_bounds(profiles)
    keys = np.empty(bounds[-1], np.uint64)
    rows = np.empty(bounds[-1], np.int32)
    buffer = np.empty(int(np.diff(bounds).max(initial=0)), np.uint64)
    n = _fill_keys(profiles, keys, rows, buffer)
    return keys[:n].copy(), rows[:n].copy()


def key_bounds(profiles: Profiles) -> I64:
    """Offsets between which each row's keys have room."""
    bounds = np.zeros(len(profiles.starts), np.int64)
    _bounds(profiles, bounds)
    return bounds
