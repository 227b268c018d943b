"""acx on two Parquet files of accounts, as a contender: `[--prior P] SUBJECTS SELLERS HITS`."""

from __future__ import annotations

import argparse

import polars as pl

from acx.matching import MatchOptions, match

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prior", type=float, default=MatchOptions().prior)
    for file in ("subjects", "sellers", "hits"):
        parser.add_argument(file)
    given = parser.parse_args()
    found = match(
        pl.read_parquet(given.sellers),
        pl.read_parquet(given.subjects),
        options=MatchOptions(prior=given.prior),
    )
    found.rename({"probability": "score"}).write_parquet(given.hits)
