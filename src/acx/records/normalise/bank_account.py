"""Bank accounts: IBANs and any other account strings."""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise.text import alphanumeric

FIELD: Final = "bank_account"

_LABELLED: Final = re.compile(r"(?:IBAN)+(?P<iban>[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})")


def normalise(value: str) -> str:
    """Letters and digits only, in upper case, without a leading «IBAN» before an IBAN.

    Whether an IBAN is valid changes nothing in its bytes: they depend on no register of banks.

    Raises:
        NotNormalisable: no letter or digit.

    Source: ISO 13616; ISO 7064 (mod 97-10) for the check digits.
    """
    text = alphanumeric(FIELD, value)
    labelled = _LABELLED.fullmatch(text)
    if labelled and has_iban_check_digits(labelled["iban"]):
        return labelled["iban"]
    return text


def has_iban_check_digits(text: str) -> bool:
    """Whether the text is an IBAN as far as its check digits tell.

    Args:
        text: a normalised account.

    Source: ISO 7064, mod 97-10.
    """
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", text):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1
