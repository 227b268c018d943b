"""Reasons: why a shipment was selected, in words that an inspector and an importer can follow.

Each feature's part in the score comes from TreeSHAP; parts of one fact (the rate of a history and
how often it was inspected) are added up, and the largest become sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from acx.customs.exposure import Exposed
from acx.customs.histories import F64, SMOOTHING
from acx.customs.model import Matrix, Model
from acx.customs.shipments import PARTIES

MOST: Final = 4
LEAST_PART: Final = 0.05
"""Log-odds below which a fact explains nothing."""

_WHOSE: Final = {
    "declarant_id": "this declarant",
    "importer_id": "this importer",
    "consignor_id": "this consignor",
    "carrier_id": "this carrier",
}
_PLACED: Final = {
    "country_departure": "departing {}",
    "country_origin": "of origin {}",
    "office": "office {}",
    "marketplace": "marketplace {}",
    "transport_mode": "transport mode {}",
    "tax_type": "tax type {}",
    "origin_marking": "origin marking {}",
    "process_type": "process type {}",
    "import_type": "import type {}",
    "import_use": "import use {}",
    "payment_type": "payment type {}",
}
_EXCHANGE: Final = {
    "exchange_contributors": "members stand behind a report that a party matches: {:.0f}",
    "exchange_same_goods": "a party matches a report about goods of this chapter",
    "exchange_hub": "reported accounts at an address or telephone of a party: {:.0f}",
    "exchange_product": "a product identifier or picture was reported",
    "brand_named": "the description names a brand that was reported as counterfeited",
    "brand_disguised": "the description has a reported brand's name in disguise",
}


class Explainer:
    """Turns parts of a score into sentences."""

    def __init__(self, model: Model) -> None:
        """Know the features' places."""
        self._names = model.feature_names
        self._place = {name: place for place, name in enumerate(self._names)}
        self._base = model.trained.base[0]
        self._label = model.labels[0].column
        facts = [_fact(name) for name in self._names]
        self._facts = list(dict.fromkeys(facts))
        self._of_fact = np.array([self._facts.index(fact) for fact in facts])

    def reasons(
        self,
        parts: F64,
        matrix: Matrix,
        frame: pl.DataFrame,
        exposed: Exposed | None,
    ) -> list[list[str]]:
        """The reasons of shipments, strongest first.

        Args:
            parts: what each feature adds, `Model.contributions`.
            matrix: their features.
            frame: the shipments.
            exposed: what the exchange says of them.
        """
        summed = np.zeros((len(parts), len(self._facts)))
        for place, fact in enumerate(self._of_fact):
            summed[:, fact] += parts[:, place]
        order = np.argsort(-summed, axis=1, kind="stable")
        said: list[list[str]] = []
        for number, row in enumerate(frame.iter_rows(named=True)):
            lines: list[str] = []
            keys: list[set[str]] = []
            for place in order[number]:
                if summed[number, place] < LEAST_PART or len(lines) == MOST:
                    break
                fact = self._facts[place]
                key = _columns(fact)
                # What shares most of what was said says nothing new.
                if any(2 * len(key & other) >= len(key | other) for other in keys):
                    continue
                line = self._said(fact, matrix[number], row, exposed, number)
                if line:
                    lines.append(line)
                    keys.append(key)
            said.append(lines)
        return said

    def _said(
        self,
        fact: str,
        values: Matrix,
        row: Mapping[str, Any],
        exposed: Exposed | None,
        number: int,
    ) -> str:
        kind, _, key = fact.partition(":")
        if kind == "history":
            return self._history(key.split("+"), values, row)
        value = float(values[self._place[fact]])
        if fact in ("value_per_kg_ratio", "value_per_unit_ratio"):
            return _price(fact, value, row)
        if fact.startswith("exchange_") and fact.removeprefix("exchange_") in PARTIES:
            return _match(fact.removeprefix("exchange_"), value, exposed, number)
        if fact in _EXCHANGE:
            return _EXCHANGE[fact].format(value) if value > 0 else ""
        return _amount(fact, row)

    def _history(self, key: Sequence[str], values: Matrix, row: Mapping[str, Any]) -> str:
        name = "+".join(key)
        rate = float(values[self._place[f"history:{name}:{self._label}"]])
        seen = round(float(np.expm1(values[self._place[f"seen:{name}"]])))
        who = _subject(key, row)
        if not seen:
            return f"{who}: never inspected before"
        found = round(rate * (seen + SMOOTHING) - SMOOTHING * self._base)
        return f"{who}: finds in {max(found, 0)} of {seen} inspections, {self._base:.0%} over all"


def _fact(feature: str) -> str:
    kind, _, rest = feature.partition(":")
    if kind == "history":
        return f"history:{rest.partition(':')[0]}"
    return f"history:{rest}" if kind == "seen" else feature


def _columns(fact: str) -> set[str]:
    """The columns of a history, HS codes of any length being one."""
    columns = fact.removeprefix("history:").split("+")
    return {"hs" if column.startswith("hs") else column for column in columns}


def _subject(key: Sequence[str], row: Mapping[str, Any]) -> str:
    words: list[str] = []
    for column in key:
        if column.startswith("hs"):
            digits = row["hs_code"][: int(column[2:])]
            words.append(f"{'chapter' if column == 'hs2' else 'HS'} {digits}")
        elif column in _WHOSE:
            words.append(
                _WHOSE[column] if row[column] else f"no {column.removesuffix('_id')} named"
            )
        else:
            words.append(_PLACED[column].format(row[column] or "not stated"))
    return " ".join(words)


def _price(fact: str, value: float, row: Mapping[str, Any]) -> str:
    if np.isnan(value):
        return ""
    unit = "kg" if fact == "value_per_kg_ratio" else "unit"
    times = float(np.exp(abs(value)))
    if times < 1.25:
        how = "about"
    elif value < 0:
        how = f"1/{times:.2g} of" if times < 10 else f"1/{times:.0f} of"
    else:
        how = f"{times:.2g} times" if times < 10 else f"{times:.0f} times"
    goods = f"HS {row['hs_code'][:6]} of origin {row['country_origin'] or 'not stated'}"
    return f"declared value per {unit} is {how} what {goods} usually is"


def _match(party: str, value: float, exposed: Exposed | None, number: int) -> str:
    if exposed is None or not value > 0:
        return ""
    report, level = exposed.reports[party][number], exposed.levels[party][number]
    return f"{party} matches report {report}, {level} ({value:.0%})"


def _amount(fact: str, row: Mapping[str, Any]) -> str:
    stated = {
        "log_value": ("declared value {:,.2f}", "declared_value"),
        "log_mass": ("net mass {:,.1f} kg", "net_mass"),
        "log_packages": ("packages {:,.0f}", "packages"),
        "tax_rate": ("tax rate {:g} %", "tax_rate"),
    }.get(fact)
    if stated is None or row[stated[1]] is None:
        return ""
    return stated[0].format(row[stated[1]])
