"""Mapping files: other names, constants, separators, dates, words."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from tests.records.files.reading import accounts

from acx.records.files import BadColumns, BadMapping, Mapping, write_table

FULL = """
[columns]
id = "Seller No."
name = "{first} {last}"
email = ["mail 1", "mail 2"]
address = "{street}, {zip} {city}"
contact = ["wechat:{wechat}", "whatsapp:{whatsapp}"]
kind = "type"
birth_date = "born"

[constants]
country = ["DE", "AT"]

[separators]
phone = ";"

[dates]
birth_date = ["%d.%m.%Y", "%Y%m%d"]

[values]
kind = { P = "person", C = "organization" }
"""


def mapped(folder: Path, text: str) -> Mapping:
    path = folder / "map.toml"
    path.write_text(text)
    return Mapping.load(path)


HEADER = "Seller No.,type,first,last,mail 1,mail 2,street,zip,city,phone,wechat,whatsapp,born\n"
ROWS = [
    "1,P,Ann,Lee,a@x.com|b@x.com,c@x.com,1 High St,E1,London,1 ;2; ,ann,123,31.01.1990",
    "2,C,,Acme,,,,,Berlin,,,,",
    "3,X,,,,,,,,,,,",
    "4,P,,,,,,,,,,,30.02.1990",
    "5,P,,,,,,,,,,,19900131",
]


def test_a_mapping_makes_our_fields_of_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "\n".join(ROWS))
    reading = accounts(tmp_path / "a.csv", tmp_path, mapping=mapped(tmp_path, FULL))
    assert reading.rows == [
        {
            "id": "1",
            "kind": "person",
            "name": ["Ann Lee"],
            "email": ["a@x.com", "b@x.com", "c@x.com"],
            "phone": ["1", "2"],
            "address": ["1 High St, E1 London"],
            "country": ["DE", "AT"],
            "contact": ["wechat:ann", "whatsapp:123"],
            "birth_date": "1990-01-31",
        },
        {
            "id": "2",
            "kind": "organization",
            "name": ["Acme"],
            "address": ["Berlin"],
            "country": ["DE", "AT"],
        },
        {"id": "5", "kind": "person", "country": ["DE", "AT"], "birth_date": "1990-01-31"},
    ]
    assert reading.reasons == [
        (4, "kind", "is X; allowed are person, organization"),
        (5, "birth_date", "is 30.02.1990, not a date written as %d.%m.%Y, %Y%m%d"),
    ]
    assert reading.rejects.warnings == []


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "xlsx"])
def test_a_mapping_does_the_same_in_every_format(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "\n".join(ROWS))
    mapping = mapped(tmp_path, FULL)
    expected = accounts(tmp_path / "a.csv", tmp_path, mapping=mapping)
    plain = pl.read_csv(tmp_path / "a.csv", infer_schema=False).fill_null("")
    lists = plain.with_columns(pl.col("mail 1").str.split("|"))
    write_table([lists], tmp_path / f"b.{suffix}")
    reading = accounts(tmp_path / f"b.{suffix}", tmp_path, mapping=mapping)
    assert reading.rows == expected.rows
    assert [why for *_, why in reading.reasons] == [why for *_, why in expected.reasons]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ours.csv", "id,name,phone\n1,a;b,1;2\n"),
        ("ours.jsonl", '{"id": "1", "name": "a;b", "phone": ["1;2"]}\n'),
    ],
)
def test_a_file_with_none_of_the_mapped_columns_is_read_by_our_own_names(
    name: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    reading = accounts(tmp_path / name, tmp_path, mapping=mapped(tmp_path, FULL))
    assert reading.rows == [{"id": "1", "name": ["a;b"], "phone": ["1;2"]}]
    (warning,) = reading.rejects.warnings
    assert warning.endswith(
        f"none of the columns that {tmp_path}/map.toml names, but acx's own; read by those"
    )


def test_a_separator_may_hold_for_every_field(tmp_path: Path) -> None:
    mapping = mapped(tmp_path, '[separators]\n"*" = ","\nname = ";"\n')
    (tmp_path / "a.jsonl").write_text('{"id": "1", "name": "a,b; c", "email": ["x, y", "z"]}\n')
    assert accounts(tmp_path / "a.jsonl", tmp_path, mapping=mapping).rows == [
        {"id": "1", "name": ["a,b", "c"], "email": ["x", "y", "z"]}
    ]


def test_a_template_needs_one_value_of_each_column(tmp_path: Path) -> None:
    mapping = mapped(tmp_path, '[columns]\nname = "{first} x"\nalias = "first"\n')
    (tmp_path / "a.jsonl").write_text(
        '{"id": "1", "first": ["a"]}\n{"id": "2", "first": ["a", "b"]}\n'
    )
    reading = accounts(tmp_path / "a.jsonl", tmp_path, mapping=mapping)
    assert reading.rows == [{"id": "1", "name": ["a x"], "alias": ["a"]}]
    assert reading.reasons == [(2, "name", "first has several values, one is needed")]


def test_a_mapped_column_that_is_missing_is_refused_with_the_key_that_asks_for_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("id,e-mails\n1,a@x.com\n")
    mapping = mapped(tmp_path, '[columns]\nemail = "e-mail"\n')
    with pytest.raises(BadColumns) as raised:
        accounts(tmp_path / "a.csv", tmp_path, mapping=mapping)
    assert str(raised.value) == (
        f"{tmp_path}/a.csv: has no column e-mail (columns.email in {tmp_path}/map.toml) "
        "(did you mean e-mails?); its columns are id, e-mails"
    )


def test_braces_may_be_text(tmp_path: Path) -> None:
    mapping = mapped(tmp_path, '[columns]\nname = "{{{x}}}"\nalias = "{{y}}"\n')
    (tmp_path / "a.csv").write_text("id,x,{y}\n1,a,b\n")
    assert accounts(tmp_path / "a.csv", tmp_path, mapping=mapping).rows == [
        {"id": "1", "name": ["{a}"], "alias": ["b"]}
    ]


def test_what_is_mapped_is_read_from_there_alone(tmp_path: Path) -> None:
    mapping = mapped(tmp_path, '[columns]\nname = "shop"\n')
    (tmp_path / "a.csv").write_text("id,name,shop\n1,not this,this\n")
    reading = accounts(tmp_path / "a.csv", tmp_path, mapping=mapping)
    assert reading.rows == [{"id": "1", "name": ["this"]}]
    assert "columns ignored: name" in reading.rejects.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "is not TOML"),
        ("\xff", "is not TOML"),
        ("[column]\nid = 'x'", "unknown section column (did you mean columns?)"),
        ("columns = 5", "columns must be a section, [columns]"),
        ("[columns]\nemials = 'x'", "columns.emials: no such field (did you mean email?); allowed"),
        ("[columns]\nid = 5", "columns.id: must be text or a list of texts, not empty"),
        ("[columns]\nid = []", "columns.id: must be text or a list of texts, not empty"),
        ("[columns]\nid = ''", "columns.id: must be text or a list of texts, not empty"),
        ("[columns]\nid = '{x'", "columns.id: expected '}' before end of string"),
        ("[columns]\nid = '{x!r}'", "columns.id: {} must hold the name of a column"),
        ("[columns]\nid = '{x:>9}'", "columns.id: {} must hold the name of a column"),
        ("[columns]\nid = '{}'", "columns.id: {} must hold the name of a column"),
        ("[separators]\nphone = ''", "separators.phone: must be a text of 1 to 8 characters"),
        ("[dates]\nbirth_date = '%d.%m.%y'", "dates.birth_date: %y leaves the century open"),
        ("[dates]\nbirth_date = 'DD.MM.YYYY'", "is no date format; write %d for the day"),
        ("[dates]\nbirth_date = '%Q %Y'", "is no date format"),
        ("[values]\nkind = 'x'", "values.kind: must be a table of texts"),
        ("[values]\nkind = { P = 5 }", "values.kind: must be a table of texts"),
        ("a = " + "[" * 3000, "is not TOML"),
    ],
)
def test_a_mapping_that_says_something_impossible_names_file_key_and_what_is_allowed(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "map.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadMapping, match=re.escape(message)) as raised:
        Mapping.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert raised.value.exit_code == 2


def test_a_mapping_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="cannot read the mapping: No such file"):
        Mapping.load(tmp_path / "none.toml")
    with pytest.raises(BadMapping, match="cannot read the mapping: Is a directory"):
        Mapping.load(tmp_path)
