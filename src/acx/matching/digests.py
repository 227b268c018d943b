"""Digested fields: both sides in the writing in which values leave a member.

Reports carry bank accounts, documents, devices and addresses on the net as keyed digests. With the
exchange's matching key an account's plain values are digested too, in every writing under which
another member may have reported them, and compared as the digests they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from acx.matching.sha256 import hmac_text
from acx.matching.text import lists_column
from acx.records.account import DIGESTED_FIELDS, Account
from acx.records.files.cells import as_lists
from acx.records.normalise import (
    NotNormalisable,
    digest_all,
    normalise_all_column,
    normalise_column,
)
from acx.records.normalise.keyed_digest import PREFIX


def digest_account(account: Account, matching_key: bytes, default_country: str) -> Account:
    """An account with the values of `DIGESTED_FIELDS` digested; what has no digest is left out."""
    import msgspec

    changes = {
        field: tuple(_writings(field, values, account.country, matching_key, default_country))
        for field in DIGESTED_FIELDS
        if (values := getattr(account, field))
    }
    return msgspec.structs.replace(account, **changes) if changes else account


def digest_frame(
    accounts: pl.DataFrame, matching_key: bytes, default_country: str, *, every: bool
) -> pl.DataFrame:
    """Likewise for a frame.

    Args:
        accounts: with the columns of an account.
        matching_key: the exchange's.
        default_country: tried after each account's countries.
        every: in every writing; else only in the one in which an account is reported.
    """
    countries = accounts["country"] if "country" in accounts.columns else None
    columns = []
    for field in DIGESTED_FIELDS:
        if field not in accounts.columns or accounts[field].list.len().sum() == 0:
            continue
        written = (
            normalise_all_column(field, accounts[field], countries, default_country)
            if every
            else normalise_column(field, accounts[field])
        )
        columns.append(_digested(field, written, matching_key))
    return accounts.with_columns(columns)


def _digested(field: str, written: pl.Series, matching_key: bytes) -> pl.Series:
    """Digests of normalised values; what is a digest already stands."""
    written = written.list.drop_nulls()
    values = lists_column(written)
    text = hmac_text(values.text, matching_key, field.encode() + b"\0")
    flat = written.explode(empty_as_null=False, keep_nulls=False)
    digests = pl.Series(
        field,
        pa.LargeStringArray.from_buffers(
            len(flat), pa.py_buffer(text.offsets), pa.py_buffer(text.data)
        ),
    )
    kept = flat.str.starts_with(PREFIX)
    return as_lists(flat.zip_with(kept, digests), np.diff(values.starts)).alias(field)


def _writings(
    field: str,
    values: Sequence[str | None],
    countries: Sequence[str],
    matching_key: bytes,
    default_country: str,
) -> Sequence[str]:
    found: dict[str, None] = {}
    for value in values:
        if value:
            try:
                found |= dict.fromkeys(
                    digest_all(field, value, matching_key, countries, default_country)
                )
            except NotNormalisable:
                # No value of the field, so nobody can have reported it.
                continue
    return tuple(found)
