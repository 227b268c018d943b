"""Which library ranks best on the same features: XGBoost, LightGBM or CatBoost.

Data: the first three quarters of 2020 of `customs.declarations`, tested on the last; features as
acx makes them; 300 trees, step .05, else much alike. LightGBM and CatBoost are installed for this
alone (`uv pip install lightgbm catboost`), and left out where they are missing.
`python -m benchmarks customs.libraries`
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from acx.customs import features, histories, model
from acx.customs.evaluation import inspected, split_by_time
from acx.customs.features import Prices
from benchmarks.customs.declarations import LABEL, read

SEEDS: Final = 3
Matrix = NDArray[np.float32]


def main() -> None:
    """Fit each, several seeds, and say how much of the top percents are finds."""
    past, future = split_by_time(read("declarations-train.csv"))
    found, expected = inspected(past), inspected(future)
    trained = model.train(past, LABEL)
    unseen = np.asarray(trained.features(future), np.float32)
    for library, made in LIBRARIES.items():
        try:
            import_module(library)
        except ImportError:
            print(f"{library}: not installed")
            continue
        for seed in range(SEEDS):
            matrix = _out_of_fold(past, found, seed)
            started = time.perf_counter()
            scores = made(seed).fit(matrix, found).predict_proba(unseen)[:, 1]
            ranked = expected[np.argsort(-scores)]
            shares = (ranked[: round(len(ranked) * share)].mean() for share in (0.02, 0.05, 0.10))
            told = " / ".join(f"{share:.3f}" for share in shares)
            print(f"{library}: {told} at 2 / 5 / 10 %, {time.perf_counter() - started:.1f} s")


def _out_of_fold(past: Any, found: histories.F64, seed: int) -> Matrix:
    """Features of what is learnt from, each shipment's histories without its own fold."""
    levelled = histories.hs_levels(past)
    labels = found[:, np.newaxis]
    folds = np.random.default_rng(seed).integers(0, histories.FOLDS, len(past))
    codes = histories.codes_of(levelled, bytes(32))
    return np.column_stack(
        [
            features.amounts(levelled, Prices.of(levelled)),
            features.unknown_exposure(len(past)),
            histories.out_of_fold(codes, labels, labels.mean(axis=0), folds),
        ]
    ).astype(np.float32)


def _xgboost(seed: int) -> Any:
    return import_module("xgboost").XGBClassifier(
        n_estimators=300, learning_rate=0.05, subsample=0.8, colsample_bytree=0.5, random_state=seed
    )


def _lightgbm(seed: int) -> Any:
    return import_module("lightgbm").LGBMClassifier(
        n_estimators=300,
        learning_rate=0.05,
        num_leaves=63,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.5,
        random_state=seed,
        verbose=-1,
    )


def _catboost(seed: int) -> Any:
    return import_module("catboost").CatBoostClassifier(
        iterations=300, learning_rate=0.05, random_seed=seed, verbose=0
    )


LIBRARIES: Final[dict[str, Callable[[int], Any]]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
}

if __name__ == "__main__":
    main()
