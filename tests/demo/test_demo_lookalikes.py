"""Look-alikes: innocents who share a little with a reported actor, and are never him."""

from __future__ import annotations

from collections import Counter

import pytest

from acx.demo.accounts import as_frame
from acx.demo.identities import complete, example_identities
from acx.demo.lookalikes import KINDS, LookAlike, look_alikes
from acx.demo.sellers import SCHEMA, shared
from acx.records.account import Account

PERSONAL = ("tax_id", "registration_no", "id_document", "website", "contact", "handle")


@pytest.fixture(scope="module")
def identities() -> list[Account]:
    return complete(example_identities(), seed=31)


@pytest.fixture(scope="module")
def alike(identities: list[Account]) -> list[LookAlike]:
    return look_alikes(identities, 1_500, seed=32)


def test_the_same_seed_makes_the_same_look_alikes(
    identities: list[Account], alike: list[LookAlike]
) -> None:
    assert look_alikes(identities, 1_500, seed=32) == alike


def test_every_kind_occurs(alike: list[LookAlike]) -> None:
    assert set(KINDS) <= set(Counter(each.kind for each in alike))


def test_none_has_the_id_of_an_identity(identities: list[Account], alike: list[LookAlike]) -> None:
    ids = {each.id for each in identities}
    assert not ids & {each.account.id for each in alike}
    assert {each.resembles for each in alike} <= ids


def test_none_has_what_is_the_actors_alone(
    identities: list[Account], alike: list[LookAlike]
) -> None:
    by_id = {each.id: each for each in identities}
    for each in alike:
        actor = by_id[each.resembles]
        for field in PERSONAL:
            assert not set(getattr(each.account, field)) & set(getattr(actor, field))
        for field in ("bank_account", "email", "device"):
            common = set(getattr(each.account, field)) & set(getattr(actor, field))
            assert all(shared(field, value) for value in common)


def test_a_namesake_was_born_another_day(identities: list[Account], alike: list[LookAlike]) -> None:
    by_id = {each.id: each for each in identities}
    namesakes = [each for each in alike if each.kind == "namesake"]
    assert namesakes
    for each in namesakes:
        assert each.account.birth_date
        assert each.account.birth_date != by_id[each.resembles].birth_date


def test_look_alikes_parse_as_accounts(alike: list[LookAlike]) -> None:
    assert as_frame(each.account for each in alike).schema == SCHEMA


def test_without_identities_nobody_is_resembled() -> None:
    assert look_alikes([], 10, seed=1) == []
