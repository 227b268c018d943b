"""`acx match --explain`, `--estimate`, `--labels` and `--weights` as a user runs them."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from acx.cli.app import run
from acx.demo.comebacks import come_backs
from acx.demo.sellers import ordinary
from acx.matching.weights import load, shipped
from acx.records.account import Account

REPORTED = """id,kind,name,alias,email,phone,country,bank_account,birth_date
r1,person,Wei Li|李伟,Golden,li.wei@shop.example,+8613800138000,CN,DE89370400440532013000,1980-05-06
r2,organization,Shenzhen Huaqiang Trading Co Ltd,,sales@huaqiang.example,,CN,,
r3,person,"<b>Maria</b> Gonzalez",,,,ES,,1991-01-02
"""
SELLERS = """id,kind,name,alias,email,phone,country,bank_account,birth_date
s1,person,Li Wei,Sunrise,li88@other.example,138 0013 8000,CN,DE89 3704 0044 0532 0130 00,1980-05-06
s2,organization,深圳市华强贸易有限公司,,sales@huaqiang.example,,CN,,
s3,person,John Smith,,john@elsewhere.example,+1 202 555 0143,US,,1970-02-03
s4,person,Maria Gonzalez,,,,ES,,1985-11-30
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reported.csv").write_text(REPORTED, encoding="utf-8")
    (tmp_path / "sellers.csv").write_text(SELLERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def match(*arguments: str) -> int:
    return run(["match", "sellers.csv", "--against", "reported.csv", *arguments])


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert match("--json", "--explain", *arguments) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_pair_is_explained_field_by_field(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert match("--explain", "s1", "r1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "s1 and r1"
    assert lines[1].startswith("exact: probability")
    drawn = "\n".join(lines)
    for said in ("bank_account same", "phone same", "DE89370400440532013000", "+8613800138000"):
        assert said in drawn
    assert drawn.index("prior") < drawn.index("bank_account") < drawn.index("log-odds")


def test_an_explanation_adds_up_to_what_a_hit_says(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert match("--out", "hits.jsonl") == 0
    hits = {(row["account_id"], row["subject_id"]): row for row in _lines(files / "hits.jsonl")}
    told = explained(capsys, "s1", "r1")
    hit = hits["s1", "r1"]
    assert told["probability"] == hit["probability"]
    assert told["level"] == hit["level"]
    said = [f"{s['field']}:{s['comparison']}:{s['bits']:+.2f}" for s in told["steps"]]
    assert said == hit["reasons"][:-1]
    assert told["bits"] == pytest.approx(told["prior"] + sum(s["bits"] for s in told["steps"]))


def test_a_pair_that_is_no_hit_is_explained_too(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = explained(capsys, "s4", "r3")
    assert told["level"] == ""
    contradicts = next(step for step in told["steps"] if step["field"] == "birth_date")
    assert (contradicts["comparison"], contradicts["account"], contradicts["subject"]) == (
        "differs",
        ["1985-11-30"],
        ["1991-01-02"],
    )


def test_values_are_shown_in_the_writing_in_which_they_are_equal_and_those_alike_first(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = explained(capsys, "s1", "r1")
    by_field = {step["field"]: step for step in told["steps"]}
    assert by_field["phone"]["account"] == by_field["phone"]["subject"] == ["+8613800138000"]
    assert (by_field["name"]["account"][0], by_field["name"]["subject"][0]) == ("Li Wei", "Wei Li")
    assert 0 < by_field["phone"]["u"] < by_field["country"]["u"] < 1


@pytest.mark.parametrize("suffix", [".html", ".svg"])
def test_an_explanation_is_drawn_into_a_file_without_markup_of_others(
    files: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    assert match("--explain", "s4", "r3", "--explain-out", f"why{suffix}") == 0
    drawn = (files / f"why{suffix}").read_text(encoding="utf-8")
    assert "&lt;b&gt;Maria&lt;/b&gt; Gonzalez" in drawn
    assert "<script" not in drawn
    assert f"why{suffix}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--explain", "s9", "r1"), 1, "'s9'"),
        (("--explain", "s1", "r9"), 1, "'r9'"),
        (("--explain", "s1", "r1", "--explain-out", "why.png"), 2, ".svg"),
        (("--explain", "s1", "r1", "--out", "hits.csv"), 2, "one pair"),
        (("--explain-out", "why.svg", "--out", "hits.csv"), 2, "--explain"),
        (("--out-weights", "w.json", "--out", "hits.csv"), 2, "--estimate"),
        (("--estimate", "--weights", "w.json"), 2, "--weights"),
        (("--fail-on", "exact", "--estimate"), 2, "--out"),
        ((), 2, "--out HITS"),
        (("--out", "hits.csv", "--weights", "none.json"), 1, "none.json"),
        (("--out", "hits.csv", "--weights", "sellers.csv"), 1, "not weights"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    assert match(*arguments) == code
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert {path.name for path in files.iterdir()} == {"reported.csv", "sellers.csv"}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@cache
def population() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Sellers of whom some have come back, the reported, and labels of some pairs."""
    reported = ordinary(900, 11, prefix="r-")
    accounts = [Account(**{n: _plain(v) for n, v in row.items()}) for row in reported.to_dicts()]
    rng = random.Random(3)  # noqa: S311 -- invented data
    returned = come_backs(accounts[:400], 300, 12, prefix="back-")
    back = pl.DataFrame(
        [{n: getattr(each.account, n) for n in reported.columns} for each in returned],
        schema=reported.schema,
    )
    sellers = pl.concat([back, ordinary(900, 13, prefix="s-")])
    pairs = [(each.account.id, each.subject_id, "true") for each in returned[:200]]
    pairs += [(f"s-{n}", rng.choice(accounts).id, "FALSE") for n in range(200)]
    labels = pl.DataFrame(pairs, schema=["account_id", "subject_id", "label"], orient="row")
    return sellers, reported, labels.filter(pl.col("account_id").is_in(sellers["id"].implode()))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value or ""


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sellers, reported, labels = population()
    sellers.write_parquet(tmp_path / "sellers.parquet")
    reported.write_parquet(tmp_path / "reported.parquet")
    labels.write_csv(tmp_path / "labels.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def match_generated(*arguments: str) -> int:
    return run(["match", "sellers.parquet", "--against", "reported.parquet", *arguments])


def strong(path: Path) -> set[tuple[str, str]]:
    return {
        (row["account_id"], row["subject_id"]) for row in _lines(path) if row["level"] != "possible"
    }


def test_estimated_weights_are_shown_beside_the_shipped_ones_kept_and_matched_with(
    generated: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert match_generated("--estimate", "--out-weights", "w.json") == 0
    out = capsys.readouterr().out
    rows = [line.split("\t") for line in out.splitlines() if line.count("\t") == 6]
    assert [row[:2] for row in rows[:2]] == [["email", "same"], ["email", "variant"]]
    assert "EM converged" in out
    assert "prior:" in out
    weights = load(generated / "w.json")
    assert weights.provenance is not None
    assert (weights.provenance.subjects, weights.provenance.labelled) == (900, 0)
    assert weights != shipped()

    assert match_generated("--out", "hits.jsonl") == 0
    plain = strong(generated / "hits.jsonl")
    assert match_generated("--out", "hits.jsonl", "--weights", "w.json") == 0
    estimated = strong(generated / "hits.jsonl")
    right = {pair for pair in plain if pair[0].startswith("back-")}
    assert len(right & estimated) >= 0.97 * len(right)
    assert (generated / "hits.jsonl").read_bytes()
    monkeypatch.setenv("ACX_WEIGHTS", "w.json")
    assert match_generated("--out", "again.jsonl") == 0
    assert (generated / "again.jsonl").read_bytes() == (generated / "hits.jsonl").read_bytes()


def test_hits_can_be_made_at_once_with_what_was_estimated(generated: Path) -> None:
    assert match_generated("--estimate", "--out-weights", "w.json", "--out", "now.jsonl") == 0
    assert match_generated("--weights", "w.json", "--out", "later.jsonl") == 0
    assert (generated / "now.jsonl").read_bytes() == (generated / "later.jsonl").read_bytes()


def test_labels_tell_how_good_each_level_is_on_those_kept_back(
    generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert match_generated("--labels", "labels.csv", "--json", "--out-weights", "w.json") == 0
    told = json.loads(capsys.readouterr().out)
    for evaluation in (told["held_out"], told["held_out_shipped"]):
        levels = {each["level"]: each for each in evaluation["levels"]}
        assert levels["strong"]["precision"] >= 0.98
        assert levels["possible"]["recall"] > 0.9
        assert sum(each["pairs"] for each in evaluation["reliability"]) == evaluation["pairs"]
    assert told["weights"]["provenance"]["rounds"] == 0
    assert load(generated / "w.json").prior == shipped().prior


def test_labels_and_em_go_together_and_are_told_in_words(
    generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert match_generated("--estimate", "--labels", "labels.csv") == 0
    out = capsys.readouterr().out
    for said in ("by their label", "EM converged", "kept back", "reliability", "Brier"):
        assert said in out


def test_labels_that_contradict_or_name_nobody_are_rejects(
    generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (generated / "labels.csv").open("a", encoding="utf-8") as file:
        first = population()[2].row(0)
        file.write(f"{first[0]},{first[1]},false\nnobody,{first[1]},true\n{first[0]},r?,true\n")
        file.write(f"{first[0]},{first[1]},perhaps\n")
    assert match_generated("--labels", "labels.csv", "--out-weights", "w.json") == 3
    rejects = _lines(generated / "w.rejects.jsonl")
    assert [row["field"] for row in rejects] == ["label", "label", "account_id", "subject_id"]
    assert "true for the same pair before" in rejects[1]["reason"]
    assert "ACCOUNTS" in rejects[2]["reason"]
    capsys.readouterr()
    assert match_generated("--labels", "labels.csv", "--allow-rejects", "4") == 0


def test_labels_are_read_from_json_lines_and_parquet_too(generated: Path) -> None:
    told = population()[2].with_columns(label=pl.col("label") == "true")
    told.write_ndjson(generated / "labels.jsonl")
    told.write_parquet(generated / "labels.parquet")
    for name in ("labels.csv", "labels.jsonl", "labels.parquet"):
        assert match_generated("--labels", name, "--out-weights", f"{name}.json") == 0
    fields = [
        load(generated / f"labels.{kind}.json").fields for kind in ("csv", "jsonl", "parquet")
    ]
    assert fields[0] == fields[1] == fields[2]


def test_labels_without_a_pair_of_one_actor_are_refused_with_advice(
    generated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sellers, reported, _ = population()
    only = f"account_id,subject_id,label\n{sellers['id'][-1]},{reported['id'][0]},false\n"
    (generated / "labels.csv").write_text(only, encoding="utf-8")
    assert match_generated("--labels", "labels.csv", "--out-weights", "w.json") == 1
    assert "label more pairs" in capsys.readouterr().err
    assert not (generated / "w.json").exists()
