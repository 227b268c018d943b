"""Where rows come from: files, folders, patterns, pipes, packed or not."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard
from tests.records.files.reading import accounts

from acx.records.files import (
    Damaged,
    FileFormatError,
    Limits,
    SourceNotFound,
    TooLarge,
    UnknownFormat,
    Unreadable,
    write_table,
)

CSV = b"id,name\n1,Acme\n2,Bcme\n"
PACK: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("name", ["a.csv", "a", "a.jsonl", "misleading.parquet.gz"])
def test_packing_is_told_by_the_content(packing: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "misleading.parquet.gz":
        write_table([pl.DataFrame({"id": ["1", "2"]})], tmp_path / "x.parquet")
        path.write_bytes(PACK[packing]((tmp_path / "x.parquet").read_bytes()))
    elif name == "a.jsonl":
        path.write_bytes(PACK[packing](b'{"id": "1"}\n{"id": "2"}\n'))
    else:
        path.write_bytes(PACK[packing](CSV))
    assert accounts(path, tmp_path).ids == ["1", "2"]


@pytest.mark.parametrize("packing", PACK)
def test_packed_files_laid_end_to_end_are_one(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv.x"
    path.write_bytes(PACK[packing](CSV) + PACK[packing](b"3,Ccme\n"))
    assert accounts(path, tmp_path).ids == ["1", "2", "3"]


@pytest.mark.parametrize("packing", PACK)
def test_packed_data_cut_off_or_broken_anywhere_is_refused(packing: str, tmp_path: Path) -> None:
    rows = b"".join(b"%d,name %d\n" % (n, n * n) for n in range(3000))
    whole = PACK[packing](b"id,name\n" + rows)
    path = tmp_path / "a.csv"
    for length in range(5, len(whole), len(whole) // 17):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"data is (cut off|broken)|is empty"):
            accounts(path, tmp_path)
    path.write_bytes(whole + b"trailing")
    with pytest.raises(Damaged, match="is broken after"):
        accounts(path, tmp_path)


def test_broken_packed_data_leave_no_rejects_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    rows = b"".join(b",no id %d\n" % (n * n) for n in range(3000))
    path.write_bytes(gzip.compress(b"id,name\n" + rows)[:-9])
    with pytest.raises(Damaged):
        accounts(path, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv.gz"]


@pytest.mark.parametrize("packing", PACK)
def test_a_bomb_is_refused_before_it_expands(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(PACK[packing](b"id\n" + b"1\n" * 2_000_000))
    limits = Limits(expansion_floor=100_000, expansion=100)
    with pytest.raises(TooLarge, match="expands to more than 100 times its size"):
        accounts(path, tmp_path, limits=limits)


def test_what_is_packed_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(CSV)))
    with pytest.raises(UnknownFormat, match="compressed twice"):
        accounts(path, tmp_path)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.xlsx", "a"])
def test_an_empty_file_is_refused(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Damaged, match="is empty; an export that failed looks like this"):
        accounts(tmp_path / name, tmp_path)


def test_a_folder_is_its_tables_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "2.jsonl").write_bytes(b'{"id": "2"}\n')
    (folder / "1.CSV").write_bytes(b"id\n1\n")
    (folder / "3.csv.gz").write_bytes(gzip.compress(b"id;name\n3;x\n"))
    (folder / "out.rejects.jsonl").write_bytes(b'{"file": "x"}\n')
    (folder / "README.md").write_bytes(b"#")
    (folder / ".hidden.csv").write_bytes(b"id\n9\n")
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "sub" / "4.csv").write_bytes(b"id\n4\n")
    os.mkfifo(folder / "pipe.csv")
    reading = accounts(folder, tmp_path)
    assert reading.ids == ["1", "2", "3"]
    assert [Path(name).name for name in reading.frame["_file"]] == ["1.CSV", "2.jsonl", "3.csv.gz"]
    assert reading.rejects.warnings == [f"{folder}: files left out: README.md, out.rejects.jsonl"]


def test_a_pattern_is_the_files_it_matches(tmp_path: Path) -> None:
    for name in ("a/1.csv", "a/2.csv", "b/3.csv", "b/4.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"id\n{name[2]}\n")
    assert accounts(f"{tmp_path}/**/*.csv", tmp_path).ids == ["1", "2", "3"]
    assert accounts(f"{tmp_path}/[ab]/[14].*", tmp_path).ids == ["1", "4"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "[x]*.csv").write_bytes(CSV)
    assert accounts(f"{tmp_path}/[x]*.csv", tmp_path).ids == ["1", "2"]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("missing.csv", SourceNotFound, "no such file"),
        ("missing/a.csv", SourceNotFound, "the folder .*missing does not exist"),
        ("*.csv", SourceNotFound, "no file matches this pattern"),
        ("empty", SourceNotFound, "no file in this folder ends in .csv, .tsv"),
        ("others", SourceNotFound, "it holds notes.md"),
        ("dangling", SourceNotFound, "no such file"),
        ("file/a.csv", SourceNotFound, "no such file"),
        ("a\0b", SourceNotFound, "cannot hold a NUL"),
        ("x" * 5000, Unreadable, "cannot read"),
    ],
)
def test_what_is_not_there_is_said_plainly(
    source: str, error: type[FileFormatError], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "notes.md").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(error, match=message):
        accounts(f"{tmp_path}/{source}", tmp_path)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="is a device or socket"):
        accounts(device, tmp_path)


def test_a_file_that_the_system_cannot_read_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading_end, writing_end = os.pipe()
    os.write(writing_end, CSV)
    # What is asked of the writing end is refused by the system itself.
    with os.fdopen(writing_end, "rb", buffering=0) as wrong_end:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(wrong_end)))
        with pytest.raises(Unreadable, match="cannot read"):
            accounts("-", tmp_path)
        os.close(reading_end)


def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root may read everything, so the test takes another name for a while.
        os.seteuid(65534)
    try:
        with pytest.raises(Unreadable, match="Permission denied"):
            accounts(path, tmp_path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    "content", [CSV, gzip.compress(CSV, mtime=0), b'[{"id": "1"},\n{"id": "2"}]']
)
def test_a_named_pipe_is_read_to_its_end(content: bytes, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeding = threading.Thread(target=lambda: pipe.write_bytes(content))
    feeding.start()
    assert accounts(pipe, tmp_path).ids == ["1", "2"]
    feeding.join()


@pytest.mark.parametrize(
    "suffix", ["csv", "jsonl", "json", "parquet", "xlsx", "parquet.gz", "csv.zst"]
)
def test_standard_input_may_be_any_format(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_table([pl.DataFrame({"id": ["1", "2"], "name": [["a", "b"], []]})], path)
    reading_end, writing_end = os.pipe()
    feeding = threading.Thread(target=_feed, args=(writing_end, path.read_bytes()))
    feeding.start()
    with os.fdopen(reading_end) as standard_input:
        monkeypatch.setattr(sys, "stdin", standard_input)
        reading = accounts("-", tmp_path)
    feeding.join()
    assert reading.rows == [{"id": "1", "name": ["a", "b"]}, {"id": "2"}]
    assert set(reading.frame["_file"]) == {"standard input"}


def _feed(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(content)


def test_standard_input_that_is_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(Damaged, match="standard input: is empty"):
        accounts("-", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0rest", "an old .xls workbook or one with a password"),
        (b"%PDF-1.7", "is a PDF"),
        (b"BZh91AY", "bzip2: use gzip or zstd"),
        (b"\xfd7zXZ\0", "xz: use gzip or zstd"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"<!DOCTYPE html><table>", "looks like HTML or XML"),
        (b"PK\x03\x04nonsense", "is cut off or broken as XLSX"),
        (b"PAR1nonsense", "is cut off or broken as Parquet"),
    ],
)
def test_other_kinds_of_files_are_named_with_what_to_do(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        accounts(tmp_path / "a.csv", tmp_path)


def test_a_spooled_file_is_bounded(tmp_path: Path) -> None:
    write_table([pl.DataFrame({"id": ["1"]})], tmp_path / "a.parquet.gz")
    with pytest.raises(TooLarge, match="more than 100 bytes"):
        accounts(tmp_path / "a.parquet.gz", tmp_path, limits=Limits(spooled_bytes=100))
