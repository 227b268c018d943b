"""Files: a seller base of a million accounts, read and written in every format.

Data: made from a fixed pattern; ten of twenty fields filled, some with two values, every phone
guarded. XLSX has a hundred thousand rows, the others a million.
Bar: CSV read < 10 s, Parquet < 5 s, none over 1 GB.
Times are CPU seconds over all threads, so that a busy machine gives the same; memory is the
largest of the process that reads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from acx.records.account import FIELDS, LIST_FIELDS
from acx.records.files import write_table

ROWS = 1_000_000
BATCH = 50_000
READ = """
import resource, sys
from acx.records.files import Rejects, read_accounts
rows = sum(frame.height for frame in read_accounts(sys.argv[1], rejects=Rejects()))
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which begins with that of the process that started this one.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(f"{rows:>9,} rows  read {used.ru_utime + used.ru_stime:5.1f} s  {int(peak) // 1024} MB")
"""


def main() -> None:
    """Write, read in a process of its own, print."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("csv", "parquet", "jsonl", "json", "csv.gz", "jsonl.zst", "xlsx"):
            rows = ROWS // 10 if suffix == "xlsx" else ROWS
            path = Path(folder) / f"accounts.{suffix}"
            start = time.process_time()
            write_table(_accounts(rows), path)
            written = time.process_time() - start
            read = subprocess.run(
                [sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True
            )
            megabytes = path.stat().st_size // 2**20
            print(f"{suffix:10} {megabytes:4} MiB  write {written:5.1f} s {read.stdout.rstrip()}")
            path.unlink()


def _accounts(rows: int) -> Iterator[pl.DataFrame]:
    for first in range(0, rows, BATCH):
        n = pl.int_range(first, first + BATCH, eager=True).alias("n").to_frame()
        text = {
            "id": pl.format("s-{}", "n"),
            "kind": pl.lit("organization"),
            "name": pl.format("Shenzhen Trading {} Co., Ltd", "n"),
            "alias": pl.when(pl.col("n") % 3 == 0).then(pl.format("Store {}|Shop {}", "n", "n")),
            "email": pl.format("user{}@example{}.com", "n", pl.col("n") % 1000),
            "phone": pl.format("+86 755 {}", 10_000_000 + pl.col("n")),
            "address": pl.format("Room {}, Building {}, Futian, Shenzhen", pl.col("n") % 999, "n"),
            "country": pl.lit("CN"),
            "bank_account": pl.when(pl.col("n") % 2 == 0).then(pl.format("DE{}", "n")),
            "website": pl.when(pl.col("n") % 4 == 0).then(pl.format("https://s{}.example", "n")),
            "ip": pl.format("10.{}.{}.7", pl.col("n") % 256, pl.col("n") // 256 % 256),
        }
        columns = []
        for name in FIELDS:
            value = text.get(name, pl.lit(None, pl.String))
            values = value.str.split("|").fill_null(pl.lit([], pl.List(pl.String)))
            columns.append((values if name in LIST_FIELDS else value.fill_null("")).alias(name))
        yield n.select(columns)
