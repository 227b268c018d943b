"""Numbers of accounts, documents, taxes and registers."""

# ruff: noqa: RUF001 -- letters and digits that look like others are what is tested

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schwifty import IBAN
from stdnum import get_cc_module

from acx.records.normalise import NotNormalisable, normalise, normalise_all
from acx.records.normalise.bank_account import has_iban_check_digits


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("iban: gb29 nwbk 6016 1331 9268 19", "GB29NWBK60161331926819"),
        ("IBAN FR14-2004-1010-0505-0001-3M02-606", "FR1420041010050500013M02606"),
        ("IBAN DE00 3704 0044 0532 0130 00", "IBANDE00370400440532013000"),
        ("6222 0202 0000 1234 567", "6222020200001234567"),
        ("０１２-٣٤٥", "012345"),
        ("支付宝:138 0013 8000", "支付宝13800138000"),
        ("км 12", "KM12"),
        ("\u0391\u03921", "AB1"),
    ],
    ids=ascii,
)
def test_an_account_is_its_letters_and_digits(written: str, normalised: str) -> None:
    assert normalise("bank_account", written) == normalised


@given(st.integers(0, 2**32))
def test_check_digits_are_those_of_the_iban_registry(seed: int) -> None:
    iban = str(IBAN.random(random=random.Random(seed)))  # noqa: S311 -- test data
    assert has_iban_check_digits(iban)
    wrong = f"{iban[:2]}{(int(iban[2:4]) + 1) % 100:02d}{iban[4:]}"
    assert not has_iban_check_digits(wrong)


def test_an_account_may_have_been_reported_by_iban_or_by_inland_number() -> None:
    iban, inland = "DE89370400440532013000", "370400440532013000"
    assert normalise_all("bank_account", iban) == (iban, inland)
    assert normalise_all("bank_account", inland, ["US", "DE"]) == (inland, iban)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("passport:CN:E1234 5678", "passport:CN:E12345678"),
        ("Passport : chn : e12345678", "passport:CN:E12345678"),
        ("National ID:UA:км 123456", "id_card:UA:KM123456"),
        ("driver's license:US:d-100", "driver_s_license:US:D100"),
        ("drivers license:US:d-100", "driving_licence:US:D100"),
        ("passport::E1", "passport::E1"),
        ("E1234 5678", "E12345678"),
    ],
    ids=ascii,
)
def test_a_document_is_kind_country_and_number(written: str, normalised: str) -> None:
    assert normalise("id_document", written) == normalised


@pytest.mark.parametrize("written", ["passport:E1", "a:b:c:d", "passport:XX:E1", "1:CN:E1", "::E1"])
def test_refuses_other_forms_of_documents(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("id_document", written)


def test_a_document_may_have_been_reported_with_less_said() -> None:
    assert normalise_all("id_document", "passport:CN:E1") == (
        "passport:CN:E1",
        "passport::E1",
        "E1",
    )
    assert normalise_all("id_document", "passport::E1", ["CN"]) == (
        "passport::E1",
        "passport:CN:E1",
        "E1",
    )


@pytest.mark.parametrize(
    ("written", "countries", "normalised"),
    [
        ("DE 136,695 976", [], "DE:136695976"),
        ("DE:136 695 976", [], "DE:136695976"),
        ("DE:DE136695976", [], "DE:136695976"),
        ("136695976", ["FR", "DE"], "DE:136695976"),
        ("12/345/678", ["DE"], "12345678"),
        ("EL094259216", [], "GR:094259216"),
        ("UK:980 7806 84", [], "GB:980780684"),
        ("CHE-107.787.577 IVA", [], "CH:CHE107787577"),
        ("NO 995 525 828 MVA", [], "NO:995525828"),
        ("91110000600037341L", ["CN"], "CN:91110000600037341L"),
        ("no number known", [], "NONUMBERKNOWN"),
    ],
)
@pytest.mark.parametrize("field", ["tax_id", "registration_no"])
def test_an_official_number_names_its_country_where_that_is_known(
    field: str, written: str, countries: list[str], normalised: str
) -> None:
    assert normalise(field, written, countries) == normalised


@pytest.mark.parametrize("written", ["VAT: DE136695976", "XX:1", "CHN:1", "CN:", ":1"])
def test_refuses_a_prefix_that_is_no_country_code(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("tax_id", written)


def test_a_number_that_is_valid_in_several_countries_stays_without_one() -> None:
    # A German VAT number has the form of a US taxpayer number.
    assert normalise_all("tax_id", "136695976", ["US", "DE"]) == (
        "136695976",
        "US:136695976",
        "DE:136695976",
    )


@pytest.mark.parametrize(
    "issuer", ["AR", "AU", "BR", "CN", "IN", "JP", "KR", "RU", "TR", "TW", "VN"]
)
def test_a_country_is_named_exactly_where_python_stdnum_validates(issuer: str) -> None:
    module = get_cc_module(issuer, "vat")
    assert module is not None
    draw = random.Random(issuer)  # noqa: S311 -- test data
    numbers = ["".join(draw.choices("0123456789", k=length)) for length in (9, 10, 11, 13) * 50]
    for number in filter(module.is_valid, numbers):
        assert normalise("tax_id", number, [issuer]) == f"{issuer}:{number}"
