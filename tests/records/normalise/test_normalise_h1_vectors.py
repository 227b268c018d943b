"""The bytes of `h1`, frozen: a change here breaks every match with what was reported before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from acx.records.normalise import (
    NORMALISABLE_FIELDS,
    NotNormalisable,
    digest,
    digest_column,
    normalise,
    normalise_column,
)

FROZEN = json.loads(Path(__file__).with_name("h1_vectors.json").read_text(encoding="utf-8"))
KEY = bytes.fromhex(FROZEN["key"])
VECTORS: list[dict[str, Any]] = FROZEN["vectors"]


def test_every_field_has_vectors() -> None:
    assert {vector["field"] for vector in VECTORS} == set(NORMALISABLE_FIELDS)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: ascii(f"{v['field']}={v['value'][:40]}"))
def test_the_bytes_of_h1_never_change(vector: dict[str, Any]) -> None:
    field, value = vector["field"], vector["value"]
    countries, default = vector.get("countries", []), vector.get("default_country", "")
    column = pl.Series([value])
    own = pl.Series([countries], dtype=pl.List(pl.String))
    if vector["normalised"] is None:
        with pytest.raises(NotNormalisable):
            normalise(field, value, countries, default)
    else:
        assert normalise(field, value, countries, default) == vector["normalised"]
        assert digest(field, value, KEY, countries, default) == vector["digest"]
    assert normalise_column(field, column, own, default).item() == vector["normalised"]
    assert digest_column(field, column, KEY, own, default).item() == vector.get("digest")
