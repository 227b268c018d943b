"""Report: what a member says about one account, and the closed lists it may say it with."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import Meta

from acx.records.account import Subject, Value, Values

Conduct = Literal[
    "sold_counterfeits",
    "shipped_counterfeits",
    "attempted_to_sell",
    "attempted_to_register",
    "reoffended",
]
"""What the account did."""

Standard = Literal[
    "test_buy",
    "rights_owner",
    "laboratory",
    "customs_seizure",
    "court",
    "admission",
    "documents_forged",
]
"""How it was confirmed: a standard of proof, each defined in `docs/reference/standards.md`."""

Category = Literal[
    "apparel",
    "footwear",
    "bags_and_leather",
    "watches",
    "jewellery",
    "eyewear",
    "cosmetics",
    "perfumes",
    "pharmaceuticals",
    "medical_devices",
    "food_and_drink",
    "tobacco_and_vaping",
    "toys_and_games",
    "sports_goods",
    "consumer_electronics",
    "phones_and_accessories",
    "computers_and_parts",
    "batteries_and_chargers",
    "home_appliances",
    "home_textiles",
    "furniture_and_lighting",
    "kitchen_and_tableware",
    "tools_and_hardware",
    "vehicle_parts",
    "pet_supplies",
    "books_and_media",
    "stationery",
    "labels_and_packaging",
    "chemicals_and_pesticides",
    "other",
]
"""Kinds of goods, a closed list; `docs/reference/categories.md` gives each its HS chapters."""

CONDUCTS: Final[tuple[str, ...]] = get_args(Conduct)
STANDARDS: Final[tuple[str, ...]] = get_args(Standard)
CATEGORIES: Final[tuple[str, ...]] = get_args(Category)
MAX_PRODUCTS: Final = 200

Month = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")]
"""YYYY-MM; a day would help to tell who bought when, so it is never finer."""
Confirmations = Annotated[tuple[Standard, ...], Meta(min_length=1, max_length=7)]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
PdqHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Identifier = Annotated[str, Meta(pattern=r"^(gtin:[0-9]{8,14}|mpn:\S.*)$(?!\n)", max_length=512)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Evidence that stays with the contributor, who can later prove to have held it.

    Attributes:
        kind: what the file is (`invoice`, `test_buy_photo`, …).
        commitment: SHA-256(32 random bytes ‖ file), hex; the random bytes stay in the wallet.
        held: whether the contributor still keeps the file.
    """

    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}$(?!\n)")]
    commitment: Digest
    held: bool = True


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A picture of a product, as PDQ hashes of itself and its variants; never the picture.

    Attributes:
        variants: PDQ of the picture, its mirror, its crops.
        quality: PDQ's quality, 0 to 100; blank pictures have 0 and match nothing.
    """

    variants: Annotated[tuple[PdqHash, ...], Meta(min_length=1, max_length=50)]
    quality: Annotated[int, Meta(ge=0, le=100)]


class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was on sale; never a listing's id or URL, which would name the store.

    Attributes:
        title: sorted, folded tokens of the title.
        brand: the brand the goods bore.
        category: one of the published categories, or empty.
        price: a decimal string of two significant figures, or empty.
        currency: ISO 4217, or empty.
        identifiers: `gtin:…`, `mpn:…`.
        images: pictures, as hashes.
    """

    title: Annotated[str, Meta(max_length=512)] = ""
    brand: Annotated[str, Meta(max_length=512)] = ""
    category: Category | Literal[""] = ""
    price: Annotated[str, Meta(pattern=r"^([0-9]+(\.[0-9]+)?)?$(?!\n)", max_length=32)] = ""
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""
    identifiers: Annotated[tuple[Identifier, ...], Meta(max_length=50)] = ()
    images: Annotated[tuple[Image, ...], Meta(max_length=50)] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A confirmed counterfeiter, as one member reports it.

    Attributes:
        account: the subject, as it may leave.
        conduct: what it did.
        confirmed_by: the standards of proof that were met; suspicion is not one.
        confirmed_on: the month of the confirmation.
        brands: brands that were counterfeited.
        categories: kinds of goods.
        evidence: commitments to files the contributor holds.
        products: what was on sale.
    """

    account: Subject
    conduct: Conduct
    confirmed_by: Confirmations
    confirmed_on: Month
    brands: Values = ()
    categories: Annotated[tuple[Category, ...], Meta(max_length=50)] = ()
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=50)] = ()
    products: Annotated[tuple[Product, ...], Meta(max_length=MAX_PRODUCTS)] = ()


__all__ = [
    "CATEGORIES",
    "CONDUCTS",
    "MAX_PRODUCTS",
    "STANDARDS",
    "Category",
    "Conduct",
    "Evidence",
    "Image",
    "Product",
    "Report",
    "Standard",
    "Value",
]
