"""What `acx match` makes of accounts and files that are odd, empty or made to evade it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from acx.cli.app import run

REPORTED = """id,kind,name,alias,email,phone,country,bank_account,birth_date
r1,person,Wei Li|李伟,Golden,li.wei@shop.example,+8613800138000,CN,DE89370400440532013000,1980-05-06
r2,organization,Shenzhen Huaqiang Trading Co Ltd,,sales@huaqiang.example,,CN,,
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "reported.csv").write_text(REPORTED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def matched(
    folder: Path, content: str, *arguments: str, against: str = "reported.csv"
) -> tuple[int, list[dict[str, str]]]:
    """Match a file with this content: the exit code, and the hits."""
    (folder / "sellers.csv").write_text(content, encoding="utf-8")
    code = run(["match", "sellers.csv", "--against", against, "--out", "hits.csv", *arguments])
    if not (folder / "hits.csv").exists():
        return code, []
    with (folder / "hits.csv").open(encoding="utf-8", newline="") as file:
        return code, list(csv.DictReader(file))


def test_a_file_of_ids_alone_hits_nothing_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert matched(folder, "id\na\nb\n") == (0, [])
    err = capsys.readouterr().err
    assert "sellers.csv: all 2 accounts have nothing to match on" in err
    assert "--mapping" in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name\nWei Li\n", "no column id"),
        ("Wei Li\nJohn Smith\n", "Wei Li; it should name"),
        ("naam\nWei Li\n", "no column that is known"),
    ],
    ids=["names alone", "no header", "another language"],
)
def test_a_file_with_one_column_that_is_not_the_id_is_refused_by_its_columns(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    assert matched(folder, content) == (1, [])
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_accounts_with_nothing_to_match_on_are_counted_and_hit_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = "id,kind,name,email,country\na,person,,,CN\nb,,\u200b\u200d,  ,\n"
    assert matched(folder, bare + "c,person,Wei Li,li.wei@shop.example,CN\n")[0] == 0
    assert "2 of 3 accounts have nothing to match on" in capsys.readouterr().err


def test_subjects_with_nothing_to_match_on_are_told_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bare.csv").write_text("id,name\nx,\n", encoding="utf-8")
    assert matched(folder, "id,name\na,Wei Li\n", against="bare.csv") == (0, [])
    assert "bare.csv: all 1 accounts have nothing to match on" in capsys.readouterr().err


def test_an_id_that_comes_twice_is_a_reject_and_its_first_row_counts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = (
        "id,name,bank_account,birth_date\n"
        "a,Wei Li,DE89370400440532013000,1980-05-06\n"
        "a,John Smith,,\n"
    )
    code, hits = matched(folder, twice)
    assert code == 3
    assert [(hit["account_id"], hit["subject_id"], hit["level"]) for hit in hits] == [
        ("a", "r1", "exact")
    ]
    (reject,) = (folder / "hits.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(reject)["line"] == 3
    assert "came before, in line 2" in reject
    assert "1 of 4 rows were rejected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "W\u0435i L\u0456",  # Cyrillic letters that look Latin
        "\u202dWei Li\u202c",
        "We\u200bi\u200d L\u2060i\ufeff",
        "\uff37\uff45\uff49\u3000\uff2c\uff49",
        "李 Wei",
        "wEI lI",
        "李伟",
    ],
    ids=[
        "homoglyphs",
        "direction marks",
        "zero width",
        "full width",
        "two scripts",
        "case",
        "han",
    ],
)
def test_a_disguised_name_is_the_name(folder: Path, name: str) -> None:
    # The bank account is disguised too: by a zero-width space and no-break spaces.
    account = "DE89\u200b3704\u00a00044\u00a00532\u00a00130\u00a000"
    content = f"id,name,bank_account,birth_date\na,{name},{account},1980-05-06\n"
    code, (hit,) = matched(folder, content)
    assert code == 0
    assert (hit["subject_id"], hit["level"]) == ("r1", "exact")
    assert any(reason.startswith("name:") and "+" in reason for reason in hit["reasons"].split(";"))


def test_what_is_invisible_in_a_pair_is_spelled_out_where_it_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = "id,name\na,\u202eiL ieW\u202c\n"
    (folder / "sellers.csv").write_text(content, encoding="utf-8")
    assert run(["match", "sellers.csv", "--against", "reported.csv", "--explain", "a", "r1"]) == 0
    out = capsys.readouterr().out
    assert "⟨202E⟩iL ieW⟨202C⟩" in out
    assert "\u202e" not in out


def test_an_account_with_nothing_is_explained_as_what_the_prior_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sellers.csv").write_text("id,name\na,\n", encoding="utf-8")
    asked = ["match", "sellers.csv", "--against", "reported.csv", "--explain", "a", "r1"]
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == []
    assert told["bits"] == told["prior"]
    assert told["level"] == ""


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("", "is empty"),
        ("account_id,subject_id,label\n", "label more pairs"),
        ("account_id,subject,label\na,r1,true\n", "no column subject_id"),
        ("account_id\na\n", "no column subject_id"),
    ],
    ids=["empty", "header alone", "another name", "one column"],
)
def test_labels_that_hold_nothing_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], labels: str, said: str
) -> None:
    (folder / "labels.csv").write_text(labels, encoding="utf-8")
    (folder / "sellers.csv").write_text("id,name\na,Wei Li\n", encoding="utf-8")
    asked = ["match", "sellers.csv", "--against", "reported.csv", "--labels", "labels.csv"]
    assert run([*asked, "--out-weights", "w.json"]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not (folder / "w.json").exists()
