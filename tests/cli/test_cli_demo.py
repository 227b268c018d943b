"""The whole loop, as `make demo` plays it, with fewer sellers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def acx(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "acx", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=os.environ | {"ACX_HOME": "/nonexistent"},
    )


def test_a_store_reports_and_the_others_find_the_same_actor(tmp_path: Path) -> None:
    done = acx("demo", "--dir", str(tmp_path / "demo"), "--sellers", "300", "--json")
    assert done.returncode == 0, done.stderr
    facts: dict[str, object] = {}
    for step in json.loads(done.stdout)["steps"]:
        facts |= step["facts"]
    assert facts["acknowledged"] == 20
    assert facts["B informed of"] == facts["C informed of"] == 20
    assert facts["unchanged"] == 20
    for store in ("B", "C"):
        found, of = map(int, str(facts[f"{store} come-backs found"]).split(" of "))
        assert found >= 0.8 * of > 0
    assert facts["contributors"] == 2
    assert facts["entries erased"] == 1
    assert facts["hits on it"] == 0


def test_refuses_a_directory_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    done = acx("demo", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("arguments", [("demo", "--sellers", "3"), ("demo", "--dier", "x")])
def test_bad_usage_is_exit_code_2_and_one_line(arguments: tuple[str, ...]) -> None:
    done = acx(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
