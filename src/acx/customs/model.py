"""The model: gradient-boosted trees on features and histories, calibrated, in one file.

The file is a ZIP of JSON, of arrays without objects, and of trees in XGBoost's UBJSON: nothing in
it is ever executed.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from acx.customs import features, histories
from acx.customs.errors import BadModel, BadShipments, MissingLibrary
from acx.customs.features import Prices
from acx.customs.histories import F64, FOLDS, History
from acx.customs.shipments import Label
from acx.records.files.output import AtomicFile

if TYPE_CHECKING:
    import xgboost

VERSION: Final = 1
MAX_MODEL_BYTES: Final = 1 << 30
MEMBERS: Final = 3
"""Models that are averaged for a label: their spread says how sure they are."""
CALIBRATION_FOLDS: Final = 4
BINS: Final = 10
"""Ranges in which a feature's drift is measured, of equal size in the training."""
LEAST_FINDS: Final = 20
"""Finds, and clear ones, without which there is nothing to learn from."""
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "eta": 0.06,
    "max_depth": 5,
    "min_child_weight": 10,
    "colsample_bytree": 0.5,
    "subsample": 0.8,
    "reg_lambda": 20.0,
    "max_bin": 128,
}
"""Chosen by cross-validation within the training file (`docs/customs.md`)."""
ROUNDS: Final = 200
_SMALL: Final = 10_000
"""Shipments below which threads cost more than they bring."""
_TRACE: Final = 0.01

