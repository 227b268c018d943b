"""Tax numbers and register numbers, `CC:NUMBER` where the issuing country is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from acx.records.normalise import country
from acx.records.normalise.text import UNICODE_3_2, alphanumeric, plain

_VAT: Final = {
    "AT": r"AT(U\d{8})", "BE": r"BE([01]\d{9})", "BG": r"BG(\d{9,10})", "CY": r"CY(\d{8}[A-Z])",
    "CZ": r"CZ(\d{8,10})", "DE": r"DE(\d{9})", "DK": r"DK(\d{8})", "EE": r"EE(\d{9})",
    "ES": r"ES([A-Z0-9]\d{7}[A-Z0-9])", "FI": r"FI(\d{8})", "FR": r"FR([A-Z0-9]{2}\d{9})",
    "GB": r"GB(\d{9}|\d{12})", "GR": r"EL(\d{9})", "HR": r"HR(\d{11})", "HU": r"HU(\d{8})",
    "IE": r"IE(\d[A-Z0-9]\d{5}[A-Z]{1,2})", "IT": r"IT(\d{11})", "LT": r"LT(\d{9}|\d{12})",
    "LU": r"LU(\d{8})", "LV": r"LV(\d{11})", "MT": r"MT(\d{8})", "NL": r"NL(\d{9}B\d{2})",
    "PL": r"PL(\d{10})", "PT": r"PT(\d{9})", "RO": r"RO(\d{2,10})", "SE": r"SE(\d{12})",
    "SI": r"SI(\d{8})", "SK": r"SK(\d{10})",
    "CH": r"(CHE\d{9})(?:MWST|TVA|IVA|TPV)", "NO": r"(?:NO)?(\d{9})MVA",
}  # fmt: skip
"""Numbers for value-added tax as they are written across borders; the group is the number itself.

Source: VIES, «FAQ», question 11; Swiss VAT ordinance; Norwegian Brønnøysund register.
"""

_KINDS: Final = {
    "tax_id": ("vat", "tin", "businessid", "personalid", "idnr", "stnr", "utr", "ein", "ssn",
               "itin",               "cpf", "codicefiscale", "pan", "nie", "dni", "nif", "uscc", "inn", "nip", "pesel",
               "siren", "siret", "abn", "tfn", "bsn", "rfc", "curp", "npwp", "brn", "rrn", "sin"),
    "registration_no": ("businessid", "vat", "uscc", "siren", "siret", "rcs", "uid", "orgnr",
                        "ogrn",                        "regon", "acn", "abn", "ein", "edrpou", "onrc", "cnpj", "cn", "brn", "uen"),
}  # fmt: skip
"""Kinds of numbers, by python-stdnum's names, that stand in the field."""


def candidates(
    field: str, value: str, countries: Sequence[str] = (), default_country: str = ""
) -> list[str]:
    """Every writing that the number may have, the likeliest first.

    A country is put before a number only where the value says it (`CC:…`, the prefix of a
    cross-border VAT number) or where the number has the check digits of one of the account's
    countries. The number itself is always the letters and digits as written.

    Args:
        field: `tax_id` or `registration_no`.
        value: as written.
        countries: the account's own.
        default_country: tried last, or empty.

    Raises:
        NotNormalisable: no letter or digit, or the country before the colon is none.
    """
    prefix, colon, rest = plain(field, value, UNICODE_3_2).partition(":")
    if colon:
        issuer = country.normalise(prefix, field)
        return [f"{issuer}:{_without_vat_prefix(issuer, alphanumeric(field, rest))}"]
    number = alphanumeric(field, value)
    found = [f"{issuer}:{digits}" for issuer, digits in _cross_border(number)]
    issuers = filter(None, map(country.code, [*countries, default_country]))
    found += [f"{issuer}:{number}" for issuer in issuers if _is_issued_by(field, issuer, number)]
    return list(dict.fromkeys([*found, number]))


def _without_vat_prefix(issuer: str, number: str) -> str:
    vat = re.fullmatch(_VAT.get(issuer, "(?!)"), number, re.ASCII)
    return vat[1] if vat else number


def _cross_border(number: str) -> Iterator[tuple[str, str]]:
    for issuer, writing in _VAT.items():
        vat = re.fullmatch(writing, number, re.ASCII)
        if vat and _validates(_module(issuer, "vat"), vat[0]):
            yield issuer, vat[1]


def _is_issued_by(field: str, issuer: str, number: str) -> bool:
    return any(_validates(_module(issuer, kind), number) for kind in _KINDS[field])


def _module(issuer: str, kind: str) -> Any:
    from stdnum import get_cc_module

    return get_cc_module(issuer, kind)


def _validates(module: Any, number: str) -> bool:
    return module is not None and bool(module.is_valid(number))
