"""acx on each subject with the seller in the same place, hit or not: `SUBJECTS SELLERS HITS`."""

from __future__ import annotations

import argparse

import msgspec
import polars as pl

from acx.demo.accounts import by_row
from acx.matching import MatchOptions, SubjectIndex


def scored(subjects: pl.DataFrame, sellers: pl.DataFrame) -> pl.DataFrame:
    """Probability of each pair, both being equally likely to be one actor and two."""
    index = SubjectIndex.build(subjects.clear(), options=MatchOptions())
    rows = []
    for subject, seller in zip(by_row(subjects), by_row(sellers), strict=True):
        # The kind is the set's, not evidence: the peer is not told either.
        pair = [msgspec.structs.replace(each, kind="") for each in (seller, subject)]
        weights = index.explain(*pair).weights
        bits = sum(weight.bits for weight in weights if weight.field != "prior")
        rows.append((seller.id, subject.id, 1 / (1 + 2**-bits)))
    return pl.DataFrame(rows, schema=["account_id", "subject_id", "score"], orient="row")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for file in ("subjects", "sellers", "hits"):
        parser.add_argument(file)
    given = parser.parse_args()
    scored(pl.read_parquet(given.subjects), pl.read_parquet(given.sellers)).write_parquet(
        given.hits
    )
