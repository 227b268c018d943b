"""The index of subjects: built once, asked for one account or a million, changed as events arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from acx.matching.candidates import Subjects, screen_rows
from acx.matching.compare import compare_pairs
from acx.matching.compiled import I64
from acx.matching.decide import HITS, Hit, bits_needed, hits_frame, prior_bits
from acx.matching.frequencies import Frequencies, frequencies_of
from acx.matching.model import FIELDS, Weights, weights
from acx.matching.options import MatchOptions
from acx.matching.profiles import Profiles, all_keys, of_account, of_frame
from acx.matching.table import build_table, count_keys
from acx.records.account import Account

BATCH: Final = 1 << 16
"""Accounts prepared at a time."""

_PART: Final = 1 << 12
"""Accounts that a thread screens at a time."""


@dataclass(slots=True)
class Segment:
    """Subjects and their keys.

    Attributes:
        ids: the subjects' ids.
        subjects: what is known of them.
    """

    ids: pl.Series
    subjects: Subjects

    @classmethod
    def of(cls, subjects: pl.DataFrame, options: MatchOptions) -> Segment:
        """Prepare and index subjects."""
        profiles = of_frame(subjects, options, subjects=True)
        table = build_table(*all_keys(profiles))
        alive = np.ones(len(subjects), np.uint8)
        return cls(subjects["id"].fill_null(""), Subjects(profiles, alive, table))


class SubjectIndex:
    """Subjects, findable by whatever they share with an account."""

    def __init__(self, base: Segment, recent: Segment, options: MatchOptions) -> None:
        self._base = base
        self._recent = recent
        self._options = options
        self._observed = 0
        self._weights: Weights = weights()

    @classmethod
    def build(cls, subjects: pl.DataFrame, *, options: MatchOptions | None = None) -> SubjectIndex:
        """Index subjects, a frame with the columns of an account."""
        options = options or MatchOptions()
        return cls(Segment.of(subjects, options), Segment.of(subjects.clear(), options), options)

    def __len__(self) -> int:
        return int(self._base.subjects.alive.sum() + self._recent.subjects.alive.sum())

    def observe(self, accounts: pl.DataFrame) -> None:
        """Learn from a seller base how common the subjects' values are in it."""
        for batch in _batches(accounts):
            self._count(of_frame(batch, self._options))

    def _count(self, profiles: Profiles) -> None:
        keys, _ = all_keys(profiles)
        for segment in (self._base, self._recent):
            count_keys(segment.subjects.table, keys, len(keys), 1, 1)
        self._observed += len(profiles.starts) - 1

    def screen(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """Find the subjects that accounts probably are.

        Args:
            accounts: a frame with the columns of an account.

        Returns:
            `account_id`, `subject_id`, `level`, `probability`, `reasons`; most probable first.
        """
        parts = [
            self._screen(of_frame(batch, self._options), batch["id"].fill_null(""), start)
            for start, batch in zip(range(0, len(accounts), BATCH), _batches(accounts), strict=True)
        ]
        hits = pl.concat(parts) if parts else pl.DataFrame(schema=HITS)
        return hits.sort("probability", "account_id", "subject_id", descending=[True, False, False])

    def check(self, account: Account) -> list[Hit]:
        """Find the subjects that one account probably is, most probable first."""
        found = self._screen(of_account(account, self._options), pl.Series([account.id]), 0)
        ordered = found.sort("probability", "subject_id", descending=[True, False])
        return [Hit(**row) for row in ordered.iter_rows(named=True)]

    def _frequencies(self) -> Frequencies:
        return frequencies_of(
            self._base.subjects.table, self._recent.subjects.table, len(self) + self._observed
        )

    def _screen(self, profiles: Profiles, ids: pl.Series, start: int) -> pl.DataFrame:
        frequencies = self._frequencies()
        prior = prior_bits(self._options.prior, len(self))
        needed = bits_needed(self._options.level) - prior
        parts = []
        for segment in (self._base, self._recent):
            if not len(segment.ids):
                continue
            same = start if self._options.same_file else -1
            rows = _screen_in_threads(
                profiles, segment.subjects, frequencies, self._weights, needed, same
            )
            outcomes = np.empty((len(rows), 2, len(FIELDS)))
            compare_pairs(
                profiles, segment.subjects.profiles, rows, frequencies, self._weights, outcomes
            )
            parts.append(
                hits_frame(
                    ids.gather(rows[:, 0]),
                    segment.ids.gather(rows[:, 1]),
                    outcomes,
                    prior,
                    self._options.level,
                )
            )
        return pl.concat(parts) if parts else pl.DataFrame(schema=HITS)


def _batches(accounts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return (accounts[start : start + BATCH] for start in range(0, len(accounts), BATCH))


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _screen_in_threads(
    profiles: Profiles,
    subjects: Subjects,
    frequencies: Frequencies,
    model: Weights,
    needed: float,
    same: int,
) -> I64:
    rows = len(profiles.starts) - 1

    def part(first: int) -> I64:
        last = min(first + _PART, rows)
        return screen_rows(profiles, first, last, subjects, frequencies, model, needed, same)

    starts = range(0, rows, _PART)
    if len(starts) < 2:
        return part(0)
    with ThreadPoolExecutor(_threads()) as threads:
        return np.concatenate(list(threads.map(part, starts)))


def match(accounts: pl.DataFrame, against: pl.DataFrame, *, options: MatchOptions) -> pl.DataFrame:
    """Find the accounts of one file that are probably the same actor as a subject in another.

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
