"""Shipments made up for tests, with a truth that histories can learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from acx.customs.shipments import Label, read_shipments
from acx.records.files import Rejects

GOODS = ("640411", "420221", "851712", "330300", "950300", "870830")
COUNTRIES = ("CN", "TR", "DE", "US", "VN")


def declared(rows: int, seed: int = 0) -> pl.DataFrame:
    """Declarations in which some goods from some countries, and some consignors, are bad."""
    random = np.random.default_rng(seed)
    goods, countries = random.integers(0, len(GOODS), rows), random.integers(0, 5, rows)
    consignor = random.integers(0, 40, rows)
    value, mass = np.exp(random.normal(5, 1, rows)), np.exp(random.normal(1, 0.5, rows))
    cheap = random.random(rows) < 0.2
    odds = -2.5 + 3.0 * ((goods == 0) & (countries < 2)) + 2.0 * (consignor < 6) + 1.5 * cheap
    found = random.random(rows) < 1 / (1 + np.exp(-odds))
    day = np.sort(random.integers(0, 300, rows))
    return pl.DataFrame(
        {
            "shipment_id": [f"S{seed}-{n:05d}" for n in range(rows)],
            "date": pl.Series(np.datetime64("2025-01-01") + day),
            "hs_code": [GOODS[n] for n in goods],
            "country_departure": [COUNTRIES[n] for n in countries],
            "country_origin": [COUNTRIES[n] for n in countries],
            "office": [("NORTH", "SOUTH")[n % 2] for n in range(rows)],
            "importer_id": [f"I{n}" for n in random.integers(0, 300, rows)],
            "consignor_id": [f"C{n}" for n in consignor],
            "declared_value": np.where(cheap, value / 8, value).round(2),
            "net_mass": mass.round(3),
            "currency": "EUR",
            "tax_rate": 8.0,
            "finding": np.where(found, "counterfeit", "clear"),
        }
    ).with_columns(pl.col("date").cast(pl.String))


def frame(declarations: pl.DataFrame, folder: Path, **options: Any) -> pl.DataFrame:
    """Declarations as they are read, with `finding` for a label."""
    path = folder / "declarations.csv"
    declarations.write_csv(path)
    labels = options.pop("labels", [Label("finding")])
    return pl.concat(read_shipments(path, rejects=Rejects(), labels=labels, **options))
