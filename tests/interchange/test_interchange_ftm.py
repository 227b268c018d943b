"""Reports as FollowTheMoney: what its own loaders make of it, where they are installed."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import msgspec
import pytest
from tests.interchange.views import REPORT, REPORT_ID, dispute, view

from acx.interchange import Ftm
from acx.records.account import Subject
from acx.records.report import Report
from acx.records.state import ReportView

NOTE = (
    f"acx report {REPORT_ID}: sold counterfeits; brands: acme; confirmed by test buy; "
    "members behind it: 2."
)
FTM = Ftm("exchange.example/log", lambda index: f"2026-11-25T{index:02}Z")


def entities(shown: ReportView) -> list[dict[str, Any]]:
    return [json.loads(msgspec.json.encode(entity)) for entity in FTM.entities(shown)]


def about(subject: Subject, **more: Any) -> Report:
    return msgspec.structs.replace(REPORT, account=subject, **more)


def test_a_report_is_a_subject_a_risk_and_its_accounts_elsewhere() -> None:
    subject, risk, *accounts = entities(view(contributors=2))
    assert subject["schema"] == "Person"
    assert subject["properties"] == {
        "name": ["Jo O'Doe", "Иван Петров"],
        "alias": ["Shop \\ x"],
        "email": ["jo.doe@shop.example", "günther@shop.example"],
        "phone": ["+4915123456789"],
        "address": ["1 Road, Town"],
        "country": ["cn", "de"],
        "taxNumber": ["136695976"],
        "registrationNumber": ["91440300MA5EXAMPLE"],
        "jurisdiction": ["cn"],
        "website": [
            "https://www.shop.example/shoes?id=1%7C2",
            "https://203.0.113.5/",
            "https://bags.example/",
        ],
        "birthDate": ["1990-01-02"],
        "topics": ["poi"],
        "notes": [NOTE],
    }
    assert (risk["schema"], risk["properties"]["entity"]) == ("Risk", [subject["id"]])
    assert risk["properties"]["reason"] == ["sold_counterfeits", "test_buy"]
    assert [account["properties"]["service"] for account in accounts] == [["wechat"], ["shopee"]]
    assert {account["properties"]["owner"][0] for account in accounts} == {subject["id"]}


def test_digests_and_names_of_others_stay_out() -> None:
    told = json.dumps(entities(view()))
    assert "h1:" not in told
    assert "Somebody Else" not in told


def test_every_entity_has_what_loaders_look_for() -> None:
    for entity in entities(view()):
        assert entity["datasets"] == ["acx_exchange_example_log"]
        assert entity["caption"]
        assert all(
            isinstance(value, str) for values in entity["properties"].values() for value in values
        )


@pytest.mark.parametrize(
    ("kind", "schema"),
    [("person", "Person"), ("organization", "Organization"), ("", "LegalEntity")],
)
def test_kinds_have_their_schemata(kind: Any, schema: str) -> None:
    (subject, *_) = entities(view(report=about(Subject(kind=kind, name=("X",)))))
    assert subject["schema"] == schema


def test_only_what_a_court_decided_is_called_a_crime() -> None:
    for confirmed, topic in ((("test_buy",), "poi"), (("test_buy", "court"), "crime.fraud")):
        (subject, *_) = entities(view(report=about(Subject(name=("X",)), confirmed_by=confirmed)))
        assert subject["properties"]["topics"] == [topic]


@pytest.mark.parametrize(
    ("state", "listed"),
    [("active", True), ("disputed", True)]
    + [(s, False) for s in ("suspended", "withdrawn", "rejected", "expired", "erased")],
)
def test_only_reports_to_act_on_are_listed(state: str, listed: bool) -> None:
    assert bool(entities(view(state, disputes=(dispute(),)))) == listed


def test_a_subject_without_a_name_has_its_id_as_caption() -> None:
    (subject, *_) = entities(view(report=about(Subject(email=("x@shop.example",)))))
    assert subject["caption"] == subject["id"] == f"acx-{REPORT_ID}"


def test_the_index_says_what_is_in_the_file_and_its_version_only_rises() -> None:
    index = FTM.index(log_size=7, entities=3, subjects=1, checksum="ab" * 20)
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", index["name"])
    assert (index["entity_count"], index["thing_count"]) == (3, 1)
    assert index["resources"][0]["name"] == "entities.ftm.json"
    later = FTM.index(log_size=17, entities=3, subjects=1, checksum="ab" * 20)
    assert int(later["version"]) > int(index["version"]) == 20261125060000000007


def loaders() -> Any:
    try:
        return importlib.import_module("nomenklatura.store"), importlib.import_module(
            "nomenklatura.resolver"
        )
    except ImportError as missing:
        pytest.skip(f"nomenklatura is not installed ({missing}): see docs/interchange.md")


def test_nomenklatura_loads_the_entities_unchanged(tmp_path: Any) -> None:
    store, resolver = loaders()
    expected = entities(view())
    path = tmp_path / "entities.ftm.json"
    path.write_text("".join(json.dumps(entity) + "\n" for entity in expected))
    database = importlib.import_module("nomenklatura.db")
    with database.make_session(f"sqlite:///{tmp_path}/resolver.sqlite") as session:
        loaded = store.load_entity_file_store(path, resolver.Resolver(session, create=True))
    seen = {entity.id: entity for entity in loaded.default_view().entities()}
    assert set(seen) == {entity["id"] for entity in expected}
    for entity in expected:
        assert seen[entity["id"]].schema.name == entity["schema"]
        properties = seen[entity["id"]].to_dict()["properties"]
        assert {name: sorted(values) for name, values in properties.items()} == {
            name: sorted(values) for name, values in entity["properties"].items()
        }


def test_followthemoney_takes_the_index_and_every_value() -> None:
    loaders()
    dataset = importlib.import_module("followthemoney.dataset")
    model = importlib.import_module("followthemoney").model
    index = FTM.index(log_size=7, entities=3, subjects=1, checksum="ab" * 20)
    assert dataset.Dataset.make(dict(index)).name == FTM.dataset
    for entity in entities(view()):
        proxy = model.get_proxy(entity, cleaned=False)
        assert {name: len(values) for name, values in proxy.to_dict()["properties"].items()} == {
            name: len(values) for name, values in entity["properties"].items()
        }
