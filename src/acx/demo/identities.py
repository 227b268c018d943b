"""Real identities that stand in for reported accounts, completed with invented contacts.

The records are entries of public lists of designated persons and companies; nobody in them is said
to sell counterfeits (`examples/accounts/README.md`). The lists name few e-mails, phones or bank
accounts, so those that are missing are invented.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
from anyascii import anyascii

from acx.demo.accounts import by_row, rng_for
from acx.demo.changes import culture_given, family_names
from acx.demo.identifiers import Domains
from acx.demo.sellers import PRESENT, sellers_in, shared
from acx.demo.words import culture_of
from acx.records.account import Account

COMPLETED: Final[Mapping[str, float]] = {
    "alias": 0.3,
    "email": 0.92,
    "phone": 0.88,
    "address": 0.95,
    "country": 1.0,
    "tax_id": 0.4,
    "registration_no": 0.6,
    "bank_account": 0.85,
    "id_document": 0.5,
    "website": 0.2,
    "contact": 0.2,
    "handle": 0.2,
    "birth_date": 0.8,
    "ip": 0.7,
    "device": 0.65,
    "image_hash": 0.15,
    "related": 0.6,
}
"""Chance that a field that the lists leave empty is invented."""

_HUB_SHARE: Final = {
    "address": 0.1,
    "phone": 0.05,
    "email": 0.02,
    "ip": 0.2,
    "device": 0.02,
    "bank_account": 0.015,
}


def example_identities() -> list[Account]:
    """The records that ship with acx."""
    text = (files("acx.demo") / "data" / "identities.jsonl").read_text("utf-8")
    return msgspec.json.Decoder(list[Account]).decode(f"[{','.join(text.splitlines())}]")


def read_identities(path: Path) -> list[Account]:
    """The records of a JSON Lines file."""
    decoder = msgspec.json.Decoder(Account)
    return [decoder.decode(line) for line in path.read_bytes().splitlines() if line.strip()]


def complete(
    identities: Sequence[Account], seed: int, *, domains: Domains = "reserved"
) -> list[Account]:
    """Invent what the lists do not have: contacts, bank accounts, devices.

    Args:
        identities: records as the lists have them.
        seed: the same seed invents the same.
        domains: at which domains invented mailboxes are.

    Returns:
        The identities in their order; nothing the lists say is changed.
    """
    countries = [identity.country[0] if identity.country else "US" for identity in identities]
    donors = by_row(
        sellers_in(
            countries,
            seed,
            domains=domains,
            present=dict.fromkeys(PRESENT, 1.0),
            hub_share=_HUB_SHARE,
        )
    )
    return [
        _completed(identity, donor, rng_for(seed, identity.id))
        for identity, donor in zip(identities, donors, strict=True)
    ]


def _completed(identity: Account, donor: Account, rng: random.Random) -> Account:
    foreign = _OF_COMPANIES if identity.kind == "person" else _OF_PERSONS
    invented: dict[str, Any] = {}
    for name, chance in COMPLETED.items():
        if not getattr(identity, name) and name not in foreign and rng.random() < chance:
            value = _own(name, identity, donor, rng)
            if value:
                invented[name] = value
    return msgspec.structs.replace(identity, **invented)


_OF_PERSONS: Final = frozenset({"birth_date", "id_document"})
_OF_COMPANIES: Final = frozenset({"registration_no", "related"})


def _own(name: str, identity: Account, donor: Account, rng: random.Random) -> tuple[str, ...] | str:
    """A value for a field: the donor's, or one that bears the actor's own name."""
    local = _local_part(identity)
    if name == "related":
        culture = culture_of(identity.country[0] if identity.country else "US")
        return (f"{culture_given(culture, rng)} {rng.choice(family_names(culture))}",)
    if local and name == "email" and not shared("email", donor.email[0]):
        provider = donor.email[0].rpartition("@")[2]
        return (f"{local}{rng.choice(('', str(rng.randint(1, 9999))))}@{provider}",)
    if local and name == "website":
        return (f"https://www.{local.replace('.', '-')}{rng.randint(10, 999)}.example",)
    if local and name in {"contact", "handle"}:
        network = getattr(donor, name)[0].partition(":")[0]
        return (f"{network}:{local}_{rng.randint(10, 99999)}",)
    value: tuple[str, ...] | str = getattr(donor, name)
    return value


def _local_part(identity: Account) -> str:
    """What the actor would call his mailbox: words of his name, in letters and digits."""
    name = next((name for name in identity.name if name.isascii()), identity.name[0])
    words = [re.sub(r"[^a-z0-9]", "", word) for word in anyascii(name).lower().split()]
    words = [word for word in words if len(word) > 1]
    return (".".join(words[:2]) if identity.kind == "person" else "".join(words[:2]))[:40]
