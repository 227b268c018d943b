"""Come-backs: the same actor, changed as told, and nothing told that did not happen."""

from __future__ import annotations

from collections import Counter

import msgspec
import phonenumbers
import pytest
from schwifty import IBAN

from acx.demo.accounts import rng_for
from acx.demo.changes import (
    FIELD_CHANGES,
    NAME_CHANGES,
    OWNER_CHANGES,
    Scene,
    address_abbreviated,
    day_and_month_swapped,
    decorated,
    dropped_form,
    email_dots,
    email_plus_tag,
    homoglyphs,
    initials,
    other_script,
    phone_national,
    reencoded_image,
    relative_as_owner,
    respelled,
    swapped_order,
)
from acx.demo.comebacks import IDENTIFIERS, ComeBack, come_backs
from acx.demo.identities import complete, example_identities
from acx.demo.sellers import shared
from acx.records.account import FIELDS, Account

COUNT = 700


@pytest.fixture(scope="module")
def identities() -> list[Account]:
    return complete(example_identities(), seed=21)


@pytest.fixture(scope="module")
def returned(identities: list[Account]) -> list[ComeBack]:
    return come_backs(identities, COUNT, seed=22)


def scene(**values: object) -> Scene:
    account = msgspec.convert({"kind": "person", "country": ["RU"]} | values, Account)
    return Scene(account, Account(), "reserved", rng_for(1, "scene"))


def test_completing_keeps_what_the_lists_say(identities: list[Account]) -> None:
    for listed, whole in zip(example_identities(), identities, strict=True):
        for field in FIELDS:
            known = getattr(listed, field)
            assert not known or getattr(whole, field) == known


def test_completing_gives_most_a_mailbox_a_phone_and_an_account(
    identities: list[Account],
) -> None:
    for field in ("email", "phone", "bank_account"):
        assert sum(bool(getattr(each, field)) for each in identities) > 0.75 * len(identities)


def test_invented_ibans_and_phones_of_identities_are_valid(identities: list[Account]) -> None:
    listed = {each.id: each for each in example_identities()}
    for each in identities:
        invented = msgspec.structs.asdict(each)
        for account in invented["bank_account"]:
            if not listed[each.id].bank_account and account[:2].isalpha():
                assert IBAN(account).is_valid
        for phone in invented["phone"]:
            if not listed[each.id].phone:
                number = phonenumbers.parse(f"+{phone[2:]}" if phone[:2] == "00" else phone)
                assert phonenumbers.is_valid_number(number)


def test_the_same_seed_brings_the_same_come_backs(
    identities: list[Account], returned: list[ComeBack]
) -> None:
    assert come_backs(identities, COUNT, seed=22) == returned


def test_undoing_all_changes_gives_the_identity(
    identities: list[Account], returned: list[ComeBack]
) -> None:
    by_id = {each.id: each for each in identities}
    for back in returned:
        assert back.undone() == by_id[back.subject_id]


def test_every_change_changes_something(returned: list[ComeBack]) -> None:
    for back in returned:
        assert back.changes
        assert all(change.before != change.after for change in back.changes)


def test_changes_follow_on_one_another_to_what_the_store_sees(returned: list[ComeBack]) -> None:
    for back in returned:
        last = {change.field: change.after for change in back.changes}
        for field, after in last.items():
            value = getattr(back.account, field)
            assert (value if isinstance(value, tuple) else (value,) if value else ()) == after


def test_what_is_kept_is_there(returned: list[ComeBack]) -> None:
    for back in returned:
        assert all(getattr(back.account, field) for field in back.kept)


def test_a_come_back_can_be_told(returned: list[ComeBack]) -> None:
    """He keeps his name, or an identifier that is not everybody's."""
    for back in returned:
        own = [
            field
            for field in back.kept
            if field in IDENTIFIERS and not shared(field, getattr(back.account, field)[0])
        ]
        assert own or "name" in back.kept


def test_all_kinds_of_change_occur(returned: list[ComeBack]) -> None:
    seen = Counter(change.kind for back in returned for change in back.changes)
    fields = {kind for changes in FIELD_CHANGES.values() for kind in changes}
    missing = (set(NAME_CHANGES) | set(OWNER_CHANGES) | fields) - set(seen)
    assert not missing


def test_come_backs_parse_as_accounts(returned: list[ComeBack]) -> None:
    rows = msgspec.json.encode([back.account for back in returned])
    assert len(msgspec.json.decode(rows, type=list[Account])) == COUNT


@pytest.mark.parametrize(
    ("change", "name", "kind", "country", "wanted"),
    [
        (swapped_order, "GRANOVSKY, Aleksey", "person", "UA", "Aleksey GRANOVSKY"),
        (initials, "GRANOVSKY, Aleksey Ivanovich", "person", "UA", "GRANOVSKY, A. Ivanovich"),
        (dropped_form, "HIGH NUTRITION S.R.L.", "organization", "AR", "HIGH NUTRITION"),
        (dropped_form, "Shenzhen Huaqiang Trading Co., Ltd.", "organization", "CN",
         "Shenzhen Huaqiang Trading"),
        (dropped_form, "深圳市华强贸易有限公司", "organization", "CN", "深圳市华强贸易"),
        (other_script, "PETROV, Ivan", "person", "RU", "Петров, Иван"),
        (other_script, "王伟", "person", "CN", "Wang Wei"),
        (other_script, "KIM, Song Chol", "person", "KP", "김성철"),
        (relative_as_owner, "Somchai", "person", "TH", None),
        (swapped_order, "ACME TRADING", "organization", "GB", None),
    ],
)  # fmt: skip
def test_names_change_as_people_change_them(
    change: object, name: str, kind: str, country: str, wanted: str | None
) -> None:
    assert callable(change)
    assert change(name, scene(kind=kind, country=[country])) == wanted


def test_pinyin_becomes_characters_of_that_sound_and_back() -> None:
    written = other_script("LI, Wei", scene(country=["CN"]))
    assert written is not None
    assert other_script(written, scene(country=["CN"])) == "Li Wei"


def test_a_relative_keeps_the_family_name_alone() -> None:
    other = relative_as_owner("GRANOVSKY, Aleksey", scene())
    assert other is not None
    assert other.startswith("GRANOVSKY, ")
    assert other != "GRANOVSKY, Aleksey"


def test_homoglyphs_look_the_same_and_are_not() -> None:
    other = homoglyphs("Apple Express", scene())
    assert other is not None
    assert not other.isascii()


def test_other_spellings_are_of_the_same_name() -> None:
    assert respelled("Mohammed", scene()) in {
        "Muhammad", "Mohamed", "Mohammad", "Mohamad", "Muhammed",
    }  # fmt: skip


def test_contacts_change_and_stay_the_same_contact() -> None:
    assert phone_national("+4915112345678", scene()) == "015112345678"
    tagged = email_plus_tag("wang.wei@gmail.example", scene())
    assert tagged is not None
    assert tagged.split("+")[0] == "wang.wei"
    assert email_dots("wang.wei@gmail.example", scene()) == "wangwei@gmail.example"
    assert address_abbreviated("12 High Street, Leeds", scene()) == "12 High St., Leeds"
    assert day_and_month_swapped("1980-03-11", scene()) == "1980-11-03"
    assert day_and_month_swapped("1980-03-21", scene()) is None
    assert "Lucky Star" in str(decorated("Lucky Star", scene()))


def test_a_reencoded_picture_stays_near() -> None:
    image = "a5" * 32
    other = reencoded_image(image, scene())
    assert other is not None
    assert 0 < (int(image, 16) ^ int(other, 16)).bit_count() <= 31
