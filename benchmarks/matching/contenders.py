"""Who is measured: acx and the peers, each a program `SUBJECTS SELLERS HITS` of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from benchmarks.matching import scoring
from benchmarks.matching.data import BUILD, Labelled

HERE: Final = Path(__file__).parent
PEERS: Final = HERE / "peers"
ACX: Final = (sys.executable, "-m", "benchmarks.matching.acx_match")
ACX_PAIRS: Final = (sys.executable, "-m", "benchmarks.matching.acx_pairs")


class Cost(NamedTuple):
    """What a process took.

    Attributes:
        seconds: on the clock.
        megabytes: peak resident memory.
        processors: seconds of processors, which other work on the machine changes little.
    """

    seconds: float
    megabytes: float
    processors: float


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's hits, and what they cost.

    Attributes:
        name: who.
        hits: judged hits.
        cost: from start of the process to its end, files read and written.
    """

    name: str
    hits: pl.DataFrame
    cost: Cost


class ContenderFailed(Exception):
    """A contender ended with an error; its own message is above."""


def contend(name: str, command: Sequence[str], data: Labelled) -> Run:
    """Run a contender and judge what it found."""
    hits, cost = run_program(name, command, data.folder)
    return Run(name, scoring.judged(hits, data), cost)


def run_program(name: str, command: Sequence[str], folder: Path) -> tuple[pl.DataFrame, Cost]:
    """Run a contender on a folder's files: its hits, and what they cost."""
    out = hits_file(name, folder)
    out.unlink(missing_ok=True)
    files = [str(folder / "subjects.parquet"), str(folder / "sellers.parquet"), str(out)]
    cost = run_process([*command, *files], out.with_suffix(".log"))
    return pl.read_parquet(out), cost


def hits_file(name: str, folder: Path) -> Path:
    """Where a contender's hits are kept."""
    return folder / f"hits-{name.replace(' ', '-')}.parquet"


def run_process(command: Sequence[str], log: Path) -> Cost:
    """Run a command to its end."""
    started = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ContenderFailed(f"{command[0]} failed, see {log}")
    return Cost(seconds, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def peers() -> Mapping[str, Sequence[str]]:
    """The peers' commands, in an environment that is made the first time."""
    python = peers_python()
    return {
        "rapidfuzz script": (python, str(PEERS / "rapidfuzz_script.py")),
        "Splink 5": (python, str(PEERS / "splink5.py")),
        "nomenklatura logic-v2": (python, str(PEERS / "nomenklatura_logic.py")),
    }


def name_peers() -> Mapping[str, Sequence[str]]:
    """The peers that can compare names alone; Splink has nothing to estimate from there."""
    python = peers_python()
    return {
        "rapidfuzz script": (python, str(PEERS / "rapidfuzz_script.py")),
        "nomenklatura logic-v2": (python, str(PEERS / "nomenklatura_pairs.py")),
    }


def peers_python() -> str:
    """The interpreter of the peers' environment, made from `peers/requirements.txt` when needed."""
    requirements = PEERS / "requirements.txt"
    stamp = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = BUILD / f"peers-{stamp}"
    if not (folder / "complete").exists():
        print("making the peers' environment, about a minute …")
        subprocess.run(["uv", "venv", "--quiet", "--clear", str(folder)], check=True)
        subprocess.run(
            ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin/python"),
             "--requirement", str(requirements)],
            check=True,
        )  # fmt: skip
        (folder / "complete").touch()
    return str(folder / "bin/python")
