"""The demo's stage: reports that can be sent, seller bases, and the truth about them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acx.demo.identities import example_identities
from acx.demo.scenario import STORES, Scenario, TooFewExamples, scenario, write_scenario
from acx.demo.sellers import SCHEMA
from acx.records.report import CATEGORIES, CONDUCTS, STANDARDS


@pytest.fixture(scope="module")
def stage() -> Scenario:
    return scenario(reported=12, sellers_per_store=300, seed=5)


def test_reports_use_the_closed_lists(stage: Scenario) -> None:
    assert len(stage.reports) == 12
    for report in stage.reports:
        assert report.conduct in CONDUCTS
        assert set(report.confirmed_by) <= set(STANDARDS)
        assert set(report.categories) <= set(CATEGORIES)
        assert len(report.confirmed_on) == len("2026-01")
        assert report.brands


def test_every_store_has_its_sellers_under_ids_of_its_own(stage: Scenario) -> None:
    for store in STORES:
        sellers = stage.sellers[store]
        assert sellers.schema == SCHEMA
        assert len(sellers) == 300
        assert sellers["id"].n_unique() == 300
        assert sellers["id"].str.starts_with(f"{store}-").all()


def test_the_reported_are_among_store_as_sellers(stage: Scenario) -> None:
    reported = {report.account.id for report in stage.reports}
    assert reported <= set(stage.sellers["A"]["id"])


def test_actors_come_back_at_the_other_stores(stage: Scenario) -> None:
    reported = {report.account.id for report in stage.reports}
    assert stage.truth["A"] == ()
    for store in ("B", "C"):
        truth = stage.truth[store]
        assert truth
        assert {each.subject_id for each in truth} <= reported
        assert {each.account_id for each in truth} <= set(stage.sellers[store]["id"])


def test_innocents_who_resemble_someone_are_not_in_the_truth(stage: Scenario) -> None:
    for store in STORES:
        alike = {each.account.id for each in stage.look_alikes[store]}
        assert alike
        assert alike <= set(stage.sellers[store]["id"])
        assert not alike & {each.account_id for each in stage.truth[store]}


def test_the_same_seed_sets_the_same_stage(stage: Scenario) -> None:
    again = scenario(reported=12, sellers_per_store=300, seed=5)
    assert again.reports == stage.reports
    assert again.truth == stage.truth
    assert all(again.sellers[store].equals(stage.sellers[store]) for store in STORES)


def test_a_scenario_is_written_as_the_commands_read_it(tmp_path: Path) -> None:
    stage = write_scenario(tmp_path, reported=4, sellers_per_store=60, seed=6)
    reports = [json.loads(line) for line in (tmp_path / "A/reports.jsonl").open()]
    assert [report["account"]["id"] for report in reports] == [
        report.account.id for report in stage.reports
    ]
    for store in STORES:
        rows = [json.loads(line) for line in (tmp_path / store / "sellers.jsonl").open()]
        assert [row["id"] for row in rows] == stage.sellers[store]["id"].to_list()
        truth = [json.loads(line) for line in (tmp_path / store / "truth.jsonl").open()]
        assert [row["subject_id"] for row in truth] == [
            each.subject_id for each in stage.truth[store]
        ]


def test_more_reports_than_examples_are_refused_with_the_number_there_is() -> None:
    with pytest.raises(TooFewExamples, match=str(len(example_identities()))):
        scenario(reported=10_000)


def test_the_examples_folder_shows_the_file_that_ships() -> None:
    linked = Path(__file__).parents[2] / "examples/accounts/identities.jsonl"
    lines = linked.read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [each.id for each in example_identities()]
