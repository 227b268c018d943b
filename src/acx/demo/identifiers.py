"""Invented identifiers: valid in form, nobody's by intention.

Phone numbers satisfy phonenumbers, IBANs schwifty, tax numbers python-stdnum; IP addresses come
from the ranges reserved for documentation and benchmarks (RFC 2544, RFC 3849), domains end in
`.example` (RFC 2606). Phone and account numbers are drawn from the whole of a country's range, for
the ranges set aside for fiction are so small that unrelated sellers would share them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata
from schwifty import registry

Domains = Literal["reserved", "real"]
"""Whether invented mailboxes are at `gmail.example` or, for measuring only, at `gmail.com`."""

_DIGITS: Final = "0123456789"
_LETTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ"
_CHOICES: Final = {"#": _DIGITS, "@": _LETTERS, "*": _DIGITS + _LETTERS, "x": "0123456789abcdef"}


def patterned(pattern: str, count: int, random: np.random.Generator) -> list[str]:
    """Fill a pattern at random: `#` a digit, `@` a letter, `*` either, `x` a hex digit."""
    columns = []
    for symbol in pattern:
        choices = np.array(list(_CHOICES.get(symbol, symbol)))
        columns.append(choices[random.integers(0, len(choices), count)])
    matrix = np.stack(columns, axis=1) if columns else np.empty((count, 0), dtype="<U1")
    width = max(matrix.shape[1], 1)
    return np.ascontiguousarray(matrix, dtype="<U1").view(f"<U{width}").ravel().tolist()


def mobiles(country: str, count: int, random: np.random.Generator) -> list[str]:
    """Mobile numbers of a country in international form, valid as phonenumbers sees it."""
    prefix = f"+{phonenumbers.country_code_for_region(country)}"
    valid, heads, length = _mobile_plan(country)
    found: list[str] = []
    while len(found) < count:
        wanted = 2 * (count - len(found)) + 16
        tails = patterned("#" * (length - len(heads[0])), wanted, random)
        chosen = random.integers(0, len(heads), wanted)
        numbers = (heads[head] + tail for head, tail in zip(chosen, tails, strict=True))
        found += [prefix + number for number in numbers if valid(number)]
    return found[:count]


@cache
def _mobile_plan(country: str) -> tuple[Callable[[str], Any], tuple[str, ...], int]:
    example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    metadata = PhoneMetadata.metadata_for_region(country)
    if example is None or metadata is None or metadata.mobile is None:
        return _mobile_plan("US")
    valid = re.compile(metadata.mobile.national_number_pattern or "").fullmatch
    national_number = phonenumbers.national_significant_number(example)
    length = len(national_number)
    trials = patterned("#" * length, 40_000, np.random.default_rng(0))
    heads = sorted({number[:3] for number in trials if valid(number)})
    return valid, tuple(heads) or (national_number[:3],), length


def national(phone: str, *, spaced: bool) -> str:
    """Write an international number as people of its country do, with or without spaces."""
    number = phonenumbers.parse(phone)
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    return written if spaced else re.sub(r"\D", "", written)


def bank_accounts(country: str, count: int, random: np.random.Generator) -> list[str]:
    """IBANs with right check digits, or local account numbers where a country has no IBAN."""
    try:
        spec = registry.get_iban_spec(country).bban_spec
    except Exception:  # noqa: BLE001 -- schwifty has no common base for an unknown country
        return patterned(_LOCAL_ACCOUNTS.get(country, "##########"), count, random)
    symbols = {"n": "#", "a": "@", "c": "#", "e": " "}
    parts = re.findall(r"(\d+)!?([nace])", spec)
    pattern = "".join(symbols[kind] * int(length) for length, kind in parts)
    return [
        f"{country}{_iban_check(country, body)}{body}" for body in patterned(pattern, count, random)
    ]


_LOCAL_ACCOUNTS: Final = {
    "CN": "622###############",
    "HK": "###-######-###",
    "IN": "###########",
    "JP": "#######",
    "KR": "###-######-##-###",
    "MX": "##################",
    "US": "##########",
    "VN": "############",
}


def _iban_check(country: str, body: str) -> str:
    """The two check digits of an IBAN (ISO 13616: the whole is 1 modulo 97)."""
    digits = "".join(str(int(symbol, 36)) for symbol in f"{body}{country}00")
    return f"{98 - int(digits) % 97:02d}"


def tax_ids(country: str, count: int, random: np.random.Generator) -> list[str]:
    """Tax numbers with right check digits where the library knows the rule, `CC:`-led.

    A country without a rule in the table gets nine digits.
    """
    if country not in TAX_NUMBERS:
        return [f"{country}:{number}" for number in patterned("#########", count, random)]
    rule, prefix, pattern, check = TAX_NUMBERS[country]
    valid = importlib.import_module(f"stdnum.{rule}").is_valid
    complete = _check_digits(check)
    found: list[str] = []
    while len(found) < count:
        bodies = patterned(pattern, (count - len(found)) * (1 if complete else 4) + 4, random)
        whole = (prefix + body + (complete(body) if complete else "") for body in bodies)
        found += [f"{country}:{number}" for number in whole if valid(number)]
    return found[:count]


def _check_digits(name: str) -> Callable[[str], str] | None:
    """The library's function of that name, `module.function`; None for an empty name."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(f"stdnum.{module}"), function) if name else None


