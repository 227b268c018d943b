"""The same rules for whole columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from acx.records.files.cells import as_lists
from acx.records.normalise import country
from acx.records.normalise.common_shapes import COMMON_SHAPES
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.other_writings import OTHER_WRITINGS
from acx.records.normalise.phone_plans import phone
from acx.records.normalise.rules import COUNTRY_FIELDS, NORMALISABLE_FIELDS, normalise


def normalise_column(
    field: str,
    values: pl.Series,
    countries: pl.Series | None = None,
    default_country: str = "",
) -> pl.Series:
    """`normalise` for a column: the same bytes, at the speed of a column.

    Args:
        field: a field of an account other than `id`.
        values: strings, or lists of strings.
        countries: lists of each row's countries, for the fields that depend on them.
        default_country: tried after them.

    Returns:
        A column of the same shape; null where `normalise` would raise, which says why, and an empty
        list where a list is null.

    Raises:
        NotNormalisable: a field without a rule.
    """
    if field not in NORMALISABLE_FIELDS:
        raise NotNormalisable(field, "no field that has a normalised writing")
    if values.dtype == pl.List(pl.String):
        length = values.list.len().fill_null(0).to_numpy()
        row = np.repeat(np.arange(len(values)), length)
        flat = values.filter(pl.Series(length > 0)).explode()
        of_element = None if countries is None else countries.gather(row)
        return as_lists(normalise_column(field, flat, of_element, default_country), length)
    if field not in COUNTRY_FIELDS:
        countries, default_country = None, ""
    if countries is not None:
        countries = countries.list.drop_nulls()
    known = _known(field, values, countries, default_country)
    unknown = (known.is_null() & values.is_not_null()).arg_true()
    if len(unknown) == 0:
        return known
    rest = None if countries is None else countries.gather(unknown)
    written = _by_rule(field, values.gather(unknown), rest, default_country)
    return known.scatter(unknown, written)


def normalise_all_column(
    field: str,
    values: pl.Series,
    countries: pl.Series | None = None,
    default_country: str = "",
) -> pl.Series:
    """`normalise_all` for a column of lists: all writings of each row's values, each once.

    Args:
        field: a field of an account other than `id`.
        values: lists of strings.
        countries: lists of each row's countries.
        default_country: tried after them.

    Returns:
        A column of lists; values for which `normalise_all` would raise have no writing.
    """
    length = values.list.len().fill_null(0).to_numpy()
    row = np.repeat(np.arange(len(values), dtype=np.int64), length)
    flat = values.filter(pl.Series(length > 0)).explode()
    of_value = None if countries is None else countries.gather(row)
    first = normalise_column(field, flat, of_value, default_country)
    written = pl.DataFrame({"row": row, "value": np.arange(len(row)), "text": first}).drop_nulls()
    tried = _tried(row, countries, default_country)
    more = OTHER_WRITINGS[field](written, tried) if field in OTHER_WRITINGS else []
    all_writings = (
        pl.concat([written.with_columns(rank=pl.lit(0, pl.Int64)), *more], how="diagonal_relaxed")
        .sort("value", "rank")
        .unique(["row", "text"], keep="first", maintain_order=True)
    )
    counts = np.bincount(all_writings["row"].to_numpy(), minlength=len(values))
    return as_lists(all_writings["text"], counts).alias(values.name)


def _tried(
    row: npt.NDArray[np.int64], countries: pl.Series | None, default_country: str
) -> pl.DataFrame:
    """Codes of the countries to try for each value, in their order: `value`, `code`, `rank`."""
    own = (
        pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, len(row))
        if countries is None
        else countries.gather(row).fill_null([])
    )
    listed = pl.DataFrame({"value": np.arange(len(row)), "name": own}).with_columns(
        pl.col("name").list.concat(pl.lit([default_country], pl.List(pl.String)))
    )
    names = listed.explode("name", empty_as_null=False, keep_nulls=False)
    codes = map_unique(names["name"], lambda name: country.code(name) or None)
    rank = pl.int_range(1, pl.len() + 1).over("value")
    return names.with_columns(code=codes, rank=rank).drop_nulls("code").drop("name")


def map_unique(values: pl.Series, function: Callable[[str], str | None]) -> pl.Series:
    """Apply a function of one value to a column, once to each distinct value."""
    distinct = values.drop_nulls().unique()
    if len(distinct) == 0:
        return values.cast(pl.String)
    results = pl.Series([function(value) for value in distinct.to_list()], dtype=pl.String)
    return values.replace_strict(distinct, results, default=None, return_dtype=pl.String)


def _known(
    field: str, values: pl.Series, countries: pl.Series | None, default_country: str
) -> pl.Series:
    if field == "phone":
        home, alone = _homes(len(values), countries, default_country)
        return phone(values, home, alone).alias(values.name)
    if field in COMMON_SHAPES:
        return COMMON_SHAPES[field](values).alias(values.name)
    return _repeated(None, len(values)).alias(values.name)


def _homes(
    rows: int, countries: pl.Series | None, default_country: str
) -> tuple[pl.Series, pl.Series]:
    """Where each row's numbers are at home, and whether that is the only country to try."""
    default = country.code(default_country) or None
    if countries is None:
        return _repeated(default, rows), pl.repeat(value=True, n=rows, dtype=pl.Boolean, eager=True)
    first = map_unique(countries.list.first(), lambda name: country.code(name) or None)
    one = (countries.list.len() == 1) & first.is_not_null()
    none = countries.list.len().fill_null(0) == 0
    home = first.zip_with(~none, _repeated(default, rows))
    only = one & (home == default).fill_null(value=False) if default else one
    return home, (only | none).fill_null(value=False)


def _repeated(value: str | None, rows: int) -> pl.Series:
    return pl.Series([value], dtype=pl.String).new_from_index(0, rows)


def _by_rule(
    field: str, values: pl.Series, countries: pl.Series | None, default_country: str
) -> pl.Series:
    if countries is None:
        return map_unique(values, lambda value: _or_none(field, value, (), default_country))
    asked = pl.DataFrame({"value": values, "countries": countries}).with_row_index("row")
    distinct = asked.group_by("value", "countries", maintain_order=True).agg("row")
    written = [
        _or_none(field, value, own or (), default_country)
        for value, own in distinct.select("value", "countries").iter_rows()
    ]
    answers = distinct.select("row", pl.Series("written", written, dtype=pl.String)).explode("row")
    return answers.sort("row")["written"]


def _or_none(field: str, value: str, countries: Sequence[str], default_country: str) -> str | None:
    try:
        return normalise(field, value, countries, default_country)
    except NotNormalisable:
        return None
