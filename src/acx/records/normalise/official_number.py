"""Tax numbers and register numbers, `CC:NUMBER` where the issuing country is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, Protocol

from acx.records.normalise import country
from acx.records.normalise.alphanumeric import alphanumeric
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, plain

CROSS_BORDER: Final = {
    "AT": r"AT(U\d{8})",
    "BE": r"BE([01]\d{9})",
    "BG": r"BG(\d{9,10})",
    "CH": r"(CHE\d{9})(?:MWST|TVA|IVA|TPV)?",
    "CY": r"CY(\d{8}[A-Z])",
    "CZ": r"CZ(\d{8,10})",
    "DE": r"DE(\d{9})",
    "DK": r"DK(\d{8})",
    "EE": r"EE(\d{9})",
    "ES": r"ES([A-Z0-9]\d{7}[A-Z0-9])",
    "FI": r"FI(\d{8})",
    "FR": r"FR([A-Z0-9]{2}\d{9})",
    "GB": r"GB(\d{9}|\d{12})",
    "GR": r"EL(\d{9})",
    "HR": r"HR(\d{11})",
    "HU": r"HU(\d{8})",
    "IE": r"IE(\d[A-Z0-9]\d{5}[A-Z]{1,2})",
    "IT": r"IT(\d{11})",
    "LT": r"LT(\d{9}|\d{12})",
    "LU": r"LU(\d{8})",
    "LV": r"LV(\d{11})",
    "MT": r"MT(\d{8})",
    "NL": r"NL(\d{9}B\d{2})",
    "NO": r"(?:NO)?(\d{9})MVA",
    "PL": r"PL(\d{10})",
    "PT": r"PT(\d{9})",
    "RO": r"RO(\d{2,10})",
    "SE": r"SE(\d{12})",
    "SI": r"SI(\d{8})",
    "SK": r"SK(\d{10})",
}
"""Numbers for value-added tax as they are written across borders; the group is the number itself.

Source: European Commission, VIES, «FAQ», question 11; Swiss VAT ordinance, article 2; Norway,
Brønnøysund register.
"""

_KINDS: Final = ("vat", "tin", "businessid", "personalid")
"""What python-stdnum calls the usual kinds of numbers in every country that it knows."""

_OTHER_KINDS: Final = {
    "AU": ("acn", "tfn"),
    "BE": ("bis", "ssn"),
    "BG": ("egn", "pnf"),
    "BR": ("cpf",),
    "CA": ("sin",),
    "CH": ("uid", "ssn"),
    "CN": ("ric",),
    "CR": ("cpf", "cr"),
    "CU": ("ni",),
    "CZ": ("rc",),
    "DE": ("idnr", "stnr"),
    "DO": ("cedula",),
    "EC": ("ci",),
    "FR": ("nif", "siren", "siret"),
    "GB": ("utr",),
    "ID": ("nik",),
    "IE": ("pps",),
    "IL": ("idnr",),
    "IN": ("pan",),
    "IT": ("codicefiscale",),
    "JP": ("in_",),
    "KR": ("rrn",),
    "LI": ("peid",),
    "LT": ("asmens",),
    "MD": ("idno",),
    "MU": ("nid",),
    "MY": ("nric",),
    "NL": ("bsn",),
    "NO": ("orgnr",),
    "PE": ("cui",),
    "PK": ("cnic",),
    "PL": ("pesel", "regon"),
    "RO": ("cnp", "cui"),
    "RU": ("ogrn",),
    "SE": ("orgnr",),
    "SK": ("rc",),
    "TH": ("pin",),
    "TR": ("tckimlik",),
    "UA": ("edrpou", "rntrc"),
    "ZA": ("idnr",),
}


class _Number(Protocol):
    def is_valid(self, number: str) -> bool: ...


def candidates(
    field: str, value: str, countries: Sequence[str] = (), default_country: str = ""
) -> Iterator[str]:
    """Every writing that the number may have, the likeliest first.

    A country is put before the number where the value says it (`CC:…`, the prefix of a VAT number
    that is valid), or where the number is valid in one of the account's countries and no other of
    them. The number itself is always the letters and digits as written.

    Args:
        field: `tax_id` or `registration_no`.
        value: as written.
        countries: the account's own.
        default_country: asked where the account has none.

    Raises:
        NotNormalisable: no letter or digit, or what stands before the colon is no country code.

    Source: python-stdnum for what is valid where.
    """
    text = plain(field, value, UNICODE_3_2)
    prefix, colon, rest = text.partition(":")
    if colon:
        issuer = country.from_code(prefix)
        if not issuer:
            raise NotNormalisable(field, "write CC:number (DE:136695976) or the number alone")
        yield f"{issuer}:{_without_vat_prefix(issuer, alphanumeric(field, rest))}"
        return
    number = alphanumeric(field, text)
    if not number.isascii():
        yield number
        return
    crossing = [f"{issuer}:{national}" for issuer, national in _cross_border(number)]
    asked = filter(None, map(country.code, countries or [default_country]))
    issuers = [issuer for issuer in dict.fromkeys(asked) if _is_valid_in(issuer, number)]
    inland = [f"{issuer}:{_without_vat_prefix(issuer, number)}" for issuer in issuers]
    known = crossing + inland
    yield from [*known, number] if crossing or len(issuers) == 1 else [number, *known]


def _without_vat_prefix(issuer: str, number: str) -> str:
    vat = re.fullmatch(CROSS_BORDER.get(issuer, "(?!)"), number, re.ASCII)
    return vat[1] if vat else number


def _cross_border(number: str) -> Iterator[tuple[str, str]]:
    if number.isdigit():
        return
    for issuer, writing in CROSS_BORDER.items():
        vat = re.fullmatch(writing, number, re.ASCII)
        if vat and _is_valid_in(issuer, number):
            yield issuer, vat[1]


def _is_valid_in(issuer: str, number: str) -> bool:
    return any(kind.is_valid(number) for kind in _kinds(issuer))


@cache
def _kinds(issuer: str) -> tuple[_Number, ...]:
    from stdnum import get_cc_module

    names = _KINDS + _OTHER_KINDS.get(issuer, ())
    return tuple(kind for name in names if (kind := get_cc_module(issuer, name)))
