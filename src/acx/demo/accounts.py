"""Between rows of a frame and accounts, and chance that depends on a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import polars as pl

from acx.demo.sellers import SCHEMA
from acx.records.account import FIELDS, Account


def by_row(frame: pl.DataFrame) -> list[Account]:
    """The rows of a frame as accounts."""
    return msgspec.convert(frame.to_dicts(), list[Account])


def as_frame(accounts: Iterable[Account]) -> pl.DataFrame:
    """Accounts as a frame of `SCHEMA`."""
    rows = [{name: getattr(account, name) for name in FIELDS} for account in accounts]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def rng_for(seed: int, purpose: object) -> random.Random:
    """A source of chance of its own for each purpose, the same on every machine."""
    return random.Random(f"{seed}/{purpose}")  # noqa: S311 -- invented data, no secret
