"""What changed between two screenings of one seller base: new hits, changed ones, retractions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import polars as pl

from acx.member.errors import ReplicaError
from acx.member.replica import Replica
from acx.records.files import write_table

DIRECTORY: Final = "screened"
PAIR: Final = ("account_id", "report_id")
TOLD: Final = (
    "level",
    "report_state",
    "contributors",
    "conduct",
    "confirmed_by",
    "confirmed_on",
)
"""Columns whose change is told; probabilities move with every log, which tells nothing."""


class SinceLast:
    """Remembers the hits of the last screening of one seller base."""

    def __init__(self, home: Path, sellers: str | Path, level: str) -> None:
        """Nothing is read yet.

        Args:
            home: the member's directory.
            sellers: where the seller base is read from; another place is another seller base.
            level: weakest level screened for; another level is another screening.
        """
        place = str(sellers) if str(sellers) == "-" else str(Path(sellers).absolute())
        name = hashlib.sha256(f"{place}\0{level}".encode()).hexdigest()[:32]
        self._path = home / DIRECTORY / f"{name}.parquet"

    def changes(self, hits: pl.DataFrame, replica: Replica) -> pl.DataFrame:
        """Hits that are new, changed or retracted since the last `keep`.

        Args:
            hits: of this screening.
            replica: tells how a retracted hit's report stands now.

        Returns:
            Columns as `hits`, and `change`. A retracted hit is shown as it last was, but for its
            report's state; most probable first, retractions last.
        """
        if not self._path.exists():
            return hits.with_columns(change=pl.lit("new"))
        before = self._read(hits)
        told = pl.concat_str([_text(hits, name) for name in TOLD], separator="|")
        marked = hits.with_columns(_told=told).join(
            before.select(*PAIR, _before=told), on=list(PAIR), how="left", maintain_order="left"
        )
        changed = (
            marked.with_columns(
                change=pl.when(pl.col("_before").is_null())
                .then(pl.lit("new"))
                .when(pl.col("_told") != pl.col("_before"))
                .then(pl.lit("changed"))
            )
            .filter(pl.col("change").is_not_null())
            .drop("_told", "_before")
        )
        gone = before.join(hits, on=list(PAIR), how="anti", maintain_order="left")
        states = [_state(replica, report) for report in gone["report_id"]]
        retracted = gone.with_columns(
            pl.Series("report_state", states, pl.String),
            pl.lit(replica.size, pl.Int64).alias("log_size"),
            change=pl.lit("retracted"),
        )
        return pl.concat([changed, retracted.select(changed.columns)])

    def keep(self, hits: pl.DataFrame) -> None:
        """Remember this screening's hits; call it once what changed has been written."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        write_table([hits], self._path)

    def _read(self, hits: pl.DataFrame) -> pl.DataFrame:
        try:
            before = pl.read_parquet(self._path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ReplicaError(
                f"{self._path} is damaged ({error}); delete it, and all hits count as new"
            ) from None
        # Other columns may be carried now than then.
        missing = [name for name in hits.columns if name not in before.columns]
        return before.with_columns(
            pl.lit(None, hits.schema[name]).alias(name) for name in missing
        ).select(hits.columns)


def _text(hits: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return column.list.join(";") if hits.schema[name] == pl.List else column.cast(pl.String)


def _state(replica: Replica, report: str) -> str:
    view = replica.report(report)
    # An erasure names its report, so one that the log does not show any more has expired.
    return view.state if view is not None else "expired"
