"""Digested fields: both sides in the writing in which values leave a member.

Reports carry bank accounts, documents, devices and addresses on the net as keyed digests. With the
exchange's matching key an account's plain values are digested too, in every writing under which
another member may have reported them, and compared as the digests they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from acx.records.account import DIGESTED_FIELDS, Account
from acx.records.normalise import NotNormalisable, digest_all, digest_column

SEVERAL_WRITINGS = ("bank_account", "id_document")
"""Fields whose values may have been reported in another writing; the others have only one."""


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
    columns = []
    for field in DIGESTED_FIELDS:
        if field not in accounts.columns or accounts[field].list.len().sum() == 0:
            continue
        if every and field in SEVERAL_WRITINGS:
            columns.append(_every_writing(accounts, field, matching_key, default_country))
        else:
            columns.append(digest_column(field, accounts[field], matching_key).alias(field))
    return accounts.with_columns(columns)


def _every_writing(
    accounts: pl.DataFrame, field: str, matching_key: bytes, default_country: str
) -> pl.Series:
    values = accounts[field]
    some = np.flatnonzero((values.list.len().fill_null(0) > 0).to_numpy())
    countries: Sequence[Sequence[str] | None] = (
        accounts["country"].gather(some).to_list()
        if "country" in accounts.columns
        else [None] * len(some)
    )
    written: list[list[str]] = [[] for _ in range(len(accounts))]
    for row, each, own in zip(some, values.gather(some).to_list(), countries, strict=True):
        written[row] = list(_writings(field, each, own or (), matching_key, default_country))
    return pl.Series(field, written, dtype=pl.List(pl.String))


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
