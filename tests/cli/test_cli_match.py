"""`acx match` as a user runs it: files in, HITS out, exit codes, bad input."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from acx.cli.app import run

REPORTED = """id,kind,name,alias,email,phone,country,bank_account,birth_date
r1,person,Wei Li|李伟,Golden,li.wei@shop.example,+8613800138000,CN,DE89370400440532013000,1980-05-06
r2,organization,Shenzhen Huaqiang Trading Co Ltd,,sales@huaqiang.example,,CN,,
r3,person,Maria Gonzalez,,,,ES,,1991-01-02
"""
SELLERS = """id,kind,name,alias,email,phone,country,bank_account,birth_date
s1,person,Li Wei,Sunrise,li88@other.example,138 0013 8000,CN,DE89 3704 0044 0532 0130 00,1980-05-06
s2,organization,深圳市华强贸易有限公司,,sales@huaqiang.example,,CN,,
s3,person,John Smith,,john@elsewhere.example,+1 202 555 0143,US,,1970-02-03
s4,person,Maria Gonzalez,,,,ES,,1985-11-30
"""
COLUMNS = ["account_id", "subject_id", "level", "probability", "reasons"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reported.csv").write_text(REPORTED, encoding="utf-8")
    (tmp_path / "sellers.csv").write_text(SELLERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hits(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def match(*arguments: str) -> int:
    return run(
        ["match", "sellers.csv", "--against", "reported.csv", "--out", "hits.csv", *arguments]
    )


def test_the_same_actor_is_found_under_another_name_and_namesakes_are_no_sure_hit(
    files: Path,
) -> None:
    assert match() == 0
    found = hits(files / "hits.csv")
    assert list(found[0]) == COLUMNS
    sure = [row for row in found if row["level"] != "possible"]
    assert {(row["account_id"], row["subject_id"]) for row in sure} == {("s1", "r1"), ("s2", "r2")}
    best = next(row for row in found if row["account_id"] == "s1")
    assert best["level"] == "exact"
    reasons = [reason.split(":") for reason in best["reasons"].split(";")]
    assert {"bank_account", "phone", "birth_date", "prior"} <= {reason[0] for reason in reasons}
    assert all(len(reason) == 3 and reason[2][0] in "+-" for reason in reasons)


def test_hits_are_sorted_by_probability_highest_first(files: Path) -> None:
    assert match() == 0
    probabilities = [float(row["probability"]) for row in hits(files / "hits.csv")]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0.5 <= probability <= 1 for probability in probabilities)


def test_a_level_leaves_out_what_is_below_it(files: Path) -> None:
    assert match("--level", "exact") == 0
    assert {row["level"] for row in hits(files / "hits.csv")} == {"exact"}


def test_a_file_against_itself_leaves_out_each_row_itself(files: Path) -> None:
    twice = REPORTED + "r9,person,LI Wei,,li.wei@shop.example,13800138000,CN,,1980-05-06\n"
    (files / "twice.csv").write_text(twice, encoding="utf-8")
    assert run(["match", "twice.csv", "--against", "twice.csv", "--out", "hits.csv"]) == 0
    pairs = {(row["account_id"], row["subject_id"]) for row in hits(files / "hits.csv")}
    assert pairs == {("r1", "r9"), ("r9", "r1")}


def test_hits_of_a_level_make_exit_code_4_when_asked_for(files: Path) -> None:
    assert match("--fail-on", "strong") == 4
    assert hits(files / "hits.csv")


def test_bad_rows_go_to_the_rejects_and_good_ones_go_through(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (files / "sellers.csv").open("a", encoding="utf-8") as file:
        file.write("s5,person,Bad Date,,,,,,31/12/1999\n")
    assert match() == 3
    assert {"s1", "s2"} <= {row["account_id"] for row in hits(files / "hits.csv")}
    (rejected,) = (files / "hits.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    reject = json.loads(rejected)
    assert (reject["line"], reject["field"]) == (6, "birth_date")
    assert "hits.rejects.jsonl" in capsys.readouterr().err
    assert match("--allow-rejects", "1") == 0
    assert match("--allow-rejects", "50%") == 0


def test_a_line_in_another_encoding_is_a_reject_that_names_the_option(files: Path) -> None:
    (files / "sellers.csv").write_bytes("id,name\n1,Müller\n".encode("latin-1"))
    assert match() == 3
    assert "--encoding" in (files / "hits.rejects.jsonl").read_text(encoding="utf-8")
    assert match("--encoding", "latin-1") == 0


def test_json_for_scripts_counts_the_hits(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert match("--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["accounts"] == 4
    assert summary["hits"]["exact"] + summary["hits"]["strong"] == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "missing.csv"),
        ("empty.csv", b"", "empty"),
        ("cut.csv.gz", gzip.compress(REPORTED.encode() * 50)[:-20], "cut.csv.gz"),
        ("not.parquet", b"PAR1 and then nothing", "not.parquet"),
        ("other.csv", b"colour,size\nred,4\n", "id"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_leaves_nothing(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    if content is not None:
        (files / name).write_bytes(content)
    assert run(["match", name, "--against", "reported.csv", "--out", "hits.csv"]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not (files / "hits.csv").exists()
    assert not list(files.glob(".*tmp"))


def test_an_account_with_nothing_to_match_on_has_no_hit(files: Path) -> None:
    (files / "sellers.csv").write_text("id,name\nx1,\nx2,  \n", encoding="utf-8")
    assert match() == 0
    assert hits(files / "hits.csv") == []
    assert (files / "hits.csv").read_text(encoding="utf-8").strip() == ",".join(COLUMNS)
