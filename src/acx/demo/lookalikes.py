"""Look-alikes: innocent sellers who resemble a reported actor.

Relatives, neighbours, customers of the same forwarder or agent, namesakes, sister companies, and
accounts that chance has put together from the parts of several. Each is somebody else: a matcher
that takes one for the actor accuses an innocent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from acx.demo.accounts import by_row, rng_for
from acx.demo.changes import Scene, address_unit, recased, relative_of, swapped_order
from acx.demo.identifiers import Domains
from acx.demo.sellers import sellers_in, shared
from acx.demo.words import culture_of
from acx.records.account import Account


@dataclass(frozen=True, slots=True)
class LookAlike:
    """An innocent account, whom it resembles, and how.

    Attributes:
        account: the innocent account.
        resembles: id of the identity it must not be taken for.
        kind: a key of `KINDS`.
    """

    account: Account
    resembles: str
    kind: str


Making = Callable[[Account, Account, Scene], dict[str, Any] | None]


def _relative(actor: Account, _other: Account, scene: Scene) -> dict[str, Any] | None:
    """Same family name and home, now and then the household's phone; another person."""
    name = relative_of(actor.name[0], scene)
    if not scene.is_person or not name or name in actor.name:
        return None
    home = actor.address[:1] if scene.rng.random() < 0.7 else scene.fresh.address
    phone = actor.phone[:1] if scene.rng.random() < 0.1 else scene.fresh.phone
    return {"name": (name,), "kind": "person", "address": home, "phone": phone}


def _same_building(actor: Account, _other: Account, scene: Scene) -> dict[str, Any] | None:
    """Another unit of the same house."""
    unit = address_unit(actor.address[0], scene) if actor.address else None
    return {"address": (unit,)} if unit else None


def _same_hub(name: str) -> Making:
    def making(actor: Account, _other: Account, _scene: Scene) -> dict[str, Any] | None:
        """The same forwarder, agent or agency mailbox."""
        common = [value for value in getattr(actor, name) if shared(name, value)]
        if name == "address" and common:
            head, _, mark = common[0].rpartition(", ")
            common = [head if len(mark) == 7 and mark[2] == "-" else common[0]]
        return {name: tuple(common[:1])} if common else None

    return making


def _namesake(actor: Account, _other: Account, scene: Scene) -> dict[str, Any] | None:
    """The same name, another birth date, other papers."""
    if not scene.is_person or not scene.fresh.birth_date or not actor.birth_date:
        return None
    written = scene.rng.choice((recased, swapped_order))(actor.name[0], scene)
    return {"name": (written or actor.name[0],), "kind": "person"}


def _sister_company(actor: Account, _other: Account, scene: Scene) -> dict[str, Any] | None:
    """The same first words in another line of trade, perhaps the same director or address."""
    words = actor.name[0].split()
    if scene.is_person or len(words) < 2 or not scene.fresh.name:
        return None
    own = culture_of(scene.country).words
    trade = scene.rng.choice(own["trades"].latin.to_list())
    form = scene.rng.choice(own["forms"].latin.to_list())
    made: dict[str, Any] = {"name": (f"{words[0]} {trade} {form}".strip(),), "kind": "organization"}
    if scene.rng.random() < 0.5:
        made["related"] = actor.related[:1]
    if scene.rng.random() < 0.3:
        made["address"] = actor.address[:1]
    return made


def _recombined(actor: Account, other: Account, _scene: Scene) -> dict[str, Any] | None:
    """Parts of two reported names, the address of a third: chance, nobody's come-back."""
    first, second = actor.name[0].split(), other.name[0].split()
    if len(first) < 2 or len(second) < 2:
        return None
    name = " ".join([first[0], *second[1:]])
    return {"name": (name,), "kind": actor.kind} if name not in actor.name + other.name else None


KINDS: Final[Mapping[str, Making]] = {
    "relative": _relative,
    "same_building": _same_building,
    "same_forwarder": _same_hub("address"),
    "shared_agent_phone": _same_hub("phone"),
    "shared_mailbox": _same_hub("email"),
    "shared_network": _same_hub("ip"),
    "shared_device": _same_hub("device"),
    "collective_account": _same_hub("bank_account"),
    "namesake": _namesake,
    "sister_company": _sister_company,
    "recombined": _recombined,
}
"""Ways of resembling an actor; each returns the values that are not the innocent's own."""

_HUB_KINDS: Final = {
    "same_forwarder": "address",
    "shared_agent_phone": "phone",
    "shared_mailbox": "email",
    "shared_network": "ip",
    "shared_device": "device",
    "collective_account": "bank_account",
}


def _can_be_resembled(actor: Account, kind: str) -> bool:
    """Whether an actor has what a look-alike of that kind shares."""
    if kind in _HUB_KINDS:
        field = _HUB_KINDS[kind]
        return any(shared(field, value) for value in getattr(actor, field))
    if kind in {"relative", "namesake"}:
        return actor.kind == "person"
    return kind != "sister_company" or actor.kind == "organization"


def look_alikes(
    identities: Sequence[Account],
    count: int,
    seed: int,
    *,
    prefix: str = "seller-",
    domains: Domains = "reserved",
) -> list[LookAlike]:
    """Make innocents who resemble reported actors.

    Args:
        identities: complete identities (`acx.demo.identities.complete`).
        count: how many.
        seed: the same seed makes the same look-alikes.
        prefix: what ids start with; a running number follows.
        domains: at which domains invented mailboxes are.
    """
    order = rng_for(seed, "look-alikes")
    fitting = {
        kind: [actor for actor in identities if _can_be_resembled(actor, kind)] for kind in KINDS
    }
    kinds = [kind for kind, actors in fitting.items() if actors]
    if not kinds:
        return []
    chosen = [(kind, order.choice(fitting[kind])) for kind in order.choices(kinds, k=count)]
    countries = [actor.country[0] if actor.country else "US" for _, actor in chosen]
    fronts = by_row(sellers_in(countries, seed + 1, domains=domains))
    return [
        _look_alike(
            kind,
            Scene(actor, fresh, domains, rng_for(seed, number)),
            order.choice(identities),
            f"{prefix}{number}",
        )
        for number, ((kind, actor), fresh) in enumerate(zip(chosen, fronts, strict=True), start=1)
    ]


def _look_alike(kind: str, scene: Scene, other: Account, account_id: str) -> LookAlike:
    """Make a look-alike of a kind, or of the next kind that goes with the actor."""
    names = list(KINDS)
    first = names.index(kind)
    for each in names[first:] + names[:first]:
        values = KINDS[each](scene.account, other, scene)
        if values:
            account = msgspec.structs.replace(scene.fresh, id=account_id, **values)
            return LookAlike(account, scene.account.id, each)
    # Everybody has at least a country in common with somebody.
    account = msgspec.structs.replace(scene.fresh, id=account_id)
    return LookAlike(account, scene.account.id, "same_country")
