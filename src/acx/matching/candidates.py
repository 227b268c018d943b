"""Which pairs are worth comparing: those that share a key, rare keys first, under a budget."""

from __future__ import annotations

from typing import Final

import numpy as np

from acx.matching.columns import I64, U64, expand, find

MAX_SHARERS: Final = 24
"""A key that more subjects share finds nobody: it would cost much and say little."""

BUDGET: Final = 10
"""Candidates looked at for one account."""


def candidates(rows: I64, keys: U64, table: U64, starts: I64, postings: I64) -> tuple[I64, I64]:
    """Pairs that share a key.

    Args:
        rows: rows of the accounts, one for each of their keys.
        keys: the keys.
        table: different keys of the subjects, sorted.
        starts: subjects of key i are `postings[starts[i]:starts[i + 1]]`.
        postings: rows of subjects.

    Returns:
        Row of the account and row of the subject, each pair once, sorted.
    """
    place = find(table, keys)
    known = place >= 0
    rows, place = rows[known], place[known]
    sharers = starts[place + 1] - starts[place]
    rare = sharers <= MAX_SHARERS
    rows, place, sharers = rows[rare], place[rare], sharers[rare]
    order = np.lexsort((sharers, rows))
    rows, place, sharers = rows[order], place[order], sharers[order]
    spent = np.cumsum(sharers) - sharers
    new = np.r_[True, rows[1:] != rows[:-1]] if len(rows) else np.empty(0, np.bool_)
    before = spent - np.maximum.accumulate(np.where(new, spent, 0)) if len(rows) else spent
    affordable = before < BUDGET
    rows, place = rows[affordable], place[affordable]
    owner, position = expand(starts, place)
    combined = np.sort((rows[owner].astype(np.int64) << 32) | postings[position])
    if len(combined):
        combined = combined[np.r_[True, combined[1:] != combined[:-1]]]
    return combined >> 32, combined & 0xFFFFFFFF
