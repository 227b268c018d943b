"""Bank accounts: IBANs and any other account strings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from acx.records.normalise import country
from acx.records.normalise.alphanumeric import alphanumeric

FIELD: Final = "bank_account"

IBAN_FORM: Final = r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}"
INLAND_FORM: Final = r"[A-Z0-9]{8,30}"

_IBAN: Final = re.compile(IBAN_FORM)
_INLAND: Final = re.compile(INLAND_FORM)
_LABELLED: Final = re.compile(rf"(?:IBAN)+({_IBAN.pattern})")


def candidates(
    value: str, countries: Sequence[str] = (), default_country: str = ""
) -> Iterator[str]:
    """Letters and digits only, in upper case, without the word IBAN before an IBAN.

    These bytes rest on no register of banks: whether an IBAN is valid changes nothing in them. What
    follows is how else the account may have been written: an IBAN by its inland number, an inland
    number by the IBANs that it has in the account's countries.

    Args:
        value: as written.
        countries: the account's own.
        default_country: tried last, or empty.

    Raises:
        NotNormalisable: no letter or digit.

    Source: ISO 13616 (IBAN), ISO 7064 (its check digits); the IBAN registry, by schwifty.
    """
    text = alphanumeric(FIELD, value)
    labelled = _LABELLED.fullmatch(text)
    if labelled and has_iban_check_digits(labelled[1]):
        text = labelled[1]
    yield text
    if has_iban_check_digits(text):
        yield text[4:]
        return
    if _INLAND.fullmatch(text):
        for issuer in filter(None, map(country.code, [*countries, default_country])):
            iban = iban_of(issuer, text)
            if iban is not None:
                yield iban


def has_iban_check_digits(text: str) -> bool:
    """Whether a normalised account is an IBAN, as far as its form and check digits tell.

    Source: ISO 7064, mod 97-10.
    """
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def iban_of(issuer: str, inland: str) -> str | None:
    """The IBAN of an inland account number; None if the country has none, or none of that form."""
    from schwifty import IBAN
    from schwifty.exceptions import SchwiftyException

    try:
        return str(IBAN.from_bban(issuer, inland))
    except SchwiftyException:
        return None


def bban_length(issuer: str) -> int:
    """Characters of an account number inside a country's IBANs; 0 where it has none."""
    from schwifty.exceptions import SchwiftyException
    from schwifty.registry import get_iban_spec

    try:
        return get_iban_spec(issuer).iban_length - 4
    except SchwiftyException:
        return 0
