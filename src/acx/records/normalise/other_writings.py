"""Further writings of bank accounts and documents, for a whole column at once.

The rules are those of `bank_account` and `id_document`; here it is only decided for all values at
once which of them have further writings, and a property test holds every one to the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from acx.records.normalise.bank_account import IBAN_FORM, INLAND_FORM, bban_length, iban_of

_LAST: Final = 1 << 20
"""Rank behind those of all countries."""
_DOCUMENT: Final = "^([^:]+):([^:]*):([^:]+)$"


def bank_accounts(written: pl.DataFrame, tried: pl.DataFrame) -> list[pl.DataFrame]:
    """An IBAN's inland number; an inland number's IBANs in the countries to try.

    Args:
        written: `value`, its `row`, and `text`, its normal writing.
        tried: codes of the countries to try for each `value`, and their `rank`.

    Returns:
        Further rows, with a `rank`.
    """
    shaped = written.filter(pl.col("text").str.contains(f"^{IBAN_FORM}$"))
    ibans = shaped.filter(pl.Series(_has_check_digits(shaped["text"])))
    inland = written.filter(pl.col("text").str.contains(f"^{INLAND_FORM}$")).join(
        ibans, on="value", how="anti"
    )
    codes = tried["code"].unique()
    lengths = pl.DataFrame(
        {
            "code": codes,
            "length": pl.Series([_bban_length(code) for code in codes.to_list()], dtype=pl.UInt32),
        }
    )
    asked = (
        inland.join(tried, on="value")
        .join(lengths, on="code")
        .filter(pl.col("text").str.len_bytes() == pl.col("length"))
    )
    found = [iban_of(code, text) for code, text in asked.select("code", "text").iter_rows()]
    national = asked.with_columns(text=pl.Series(found, dtype=pl.String)).drop_nulls("text")
    return [
        ibans.with_columns(pl.col("text").str.slice(4), rank=pl.lit(1, pl.Int64)),
        national.select("row", "value", "text", "rank"),
    ]


def documents(written: pl.DataFrame, tried: pl.DataFrame) -> list[pl.DataFrame]:
    """A document in the countries to try where it names none, and with less said about it."""
    parts = pl.col("text").str.extract_groups(_DOCUMENT).struct
    named = written.select(
        "row",
        "value",
        kind=parts.field("1"),
        issuer=parts.field("2"),
        number=parts.field("3"),
    ).drop_nulls()
    anywhere = named.filter(pl.col("issuer") == "").join(tried, on="value")
    return [
        frame.select("row", "value", "rank", text=text)
        for frame, text in (
            (anywhere, pl.format("{}:{}:{}", "kind", "code", "number")),
            (named.with_columns(rank=_LAST), pl.format("{}::{}", "kind", "number")),
            (named.with_columns(rank=_LAST + 1), pl.col("number")),
        )
    ]


OTHER_WRITINGS: Final[dict[str, Callable[[pl.DataFrame, pl.DataFrame], list[pl.DataFrame]]]] = {
    "bank_account": bank_accounts,
    "id_document": documents,
}


@cache
def _bban_length(code: str) -> int:
    return bban_length(code)


def _has_check_digits(ibans: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether texts of an IBAN's form have its check digits.

    Source: ISO 7064, mod 97-10.
    """
    if not len(ibans):
        return np.zeros(0, np.bool_)
    moved = ibans.str.slice(4) + ibans.str.slice(0, 4)
    longest = int(moved.str.len_bytes().max())  # type: ignore[arg-type]
    padded = moved.str.pad_end(longest, " ").str.join("").item().encode()
    letters = np.frombuffer(padded, np.uint8).reshape(len(ibans), longest).astype(np.int64)
    rest = np.zeros(len(ibans), np.int64)
    for letter in letters.T:
        digit = (letter >= 48) & (letter <= 57)
        step = np.where(digit, rest * 10 + letter - 48, rest * 100 + letter - 55) % 97
        rest = np.where(letter == 32, rest, step)
    return np.asarray(rest == 1)
