"""Ranking: from a file of shipments to RANKED, in bounded memory.

Shipments are scored in batches; what reasons need waits on disk until it is known which of them
were selected.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import polars as pl

from acx.customs.errors import BadShipments
from acx.customs.exposure import Exchange, Exposed
from acx.customs.features import AMOUNTS, unknown_exposure
from acx.customs.histories import F64
from acx.customs.model import Matrix, Model
from acx.customs.reasons import Explainer
from acx.customs.shipments import CODES, PARTIES
from acx.customs.targeting import Capacity, Selected, select

COLUMNS: Final = (
    "shipment_id",
    "rank",
    "score",
    "selected",
    "reasons",
    "selection",
    "selection_probability",
)
"""Columns of RANKED, in their order."""
_SHOWN: Final = ("hs_code", "declared_value", "net_mass", "packages", "tax_rate")
_TRADE: Final = ("seen:importer_id+hs4", "seen:consignor_id+hs6", "seen:hs6+country_origin")
"""Histories that say how well a trade is known, for exploration."""
DRIFT: Final = 0.25
"""Population stability index from which a feature is said to have drifted."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A feature whose values are no longer what they were in training.

    Attributes:
        feature: which.
        index: population stability index: 0 none, above 0.25 large.
    """

    feature: str
    index: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What became of a file of shipments.

    Attributes:
        frames: RANKED, best first, in batches.
        shipments: how many were ranked.
        selected: how many were chosen, by kind of selection.
        drift: features that have drifted.
    """

    frames: Iterator[pl.DataFrame]
    shipments: int
    selected: dict[str, int]
    drift: tuple[Drift, ...]


