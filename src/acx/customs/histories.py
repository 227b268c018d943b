"""Histories: what inspections found before of each party, good, route, and pairs of them.

A history is learnt from labels, so a shipment's own label must never be in it. While training, each
shipment sees the histories of the other folds alone; a shipment to be ranked sees all of them.
Keys are 64-bit keyed digests: a model holds no importer's name or number in the clear.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

F64: TypeAlias = NDArray[np.float64]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]

SMOOTHING: Final = 1.0
"""Inspections that the base rate counts for in every history."""
FOLDS: Final = 20

KEYS: Final[tuple[tuple[str, ...], ...]] = (
    ("office",),
    ("process_type",),
    ("import_type",),
    ("import_use",),
    ("payment_type",),
    ("transport_mode",),
    ("declarant_id",),
    ("importer_id",),
    ("consignor_id",),
    ("carrier_id",),
    ("marketplace",),
    ("hs6",),
    ("hs4",),
    ("hs2",),
    ("country_departure",),
    ("country_origin",),
    ("tax_type",),
    ("origin_marking",),
    ("hs6", "country_departure"),
    ("hs4", "country_departure"),
    ("hs2", "country_departure"),
    ("hs6", "country_origin"),
    ("hs4", "country_origin"),
    ("hs2", "country_origin"),
    ("hs6", "country_departure", "country_origin"),
    ("hs4", "country_departure", "country_origin"),
    ("country_departure", "country_origin"),
    ("hs6", "tax_type"),
    ("hs6", "tax_type", "country_departure"),
    ("hs6", "origin_marking"),
    ("hs6", "transport_mode"),
    ("hs6", "office"),
    ("importer_id", "consignor_id"),
    ("importer_id", "hs6"),
    ("importer_id", "hs4"),
    ("importer_id", "country_origin"),
    ("declarant_id", "importer_id"),
    ("declarant_id", "hs6"),
    ("consignor_id", "hs6"),
    ("consignor_id", "country_departure"),
)
"""What has a history: columns of a shipment, alone and together."""
COLUMNS: Final = tuple(dict.fromkeys(column for key in KEYS for column in key))

_MULTIPLY: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class History:
    """What was found of every value of one key.

    Attributes:
        codes: the values' codes, sorted.
        found: finds, a row a value and a column a label.
        seen: inspections, likewise.
    """

    codes: U64
    found: F64
    seen: F64

    def rows(self, codes: U64) -> I64:
        """Where codes stand, -1 where there is no history."""
        if not len(self.codes):
            return np.full(len(codes), -1, np.int64)
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[places] == codes, places, -1)


def hs_levels(frame: pl.DataFrame) -> pl.DataFrame:
    """The shipments with the chapter, heading and subheading of their HS codes."""
    return frame.with_columns(
        pl.col("hs_code").str.slice(0, digits).alias(f"hs{digits}") for digits in (2, 4, 6)
    )


def codes_of(frame: pl.DataFrame, salt: bytes) -> list[U64]:
    """The code of every shipment for every one of `KEYS`.

    Args:
        frame: shipments with `hs2`, `hs4`, `hs6`.
        salt: secret of a model, so that its codes are no one else's.
    """
    single = {name: _column_codes(frame[name], name, salt) for name in COLUMNS}
    return [_combined([single[name] for name in key]) for key in KEYS]


def histories(codes: Sequence[U64], labels: F64) -> list[History]:
    """The history of every key.

    Args:
        codes: as `codes_of` gives them.
        labels: a row a shipment and a column a label; NaN where it was not inspected.
    """
    inspected = ~np.isnan(labels)
    found = np.where(inspected, labels, 0.0)
    kept = inspected.any(axis=1)
    made = []
    for column in codes:
        values, places = np.unique(column[kept], return_inverse=True)
        made.append(
            History(
                values,
                _sums(places, found[kept], len(values)),
                _sums(places, inspected[kept].astype(np.float64), len(values)),
            )
        )
    return made


def look_up(known: Sequence[History], codes: Sequence[U64], base: F64) -> F64:
    """Rates and counts of shipments that are not in the histories.

    Args:
        known: the histories.
        codes: of the shipments.
        base: share of finds among all inspections, a label each.

    Returns:
        For each key the rate of each label, then the logarithm of 1 + inspections.
    """
    columns: list[F64] = []
    for history, column in zip(known, codes, strict=True):
        rows = history.rows(column)
        there = (rows >= 0)[:, np.newaxis]
        if len(history.codes):
            found, seen = (
                np.where(there, each[rows], 0.0) for each in (history.found, history.seen)
            )
        else:
            found = seen = np.zeros((len(rows), len(base)))
        columns.append(_features(found, seen, base))
    return np.concatenate(columns, axis=1)


def out_of_fold(codes: Sequence[U64], labels: F64, base: F64, folds: I64) -> F64:
    """`look_up` for the shipments that the histories are made of, each without its own fold.

    Args:
        codes: of the shipments.
        labels: as for `histories`.
        base: as for `look_up`.
        folds: the fold of each shipment, from 0.
    """
    inspected = (~np.isnan(labels)).astype(np.float64)
    found = np.nan_to_num(labels)
    count = int(folds.max(initial=0)) + 1
    columns: list[F64] = []
    for column in codes:
        values, places = np.unique(column, return_inverse=True)
        within = places * count + folds
        others = [
            _sums(places, each, len(values))[places]
            - _sums(within, each, len(values) * count)[within]
            for each in (found, inspected)
        ]
        columns.append(_features(others[0], others[1], base))
    return np.concatenate(columns, axis=1)


def feature_names(labels: Sequence[str]) -> list[str]:
    """The names of what `look_up` gives, `history:KEY:LABEL` and `seen:KEY`."""
    names: list[str] = []
    for key in KEYS:
        name = "+".join(key)
        names += [f"history:{name}:{label}" for label in labels]
        names.append(f"seen:{name}")
    return names


def _features(found: F64, seen: F64, base: F64) -> F64:
    rates = (found + SMOOTHING * base) / (seen + SMOOTHING)
    return np.concatenate([rates, np.log1p(seen.max(axis=1, keepdims=True))], axis=1)


def _sums(places: NDArray[np.intp] | I64, values: F64, size: int) -> F64:
    return np.stack(
        [np.bincount(places, weights=values[:, n], minlength=size) for n in range(values.shape[1])],
        axis=1,
    )


def _column_codes(values: pl.Series, name: str, salt: bytes) -> U64:
    distinct = values.unique(maintain_order=True)
    prefix = name.encode() + b"\x00"
    digests = [
        hashlib.blake2b(prefix + (value or "").encode(), digest_size=8, key=salt).digest()
        for value in distinct.to_list()
    ]
    table = pl.DataFrame({"value": distinct, "code": np.frombuffer(b"".join(digests), np.uint64)})
    joined = values.to_frame("value").join(
        table, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["code"].to_numpy()


def _combined(columns: Sequence[U64]) -> U64:
    """One code of several, by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    code = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        code = (code ^ column) + _STEP
        code = (code ^ (code >> np.uint64(30))) * _MULTIPLY[0]
        code = (code ^ (code >> np.uint64(27))) * _MULTIPLY[1]
        code ^= code >> np.uint64(31)
    return code
