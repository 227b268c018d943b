"""JSON Lines and JSON: objects as rows, each checked by itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records.files.reading import accounts, table

from acx.records.files import Column, Damaged, FileFormatError, Limits, TooLarge, WrongEncoding
from acx.records.files import text as text_module


def written(folder: Path, content: str | bytes, name: str = "a.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_text_lists_and_null_are_taken(tmp_path: Path) -> None:
    content = (
        '{"id": "1", "name": "Acme", "email": ["a@x.com", null, "", "b@x.com"], "kind": null}\n'
        "\n"
        '{"id": 2, "Kind": "Organization", "alias": [], "name": null, "birth_date": ["1990-01-31"]}'
    )
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.rows == [
        {"id": "1", "name": ["Acme"], "email": ["a@x.com", "b@x.com"]},
        {"id": "2", "kind": "organization", "birth_date": "1990-01-31"},
    ]
    assert reading.lines == [1, 3]


def test_a_bar_or_an_apostrophe_in_json_is_itself(tmp_path: Path) -> None:
    content = r"""{"id": "1", "name": "a|b", "phone": "'+49 30", "alias": ["x\\|y"]}"""
    assert accounts(written(tmp_path, content), tmp_path).rows == [
        {"id": "1", "name": ["a|b"], "phone": ["'+49 30"], "alias": ["x\\|y"]}
    ]


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        ('{"id": "2", "name": 5}', "name", "is a number; write text, in quotes, or a list"),
        ('{"id": "2", "name": {"first": "x"}}', "name", "is an object"),
        ('{"id": "2", "name": ["x", 5]}', "name", "value 2 is a number; write it as text"),
        ('{"id": "2", "name": [["x"]]}', "name", "value 1 is a list"),
        ('{"id": "2", "name": true}', "name", "is true or false"),
        ('{"id": ["2", "3"]}', "id", "has 2 values, one is allowed"),
        ('{"id": 2.5}', "id", "is a number; write text, in quotes"),
        ('{"id": true}', "id", "is true or false"),
        ('{"id": 1e400}', "", "not JSON: Number out of range"),
        ('{"name": "x"}', "id", "is missing"),
        ('{"id": "2", "kind": "company"}', "kind", "is company; allowed are person, organization"),
        ('{"id": "2", "birth_date": "31.01.1990"}', "birth_date", "written as YYYY-MM-DD"),
        ('{"id": "2", "birth_date": "1990-02-30"}', "birth_date", "not a date written as"),
        ('{"id": "2", "Name": "x", "name": "y"}', "name", "is there twice, spelt differently"),
        ('{"id": "2", "name": "a\\u0000b"}', "name", "holds a NUL character"),
        ('{"id": "2", "name": "\\ud800"}', "", "not JSON"),
        ('{"id": "2"', "", "not JSON"),
        ('{"id": "2"} {"id": "3"}', "", "not JSON"),
        ("[1, 2]", "", "is a list, not an object"),
        ("5", "", "is a number, not an object"),
        ("null", "", "is null, not an object"),
        ("id,name", "", "not JSON"),
        ('{"id": ' + "[" * 5000 + "]" * 5000 + "}", "", "nested too deep"),
        ('{"id": "2", "extra": ' + "[" * 5000 + "]" * 5000 + "}", "", "nested too deep"),
        ('{"id": "2", "name": "M\udcfcller"}', "", "not UTF-8: byte 0xfc"),
        ('{"id": "2\0"}', "", "holds a NUL byte"),
        ('{"id": "2", "alias": [' + '"x",' * 1000 + '"x"]}', "alias", "has 1,001 values"),
        ('{"id": "2", "alias": "' + "x" * 5000 + '"}', "alias", "more than 4,096 characters"),
        ('{"id": "2", "alias": "' + "x" * 70_000 + '"}', "", "longer than 65,536 bytes"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_the_lines_around_it_are_read(
    bad: str, field: str, reason: str, tmp_path: Path
) -> None:
    content = '{"id": "1"}\n' + bad + '\n{"id": "3"}\n'
    path = written(tmp_path, content.encode(errors="surrogateescape"))
    reading = accounts(path, tmp_path, limits=Limits(line_bytes=65_536))
    assert reading.ids == ["1", "3"]
    ((line, at, why),) = reading.reasons
    assert (line, at) == (2, field)
    assert reason in why


@pytest.mark.parametrize("tail", ["", "\n", " \n\n"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt", "a"])
def test_one_object_is_read_whatever_the_name(name: str, tail: str, tmp_path: Path) -> None:
    path = written(tmp_path, '{"id": "1", "name": ["Acme"]}' + tail, name)
    assert accounts(path, tmp_path).rows == [{"id": "1", "name": ["Acme"]}]


@pytest.mark.parametrize("block", [5, 32, 4096])
def test_a_list_is_read_over_several_lines_and_blocks(block: int, tmp_path: Path) -> None:
    content = """\ufeff [ {"id": "1", "name": "Ac\\u006de"},
      5,
      {
        "id": 27,
        "name": ["a", "}]"]
      } , {"id": "é漢😀"} ] \n"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", block)
        reading = accounts(written(tmp_path, content, "a.json"), tmp_path)
    assert reading.rows == [
        {"id": "1", "name": ["Acme"]},
        {"id": "27", "name": ["a", "}]"]},
        {"id": "é漢😀"},
    ]
    assert reading.lines == [1, 3, 6]
    assert reading.reasons == [(2, "", "is a number, not an object")]