def rank(
    model: Model,
    batches: Iterator[pl.DataFrame],
    capacity: Capacity,
    *,
    folder: Path,
    exchange: Exchange | None = None,
    explore: float = 0.1,
    audit: float = 0.02,
    per_office: bool = False,
    all_reasons: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Ranked:
    """Rank shipments and choose which to open.

    Args:
        model: as trained.
        batches: shipments.
        capacity: how many can be opened, of all or of each office.
        folder: an empty directory for what has to wait; it is the caller's to remove.
        exchange: to screen parties and goods with; None without a replica.
        explore: share of the capacity for exploration.
        audit: share drawn at random, to measure by.
        per_office: each office has the capacity for itself.
        all_reasons: reasons of every shipment and not of the selected alone.
        seed: of everything random.
        progress: told how many shipments were scored.

    Raises:
        BadShipments: there are none.
        BadCapacity: see `targeting.select`.
    """
    waiting = _Waiting(folder)
    for frame in batches:
        if not frame.height:
            continue
        exposed = exchange.of(frame) if exchange is not None else None
        matrix = model.features(frame, None if exposed is None else exposed.matrix)
        waiting.put(frame, matrix, exposed, model)
        if progress is not None:
            progress(waiting.shipments)
    if not waiting.shipments:
        raise BadShipments("there are no shipments to rank: see the rejects, or the file")
    offices = waiting.offices() if per_office else None
    score, spread, unseen = waiting.scores()
    chosen = select(
        score, spread, unseen, offices, capacity, explore=explore, audit=audit, seed=seed
    )
    kinds = chosen.kinds()
    counts = kinds.filter(kinds != "").value_counts()
    return Ranked(
        frames=waiting.ranked(model, chosen, kinds, score, all_reasons=all_reasons),
        shipments=waiting.shipments,
        selected=dict(counts.sort("selection").iter_rows()),
        drift=waiting.drift(model),
    )


class _Waiting:
    """Scored batches: numbers in memory, features and words on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[int] = []
        self._numbers: list[F64] = []
        self._offices: list[pl.Series] = []
        self._histogram: F64 | None = None

    @property
    def shipments(self) -> int:
        return sum(self._parts)

    def put(
        self, frame: pl.DataFrame, matrix: Matrix, exposed: Exposed | None, model: Model
    ) -> None:
        number = len(self._parts)
        np.save(self._folder / f"{number}.npy", matrix)
        parties = [
            series.alias(f"{party}_{what}")
            for party in PARTIES
            for what, series in (
                ("report", _series(exposed.reports[party] if exposed else None, len(frame))),
                ("level", _series(exposed.levels[party] if exposed else None, len(frame))),
            )
        ]
        words = frame.select("shipment_id", *_SHOWN, *CODES).hstack(parties)
        words.write_parquet(self._folder / f"{number}.parquet", compression="lz4")
        scored = model.score(matrix)
        places = [model.feature_names.index(name) for name in _TRADE]
        unseen = np.mean(1.0 / (1.0 + np.expm1(matrix[:, places].astype(np.float64))), axis=1)
        self._numbers.append(np.stack([scored.score, scored.spread, unseen]))
        self._offices.append(frame["office"])
        self._parts.append(len(frame))
        counts = model.histogram(matrix)
        self._histogram = counts if self._histogram is None else self._histogram + counts

    def scores(self) -> tuple[F64, F64, F64]:
        together = np.concatenate(self._numbers, axis=1)
        return together[0], together[1], together[2]

    def offices(self) -> pl.Series:
        return pl.concat(self._offices)

    def drift(self, model: Model) -> tuple[Drift, ...]:
        if self._histogram is None:
            return ()
        index = model.stability(self._histogram)
        return tuple(
            Drift(feature=model.feature_names[place], index=round(float(index[place]), 3))
            for place in np.argsort(-index[: len(AMOUNTS)])
            if index[place] >= DRIFT
        )

    def ranked(
        self,
        model: Model,
        chosen: Selected,
        kinds: pl.Series,
        score: F64,
        *,
        all_reasons: bool,
    ) -> Iterator[pl.DataFrame]:
        explainer = Explainer(model)
        start = 0
        frames: list[pl.DataFrame] = []
        for number, size in enumerate(self._parts):
            words = pl.read_parquet(self._folder / f"{number}.parquet")
            rows = slice(start, start + size)
            wanted = np.full(size, fill_value=True) if all_reasons else chosen.kind[rows] > 0
            reasons = self._reasons(number, np.flatnonzero(wanted), words, model, explainer)
            frames.append(
                words.select("shipment_id").with_columns(
                    pl.Series("rank", chosen.rank[rows]),
                    pl.Series("score", score[rows]),
                    pl.Series("selected", chosen.kind[rows] > 0),
                    reasons,
                    kinds[start : start + size].alias("selection"),
                    pl.Series("selection_probability", chosen.probability[rows]),
                )
            )
            start += size
        yield pl.concat(frames).sort("rank").select(COLUMNS)

    def _reasons(
        self,
        number: int,
        rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
        words: pl.DataFrame,
        model: Model,
        explainer: Explainer,
    ) -> pl.Series:
        said: list[list[str]] = [[] for _ in range(len(words))]
        if len(rows):
            matrix = np.load(self._folder / f"{number}.npy", mmap_mode="r")[rows]
            frame = words[rows]
            exposed = Exposed(
                unknown_exposure(0),
                {party: frame[f"{party}_report"] for party in PARTIES},
                {party: frame[f"{party}_level"] for party in PARTIES},
            )
            lines = explainer.reasons(model.contributions(matrix), matrix, frame, exposed)
            for row, each in zip(rows.tolist(), lines, strict=True):
                said[row] = each
        return pl.Series("reasons", said, dtype=pl.List(pl.String))


def waiting_folder() -> tempfile.TemporaryDirectory[str]:
    """Where scored shipments wait; readable by this user alone, and gone when it is closed."""
    return tempfile.TemporaryDirectory(prefix="acx-customs-")


def _series(series: pl.Series | None, rows: int) -> pl.Series:
    if series is not None:
        return series
    return pl.Series([""], dtype=pl.String).new_from_index(0, rows)
