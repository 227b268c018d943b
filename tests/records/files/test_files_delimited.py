"""CSV: what is understood, and that a bad row costs no good one."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.records.files.reading import accounts

from acx.records.files import (
    BadColumns,
    Damaged,
    FileFormatError,
    Limits,
    Rejects,
    WrongEncoding,
    read_accounts,
)
from acx.records.files import text as text_module
from acx.records.files.cells import INVISIBLE


def written(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "id,name,email\n1,Acme,a@x.com|b@x.com\n",
        "id;name;email\r\n1;Acme;a@x.com|b@x.com\r\n",
        "id\tname\temail\n1\tAcme\ta@x.com|b@x.com",
        "\ufeffid,name,email\n1,Acme,a@x.com|b@x.com\n",
        "sep=;\nid;name;email\n1;Acme;a@x.com|b@x.com\n",
        "\n\nid,name,email\n\n1,Acme,a@x.com|b@x.com\n\n",
        "id,name,email\r1,Acme,a@x.com|b@x.com\r",
        ' ID ,"Name",\u200bEMAIL\n1,"Acme","a@x.com|b@x.com"\n',
        'id,name,email\n"1",Acme,"a@x.com|b@x.com"\n,,\n"","",""\n',
    ],
    ids=["comma", "semicolon", "tab", "mark", "announced", "blank", "returns", "names", "empty"],
)
def test_the_usual_kinds_of_csv_are_understood(content: str, tmp_path: Path) -> None:
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.rows == [{"id": "1", "name": ["Acme"], "email": ["a@x.com", "b@x.com"]}]
    assert reading.rejected == []


def test_the_delimiter_that_names_known_columns_wins(tmp_path: Path) -> None:
    content = 'id;name;"note, with, many, commas"\n1;Acme, Inc.;x\n'
    assert accounts(written(tmp_path, content), tmp_path).rows == [
        {"id": "1", "name": ["Acme, Inc."]}
    ]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    content = 'id,address\n1,"a\nb\nc"\n\n2,x\n3,"d\r\ne"\n4,y\n'
    assert accounts(written(tmp_path, content), tmp_path).lines == [2, 6, 7, 9]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('2,"never closed', "a quote in it does not close"),
        ('2,"closed" and on', "text follows a closing quote"),
        ("2", "has 1 cells where the header has 2"),
        ("2,a,b", "has 3 cells where the header has 2"),
        ("2,a\0b", "holds a NUL byte"),
        (b"2,M\xfcller", "not UTF-8: byte 0xfc at place 4 of the line"),
        (",no id", "is missing"),
        ("1,again", "1 came before, in line 2"),
        ("2," + "|".join("abcdefghijk"), "has 11 values, at most 10 are allowed"),
        ("2," + 30 * "x", "a value of more than 20 characters"),
        ("2," + 300 * "x", "longer than 200 bytes"),
        ('2,"' + 300 * "x\n" + '"', "does not close"),
    ],
)
def test_a_bad_row_is_named_and_the_rows_around_it_are_read(
    bad: str | bytes, reason: str, tmp_path: Path
) -> None:
    bad = bad.encode() if isinstance(bad, str) else bad
    content = b"id,name\n1,before\n" + bad + b'\n3,"after, with ""quotes"""\n4,last\n'
    limits = Limits(line_bytes=200, values=10, characters=20)
    reading = accounts(written(tmp_path, content), tmp_path, limits=limits)
    assert [i for i in reading.ids if i in "134"] == ["1", "3", "4"]
    assert reading.rejected[0]["line"] == 3
    assert reason in reading.rejected[0]["reason"]
    assert reading.rejected[0]["file"].endswith("a.csv")
    assert reading.rejects.count == len(reading.rejected)


def test_a_quote_that_never_closes_does_not_swallow_what_follows(tmp_path: Path) -> None:
    rows = "".join(f'{n},"Shop ""{n}""",x\n' for n in range(500))
    content = 'id,name,email\nbad,"open,x\n' + rows + 'worse,"open again\n' + "z,last,x\n"
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.ids == [str(n) for n in range(500)] + ["z"]
    assert [row["row"] for row in reading.rejected] == ['bad,"open,x', 'worse,"open again']


def test_quotes_within_a_cell_that_starts_without_one_are_text(tmp_path: Path) -> None:
    reading = accounts(written(tmp_path, 'id,name\n1,5" pipe\n2,the "best"\n'), tmp_path)
    assert reading.rows == [{"id": "1", "name": ['5" pipe']}, {"id": "2", "name": ['the "best"']}]


