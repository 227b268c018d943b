"""acx on two Parquet files of accounts, as a contender: `SUBJECTS SELLERS HITS`."""

from __future__ import annotations

import sys

import polars as pl

from acx.matching import MatchOptions, match


def run(subjects: str, sellers: str, hits: str) -> None:
    """Match and write `account_id`, `subject_id`, `score`, `level`, `reasons`."""
    found = match(pl.read_parquet(sellers), pl.read_parquet(subjects), options=MatchOptions())
    found.rename({"probability": "score"}).write_parquet(hits)


if __name__ == "__main__":
    run(*sys.argv[1:4])