Progress = Callable[[int, int], None]
Matrix: TypeAlias = NDArray[np.float32]
"""Features, a row a shipment."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record of a training; the model card shows it.

    Attributes:
        version: of the file.
        labels: what was learnt.
        base: share of finds among inspections, a label each.
        inspected: inspections, a label each.
        rows: shipments that were read.
        first: the earliest date.
        last: the latest.
        seed: of everything random.
        exposure: whether parties were screened against a replica.
        log_size: of that replica; 0 without one.
        quality: figures on shipments that the model that ranked them had not seen.
        digests: SHA-256 of each part of the file.
    """

    version: int = VERSION
    labels: tuple[Label, ...]
    base: tuple[float, ...]
    inspected: tuple[int, ...]
    rows: int
    first: str
    last: str
    seed: int
    exposure: bool
    log_size: int
    quality: dict[str, Any] = {}
    digests: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Calibration:
    """From the mean margin of the trees to a probability: isotonic, joined by straight lines.

    Attributes:
        margins: rising.
        probabilities: not falling.
    """

    margins: F64
    probabilities: F64

    @classmethod
    def of(cls, margins: F64, labels: F64) -> Calibration:
        """Fit it to margins of shipments that the trees had not seen.

        Source: Zadrozny and Elkan (2002).
        """
        from scipy.optimize import isotonic_regression

        order = np.argsort(margins, kind="stable")
        fitted = isotonic_regression(labels[order])
        starts = fitted.blocks[:-1]
        sizes = np.diff(fitted.blocks)
        centres = np.add.reduceat(margins[order], starts) / sizes
        # Half a find more and half a clear one, so that nothing is held for certain.
        finds = np.add.reduceat(labels[order], starts)
        return cls(centres, np.maximum.accumulate((finds + 0.5) / (sizes + 1.0)))

    def probability(self, margins: F64) -> F64:
        """The probability at each margin."""
        steps = np.interp(margins, self.margins, self.probabilities)
        # Steps are flat; a trace of the trees' own probability keeps the order within them.
        return (1 - _TRACE) * steps + _TRACE / (1 + np.exp(-margins))


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of shipments, a row each.

    Attributes:
        score: expected worth: probabilities of a find, weighted.
        probability: of a find, a column a label.
        spread: how far the averaged models are apart, in probability, of the first label.
    """

    score: F64
    probability: F64
    spread: F64


class Model:
    """Trees, histories and prices that rank shipments."""

    def __init__(
        self,
        trained: Trained,
        salt: bytes,
        prices: Prices,
        known: list[History],
        trees: list[list[xgboost.Booster]],
        calibrations: list[Calibration],
        edges: F64,
        counts: F64,
    ) -> None:
        """Use `train` or `load`."""
        self._edges = edges
        self._counts = counts
        self.trained = trained
        self._salt = salt
        self._prices = prices
        self._known = known
        self._trees = trees
        self._calibrations = calibrations

    @property
    def labels(self) -> tuple[Label, ...]:
        """What it has learnt to find."""
        return self.trained.labels

    @property
    def feature_names(self) -> list[str]:
        """Names of the features, in their order."""
        return features.names([label.column for label in self.labels])

    def features(self, frame: pl.DataFrame, exposure: F64 | None = None) -> Matrix:
        """The features of shipments.

        Args:
            frame: shipments as `read_shipments` gives them.
            exposure: `features.EXPOSURE` of each, where they were screened.
        """
        return features.assembled(
            frame, exposure, self._prices, self._known, np.array(self.trained.base), self._salt
        )

    def score(self, matrix: Matrix) -> Scored:
        """Score shipments by their features."""
        data = _matrix(matrix)
        columns, spread = [], np.zeros(len(matrix))
        for number, (trees, calibration) in enumerate(
            zip(self._trees, self._calibrations, strict=True)
        ):
            margins = np.stack([tree.predict(data, output_margin=True) for tree in trees])
            columns.append(calibration.probability(margins.mean(axis=0).astype(np.float64)))
            if number == 0:
                spread = np.std([calibration.probability(each) for each in margins], axis=0)
        probability = np.column_stack(columns)
        weights = np.array([label.weight for label in self.labels])
        return Scored(probability @ weights / weights.sum(), probability, spread)

    def contributions(self, matrix: Matrix) -> F64:
        """What each feature adds to the log-odds, weighted over labels (TreeSHAP).

        Args:
            matrix: features; about a millisecond a row.

        Source: Lundberg et al. (2020), Nature Machine Intelligence 2.
        """
        data = _matrix(matrix)
        weights = [label.weight for label in self.labels]
        added = np.zeros((len(matrix), matrix.shape[1]))
        for weight, trees in zip(weights, self._trees, strict=True):
            for tree in trees:
                each = tree.predict(data, pred_contribs=True)[:, :-1]
                added += each * weight / (len(trees) * sum(weights))
        return added

    def gains(self) -> F64:
        """What the trees gained by each feature, summed over trees and labels."""
        total = np.zeros(len(self.feature_names))
        for trees in self._trees:
            for tree in trees:
                for name, gain in tree.get_score(importance_type="total_gain").items():
                    total[int(name.removeprefix("f"))] += gain
        return total

    def histogram(self, matrix: Matrix) -> F64:
        """How many shipments have each feature in each of `BINS` ranges, and how many lack it."""
        return _counted(matrix, self._edges)

    def stability(self, counts: F64) -> F64:
        """The population stability index of each feature against the training.

        Args:
            counts: sums of `histogram` over the shipments to be ranked.

        Source: Siddiqi (2006), Credit Risk Scorecards.
        """
        before, now = (
            (each + 0.5) / (each.sum(axis=1, keepdims=True) + 0.5 * each.shape[1])
            for each in (self._counts, counts)
        )
        return np.asarray(((now - before) * np.log(now / before)).sum(axis=1))

    def save(self, path: Path) -> None:
        """Write the model to one file, whole or not at all."""
        parts: dict[str, bytes] = {
            "salt": self._salt,
            "edges.npy": _array(self._edges),
            "counts.npy": _array(self._counts),
        }
        for number, table in enumerate(self._prices.tables):
            parts[f"prices/{number}.parquet"] = _parquet(table)
        for number, history in enumerate(self._known):
            for name in ("codes", "found", "seen"):
                parts[f"histories/{number}/{name}.npy"] = _array(getattr(history, name))
        for number, (trees, calibration) in enumerate(
            zip(self._trees, self._calibrations, strict=True)
        ):
            parts[f"calibrations/{number}/margins.npy"] = _array(calibration.margins)
            parts[f"calibrations/{number}/probabilities.npy"] = _array(calibration.probabilities)
            for member, tree in enumerate(trees):
                parts[f"trees/{number}/{member}.ubj"] = bytes(tree.save_raw("ubj"))
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
        manifest = msgspec.structs.replace(self.trained, digests=digests)
        with AtomicFile(path) as file, zipfile.ZipFile(file.file, "w") as archive:
            archive.writestr("manifest.json", msgspec.json.encode(manifest))
            for name, data in parts.items():
                archive.writestr(name, data, zipfile.ZIP_DEFLATED)

    @classmethod
    def load(cls, path: Path) -> Model:
        """Read a model.

        Raises:
            BadModel: it is none, damaged, or of another version.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(part.file_size for part in archive.infolist()) > MAX_MODEL_BYTES:
                    raise BadModel(f"{path}: larger than a model can be")
                trained = msgspec.json.decode(archive.read("manifest.json"), type=Trained)
                if trained.version != VERSION:
                    raise BadModel(
                        f"{path} is of version {trained.version}, this acx reads {VERSION}: "
                        "train it again"
                    )
                parts = {name: archive.read(name) for name in trained.digests}
        except OSError as error:
            raise BadModel(f"{path}: {error.strerror or error}") from None
        except (zipfile.BadZipFile, KeyError, EOFError, msgspec.MsgspecError, ValueError) as error:
            raise BadModel(f"{path} is no model, or damaged ({error}): train it again") from None
        for name, digest in trained.digests.items():
            if hashlib.sha256(parts[name]).hexdigest() != digest:
                raise BadModel(f"{path} is damaged ({name}): train it again")
        try:
            return cls._of_parts(trained, parts)
        except (KeyError, ValueError, pl.exceptions.PolarsError) as error:
            raise BadModel(f"{path} is damaged ({error}): train it again") from None

    @classmethod
    def _of_parts(cls, trained: Trained, parts: dict[str, bytes]) -> Model:
        booster = _xgboost().Booster
        arrays = {
            name: np.load(io.BytesIO(data), allow_pickle=False)
            for name, data in parts.items()
            if name.endswith(".npy")
        }
        known = [
            History(
                *(arrays[f"histories/{number}/{name}.npy"] for name in ("codes", "found", "seen"))
            )
            for number in range(len(histories.KEYS))
        ]
        prices = Prices(
            [
                pl.read_parquet(io.BytesIO(parts[f"prices/{number}.parquet"]))
                for number in range(len(features.USUAL))
            ]
        )
        trees, calibrations = [], []
        for number in range(len(trained.labels)):
            trees.append(
                [
                    booster(model_file=bytearray(parts[f"trees/{number}/{member}.ubj"]))
                    for member in range(MEMBERS)
                ]
            )
            calibrations.append(
                Calibration(
                    arrays[f"calibrations/{number}/margins.npy"],
                    arrays[f"calibrations/{number}/probabilities.npy"],
                )
            )
        drift = (arrays["edges.npy"], arrays["counts.npy"])
        return cls(trained, parts["salt"], prices, known, trees, calibrations, *drift)


