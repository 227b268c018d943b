"""The index beside a replica: its size, opening, checking and changing; screening in flat memory.

Data: a replica of 1,000,000 reports of ordinary accounts of seventy countries (identifiers as `h1:`
digests, as they leave), of whom some come back among the accounts that are checked; 1,000,000 and
3,000,000 ordinary sellers against 100,000 reports; accounts of which 50,000 share an address, a
name and a phone.
Bars: opened in 2 s; `acx check` in a warm process p50 < 1 ms, p99 < 5 ms; screening takes as much
memory for 3,000,000 sellers as for 1,000,000; cost per row grows no faster than n log n, also where
50,000 share a value.
`python -m benchmarks.matching.index PART …` runs some of `replica`, `screening`, `crowd`; the
replica and the sellers are made the first time, some minutes, and kept under `build/`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from acx.demo.accounts import by_row
from acx.demo.sellers import ordinary
from acx.log.note import Signer
from acx.matching import MatchOptions, match
from acx.member import database
from acx.member.index import update
from acx.member.replica import Replica, Trust, set_meta
from acx.member.screen import Screener
from acx.records.account import Account
from acx.records.leaving import subject_of
from acx.records.report import Report
from acx.records.state import ReportView, State
from benchmarks.matching.contenders import run_process
from benchmarks.matching.data import BUILD
from benchmarks.matching.speed import labelled_rows

REPORTS: Final = 1_000_000
FEW_REPORTS: Final = 100_000
SELLERS: Final = (1_000_000, 3_000_000)
CHECKS: Final = 5_000
EVENTS: Final = 100
SHARING: Final = 50_000
KEY: Final = bytes(range(32))
PART_ROWS: Final = 250_000
SEED: Final = 40_000


def replica_of(reports: int) -> Path:
    """A member's home with a replica of so many reports; made, or found made.

    The reports' views are written as a sync writes them. Its entries, which screening never
    reads, are left out: signing and verifying a million of them is another benchmark's.
    """
    home = BUILD / f"index-{reports}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        origin = "acx.example/benchmark"
        trust = Trust(
            origin=origin,
            log_key=Signer.generate(origin).verifier.vkey,
            operators=(),
            matching_key=KEY,
        )
        replica = Replica.create(home / "replica", trust)
        subjects = labelled_rows(REPORTS).subjects.head(reports)
        for start in range(0, reports, PART_ROWS):
            tell(replica, by_row(subjects[start : start + PART_ROWS]))
        replica.close()
        (home / "complete").touch()
    return home


def tell(replica: Replica, accounts: list[Account], state: State = "active") -> None:
    """Let the log say of accounts that they are reported, an entry each."""
    size = replica.size
    rows = []
    for place, account in enumerate(accounts, size):
        report = Report(
            account=subject_of(account, KEY),
            conduct="sold_counterfeits",
            confirmed_by=("test_buy",),
            confirmed_on="2026-10",
        )
        view = ReportView(
            id=account.id,
            state=state,
            version=1,
            report_json=msgspec.json.encode(report) if state == "active" else b"",
            contributors=1,
            first_index=place,
            last_index=place,
        )
        identifier = replica.vault.digest(account.id, "report")
        sealed = replica.vault.seal(msgspec.msgpack.encode(view), f"report/{identifier.hex()}")
        rows.append((identifier, state, place + 1, sealed, None))
    with database.transaction(replica.connection):
        replica.connection.executemany("INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?)", rows)
        set_meta(replica.connection, "size", str(size + len(accounts)).encode())
        set_meta(replica.connection, "synced", repr(time.time()).encode())


class Taken(NamedTuple):
    """What something takes: seconds on the clock, and of processors."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.processor:.2f} of processors)"


def timed(what: Callable[[], Any]) -> Taken:
    """How long something takes: on a machine that does other work, see the processors' time."""
    started = time.perf_counter(), time.process_time()
    what()
    return Taken(time.perf_counter() - started[0], time.process_time() - started[1])


def on_a_replica() -> None:
    """Build, open, check and change the index of a million reports."""
    home = replica_of(REPORTS)
    replica = Replica.open(home / "replica")
    shutil.rmtree(replica.index_directory, ignore_errors=True)
    warm_up()
    built = timed(lambda: Screener(replica, home=home))
    files = {path.name: path.stat().st_size for path in replica.index_directory.iterdir()}
    total = sum(files.values())
    print(
        f"{REPORTS:,} reports: built and written in {built}, {total / 1e6:,.0f} MB"
        f" ({total / REPORTS:,.0f} bytes a report)"
    )
    for _ in range(3):
        print(f"opened in {timed(lambda: Screener(replica, home=home))}")
    command = [str(Path(sys.executable).with_name("acx")), "check", "--home", str(home)]
    cost = run_process([*command, "--name", "Wei Zhang"], home / "check.log")
    print(f"`acx check`, a process of its own: {Taken(cost.seconds, cost.processors)}")
    checks(Screener(replica, home=home))
    changes(replica, home)


