"""Output appears whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from acx.records.files import AtomicFile, Unwritable, write_table
from acx.records.files import write as write_module

SUFFIXES = ["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz", "xlsx.zst", "parquet.gz"]
FRAME = pl.DataFrame(
    {
        "account_id": ["=1", "b"],
        "probability": [0.5, 1.0],
        "reasons": [["name:exact:+7.5", "prior:-20"], []],
        "rank": [1, None],
        "selected": [True, False],
    }
)


def test_hits_are_written_as_the_documentation_says(tmp_path: Path) -> None:
    write_table([FRAME], tmp_path / "a.csv", joiners={"reasons": ";"})
    assert (tmp_path / "a.csv").read_text() == (
        "account_id,probability,reasons,rank,selected\n"
        "'=1,0.5,name:exact:+7.5;prior:-20,1,true\n"
        'b,1.0,"",,false\n'
    )
    write_table([FRAME], tmp_path / "a.jsonl")
    first, second = map(msgspec.json.decode, (tmp_path / "a.jsonl").read_bytes().splitlines())
    assert first == {
        "account_id": "=1",
        "probability": 0.5,
        "reasons": ["name:exact:+7.5", "prior:-20"],
        "rank": 1,
        "selected": True,
    }
    assert second["reasons"] == []
    write_table([FRAME], tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [first, second]
    write_table([FRAME], tmp_path / "a.json")
    assert msgspec.json.decode((tmp_path / "a.json").read_bytes()) == [first, second]


def test_columns_of_any_kind_can_be_written_to_cells(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "+x": [[{"a": 1, "b": ["y"]}], [], None],
            "one": [{"a": 1}, None, {"a": None}],
            "day": [pl.date(2026, 1, 31), None, None],
            "numbers": [[1, 2], None, []],
            "nothing": [None, None, None],
        }
    ).with_columns(day=pl.Series([None, None, None], dtype=pl.Date))
    write_table([frame], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "'+x,one,day,numbers,nothing",
        '"[{""a"":1,""b"":[""y""]}]","{""a"":1}","",1|2,""',
        '"","","","",""',
        '"","{""a"":null}","","",""',
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_on_the_way_leaves_what_was_there_before(suffix: str, tmp_path: Path) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise RuntimeError

    path = tmp_path / f"a.{suffix}"
    with pytest.raises(RuntimeError):
        write_table(failing(), path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    with pytest.raises(RuntimeError):
        write_table(failing(), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_a_full_disk_is_said_plainly_and_nothing_is_left(tmp_path: Path) -> None:
    code = (
        "import resource, sys, signal\n"
        "import polars as pl\n"
        "from acx.records.files import Unwritable, write_table\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "noise = pl.Series('id', range(200_000)).hash().cast(pl.String).to_frame()\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        write_table([noise, noise], path)\n"
        "    except Unwritable as error:\n"
        "        print(error)\n"
    )
    paths = [f"{tmp_path}/a.{suffix}" for suffix in SUFFIXES]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines() == [
        f"{path}: cannot write: File too large; nothing was written" for path in paths
    ]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_without_frames_has_the_columns_of_its_schema(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    assert write_table([], path, schema=dict(FRAME.schema)) == 0
    assert path.stat().st_size > 0 or suffix == "jsonl"
    if suffix == "csv":
        assert path.read_text() == "account_id,probability,reasons,rank,selected\n"
    if suffix == "parquet":
        assert pq.read_schema(path).names == FRAME.columns


def test_many_frames_become_few_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_module, "_ROWS", 10)
    assert write_table([FRAME] * 13, tmp_path / "a.parquet") == 26
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


@pytest.mark.parametrize(
    ("name", "format_", "message"),
    [
        ("a.xls", None, r"a\.xls: no format acx writes \(did you mean xlsx\?\); end the name in"),
        ("a", None, r"/a: no format acx writes; end the name in \.jsonl, \.json, \.csv"),
        ("a.csv", "stix", r"--format stix: no format acx writes"),
    ],
)
def test_an_unknown_format_is_refused(
    name: str, format_: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(Unwritable, match=message):
        write_table([FRAME], tmp_path / name, format=format_)
    assert list(tmp_path.iterdir()) == []


def test_the_format_asked_for_wins_over_the_name(tmp_path: Path) -> None:
    write_table([FRAME.select("account_id")], tmp_path / "a.txt", format="csv")
    assert (tmp_path / "a.txt").read_text() == "account_id\n'=1\nb\n"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.csv", "cannot write: No such file or directory"),
        ("folder.csv", "is a folder; name a file"),
        ("file/a.csv", "cannot write: Not a directory"),
        ("x" * 300 + ".csv", "cannot write: File name too long"),
    ],
)
def test_a_place_that_takes_no_file_is_said_plainly(
    path: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unwritable, match=message):
        write_table([FRAME], tmp_path / path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_a_link_is_followed_and_permissions_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.csv"
    real.write_text("before")
    real.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    write_table([FRAME], link)
    assert link.is_symlink()
    assert real.read_text().startswith("account_id")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_device_or_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    write_table([FRAME], "/dev/null", format="csv")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    read: list[str] = []
    reading = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reading.start()
    write_table([FRAME], pipe)
    reading.join()
    assert read[0].startswith("account_id")


@pytest.mark.parametrize(
    ("format_", "start"),
    [(None, b'{"id":"1"}\n'), ("csv", b"id\n1\n"), ("parquet", b"PAR1"), ("xlsx", b"PK")],
)
def test_standard_output_gets_all_or_nothing(
    format_: str | None, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))

    def failing() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"id": ["1"]})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_table(failing(), "-", format=format_)
    assert output.getvalue() == b""
    write_table([pl.DataFrame({"id": ["1"]})], "-", format=format_)
    assert output.getvalue().startswith(start)


def test_standard_output_that_is_closed_is_said_plainly() -> None:
    code = (
        "import polars as pl\n"
        "from acx.records.files import Unwritable, write_table\n"
        "import sys\n"
        "try:\n"
        "    write_table([pl.DataFrame({'id': ['x' * 100] * 50_000})], '-')\n"
        "except Unwritable as error:\n"
        "    print(error, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        message = process.stderr.read().decode()
    assert message.startswith("standard output: cannot write: Broken pipe")
    assert "Traceback" not in message


def test_a_file_that_is_discarded_leaves_no_trace(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "a")
    file.write(b"x")
    file.discard()
    file.commit()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Unwritable, match="already closed"):
        file.write(b"y")
