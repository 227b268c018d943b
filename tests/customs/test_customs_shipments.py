"""Shipments of any administration become one typed record; what is wrong is told by its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.customs.errors import BadShipments
from acx.customs.shipments import BUILT_IN, Label, load_mapping, read_shipments, recognise
from acx.records.files import Rejects

HEAD = "shipment_id,date,hs_code,country_origin,declared_value,net_mass,currency,finding\n"


def read(tmp_path: Path, text: str, **options: Any) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    path, place = tmp_path / "shipments.csv", tmp_path / "rejects.jsonl"
    path.write_text(text, encoding="utf-8")
    with Rejects(place) as rejects:
        frame = pl.concat(read_shipments(path, rejects=rejects, **options))
    lines = place.read_text().splitlines() if place.exists() else []
    return frame, [json.loads(line) for line in lines]


def test_hs_codes_get_back_the_zero_that_a_spreadsheet_dropped(tmp_path: Path) -> None:
    codes = ["90111", "0901.11", "640411", "6404 11 00", "30490", "9"]
    rows = "".join(f"{n},2026-01-01,{code},CN,5,1,EUR,\n" for n, code in enumerate(codes))
    frame, rejects = read(tmp_path, HEAD + rows)
    assert frame["hs_code"].to_list() == [
        "090111", "090111", "640411", "64041100", "030490", "09"
    ]  # fmt: skip
    assert rejects == []


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("a,2026-01-01,640411,CN,-5,1,EUR,", "declared_value"),
        ("a,2026-01-01,640411,CN,5,minus,EUR,", "net_mass"),
        ("a,2026-01-01,640411,China,5,1,EUR,", "country_origin"),
        ("a,2026-01-01,SHOES,CN,5,1,EUR,", "hs_code"),
        ("a,2026-01-01,640411,CN,5,1,EURO,", "currency"),
        ("a,2026-02-31,640411,CN,5,1,EUR,", "date"),
        ("a,2026-01-01,640411,CN,5,1,EUR,perhaps", "finding"),
        (",2026-01-01,640411,CN,5,1,EUR,", "shipment_id"),
    ],
)
def test_a_wrong_value_is_told_by_line_and_field_and_the_rows_around_it_are_read(
    tmp_path: Path, row: str, field: str
) -> None:
    good = "good-{},2026-01-01,640411,CN,5,1,EUR,clear\n"
    text = HEAD + good.format(1) + row + "\n" + good.format(2)
    frame, rejects = read(tmp_path, text, labels=[Label("finding")])
    assert frame["shipment_id"].to_list() == ["good-1", "good-2"]
    assert [(reject["line"], reject["field"]) for reject in rejects] == [(3, field)]


def test_a_shipment_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    row = "a,2026-01-01,640411,CN,5,1,EUR,\n"
    frame, rejects = read(tmp_path, HEAD + row + row)
    assert (len(frame), [reject["field"] for reject in rejects]) == (1, ["shipment_id"])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234.5", 1234.5),
        ('"1,234.50"', 1234.5),
        ('"1.234,50"', 1234.5),
        ('"12,5"', 12.5),
        ("1 234.5", 1234.5),
        ("1e3", 1000.0),
        ("0", 0.0),
        ("", None),
    ],
)
def test_numbers_are_read_in_the_usual_writings(
    tmp_path: Path, text: str, number: float | None
) -> None:
    frame, rejects = read(tmp_path, HEAD + f"a,2026-01-01,640411,CN,{text},,EUR,\n")
    assert (frame["declared_value"].to_list(), rejects) == ([number], [])


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_a_number_that_python_writes_is_read_back(number: float) -> None:
    from acx.customs.shipments import _number

    read_back = pl.select(_number(pl.lit(repr(number)))).item()
    assert read_back == number


def test_dates_in_other_writings_come_through_a_mapping(tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[dates]\ndate = ["%d.%m.%Y", "%Y%m%d", "%Y-%m-%d"]\n')
    rows = "".join(
        f"{n},{day},640411,CN,5,1,EUR,\n"
        for n, day in enumerate(("31.01.2026", "20260131", "2026-01-31"))
    )
    frame, rejects = read(tmp_path, HEAD + rows, mapping=load_mapping(mapping))
    assert (frame["date"].cast(pl.String).unique().to_list(), rejects) == (["2026-01-31"], [])


def test_missing_columns_that_are_needed_are_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="hs_code"):
        read(tmp_path, "shipment_id,date\na,2026-01-01\n")


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_mapping_that_comes_with_acx_reads_files_of_its_kind(tmp_path: Path, name: str) -> None:
    mapping = load_mapping(name)
    values = {
        "date": "2026-01-31",
        "hs_code": "640411",
        "declared_value": "12.50",
        "country_origin": "CN",
        "shipment_id": "X1",
    }
    row = {templates[0].columns[0]: "" for templates in mapping.columns.values()}
    row |= {mapping.columns[field][0].columns[0]: value for field, value in values.items()}
    path = tmp_path / f"{name}.csv"
    pl.DataFrame([row]).write_csv(path)
    found = recognise(str(path))
    assert found is not None
    assert found.file == mapping.file
    frame = pl.concat(read_shipments(path, rejects=Rejects(), mapping=found))
    shown = frame.select(*values).with_columns(pl.col("date").cast(pl.String)).to_dicts()
    assert shown == [values | {"declared_value": 12.5}]


def test_ones_own_columns_need_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(HEAD)
    assert recognise(str(path)) is None


def test_labels_count_words_numbers_and_thresholds(tmp_path: Path) -> None:
    text = "shipment_id,date,hs_code,seen,grade\n"
    for number, (seen, grade) in enumerate(
        [("yes", "0"), ("0", "1"), ("", "2"), ("undervalued", "2"), ("clear", "")]
    ):
        text += f"{number},2026-01-01,640411,{seen},{grade}\n"
    frame, rejects = read(tmp_path, text, labels=[Label.parse("seen"), Label.parse("grade>=2=3")])
    assert frame["label_0"].to_list() == [True, False, None, True, False]
    assert frame["label_1"].to_list() == [False, False, True, True, None]
    assert (Label.parse("grade>=2=3").weight, rejects) == (3.0, [])


@pytest.mark.parametrize("text", ["", "=2", "x=zero", "x>=much", "x=-1"])
def test_a_label_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadShipments, match="--label"):
        Label.parse(text)
