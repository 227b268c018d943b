"""Keys that come twice in a file, found in a few bytes a row."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

_Run = tuple[NDArray[np.uint64], NDArray[np.int64]]
_LINE_BITS = 40
"""A place is a file's number and a line in it, in one integer."""


class Seen:
    """Remembers the keys of the rows so far, as 64-bit digests with the line of each.

    16 bytes a row instead of the keys themselves. Two different keys fall together once in a
    billion files of 200,000 rows; the later row is then rejected, so it is noticed.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._files: list[str] = []

    def add(
        self, keys: pl.Series, file: str, lines: NDArray[np.int64]
    ) -> dict[int, tuple[str, int]]:
        """Remember the keys of some rows.

        Args:
            keys: one a row.
            file: the file they stand in.
            lines: line of each row.

        Returns:
            the rows whose key came before, in an earlier call or an earlier row, and the file and
            line where it did.
        """
        if not self._files or self._files[-1] != file:
            self._files.append(file)
        lines = lines + ((len(self._files) - 1) << _LINE_BITS)
        digests = keys.hash(seed=20_260_801).to_numpy()
        order = np.argsort(digests, kind="stable")
        ordered, at = digests[order], lines[order]
        first = np.ones(len(ordered), dtype=bool)
        first[1:] = ordered[1:] != ordered[:-1]
        start = np.maximum.accumulate(np.where(first, np.arange(len(ordered)), 0))
        earlier = {int(order[p]): int(at[start[p]]) for p in np.flatnonzero(~first)}
        for known, known_at in self._runs:
            place = np.minimum(np.searchsorted(known, ordered), len(known) - 1)
            for hit in np.flatnonzero(known[place] == ordered):
                earlier[int(order[hit])] = int(known_at[place[hit]])
        if len(ordered):
            self._remember((ordered[first], at[first]))
        return {
            row: (self._files[at >> _LINE_BITS], at & ((1 << _LINE_BITS) - 1))
            for row, at in sorted(earlier.items())
        }

    def _remember(self, run: _Run) -> None:
        """Keep runs of falling length, so that there are few and each key is merged seldom."""
        while self._runs and len(self._runs[-1][0]) <= 2 * len(run[0]):
            known, known_at = self._runs.pop()
            digests = np.concatenate((known, run[0]))
            lines = np.concatenate((known_at, run[1]))
            order = np.argsort(digests, kind="stable")
            run = (digests[order], lines[order])
        self._runs.append(run)
