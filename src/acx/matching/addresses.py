"""Addresses: what of them agrees, part by part, in whatever order they were written.

An address is read as words and numbers. `same`: all of them; `building`: a number with the word
beside it (house and street, in either order); `postcode`; `place`: a word that is not a street's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from acx.matching.columns import Ragged, hash_strings, mix, starts_of

GENERIC: Final = frozenset(
    "street st str road rd avenue ave av blvd boulevard lane ln drive dr way square sq no nr num numero number "
    "unit suite ste apt apartment room rm floor fl flat building bldg block blk tower house hno "
    "district dist province prov city county town village state region po box postcode zip "
    "calle carrera cra cll col colonia rue via strasse straße ulitsa ul prospekt pr jalan jl lu jie "
    "hao dong shi qu sheng xian zhen xiang cun and of the de la el del di da do der den von van "
    "international zone area near opposite behind c o co".split()
)


def address_values(addresses: pl.DataFrame) -> pl.DataFrame:
    """Words of addresses.

    Args:
        addresses: `row`, `value`, the value in Latin letters.

    Returns:
        One line a word: `row`, `address` (a number for each address), `word`, `numeric`.
    """
    folded = (
        pl.col("value")
        .str.to_lowercase()
        .str.replace_all(r"['’`]", "")
        .str.replace_all(r"([a-z])(\d)", "$1 $2")
        .str.replace_all(r"(\d)([a-z]{2,})", "$1 $2")
        .str.replace_all(r"[^\p{L}\p{N}]+", " ")
        .str.strip_chars()
    )
    return (
        addresses.select(
            "row",
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("address"),
            word=folded.str.split(" "),
        )
        .with_columns(pl.col("word").list.head(24))
        .explode("word")
        .filter(pl.col("word").is_not_null() & (pl.col("word") != ""))
        .with_columns(numeric=pl.col("word").str.contains(r"^\d"))
        .filter(~pl.col("word").is_in(list(GENERIC)))
    )


def address_codes(words: pl.DataFrame, n: int) -> Ragged:
    """Codes of addresses for the levels of the model's `address` field."""
    row = words["row"].to_numpy().astype(np.int64)
    address = words["address"].to_numpy().astype(np.int64)
    numeric = words["numeric"].to_numpy()
    digits = words["word"].str.count_matches(r"\d").to_numpy()
    code = hash_strings(words["word"], "address")
    rows, parts, levels = [], [], []

    def emit(level: int, selected: np.ndarray, codes: np.ndarray) -> None:
        rows.append(row[selected])
        parts.append(codes)
        levels.append(np.full(len(codes), level))

    if len(row):
        mixed = mix(code)
        first = np.flatnonzero(np.r_[True, address[1:] != address[:-1]])
        total = np.add.reduceat(mixed, first)
        counts = np.diff(np.r_[first, len(row)])
        has_number = np.logical_or.reduceat(numeric, first)
        whole = has_number & (counts >= 3)
        emit(0, first[whole], mix(total[whole], 11))
        for distance in (1, 2):
            left = np.arange(len(row) - distance)
            right = left + distance
            pair = (address[left] == address[right]) & (numeric[left] != numeric[right])
            emit(1, left[pair], mix(mixed[left[pair]] + mixed[right[pair]], 12))
        postcode = np.flatnonzero(numeric & (digits >= 4))
        emit(2, postcode, mix(code[postcode], 13))
        place = np.flatnonzero(~numeric)
        emit(3, place, mix(code[place], 14))
    all_rows = np.concatenate(rows) if rows else np.empty(0, np.int64)
    order = np.argsort(all_rows, kind="stable")
    codes = np.zeros((4, len(order)), np.uint64)
    if len(order):
        codes[np.concatenate(levels)[order], np.arange(len(order))] = np.concatenate(parts)[order]
    return Ragged(starts_of(all_rows[order], n), codes)
