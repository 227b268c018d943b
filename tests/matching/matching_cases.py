"""Accounts to match, written as one would say them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
import polars as pl

from acx.demo.accounts import as_frame
from acx.demo.sellers import ordinary
from acx.records.account import Account

CROWD_SIZE = 3000


def account(identifier: str, **fields: object) -> Account:
    """An account; single strings stand for lists of one."""
    values = {
        name: (value,) if isinstance(value, str) and name not in ("kind", "birth_date") else value
        for name, value in fields.items()
    }
    return msgspec.convert({"id": identifier, **values}, Account)


def frame(*accounts: Account) -> pl.DataFrame:
    """Accounts as the matcher takes them."""
    return as_frame(accounts)


@cache
def crowd(size: int = CROWD_SIZE, seed: int = 7) -> pl.DataFrame:
    """Ordinary sellers, from whom the matcher learns what is common."""
    return ordinary(size, seed)


def pairs(hits: pl.DataFrame) -> dict[tuple[str, str], str]:
    """Level by account and subject."""
    return {
        (a, s): level for a, s, level in hits.select("account_id", "subject_id", "level").rows()
    }


def in_a_crowd(accounts: Sequence[Account], crowd_seed: int = 7) -> pl.DataFrame:
    """Accounts among ordinary sellers."""
    return pl.concat([frame(*accounts), crowd(seed=crowd_seed)])
