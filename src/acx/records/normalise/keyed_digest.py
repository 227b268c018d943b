"""Keyed digests: what leaves of a bank account, document, device or address.

Two members that know the same account make the same digest and find each other; nobody hands raw
passports and accounts round.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Final

import polars as pl

from acx.records.files.cells import as_lists
from acx.records.normalise.column import normalise_column
from acx.records.normalise.rules import is_digest, normalise, normalise_all

PREFIX: Final = "h1:"


def digest(
    field: str,
    value: str,
    matching_key: bytes,
    countries: Sequence[str] = (),
    default_country: str = "",
) -> str:
    """The keyed digest of one value; a value that is one already stands.

    Args:
        field: a field of an account.
        value: as a store wrote it.
        matching_key: of the exchange, 32 bytes, from the invite.
        countries: the account's countries.
        default_country: tried after them.

    Returns:
        `h1:` and 64 hex digits.

    Raises:
        NotNormalisable: the value is not of the field's kind.

    Source: RFC 2104; docs/reference/normalisation.md.
    """
    return _of_normalised(field, normalise(field, value, countries, default_country), matching_key)


def digest_all(
    field: str,
    value: str,
    matching_key: bytes,
    countries: Sequence[str] = (),
    default_country: str = "",
) -> tuple[str, ...]:
    """The digest of every writing that a value may stand for, that of `digest` first.

    Args:
        field: a field of an account.
        value: as a store wrote it.
        matching_key: of the exchange.
        countries: the account's countries.
        default_country: tried after them.

    Raises:
        NotNormalisable: the value is not of the field's kind.
    """
    writings = normalise_all(field, value, countries, default_country)
    return tuple(_of_normalised(field, writing, matching_key) for writing in writings)


def digest_column(
    field: str,
    values: pl.Series,
    matching_key: bytes,
    countries: pl.Series | None = None,
    default_country: str = "",
) -> pl.Series:
    """`digest` for a column; null where a value is not of the field's kind.

    Args:
        field: a field of an account.
        values: strings or lists of strings.
        matching_key: of the exchange.
        countries: lists of each row's countries.
        default_country: tried after them.
    """
    normalised = normalise_column(field, values, countries, default_country)
    if normalised.dtype == pl.List(pl.String):
        length = normalised.list.len().fill_null(0).to_numpy()
        flat = normalised.filter(pl.Series(length > 0)).explode()
        return as_lists(_column(field, flat, matching_key), length)
    return _column(field, normalised, matching_key)


def _column(field: str, normalised: pl.Series, matching_key: bytes) -> pl.Series:
    digests = [
        None if value is None else _of_normalised(field, value, matching_key)
        for value in normalised.to_list()
    ]
    return pl.Series(normalised.name, digests, dtype=pl.String)


def _of_normalised(field: str, value: str, matching_key: bytes) -> str:
    if is_digest(value):
        return value
    message = field.encode() + b"\0" + value.encode()
    return PREFIX + hmac.digest(matching_key, message, "sha256").hex()
