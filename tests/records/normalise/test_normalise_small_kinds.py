"""Countries, dates, addresses of machines, devices, pictures, handles."""

# ruff: noqa: RUF001 -- letters and digits that look like others are what is tested

from __future__ import annotations

import ipaddress

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.records.normalise import NotNormalisable, normalise


def test_every_country_of_iso_3166_is_known_by_code_and_name() -> None:
    for known in pycountry.countries:
        codes = (known.alpha_2, known.alpha_3, known.alpha_2.lower())
        names = (known.name, known.name.upper(), getattr(known, "official_name", known.name))
        for written in (*codes, *names, getattr(known, "common_name", known.name)):
            assert normalise("country", written) == known.alpha_2


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("UK", "GB"), ("EL", "GR"), (" uk ", "GB"), ("The Netherlands", "NL"), ("Viet Nam", "VN"),
        ("Vietnam", "VN"), ("Turkey", "TR"), ("USA", "US"), ("U.S.A.", "US"),
        ("Hong Kong SAR", "HK"),
        ("PR China", "CN"), ("ＣＮ", "CN"), ("South Korea", "KR"), ("cote d'ivoire", "CI"),
        ("Kosovo", "XK"), ("AND", "AD"),
    ],
)  # fmt: skip
def test_usual_names_of_countries_are_known(written: str, code: str) -> None:
    assert normalise("country", written) == code


@pytest.mark.parametrize("written", ["XX", "Europe", "Chin", "1", "the", "中国 CN", "EU"])
def test_refuses_what_is_no_country(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("country", written)


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("1980-01-02", "1980-01-02"), ("1980/1/2", "1980-01-02"), ("19800102", "1980-01-02"),
        ("2.1.1980", "1980-01-02"), ("02. 01. 1980", "1980-01-02"), ("1980年1月2日", "1980-01-02"),
        ("1980-01-02T00:00:00Z", "1980-01-02"), ("1980-01-02 00:00:00", "1980-01-02"),
        ("١٩٨٠-٠١-٠٢", "1980-01-02"),
    ],
)  # fmt: skip
def test_dates_that_can_be_read_in_one_way_only(written: str, day: str) -> None:
    assert normalise("birth_date", written) == day


@pytest.mark.parametrize("written", ["02/01/1980", "1980-02-30", "1980-13-01", "80-01-02", "1980"])
def test_refuses_dates_that_can_be_read_in_two_ways_or_none(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("birth_date", written)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("192.0.2.7", "192.0.2.7"), ("192.0.2.7:8080", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0:0:1::1", "2001:db8::/64"), ("[2001:db8:1:2::3]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"), ("2001:db8:1:2::/64", "2001:db8:1:2::/64"), ("::1", "::/64"),
    ],
)  # fmt: skip
def test_an_address_is_that_of_its_subscriber(written: str, normalised: str) -> None:
    assert normalise("ip", written) == normalised


@given(st.integers(1 << 96, (1 << 128) - 1).map(ipaddress.IPv6Address))
def test_two_addresses_are_one_exactly_within_a_network_of_64_bits(
    address: ipaddress.IPv6Address,
) -> None:
    network = ipaddress.IPv6Network((address, 64), strict=False)
    assert normalise("ip", address.exploded) == normalise("ip", str(network[-1])) == str(network)


@pytest.mark.parametrize("written", ["1.2.3", "256.1.1.1", "01.2.3.4", "1.2.3.0/24", "::g", "1"])
def test_refuses_what_is_no_address_of_a_machine(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("ip", written)


def test_devices_are_opaque() -> None:
    assert normalise("device", " Ab-12\u200b  x ") == "Ab-12 x"
    assert normalise("device", "ＡＢ") == "AB"


def test_a_picture_is_64_hex_digits() -> None:
    assert normalise("image_hash", " " + "AB" * 32) == "ab" * 32
    for wrong in ("ab" * 31, "ab" * 33, "xy" * 32):
        with pytest.raises(NotNormalisable):
            normalise("image_hash", wrong)


@pytest.mark.parametrize(
    ("written", "countries", "normalised"),
    [
        ("WeChat: Foo_Bar", [], "wechat:foo_bar"),
        ("weixin:@foo", [], "wechat:foo"),
        ("微信:foo", [], "wechat:foo"),
        ("shopee:MyShop", [], "shopee:myshop"),
        ("whatsapp:+86 138 0013 8000", [], "whatsapp:+8613800138000"),
        ("WhatsApp:13800138000", ["CN"], "whatsapp:+8613800138000"),
        ("telegram:+8613800138000", [], "telegram:+8613800138000"),
        ("signal:foo.01", [], "signal:foo.01"),
        ("https://t.me/Foo_Bar?x", [], "telegram:foo_bar"),
        ("https://wa.me/8613800138000", [], "whatsapp:+8613800138000"),
        ("amazon:A1B2:C3", [], "amazon:a1b2:c3"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("field", ["contact", "handle"])
def test_a_handle_is_platform_and_name(
    field: str, written: str, countries: list[str], normalised: str
) -> None:
    assert normalise(field, written, countries) == normalised


@pytest.mark.parametrize(
    "written", ["foo", ":foo", "wechat:", "wechat:@", "https://shop.example/x"]
)
def test_refuses_a_handle_without_platform_or_name(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("handle", written)


@pytest.mark.parametrize(
    ("written", "kind"),
    [("Person", "person"), ("individual", "person"), ("Organisation", "organization")],
)
def test_an_account_is_a_persons_or_an_organizations(written: str, kind: str) -> None:
    assert normalise("kind", written) == kind
