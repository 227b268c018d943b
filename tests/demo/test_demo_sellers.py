"""Ordinary sellers: many, varied, valid in form, the same for the same seed."""

from __future__ import annotations

import importlib

import numpy as np
import phonenumbers
import polars as pl
import pytest
from schwifty import IBAN

from acx.demo import identifiers
from acx.demo.accounts import by_row
from acx.demo.sellers import HUB_SHARE, SCHEMA, hubs, ordinary, sellers_in, shared
from acx.demo.words import culture_of, cultures
from acx.records.account import FIELDS

COUNTRIES = sorted({code for culture in cultures() for code in culture.countries})


@pytest.fixture(scope="module")
def sellers() -> pl.DataFrame:
    return ordinary(3_000, seed=11)


def values(sellers: pl.DataFrame, field: str) -> list[str]:
    return sellers[field].explode().drop_nulls().to_list()


def test_the_same_seed_makes_the_same_sellers(sellers: pl.DataFrame) -> None:
    assert ordinary(3_000, seed=11).equals(sellers)


def test_another_seed_makes_others(sellers: pl.DataFrame) -> None:
    other = ordinary(3_000, seed=12)
    assert len(set(values(sellers, "bank_account")) & set(values(other, "bank_account"))) < 10


def test_columns_are_those_of_an_account(sellers: pl.DataFrame) -> None:
    assert tuple(sellers.columns) == FIELDS
    assert sellers.schema == SCHEMA


def test_every_row_parses_as_an_account(sellers: pl.DataFrame) -> None:
    accounts = by_row(sellers)
    assert len({account.id for account in accounts}) == 3_000
    assert all(account.name and account.name[0].strip() for account in accounts)


def test_no_value_is_blank_or_has_a_hole_in_it(sellers: pl.DataFrame) -> None:
    for field in FIELDS:
        texts = sellers[field].to_list() if field == "id" else values(sellers, field)
        assert not [text for text in texts if "{" in text or "  " in text or text != text.strip()]


def test_sellers_come_from_many_countries_and_scripts(sellers: pl.DataFrame) -> None:
    names = "".join(values(sellers, "name"))
    assert sellers["country"].explode().drop_nulls().n_unique() > 40
    for part in ("王", "陳", "Nguyễn", "ов", "محمد", "김", "田", "ό", "ł"):
        assert part in names


def test_phones_are_valid_for_their_country(sellers: pl.DataFrame) -> None:
    phones = values(sellers, "phone")
    written = [f"+{phone[2:]}" if phone.startswith("00") else phone for phone in phones]
    assert len(phones) > 2_000
    for phone in written:
        assert phonenumbers.is_valid_number(phonenumbers.parse(phone))


@pytest.mark.parametrize("country", COUNTRIES)
def test_identifiers_of_each_country_are_valid_in_form(country: str) -> None:
    random = np.random.default_rng(5)
    for phone in identifiers.mobiles(country, 20, random):
        number = phonenumbers.parse(phone)
        assert phonenumbers.is_valid_number(number)
        assert phonenumbers.region_code_for_number(number) == country
    for account in identifiers.bank_accounts(country, 20, random):
        assert IBAN(account).country_code == country if account[:2] == country else account
    for passport in identifiers.passports(country, 3, random):
        assert passport.startswith(f"passport:{country}:")


@pytest.mark.parametrize("country", sorted(identifiers.TAX_NUMBERS))
def test_tax_numbers_satisfy_the_countrys_rule(country: str) -> None:
    rule = importlib.import_module(f"stdnum.{identifiers.TAX_NUMBERS[country][0]}")
    for number in identifiers.tax_ids(country, 20, np.random.default_rng(6)):
        code, _, digits = number.partition(":")
        assert code == country
        assert rule.is_valid(digits)


def test_invented_mailboxes_sites_and_addresses_belong_to_nobody(sellers: pl.DataFrame) -> None:
    assert all(email.endswith(".example") for email in values(sellers, "email"))
    assert all(".example" in site for site in values(sellers, "website"))
    assert all(ip.startswith(("198.18.", "198.19.", "2001:db8:")) for ip in values(sellers, "ip"))


def test_mailboxes_for_measuring_are_at_providers() -> None:
    emails = values(ordinary(500, seed=3, domains="real"), "email")
    assert any(email.endswith("@gmail.com") for email in emails)


def test_only_what_hubs_have_is_shared(sellers: pl.DataFrame) -> None:
    for field in ("phone", "bank_account", "email", "device"):
        counts = sellers[field].explode().drop_nulls().value_counts()
        often = counts.filter(pl.col("count") > 1)[field].to_list()
        assert often
        assert not [value for value in often if not shared(field, value)]


def test_hubs_are_the_same_for_every_seed() -> None:
    chinese = culture_of("CN")
    assert hubs(chinese).address.equals(hubs(chinese).address)
    first, second = ordinary(4_000, seed=1), ordinary(4_000, seed=2)
    for field in HUB_SHARE:
        assert set(values(first, field)) & set(values(second, field))


def test_common_names_are_common(sellers: pl.DataFrame) -> None:
    people = sellers_in(["VN"] * 400, seed=1).filter(kind="person")["name"].list.first()
    nguyens = people.str.contains("(?i)nguy[eễ]n").mean()
    assert isinstance(nguyens, float)
    assert 0.25 < nguyens < 0.5


def test_a_country_without_lists_takes_its_neighbours() -> None:
    (seller,) = by_row(sellers_in(["UZ"], seed=4))
    assert seller.country in {("UZ",), ()}
    assert culture_of("UZ") is culture_of("RU")


def test_no_sellers_are_an_empty_seller_base() -> None:
    assert ordinary(0, seed=1).schema == SCHEMA
