"""How good a list of hits is: precision and recall, at thresholds and at levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from benchmarks.matching.data import Labelled

PRECISIONS: Final = (0.99, 0.97, 0.95)
LEVELS: Final = ("exact", "strong", "possible")


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision and recall at every score that occurs, the highest first."""

    points: pl.DataFrame

    def recall_at(self, precision: float) -> float:
        """The highest recall that is to be had at a precision; 0 where it never is."""
        good = self.points.filter(pl.col("precision") >= precision)
        return float(good["recall"].max() or 0.0)  # type: ignore[arg-type]

    def threshold_at(self, precision: float) -> float:
        """The score that gives that recall; above all scores where there is none."""
        good = self.points.filter(pl.col("precision") >= precision)
        return float(good.sort("recall", descending=True)["score"][0]) if len(good) else 2.0

    @property
    def best_f1(self) -> float:
        """The best harmonic mean of the two."""
        points = self.points.filter(pl.col("precision") + pl.col("recall") > 0)
        p, r = pl.col("precision"), pl.col("recall")
        return float(points.select((2 * p * r / (p + r)).max()).item() or 0.0)


def judged(hits: pl.DataFrame, data: Labelled) -> pl.DataFrame:
    """Say of each hit whether it is right: whether account and subject are one actor.

    Args:
        hits: `account_id`, `subject_id`, `score`, perhaps more.
        data: the truth.
    """
    actors = data.actors
    truth = data.truth.select("account_id", "subject_id").join(actors, on="subject_id")
    return (
        hits.join(actors, on="subject_id", how="left")
        .join(truth.select("account_id", true_actor="actor"), on="account_id", how="left")
        .with_columns(right=(pl.col("actor") == pl.col("true_actor")).fill_null(value=False))
    )


def best_of_each(hits: pl.DataFrame) -> pl.DataFrame:
    """Each account's highest hit alone; of equals, a wrong one, so that ties flatter nobody."""
    return hits.sort("score", "right", descending=[True, False]).unique(
        "account_id", keep="first", maintain_order=True
    )


def curve(hits: pl.DataFrame, come_backs: int) -> Curve:
    """Precision over rows and recall over come-backs, at each score.

    Args:
        hits: judged hits.
        come_backs: how many accounts there are to find.
    """
    found = (
        hits.filter("right").group_by("account_id").agg(pl.col("score").max())
        .group_by("score").agg(found=pl.len())
    )  # fmt: skip
    points = (
        hits.group_by("score")
        .agg(rows=pl.len(), right=pl.col("right").sum())
        .join(found, on="score", how="left")
        .sort("score", descending=True)
        .with_columns(pl.col("rows", "right", "found").fill_null(0).cum_sum())
        .select(
            "score",
            precision=pl.col("right") / pl.col("rows"),
            recall=pl.col("found") / max(come_backs, 1),
        )
    )
    return Curve(points)


def at_level(hits: pl.DataFrame, level: str, come_backs: int) -> tuple[float, float]:
    """Precision and recall of the hits of a level and stronger ones."""
    strong = hits.filter(pl.col("level").is_in(LEVELS[: LEVELS.index(level) + 1]))
    if strong.is_empty():
        return 1.0, 0.0
    found = strong.filter("right")["account_id"].n_unique()
    return float(strong["right"].mean()), found / max(come_backs, 1)  # type: ignore[arg-type]


EDGES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995, 1.0)


def reliability(hits: pl.DataFrame) -> pl.DataFrame:
    """How often hits of about one probability are right, with Wilson's interval of 95 %.

    Source: E. B. Wilson, «Probable Inference, the Law of Succession, and Statistical Inference»,
    JASA 22 (1927).
    """
    n, share, z = pl.col("hits"), pl.col("right"), 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).sqrt()
    return (
        hits.group_by(bin=pl.col("score").cut(EDGES[1:-1], left_closed=True))
        .agg(stated=pl.col("score").mean(), right=pl.col("right").mean(), hits=pl.len())
        .with_columns(low=(centre - half).clip(0, share), high=(centre + half).clip(share, 1))
        .sort("stated")
    )


def accused(hits: pl.DataFrame, accounts: pl.Series) -> int:
    """How many of these accounts, all innocent, have a hit."""
    return int(hits.filter(pl.col("account_id").is_in(accounts.implode()))["account_id"].n_unique())


def by_kind(hits: pl.DataFrame, data: Labelled) -> pl.DataFrame:
    """Of the come-backs with each kind of change, what share was found.

    Args:
        hits: judged hits that count as found.
        data: the truth.
    """
    found = hits.filter("right").select("account_id").unique().with_columns(found=pl.lit(1))
    return (
        data.truth.select("account_id", pl.col("changes").list.unique())
        .join(found, on="account_id", how="left")
        .explode("changes")
        .group_by(change="changes")
        .agg(come_backs=pl.len(), recall=pl.col("found").fill_null(0).mean())
        .sort("recall")
    )


def by_kept(hits: pl.DataFrame, data: Labelled, fields: Sequence[str]) -> pl.DataFrame:
    """The same by what was left to tell the actor by: identifiers, and whether the name."""
    found = hits.filter("right").select("account_id").unique().with_columns(found=pl.lit(1))
    identifiers = pl.col("kept").list.set_intersection(list(fields)).list.len()
    return (
        data.truth.select(
            "account_id",
            name=pl.col("kept").list.contains("name"),
            identifiers=identifiers.clip(upper_bound=3),
            invented=pl.col("subject_id").str.starts_with("invented-"),
        )
        .join(found, on="account_id", how="left")
        .group_by("name", "identifiers", "invented")
        .agg(come_backs=pl.len(), recall=pl.col("found").fill_null(0).mean())
        .sort("invented", "name", "identifiers")
    )
