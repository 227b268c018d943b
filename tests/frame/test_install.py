"""The base install comes from wheels alone: no compiler on a store's machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
UV = shutil.which("uv") or str(PROJECT / ".tools" / "bin" / "uv")


@pytest.mark.skipif(not Path(UV).exists(), reason="uv is not here: run through `make test`")
def test_installs_with_building_disabled_and_runs(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(UV, "build", "--quiet", "--wheel", "--out-dir", "dist", str(PROJECT))
    run(UV, "venv", "--quiet", "--python", sys.executable, "fresh")
    python = str(tmp_path / "fresh" / "bin" / "python")
    (wheel,) = (tmp_path / "dist").glob("acx-*.whl")
    run(UV, "pip", "install", "--quiet", "--python", python, "--no-build", str(wheel))
    acx = str(tmp_path / "fresh" / "bin" / "acx")
    assert run(acx, "--version").startswith("acx ")
    assert "report" in run(acx, "--help")
