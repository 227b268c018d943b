"""A model learns from inspections, never from a shipment's own, and is a file without code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.customs.shipping import declared, frame

from acx.customs import histories
from acx.customs.errors import BadModel, BadShipments
from acx.customs.evaluation import auc, inspected, quality
from acx.customs.model import Calibration, Model, train
from acx.customs.shipments import Label

ROUNDS = 30
LABEL = [Label("finding")]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return frame(declared(3000, 1), tmp_path_factory.mktemp("past"))


@pytest.fixture(scope="module")
def future(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return frame(declared(1500, 2), tmp_path_factory.mktemp("future"))


@pytest.fixture(scope="module")
def model(past: pl.DataFrame) -> Model:
    return train(past, LABEL, rounds=ROUNDS, quality=quality)


def test_it_ranks_finds_first(model: Model, future: pl.DataFrame) -> None:
    scored = model.score(model.features(future))
    figures = quality(scored.score, inspected(future))
    assert figures["at"]["5%"]["precision"]["value"] > 2.5 * figures["base"]
    assert figures["auc"] > 0.7


def test_probabilities_are_what_happens(model: Model, future: pl.DataFrame) -> None:
    probability = model.score(model.features(future)).probability[:, 0]
    found = inspected(future)
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0)):
        inside = (probability >= low) & (probability < high)
        assert abs(probability[inside].mean() - found[inside].mean()) < 0.08


def test_the_same_seed_learns_the_same_trees(past: pl.DataFrame, future: pl.DataFrame) -> None:
    small = past.head(800)
    twice = [train(small, LABEL, rounds=5, seed=7) for _ in range(2)]
    first, second = (each.score(each.features(future)).score for each in twice)
    assert np.array_equal(first, second)
    other = train(small, LABEL, rounds=5, seed=8)
    assert not np.array_equal(first, other.score(other.features(future)).score)


def test_a_saved_model_scores_as_before_and_names_nobody(
    model: Model, past: pl.DataFrame, future: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "model.acx"
    model.save(path)
    loaded = Model.load(path)
    matrix = model.features(future)
    assert np.array_equal(loaded.features(future), matrix, equal_nan=True)
    assert np.array_equal(loaded.score(matrix).score, model.score(matrix).score)
    with zipfile.ZipFile(path) as archive:
        parts = [archive.read(name) for name in archive.namelist() if not name.endswith(".npy")]
    names = [*past["importer_id"].unique(), *past["shipment_id"].head(50)]
    assert not any(name.encode() in part for name in names if len(name) > 3 for part in parts)


@pytest.mark.parametrize("damage", ["cut", "flip", "version", "part", "other"])
def test_a_damaged_or_foreign_model_is_refused(model: Model, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.acx"
    model.save(path)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 3] ^= 0xFF
    elif damage == "other":
        data = bytearray(b"\x80\x04cos\nsystem\n")
    path.write_bytes(data)
    if damage in ("version", "part"):
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        if damage == "version":
            parts["manifest.json"] = parts["manifest.json"].replace(b'"version":1', b'"version":2')
        else:
            parts["edges.npy"] = parts["counts.npy"]
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
    with pytest.raises(BadModel, match=r"train it again|is no model"):
        Model.load(path)


def test_a_label_of_one_class_is_refused_before_any_work(past: pl.DataFrame) -> None:
    with pytest.raises(BadShipments, match="0 finds"):
        train(past.with_columns(label_0=pl.lit(value=False)), LABEL)


def test_shipments_that_were_not_inspected_teach_prices_alone(past: pl.DataFrame) -> None:
    half = past.with_columns(label_0=pl.when(pl.int_range(pl.len()) % 2 == 0).then("label_0"))
    model = train(half, LABEL, rounds=5)
    assert model.trained.inspected == (len(past) // 2,)


def test_several_labels_are_combined_by_weight(past: pl.DataFrame, future: pl.DataFrame) -> None:
    two = past.head(1500).with_columns(label_1=~pl.col("label_0"))
    model = train(two, [Label("a", weight=3), Label("b", weight=1)], rounds=10)
    scored = model.score(model.features(future))
    expected = (3 * scored.probability[:, 0] + scored.probability[:, 1]) / 4
    assert np.allclose(scored.score, expected)


def test_a_shipments_own_label_is_not_in_its_history(past: pl.DataFrame) -> None:
    small = histories.hs_levels(past.head(300))
    codes = histories.codes_of(small, b"salt")
    labels = inspected(small)[:, np.newaxis]
    folds = np.arange(len(small)) % 5
    base = np.array([0.25])
    before = histories.out_of_fold(codes, labels, base, folds)
    for row in range(0, 300, 37):
        changed = labels.copy()
        changed[row] = 1 - changed[row]
        after = histories.out_of_fold(codes, changed, base, folds)
        assert np.array_equal(before[row], after[row])


def test_out_of_fold_histories_are_those_of_the_other_folds(past: pl.DataFrame) -> None:
    small = histories.hs_levels(past.head(400))
    codes = histories.codes_of(small, b"salt")
    labels = inspected(small)[:, np.newaxis]
    folds = np.arange(len(small)) % 4
    base = np.array([0.2])
    made = histories.out_of_fold(codes, labels, base, folds)
    for fold in range(4):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        known = histories.histories([column[outside] for column in codes], labels[outside])
        looked_up = histories.look_up(known, [column[inside] for column in codes], base)
        assert np.allclose(made[inside], looked_up)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=2, max_size=200))
def test_calibration_never_turns_the_order_round(pairs: list[tuple[float, bool]]) -> None:
    margins = np.array([margin for margin, _ in pairs])
    fitted = Calibration.of(margins, np.array([float(found) for _, found in pairs]))
    probability = fitted.probability(np.sort(margins))
    assert np.all(np.diff(probability) >= 0)
    assert np.all((probability > 0) & (probability < 1))


def test_auc_is_the_chance_that_a_find_stands_higher() -> None:
    assert auc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1.0, 0.0, 1.0, 0.0])) == 0.75
    assert auc(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == 0.5


def test_quality_states_precision_recall_and_intervals() -> None:
    scores = np.linspace(1, 0, 1000)
    found = (np.arange(1000) < 100).astype(float)
    figures = quality(scores, found)
    top = figures["at"]["5%"]
    assert (top["precision"]["value"], top["recall"]["value"]) == (1.0, 0.5)
    assert top["recall"]["low"] <= 0.5 <= top["recall"]["high"]
    assert figures["auc"] == 1.0
