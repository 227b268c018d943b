"""Outcomes: what inspectors found, for the next training, the figures, and the exchange."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import polars as pl

from acx.customs.errors import BadShipments
from acx.customs.shipments import PARTY
from acx.records.files import Column, Mapping, Rejects, read_table, write_table
from acx.records.files.table import FILE, LINE
from acx.records.report import CATEGORIES

FINDINGS: Final = ("clear", "counterfeit", "undervalued", "prohibited", "misclassified")
FIELDS: Final = (
    "shipment_id",
    "inspected_on",
    "finding",
    "brand",
    "category",
    "quantity",
    "value",
    "currency",
)
"""The outcome record: `quantity` in units, `value` in `currency`; `brand` and `category` where the
goods were counterfeit."""


def read_outcomes(
    source: str | Path,
    *,
    rejects: Rejects,
    mapping: Mapping | None = None,
    encoding: str | None = None,
) -> pl.DataFrame:
    """Read what was found; a row that is wrong goes to the rejects.

    Raises:
        FileFormatError: what ends the reading.
    """
    columns = [
        Column(name="shipment_id", required=True, number=True, exact=True),
        Column(name="inspected_on", required=True, date="%Y-%m-%d"),
        Column(name="finding", required=True, one_of=FINDINGS),
        Column(name="brand"),
        Column(name="category", one_of=CATEGORIES),
        Column(name="quantity", number=True),
        Column(name="value", number=True),
        Column(name="currency"),
    ]
    frames = read_table(
        source,
        columns=columns,
        rejects=rejects,
        mapping=mapping,
        encoding=encoding,
        unique="shipment_id",
    )
    return pl.concat(frames).drop(LINE, FILE)


def keep(outcomes: pl.DataFrame, path: Path) -> tuple[int, int]:
    """Add outcomes to those kept in a file; a later one about the same shipment replaces it.

    Returns:
        How many are new, and how many are kept now.
    """
    before = kept(path)
    new = outcomes.join(before, on=list(FIELDS), how="anti")
    together = pl.concat([before, outcomes]).unique("shipment_id", keep="last", maintain_order=True)
    if len(new):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_table([together], path)
    return len(new), len(together)


def kept(path: Path) -> pl.DataFrame:
    """The outcomes kept in a file; none where there is no file.

    Raises:
        BadShipments: it is damaged.
    """
    if not path.exists():
        return pl.DataFrame(schema=dict.fromkeys(FIELDS, pl.String()))
    try:
        return pl.read_parquet(path).select(FIELDS)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadShipments(f"{path} is damaged ({error}); bring it back from a backup") from None


def labelled(frame: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Shipments with what was found: `label_0` a find of any kind, null where not opened."""
    found = outcomes.select("shipment_id", label_0=pl.col("finding") != "clear")
    return frame.drop("label_0", strict=False).join(
        found, on="shipment_id", how="left", maintain_order="left"
    )


def measured(outcomes: pl.DataFrame, ranked: pl.DataFrame) -> list[dict[str, Any]]:
    """The hit rate of each kind of selection, and its lift over the random audit.

    Args:
        outcomes: what was found.
        ranked: RANKED, as it was when shipments were selected.
    """
    joined = ranked.filter(pl.col("selection") != "").join(
        outcomes.select("shipment_id", "finding"), on="shipment_id", how="inner"
    )
    rates = (
        joined.group_by("selection")
        .agg(
            pl.len().alias("inspected"),
            (pl.col("finding") != "clear").sum().alias("found"),
            (pl.col("finding") == "counterfeit").sum().alias("counterfeit"),
        )
        .sort("selection")
    )
    rows = [{**row, "rate": row["found"] / row["inspected"]} for row in rates.iter_rows(named=True)]
    audit = next((row["rate"] for row in rows if row["selection"] == "audit"), 0.0)
    return [{**row, "lift": row["rate"] / audit if audit else None} for row in rows]


def by_reason(outcomes: pl.DataFrame, ranked: pl.DataFrame) -> list[dict[str, Any]]:
    """The hit rate of shipments by their strongest reason, in its general form."""
    first = ranked.filter(pl.col("selection") == "model").select(
        "shipment_id",
        reason=pl.col("reasons")
        .list.first()
        .fill_null("none")
        .str.replace_all(r"[0-9A-Z]{2,}", "…"),
    )
    joined = first.join(outcomes.select("shipment_id", "finding"), on="shipment_id", how="inner")
    rates = joined.group_by("reason").agg(
        pl.len().alias("inspected"), (pl.col("finding") != "clear").sum().alias("found")
    )
    return list(rates.sort("inspected", descending=True).iter_rows(named=True))


def drafts(outcomes: pl.DataFrame, shipments: Iterable[pl.DataFrame]) -> list[dict[str, Any]]:
    """Reports of counterfeit finds, for `acx report`; nothing is sent.

    The subject is who sold on a marketplace where one is stated, else who sent. A consignee is
    never reported: who receives a counterfeit is its first victim.

    Args:
        outcomes: what was found.
        shipments: as they were declared.
    """
    found = outcomes.filter(pl.col("finding") == "counterfeit")
    made: list[dict[str, Any]] = []
    for frame in shipments:
        joined = frame.join(found, on="shipment_id", how="inner", suffix="_found")
        for row in joined.iter_rows(named=True):
            party = "seller" if any(row[f"seller_{field}"] for field in PARTY) else "consignor"
            account = {field: row[f"{party}_{field}"] for field in PARTY if row[f"{party}_{field}"]}
            if account.keys() <= {"country"}:
                continue
            made.append(
                {
                    "account": {"id": f"customs:{row['shipment_id']}", **account},
                    "conduct": "shipped_counterfeits",
                    "confirmed_by": ["customs_seizure"],
                    "confirmed_on": row["inspected_on_found"][:7],
                    "brands": [row["brand"]] if row["brand"] else [],
                    "categories": [row["category"]] if row["category"] else [],
                }
            )
    return made
