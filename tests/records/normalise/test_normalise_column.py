"""Columns: the same bytes as value by value, for which the libraries are the oracle."""

from __future__ import annotations

import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal
from tests.records.normalise.writings import COUNTRIES, phones, written_value

from acx.records.normalise import (
    NORMALISABLE_FIELDS,
    NotNormalisable,
    digest,
    digest_column,
    map_unique,
    normalise,
    normalise_column,
)

KEY = bytes(range(32))


def by_value(field: str, value: str | None, countries: list[str], default: str) -> str | None:
    try:
        return None if value is None else normalise(field, value, countries, default)
    except NotNormalisable:
        return None


@pytest.mark.parametrize("field", NORMALISABLE_FIELDS)
@settings(max_examples=50)
@given(data=st.data(), default=st.sampled_from(["", "CN", "de"]))
def test_a_column_has_the_bytes_of_its_values(
    field: str, data: st.DataObject, default: str
) -> None:
    rows = data.draw(
        st.lists(st.tuples(st.none() | written_value(field), COUNTRIES), min_size=1, max_size=12)
    )
    values = pl.Series("v", [value for value, _ in rows], dtype=pl.String)
    countries = pl.Series([own for _, own in rows], dtype=pl.List(pl.String))
    expected = [by_value(field, value, own, default) for value, own in rows]
    assert normalise_column(field, values, countries, default).to_list() == expected
    alone = [by_value(field, value, [], default) for value, _ in rows]
    assert normalise_column(field, values, None, default).to_list() == alone


def test_a_scheme_that_looks_like_a_host_is_none_by_column_either() -> None:
    values = ["A.A://", "A.A://b.example", "a.example:/path", "a.example:443/path"]
    expected = [by_value("website", value, [], "") for value in values]
    assert expected == [None, "b.example", "a.example", "a.example"]
    assert normalise_column("website", pl.Series(values)).to_list() == expected


@settings(max_examples=30)
@given(
    rows=st.lists(st.tuples(phones(), COUNTRIES), min_size=20, max_size=60),
    default=st.sampled_from(["", "CN", "US", "GB"]),
)
def test_phones_by_column_are_those_of_libphonenumber(
    rows: list[tuple[str, list[str]]], default: str
) -> None:
    values = pl.Series([value for value, _ in rows])
    countries = pl.Series([own for _, own in rows], dtype=pl.List(pl.String))
    expected = [by_value("phone", value, own, default) for value, own in rows]
    assert normalise_column("phone", values, countries, default).to_list() == expected


def test_phones_by_column_follow_the_plan_of_every_country() -> None:
    # Each country's own example, written for abroad and for at home, tried there, there and
    # elsewhere, and nowhere; and the same with a digit less and a digit more.
    written_for = (
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.NATIONAL,
    )
    rows: list[tuple[str, list[str]]] = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            for form in written_for:
                written = phonenumbers.format_number(number, form)
                rows += [(written, [region]), (written, [region, "US"]), (written, [])]
                rows += [(written[:-1], [region]), (written + "5", [region, "DE"])]
    values = pl.Series([value for value, _ in rows])
    countries = pl.Series([own for _, own in rows], dtype=pl.List(pl.String))
    expected = pl.Series([by_value("phone", value, own, "") for value, own in rows])
    assert_series_equal(normalise_column("phone", values, countries), expected)


def test_lists_keep_their_shape() -> None:
    values = pl.Series("phone", [["030 901820", "x", None], [], None, ["+49 30 901820"]])
    countries = pl.Series([["DE"], ["CN"], [], None], dtype=pl.List(pl.String))
    normalised = normalise_column("phone", values, countries)
    assert normalised.name == "phone"
    assert normalised.to_list() == [["+4930901820", None, None], [], [], ["+4930901820"]]


def test_a_missing_country_is_none() -> None:
    countries = pl.Series([[None, "DE"]], dtype=pl.List(pl.String))
    values = pl.Series(["030 901820"])
    assert normalise_column("phone", values, countries).to_list() == ["+4930901820"]


def test_refuses_a_column_of_a_field_without_a_rule() -> None:
    with pytest.raises(NotNormalisable):
        normalise_column("id", pl.Series(["x"]))


def test_empty_columns_stay_empty() -> None:
    for field in NORMALISABLE_FIELDS:
        assert normalise_column(field, pl.Series([], dtype=pl.String)).to_list() == []
        none = pl.Series([None, None], dtype=pl.String)
        assert normalise_column(field, none).to_list() == [None, None]
        assert normalise_column(field, pl.Series([], dtype=pl.List(pl.String))).to_list() == []


@given(st.lists(st.none() | written_value("bank_account"), max_size=8))
def test_a_column_of_digests_has_the_digests_of_its_values(values: list[str | None]) -> None:
    expected: list[str | None] = []
    for value in values:
        try:
            expected.append(None if value is None else digest("bank_account", value, KEY))
        except NotNormalisable:
            expected.append(None)
    column = pl.Series(values, dtype=pl.String)
    assert digest_column("bank_account", column, KEY).to_list() == expected
    lists = pl.Series([values], dtype=pl.List(pl.String))
    assert digest_column("bank_account", lists, KEY).to_list() == [expected]


def test_a_column_of_digests_stands() -> None:
    digests = digest_column("ip", pl.Series(["192.0.2.1", "2001:db8::1"]), KEY)
    assert_series_equal(digest_column("ip", digests, bytes(32)), digests)


def test_a_function_is_applied_once_to_each_distinct_value() -> None:
    seen: list[str] = []

    def upper(value: str) -> str | None:
        seen.append(value)
        return value.upper() if value != "b" else None

    values = pl.Series("x", ["a", "b", None, "a", "a"])
    assert_series_equal(map_unique(values, upper), pl.Series("x", ["A", None, None, "A", "A"]))
    assert sorted(seen) == ["a", "b"]
