"""Weights in a file: they come back as they went, and no file makes matching believe anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acx.matching import model
from acx.matching.decide import bits_needed, prior_bits
from acx.matching.errors import BadWeights
from acx.matching.model import FIELDS, SMALLEST_CROWD
from acx.matching.weights import (
    MOST_ADDED,
    MOST_PRIOR,
    FieldWeights,
    LevelWeights,
    ModelWeights,
    bounded,
    decode,
    load,
    most_bits,
    save,
    shipped,
)

SHARE = st.floats(1e-9, 1.0, exclude_min=True)


@st.composite
def any_weights(draw: st.DrawFn) -> ModelWeights:
    """Weights as a bad estimate might have them: m sum to at most 1, and nothing else is sure."""
    fields = []
    for field in FIELDS:
        m = np.array(draw(st.tuples(*(SHARE for _ in field.levels))))
        m /= max(1.0, m.sum())
        levels = tuple(
            LevelWeights(name=level.name, m=float(share), u=draw(SHARE), least_u=draw(SHARE))
            for level, share in zip(field.levels, m, strict=True)
        )
        differs = draw(st.floats(-50, 50))
        fields.append(FieldWeights(name=field.name, levels=levels, differs=differs))
    return ModelWeights(format=shipped().format, prior=draw(st.floats(0, 1)), fields=tuple(fields))


@settings(deadline=None, max_examples=40)
@given(weights=any_weights())
def test_any_estimate_held_to_the_bounds_can_be_matched_with(weights: ModelWeights) -> None:
    kept = bounded(weights)
    assert decode(msgspec.json.encode(kept)) == kept
    for f, (field, here) in enumerate(zip(FIELDS, kept.fields, strict=True)):
        bits = [most_bits(f, place, level) for place, level in enumerate(here.levels)]
        assert bits == sorted(bits, reverse=True) or np.allclose(bits, sorted(bits, reverse=True))
        assert here.differs <= 0
        if field.contradicts:
            assert here.differs <= -1


@settings(deadline=None, max_examples=40)
@given(weights=any_weights())
def test_no_weak_field_reaches_exact_alone(weights: ModelWeights) -> None:
    prior = prior_bits(MOST_PRIOR, SMALLEST_CROWD)
    for f, (field, here) in enumerate(zip(FIELDS, bounded(weights).fields, strict=True)):
        for place, level in enumerate(here.levels):
            if place >= field.identifies:
                assert most_bits(f, place, level) + prior <= bits_needed("exact") + 1e-6


def test_the_shipped_weights_are_within_the_bounds_and_match_as_the_model_does() -> None:
    assert bounded(shipped()) == shipped()
    for mine, models in zip(shipped().table(), model.weights(), strict=True):
        assert mine == pytest.approx(models)


def test_a_file_comes_back_as_it_went(tmp_path: Path) -> None:
    save(shipped(), tmp_path / "weights.json")
    assert load(tmp_path / "weights.json") == shipped()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    tree = json.loads(msgspec.json.encode(shipped()))
    change(tree)
    return json.dumps(tree).encode()


def level(tree: dict[str, Any], place: int = 0, field: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = tree["fields"][field]["levels"][place]
    return found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed(lambda t: t.update(format="acx-weights/2")), "acx-weights/2"),
        (changed(lambda t: t.update(prior=0.9)), "--prior"),
        (changed(lambda t: t["fields"].pop()), "their number"),
        (changed(lambda t: t["fields"][0].update(name="e-mail")), "e-mail"),
        (changed(lambda t: level(t).update(m=0)), "email:same: m"),
        (changed(lambda t: level(t).update(m=1.5)), "email:same: m"),
        (changed(lambda t: level(t).update(least_u=1e-300)), "email:same weighs"),
        (changed(lambda t: level(t).update(code="import os")), "code"),
        (changed(lambda t: level(t, 1).update(least_u=2.0**-60)), "email:variant weighs"),
        (changed(lambda t: t["fields"][3].update(differs=2.0)), "tax_id:differs"),
        (changed(lambda t: t["fields"][3].update(differs="much")), "differs"),
        (b"", "not weights"),
        (b"{}", "format"),
        (b"[" * 100_000, "not weights"),
        (b'{"format": "acx-weights/1", "prior": NaN}', "not weights"),
        (b"\xff\xfe", "not weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_weights_is_refused_with_place_and_advice(data: bytes, said: str) -> None:
    with pytest.raises(BadWeights, match=r"estimate again|--prior") as refused:
        decode(data)
    assert said in str(refused.value)


@given(data=st.binary(max_size=200))
def test_no_bytes_make_anything_but_an_error(data: bytes) -> None:
    with pytest.raises(BadWeights):
        decode(data)


def test_a_file_that_is_missing_or_huge_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadWeights, match=r"none\.json: cannot read"):
        load(tmp_path / "none.json")
    (tmp_path / "huge.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(BadWeights, match=r"huge\.json: more than 1 MiB"):
        load(tmp_path / "huge.json")


def test_an_agreement_never_weighs_much_more_than_shipped() -> None:
    for f, field in enumerate(bounded(shipped()).fields):
        for place, here in enumerate(field.levels):
            sure = msgspec.structs.replace(here, m=1.0, least_u=2.0**-200)
            fields = list(shipped().fields)
            fields[f] = msgspec.structs.replace(field, levels=(sure,) * len(field.levels))
            kept = bounded(msgspec.structs.replace(shipped(), fields=tuple(fields)))
            assert most_bits(f, place, kept.fields[f].levels[place]) <= (
                most_bits(f, place, here) + MOST_ADDED + 1e-6
            )
