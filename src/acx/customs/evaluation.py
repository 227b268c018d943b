"""Evaluation: how good a ranking is, and whether it stays good when it learns from itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.customs.errors import BadShipments
from acx.customs.histories import F64, I64
from acx.customs.model import Model, train
from acx.customs.shipments import Label
from acx.customs.targeting import Capacity, select

SHARES: Final = (0.01, 0.02, 0.05, 0.10)
"""Inspection rates at which precision, recall and revenue are stated."""
RESAMPLES: Final = 500
STRATEGIES: Final = ("shipped", "exploitation", "random")
"""With a share of exploration and audit; scores alone; chance alone."""


def quality(
    scores: F64, found: F64, revenue: F64 | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Figures of a ranking, with 95 % intervals by resampling shipments.

    Args:
        scores: of each inspected shipment.
        found: 1 for a find, 0 for none.
        revenue: what each find is worth; left out where unknown.
        seed: of the resampling.

    Returns:
        `shipments`, `base`, `auc`, `curve` (share inspected, precision, recall), and by share of
        `SHARES` `precision`, `recall` and `revenue`, each with `low` and `high`.
    """
    order = np.argsort(-scores, kind="stable")
    hits = found[order]
    worth = (np.ones(len(found)) if revenue is None else revenue)[order] * hits
    random = np.random.default_rng(seed)
    # Resampling by weights keeps the order, so no ranking is made anew.
    weights = random.multinomial(len(hits), np.full(len(hits), 1 / len(hits)), RESAMPLES)
    at = {}
    for share in SHARES:
        resampled = np.array([_at(hits, worth, each, share) for each in weights])
        plain = _at(hits, worth, np.ones(len(hits), np.int64), share)
        low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
        names = ("precision", "recall") if revenue is None else ("precision", "recall", "revenue")
        at[f"{share:.0%}"] = {
            name: {"value": _round(plain[n]), "low": _round(low[n]), "high": _round(high[n])}
            for n, name in enumerate(names)
        }
    return {
        "shipments": len(hits),
        "base": _round(float(hits.mean())),
        "auc": _round(auc(scores, found)),
        "at": at,
        "curve": _curve(hits),
    }


def auc(scores: F64, found: F64) -> float:
    """The chance that a find is ranked above a clear shipment (Mann and Whitney)."""
    ranks = pl.Series(scores).rank("average").to_numpy()
    finds = float(found.sum())
    clear = len(found) - finds
    if not finds or not clear:
        return float("nan")
    return float((ranks[found > 0].sum() - finds * (finds + 1) / 2) / (finds * clear))


