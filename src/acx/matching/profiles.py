"""Accounts prepared for comparison: every field in codes, row by row.

The same kernels prepare one account and a million: only the way from records to columns of text
differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

import numpy as np
import polars as pl

from acx.matching import text
from acx.matching.addresses import Addresses, parse_addresses
from acx.matching.compiled import I64, U8, U64, kernel
from acx.matching.digests import digest_account, digest_frame
from acx.matching.images import Images, parse_images
from acx.matching.names import Names, parse_names
from acx.matching.options import MatchOptions
from acx.matching.text import Text, Values
from acx.matching.values import code_values
from acx.records.account import FIELDS, SCALAR_FIELDS, Account

NAME_COLUMNS: Final = ("name", "alias", "related")
"""Columns of names, in the order of their roles."""
ADDRESS_COLUMNS: Final = ("address",)
PLAIN_COLUMNS: Final = tuple(
    column for column in FIELDS if column not in ("id", *NAME_COLUMNS, *ADDRESS_COLUMNS)
)


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
    country = options.default_country
    if subjects and options.subjects_country is not None:
        country = options.subjects_country
    if options.matching_key is not None:
        accounts = digest_frame(accounts, options.matching_key, country, every=not subjects)
    rows = len(accounts)
    empty = Values(np.zeros(rows + 1, np.int64), text.text_of([]))
    columns = {
        column: text.lists_column(accounts[column]) if column in accounts.columns else empty
        for column in FIELDS[1:]
    }
    return _prepare(columns, rows, country)


def of_account(account: Account, options: MatchOptions) -> Profiles:
    """Prepare one account."""
    if options.matching_key is not None:
        account = digest_account(account, options.matching_key, options.default_country)
    columns = {}
    nothing = Values(np.zeros(2, np.int64), text.text_of([]))
    for column in FIELDS[1:]:
        value = getattr(account, column)
        if value:
            values = [value] if column in SCALAR_FIELDS else value
            columns[column] = Values(np.array([0, len(values)], np.int64), text.text_of(values))
        else:
            columns[column] = nothing
    return _prepare(columns, 1, options.default_country)


def joined(parts: Sequence[Profiles]) -> Profiles:
    """Profiles of several frames as those of one."""
    return cast("Profiles", _joined(parts))


def _joined(parts: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    first = parts[0]
    columns: list[Any] = []
    for name, *arrays in zip(first._fields, *parts, strict=True):  # type: ignore[attr-defined]
        if isinstance(arrays[0], tuple):
            columns.append(_joined(arrays))
        elif name in ("starts", "first"):
            columns.append(_joined_offsets(arrays))
        else:
            columns.append(np.concatenate(arrays))
    return type(first)(*columns)


def _joined_offsets(parts: Sequence[I64]) -> I64:
    ends = np.cumsum([0, *(part[-1] for part in parts)])
    moved = [part[1:] + end for part, end in zip(parts, ends[:-1], strict=True)]
    return np.concatenate([parts[0][:1], *moved])


def selected(profiles: Profiles, rows: I64) -> Profiles:
    """Some rows of profiles, in the order given."""
    places, starts = _places(profiles.starts, rows)
    names, addresses, images = profiles.names, profiles.addresses, profiles.images
    entries, name_starts = _places(names.starts, rows)
    words, first_words = _places(names.first, entries)
    places_of_addresses, address_starts = _places(addresses.starts, rows)
    parts, first_parts = _places(addresses.first, places_of_addresses)
    pictures, picture_starts = _places(images.starts, rows)
    return Profiles(
        starts,
        profiles.about[places],
        profiles.codes[places],
        Names(
            name_starts, first_words, names.role[entries], names.about[entries], names.words[words]
        ),
        Addresses(address_starts, first_parts, addresses.parts[parts]),
        Images(picture_starts, images.bits[pictures]),
    )


def _places(starts: I64, rows: I64) -> tuple[I64, I64]:
    """Places of all values of some rows, and where each row's then start."""
    counts = starts[rows + 1] - starts[rows]
    moved = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=moved[1:])
    places = np.arange(moved[-1]) + np.repeat(starts[rows] - moved[:-1], counts)
    return places, moved


def held_of(profiles: Profiles, row: int) -> list[tuple[str, Any, int, int]]:
    """Where all that is known of a row is: the array's name and itself, first and last element."""
    names, addresses, images = profiles.names, profiles.addresses, profiles.images
    values = profiles.starts[row], profiles.starts[row + 1]
    entries = names.starts[row], names.starts[row + 1]
    words = names.first[entries[0]], names.first[entries[1]]
    parts = addresses.first[addresses.starts[row]], addresses.first[addresses.starts[row + 1]]
    pictures = images.starts[row], images.starts[row + 1]
    return [
        ("about", profiles.about, *values),
        ("codes", profiles.codes, *values),
        ("names.role", names.role, *entries),
        ("names.about", names.about, *entries),
        ("names.words", names.words, *words),
        ("addresses.parts", addresses.parts, *parts),
        ("images.bits", images.bits, *pictures),
    ]


def _prepare(columns: dict[str, Values], rows: int, default_country: str) -> Profiles:
    plain = dict(zip(PLAIN_COLUMNS, _folded(columns, PLAIN_COLUMNS, text.PLAIN), strict=True))
    (addresses,) = _folded(columns, ADDRESS_COLUMNS, text.ADDRESS)
    names = parse_names(*_by_row(_folded(columns, NAME_COLUMNS, text.NAME), rows))
    return Profiles(
        *code_values(plain, names, default_country),
        names,
        parse_addresses(addresses),
        parse_images(plain["image_hash"]),
    )


def _folded(columns: dict[str, Values], chosen: Sequence[str], kind: int) -> list[Values]:
    """Some columns folded, all at once."""
    texts = [columns[column].text for column in chosen]
    folded = text.fold(text.joined(texts), kind)
    ends = np.cumsum([len(each.offsets) - 1 for each in texts])
    return [
        Values(
            columns[column].starts,
            Text(folded.data, folded.offsets[end - len(each.offsets) + 1 : end + 1]),
        )
        for column, each, end in zip(chosen, texts, ends, strict=True)
    ]


def _by_row(columns: list[Values], rows: int) -> tuple[Values, U8]:
    """Values of several columns of one text row by row, and which column each is of."""
    starts = np.zeros(rows + 1, np.int64)
    for column in columns:
        starts += column.starts
    role = np.empty(starts[-1], np.uint8)
    source = np.empty((starts[-1], 2), np.int64)
    filled = starts[:-1].copy()
    for number, column in enumerate(columns):
        counts = np.diff(column.starts)
        place = np.repeat(filled - column.starts[:-1], counts) + np.arange(column.starts[-1])
        role[place] = number
        source[place, 0] = column.text.offsets[:-1]
        source[place, 1] = column.text.offsets[1:]
        filled += counts
    offsets = np.zeros(len(source) + 1, np.int64)
    np.cumsum(source[:, 1] - source[:, 0], out=offsets[1:])
    data = np.empty(offsets[-1], np.uint8)
    _copy(columns[0].text.data, source, data)
    return Values(starts, Text(data, offsets)), role


@kernel
def _copy(data: U8, source: I64, out: U8) -> None:
    n = 0
    for v in range(len(source)):
        for i in range(source[v, 0], source[v, 1]):
            out[n] = data[i]
            n += 1
