"""Which rule makes the `h1` writing of which field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from acx.records.account import DIGESTED_FIELDS, FIELDS
from acx.records.normalise import (
    bank_account,
    birth_date,
    country,
    email,
    handle,
    id_document,
    image_hash,
    ip,
    kind,
    official_number,
    phone,
    website,
)
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import UNICODE_3_2, fold, plain, within_limit

NORMALISABLE_FIELDS: Final = tuple(field for field in FIELDS if field != "id")
COUNTRY_FIELDS: Final = ("phone", "tax_id", "registration_no", "contact", "handle")
"""Fields whose writing may depend on the account's countries."""

_DIGEST: Final = re.compile(r"h1:[0-9a-f]{64}")

_Candidates = Callable[[str, Sequence[str], str], Iterable[str]]


def is_digest(value: str) -> bool:
    """Whether a value is a digest already: `h1:` and 64 hex digits."""
    return _DIGEST.fullmatch(value) is not None


def normalise(
    field: str, value: str, countries: Sequence[str] = (), default_country: str = ""
) -> str:
    """The `h1` writing of one value: two writings of the same thing become equal.

    A digest stands as it is, since it was made of a normalised value.

    Args:
        field: a field of an account other than `id`.
        value: as a store wrote it.
        countries: the account's countries, for national phone, tax and register numbers.
        default_country: tried after them.

    Returns:
        At most 512 characters; normalising them again changes nothing.

    Raises:
        NotNormalisable: the value is not of the field's kind.

    Source: docs/reference/normalisation.md.
    """
    return next(_writings(field, value, countries, default_country))


def normalise_all(
    field: str, value: str, countries: Sequence[str] = (), default_country: str = ""
) -> tuple[str, ...]:
    """Every writing that a value may stand for, the `h1` writing first.

    A national phone number may belong to several countries, a tax number to any of them, a
    document may have been reported without its country. Who looks for an account tries them all.

    Args:
        field: a field of an account other than `id`.
        value: as a store wrote it.
        countries: the account's countries.
        default_country: tried after them.

    Raises:
        NotNormalisable: the value is not of the field's kind.
    """
    return tuple(dict.fromkeys(_writings(field, value, countries, default_country)))


def _writings(
    field: str, value: str, countries: Sequence[str], default_country: str
) -> Iterator[str]:
    if is_digest(value):
        yield value
        return
    rule = _RULES.get(field)
    if rule is None:
        raise NotNormalisable(field, "no field that has a normalised writing")
    digested = field in DIGESTED_FIELDS
    if digested:
        _refuse_damaged_digest(field, plain(field, value, UNICODE_3_2))
    for text in rule(value, countries, default_country):
        if digested:
            _refuse_damaged_digest(field, text)
        yield within_limit(field, text)


def _refuse_damaged_digest(field: str, text: str) -> None:
    if text.startswith("h1:"):
        raise NotNormalisable(field, "starts as a digest, but h1: is not followed by 64 hex digits")


def _only(rule: Callable[[str], str]) -> _Candidates:
    return lambda value, _countries, _default_country: (rule(value),)


def _handle(field: str) -> _Candidates:
    return lambda value, countries, default: (handle.normalise(field, value, countries, default),)


_RULES: Final[dict[str, _Candidates]] = {
    "kind": _only(kind.normalise),
    "name": _only(partial(fold, "name")),
    "alias": _only(partial(fold, "alias")),
    "email": _only(email.normalise),
    "phone": phone.candidates,
    "address": _only(partial(fold, "address")),
    "country": _only(country.normalise),
    "tax_id": partial(official_number.candidates, "tax_id"),
    "registration_no": partial(official_number.candidates, "registration_no"),
    "bank_account": bank_account.candidates,
    "id_document": id_document.candidates,
    "website": _only(website.normalise),
    "contact": _handle("contact"),
    "handle": _handle("handle"),
    "birth_date": _only(birth_date.normalise),
    "ip": _only(ip.normalise),
    "device": _only(partial(plain, "device", database=UNICODE_3_2)),
    "image_hash": _only(image_hash.normalise),
    "related": _only(partial(fold, "related")),
}
