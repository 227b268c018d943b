"""Reports as STIX: what OASIS's library and validator make of it, and what may never be in it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import stix2  # type: ignore[import-untyped]
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stix2patterns.v21.pattern import Pattern  # type: ignore[import-untyped]
from tests.interchange.validating import problems_of
from tests.interchange.views import REPORT, REPORT_ID, dispute, step, view

from acx.interchange import Stix
from acx.interchange.extension import EXTENSION, Extension
from acx.interchange.observables import (
    _PLAIN_ADDRESS,
    INDICATED,
    observables,
    pattern,
    website,
)
from acx.interchange.stix import note_id, slots, timestamp
from acx.interchange.stix_ids import observable_id, stix_id
from acx.records.account import Subject
from acx.records.normalise import normalise
from acx.records.state import ReportView

STIX = Stix("exchange.example/log", lambda index: f"2026-11-25T{index:02}Z")
STANDING = ("active", "disputed", "suspended")
FALLEN = ("withdrawn", "rejected", "expired", "erased")


def made(shown: ReportView, **places: int) -> list[dict[str, Any]]:
    """A report's objects as a reader gets them."""
    objects: list[dict[str, Any]] = msgspec.json.decode(
        msgspec.json.encode(STIX.report(shown, **places))
    )
    return objects


def by_role(shown: ReportView, **places: int) -> dict[str, dict[str, Any]]:
    told = {each["id"]: each for each in made(shown, **places)}
    return {role: told[each] for role, each in slots(REPORT_ID).items() if each in told}


@pytest.mark.parametrize("state", [*STANDING, *FALLEN])
def test_the_validator_has_nothing_to_say(state: str) -> None:
    shown = view(state, disputes=(dispute(),), timeline=(step(1), step(3, "outcome"), step(5)))
    assert problems_of(made(shown)) == []
    amended = view(state, timeline=(step(1), step(2, "amendment"), step(4, "dispute")))
    assert problems_of(made(amended)) == []


def test_what_is_common_is_valid_too() -> None:
    common = msgspec.json.decode(msgspec.json.encode(STIX.common))
    assert problems_of(common) == []
    assert {each["type"] for each in common} == {
        "identity",
        "marking-definition",
        "extension-definition",
    }