def checks(screener: Screener) -> None:
    """How long single checks take, of come-backs and of innocents in turn."""
    data = labelled_rows(REPORTS)
    back = pl.col("id").str.starts_with("back-")
    sellers = data.sellers
    some = [sellers.filter(back).head(CHECKS // 2), sellers.filter(~back).head(CHECKS // 2)]
    accounts = [each for pair in zip(*map(by_row, some), strict=True) for each in pair]
    for account in accounts[:100]:
        screener.check(account)
    taken = 1e3 * np.array([timed(partial(screener.check, each)) for each in accounts])
    for what, milliseconds in zip(Taken._fields, taken.T, strict=True):
        p50, p99 = np.percentile(milliseconds, [50, 99])
        print(
            f"check, {len(accounts):,} accounts, half of them come-backs, {what}: p50 {p50:.2f} ms,"
            f" p99 {p99:.2f} ms, longest {milliseconds.max():.1f} ms"
        )


def changes(replica: Replica, home: Path) -> None:
    """How long it takes to follow the log: events that come, and a report that is withdrawn."""
    screener = Screener(replica, home=home)
    fresh = by_row(ordinary(EVENTS, SEED - 1, prefix=f"fresh-{replica.size}-", domains="real"))
    tell(replica, fresh)
    print(f"{EVENTS} new reports: seen by an open index in {timed(screener.refresh)}")
    print(f"the same, written: {timed(lambda: update(replica))}")
    for what, account in (("a new", fresh[0]), ("an old", labelled_rows(REPORTS).subjects)):
        gone = account if isinstance(account, Account) else by_row(account[500:501])[0]
        tell(replica, [gone], "withdrawn")
        print(
            f"{what} report is withdrawn: gone from an open index in {timed(screener.refresh)},"
            f" from the files in {timed(lambda: update(replica))}"
        )
    tell(replica, [gone])
    update(replica)


def warm_up() -> None:
    """Have the kernels compiled."""
    few = ordinary(100, SEED - 2, prefix="few-", domains="real")
    match(few, few, options=MatchOptions(matching_key=KEY))


def sellers_of(rows: int) -> Path:
    """A folder of Parquet files with so many ordinary sellers."""
    folder = BUILD / f"sellers-{rows}"
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(rows // PART_ROWS):
        path = folder / f"{part:03}.parquet"
        if not path.exists():
            frame = ordinary(PART_ROWS, SEED + part, prefix=f"seller-{part}-", domains="real")
            frame.write_parquet(path.with_suffix(".new"))
            path.with_suffix(".new").rename(path)
    return folder


def screening() -> None:
    """Screen seller bases of several sizes, each by a process of its own."""
    home = replica_of(FEW_REPORTS)
    acx = str(Path(sys.executable).with_name("acx"))
    for rows in SELLERS:
        out = home / "hits.parquet"
        command = [acx, "screen", str(sellers_of(rows)), "--home", str(home), "--out", str(out)]
        seconds, megabytes, processors = run_process(command, home / "screen.log")
        hits = pl.read_parquet(out)
        levels = dict(hits.group_by("level").len().iter_rows())
        print(
            f"{rows:,} sellers against {FEW_REPORTS:,} reports: {seconds:.0f} s"
            f" ({processors:.0f} of processors, {1e6 * processors / rows:.0f} µs a seller),"
            f" peak {megabytes:,.0f} MB;"
            f" {json.dumps(levels, sort_keys=True)}"
        )


def crowd() -> None:
    """Match accounts of which half share an address, a name and a phone, and none."""
    warm_up()
    for rows in (SHARING // 2, SHARING, 2 * SHARING):
        apart, shared = (
            timed(partial(match, *crowded(rows, rows // 2 if some else 0), options=MatchOptions()))
            for some in (False, True)
        )
        print(
            f"{rows:,} x {rows:,}, of processors: {1e6 * apart.processor / rows:.0f} µs a row where"
            f" nobody shares more than in life, {1e6 * shared.processor / rows:.0f} µs where"
            f" {rows // 2:,} share ({apart.wall:.1f} s, {shared.wall:.1f} s)"
        )


def crowded(rows: int, sharing: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two files of ordinary accounts, of which so many share values."""
    sides = [ordinary(rows, SEED - 10 - side, prefix=f"{side}-", domains="real") for side in (0, 1)]
    one = {
        "name": "Harbour Trading Company Limited",
        "address": "Unit 5, 12 Dock Road, Kwai Chung, Hong Kong",
        "phone": "+852 2345 6789",
    }
    some = pl.int_range(pl.len()) < sharing
    first, second = (
        side.with_columns(
            pl.when(some).then(pl.lit([value], pl.List(pl.String))).otherwise(name).alias(name)
            for name, value in one.items()
        )
        for side in sides
    )
    return first, second


PARTS: Final[dict[str, Callable[[], None]]] = {
    "replica": on_a_replica,
    "screening": screening,
    "crowd": crowd,
}


def main(*chosen: str) -> None:
    """Measure those parts, by default all."""
    for name in chosen or PARTS:
        print(f"load {os.getloadavg()[0]:.1f}")
        PARTS[name]()


if __name__ == "__main__":
    main(*sys.argv[1:])
