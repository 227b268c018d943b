"""Score each subject with the seller in the same place by logic-v2: `SUBJECTS SELLERS HITS`."""

from __future__ import annotations

import sys

import polars as pl
from followthemoney import Dataset
from nomenklatura.matching import LogicV2
from nomenklatura_logic import entity
from preparation import write


def run(subjects_path: str, sellers_path: str, hits_path: str) -> None:
    """Score the pairs."""
    dataset = Dataset.make({"name": "pairs", "title": "pairs"})
    config = LogicV2.default_config()
    subjects, sellers = (pl.read_parquet(path).to_dicts() for path in (subjects_path, sellers_path))
    write(
        hits_path,
        [
            (
                seller["id"],
                subject["id"],
                LogicV2.compare(
                    entity(dataset, seller, "seller:"), entity(dataset, subject, "subject:"), config
                ).score,
            )
            for subject, seller in zip(subjects, sellers, strict=True)
        ],
    )


if __name__ == "__main__":
    run(*sys.argv[1:4])
