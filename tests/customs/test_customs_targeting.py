"""Selection keeps to the capacity, explores, audits at random, and says why."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.customs.shipping import declared
from tests.member.real_exchange import ACX

from acx.customs import outcomes
from acx.customs.errors import BadCapacity
from acx.customs.ranking import COLUMNS
from acx.customs.targeting import AUDIT, EXPLORE, MODEL, Capacity, Selected, select

ROWS = 2000


def chosen(capacity: str, explore: float = 0.0, audit: float = 0.0, seed: int = 0) -> Selected:
    score = np.linspace(1, 0, ROWS)
    spread, unseen = np.full(ROWS, 0.1), np.linspace(0, 1, ROWS)
    room = Capacity.parse(capacity)
    return select(score, spread, unseen, None, room, explore=explore, audit=audit, seed=seed)


@given(st.integers(0, ROWS), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 3))
def test_exactly_the_capacity_is_selected_each_once(
    room: int, explore: float, audit: float, seed: int
) -> None:
    selected = chosen(str(room), explore, audit, seed)
    assert np.count_nonzero(selected.kind) == room
    assert np.count_nonzero(selected.kind == AUDIT) == round(room * audit)
    assert np.all((selected.probability > 0) == (selected.kind > 0))
    assert np.all(selected.probability <= 1)
    assert sorted(selected.rank.tolist()) == list(range(1, ROWS + 1))


def test_without_exploration_the_highest_scores_are_selected() -> None:
    selected = chosen("100")
    assert np.flatnonzero(selected.kind == MODEL).tolist() == list(range(100))


def test_the_audit_is_drawn_from_all_shipments_alike() -> None:
    drawn = np.concatenate(
        [np.flatnonzero(chosen("10%", audit=0.5, seed=seed).kind == AUDIT) for seed in range(40)]
    )
    assert abs(drawn.mean() / ROWS - 0.5) < 0.03


def test_exploration_prefers_trades_that_were_hardly_ever_inspected() -> None:
    tried = np.flatnonzero(chosen("20%", explore=0.5).kind == EXPLORE)
    assert tried.mean() > 0.55 * ROWS


def test_the_same_seed_selects_the_same() -> None:
    first, again, other = (chosen("5%", 0.3, 0.1, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.kind, again.kind)
    assert not np.array_equal(first.kind, other.kind)


def test_each_office_has_the_capacity_for_itself() -> None:
    offices = pl.Series(["A"] * 1500 + ["B"] * 500)
    score = np.linspace(1, 0, ROWS)
    selected = select(
        score, score, score, offices, Capacity.parse("2%"), explore=0, audit=0, seed=0
    )
    assert np.count_nonzero(selected.kind[:1500]) == 30
    assert np.count_nonzero(selected.kind[1500:]) == 10


@pytest.mark.parametrize("text", ["", "many", "-5", "120%", "5 %%"])
def test_a_capacity_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadCapacity):
        Capacity.parse(text)


def test_a_capacity_above_all_shipments_is_refused() -> None:
    with pytest.raises(BadCapacity, match="there are 2000 shipments"):
        chosen("2001")


# -- from the command line ------------------------------------------------------------------------


def acx(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*ACX, "customs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("customs")
    declared(1500, 1).write_csv(folder / "past.csv")
    declared(600, 2).drop("finding").write_csv(folder / "next.csv")
    done = acx("train", folder / "past.csv", "--out", folder / "model.acx", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["at"]["5%"]["precision"]["value"] > 0
    return folder


def test_targeting_writes_ranked_with_reasons_of_the_selected(trained: Path) -> None:
    out = trained / "ranked.csv"
    options = ("--model", trained / "model.acx", "--capacity", "5%", "--out", out)
    done = acx("target", trained / "next.csv", *options)
    assert done.returncode == 0, done.stderr
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [int(row["rank"]) for row in rows] == list(range(1, 601))
    selected = [row for row in rows if row["selected"] == "true"]
    assert len(selected) == 30
    assert {row["selection"] for row in selected} == {"model", "explore", "audit"}
    assert all(not row["reasons"] for row in rows if row["selected"] == "false")
    best = [row["reasons"] for row in selected if row["selection"] == "model"]
    assert any("inspections, " in reasons for reasons in best)
    before = out.read_bytes()
    acx("target", trained / "next.csv", *options)
    assert out.read_bytes() == before


def test_the_card_states_data_quality_and_limits(trained: Path) -> None:
    card = (trained / "model.html").read_text(encoding="utf-8")
    for said in (
        "1,500, 2025-01-01",
        "cross-validation",
        "By size of importer, top 5 %",
        "Limits",
        "<svg",
    ):
        assert said in card
    assert not any(loads in card for loads in ("<script", "<link", "src=", "url(http"))


def test_outcomes_are_kept_once_measured_and_drafted(trained: Path, tmp_path: Path) -> None:
    declared(600, 2).with_columns(
        seller_name=pl.lit("Shoe Palace"),
        seller_email=pl.format("seller{}@mail.test", pl.int_range(pl.len())),
        consignee_name=pl.lit("Victim"),
    ).write_csv(tmp_path / "next.csv")
    ranked = tmp_path / "ranked.parquet"
    options = ("--model", trained / "model.acx", "--capacity", "20%", "--out", ranked)
    assert acx("target", tmp_path / "next.csv", *options).returncode == 0
    truth = declared(600, 2).select("shipment_id", "finding")
    opened = (
        pl.read_parquet(ranked)
        .filter("selected")
        .join(truth, on="shipment_id")
        .select(
            "shipment_id",
            "finding",
            inspected_on=pl.lit("2026-03-14"),
            brand=pl.when(pl.col("finding") == "counterfeit").then(pl.lit("Acme")),
        )
    )
    opened.write_csv(tmp_path / "found.csv")
    store, drafts = tmp_path / "outcomes.parquet", tmp_path / "drafts.jsonl"
    common = ("--store", store, "--ranked", ranked, "--json")
    done = acx(
        "outcome", tmp_path / "found.csv", *common,
        "--shipments", tmp_path / "next.csv", "--drafts", drafts,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    finds = opened.filter(pl.col("finding") == "counterfeit").height
    assert (said["new"], said["kept"], said["drafts"]) == (120, 120, finds)
    rates = {rate["selection"]: rate for rate in said["rates"]}
    assert rates["model"]["rate"] > rates["audit"]["rate"]
    written = [json.loads(line) for line in drafts.read_text().splitlines()]
    assert all(draft["confirmed_by"] == ["customs_seizure"] for draft in written)
    assert {draft["confirmed_on"] for draft in written} == {"2026-03"}
    assert "Victim" not in drafts.read_text()
    again = json.loads(acx("outcome", tmp_path / "found.csv", *common).stdout)
    assert (again["new"], again["kept"]) == (0, 120)
    learnt = acx(
        "train", tmp_path / "next.csv", "--outcomes", store, "--out", tmp_path / "next.acx"
    )
    assert learnt.returncode == 0, learnt.stderr


def test_a_damaged_store_of_outcomes_is_told(tmp_path: Path) -> None:
    (tmp_path / "outcomes.parquet").write_text("no")
    from acx.customs.errors import BadShipments

    with pytest.raises(BadShipments, match="damaged"):
        outcomes.kept(tmp_path / "outcomes.parquet")


def test_errors_name_what_to_do_and_leave_nothing_behind(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "ranked.csv"
    model = ("--model", trained / "model.acx", "--out", out)
    for arguments, said in (
        (("target", trained / "next.csv", *model, "--capacity", "700"), "there are 600 shipments"),
        (("target", trained / "next.csv", *model, "--capacity", "all"), "give a number"),
        (
            ("target", trained / "next.csv", "--model", trained / "past.csv", "--out", out,
             "--capacity", "5%"),
            "is no model",
        ),
        (("train", trained / "next.csv", "--out", tmp_path / "m.acx"), "say --label"),
    ):  # fmt: skip
        done = acx(*arguments)
        assert done.returncode in (1, 2)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not out.exists()


def test_evaluate_tests_on_the_future(trained: Path, tmp_path: Path) -> None:
    done = acx("evaluate", trained / "past.csv", "--out", tmp_path / "page.html", "--json")
    assert done.returncode == 0, done.stderr
    ((title, figures),) = json.loads(done.stdout)["tests"].items()
    assert "tested on" in title
    assert figures["at"]["10%"]["precision"]["value"] > figures["base"]
    assert "<svg" in (tmp_path / "page.html").read_text(encoding="utf-8")
