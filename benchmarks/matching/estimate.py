"""Estimated weights beside the shipped ones: does EM find the true m, and do matches stay as good?

Data: the test split of `data.py`, small: 10,000 reports, 19,800 sellers of whom 2,800 have come
back. EM sees the two files and nothing else; labels are 600 pairs drawn from what the shipped
weights would show at `--prior 0.3`, as a member's analysts would have judged them.
Peer: the shipped weights, which were set on labelled data.
Bar: recall at precision .99 no more than 2 points below the shipped weights'; m of EM within .2 of
the true one in every level of a field that 200 pairs of one actor have; the objective never falls.
Run: `python -m benchmarks matching.estimate`.
"""

from __future__ import annotations

import time

import numpy as np
import polars as pl

from acx.matching import MatchOptions, match
from acx.matching.estimate import Estimate, estimate
from acx.matching.labels import Evaluation, LabelledPairs, kept_back
from acx.matching.model import FIELDS
from acx.matching.weights import ModelWeights
from benchmarks.matching import scoring
from benchmarks.matching.data import SIZES, Labelled, labelled

LABELS = 600
WIDE_PRIOR = 0.3
MARGIN = 0.02
M_TOLERANCE = 0.2
OFTEN = 200


def judged(data: Labelled, options: MatchOptions) -> pl.DataFrame:
    """Hits, and which of them are right."""
    hits = match(data.sellers, data.subjects, options=options)
    return scoring.judged(hits.rename({"probability": "score"}), data)


def report(name: str, weights: ModelWeights | None, data: Labelled) -> float:
    """Print how good weights are; the recall at precision .99."""
    options = MatchOptions(weights=None if weights is None else weights.table())
    hits = judged(data, options)
    curve = scoring.curve(hits, len(data.truth))
    recalls = [curve.recall_at(precision) for precision in scoring.PRECISIONS]
    levels = {level: scoring.at_level(hits, level, len(data.truth)) for level in scoring.LEVELS}
    strong = hits.filter(pl.col("level").is_in(["exact", "strong"]))
    ids = data.sellers["id"]
    innocents = ids.filter(ids.str.starts_with("seller-"))
    print(
        f"{name:<16} recall at precision .99/.97/.95: "
        + " / ".join(f"{recall:.3f}" for recall in recalls)
        + "   precision, recall "
        + ", ".join(f"{level} {p:.4f} {r:.3f}" for level, (p, r) in levels.items())
        + f"   innocents at strong {scoring.accused(strong, innocents)} of {len(innocents)}"
    )
    return recalls[0]


def pairs(data: Labelled, rows: pl.DataFrame, *, held_out: bool) -> LabelledPairs:
    """Labelled pairs of `account_id`, `subject_id`, `right`."""
    place = {
        name: dict(zip(frame["id"], range(len(frame)), strict=True))
        for name, frame in (("account_id", data.sellers), ("subject_id", data.subjects))
    }
    ours, theirs = (
        np.array([place[name][each] for each in rows[name]], np.int64)
        for name in ("account_id", "subject_id")
    )
    back = kept_back(rows["account_id"].to_list())
    return LabelledPairs(
        ours, theirs, rows["right"].to_numpy(), back if held_out else np.zeros(len(rows), np.bool_)
    )


def compare_m(found: Estimate, true: Estimate, often: dict[str, int]) -> float:
    """Print m as EM found it beside the true one; the largest difference where it is known."""
    largest = 0.0
    for field, mine, right in zip(FIELDS, found.weights.fields, true.weights.fields, strict=True):
        told = often[field.name] >= OFTEN
        print(
            f"  {field.name:<16}"
            + "  ".join(
                f"{here.name} {here.m:.3f} ({there.m:.3f})"
                for here, there in zip(mine.levels, right.levels, strict=True)
            )
            + ("" if told else "   too few pairs to tell")
        )
        if told:
            gaps = [abs(a.m - b.m) for a, b in zip(mine.levels, right.levels, strict=True)]
            largest = max(largest, *gaps)
    return largest


def show(name: str, evaluation: Evaluation | None) -> None:
    """Print a reliability table."""
    if evaluation is None:
        return
    print(f"  {name}: Brier {evaluation.brier:.4f} on {evaluation.pairs} pairs kept back")
    for line in evaluation.reliability:
        print(
            f"    from {line.above:<6} {line.pairs:>5} pairs   predicted {line.predicted:.4f}"
            f"   observed {line.observed:.4f}"
        )


def main() -> None:
    """Estimate in three ways, compare, and say whether the bars are met."""
    data = labelled("test", SIZES["small"])
    sellers, subjects = data.sellers, data.subjects
    started = time.perf_counter()
    by_em = estimate(sellers, subjects)
    print(f"EM: {len(by_em.likelihood)} rounds, {time.perf_counter() - started:.1f} s")
    print(f"prior: estimated {by_em.weights.prior:.3f}, true {len(data.truth) / len(sellers):.3f}")
    known = data.truth.select("account_id", "subject_id", right=pl.lit(value=True))
    true = estimate(sellers, subjects, labels=pairs(data, known, held_out=False), by_em=False)
    both = known.join(sellers.rename({"id": "account_id"}), on="account_id", maintain_order="left")
    theirs = known.join(
        subjects.rename({"id": "subject_id"}), on="subject_id", maintain_order="left"
    )
    often = {
        field.name: int((_present(both[field.name]) & _present(theirs[field.name])).sum())
        for field in FIELDS
    }
    print("m by EM (true m)")
    gap = compare_m(by_em, true, often)

    hits = judged(data, MatchOptions(prior=WIDE_PRIOR)).sort("account_id", "subject_id")
    shown = hits.sample(LABELS, seed=1)
    labels = pairs(data, shown, held_out=True)
    by_labels = estimate(sellers, subjects, labels=labels, by_em=False)
    by_both = estimate(sellers, subjects, labels=labels)
    print()
    recall = report("shipped", None, data)
    estimates = {"EM": by_em, "labels": by_labels, "EM and labels": by_both}
    recalls = {name: report(name, each.weights, data) for name, each in estimates.items()}
    print()
    show("shipped", by_labels.held_out_shipped)
    for name in ("labels", "EM and labels"):
        show(name, estimates[name].held_out)
    falls = min(np.diff(by_em.likelihood).min(initial=0.0), 0.0)
    print(
        f"\nbars: recall at .99 within {MARGIN} of shipped: "
        f"{all(each >= recall - MARGIN for each in recalls.values())}; "
        f"m within {M_TOLERANCE}: {gap <= M_TOLERANCE} ({gap:.3f}); "
        f"objective never falls: {falls > -1e-6}"
    )


def _present(values: pl.Series) -> pl.Series:
    return values.list.len() > 0 if values.dtype == pl.List else values.fill_null("") != ""


if __name__ == "__main__":
    main()