def inspected(frame: pl.DataFrame, number: int = 0) -> F64:
    """What a label says of each shipment, NaN where it was not inspected."""
    return frame[f"label_{number}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def on_unseen(model: Model, frame: pl.DataFrame, exposure: F64 | None = None) -> dict[str, Any]:
    """The quality of a model on shipments that it has not seen."""
    found = inspected(frame)
    known = ~np.isnan(found)
    if not known.any():
        raise BadShipments("none of the shipments to test with was inspected: label them")
    scores = model.score(model.features(frame, exposure)).score
    value = frame["declared_value"].fill_null(0.0).to_numpy()
    rate = frame["tax_rate"].fill_null(0.0).to_numpy() / 100
    revenue = value * rate
    return quality(scores[known], found[known], revenue[known] if revenue.any() else None)


def split_by_time(frame: pl.DataFrame, share: float = 0.75) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first part of a period, and the rest; a day is never divided."""
    dated = frame.sort("date", maintain_order=True)
    boundary = dated["date"][min(int(len(dated) * share), len(dated) - 1)]
    return dated.filter(pl.col("date") < boundary), dated.filter(pl.col("date") >= boundary)


def by_period(model: Model, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Precision month by month, to see a ranking age."""
    rows = []
    for (month,), part in frame.with_columns(month=pl.col("date").dt.strftime("%Y-%m")).group_by(
        "month", maintain_order=True
    ):
        found = inspected(part)
        known = ~np.isnan(found)
        if known.sum() < 100:
            continue
        scores = model.score(model.features(part.drop("month"))).score[known]
        hits = found[known][np.argsort(-scores, kind="stable")]
        rows.append(
            {
                "month": month,
                "shipments": int(known.sum()),
                "base": _round(float(hits.mean())),
                "precision_5": _round(float(hits[: max(1, round(len(hits) * 0.05))].mean())),
                "auc": _round(auc(scores, found[known])),
            }
        )
    return sorted(rows, key=lambda row: str(row["month"]))


def simulate(
    frame: pl.DataFrame,
    label: Label,
    *,
    capacity: float = 0.05,
    first: float = 0.2,
    weeks_between: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Weeks with feedback: only what was selected is inspected, and only that is learnt from.

    Args:
        frame: labelled shipments; all of them, so that chance can be compared.
        label: what to find.
        capacity: share of a week's shipments that can be opened.
        first: share of the period, inspected in full, to begin with.
        weeks_between: weeks after which each strategy learns anew.
        seed: of everything random.
        progress: told how many weeks of how many are done, over all strategies.

    Returns:
        For each week and strategy: `week`, `strategy`, `inspected`, `found`, `precision`.

    Raises:
        BadShipments: the period is too short.
    """
    start, rest = split_by_time(frame, first)
    weeks = [
        part
        for _, part in rest.with_columns(week=pl.col("date").dt.truncate("1w")).group_by(
            "week", maintain_order=True
        )
    ]
    if len(weeks) < 3:
        raise BadShipments("the period is shorter than four weeks: nothing to simulate")
    rows: list[dict[str, Any]] = []
    for strategy in STRATEGIES:
        known = start
        model: Model | None = None
        for number, week in enumerate(weeks):
            shipments = week.drop("week")
            if strategy != "random" and number % weeks_between == 0:
                model = train(known, [label], seed=seed, rounds=100)
            chosen = _chosen(strategy, model, shipments, capacity, seed + number)
            opened = shipments.filter(pl.Series(chosen))
            found = int(inspected(opened).sum())
            rows.append(
                {
                    "week": str(week["week"][0]),
                    "strategy": strategy,
                    "inspected": len(opened),
                    "found": found,
                    "precision": _round(found / max(1, len(opened))),
                }
            )
            known = pl.concat([known, opened])
            if progress is not None:
                progress(STRATEGIES.index(strategy) * len(weeks) + number + 1, 3 * len(weeks))
    return rows


def fairness(frame: pl.DataFrame, selected: F64, column: str = "country_origin") -> pl.DataFrame:
    """How selection falls on countries, or on importers by size.

    Args:
        frame: labelled shipments.
        selected: 1 for each that is selected.
        column: `country_origin`, or `importer_size` for importers in three classes.

    Returns:
        Group, shipments, share selected, share found among all and among the selected: a group
        that is selected more often than its finds explain stands out.
    """
    if column == "importer_size":
        size = pl.len().over("importer_id")
        group = (
            pl.when(size <= 2)
            .then(pl.lit("1 or 2 shipments"))
            .when(size <= 20)
            .then(pl.lit("3 to 20 shipments"))
            .otherwise(pl.lit("more than 20"))
        )
    else:
        group = pl.col(column)
    chosen = pl.col("selected") > 0
    return (
        frame.with_columns(pl.Series("selected", selected))
        .group_by(group.alias("group"))
        .agg(
            pl.len().alias("shipments"),
            chosen.mean().round(4).alias("selected"),
            pl.col("label_0").mean().round(4).alias("found"),
            pl.col("label_0").filter(chosen).mean().round(4).alias("found_of_selected"),
        )
        .sort("shipments", "group", descending=[True, False])
    )


def _chosen(
    strategy: str, model: Model | None, shipments: pl.DataFrame, capacity: float, seed: int
) -> NDArray[np.bool_]:
    rows = len(shipments)
    if model is None:
        scores, spread = np.zeros(rows), np.zeros(rows)
        explore, audit = 0.0, 1.0
    else:
        scored = model.score(model.features(shipments))
        scores, spread = scored.score, scored.spread
        explore, audit = (0.1, 0.02) if strategy == "shipped" else (0.0, 0.0)
    room = Capacity(max(1, round(rows * capacity)))
    chosen = select(
        scores, spread, np.zeros(rows), None, room, explore=explore, audit=audit, seed=seed
    )
    return chosen.kind > 0


def _at(hits: F64, worth: F64, weights: I64, share: float) -> tuple[float, float, float]:
    counted = np.cumsum(weights)
    room = max(1, round(float(counted[-1]) * share))
    # The part of each shipment's weight that still has room.
    taken = np.clip(room - (counted - weights), 0, weights)
    inside = float((taken * hits).sum())
    return (
        inside / room,
        inside / max(1.0, float((weights * hits).sum())),
        float((taken * worth).sum()) / max(1e-12, float((weights * worth).sum())),
    )


def _curve(hits: F64, points: int = 100) -> list[tuple[float, float, float]]:
    found = np.cumsum(hits)
    places: Sequence[int] = sorted(
        {max(1, round(len(hits) * p / points)) for p in range(1, points)}
    )
    return [
        (
            _round(place / len(hits)),
            _round(found[place - 1] / place),
            _round(found[place - 1] / found[-1]),
        )
        for place in places
    ]


def _round(value: float) -> float:
    return round(float(value), 4)
