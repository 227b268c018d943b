"""Links: pairs of accounts that share a value which few have.

Each shared value weighs what the matcher says an agreement on it is worth (`acx.matching.model`),
by how common it is among the accounts at hand. A value of very many accounts, a forwarder's address
or an agent's telephone, is a hub: it is told, and links nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from acx.matching.frequencies import CLUSTER, ELSEWHERE
from acx.matching.model import FIELDS as MODEL
from acx.records.account import DIGESTED_FIELDS
from acx.records.normalise import (
    digest_column,
    mailbox,
    map_unique,
    normalise_column,
    registered_domain,
)

HUB: Final = 50
"""Accounts from which on a value is a hub: whoever shares it need not know the others."""
LEAST_BITS: Final = 8.0
"""Bits from which a link counts: odds of 256 to one against chance."""
LINKING: Final = (
    "email",
    "phone",
    "bank_account",
    "tax_id",
    "registration_no",
    "id_document",
    "website",
    "contact",
    "handle",
    "address",
    "device",
    "ip",
    "image_hash",
)
"""Fields of which one value may belong to several accounts."""
_OF_COUNTRY: Final = frozenset({"phone", "tax_id", "registration_no", "bank_account", "address"})
PERSON: Final = "person"
"""A natural person: named as an account's own name, or as an owner or director of another."""
_PERSON_BITS: Final = 15.0
"""Most that a person's name is worth: namesakes there are everywhere."""


@dataclass(frozen=True, slots=True)
class Links:
    """What links accounts.

    Attributes:
        accounts: `id` by node number.
        shared: a row for each value of a linked pair: `a`, `b` (node numbers, a < b), `field`,
            `value`, `sharers` and `bits`.
        pairs: a row for each link: `a`, `b`, `bits` (all values together), `weight` (for
            clustering: each value's bits through its sharers but one, so that a value links no more
            in all because more share it).
        hubs: `field`, `value`, `sharers` of what too many share, most first.

    Source of the weight: M. E. J. Newman, «Scientific collaboration networks. II», Physical
    Review E 64 (2001), equation 2.
    """

    accounts: pl.Series
    shared: pl.DataFrame
    pairs: pl.DataFrame
    hubs: pl.DataFrame


def find_links(
    accounts: pl.DataFrame,
    *,
    matching_key: bytes | None = None,
    default_country: str = "",
    hub: int = HUB,
    least_bits: float = LEAST_BITS,
) -> Links:
    """Find every link among accounts.

    Args:
        accounts: a table with the fields of an account; digests stay as they are.
        matching_key: of the exchange; with it, plain values of fields that leave as digests are
            digested, so that a store's own sellers link to reports.
        default_country: where national numbers are tried last.
        hub: accounts from which on a value links nobody.
        least_bits: links of less are left out.

    Returns:
        Links, strongest first.
    """
    values = _values(accounts, matching_key, default_country)
    counted = values.with_columns(pl.len().over("field", "value").alias("sharers"))
    common = counted.filter(pl.col("sharers") >= 2)
    hubs = (
        common.filter(pl.col("sharers") >= hub)
        .group_by("field", "value")
        .agg(pl.col("sharers").first())
        .sort("sharers", "field", "value", descending=[True, False, False])
    )
    rare = common.filter(pl.col("sharers") < hub).sort("field", "value", "node")
    weighed = rare.join(_worth(rare, len(accounts)), on=("field", "sharers"))
    shared = (
        weighed.join(weighed.select("field", "value", b="node"), on=("field", "value"))
        .filter(pl.col("node") < pl.col("b"))
        .select(pl.col("node").alias("a"), "b", "field", "value", "sharers", "bits")
    )
    pairs = (
        shared.group_by("a", "b")
        .agg(
            pl.col("bits").sum(),
            (pl.col("bits") / (pl.col("sharers") - 1)).sum().alias("weight"),
        )
        .filter(pl.col("bits") >= least_bits)
        .sort("bits", "a", "b", descending=[True, False, False])
    )
    kept = shared.join(pairs.select("a", "b"), on=("a", "b"), how="semi").sort(
        "a", "b", "bits", "field", "value", descending=[False, False, True, False, False]
    )
    return Links(accounts["id"], kept, pairs, hubs)


def _values(
    accounts: pl.DataFrame, matching_key: bytes | None, default_country: str
) -> pl.DataFrame:
    """Every value that could link: `node`, `field`, `value`, each once an account."""
    parts = []
    for field in LINKING:
        values = accounts[field]
        homes = accounts["country"] if field in _OF_COUNTRY else None
        if field in DIGESTED_FIELDS and matching_key is not None:
            written = digest_column(field, values, matching_key, homes, default_country)
        elif field in DIGESTED_FIELDS:
            written = values
        else:
            written = normalise_column(field, values, homes, default_country)
        flat = _flat(field, written)
        if field == "email":
            flat = flat.with_columns(map_unique(flat["value"], mailbox).alias("value"))
        elif field == "website":
            flat = flat.with_columns(map_unique(flat["value"], registered_domain).alias("value"))
        parts.append(flat)
    own = accounts.select(
        pl.when(pl.col("kind") == "organization")
        .then(pl.lit([], pl.List(pl.String)))
        .otherwise(pl.col("name"))
        .alias("name")
    )["name"]
    for field, values in (("name", own), ("related", accounts["related"])):
        flat = _flat(PERSON, normalise_column(field, values))
        words = pl.col("value").str.split(" ").list.sort()
        # One word is a first name or a nickname, which many have.
        parts.append(
            flat.filter(pl.col("value").str.contains(" ")).with_columns(words.list.join(" "))
        )
    return pl.concat(parts).drop_nulls().unique()


def _flat(field: str, lists: pl.Series) -> pl.DataFrame:
    length = lists.list.len().fill_null(0).to_numpy()
    return pl.DataFrame(
        {
            "node": pl.Series(np.repeat(np.arange(len(lists)), length), dtype=pl.Int64),
            "field": pl.Series([field], dtype=pl.String).new_from_index(0, int(length.sum())),
            "value": lists.filter(pl.Series(length > 0)).explode().cast(pl.String),
        }
    )


def _worth(rare: pl.DataFrame, accounts: int) -> pl.DataFrame:
    """What sharing a value is worth, by field and by how many share it."""
    seen = rare.select("field", "sharers").unique()
    levels = {field.name: field.levels[0] for field in MODEL}
    person = levels["related"]
    bits = []
    for field, sharers in seen.iter_rows():
        level = levels.get(field, person)
        floor = _PERSON_BITS if field == PERSON else level.floor
        # As `acx.matching.frequencies.rarity` has it.
        others = sharers - 2
        unrelated = others * (others / (others + CLUSTER)) ** 2
        rarity = floor
        if unrelated:
            rarity = min(floor, max(0.0, -np.log2(unrelated / (accounts + ELSEWHERE))))
        bits.append(max(0.0, float(np.log2(level.m) + level.belief * rarity)))
    return seen.with_columns(pl.Series("bits", bits, dtype=pl.Float64)).filter(pl.col("bits") > 0)
