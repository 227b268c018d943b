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
import platform
from pathlib import Path
from typing import Any, Final

import polars as pl

from acx.demo.comebacks import IDENTIFIERS
from acx.matching.model import DEFAULT_PRIOR
from benchmarks.matching import charts, published, scoring
from benchmarks.matching.contenders import (
    ACX,
    ACX_PAIRS,
    Cost,
    Run,
    contend,
    hits_file,
    name_peers,
    peers,
    run_program,
)
from benchmarks.matching.data import SIZES, Labelled, Split, labelled
from benchmarks.matching.holdout import holdout

RESULTS: Final = Path(__file__).parent / "results"
ISSUED_TO_ONE: Final = ("email", "tax_id", "registration_no", "bank_account", "id_document")
"""Fields whose values two actors hardly ever share."""

Rows = dict[str, Any]
"""Figures, by contender."""


def report(run: Run, data: Labelled, *, details: bool) -> dict[str, Any]:
    """Print what a run is worth, and return it."""
    come_backs = len(data.truth)
    every = scoring.curve(run.hits, come_backs)
    best = scoring.curve(scoring.best_of_each(run.hits), come_backs)
    figures: dict[str, Any] = {
        "seconds": round(run.cost.seconds, 2),
        "processors": round(run.cost.processors, 2),
        "megabytes": round(run.cost.megabytes),
        "load": round(os.getloadavg()[0], 1),
        "recall_at_precision": {str(p): every.recall_at(p) for p in scoring.PRECISIONS},
        "best_row_only": {str(p): best.recall_at(p) for p in scoring.PRECISIONS},
        "best_f1": every.best_f1,
    }
    recalls = " / ".join(f"{every.recall_at(p):.3f}" for p in scoring.PRECISIONS)
    alone = " / ".join(f"{best.recall_at(p):.3f}" for p in scoring.PRECISIONS)
    print(
        f"{run.name:<22} recall at precision .99/.97/.95: {recalls}   best row only: {alone}   "
        f"F1 {every.best_f1:.3f}   {run.cost.seconds:.1f} s, CPU {run.cost.processors:.1f} s   "
        f"{run.cost.megabytes:.0f} MB"
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
    sharing = same_identifier(data)
    figures = {}
    for level in scoring.LEVELS:
        stronger = run.hits.filter(
            pl.col("level").is_in(scoring.LEVELS[: scoring.LEVELS.index(level) + 1])
        )
        precision, recall = scoring.at_level(run.hits, level, len(data.truth))
        wrong = scoring.accused(stronger, innocents)
        by_it = scoring.accused(stronger, sharing)
        rate = wrong / max(len(innocents), 1) * 10_000
        figures[level] = {
            "precision": precision,
            "recall": recall,
            "innocents_accused_per_10000": rate,
            "of_them_same_identifier": by_it,
            "look_alikes_accused": scoring.accused(stronger, alike) / max(len(alike), 1),
        }
        print(
            f"  {level + ' and above':<20} precision {precision:.4f}   recall {recall:.4f}   "
            f"innocents accused {wrong} of {len(innocents)} ({rate:.2f} in 10,000), {by_it} of "
            f"them with a reported account's very mailbox or number   "
            f"look-alikes {figures[level]['look_alikes_accused']:.2%}"
        )
    return figures


def same_identifier(data: Labelled) -> pl.Series:
    """Innocents with the very mailbox or issued number of a reported account.

    An agent's is shared on purpose, others the generator drew twice, which in life hardly happens.
    They count as accused all the same.
    """
    sellers, subjects = data.sellers, data.subjects
    innocents = sellers.filter(pl.col("id").str.starts_with("seller-"))
    found = [pl.Series("id", [], dtype=pl.String)]
    for field in ISSUED_TO_ONE:
        held = subjects[field].explode().drop_nulls().unique()
        each = innocents.select("id", field).explode(field)
        found.append(each.filter(pl.col(field).is_in(held.implode()))["id"])
    return pl.concat(found).unique()


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


def evaluate(what: str, data: Labelled, *, tuning: bool) -> dict[str, Any]:
    """Run acx, report, and draw its curve, or write the cases if it is there for tuning."""
    _announce(what, data)
    run = contend("acx", ACX, data)
    figures = report(run, data, details=tuning)
    if tuning:
        write_cases(run, data)
    else:
        _draw({"acx": run}, data, f"{what}, {len(data.subjects):,} reports", f"curve-{what}")
    return figures


def on_probabilities(what: str, data: Labelled) -> dict[str, Any]:
    """How the probabilities turn out, at the default prior and at the share of come-backs."""
    turned_out = {}
    for prior in (DEFAULT_PRIOR, round(len(data.truth) / len(data.sellers), 3)):
        run = contend("acx", (*ACX, "--prior", str(prior)), data)
        turned_out[f"prior {prior}"] = scoring.reliability(run.hits)
    print(f"\n{what}: how probabilities turn out")
    with pl.Config(tbl_rows=20, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        for name, bins in turned_out.items():
            print(name, bins)
    RESULTS.mkdir(exist_ok=True)
    charts.draw_reliability(turned_out, what, RESULTS / f"reliability-{what}.svg")
    return {
        name: bins.select("stated", "right", "hits").to_dicts() for name, bins in turned_out.items()
    }


def side_by_side(what: str, data: Labelled, known: Rows | None = None) -> Rows:
    """Run acx and the peers on the same files and report.

    Args:
        what: the data's name.
        data: the files.
        known: peers' rows of an earlier run, which count where they are of the same files.
    """
    _announce(f"side by side, {what}", data)
    runs = [contend("acx", ACX, data)]
    figures: Rows = {"acx": report(runs[0], data, details=False)}
    for name, command in peers().items():
        before = (known or {}).get(name, {})
        hits = hits_file(name, data.folder)
        if before.get("files") == data.folder.name and hits.exists():
            found = scoring.judged(pl.read_parquet(hits), data)
            cost = Cost(before["seconds"], before["megabytes"], before.get("processors", 0.0))
            runs.append(Run(name, found, cost))
            figures[name] = before
        else:
            runs.append(contend(name, command, data))
            figures[name] = report(runs[-1], data, details=False)
            figures[name]["files"] = data.folder.name
    title = f"{len(data.sellers):,} sellers against {len(data.subjects):,} reports"
    _draw({run.name: run for run in runs}, data, title, f"side-by-side-{what}")
    return figures


def on_febrl(known: Rows | None = None) -> Rows:
    """Run acx and the peers on febrl's sets; `known` as in `side_by_side`."""
    return {
        f"febrl{number}": side_by_side(
            f"febrl{number}", published.febrl(number), (known or {}).get(f"febrl{number}")
        )
        for number in published.FEBRL
    }


def on_name_pairs(path: Path | None) -> dict[str, Any]:
    """Run acx and the peers that can on nomenklatura's graded name pairs: names, nothing else."""
    data = published.name_pairs(path)
    if data is None:
        print("\nname pairs: skipped, no build/matching/cases.csv (see README.md)")
        return {}
    figures: dict[str, Any] = {}
    for name, command in {"acx": ACX_PAIRS, **name_peers()}.items():
        scores = published.own_pairs(run_program(name, command, data.folder)[0], data.folder)
        pairs = scores.filter(pl.col("score") > 0).with_columns(right="match")
        wanted = int(scores["match"].sum())
        curve = scoring.curve(pairs, wanted)
        figures[name] = {str(p): curve.recall_at(p) for p in scoring.PRECISIONS} | {
            "best_f1": curve.best_f1
        }
        recalls = " / ".join(f"{curve.recall_at(p):.3f}" for p in scoring.PRECISIONS)
        print(f"name pairs: {name:<22} recall at .99/.97/.95: {recalls}   F1 {curve.best_f1:.3f}")
    return figures


def _announce(what: str, data: Labelled) -> None:
    sellers, truth = data.sellers, data.truth
    print(
        f"\n{what}: {len(data.subjects):,} subjects, {len(sellers):,} sellers, "
        f"{len(truth):,} of them come-backs"
    )


def _draw(runs: dict[str, Run], data: Labelled, title: str, name: str) -> None:
    curves = {each: scoring.curve(run.hits, len(data.truth)) for each, run in runs.items()}
    RESULTS.mkdir(exist_ok=True)
    if not charts.draw(curves, title, RESULTS / f"{name}.svg"):
        print("no curve drawn: `uv sync --group bench` brings matplotlib")


TITLES: Final = {
    "test": "The test split: 100,000 reports",
    "holdout": "The holdout, by the second generator: 100,000 reports",
    "holdout-small": "The holdout: 4,650 reports, 21,500 sellers",
}


def results_page(figures: dict[str, Any]) -> str:
    """The figures of a whole run as a page of Markdown."""
    lines = [
        "# Results",
        "",
        f"Written by `python -m benchmarks.matching.evaluate --all` on {figures['machine']}.",
        "`s` is the clock's, `CPU s` the processors'; `load` is the machine's meanwhile: above 2",
        "there was other work on the cores, and the clock's would have been less alone. Rows with",
        "`?` are of an earlier run on the same files (`--acx-again`).",
    ]
    for what, found in figures["acx"].items():
        lines += [
            "",
            f"## {TITLES[what]}",
            "",
            f"Recall at precision .99 / .97 / .95: {_three(found['recall_at_precision'])}.",
            "",
            "| level | precision | recall | innocents accused in 10,000 | look-alikes accused |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {level} and above | {at['precision']:.4f} | {at['recall']:.4f} "
            f"| {at['innocents_accused_per_10000']:.2f} | {at['look_alikes_accused']:.2%} |"
            for level, at in found["levels"].items()
        ]
        lines += ["", f"![precision and recall](curve-{what}.svg)"]
    for what, found in figures["side by side"].items():
        lines += ["", f"## Side by side, {what}", "", *_contenders_table(found)]
        lines += ["", f"![precision and recall](side-by-side-{what}.svg)"]
    for what in figures["probabilities"]:
        lines += ["", f"## How probabilities turn out, {what}", ""]
        lines += [f"![reliability](reliability-{what}.svg)"]
    for what, found in figures["febrl"].items():
        lines += ["", f"## {what}", "", *_contenders_table(found)]
        lines += ["", f"![precision and recall](side-by-side-{what}.svg)"]
    lines += ["", "## Name pairs, names alone", ""]
    lines += ["| contender | recall at precision .99 / .97 / .95 | best F1 |", "|---|---|---|"]
    lines += [
        f"| {name} | {_three(at)} | {at['best_f1']:.3f} |"
        for name, at in figures["name pairs"].items()
    ] or ["Skipped: no `cases.csv`."]
    return "\n".join([*lines, ""])


def _contenders_table(figures: dict[str, Any]) -> list[str]:
    recalls = "recall at precision .99 / .97 / .95"
    return [
        f"| contender | {recalls} | best row only | best F1 | s | CPU s | MB | load |",
        "|---|---|---|---|---|---|---|---|",
    ] + [
        f"| {name} | {_three(at['recall_at_precision'])} | {_three(at['best_row_only'])} "
        f"| {at['best_f1']:.3f} | {at['seconds']:.1f} | {at.get('processors', '?')} "
        f"| {at['megabytes']} | {at.get('load', '?')} |"
        for name, at in figures.items()
    ]


def _three(recalls: dict[str, float]) -> str:
    return " / ".join(f"{recalls[str(p)]:.3f}" for p in scoring.PRECISIONS)


def main() -> None:
    """The bars, on the split that tuning never sees."""
    evaluate("test", labelled("test", SIZES["test"]), tuning=False)


def whole(*, again: bool = True) -> None:
    """Everything on what tuning never sees, for the record in `results/`.

    Args:
        again: run the peers too, and not only acx beside what they found in the last whole run.
    """
    record = RESULTS / "figures.json"
    known = json.loads(record.read_text()) if record.exists() and not again else {}
    beside = known.get("side by side", {})
    figures: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.platform()}"}
    figures["acx"] = {
        "test": evaluate("test", labelled("test", SIZES["test"]), tuning=False),
        "holdout": evaluate("holdout", holdout("test", "holdout"), tuning=False),
        "holdout-small": evaluate("holdout-small", holdout("test", "small"), tuning=False),
    }
    figures["side by side"] = {
        "test": side_by_side("test", labelled("test", SIZES["small"]), beside.get("test")),
        "holdout": side_by_side("holdout", holdout("test", "small"), beside.get("holdout")),
    }
    figures["probabilities"] = {
        "test": on_probabilities("test", labelled("test", SIZES["test"])),
        "holdout": on_probabilities("holdout", holdout("test", "holdout")),
    }
    figures["name pairs"] = on_name_pairs(None)
    figures["febrl"] = on_febrl(known.get("febrl"))
    record.write_text(json.dumps(figures, indent=1) + "\n")
    (RESULTS / "README.md").write_text(results_page(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=["tune", "test"], default="tune")
    parser.add_argument("--holdout", action="store_true", help="the second generator's data")
    parser.add_argument("--size", help="default: the split's own, or `holdout`")
    parser.add_argument("--peers", action="store_true", help="side by side, ten minutes")
    parser.add_argument("--febrl", action="store_true", help="febrl 1 to 4, acx and the peers")
    parser.add_argument("--names", action="store_true", help="nomenklatura's name pairs")
    parser.add_argument("--cases", type=Path, help="nomenklatura's cases.csv")
    parser.add_argument(
        "--all", action="store_true", help="all of it on the test split, for the record"
    )
    parser.add_argument(
        "--acx-again", action="store_true", help="the same, the peers' part taken from the last"
    )
    options = parser.parse_args()
    if options.all or options.acx_again:
        whole(again=options.all)
    elif options.febrl:
        on_febrl()
    elif options.names:
        on_name_pairs(options.cases)
    else:
        chosen: Split = options.split
        size = options.size or ("small" if options.peers else "")
        if options.holdout:
            what, wanted = f"holdout-{chosen}", holdout(chosen, size or "holdout")
        else:
            what, wanted = chosen, labelled(chosen, SIZES[size or chosen])
        if options.peers:
            side_by_side(what, wanted)
        else:
            # The test split's cases stay unread: who knows them cannot be tested on them.
            evaluate(what, wanted, tuning=chosen == "tune")
