"""Identity documents: passports, identity cards, licences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from acx.records.normalise import country
from acx.records.normalise.alphanumeric import alphanumeric
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, plain

FIELD: Final = "id_document"

SAME_KIND: Final = {
    "id": "id_card",
    "identity_card": "id_card",
    "national_id": "id_card",
    "national_id_card": "id_card",
    "driver_license": "driving_licence",
    "driver_licence": "driving_licence",
    "drivers_license": "driving_licence",
    "drivers_licence": "driving_licence",
    "driving_license": "driving_licence",
    "residence_card": "residence_permit",
}
"""Kinds that stores name differently; any other kind stands as written."""


def candidates(
    value: str, countries: Sequence[str] = (), default_country: str = ""
) -> Iterator[str]:
    """`kind:CC:NUMBER`, or `NUMBER` where the value names neither kind nor country.

    What follows is how else the document may have been written: in the account's countries where
    the value names none, and with less said about it.

    Args:
        value: as written; the country may be left out (`passport::…`).
        countries: the account's own.
        default_country: tried last, or empty.

    Raises:
        NotNormalisable: another form, a country that is none, or no number.
    """
    parts = plain(FIELD, value, UNICODE_3_2).split(":")
    number = alphanumeric(FIELD, parts[-1])
    if len(parts) == 1:
        yield number
        return
    if len(parts) != 3:
        raise NotNormalisable(FIELD, "write kind:CC:number (passport:CN:…) or the number alone")
    kind = re.sub(r"[^a-z0-9]+", "_", parts[0].lower()).strip("_")
    if not re.match("[a-z]", kind):
        raise NotNormalisable(FIELD, "the kind is a word such as passport, id_card, licence")
    kind = SAME_KIND.get(kind, kind)
    issuer = country.normalise(parts[1], FIELD) if parts[1].strip() else ""
    yield f"{kind}:{issuer}:{number}"
    if not issuer:
        tried = filter(None, map(country.code, [*countries, default_country]))
        yield from (f"{kind}:{code}:{number}" for code in tried)
    yield f"{kind}::{number}"
    yield number
