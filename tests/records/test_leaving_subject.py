"""What leaves of an account: the whitelist, digested where it must be."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acx.records.account import DIGESTED_FIELDS, LIST_FIELDS, MAX_VALUES, Account, Subject
from acx.records.leaving import LeavingError, subject_of
from acx.records.normalise import NotNormalisable, digest

KEY = bytes(range(32))
CLEAR_FIELDS = [field for field in LIST_FIELDS if field not in DIGESTED_FIELDS]


def test_the_id_stays() -> None:
    subject = subject_of(Account(id="S-1", name=("Chen",)), KEY)
    assert subject == Subject(name=("Chen",))
    assert b"S-1" not in msgspec.json.encode(subject)


def test_values_are_trimmed_and_given_once() -> None:
    subject = subject_of(Account(name=(" Chen Wei ", "Chen Wei", "", "  ", "Wei")), KEY)
    assert subject.name == ("Chen Wei", "Wei")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bank_account", "DE02 1203 0000 0000 2020 51"),
        ("id_document", "passport:CN:E12345678"),
        ("device", "fp-81237"),
        ("ip", "203.0.113.7"),
    ],
)
def test_private_identifiers_leave_as_digests_only(field: str, value: str) -> None:
    subject = subject_of(msgspec.convert({field: [value]}, Account), KEY)
    (left,) = getattr(subject, field)
    assert left == digest(field, value, KEY)
    assert re.fullmatch(r"h1:[0-9a-f]{64}", left)
    assert value.encode() not in msgspec.json.encode(subject)


def test_two_writings_of_one_bank_account_leave_as_one_digest() -> None:
    account = Account(bank_account=("DE02120300000000202051", "de02 1203 0000 0000 2020 51"))
    assert len(subject_of(account, KEY).bank_account) == 1


def test_another_exchange_gives_another_digest() -> None:
    account = Account(device=("fp-81237",))
    assert subject_of(account, KEY) != subject_of(account, KEY[::-1])


def test_a_value_that_cannot_be_digested_does_not_leave_in_the_clear() -> None:
    with pytest.raises(NotNormalisable, match="ip"):
        subject_of(Account(ip=("not an address",)), KEY)


def test_limits_are_named() -> None:
    many = tuple(str(n) for n in range(MAX_VALUES + 1))
    assert len(subject_of(Account(alias=many[1:]), KEY).alias) == MAX_VALUES
    with pytest.raises(LeavingError, match="alias: 51 values where 50 are allowed") as refused:
        subject_of(Account(alias=many), KEY)
    assert (refused.value.field, refused.value.limit) == ("alias", MAX_VALUES)
    with pytest.raises(LeavingError, match="address: a value of 513 characters") as refused:
        subject_of(Account(address=("x" * 513,)), KEY)
    assert (refused.value.field, refused.value.limit) == ("address", 512)


@pytest.mark.parametrize(
    ("account", "field"),
    [(Account(name=("\ud800",)), "name"), (Account(birth_date="1.1.1980"), "birth_date")],
)
def test_what_is_no_value_is_named(account: Account, field: str) -> None:
    with pytest.raises(LeavingError, match=field):
        subject_of(account, KEY)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            field: st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=4)
            for field in CLEAR_FIELDS
        },
    )
)
def test_nothing_but_the_accounts_own_values_leaves(tree: dict[str, list[str]]) -> None:
    account = msgspec.convert(tree | {"id": "S-104233"}, Account)
    subject = subject_of(account, KEY)
    for field in LIST_FIELDS:
        assert set(getattr(subject, field)) == {v.strip() for v in getattr(account, field)} - {""}
    # And whatever leaves, every member can parse.
    assert msgspec.json.decode(msgspec.json.encode(subject), type=Subject) == subject