# By country: the library's rule, what every number begins with, the digits after it, and the
# function that completes those; without one, numbers are drawn until the rule is content.
TAX_NUMBERS: Final = {
    "AR": ("ar.cuit", "", "30########", "ar.cuit.calc_check_digit"),
    "AT": ("at.uid", "U", "#######", "at.uid.calc_check_digit"),
    "BR": ("br.cnpj", "", "1#######0001", "br.cnpj.calc_check_digits"),
    "CH": ("ch.uid", "CHE", "########", "ch.uid.calc_check_digit"),
    "CN": ("cn.uscc", "", "91######MA#######", "cn.uscc.calc_check_digit"),
    "CO": ("co.nit", "", "9########", "co.nit.calc_check_digit"),
    "DE": ("de.vat", "DE", "########", "iso7064.mod_11_10.calc_check_digit"),
    "ES": ("es.cif", "", "B########", ""),
    "FR": ("fr.siren", "", "########", "luhn.calc_check_digit"),
    "GB": ("gb.vat", "", "#########", ""),
    "GR": ("gr.vat", "", "########", "gr.vat.calc_check_digit"),
    "IT": ("it.iva", "", "0##########", ""),
    "JP": ("jp.cn", "", "#############", ""),
    "KR": ("kr.brn", "", "##########", ""),
    "PL": ("pl.nip", "", "##########", ""),
    "RO": ("ro.cui", "", "########", ""),
    "RU": ("ru.inn", "", "77########", ""),
    "TR": ("tr.vkn", "", "#########", "tr.vkn.calc_check_digit"),
    "UA": ("ua.edrpou", "", "3######", "ua.edrpou.calc_check_digit"),
    "VN": ("vn.mst", "", "#########", "vn.mst.calc_check_digit"),
}


def registration_numbers(country: str, count: int, random: np.random.Generator) -> list[str]:
    """Numbers in a register of companies, `CC:`-led."""
    return patterned(f"{country}:{_REGISTERS.get(country, '########')}", count, random)


_REGISTERS: Final = {
    "DE": "HRB ######",
    "GB": "1#######",
    "HK": "2######",
    "PK": "00#####",
    "RU": "11#########51",
    "TR": "#####-#",
}


def passports(country: str, count: int, random: np.random.Generator) -> list[str]:
    """Passport numbers, `passport:CC:`-led."""
    return [f"passport:{country}:{number}" for number in patterned("@########", count, random)]


def devices(count: int, random: np.random.Generator) -> list[str]:
    """Opaque device fingerprints."""
    return patterned("x" * 32, count, random)


def image_hashes(count: int, random: np.random.Generator) -> list[str]:
    """PDQ hashes: 256 bits in hex."""
    return patterned("x" * 64, count, random)


def ip_addresses(count: int, random: np.random.Generator) -> list[str]:
    """Addresses of 198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849), half of each."""
    numbers = random.integers(0, 1 << 17, count).tolist()
    sixth = random.random(count) < 0.5
    nets = patterned("2001:db8:xxxx:xxxx::x", count, random)
    return [
        net if six else f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        for number, net, six in zip(numbers, nets, sixth.tolist(), strict=True)
    ]


def mail_domain(provider: str, domains: Domains) -> str:
    """The domain an invented mailbox is at: `gmail.com`, or `gmail.example` where reserved."""
    return provider if domains == "real" else f"{provider.split('.')[0]}.example"


def mail_domains(providers: pl.Series, domains: Domains) -> pl.Series:
    """`mail_domain` for a column."""
    if domains == "real":
        return providers
    return providers.str.extract(r"^([^.]+)") + ".example"