def train(
    frame: pl.DataFrame,
    labels: Sequence[Label],
    *,
    exposure: F64 | None = None,
    log_size: int = 0,
    seed: int = 0,
    rounds: int = ROUNDS,
    quality: Callable[[F64, F64], dict[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Learn from inspected shipments.

    Args:
        frame: shipments with `label_0`, …; those that were not inspected (null) teach prices alone.
        labels: what the columns mean.
        exposure: `features.EXPOSURE` of each shipment, where they were screened.
        log_size: of the replica they were screened against.
        seed: of folds, samples and trees.
        rounds: trees of each model.
        quality: figures to keep of cross-validated scores (first label: scores, labels).
        progress: told how many fits of how many are done.

    Raises:
        BadShipments: a label has too few finds or too few clear shipments.
        MissingLibrary: the extra `customs` is not installed.
    """
    _xgboost()
    found = np.column_stack(
        [
            frame[f"label_{number}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for number in range(len(labels))
        ]
    )
    for label, column in zip(labels, found.T, strict=True):
        _check_label(label, column)
    random = np.random.default_rng(seed)
    fits = len(labels) * (MEMBERS + CALIBRATION_FOLDS)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, fits)

    salt = secrets.token_bytes(32)
    levelled = histories.hs_levels(frame)
    screened = features.unknown_exposure(len(frame)) if exposure is None else exposure
    data = _Data(levelled, screened, found, histories.codes_of(levelled, salt), rounds)
    calibrations = _calibrations(data, random, seed, step)
    trees: list[list[xgboost.Booster]] = []
    for number in range(len(labels)):
        trees.append([])
        for member in range(MEMBERS):
            trees[number].append(data.fit(number, np.arange(len(frame)), random, seed + member))
            step()
    inspected = ~np.isnan(found)
    first = calibrations[0]
    trained = Trained(
        labels=tuple(labels),
        base=tuple(data.base.tolist()),
        inspected=tuple(inspected.sum(axis=0).tolist()),
        rows=len(frame),
        first=str(frame["date"].min()),
        last=str(frame["date"].max()),
        seed=seed,
        exposure=exposure is not None,
        log_size=log_size,
        quality={} if quality is None else quality(*first[1:]),
    )
    prices = Prices.of(levelled)
    known = histories.histories(data.codes, found)
    matrix = data.matrix(random)
    edges = np.stack([_edges(column) for column in matrix.T])
    counts = _counted(matrix, edges)
    fitted = [each[0] for each in calibrations]
    return Model(trained, salt, prices, known, trees, fitted, edges, counts)


class _Data:
    """Shipments to learn from."""

    def __init__(
        self,
        frame: pl.DataFrame,
        exposure: F64,
        found: F64,
        codes: list[histories.U64],
        rounds: int,
    ) -> None:
        self.rounds = rounds
        self.frame = frame
        self.exposure = exposure
        self.found = found
        self.codes = codes
        self.base = np.nanmean(found, axis=0)

    def fit(
        self, label: int, rows: histories.I64, random: np.random.Generator, seed: int
    ) -> xgboost.Booster:
        """Trees for one label, of some of the shipments, as if there were no others."""
        codes = [column[rows] for column in self.codes]
        found, frame = self.found[rows], self.frame[rows]
        folds = random.integers(0, FOLDS, len(rows))
        matrix = np.column_stack(
            [
                features.amounts(frame, Prices.of(frame)),
                self.exposure[rows],
                histories.out_of_fold(codes, found, np.nanmean(found, axis=0), folds),
            ]
        ).astype(np.float32)
        known = ~np.isnan(found[:, label])
        parameters = PARAMETERS | {"seed": seed, "nthread": _threads(len(rows))}
        data = _matrix(matrix[known], found[known, label])
        trees: xgboost.Booster = _xgboost().train(parameters, data, self.rounds)
        return trees

    def matrix(self, random: np.random.Generator) -> Matrix:
        """The features of all shipments, each without its own fold."""
        folds = random.integers(0, FOLDS, len(self.frame))
        return np.column_stack(
            [
                features.amounts(self.frame, Prices.of(self.frame)),
                self.exposure,
                histories.out_of_fold(self.codes, self.found, self.base, folds),
            ]
        ).astype(np.float32)

    def margins(self, trees: xgboost.Booster, learnt: histories.I64, rows: histories.I64) -> F64:
        """Margins of shipments that the trees were not made of."""
        before, frame = self.frame[learnt], self.frame[rows]
        known = histories.histories([column[learnt] for column in self.codes], self.found[learnt])
        codes = [column[rows] for column in self.codes]
        base = np.nanmean(self.found[learnt], axis=0)
        matrix = np.column_stack(
            [
                features.amounts(frame, Prices.of(before)),
                self.exposure[rows],
                histories.look_up(known, codes, base),
            ]
        ).astype(np.float32)
        return np.asarray(trees.predict(_matrix(matrix), output_margin=True), np.float64)


def _calibrations(
    data: _Data, random: np.random.Generator, seed: int, step: Callable[[], None]
) -> list[tuple[Calibration, F64, F64]]:
    """By cross-validation, a label each: the calibration, the margins, and what was found."""
    folds = random.integers(0, CALIBRATION_FOLDS, len(data.frame))
    made = []
    for label in range(data.found.shape[1]):
        margins = np.full(len(data.frame), np.nan)
        for fold in range(CALIBRATION_FOLDS):
            learnt, rows = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            trees = data.fit(label, learnt, random, seed)
            margins[rows] = data.margins(trees, learnt, rows)
            step()
        known = ~np.isnan(data.found[:, label])
        found = data.found[known, label]
        made.append((Calibration.of(margins[known], found), margins[known], found))
    return made


def _check_label(label: Label, found: F64) -> None:
    finds = int(np.nansum(found))
    clear = int(np.count_nonzero(found == 0))
    if min(finds, clear) < LEAST_FINDS:
        raise BadShipments(
            f"--label {label.column}: {finds} finds and {clear} clear shipments; at least "
            f"{LEAST_FINDS} of each are needed: take more inspected shipments, or another label"
        )


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError:
        raise MissingLibrary(
            "ranking shipments needs XGBoost: pip install 'acx[customs]'"
        ) from None
    return xgboost


def _matrix(matrix: Matrix, labels: F64 | None = None) -> Any:
    return _xgboost().DMatrix(matrix, label=labels, nthread=_threads(len(matrix)))


def _threads(rows: int) -> int:
    return (os.cpu_count() or 1) if rows >= _SMALL else 1


def _edges(column: Matrix) -> F64:
    known = column[~np.isnan(column)].astype(np.float64)
    return np.quantile(known if len(known) else np.zeros(1), np.linspace(0, 1, BINS + 1)[1:-1])


def _counted(matrix: Matrix, edges: F64) -> F64:
    counts = np.zeros((matrix.shape[1], BINS + 1))
    for place in range(matrix.shape[1]):
        column = matrix[:, place]
        missing = np.isnan(column)
        ranges = np.searchsorted(edges[place], column[~missing], side="left")
        counts[place, :BINS] = np.bincount(ranges, minlength=BINS)[:BINS]
        counts[place, BINS] = missing.sum()
    return counts


def _array(array: F64 | histories.U64) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _parquet(table: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.write_parquet(stream)
    return stream.getvalue()
