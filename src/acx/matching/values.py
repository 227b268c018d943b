"""Fields compared by equality: each value in the writings that its comparison levels compare.

`same` is the value as `acx.records.normalise` writes it; the other levels are matching's own, and
coarser: what stays equal when the owner varies the value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import polars as pl
from anyascii import anyascii

from acx.matching.columns import Ragged, hash_strings, starts_of
from acx.matching.model import Field

Side = Literal["account", "subject"]

VALUE: Final = pl.col("value")


def _long(frame: pl.DataFrame, *fields: str) -> pl.DataFrame:
    """One line a value: `row`, `value`, with empty values left out."""
    parts = []
    for field in fields:
        column = frame.select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"), pl.col(field).alias("value")
        )
        if isinstance(frame.schema[field], pl.List):
            column = column.filter(VALUE.list.len() > 0).explode("value")
        parts.append(column.filter(VALUE.is_not_null() & (VALUE != "")))
    return pl.concat(parts) if len(parts) > 1 else parts[0]


def _unless_short(expression: pl.Expr, characters: int) -> pl.Expr:
    return pl.when(expression.str.len_chars() >= characters).then(expression)


def _alphanumeric(expression: pl.Expr) -> pl.Expr:
    return expression.str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")


def _email(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
    """Mailbox and domain; providers that ignore dots and tags are not told from those that don't:
    who returns varies what his provider lets him vary.
    """
    value = VALUE.str.strip_chars().str.to_lowercase()
    local = value.str.extract(r"^([^@]+)@", 1)
    domain = value.str.extract(r"@([^@]+)$", 1).str.replace(r"^googlemail\.com$", "gmail.com")
    plain = local.str.replace(r"\+.*$", "").str.replace_all(r"[._-]", "")
    stem = pl.coalesce(_unless_short(plain.str.replace(r"\d+$", ""), 4), plain)
    return _long(frame, "email").select(
        "row",
        same=value,
        variant=stem + "@" + domain,
        mailbox=_unless_short(stem, 6),
        domain=domain,
    )


def _phone(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
    numbers = _long(frame, "phone")
    messengers = _long(frame, "contact").filter(
        VALUE.str.contains(r"(?i)^(whatsapp|telegram|signal|wechat):\+?\d[\d \-]{6,}$")
    )
    digits = VALUE.str.replace_all(r"\D", "").str.replace(r"^0+", "")
    return pl.concat([numbers, messengers]).select(
        "row", same=_unless_short(digits, 6), national=_unless_short(digits.str.tail(8), 8)
    )


def _number(field: str) -> Callable[[pl.DataFrame, Side], pl.DataFrame]:
    """Numbers somebody issued: as they are, and without the letters round them."""

    def values(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
        bare = VALUE.str.replace(r"^(?:[A-Za-z_]+:)?(?:[A-Za-z]{2}:)?", "")
        plain = _alphanumeric(bare)
        digest = VALUE.str.starts_with("h1:")
        return _long(frame, field).select(
            "row",
            same=pl.when(digest).then(VALUE).otherwise(_unless_short(plain, 4)),
            number=pl.when(~digest).then(
                _unless_short(plain.str.replace(r"^[A-Z]{1,4}", "").str.replace(r"^0+", ""), 6)
            ),
        )

    return values


def _website(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
    host = (
        VALUE.str.strip_chars()
        .str.to_lowercase()
        .str.replace(r"^[a-z]+://", "")
        .str.replace(r"[/?#:].*$", "")
        .str.replace(r"^www\d?\.", "")
    )
    return _long(frame, "website").select("row", same=host)


def _contact(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
    return _long(frame, "contact").select("row", same=VALUE.str.to_lowercase())


def _handle(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
    value = VALUE.str.strip_chars().str.to_lowercase()
    name = value.str.replace(r"^[a-z0-9.]+:@?", "")
    return _long(frame, "handle").select("row", same=value, elsewhere=_unless_short(name, 5))


def _birth_date(frame: pl.DataFrame, side: Side) -> pl.DataFrame:
    year, month, day = VALUE.str.slice(0, 4), VALUE.str.slice(5, 2), VALUE.str.slice(8, 2)
    swapped = year + "-" + day + "-" + month
    return _long(frame, "birth_date").select(
        "row",
        same=VALUE,
        # One side swaps: both sides swapped would be equal only where both are the same.
        swapped=VALUE if side == "account" else swapped,
        month_and_day=month + day,
        year_and_day=year + day,
        year_and_month=year + month,
    )


def _plain(field: str) -> Callable[[pl.DataFrame, Side], pl.DataFrame]:
    def values(frame: pl.DataFrame, _side: Side) -> pl.DataFrame:
        return _long(frame, field).select("row", same=VALUE.str.strip_chars().str.to_uppercase())

    return values


VALUES: Final[dict[str, Callable[[pl.DataFrame, Side], pl.DataFrame]]] = {
    "email": _email,
    "phone": _phone,
    "bank_account": _number("bank_account"),
    "tax_id": _number("tax_id"),
    "registration_no": _number("registration_no"),
    "id_document": _number("id_document"),
    "website": _website,
    "contact": _contact,
    "handle": _handle,
    "birth_date": _birth_date,
    "country": _plain("country"),
    "kind": _plain("kind"),
    "ip": _plain("ip"),
    "device": _plain("device"),
}


def ragged(field: Field, values: pl.DataFrame, n: int) -> Ragged:
    """Values of one field as codes, a salt per level, so that keys of all levels can share a table."""
    import numpy as np

    ordered = values.sort("row", maintain_order=True)
    codes = np.zeros((len(field.levels), len(ordered)), np.uint64)
    for level, column in enumerate(ordered.columns[1:]):
        codes[level] = hash_strings(ordered[column], f"{field.name}/{level}")
    return Ragged(starts_of(ordered["row"].to_numpy(), n), codes)


def latin_addresses(frame: pl.DataFrame) -> pl.DataFrame:
    """Addresses in Latin letters: `row`, `value`."""
    values = _long(frame, "address")
    return values.with_columns(
        pl.when(VALUE.str.contains(r"[^\x00-\x7F]"))
        .then(VALUE.map_elements(anyascii, return_dtype=pl.String))
        .otherwise(VALUE)
        .alias("value")
    )
