"""The rejects: whole or not at all, and counted against what is allowed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from acx.records.files import BadAllowance, Rejects, Unwritable


def test_rejected_rows_are_written_whole_when_the_work_is_done(tmp_path: Path) -> None:
    path = tmp_path / "hits.rejects.jsonl"
    with Rejects(path) as rejects:
        rejects.add(file="a.csv", line=3, field="name", reason="is missing", row={"id": "1"})
        rejects.add(file="a.csv", line=4, field="", reason="bad", row="raw,text")
        assert not path.exists()
    assert [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] == [
        {"file": "a.csv", "line": 3, "field": "name", "reason": "is missing", "row": {"id": "1"}},
        {"file": "a.csv", "line": 4, "field": "", "reason": "bad", "row": "raw,text"},
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["hits.rejects.jsonl"]


def test_without_rejects_no_file_is_made_and_one_of_before_goes(tmp_path: Path) -> None:
    path = tmp_path / "hits.rejects.jsonl"
    with Rejects(path):
        pass
    assert list(tmp_path.iterdir()) == []
    with Rejects(path) as rejects:
        rejects.add(file="a.csv", line=3, field="", reason="bad")
    with Rejects(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_rejects_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "sellers.csv"
    path.write_text("id\n1\n")
    with Rejects(path):
        pass
    assert path.read_text() == "id\n1\n"


def test_work_that_fails_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "hits.rejects.jsonl"
    path.write_text("old")

    def work() -> None:
        with Rejects(path) as rejects:
            rejects.add(file="a.csv", line=3, field="", reason="bad")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_rejects_are_counted_without_a_file() -> None:
    with Rejects() as rejects:
        rejects.add(file="a.csv", line=3, field="", reason="bad")
    assert rejects.count == 1


def test_a_row_of_any_size_or_depth_is_noted_in_bounds(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    with Rejects(path) as rejects:
        rejects.add(file="a", line=1, field="", reason="long", row={"x": "y" * 500_000})
        rejects.add(file="a", line=2, field="", reason="deep", row=deep)
        rejects.add(file="a", line=3, field="", reason="half a pair", row="\ud800")
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line)["line"] for line in lines] == [1, 2, 3]
    assert len(path.read_bytes()) < 100_000


def test_the_same_warning_is_kept_once() -> None:
    rejects = Rejects()
    rejects.warn("x")
    rejects.warn("x")
    rejects.warn("y")
    assert rejects.warnings == ["x", "y"]


@pytest.mark.parametrize(
    ("allowance", "allowed"),
    [
        (None, False), (0, False), (2, False), (3, True), ("3", True), ("2", False),
        ("3%", True), ("2.9%", False), ("100%", True), (" 3 % ", True), ("0%", False),
    ],
)  # fmt: skip
def test_rejects_are_allowed_by_number_or_share(allowance: str | int | None, allowed: bool) -> None:
    rejects = Rejects()
    rejects.accepted = 97
    for line in range(3):
        rejects.add(file="a", line=line, field="", reason="bad")
    assert rejects.allowed(allowance) is allowed


def test_nothing_rejected_is_always_allowed() -> None:
    assert Rejects().allowed(None)
    assert Rejects().allowed("0%")


@pytest.mark.parametrize("allowance", ["x", "-1", "5 %%", "1e3", "", "%", "1000%"])
def test_another_allowance_is_a_usage_error(allowance: str) -> None:
    with pytest.raises(BadAllowance, match=r"give a number of rows \(10\) or a share") as raised:
        Rejects().allowed(allowance)
    assert raised.value.exit_code == 2


def test_rejects_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "missing" / "r.jsonl")
    with pytest.raises(Unwritable, match=r"missing/r\.jsonl: cannot write: No such file"):
        rejects.add(file="a", line=1, field="", reason="bad")
