"""Account: the subject of a report, and the row of a seller base.

One flat record serves both, so that what a store exports from its own systems is what it screens
and what it reports (`docs/reference/records.md`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Kind = Literal["", "person", "organization"]

MAX_VALUE_CHARACTERS: Final = 512
MAX_VALUES: Final = 50

Value = Annotated[str, Meta(min_length=1, max_length=MAX_VALUE_CHARACTERS)]
Values = Annotated[tuple[Value, ...], Meta(max_length=MAX_VALUES)]
Day = Annotated[str, Meta(pattern=r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$(?!\n)")]

DIGESTED_FIELDS: Final = ("bank_account", "id_document", "device", "ip")
"""Fields that leave a member only as a keyed digest (`acx.records.normalise.digest`)."""


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What leaves a member of an account: every field but the member's own `id`.

    Values of `DIGESTED_FIELDS` are digests here (`h1:` and 64 hex digits). The limits are the
    exchange's, so a subject that parses here parses everywhere.
    """

    kind: Kind = ""
    name: Values = ()
    alias: Values = ()
    email: Values = ()
    phone: Values = ()
    address: Values = ()
    country: Values = ()
    tax_id: Values = ()
    registration_no: Values = ()
    bank_account: Values = ()
    id_document: Values = ()
    website: Values = ()
    contact: Values = ()
    handle: Values = ()
    birth_date: Day = ""
    ip: Values = ()
    device: Values = ()
    image_hash: Values = ()
    related: Values = ()


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as a store knows it: the row of a seller base, in the clear.

    Attributes:
        id: the store's own key for the account; never leaves the store.
        kind: person, organization, or empty where the store does not know.
        name: names of the person or organization; all are names of the same actor.
        alias: store and trade names.
        email: e-mail addresses.
        phone: numbers, international or national (tried in each `country`).
        address: postal addresses, one string each.
        country: ISO 3166-1 alpha-2 codes.
        tax_id: tax numbers, with or without `CC:` for the issuing country.
        registration_no: numbers in a register of companies, likewise.
        bank_account: IBANs or any account strings.
        id_document: passports and cards, with or without `kind:CC:`.
        website: URLs or domains.
        contact: `wechat:…`, `whatsapp:…`, `telegram:…`.
        handle: shop handles elsewhere, `shopee:…`.
        birth_date: YYYY-MM-DD.
        ip: IP addresses.
        device: device fingerprints, opaque.
        image_hash: PDQ hashes, 64 hex digits.
        related: names of owners and directors.
    """

    id: str = ""
    kind: Kind = ""
    name: tuple[str, ...] = ()
    alias: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    phone: tuple[str, ...] = ()
    address: tuple[str, ...] = ()
    country: tuple[str, ...] = ()
    tax_id: tuple[str, ...] = ()
    registration_no: tuple[str, ...] = ()
    bank_account: tuple[str, ...] = ()
    id_document: tuple[str, ...] = ()
    website: tuple[str, ...] = ()
    contact: tuple[str, ...] = ()
    handle: tuple[str, ...] = ()
    birth_date: Day = ""
    ip: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    image_hash: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


SCALAR_FIELDS: Final = ("id", "kind", "birth_date")
FIELDS: Final[tuple[str, ...]] = Account.__struct_fields__
"""Every field of an account, in the order in which files show them."""
LIST_FIELDS: Final[tuple[str, ...]] = tuple(f for f in FIELDS if f not in SCALAR_FIELDS)
SUBJECT_FIELDS: Final[tuple[str, ...]] = Subject.__struct_fields__
"""The whitelist: the only fields of an account that can leave a member."""
