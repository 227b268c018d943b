"""Come-backs: a reported actor who returns under changed values, and what was changed.

A come-back is drawn from one complete identity. It keeps enough that a careful person could tell
who it is: identifiers as they were or varied, or the name together with address or birth date. Each
change is written down as the field's values before and after, so undoing them in reverse order
gives the identity again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from acx.demo.accounts import by_row, rng_for
from acx.demo.changes import (
    FIELD_CHANGES,
    NAME_CHANGES,
    OWNER_CHANGES,
    Edit,
    Scene,
)
from acx.demo.identifiers import Domains
from acx.demo.sellers import sellers_in, shared
from acx.records.account import FIELDS, LIST_FIELDS, Account

IDENTIFIERS: Final = (
    "bank_account",
    "email",
    "phone",
    "tax_id",
    "registration_no",
    "id_document",
    "website",
    "contact",
    "handle",
    "device",
    "image_hash",
)
"""Fields of which one value, shared by few, tells an actor."""

_ALONE: Final = frozenset(
    {"bank_account", "email", "phone", "tax_id", "registration_no", "id_document"}
)
_PERSONAL: Final = frozenset({"birth_date", "id_document"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the field's values before and after (a single value is a tuple of one)."""

    kind: str
    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComeBack:
    """An account that is a reported actor again.

    Attributes:
        account: the account as a store sees it.
        subject_id: the id of the identity that it is.
        changes: what was done, in order.
        kept: fields in which something of the identity is still to be seen.
    """

    account: Account
    subject_id: str
    changes: tuple[Change, ...]
    kept: tuple[str, ...]

    def undone(self) -> Account:
        """The identity again: every change taken back, the last first."""
        values: dict[str, Any] = {}
        for change in reversed(self.changes):
            values[change.field] = change.before
        return msgspec.structs.replace(
            self.account,
            id=self.subject_id,
            **{
                name: value if name in LIST_FIELDS else (value or ("",))[0]
                for name, value in values.items()
            },
        )


def come_backs(
    identities: Sequence[Account],
    count: int,
    seed: int,
    *,
    prefix: str = "seller-",
    domains: Domains = "reserved",
) -> list[ComeBack]:
    """Let actors come back.

    Args:
        identities: complete identities (`acx.demo.identities.complete`).
        count: how many accounts; with more than there are identities, some come back twice.
        seed: the same seed makes the same come-backs.
        prefix: what ids start with; a running number follows.
        domains: at which domains invented mailboxes are.
    """
    order = rng_for(seed, "order")
    returning = [identity for identity in identities if identity.name]
    order.shuffle(returning)
    chosen = [returning[place % len(returning)] for place in range(count)] if returning else []
    countries = [identity.country[0] if identity.country else "US" for identity in chosen]
    fronts = by_row(sellers_in(countries, seed, domains=domains))
    return [
        _come_back(identity, fresh, f"{prefix}{number}", domains, rng_for(seed, number))
        for number, (identity, fresh) in enumerate(zip(chosen, fronts, strict=True), start=1)
    ]


@dataclass(slots=True)
class _Draft:
    """The account while it changes."""

    values: dict[str, tuple[str, ...]]
    changes: list[Change] = field(default_factory=list)
    replaced: set[str] = field(default_factory=set)

    def put(self, kind: str, name: str, after: Iterable[str]) -> None:
        """Set a field and write the change down; nothing happens where nothing differs."""
        before, values = self.values[name], tuple(after)
        if values != before:
            self.values[name] = values
            self.changes.append(Change(kind, name, before, values))

    def lose(self, kind: str, name: str, after: Iterable[str] = ()) -> None:
        """Set a field to something that has nothing of the identity any more."""
        self.put(kind, name, after)
        self.replaced.add(name)

    def edit(self, kind: str, name: str, change: Edit, scene: Scene) -> bool:
        """Apply a change to the first value of a field; False where it does not apply."""
        values = self.values[name]
        other = change(values[0], scene) if values else None
        if not other or other == values[0]:
            return False
        self.put(kind, name, (other, *values[1:]))
        return True


