"""Accuracy of matching on labelled data: the bars of recall, precision and innocents accused.

Data: come-backs of real and invented identities, look-alikes and ordinary sellers (`data.py`).
Peers: a rapidfuzz script, Splink 5, nomenklatura logic-v2 (`--peers`).
Bars: recall >= 0.90 at precision >= 0.99 at level `strong`; at most one `strong` in 10,000
innocents against 100,000 reports; recall at precision 0.99 five points above the best peer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from acx.demo.comebacks import IDENTIFIERS
from benchmarks.matching import scoring
from benchmarks.matching.data import BUILD, SIZES, Labelled, Split, labelled

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's hits, and what they cost.

    Attributes:
        name: who.
        hits: judged hits.
        seconds: wall time, reading and writing files and starting included.
        megabytes: peak resident memory.
    """

    name: str
    hits: pl.DataFrame
    seconds: float
    megabytes: float


def contend(name: str, command: Sequence[str], data: Labelled) -> Run:
    """Run a contender as a process of its own and judge what it found."""
    out = data.folder / f"hits-{name}.parquet"
    out.unlink(missing_ok=True)
    arguments = [*command, str(data.folder / "subjects.parquet"), str(data.folder / "sellers.parquet")]
    started = time.perf_counter()
    process = subprocess.Popen([*arguments, str(out)], env={**os.environ, "PYTHONPATH": str(HERE.parents[1])})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{name} failed: {' '.join(command)}")
    return Run(name, scoring.judged(pl.read_parquet(out), data), seconds, usage.ru_maxrss / 1024)


