"""Parquet: any column that holds text, whole numbers or dates."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from tests.records.files.reading import accounts, table

from acx.records.files import BadColumns, Column, Damaged, FileFormatError, Limits, TooLarge


def written(folder: Path, columns: dict[str, pa.Array], **options: object) -> Path:
    path = folder / "a.parquet"
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_lists_text_numbers_and_dates_are_taken(tmp_path: Path) -> None:
    columns = {
        "id": pa.array([1, 2]),
        "name": pa.array([["Acme", None, ""], None], pa.list_(pa.string())),
        "alias": pa.array(["a|b\\|c", None]).dictionary_encode(),
        "phone": pa.array(["'+49 30 1", "+49 30 2"], pa.large_string()),
        "tax_id": pa.array([49.0, None], pa.float64()),
        "birth_date": pa.array([dt.date(1990, 1, 31), None]),
        "device": pa.array([None, None]),
        "email": pa.array([["a@x.com"], []], pa.large_list(pa.large_string())),
        "kind": pa.array(["Person", ""], pa.string_view()),
    }
    reading = accounts(written(tmp_path, columns), tmp_path)
    assert reading.rejected == []
    assert reading.rows == [
        {
            "id": "1",
            "kind": "person",
            "name": ["Acme"],
            "alias": ["a", "b|c"],
            "email": ["a@x.com"],
            "phone": ["+49 30 1"],
            "tax_id": ["49"],
            "birth_date": "1990-01-31",
        },
        {"id": "2", "phone": ["+49 30 2"]},
    ]


def test_rows_are_numbered_over_row_groups(tmp_path: Path) -> None:
    path = written(tmp_path, {"ID": pa.array(["a", "b", "", "d"])}, row_group_size=1)
    reading = accounts(path, tmp_path)
    assert reading.lines == [1, 2, 4]
    assert reading.reasons == [(3, "id", "is missing")]
    assert reading.rejected[0]["row"] == {"ID": ""}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"first": "x"}]),
        pa.array([True]),
        pa.array([[1.5]]),
        pa.array([0.5]),
        pa.array([b"\xff"]),
        pa.array([[["x"]]]),
    ],
)
def test_a_column_that_holds_no_text_is_refused_by_name(column: pa.Array, tmp_path: Path) -> None:
    with pytest.raises(BadColumns, match=r"column name .*write it as text"):
        accounts(written(tmp_path, {"id": pa.array(["1"]), "name": column}), tmp_path)


def test_numbers_structures_and_whatever_is_carried_are_text(tmp_path: Path) -> None:
    columns = {
        "id": pa.array(["1", "2"]),
        "price": pa.array([19.9, None]),
        "things": pa.array([[{"a": 1}], None]),
        "label": pa.array([True, False]),
    }
    declared = [
        Column(name="id"),
        Column(name="price", number=True),
        Column(name="things", structure=list[dict[str, int]]),
        Column(name="label", as_written=True, one_of=("true", "false")),
    ]
    expected = [("19.9", '[{"a":1}]', "true"), ("", "", "false")]
    reading = table(written(tmp_path, columns), tmp_path, declared)
    assert reading.frame.select("price", "things", "label").rows() == expected
    reading = accounts(tmp_path / "a.parquet", tmp_path, carry=["things", "price", "label"])
    assert reading.frame.select("price", "things", "label").rows() == expected


def test_a_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    with pytest.raises(FileFormatError):
        accounts(written(tmp_path, {"id": broken}), tmp_path)


def test_any_truncation_and_any_broken_byte_is_an_error_for_people(tmp_path: Path) -> None:
    columns = {"id": pa.array([str(n) for n in range(100)]), "name": pa.array([["x"]] * 100)}
    whole = written(tmp_path, columns).read_bytes()
    path = tmp_path / "broken.parquet"
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            accounts(path, tmp_path)
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with contextlib.suppress(FileFormatError):
            assert accounts(path, tmp_path).rejects.count <= 100


@pytest.mark.parametrize("many", [False, True])
def test_a_long_value_named_in_every_row_is_refused_unexpanded(many: bool, tmp_path: Path) -> None:
    rows = 60_000
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 100_000])
    if many:
        repeated = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), repeated)
    columns = {"id": pa.array([str(n) for n in range(rows)]), "name": repeated}
    with pytest.raises(TooLarge, match="column name holds more than 1,073,741,824 bytes of text"):
        accounts(written(tmp_path, columns), tmp_path)


def test_a_page_that_expands_like_a_bomb_is_refused(tmp_path: Path) -> None:
    columns = {"id": pa.array(["x" * 1_000_000 + str(n) for n in range(5)])}
    path = written(tmp_path, columns, compression="zstd", use_dictionary=False)
    limits = Limits(expansion_floor=100_000, expansion=100)
    with pytest.raises(TooLarge, match="column id expands to more than 100 times its size"):
        accounts(path, tmp_path, limits=limits)


def test_a_name_that_promises_parquet_is_not_enough(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("id,name\n1,x\n")
    with pytest.raises(Damaged, match="is no Parquet file though its name says so"):
        accounts(path, tmp_path)