# The csv module of Python 3.11 puts no quotes round a lone carriage return.
cells = st.text(st.sampled_from('ab ,;"\n|é漢'), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    ends=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([7, 64, 4096]),
)
def test_whatever_the_csv_module_writes_is_read_as_it_was(
    rows: list[tuple[str, str]],
    quoting: int,
    ends: str,
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=quoting, lineterminator=ends)  # type: ignore[arg-type]
    writer.writerow(["id", "note", "other"])
    writer.writerows((f"{n}", *row) for n, row in enumerate(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", block)
        path = written(folder, buffer.getvalue())
        reading = accounts(path, folder, fields=("id",), carry=("note", "other"))
    assert reading.rejected == []
    assert reading.frame.select("id", "note", "other").rows() == [
        (f"{n}", *row) for n, row in enumerate(rows)
    ]


@settings(max_examples=100, deadline=None)
@given(
    garbage=st.lists(
        st.text(st.sampled_from('ab,"\n\r|='), max_size=12).map(str.encode) | st.binary(max_size=8),
        max_size=5,
    ),
    block=st.sampled_from([7, 64, 4096]),
    end=st.sampled_from([b"\n9,good\n", b"", b"\r"]),
)
def test_no_bytes_whatever_cause_more_than_an_error_for_people(
    garbage: list[bytes], block: int, end: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    content = b"id,name\n1,good\n" + b"\n".join(garbage) + end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", block)
        path = written(folder, content)
        try:
            reading = accounts(path, folder)
        except FileFormatError:
            return
    assert reading.ids[0] == "1"
    assert reading.rejects.count == len(reading.rejected)


def test_good_rows_survive_any_bad_line_between_them(tmp_path: Path) -> None:
    bad = ['x,"', '""",', 'x,"a" b', "x", "x,y,z", '"x', 'x,""y', "\0"]
    lines = [line for n, b in enumerate(bad) for line in (f"{n},good {n}", b)]
    content = "id,name\n" + "\n".join(lines) + "\nlast,good\n"
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.ids == [*map(str, range(len(bad))), "last"]
    assert [row["line"] for row in reading.rejected] == list(range(3, 3 + 2 * len(bad), 2))


def test_a_number_that_a_spreadsheet_has_rounded_is_rejected(tmp_path: Path) -> None:
    content = 'id,phone,name\n1,4.93012E+11,x\n2,\'+49 30 1,7E+10\n3,"1,5E+12",x\n'
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.ids == ["2"]
    assert [(line, field) for line, field, _ in reading.reasons] == [(2, "phone"), (3 + 1, "phone")]
    assert "a spreadsheet has rounded" in reading.reasons[0][2]


def test_damaged_lines_cost_the_records_that_hold_them(tmp_path: Path) -> None:
    rows = [b'%d,"a\nb%s\nc"' % (n, b"\xff" if n % 3 == 0 else b"") for n in range(30)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", 50)
        path = written(tmp_path, b"id,name\n" + b"\n".join(rows))
        reading = accounts(path, tmp_path)
    assert reading.ids == [str(n) for n in range(30) if n % 3]
    assert [line for line, *_ in reading.reasons] == [2 + 3 * n for n in range(0, 30, 3)]


def test_a_line_of_any_length_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    content = b"id,name\n1,a\n2," + b"x" * 3_000_000 + b"\n3,c\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", 10_000)
        path = written(tmp_path, content)
        reading = accounts(path, tmp_path, limits=Limits(line_bytes=50_000))
    assert reading.ids == ["1", "3"]
    assert reading.lines == [2, 4]
    assert reading.reasons == [(3, "", "longer than 50,000 bytes")]
    assert len(reading.rejected[0]["row"]) < 1000


@pytest.mark.parametrize("last", ['2,"a"b', '2,"a', "2", '"', '2,"a"\r', "2,a,b"])
def test_a_last_line_without_an_end_is_a_line(last: str, tmp_path: Path) -> None:
    reading = accounts(written(tmp_path, "id,name\n1,x\n" + last), tmp_path)
    assert reading.ids[0] == "1"
    assert len(reading.ids) + reading.rejects.count == 2


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("", Damaged, "is empty"),
        ("\ufeff", Damaged, "no header line"),
        ("\n\n", Damaged, "no header line"),
        ("id,name,name\n1,a,b\n", BadColumns, "column name is there 2 times (columns 2, 3)"),
        ("name,email\nAcme,a@x.com\n", BadColumns, "has no column id"),
        ("ident,nam\n1,a\n", BadColumns, "names no column that is known here, but ident, nam"),
        ("1,Acme,a@x.com\n2,Bcme,b@x.com\n", BadColumns, "names no column"),
        ('"id,name\n1,a\n', Damaged, "quotes of the header line do not pair"),
        (b"id,stra\xdfe\n1,x\n", WrongEncoding, "line 1, the header: not UTF-8: byte 0xdf"),
        ("id,name\n1,Müller\n".encode("utf-16-le"), WrongEncoding, "--encoding utf-16-le"),
        ("id,name\n1,Müller\n".encode("utf-16-be"), WrongEncoding, "--encoding utf-16-be"),
        ("id," + ",".join(f"c{n}" for n in range(3000)) + "\n", FileFormatError, "3,001 columns"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused_with_what_to_do(
    content: str | bytes, error: type[FileFormatError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as raised:
        accounts(written(tmp_path, content), tmp_path)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*.rejects*"))


def test_a_missing_column_suggests_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(
        BadColumns, match=r"no column id .*did you mean idd\?.* columns are idd, name"
    ):
        accounts(written(tmp_path, "idd,name\n1,a\n"), tmp_path)


@pytest.mark.parametrize("rows", ["", ",rejected\n", "\n,\n"])
def test_a_table_without_good_rows_is_one_frame_with_its_columns(rows: str, tmp_path: Path) -> None:
    path = written(tmp_path, "id,name,team\n" + rows)
    (frame,) = read_accounts(path, rejects=Rejects(), carry=["team"])
    assert frame.height == 0
    (full,) = read_accounts(
        written(tmp_path, "id,name,team\n1,x,y\n"), rejects=Rejects(), carry=["team"]
    )
    assert frame.schema == full.schema


def test_one_column_is_enough(tmp_path: Path) -> None:
    assert accounts(written(tmp_path, "id\n1\n\n2\n"), tmp_path).ids == ["1", "2"]


def test_unknown_columns_are_ignored_with_one_warning_that_names_them(tmp_path: Path) -> None:
    content = "id,e_mail,colour\n" + "".join(f"{n},a@x.com,red\n" for n in range(50))
    reading = accounts(written(tmp_path, content), tmp_path)
    assert reading.rejects.warnings == [
        f"{tmp_path}/a.csv: columns ignored: e_mail (did you mean email?); colour"
    ]
    assert not {"e_mail", "colour"} & set(reading.frame.columns)


def test_a_column_comes_along_only_when_carried(tmp_path: Path) -> None:
    path = written(tmp_path, "id,Team,email\n1,A|B,a@x.com|b@x.com\n")
    reading = accounts(path, tmp_path, carry=["team", "email"])
    assert reading.frame["team"].to_list() == ["A|B"]
    assert reading.frame["email"].to_list() == [["a@x.com", "b@x.com"]]
    with pytest.raises(BadColumns, match=r"no column tem \(--carry\) \(did you mean Team\?\)"):
        accounts(path, tmp_path, carry=["tem"])


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "gb18030", "utf-8-sig", "ascii"])
def test_text_is_read_in_the_encoding_named(encoding: str, tmp_path: Path) -> None:
    name = {"windows-1252": "Müller €", "gb18030": "深圳", "ascii": "Mueller"}.get(encoding, "é漢")
    path = written(tmp_path, f'id,name\n1,"{name}"\n'.encode(encoding))
    assert accounts(path, tmp_path, encoding=encoding).rows == [{"id": "1", "name": [name]}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_is_believed(encoding: str, tmp_path: Path) -> None:
    path = written(tmp_path, "id,name\n1,é漢\n".encode(encoding))
    assert accounts(path, tmp_path).rows == [{"id": "1", "name": ["é漢"]}]


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "../x", ""])
def test_an_encoding_that_is_none_is_refused_with_examples(encoding: str, tmp_path: Path) -> None:
    with pytest.raises(WrongEncoding, match=r"no such text encoding; common ones are utf-8"):
        accounts(written(tmp_path, "id\n1\n"), tmp_path, encoding=encoding or "x" * 200)


def test_bytes_that_the_named_encoding_lacks_cost_their_row_alone(tmp_path: Path) -> None:
    path = written(tmp_path, b"id,name\n1,a\x81b\n2,caf\xe9\n")
    reading = accounts(path, tmp_path, encoding="windows-1252")
    assert reading.rows == [{"id": "2", "name": ["café"]}]
    assert "not windows-1252: byte 0x81" in reading.rejected[0]["reason"]


def test_text_in_a_wide_encoding_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "id,name\n1,a\n".encode("utf-16") + b"x")
    with pytest.raises(WrongEncoding, match="is not utf-16-le text"):
        accounts(path, tmp_path)


def test_a_value_of_invisible_marks_is_none_and_marks_in_values_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, f"id,name,alias\n1,{INVISIBLE[-1]} \u200b,\u202eevil\u200b\n")
    assert accounts(path, tmp_path).rows == [{"id": "1", "alias": ["\u202eevil\u200b"]}]


def test_messages_show_marks_that_act_on_a_terminal_as_escapes(tmp_path: Path) -> None:
    with pytest.raises(BadColumns) as raised:
        accounts(written(tmp_path, "\u202eevil\u200b,\x1b[31m\nx,y\n"), tmp_path)
    assert r"\u202eevil\u200b, \u001b[31m" in str(raised.value)


def test_rows_come_in_frames_of_the_size_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "id\n" + "".join(f"{n}\n" for n in range(25)))
    frames = list(read_accounts(path, rejects=Rejects(), batch_rows=10))
    assert [frame.height for frame in frames] == [10, 10, 5]
    assert pl.concat(frames)["id"].to_list() == [str(n) for n in range(25)]


def test_duplicates_are_found_over_blocks_and_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    written(folder, "id\n" + "".join(f"{n}\n" for n in range(500)), "1.csv")
    written(folder, "id\nnew\n123\nnew\n", "2.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "BLOCK_BYTES", 64)
        reading = accounts(folder, tmp_path)
    assert reading.frame.height == 501
    again = "put everything about one id in one row, values joined by |"
    assert [reason for _, _, reason in reading.reasons] == [
        f"123 came before, in line 125 of {folder}/1.csv; {again}",
        f"new came before, in line 2; {again}",
    ]
