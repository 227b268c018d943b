"""Numbering plans for whole columns of phone numbers.

The plans are libphonenumber's own metadata. For plain digits its parser does little, and only what
the metadata of one country says: that little is done here by column, and a number for which it
would do more is left to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from phonenumbers import PhoneMetadata
    from phonenumbers.phonemetadata import PhoneNumberDesc

_INTERNATIONAL: Final = r"^ *\+[0-9][0-9 ().-]{5,30}$"
_NATIONAL: Final = r"^ *\(?[0-9][0-9 ().-]{3,30}$"
_NOTHING: Final = r"[^\s\S]"
"""A pattern that matches nothing, for what a plan does not have."""


def phone(values: pl.Series, home: pl.Series, alone: pl.Series) -> pl.Series:
    """E.164 of plain international numbers, and of plain national ones of the home country.

    Args:
        values: as written.
        home: the country in which a national number is tried first, or null.
        alone: whether it is the only one in which it is tried.

    Returns:
        Null for every number that this does not know for sure.
    """
    digits = values.str.replace_all("[^0-9]", "")
    rows = pl.DataFrame({"digits": digits, "home": home, "alone": alone}).with_row_index("row")
    international = rows.filter(values.str.contains(_INTERNATIONAL))
    national = rows.filter(
        values.str.contains(_NATIONAL) & ~digits.str.starts_with("00") & home.is_not_null()
    )
    written = pl.concat(
        [
            pl.DataFrame(schema={"row": pl.UInt32, "written": pl.String}),
            *(_international(code, group) for code, group in _by_calling_code(international)),
            *(_national(country, group) for country, group in _by_home(national)),
        ]
    )
    return rows.join(written, on="row", how="left", maintain_order="left")["written"]


def _by_calling_code(rows: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
    # Calling codes are prefix-free: of the three lengths, at most one is a code.
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    for length in (1, 2, 3):
        codes = [str(code) for code in COUNTRY_CODE_TO_REGION_CODE if len(str(code)) == length]
        coded = rows.with_columns(pl.col("digits").str.head(length).alias("code"))
        known = coded.filter(pl.col("code").is_in(codes))
        for (code,), group in known.partition_by("code", as_dict=True).items():
            yield int(code), group.with_columns(pl.col("digits").str.slice(length))


def _by_home(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    from phonenumbers import SUPPORTED_REGIONS

    for (country,), group in rows.partition_by("home", as_dict=True).items():
        if country in SUPPORTED_REGIONS:
            yield country, group


def _international(calling_code: int, rows: pl.DataFrame) -> pl.DataFrame:
    from phonenumbers import region_code_for_country_code

    plan = _plan(region_code_for_country_code(calling_code), calling_code)
    number = pl.col("digits")
    known = ~_starts(number, plan.national_prefix_for_parsing) & _has_length(number, plan)
    return _written(rows, calling_code, number, known)


def _national(country: str, rows: pl.DataFrame) -> pl.DataFrame:
    from phonenumbers import region_code_for_country_code

    plan = _plan(country)
    calling_code = plan.country_code or 0
    main_plan = _plan(region_code_for_country_code(calling_code))
    rows = rows.with_columns(
        _significant(pl.col("digits"), plan, str(calling_code)).alias("number")
    )
    number = pl.col("number")
    rows = rows.filter(~_starts(number, main_plan.national_prefix_for_parsing))
    # A number that is only tried here has this writing whether it is in use or merely possible.
    possible = pl.col("alone") & _has_length(number, main_plan)
    in_use = _is_in_use(number, plan, calling_code)
    if rows["alone"].all():
        return _written(rows, calling_code, number, possible)
    return _written(rows, calling_code, number, possible | in_use)


def _significant(digits: pl.Expr, plan: PhoneMetadata, calling_code: str) -> pl.Expr:
    """The number without its national prefix; null where the parser would do more than cut it."""
    # Behind an international prefix or the country's own calling code, the parser weighs readings.
    longest = max(_lengths(plan.general_desc))
    domestic = ~_starts(digits, plan.international_prefix) & (
        ~digits.str.starts_with(calling_code)
        | (_matches(digits, plan.general_desc) & (digits.str.len_bytes() <= longest))
    )
    prefix = plan.national_prefix_for_parsing
    prefixed = _starts(digits, prefix)
    rest = digits.str.replace(f"^(?:{prefix or _NOTHING})", "")
    cut_off = _matches(rest, plan.general_desc) & _has_length(rest, plan)
    if plan.national_prefix_transform_rule:
        cut_off = pl.lit(value=False)
    return pl.when(domestic & ~prefixed).then(digits).when(domestic & prefixed & cut_off).then(rest)


def _is_in_use(number: pl.Expr, plan: PhoneMetadata, calling_code: int) -> pl.Expr:
    # Countries that share a calling code are asked in the library's order; the first whose leading
    # digits fit has the last word.
    from phonenumbers import region_codes_for_country_code

    known: pl.Expr = pl.lit(value=False)
    unclaimed: pl.Expr = pl.lit(value=True)
    for region in region_codes_for_country_code(calling_code):
        sharing = _plan(region)
        claimed = _starts(number, sharing.leading_digits)
        if sharing.leading_digits:
            known = known | (unclaimed & claimed & _has_kind(number, sharing))
            unclaimed = unclaimed & ~claimed
        else:
            known = known | (unclaimed & _has_kind(number, sharing))
        if region == plan.id:
            break
    return known


def _has_kind(number: pl.Expr, plan: PhoneMetadata) -> pl.Expr:
    kinds = (
        plan.premium_rate, plan.toll_free, plan.shared_cost, plan.voip, plan.personal_number,
        plan.pager, plan.uan, plan.voicemail, plan.fixed_line, plan.mobile,
    )  # fmt: skip
    fits = pl.any_horizontal(
        _matches(number, kind) & number.str.len_bytes().is_in(_lengths(kind)) for kind in kinds
    )
    return _matches(number, plan.general_desc) & _has_length(number, plan) & fits


def _written(
    rows: pl.DataFrame, calling_code: int, number: pl.Expr, known: pl.Expr
) -> pl.DataFrame:
    e164 = pl.format(f"+{calling_code}{{}}", number)
    return rows.select("row", pl.when(known).then(e164).alias("written"))


def _matches(number: pl.Expr, description: PhoneNumberDesc | None) -> pl.Expr:
    pattern = description.national_number_pattern if description else None
    return number.str.contains(f"^(?:{pattern or _NOTHING})$")


def _has_length(number: pl.Expr, plan: PhoneMetadata) -> pl.Expr:
    return number.str.len_bytes().is_in(_lengths(plan.general_desc))


def _lengths(description: PhoneNumberDesc | None) -> list[int]:
    return list(description.possible_length) if description else []


def _starts(number: pl.Expr, pattern: str | None) -> pl.Expr:
    return number.str.contains(f"^(?:{pattern or _NOTHING})")


@cache
def _plan(region: str, calling_code: int = 0) -> PhoneMetadata:
    from phonenumbers import PhoneMetadata

    plan = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if plan is None:
        raise LookupError(f"no numbering plan of {region} {calling_code}")
    return plan
