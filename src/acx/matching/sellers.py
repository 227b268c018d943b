"""A seller base, indexed from its own side: a new subject finds the accounts that it may be.

Screening asks for each account which subjects share a key with it. Who watches has the accounts
long since, and a subject comes: so the accounts' keys are kept as subjects' keys are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from acx.matching.candidates import FEW_ACCOUNTS, MOST_KEY_BITS
from acx.matching.compiled import I32, I64, kernel
from acx.matching.crowd import Crowd
from acx.matching.profiles import Profiles
from acx.matching.table import Found, Table

ALL_SHARERS: Final = (1 << 31) - 1
"""Sharers of a key that are listed: whoever they are, a new subject may be one of them."""


class Sellers:
    """Accounts and their keys.

    Attributes:
        ids: their ids.
        profiles: the accounts.
        table: their keys.
    """

    def __init__(self, ids: pl.Series, profiles: Profiles, table: Table) -> None:
        """`SubjectIndex.sellers` makes one that fits the index."""
        self.ids = ids
        self.profiles = profiles
        self.table = table

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def crowd(self) -> Crowd:
        """How common keys are among them."""
        table = self.table
        return Crowd(table.keys, table.directory, table.shift, table.subjects, len(self))

    def near(self, found: Found, needed: float) -> I64:
        """Accounts whose keys, shared with a subject, could be worth a hit.

        Args:
            found: places of the subject's keys in `table`.
            needed: bits that make a hit.

        Returns:
            Rows of accounts.
        """
        sharers = self.table.subjects[found.places]
        worth = np.log2((len(self) + FEW_ACCOUNTS) / np.maximum(sharers, 1))
        scores = np.zeros(len(self), np.float32)
        _add_up(self.table, found.places, np.minimum(worth, MOST_KEY_BITS), scores)
        return np.flatnonzero(scores >= needed)


@kernel
def _add_up(
    table: Table, places: I32, worth: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]
) -> None:
    for k in range(len(places)):
        place = places[k]
        for p in range(table.starts[place], table.starts[place + 1]):
            scores[table.rows[p]] += worth[k]
