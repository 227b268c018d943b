"""Numbers of accounts, documents and registers, which people write with any punctuation.

Everything here is part of the bytes that are digested, so nothing of it may move: it rests on
Unicode 3.2 and on the tables below.
"""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, ascii_digits, plain

_CAPITALS: Final = {
    **{small: small - 0x20 for small in (*range(0x03B1, 0x03C2), *range(0x03C3, 0x03CA))},  # Greek
    0x03C2: 0x03A3,  # final sigma
    **{small: small - 0x20 for small in range(0x0430, 0x0450)},  # Cyrillic
    **{small: small - 0x50 for small in range(0x0450, 0x0460)},
    0x0491: 0x0490,
}
_GREEK: Final = (
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_CYRILLIC: Final = (
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408"
)
_LATIN_LOOKALIKES: Final = str.maketrans(_GREEK + _CYRILLIC, "ABEZHIKMNOPTYX" + "ABEKMHOPCTYXSIJ")
_PUNCTUATION: Final = "ZPSM"
"""General categories that are left out: separators, punctuation, symbols, marks."""


def alphanumeric(field: str, value: str) -> str:
    """Only letters and digits, in capitals, with digits of any script as ASCII digits.

    A Greek or Cyrillic capital that looks like a Latin one becomes that: documents with such
    letters are typed on either keyboard, and nothing looser than equality finds a digest.

    Raises:
        NotNormalisable: no letter or digit is left.
    """
    text = ascii_digits(plain(field, value, UNICODE_3_2))
    kept = "".join(c for c in text if UNICODE_3_2.category(c)[0] not in _PUNCTUATION)
    if not kept:
        raise NotNormalisable(field, "no letter or digit in it")
    if not kept.isascii():
        kept = kept.translate(_CAPITALS).translate(_LATIN_LOOKALIKES)
    return re.sub("[a-z]+", lambda run: run[0].upper(), kept)
