"""Two files of accounts against each other."""

from __future__ import annotations

import polars as pl

from acx.matching.index import MatchOptions, SubjectIndex


def match(accounts: pl.DataFrame, against: pl.DataFrame, *, options: MatchOptions) -> pl.DataFrame:
    """Find the accounts that are probably the same actor as a subject.

    Args:
        accounts: a seller base, columns as `acx.records.account.FIELDS`.
        against: the subjects, likewise.
        options: how to match.

    Returns:
        `account_id`, `subject_id`, `level`, `probability`, `reasons`; most probable first.
    """
    index = SubjectIndex.build(against, options=options)
    if not options.same_file:
        index.observe(accounts)
    return index.screen(accounts)