def test_a_bundle_has_everything_that_it_refers_to() -> None:
    told = [*STIX.common, *made(view(disputes=(dispute(),)))]
    ids = [each["id"] for each in told]
    refs = re.findall(r'"([a-z0-9-]+--[0-9a-f-]{36})"', msgspec.json.encode(told).decode())
    # Marking TLP 2.0 is done by an extension that OASIS has published, under its own id.
    assert set(refs) - set(ids) == {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"}
    bundle = {"type": "bundle", "id": STIX.bundle_id(7), "objects": told}
    assert (
        len(stix2.parse(msgspec.json.encode(bundle).decode()).objects) == len(ids) == len(set(ids))
    )


def test_objects_come_after_what_they_refer_to() -> None:
    seen = {each["id"] for each in STIX.common}
    for each in made(view(disputes=(dispute(),))):
        refs = [value for name, value in each.items() if name.endswith("_ref")]
        refs += [one for name, value in each.items() if name.endswith("_refs") for one in value]
        assert set(refs) <= seen
        seen.add(each["id"])


def test_observables_have_the_ids_that_oasis_library_gives() -> None:
    """The specification's own examples carry ids that do not follow from its rule."""
    for kind, library, value in (
        ("ipv4-addr", stix2.IPv4Address, "198.51.100.3"),
        ("email-addr", stix2.EmailAddress, "john@example.com"),
        ("domain-name", stix2.DomainName, "example.com"),
    ):
        assert observable_id(kind, {"value": value}) == library(value=value).id


@given(st.text(min_size=1, max_size=50))
@settings(max_examples=50)
def test_any_text_gives_the_id_that_oasis_library_gives(value: str) -> None:
    assert observable_id("url", {"value": value}) == stix2.URL(value=value).id
    login = stix2.UserAccount(account_login=value)
    assert observable_id("user-account", {"account_login": value}) == login.id


def test_ids_follow_from_the_report_alone() -> None:
    other = view(report=msgspec.structs.replace(REPORT, account=Subject(name=("Other",))))
    one, two = by_role(view()), by_role(other)
    assert {role: each["id"] for role, each in two.items()}.items() <= {
        role: each["id"] for role, each in one.items()
    }.items()
    uuids = [identifier.partition("--")[2] for identifier in slots(REPORT_ID).values()]
    assert len(set(uuids)) == len(uuids)
    assert all(each[14] == "4" and each[19] in "89ab" for each in uuids)


def test_ids_never_change() -> None:
    """They are in others' systems: objects made tomorrow have to replace those of today."""
    assert stix_id("report", REPORT_ID, "report") == slots(REPORT_ID)["report"]
    assert slots(REPORT_ID) == {
        "subject": "identity--15ea5e13-d70c-4cd3-860b-6e1f98d29c24",
        "actor": "threat-actor--2afd322f-7892-4663-b973-e3caee55b22e",
        "report": "report--06c378cc-b725-4d65-8725-fdba8d0e47f4",
        "email-addr": "indicator--5d0aa751-db08-4a56-85fd-1f6fbacd7460",
        "domain-name": "indicator--ef9a73b7-903f-458d-884f-cedf7964b41c",
        "url": "indicator--bc30e583-2b88-4392-b30b-fbbd90a970dd",
        "ipv4-addr": "indicator--2ddadfc3-70dd-4d0d-9511-e0008d163000",
        "attributed-to": "relationship--951e8beb-4bee-4075-8e39-8e804ec52efe",
        "indicates/email-addr": "relationship--44d71fc7-0a37-4350-b8b9-624c0a6ae18c",
        "indicates/domain-name": "relationship--6e472adf-2b49-49b9-89d4-45bb3ed6cdeb",
        "indicates/url": "relationship--62baa574-80ff-4310-9f05-af4176573cf9",
        "indicates/ipv4-addr": "relationship--a2f6abab-4ef3-4ba5-8bd0-1e82620d5010",
        "contributors": "sighting--90618703-5138-404b-bd1f-51321e7637ba",
        "outcomes": "sighting--4fd32ea5-a58c-4444-8aac-41a9da996bd2",
    }


@pytest.mark.parametrize("state", FALLEN)
def test_a_fallen_report_leaves_the_same_objects_revoked_and_empty(state: str) -> None:
    before = by_role(view(timeline=(step(1), step(3, "outcome"))))
    after = by_role(view(state, timeline=(step(1), step(3, "outcome"), step(5, "withdrawal"))))
    assert set(before) <= set(after) == set(slots(REPORT_ID))
    assert all(each["revoked"] for each in after.values())
    told = msgspec.json.encode(after).decode()
    for value in ("Doe", "shop.example", "+49151", "sold", "acme", "h1:"):
        assert value not in told
    for role, each in before.items():
        assert after[role]["created"] == each["created"]
        assert after[role]["modified"] > each["modified"]


def test_a_version_is_later_than_the_one_before_even_within_an_hour() -> None:
    stix = Stix("exchange.example/log", lambda _: "2026-11-25T07Z")
    times = [
        stix.report(view(last_index=index))[0]["modified"] for index in (1, 2, 60_002, 4_000_001)
    ]
    assert times == [
        "2026-11-25T07:00:00.000Z",
        "2026-11-25T07:00:00.001Z",
        "2026-11-25T07:01:00.001Z",
        "2026-11-25T08:06:40.000Z",
    ]


def test_a_clock_that_went_back_makes_no_version_older() -> None:
    hours = {1: "2026-11-25T07Z", 2: "2026-11-25T06Z"}
    stix = Stix("exchange.example/log", lambda index: hours.get(index, "2026-11-25T07Z"))
    (subject, *_) = stix.report(view(last_index=2))
    assert subject["created"] < subject["modified"]


def test_a_decision_makes_a_new_version_though_the_proposal_was_older() -> None:
    decided = dispute(stage="dismissed", decided=6)
    (subject, *_) = made(view(last_index=4, disputes=(decided,)))
    assert subject["modified"] == timestamp("2026-11-25T06Z", 5)


def test_an_amended_report_revokes_the_indicators_it_may_have_had() -> None:
    bare = msgspec.structs.replace(REPORT, account=Subject(name=("Jo",), email=("a@b.example",)))
    first = by_role(view(report=bare))
    amended = by_role(view(report=bare, timeline=(step(1), step(2, "amendment"))))
    assert set(first) & set(INDICATED) == {"email-addr"}
    assert set(amended) >= set(INDICATED)
    assert [kind for kind in INDICATED if "revoked" not in amended[kind]] == ["email-addr"]


def test_a_suspended_reports_indicators_are_valid_no_longer() -> None:
    assert "valid_until" not in by_role(view())["email-addr"]
    suspended = by_role(view("suspended"))
    assert suspended["email-addr"]["valid_until"] == suspended["email-addr"]["modified"]


def test_counts_and_disputes_are_told() -> None:
    outcomes = {"blocked": 2, "removed": 1, "no_match": 3}
    shown = view(
        contributors=4,
        outcomes=outcomes,
        disputes=(dispute(lapsed=True),),
        timeline=(step(1), step(3, "outcome"), step(4, "dispute")),
    )
    told = by_role(shown)
    assert told["contributors"]["count"] == 4
    assert told["outcomes"]["count"] == 3
    assert told["outcomes"]["extensions"][EXTENSION]["outcomes"] == outcomes
    notes = [each for each in made(shown) if each["type"] == "note"]
    assert [note["id"] for note in notes] == [note_id("d" * 26)]
    assert "not_counterfeit" in notes[0]["content"]
    assert "deadline has passed" in notes[0]["content"]


def test_the_extension_holds_what_stix_has_no_word_for() -> None:
    told = by_role(view(contributors=2))
    account = told["subject"]["extensions"][EXTENSION]
    assert account["extension_type"] == "property-extension"
    assert msgspec.convert(account["account"], Subject) == REPORT.account
    said = msgspec.convert(told["report"]["extensions"][EXTENSION], Extension)
    assert (said.conduct, said.state, said.index, said.contributors) == (
        "sold_counterfeits",
        "active",
        1,
        2,
    )
    assert said.products == REPORT.products
    assert said.evidence == REPORT.evidence


def test_nobody_who_reported_is_named() -> None:
    told = made(view(disputes=(dispute(),), timeline=(step(1), step(3, "corroboration"))))
    by = {each["created_by_ref"] for each in told if "created" in each}
    assert by == {STIX.identity["id"]}
    seen = {ref for each in told for ref in each.get("where_sighted_refs", [])}
    assert seen == {STIX.identity["id"]}
    markings = {ref for each in told for ref in each["object_marking_refs"]}
    assert markings == {"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"}


def test_digests_are_in_no_pattern_and_no_observable() -> None:
    told = made(view())
    assert not any("h1:" in str(each) for each in told if each["type"] != "identity")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("fakes.example", [("domain-name", "fakes.example")]),
        ("https://www.Fakes.example/", [("domain-name", "fakes.example")]),
        ("http://fakes.example:8080", [("domain-name", "fakes.example")]),
        ("http://fakes.example:8080/x", [("url", "http://fakes.example:8080/x")]),
        ("market.example/shop/7?a=1#b", [("url", "https://market.example/shop/7?a=1#b")]),
        ("https://www.a.example/x", [("url", "https://www.a.example/x")]),
        ("https://u:p@a.example/x", [("url", "https://a.example/x")]),
        ("https://a.example/ü x|y", [("url", "https://a.example/%C3%BC%20x%7Cy")]),
        ("http://bücher.example", [("domain-name", "xn--bcher-kva.example")]),
        ("203.0.113.5", [("ipv4-addr", "203.0.113.5")]),
        ("http://203.0.113.5/shop", [("url", "http://203.0.113.5/shop")]),
        ("http://[2001:db8::1]/x", [("url", "http://[2001:db8::1]/x")]),
        ("http://[2001:db8::1]", []),
        ("no website at all", []),
        ("", []),
    ],
)
def test_a_website_is_a_page_or_a_host(written: str, expected: list[tuple[str, str]]) -> None:
    assert list(website(written)) == expected


