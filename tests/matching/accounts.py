"""Accounts and frames for the tests of matching."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl

from acx.matching import MatchOptions, match
from acx.records.account import FIELDS, SCALAR_FIELDS, Account

SCHEMA = pl.Schema(
    {name: pl.String() if name in SCALAR_FIELDS else pl.List(pl.String()) for name in FIELDS}
)


def frame(accounts: Iterable[Account]) -> pl.DataFrame:
    """Accounts as a frame, as files give them."""
    rows = [
        {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
        for fields in map(msgspec.structs.asdict, accounts)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def account(record: dict[str, Any], **more: Any) -> Account:
    """An account of a JSON object."""
    return msgspec.convert(record | more, Account)


def hits(accounts: Iterable[Account], subjects: Iterable[Account], **options: Any) -> list[Any]:
    """Rows of `match`."""
    found = match(frame(accounts), frame(subjects), options=MatchOptions(**options))
    return found.rows(named=True)


def levels(accounts: Iterable[Account], subjects: Iterable[Account]) -> dict[Any, str]:
    """(account id, subject id) ► level."""
    return {
        (row["account_id"], row["subject_id"]): row["level"] for row in hits(accounts, subjects)
    }
