"""What a brand says by its own name: what is its own, and whether a report about it is right.

A brand is admitted with its register numbers verified. It signs with the key that it joined with,
so everybody sees that it is the brand that speaks; nothing here is anonymous, and nothing shows a
brand who reported.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.errors import AcxError
from acx.member.client import Acknowledgement
from acx.member.contribute import require_standing
from acx.member.errors import BrandError
from acx.member.poster import Poster
from acx.member.replica import Replica
from acx.records.event import Assessment, Event, Registration, public_key_text, sign_event
from acx.records.normalise import digest, latinise, skeleton
from acx.records.state import ReportView

MAX_FILE_BYTES: Final = 1 << 20
_OFFICIAL: Final = ("registration_no", "tax_id")
_STANDING: Final = ("active", "disputed", "suspended")


def read_registration(path: Path, matching_key: bytes) -> Registration:
    """Read what a brand registers, from TOML or JSON.

    ```toml
    brand = "Example"
    marks = ["EXAMPLE", "EXAMPLE SPORT"]
    register_numbers = ["EUTM:018000000"]
    identifiers = ["gtin:4006381333931"]
    [[official]]                          # sellers that are the brand's own; digests alone leave
    registration_no = ["DE:HRB 12345"]
    tax_id = ["DE:DE136695976"]
    [[images]]                            # press pictures, as PDQ hashes
    variants = ["f8f8…"]
    quality = 100
    ```

    Args:
        path: the file.
        matching_key: of the exchange; official sellers leave as digests under it.

    Raises:
        BrandError: it cannot be read, or says something impossible.
    """
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise BrandError(f"{path}: larger than a registration can be")
        text = data.decode()
        tree = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BrandError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BrandError(f"{path}: neither TOML nor JSON ({error})") from None
    if not isinstance(tree, dict):
        raise BrandError(f"{path}: must be a table with brand, marks, …")
    official = [
        value
        for number, seller in enumerate(tree.pop("official", []), start=1)
        for value in _digests(seller, matching_key, f"{path}: official {number}")
    ]
    try:
        return msgspec.convert({**tree, "official": official}, _Strict).plain()
    except msgspec.ValidationError as error:
        raise BrandError(f"{path}: {error}") from None


class _Strict(Registration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registration in which a misspelt name is an error."""

    def plain(self) -> Registration:
        return Registration(**msgspec.structs.asdict(self))


class Brand:
    """A brand, speaking by name."""

    def __init__(
        self, replica: Replica, poster: Poster, member_key: Ed25519PrivateKey, origin: str
    ) -> None:
        """Nothing is said yet.

        Args:
            replica: up to date, for what was said before.
            poster: carries events.
            member_key: the key that the brand joined with.
            origin: the exchange's.
        """
        self._replica = replica
        self._poster = poster
        self._key = member_key
        self._origin = origin
        self._by = public_key_text(member_key)

    def register(self, registration: Registration) -> Acknowledgement:
        """Publish what is the brand's own, in place of what was registered before."""
        said = (self._replica.event_of(entry) for entry in self._replica.entries())
        before = sum(e is not None and e.by == self._by and e.type == "registration" for e in said)
        return self._post("registration", registration, "", before)

    def assess(self, report: str, assessment: Literal["confirmed", "refuted"]) -> Acknowledgement:
        """Say of a report whether the goods were counterfeit; a later word replaces it.

        Raises:
            ContributionError: there is no such report that stands.
        """
        view = require_standing(self._replica, report)
        before = sum(
            event is not None and event.by == self._by
            for event in (
                self._replica.event_of(self._replica.entry(step.index))
                for step in view.timeline
                if step.type == "assessment"
            )
        )
        return self._post("assessment", Assessment(assessment=assessment), report, before)

    def _post(self, kind: str, body: Any, report: str, seq: int) -> Acknowledgement:
        event: Event = sign_event(
            self._key, origin=self._origin, type=kind, body=body, report=report, seq=seq
        )
        return self._poster.post(event.raw)


def about(replica: Replica, names: Sequence[str], by: str = "") -> Iterator[ReportView]:
    """Reports that stand and name a brand, in any writing of its name.

    Args:
        replica: filtered here; the exchange is not told what is looked for.
        names: the brand's name and marks.
        by: only those that this key has not assessed.
    """
    wanted = {_folded(name) for name in names}
    for view in replica.reports(*_STANDING):
        report = view.report
        if report is None or by in view.assessments:
            continue
        named = {_folded(name) for name in (*report.brands, *(p.brand for p in report.products))}
        if wanted & named:
            yield view


def _folded(name: str) -> str:
    return "".join(character for character in latinise(skeleton(name)) if character.isalnum())


def _digests(seller: Any, matching_key: bytes, place: str) -> Iterator[str]:
    if not isinstance(seller, dict) or not seller.keys() & set(_OFFICIAL):
        raise BrandError(f"{place}: name its {' or '.join(_OFFICIAL)}")
    unknown = seller.keys() - {*_OFFICIAL, "country"}
    if unknown:
        raise BrandError(f"{place}: {min(unknown)} is not what an official seller is known by")
    countries = _texts(seller.get("country", []), place)
    for field in _OFFICIAL:
        for value in _texts(seller.get(field, []), place):
            try:
                yield digest(field, value, matching_key, countries)
            except AcxError as error:
                raise BrandError(f"{place}: {field}: {error}") from None


def _texts(value: Any, place: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in values):
        raise BrandError(f"{place}: must be texts")
    return tuple(values)