@given(st.text(max_size=60))
def test_any_website_is_something_or_nothing(written: str) -> None:
    for kind, value in website(written):
        assert kind in INDICATED
        assert value.isascii()


WORDS = st.text("abcxyz019", min_size=1, max_size=6)


@given(
    st.lists(WORDS, min_size=1, max_size=8),
    st.sampled_from("._+-"),
    st.lists(st.lists(WORDS, min_size=1, max_size=3).map("-".join), min_size=1, max_size=9),
    st.text("abc", min_size=2, max_size=5),
)
def test_a_plain_address_is_in_its_normal_form(
    local: list[str], sign: str, labels: list[str], top: str
) -> None:
    address = f"{sign.join(local)}@{'.'.join([*labels, top])}"
    assume(_PLAIN_ADDRESS.fullmatch(address))
    assert normalise("email", address) == address


def test_two_writings_of_a_value_are_one_observable() -> None:
    subject = Subject(email=("Jo@Shop.example", "jo@shop.example", "<jo@shop.example>", "jo@"))
    assert [each["value"] for each in observables(subject)] == ["jo@shop.example"]


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4))
@settings(max_examples=60)
def test_a_pattern_looks_for_exactly_its_values(values: list[str]) -> None:
    (comparisons,) = Pattern(pattern("url", values)).inspect().comparisons.values()
    found = [re.sub(r"\\(.)", r"\1", each[2][1:-1], flags=re.DOTALL) for each in comparisons]
    assert found == values
