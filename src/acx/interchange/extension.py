"""What STIX has no word for, in one extension; and the objects that are the same everywhere."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from acx.records.account import Subject, Values
from acx.records.event import Corroboration
from acx.records.report import Category, Conduct, Evidence, Product, Standard
from acx.records.state import State

EXTENSION: Final = "extension-definition--bfc9208e-e9f0-4d76-b53c-6a7a3d87d326"
"""The extension's id, and so the name of the property it stands under."""
_ACX: Final = "identity--d433c524-fbca-4762-95e4-2840396813ae"
_TLP_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
_WRITTEN: Final = "2026-11-01T00:00:00.000Z"


class Extension(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="extension_type",
    tag="property-extension",
):
    """What acx says beside STIX's own properties; each object has the part that is its own.

    On an `identity`: `account`. On a `report`: all but that and `outcomes`. On a `sighting`:
    `outcomes`.

    Attributes:
        account: the subject as it was reported, digests and all (docs/reference/records.md).
        log: the log's name.
        report: the report's id.
        index: its place in the log.
        changed: place of what changed it last.
        state: `active`, `disputed` or `suspended`.
        version: the report's version.
        contributors: members that stand behind this version.
        conduct: what the account did.
        confirmed_by: the standards of proof that were met.
        confirmed_on: the month of the confirmation, YYYY-MM.
        corroborations: what other members confirmed of this version.
        brands: brands that were counterfeited.
        categories: kinds of goods.
        evidence: commitments to files that contributors hold.
        products: what was on sale, pictures as PDQ hashes.
        assessments: brand's key ► what the brand says.
        outcomes: what members did ► how many did.
    """

    account: Subject | msgspec.UnsetType = msgspec.UNSET
    log: str = ""
    report: str = ""
    index: int | msgspec.UnsetType = msgspec.UNSET
    changed: int | msgspec.UnsetType = msgspec.UNSET
    state: State | msgspec.UnsetType = msgspec.UNSET
    version: int = 0
    contributors: int = 0
    conduct: Conduct | msgspec.UnsetType = msgspec.UNSET
    confirmed_by: tuple[Standard, ...] = ()
    confirmed_on: str = ""
    corroborations: tuple[Corroboration, ...] = ()
    brands: Values = ()
    categories: tuple[Category, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    products: tuple[Product, ...] = ()
    assessments: dict[str, str] = {}
    outcomes: dict[str, int] = {}


TLP_AMBER_STRICT: Final[dict[str, Any]] = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    "created": "2022-10-01T00:00:00.000Z",
    "name": "TLP:AMBER+STRICT",
    "extensions": {
        _TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": "amber+strict"}
    },
}
"""For the member's own organisation only.

Source: OASIS, STIX extension definition for TLP 2.0.
"""

ACX_IDENTITY: Final[dict[str, Any]] = {
    "type": "identity",
    "spec_version": "2.1",
    "id": _ACX,
    "created": _WRITTEN,
    "modified": _WRITTEN,
    "name": "acx",
    "description": "The project that defines the extension.",
    "identity_class": "organization",
}

EXTENSION_DEFINITION: Final[dict[str, Any]] = {
    "type": "extension-definition",
    "spec_version": "2.1",
    "id": EXTENSION,
    "created_by_ref": _ACX,
    "created": _WRITTEN,
    "modified": _WRITTEN,
    "name": "acx",
    "description": "Standing, proof and products of a report on a confirmed counterfeiter.",
    "schema": msgspec.json.encode(msgspec.json.schema(Extension)).decode(),
    "version": "1.0.0",
    "extension_types": ["property-extension"],
}
