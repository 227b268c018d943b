"""Identity documents: passports, identity cards, licences."""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise import country
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, alphanumeric, plain

FIELD: Final = "id_document"


def normalise(value: str) -> str:
    """`kind:CC:NUMBER`, or `NUMBER` where the value names neither kind nor country.

    Raises:
        NotNormalisable: another form, a country that is none, or no number.
    """
    parts = plain(FIELD, value, UNICODE_3_2).split(":")
    if len(parts) == 1:
        return alphanumeric(FIELD, value)
    if len(parts) != 3:
        raise NotNormalisable(FIELD, "write kind:CC:number (passport:CN:…) or the number alone")
    kind = re.sub(r"[^a-z0-9]+", "_", parts[0].lower()).strip("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise NotNormalisable(FIELD, "the kind is a word such as passport, id_card, licence")
    issuer = country.normalise(parts[1], field=FIELD) if parts[1].strip() else ""
    return f"{kind}:{issuer}:{alphanumeric(FIELD, parts[2])}"