def test_a_value_of_a_list_that_is_no_text_costs_its_row_alone(tmp_path: Path) -> None:
    content = '[{"id": "1"}, {"id": "\\ud800"}, {"id": NaN}, {"id": "4"}]'
    reading = accounts(written(tmp_path, content, "a.json"), tmp_path)
    assert reading.ids == ["1", "4"]
    assert all("not JSON" in why for *_, why in reading.reasons)


def test_an_object_over_several_lines_is_one_row(tmp_path: Path) -> None:
    path = written(tmp_path, '{\n  "id": "1",\n  "name": "Acme"\n}\n', "a")
    assert accounts(path, tmp_path).rows == [{"id": "1", "name": ["Acme"]}]


def test_an_empty_list_is_a_table_without_rows(tmp_path: Path) -> None:
    assert accounts(written(tmp_path, " [ ]\n", "a.json"), tmp_path).frame.height == 0


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ('[{"id": "1"}, {"id": ', Damaged, "(the file may be cut off)"),
        ('[{"id": "1"}', Damaged, "line 1: not JSON: a comma or the list's end is missing"),
        ('[{"id": "1"}\n {"id": "2"}]', Damaged, "line 2: not JSON"),
        ('[{"id": "1"},\n{"id": x}]', Damaged, "line 2: not JSON"),
        ('[{"id": "1"}] {}', Damaged, "text follows the end"),
        ('{"id": "1",\n"name": "x"}\n{"id": "2"}', Damaged, "one object a line is JSON Lines"),
        ("[" * 100_000, Damaged, "nested too deep"),
        ('[{"id": "' + "x" * 9000, TooLarge, "an object without an end within 8,192"),
        (b'[{"id": "M\xfcller"}]', WrongEncoding, "not UTF-8"),
        ("[" + "9" * 5000 + "]", Damaged, "a number it cannot hold"),
    ],
)
def test_a_document_that_is_broken_is_refused(
    content: str | bytes, error: type[FileFormatError], message: str, tmp_path: Path
) -> None:
    limits = Limits(line_bytes=8192)
    with pytest.raises(error) as raised:
        accounts(written(tmp_path, content, "a.json"), tmp_path, limits=limits)
    assert message in str(raised.value)


def test_unknown_members_are_ignored_with_one_warning(tmp_path: Path) -> None:
    content = (
        '{"id": "1", "adress": "x", "n": {"deep": [1]}}\n{"id": "2", "adress": 5, "late": 1}\n'
    )
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.ids == ["1", "2"]
    assert reading.rejects.warnings == [
        f"{tmp_path}/a.jsonl: columns ignored: adress (did you mean address?); n; late"
    ]


def test_a_file_whose_members_keep_changing_is_read_all_the_same(tmp_path: Path) -> None:
    content = "".join(f'{{"id": "{n}", "extra_{n}": 1, "NAME": "x"}}\n' for n in range(700))
    reading = accounts(written(tmp_path, content + '{"id": "z", "name": "y"}\n'), tmp_path)
    assert len(reading.ids) == 701
    assert reading.rows[-1] == {"id": "z", "name": ["y"]}
    assert reading.rows[5] == {"id": "5", "name": ["x"]}


def test_anything_can_be_carried_as_text(tmp_path: Path) -> None:
    content = '{"id": "1", "team": ["a", "b"]}\n{"id": "2", "team": {"x": 1.5}}\n{"id": "3"}\n'
    reading = accounts(written(tmp_path, content), tmp_path, carry=["team", "absent"])
    assert reading.frame["team"].to_list() == ["a|b", '{"x":1.5}', ""]
    assert "absent (--carry) is in no object" in reading.rejects.warnings[0]


def test_numbers_are_taken_where_a_column_allows_them(tmp_path: Path) -> None:
    columns = [Column(name="id"), Column(name="price", number=True)]
    content = '{"id": "1", "price": 19.90}\n{"id": "2", "price": "5"}\n{"id": "3", "price": true}\n'
    reading = table(written(tmp_path, content), tmp_path, columns)
    assert reading.frame["price"].to_list() == ["19.9", "5"]
    assert reading.reasons == [(3, "price", "is true or false; write a number or text")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(
    objects=st.lists(
        st.dictionaries(
            st.sampled_from(["id", "name", "ID", "Name ", "email", "kind", "x"]), json_values
        )
        | json_values,
        min_size=1,
        max_size=5,
    )
)
def test_every_object_is_a_row_or_a_reject_in_both_formats(
    objects: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("json")
    encoded = [msgspec.json.encode(value) for value in objects]
    lines = accounts(written(folder, b"\n".join(encoded), "a.jsonl"), folder, require_id=False)
    whole = accounts(
        written(folder, b"[" + b",".join(encoded) + b"]", "a.json"), folder, require_id=False
    )
    assert lines.rows == whole.rows
    assert sorted(row["reason"] for row in lines.rejected) == sorted(
        row["reason"] for row in whole.rejected
    )
    assert lines.rejects.count == len(lines.rejected)
    assert lines.rejects.accepted == lines.frame.height
