"""Rings among a million accounts that some three million shared values link.

Data: accounts with the shape of reports; nine in ten share values within a ring of their own (sizes
geometric, mean 6), the rest with nobody; beside that, forwarders' addresses that tens of thousands
have. Bar: 60 s and 4 GB on two cores, from accounts to rings.
`python -m benchmarks.networks.rings [ACCOUNTS]`
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Final

import numpy as np
import polars as pl

from acx.networks.links import find_links
from acx.networks.rings import find_rings
from acx.records.account import FIELDS, LIST_FIELDS

ACCOUNTS: Final = 1_000_000
MEAN: Final = 6
SEED: Final = 12


def main() -> None:
    """Find them, and say how long each step took."""
    asked = [argument for argument in sys.argv[1:] if argument.isdecimal()]
    accounts = int(asked[0]) if asked else ACCOUNTS
    frame = _accounts(accounts)
    started = time.perf_counter()
    links = find_links(frame, matching_key=bytes(32))
    linked = time.perf_counter()
    rings = find_rings(links)
    done = time.perf_counter()
    sizes = [len(ring.nodes) for ring in rings]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{accounts:,} accounts, {len(links.pairs):,} links by {len(links.shared):,} shared values,"
        f" {len(links.hubs):,} hubs: {len(rings):,} rings, largest {max(sizes)},"
        f" mean {np.mean(sizes):.1f}"
    )
    print(f"links {linked - started:.1f} s, rings {done - linked:.1f} s, peak {peak:.2f} GiB")


def _accounts(accounts: int) -> pl.DataFrame:
    random = np.random.default_rng(SEED)
    sizes = random.geometric(1 / MEAN, accounts)
    ring = np.repeat(np.arange(accounts), sizes)[:accounts]
    alone = random.random(accounts) < 0.1
    ring = np.where(alone, accounts + np.arange(accounts), ring)

    def within(field: str, values: int, shape: str) -> pl.Series:
        """One of a few values of the account's ring, or none."""
        which = random.integers(0, values, accounts)
        there = random.random(accounts) < 0.75
        made = pl.Series(ring * values + which).cast(pl.String)
        text = pl.select(pl.format(shape, made)).to_series()
        nothing = pl.lit([], pl.List(pl.String))
        one = pl.when(pl.Series(there)).then(pl.concat_list(text)).otherwise(nothing)
        return pl.select(one.alias(field)).to_series()

    warehouse = pl.Series(random.integers(0, 20, accounts)).cast(pl.String)
    columns = {
        "id": pl.Series(np.arange(accounts)).cast(pl.String),
        "email": within("email", 2, "u{}@mail.example"),
        "contact": within("contact", 2, "wechat:id{}"),
        "website": within("website", 3, "shop{}.example"),
        "bank_account": within("bank_account", 3, "0000{}"),
        "address": pl.select(
            pl.concat_list(pl.format("Unit {}, Forwarding Park, Leeds LS1 1AA", warehouse))
        ).to_series(),
    }
    empty = pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, accounts)
    blank = pl.Series([""]).new_from_index(0, accounts)
    return pl.DataFrame(
        {name: columns.get(name, empty if name in LIST_FIELDS else blank) for name in FIELDS}
    )


if __name__ == "__main__":
    main()
