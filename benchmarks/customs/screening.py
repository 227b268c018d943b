"""Screening the parties of a million shipments against a hundred thousand reports.

Data: consignors are ordinary sellers (`acx.demo.sellers`), each shipping once, which is the worst
case: a party that ships again is screened once a batch. Reports are those of `matching.index`, none
of them a consignor's. Bar: 60 s on two cores, beside the ranking itself.
`python -m benchmarks customs.screening`
"""

from __future__ import annotations

import resource
import time
from typing import Final

import polars as pl

from acx.customs.exposure import Exchange
from acx.customs.shipments import LISTS, PARTY, PARTY_COLUMNS
from acx.member.replica import Replica
from benchmarks.matching.index import FEW_REPORTS, replica_of, sellers_of, warm_up

SHIPMENTS: Final = 1_000_000
BATCH: Final = 65_536
"""As `acx customs target` reads them."""


def main() -> None:
    """Screen them batch by batch, and say how long it took."""
    folder = sellers_of(SHIPMENTS)
    replica = Replica.open(replica_of(FEW_REPORTS) / "replica", read_only=True)
    warm_up()
    started, processors = time.perf_counter(), time.process_time()
    exchange = Exchange(replica)
    opened = time.perf_counter() - started
    hits = 0
    for file in sorted(folder.glob("*.parquet")):
        for sellers in pl.read_parquet(file).iter_slices(BATCH):
            hits += int((exchange.of(_shipments(sellers)).reports["consignor"] != "").sum())
    took = time.perf_counter() - started
    replica.close()
    print(
        f"{SHIPMENTS:,} shipments against {FEW_REPORTS:,} reports: {took:.0f} s"
        f" ({time.process_time() - processors:.0f} of processors), {opened:.0f} of them to index"
        f" the reports; {hits} hits; peak"
        f" {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


def _shipments(sellers: pl.DataFrame) -> pl.DataFrame:
    """Shipments of which only consignors are known."""
    nothing = pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, len(sellers))
    known = {f"consignor_{field}": sellers[field] for field in PARTY}
    return pl.DataFrame(
        {
            "hs_code": pl.Series(["640411"]).new_from_index(0, len(sellers)),
            "description": pl.Series([""]).new_from_index(0, len(sellers)),
            **{name: known.get(name, nothing) for name in (*LISTS, *PARTY_COLUMNS)},
        }
    )


if __name__ == "__main__":
    main()