def _come_back(
    identity: Account, fresh: Account, account_id: str, domains: Domains, rng: random.Random
) -> ComeBack:
    scene = Scene(identity, fresh, domains, rng)
    draft = _Draft({name: _as_tuple(identity, name) for name in FIELDS if name != "id"})
    new = {name: _as_tuple(fresh, name) for name in FIELDS if name != "id"}
    keep, other_owner = _plan(identity, rng)

    for name in LIST_FIELDS:
        if name not in {"name", "alias"} and len(draft.values[name]) > 1:
            known = [value for value in draft.values[name] if not shared(name, value)]
            draft.put("one_of_several", name, [rng.choice(known or draft.values[name])])
    _choose_name(draft, rng)
    if other_owner is None:
        _change_name(draft, scene, keep)
    else:
        draft.edit(other_owner, "name", OWNER_CHANGES[other_owner], scene)
        draft.replaced.add("name")
        if other_owner == "director_as_owner":
            draft.put("other_kind", "kind", ("person",))
            draft.lose("gone", "related")
    if draft.values["alias"] or rng.random() < 0.5:
        draft.lose("new_store_name", "alias", new["alias"])
    for name in _lost(draft, keep, rng):
        afresh = new[name] if rng.random() < 0.5 else ()
        draft.lose(f"new_{name}" if afresh else "gone", name, afresh)
    for name, changes in FIELD_CHANGES.items():
        if name not in draft.replaced and draft.values[name] and rng.random() < 0.55:
            kinds = list(changes)
            rng.shuffle(kinds)
            any(draft.edit(kind, name, changes[kind], scene) for kind in kinds)
    return ComeBack(
        account=_account(account_id, draft.values),
        subject_id=identity.id,
        changes=tuple(draft.changes),
        kept=tuple(
            name for name, values in draft.values.items() if values and name not in draft.replaced
        ),
    )


def _plan(identity: Account, rng: random.Random) -> tuple[frozenset[str], str | None]:
    """Choose what stays to tell the actor by, and who is put forward in his place, if anybody."""
    telling = [
        name
        for name in IDENTIFIERS
        if any(not shared(name, value) for value in _as_tuple(identity, name))
    ]
    rng.shuffle(telling)
    alone = [name for name in telling if name in _ALONE]
    support = [name for name in ("address", "birth_date") if _as_tuple(identity, name)]
    owner = None
    if rng.random() < 0.15 and alone and len(telling) > 1:
        if identity.kind == "person":
            owner = "relative_as_owner"
        elif identity.related:
            owner = "director_as_owner"
    if owner is not None:
        tied = [name for name in telling if name not in _PERSONAL]
        first = [name for name in tied if name in _ALONE][:1]
        return frozenset([*first, *[name for name in tied if name not in first][:1]]), owner
    chance = rng.random()
    if chance < 0.07:
        return frozenset({"name", "country"}), None
    if chance < 0.22 and support:
        return frozenset({"name", *support}), None
    if chance < 0.32 and alone:
        return frozenset({alone[0]}), None
    if chance < 0.7 and telling:
        return frozenset({"name", telling[0]}), None
    return frozenset({"name", *telling[:2], *support[:1]}), None


def _choose_name(draft: _Draft, rng: random.Random) -> None:
    """One name is used: the main one, another, or one that was an alias."""
    names, aliases = draft.values["name"], draft.values["alias"]
    usable = [alias for alias in aliases if len(alias) > 3]
    if usable and rng.random() < 0.4:
        draft.put("another_alias", "name", [rng.choice(usable)])
    elif len(names) > 1:
        draft.put("one_of_several", "name", [rng.choice(names)])


def _change_name(draft: _Draft, scene: Scene, keep: frozenset[str]) -> None:
    """One to three changes to the name; a new name altogether where something else tells him."""
    rng = scene.rng
    if "name" not in keep and rng.random() < 0.7:
        draft.lose("new_name", "name", scene.fresh.name)
        draft.put("other_kind", "kind", (scene.fresh.kind,))
        return
    kinds = list(NAME_CHANGES)
    rng.shuffle(kinds)
    wanted = rng.choice((0, 1, 1, 2, 2, 3))
    for kind in kinds:
        if wanted and draft.edit(kind, "name", NAME_CHANGES[kind], scene):
            wanted -= 1


def _lost(draft: _Draft, keep: frozenset[str], rng: random.Random) -> list[str]:
    """Choose the fields that go: 30 to 70 % of those there are, none of those that must stay.

    He gives up first what would betray him.
    """
    there = [
        name
        for name, values in draft.values.items()
        if values and name not in {"kind", "name", "alias"}
    ]
    wanted = round(rng.uniform(0.3, 0.7) * len(there))
    # Whoever is put forward has his own papers, and their dates with them.
    must = sorted((_PERSONAL - keep) & set(there)) if "name" in draft.replaced else []
    free = [name for name in there if name not in keep and name not in must]
    free.sort(key=lambda name: rng.random() - 0.7 * (name in IDENTIFIERS))
    return must + free[: max(wanted - len(must), 0)]


def _as_tuple(account: Account, name: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(account, name)
    if isinstance(value, tuple):
        return value
    return (value,) if value else ()


def _account(account_id: str, values: Mapping[str, tuple[str, ...]]) -> Account:
    return msgspec.convert(
        {"id": account_id}
        | {
            name: value if name in LIST_FIELDS else (value or ("",))[0]
            for name, value in values.items()
        },
        Account,
    )
