"""Where the time of `acx match` goes: seconds of processors, stage by stage.

Data: that of `matching.speed`, 100,000 accounts a side from Parquet, or as many as are asked for.
There is no bar; a stage that grows faster than its rows would show. Each stage is a function whose
time in all threads is added up, less that of the stages within it.
`python -m benchmarks.matching.stages 1000000` measures another size than the default.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import polars as pl

from acx.matching import MatchOptions, index, match, profiles
from benchmarks.matching.speed import DEFAULT, labelled_rows

STAGES: Final = {
    "text to Latin letters": (profiles, "_folded"),
    "names read": (profiles, "parse_names"),
    "addresses read": (profiles, "parse_addresses"),
    "identifiers as codes": (profiles, "code_values"),
    "columns of text, and the rest of preparing": (index, "of_frame"),
    "keys": (index, "keys_of"),
    "keys put in slices": (index, "sliced"),
    "table of keys": (index, "build_table"),
    "keys looked up": (index, "located"),
    "candidates": (index, "candidates"),
    "comparison": (index, "compared"),
    "probability, level, reasons": (index, "hits_frame"),
}
"""By name the module and the function that it calls."""


class Clock:
    """Adds up what stages take, each less what those within it do."""

    def __init__(self) -> None:
        """Nothing was taken yet."""
        self.taken: dict[str, float] = defaultdict(float)
        self._local = threading.local()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a stage."""

        @wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            outer, self._local.inner = getattr(self._local, "inner", 0.0), 0.0
            started = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                whole = time.thread_time() - started
                self.taken[stage] += whole - self._local.inner
                self._local.inner = outer + whole

        return run


def run(rows: int) -> None:
    """Print the stages of matching so many accounts on each side."""
    folder = labelled_rows(rows).folder
    few = pl.read_parquet(folder / "subjects.parquet", n_rows=100)
    match(few, few, options=MatchOptions())
    clock = Clock()
    for stage, (module, name) in STAGES.items():
        setattr(module, name, clock.timed(stage, getattr(module, name)))
    started = time.process_time()
    sides = [pl.read_parquet(folder / f"{name}.parquet") for name in ("sellers", "subjects")]
    clock.taken["files read"] = time.process_time() - started
    started = time.process_time()
    hits = match(sides[0], sides[1], options=MatchOptions())
    matched = time.process_time() - started
    started = time.process_time()
    hits.write_parquet(folder / "hits-stages.parquet")
    clock.taken["hits written"] = time.process_time() - started
    whole = clock.taken["files read"] + matched + clock.taken["hits written"]
    clock.taken["everything else"] = whole - sum(clock.taken.values())
    print(f"{rows:,} x {rows:,}: {whole:.1f} s of processors, {len(hits):,} hits")
    for stage, seconds in sorted(clock.taken.items(), key=lambda item: -item[1]):
        print(f"  {stage:<44} {seconds:6.2f} s  {seconds / whole:6.1%}")


def main() -> None:
    """Measure at 100,000 rows a side."""
    run(DEFAULT)


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
