"""Features: what a model sees of a shipment, and which words each has in a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.customs.histories import F64, U64, History, codes_of, feature_names, hs_levels, look_up

AMOUNTS: Final = (
    "log_value",
    "log_mass",
    "log_value_per_kg",
    "log_value_per_unit",
    "tax_rate",
    "log_packages",
    "weekday",
    "value_per_kg_ratio",
    "value_per_unit_ratio",
)
"""Features of a shipment by itself; the ratios are to what its goods usually are."""
USUAL: Final = (
    ("hs6", "country_origin", "currency"),
    ("hs6", "currency"),
    ("hs4", "currency"),
    ("hs2", "currency"),
    ("currency",),
)
"""Whose median a price is held against: the first that has enough shipments."""
LEAST: Final = 5
"""Shipments from which a median means something."""
EXPOSURE: Final = (
    "exchange_consignor",
    "exchange_consignee",
    "exchange_seller",
    "exchange_contributors",
    "exchange_same_goods",
    "exchange_hub",
    "exchange_product",
    "brand_named",
    "brand_disguised",
)
"""What the exchange adds; see `acx.customs.exposure`."""


class Prices:
    """What goods usually cost: medians of the logarithm of value per kilogram and per unit."""

    def __init__(self, tables: Sequence[pl.DataFrame]) -> None:
        """Use `of`, or give the tables that `tables` had, one for each of `USUAL`."""
        self.tables = list(tables)

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Prices:
        """Learn them from shipments with HS levels; labels are not looked at."""
        priced = frame.select(*{name for key in USUAL for name in key}, **_unit_prices())
        return cls(
            [
                priced.group_by(key)
                .agg(
                    pl.col("per_kg").median().alias("per_kg"),
                    pl.col("per_unit").median().alias("per_unit"),
                    pl.len().alias("shipments"),
                )
                .filter(pl.col("shipments") >= LEAST)
                .sort(key)
                for key in USUAL
            ]
        )

    def ratios(self, frame: pl.DataFrame) -> F64:
        """The logarithm of how a shipment's prices compare, NaN where nothing is known."""
        priced = frame.select(*{name for key in USUAL for name in key}, **_unit_prices())
        usual: dict[str, list[pl.Series]] = {"per_kg": [], "per_unit": []}
        for key, table in zip(USUAL, self.tables, strict=True):
            joined = priced.select(key).join(table, on=key, how="left", maintain_order="left")
            for name in usual:
                usual[name].append(joined[name].alias(f"{name}_{len(usual[name])}"))
        ratios = [
            priced[name] - pl.DataFrame(series).select(pl.coalesce(pl.all())).to_series()
            for name, series in usual.items()
        ]
        return np.column_stack([_floats(ratio) for ratio in ratios])


def names(labels: Sequence[str]) -> list[str]:
    """The names of all features, in their order."""
    return [*AMOUNTS, *EXPOSURE, *feature_names(labels)]


def amounts(frame: pl.DataFrame, prices: Prices) -> F64:
    """`AMOUNTS` of shipments with HS levels."""
    values = frame.select(
        pl.col("declared_value").log1p().alias("log_value"),
        pl.col("net_mass").log1p().alias("log_mass"),
        *(price.alias(f"log_value_{name}") for name, price in _unit_prices().items()),
        "tax_rate",
        pl.col("packages").log1p().alias("log_packages"),
        pl.col("date").dt.weekday().cast(pl.Float64).alias("weekday"),
    )
    columns = [_floats(values[:, place]) for place in range(values.width)]
    return np.column_stack([*columns, prices.ratios(frame)])


def assembled(
    frame: pl.DataFrame,
    exposure: F64 | None,
    prices: Prices,
    known: Sequence[History],
    base: F64,
    salt: bytes,
) -> NDArray[np.float32]:
    """All features of shipments that are to be ranked, a row each.

    Args:
        frame: shipments.
        exposure: `EXPOSURE` of each; None without a replica.
        prices: as learnt.
        known: histories, as learnt.
        base: share of finds, a label each.
        salt: of the model.
    """
    levelled = hs_levels(frame)
    codes: list[U64] = codes_of(levelled, salt)
    return np.column_stack(
        [
            amounts(levelled, prices),
            unknown_exposure(len(frame)) if exposure is None else exposure,
            look_up(known, codes, base),
        ]
    ).astype(np.float32)


def unknown_exposure(rows: int) -> F64:
    """Exposure of shipments that nobody screened: missing, which is not the same as none."""
    return np.full((rows, len(EXPOSURE)), np.nan)


def _unit_prices() -> dict[str, pl.Expr]:
    mass, quantity, value = pl.col("net_mass"), pl.col("quantity"), pl.col("declared_value")
    return {
        "per_kg": pl.when(mass > 0).then((value / mass + 0.01).log()),
        "per_unit": pl.when(quantity > 0).then((value / quantity + 0.01).log()),
    }


def _floats(series: pl.Series) -> F64:
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
