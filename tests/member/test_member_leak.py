"""Whatever stands in a file of reports: the event that is posted does not name the store.

What is looked at is the event itself, byte for byte as it would be posted, and by a reader that was
written apart from the lint (`tests.records.disguises.reads`).
"""

# ruff: noqa: RUF001 -- letters that look like others are what is tested

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.records.disguises import reads, strings, writings

from acx.member.errors import SettingError
from acx.member.home import Member
from acx.member.planner import Planner
from acx.records.account import LIST_FIELDS, Account
from acx.records.event import Event, sign_event
from acx.records.files.reports import ReportRow
from acx.records.leak import Contributor
from acx.records.report import Evidence, Image, Product, Report

NAME = "kaufhallenord"
STORE = Contributor(
    names=("Kaufhalle Nord GmbH",),
    domains=("kaufhalle-nord.example", "khn.example"),
    staff=("Hortense Grabowski",),
    id_patterns=(r"KHN-\d{6}",),
    urls=("https://social.example/khn.official",),
)
HARMLESS = {"name": ("Chen Wei",), "email": ("chen.wei@mail.test",), "country": ("CN",)}
WORDS = st.sampled_from(["", "bags ", "Chen Wei, ", "x:", "https://bags.example/", "1."])
GIVEAWAYS = {
    "domain": ("Khn.Example", "https://help.khn.example/s/1", "a@mail.khn.example",
               "khn (dot) example"),
    "staff": ("hortense grabowski", "GRABOWSKI, Hortense", "hortense.grabowski"),
    "id": ("KHN-123456", "khn%2D123456", "ref khn-654321x"),
    "url": ("social.example/khn.official", "https://social.example/khn.official/posts?x=1"),
}  # fmt: skip
TRACES = ("khn.example", "khndotexample", "hortense", "khn-123456", "khn-654321", "khn.official")
HASHES = ("image_hash",)


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def planner(member: Member) -> Any:
    with member.wallet() as wallet, member.replica() as replica:
        # With `always_new` nothing is matched, which is not what is tested here.
        yield Planner(wallet, replica, contributor=STORE, always_new=True)


def events(planner: Planner, key: Ed25519PrivateKey, row: ReportRow) -> list[Event]:
    """What would be posted for a row; nothing where it is rejected."""
    return [
        sign_event(
            key,
            origin="example.org/log",
            type="report",
            body=msgspec.json.decode(draft.leaves, type=Report),
        )
        for draft in planner.plan([row])
        if draft.leaves
    ]


def row(account: dict[str, tuple[str, ...]], **said: Any) -> ReportRow:
    return ReportRow(
        file="reports.jsonl",
        line=1,
        account=Account(id="seller-4711", **(HARMLESS | account)),  # type: ignore[arg-type]
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
        **said,
    )


def in_clear(event: Event) -> list[str]:
    """Every string of what was said, without what the wallet itself makes up."""
    return list(strings(msgspec.json.decode(event.raw)["body"]))


property_test = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@property_test
@given(field=st.sampled_from(LIST_FIELDS), before=WORDS, written=writings(NAME))
def test_no_field_of_an_account_smuggles_the_name(
    planner: Planner, key: Ed25519PrivateKey, field: str, before: str, written: str
) -> None:
    value = before + written
    assume(len(value) <= 512)
    for event in events(planner, key, row({field: (value,)})):
        for text in in_clear(event):
            assert value not in text
            assert not reads(text, NAME), text


@property_test
@given(written=writings(NAME), data=st.data())
def test_nothing_else_of_a_report_smuggles_the_name(
    planner: Planner, key: Ed25519PrivateKey, written: str, data: st.DataObject
) -> None:
    assume(len(written) <= 256)
    spelt = NAME.encode().ljust(32, data.draw(st.sampled_from([b"\0", b" ", b"q"]))).hex()
    product = Product(
        title=f"bag {written} red",
        brand=written,
        price="19.99",
        identifiers=(f"mpn:{written}", f"gtin:{12345678}"),
        images=(Image(variants=(spelt, "0f" * 32), quality=80),),
    )
    evidence = (
        Evidence(kind=data.draw(st.sampled_from([NAME, f"invoice_{NAME}", "kauf_halle_nord"])),
                 commitment="ab" * 32),
        Evidence(kind="invoice", commitment=spelt),
    )  # fmt: skip
    given = row({}, brands=(written, "Orvanto"), evidence=evidence, products=(product,))
    (event,) = events(planner, key, given)
    said = in_clear(event)
    assert {"Orvanto", "gtin:12345678", "0f" * 32, "ab" * 32} <= set(said)
    for text in said:
        assert written not in text
        assert not reads(text, NAME), text


@property_test
@given(
    field=st.sampled_from([name for name in LIST_FIELDS if name != "country"]),
    giveaway=st.sampled_from([value for values in GIVEAWAYS.values() for value in values]),
    before=WORDS,
)
def test_neither_domains_nor_people_nor_ids_nor_pages_leave(
    planner: Planner, key: Ed25519PrivateKey, field: str, giveaway: str, before: str
) -> None:
    for event in events(planner, key, row({field: (before + giveaway,)})):
        said = "\n".join(in_clear(event)).lower().replace("%2d", "-").replace(" ", "")
        assert not any(trace in said for trace in TRACES), said


def test_what_no_report_has_leaves_by_no_way(planner: Planner, key: Ed25519PrivateKey) -> None:
    """Neither the account's id nor a file's path nor a column that is no report's."""
    given = msgspec.json.encode(
        {
            "kind": "invoice",
            "commitment": "cd" * 32,
            "file": "/cases/khn/seller-4711.pdf",
            "path": "kaufhalle-nord/1.pdf",
        }
    )
    evidence = msgspec.json.decode(given, type=Evidence)
    (event,) = events(planner, key, row({"alias": ("bags seller-4711",)}, evidence=(evidence,)))
    assert b"4711" not in event.raw
    assert b"pdf" not in event.raw
    assert b"cd" * 32 in event.raw


def test_what_waits_for_a_person_says_nothing_and_why(
    planner: Planner, key: Ed25519PrivateKey
) -> None:
    given = row({"name": ("Hortense Grabowski",), "website": ("https://khn.example/s/1",)})
    (draft,) = planner.plan([given])
    assert (draft.action, draft.leaves, draft.field) == ("rejected", b"", "name")
    assert "`allow` under [contributor] in config.toml" in draft.reason
    assert [(f.field, f.rule, f.action) for f in draft.findings] == [
        ("name", "staff", "blocked"),
        ("website", "domain", "removed"),
    ]


def test_words_of_the_settings_and_of_the_command_add_to_the_profile(member: Member) -> None:
    config = member.home / "config.toml"
    config.write_text(config.read_text() + '[contributor]\nwords = ["Falke"]\n')
    opened = Member.open(member.home, {"lint_words": "Projekt Adler, ,Habicht"})
    assert opened.contributor.words == ("Falke", "Projekt Adler", "Habicht")
    config.write_text(config.read_text() + 'id_patterns = ["("]\n')
    with pytest.raises(SettingError, match="id_patterns"):
        _ = Member.open(member.home).contributor


def test_the_reader_that_judges_reads_every_disguise() -> None:
    coded = base64.b64encode(b"the Kaufhalle%20Nord shop").decode()
    for text in (coded, "k4ufh4ll3-n0rd", "dron ellahfuak", "К а u f һ a l l e . n o r d"):
        assert reads(text, NAME)
    assert not reads("Chen Wei, 12 Halle Road, Kaufbeuren", NAME)
