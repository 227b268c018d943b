"""How common each value is: what many unrelated accounts share weighs little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from acx.matching.columns import F64, I64, U64, find
from acx.matching.names import word_key

CLUSTER: Final = 3.0
"""Sharers that may still be one actor with several accounts: fewer than this count little."""

UNSEEN_WORD: Final = 1e-5
"""Share of accounts that have a word nobody has been seen with."""

WORD_SAMPLE: Final = 2000.0
"""How many accounts the shipped word frequencies count for."""


@dataclass(frozen=True, slots=True)
class Frequencies:
    """Counts of codes over both sides.

    Attributes:
        keys: sorted codes.
        counts: accounts that have each, over both sides.
        accounts: number of accounts counted, over both sides.
    """

    keys: U64
    counts: I64
    accounts: int

    def share(self, codes: U64) -> F64:
        """Chance that an unrelated account has the value, 0 where only this pair has it."""
        others = np.maximum(self._count(codes) - 2, 0).astype(float)
        return others * others / (others + CLUSTER) / max(self.accounts, 1)

    def rarity(self, spelling: U64) -> F64:
        """Bits that an agreement on a word is worth."""
        others = np.maximum(self._count(word_key(spelling)) - 2, 0)
        share = (others + WORD_SAMPLE * UNSEEN_WORD) / (self.accounts + WORD_SAMPLE)
        rarity: F64 = np.minimum(-np.log2(share), 13.0)
        return rarity

    def _count(self, codes: U64) -> I64:
        place = find(self.keys, codes)
        return (
            np.where(place >= 0, self.counts[place], 0)
            if len(self.counts)
            else np.zeros(len(codes), np.int64)
        )
