"""Accounts prepared for comparison: codes per field and level, parsed names, and keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from acx.matching.addresses import address_codes, address_values
from acx.matching.columns import I64, U64, Ragged, expand
from acx.matching.model import FIELDS, Field
from acx.matching.names import Names, name_keys, parse_names
from acx.matching.values import VALUES, Side, latin_addresses, ragged
from acx.records.account import FIELDS as COLUMNS
from acx.records.account import SCALAR_FIELDS


@dataclass(frozen=True, slots=True)
class Profiles:
    """One side's accounts, row by row.

    Attributes:
        ids: the accounts' own ids.
        fields: codes of the model's fields.
        names: the parsed names.
    """

    ids: pl.Series
    fields: dict[str, Ragged]
    names: Names

    def __len__(self) -> int:
        return len(self.ids)


def prepare(accounts: pl.DataFrame, side: Side) -> Profiles:
    """Parse accounts into profiles; columns that are missing count as empty."""
    frame = accounts.select(
        pl.col(column)
        if column in accounts.columns
        else pl.lit(
            "" if column in SCALAR_FIELDS else [],
            pl.String if column in SCALAR_FIELDS else pl.List(pl.String),
        ).alias(column)
        for column in COLUMNS
    )
    fields = {field.name: _codes(field, frame, side) for field in FIELDS}
    return Profiles(frame["id"].fill_null(""), fields, parse_names(frame))


def _codes(field: Field, frame: pl.DataFrame, side: Side) -> Ragged:
    if field.name == "address":
        return address_codes(address_values(latin_addresses(frame)), len(frame))
    return ragged(field, VALUES[field.name](frame, side), len(frame))


def counted(profiles: Profiles) -> tuple[I64, U64]:
    """Every code whose frequency matters, as (row, key), each once a row.

    These are all the levels' codes and the names' keys; those of `key` levels make candidates too.
    """
    rows, keys = [], []
    for field in FIELDS:
        values = profiles.fields[field.name]
        row = np.repeat(np.arange(len(profiles)), np.diff(values.starts))
        for codes in values.codes:
            present = codes != 0
            rows.append(row[present])
            keys.append(codes[present])
    names = profiles.names
    owner, key = name_keys(names)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(names.words) + 1))
    row = np.repeat(np.arange(len(profiles)), np.diff(names.starts))
    entry, position = expand(starts, names.name)
    rows.append(row[entry])
    keys.append(key[order][position])
    return _once(np.concatenate(rows), np.concatenate(keys))


def _once(rows: I64, keys: U64) -> tuple[I64, U64]:
    frame = (
        pl.DataFrame({"row": rows.astype(np.uint32), "key": keys})
        .unique(maintain_order=False)
        .sort("row", "key")
    )
    return frame["row"].to_numpy().astype(np.int64), frame["key"].to_numpy()