def report(run: Run, data: Labelled, *, details: bool) -> dict[str, Any]:
    """Print what a run is worth, and return it."""
    come_backs = len(data.truth)
    every = scoring.curve(run.hits, come_backs)
    best = scoring.curve(scoring.best_of_each(run.hits), come_backs)
    figures: dict[str, Any] = {
        "seconds": round(run.seconds, 2),
        "megabytes": round(run.megabytes),
        "recall_at_precision": {str(p): every.recall_at(p) for p in scoring.PRECISIONS},
        "best_subject_only": {str(p): best.recall_at(p) for p in scoring.PRECISIONS},
        "best_f1": every.best_f1,
    }
    recalls = " / ".join(f"{every.recall_at(p):.3f}" for p in scoring.PRECISIONS)
    alone = " / ".join(f"{best.recall_at(p):.3f}" for p in scoring.PRECISIONS)
    print(
        f"{run.name:<14} recall at precision .99/.97/.95: {recalls}   best subject only: {alone}   "
        f"F1 {every.best_f1:.3f}   {run.seconds:.1f} s   {run.megabytes:.0f} MB"
    )
    if "level" in run.hits.columns:
        figures["levels"] = levels(run, data)
    if details:
        strong = run.hits.filter(pl.col("level").is_in(["exact", "strong"]))
        with pl.Config(tbl_rows=80, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
            print("\nfound at `strong`, by kind of change")
            print(scoring.by_kind(strong, data))
            print("found at `strong`, by what is left (identifiers: 3 is 3 or more)")
            print(scoring.by_kept(strong, data, IDENTIFIERS))
            print("look-alikes accused at `strong`, by kind")
            print(accused_look_alikes(strong, data))
    return figures


def levels(run: Run, data: Labelled) -> dict[str, Any]:
    """Print precision, recall and innocents accused, level by level."""
    ids = data.sellers["id"]
    innocents = ids.filter(ids.str.starts_with("seller-"))
    alike = data.look_alikes["account_id"]
    figures = {}
    for level in scoring.LEVELS:
        stronger = run.hits.filter(
            pl.col("level").is_in(scoring.LEVELS[: scoring.LEVELS.index(level) + 1])
        )
        precision, recall = scoring.at_level(run.hits, level, len(data.truth))
        wrong = scoring.accused(stronger, innocents)
        rate = wrong / max(len(innocents), 1) * 10_000
        figures[level] = {
            "precision": precision,
            "recall": recall,
            "innocents_accused_per_10000": rate,
            "look_alikes_accused": scoring.accused(stronger, alike) / max(len(alike), 1),
        }
        print(
            f"  {level + ' and above':<20} precision {precision:.4f}   recall {recall:.4f}   "
            f"innocents accused {wrong} of {len(innocents)} ({rate:.2f} in 10,000)   "
            f"look-alikes {figures[level]['look_alikes_accused']:.2%}"
        )
    return figures


def accused_look_alikes(strong: pl.DataFrame, data: Labelled) -> pl.DataFrame:
    """Share of look-alikes of each kind that have a hit."""
    hit = strong.select("account_id").unique().with_columns(hit=pl.lit(1))
    return (
        data.look_alikes.join(hit, on="account_id", how="left")
        .group_by("kind")
        .agg(look_alikes=pl.len(), accused=pl.col("hit").fill_null(0).mean())
        .sort("accused", descending=True)
    )


def write_cases(run: Run, data: Labelled, limit: int = 300) -> None:
    """Write the worst misses and false hits for the matcher's author to read.

    The misses that kept the most come first, and the false hits with the highest probability.
    """
    subjects = {row["id"]: _short(row) for row in data.subjects.to_dicts()}
    sellers = {row["id"]: _short(row) for row in data.sellers.to_dicts()}
    strong = run.hits.filter(pl.col("level").is_in(["exact", "strong"]))
    found = strong.filter("right")["account_id"]
    best = {
        (account, subject): (level, score, reasons)
        for account, subject, level, score, reasons in run.hits.select(
            "account_id", "subject_id", "level", "score", "reasons"
        ).iter_rows()
    }
    kept = pl.col("kept").list
    missed = data.truth.filter(~pl.col("account_id").is_in(found.implode())).sort(
        kept.set_intersection(list(IDENTIFIERS)).list.len(), kept.len(), descending=True
    )
    with (data.folder / "misses.jsonl").open("w", encoding="utf-8") as file:
        for row in missed.head(limit).to_dicts():
            case = {
                "seller": sellers[row["account_id"]],
                "subject": subjects[row["subject_id"]],
                "kept": row["kept"],
                "changes": row["changes"],
                "hit": best.get((row["account_id"], row["subject_id"])),
            }
            file.write(json.dumps(case, ensure_ascii=False) + "\n")
    kinds = dict(data.look_alikes.select("account_id", "kind").iter_rows())
    wrong = run.hits.filter(~pl.col("right")).sort("score", descending=True)
    with (data.folder / "false-hits.jsonl").open("w", encoding="utf-8") as file:
        for row in wrong.head(limit).to_dicts():
            case = {
                "level": row["level"],
                "probability": row["score"],
                "reasons": row["reasons"],
                "seller": sellers[row["account_id"]],
                "subject": subjects[row["subject_id"]],
                "look_alike": kinds.get(row["account_id"]),
                "is_really": row["true_actor"],
            }
            file.write(json.dumps(case, ensure_ascii=False) + "\n")
    print(f"\nworst misses and false hits: {data.folder}/misses.jsonl, false-hits.jsonl")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value}


def evaluate(split: Split, size: str, *, cases: bool) -> dict[str, Any]:
    """Run acx on a split and report."""
    data = labelled(split, SIZES[size])
    print(
        f"{split}: {len(data.subjects):,} subjects, {len(data.sellers):,} sellers, "
        f"{len(data.truth):,} of them come-backs, {len(data.look_alikes):,} look-alikes"
    )
    run = contend("acx", [sys.executable, "-m", "benchmarks.matching.acx_match"], data)
    figures = report(run, data, details=True)
    if cases:
        write_cases(run, data)
    (BUILD / f"{split}.json").write_text(json.dumps(figures, indent=1))
    return figures


def main() -> None:
    """The bars, on the split that tuning never sees."""
    evaluate("test", "test", cases=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=["tune", "test"], default="tune")
    parser.add_argument("--size", choices=list(SIZES), default=None)
    options = parser.parse_args()
    # The cases of the test split stay unread: who has seen them can no longer be tested on them.
    evaluate(options.split, options.size or options.split, cases=options.split == "tune")
