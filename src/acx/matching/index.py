"""The index of subjects: built once, asked for one account or many, changed as events arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from acx.matching import storage
from acx.matching.candidates import Subjects, screen_rows
from acx.matching.compare import compare_pairs
from acx.matching.compiled import F64, I64
from acx.matching.decide import (
    HITS,
    Explanation,
    Hit,
    bits_needed,
    explained,
    hits_frame,
    hits_of,
    prior_bits,
)
from acx.matching.errors import UnknownSubject
from acx.matching.frequencies import Frequencies, frequencies_of
from acx.matching.keys import all_keys, keys_of
from acx.matching.model import FIELDS, Weights, weights
from acx.matching.options import MatchOptions
from acx.matching.profiles import Profiles, joined, of_account, of_frame, selected, wipe
from acx.matching.table import SELLERS, SUBJECTS, Table, build_table, count, places_of
from acx.matching.threads import in_threads
from acx.records.account import Account

BATCH: Final = 1 << 15
"""Accounts that a thread prepares and screens at a time."""

RECENT_SUBJECTS: Final = 4096
RECENT_SHARE: Final = 0.05
"""Recent subjects join the others once they are more than so many, and than that share of them."""


@dataclass(slots=True)
class Segment:
    """Some subjects and their keys.

    Attributes:
        ids: the subjects' ids.
        subjects: what is known of them.
    """

    ids: pl.Series
    subjects: Subjects

    @classmethod
    def of(cls, ids: pl.Series, parts: Sequence[Profiles]) -> Segment:
        """Index prepared subjects."""
        moved = np.cumsum([0, *(len(part.starts) - 1 for part in parts)]).tolist()
        keys = in_threads(lambda place: all_keys(parts[place], moved[place]), range(len(parts)))
        table = build_table(keys)
        profiles = parts[0] if len(parts) == 1 else joined(parts)
        return cls(ids, Subjects(profiles, np.ones(len(ids), np.uint8), table))

    def __len__(self) -> int:
        return int(np.count_nonzero(self.subjects.alive))

    def alive(self) -> I64:
        """Rows of the subjects that still count."""
        return np.flatnonzero(self.subjects.alive)

    def remove(self, ids: pl.Series) -> I64:
        """Let subjects be found no more, and forget what was known of them; returns their rows."""
        subjects = self.subjects
        rows = np.flatnonzero(self.ids.is_in(ids.implode()).to_numpy() & (subjects.alive == 1))
        for row in rows.tolist():
            places = places_of(subjects.table, keys_of(subjects.profiles, row))
            count(subjects.table.counts, places, SUBJECTS, -1)
            subjects.alive[row] = 0
            wipe(subjects.profiles, row)
        return rows

    def count_sellers_of(self, table: Table) -> None:
        """Take over how many accounts of the seller base have the keys of another table."""
        places = places_of(self.subjects.table, table.keys)
        known = places >= 0
        self.subjects.table.counts[places[known], SELLERS] = table.counts[known, SELLERS]


class SubjectIndex:
    """Subjects, findable by whatever they share with an account.

    Most are in one large segment, those added since in a small one that is made anew each time;
    once it has grown, they join.
    """

    def __init__(
        self, base: Segment, recent: Segment, options: MatchOptions, observed: int = 0
    ) -> None:
        """Put an index together; `build` and `open` are the ways to one."""
        self._base = base
        self._recent = recent
        self._options = options
        self._observed = observed
        self._weights: Weights = weights() if options.weights is None else options.weights

    @classmethod
    def build(cls, subjects: pl.DataFrame, *, options: MatchOptions | None = None) -> SubjectIndex:
        """Index subjects.

        Args:
            subjects: a frame with the columns of an account; ids are taken to be unique.
            options: how to match.
        """
        options = options or MatchOptions()
        return cls(_segment(subjects, options), _segment(subjects.clear(), options), options)

    @classmethod
    def open(cls, directory: Path, *, options: MatchOptions | None = None) -> SubjectIndex:
        """Open an index that was saved; it is mapped into memory, not read.

        Raises:
            BadIndex: there is none, it is damaged, or another version of acx made it.
        """
        saved = storage.load(directory)
        return cls(
            Segment(saved.ids[0], saved.subjects[0]),
            Segment(saved.ids[1], saved.subjects[1]),
            options or MatchOptions(),
            saved.observed,
        )

    def save(self, directory: Path) -> None:
        """Keep the index on disk, whole or not at all. The matching key is not in it."""
        segments = (self._base, self._recent)
        storage.save(
            directory,
            storage.Saved(
                tuple(segment.ids for segment in segments),
                tuple(segment.subjects for segment in segments),
                self._observed,
            ),
        )

    def __len__(self) -> int:
        return len(self._base) + len(self._recent)

    def add(self, subjects: pl.DataFrame) -> None:
        """Add subjects; those with an id that is known replace the ones before."""
        self.remove(subjects["id"])
        recent = self._recent
        kept = recent.alive()
        ids = pl.concat([recent.ids.gather(kept), _ids(subjects)])
        parts = [selected(recent.subjects.profiles, kept), *_prepared(subjects, self._options)]
        grown = Segment.of(ids, [joined(parts)])
        grown.count_sellers_of(recent.subjects.table)
        self._recent = grown
        if len(ids) > max(RECENT_SUBJECTS, RECENT_SHARE * len(self._base.ids)):
            self._join()

    def _join(self) -> None:
        """Make one segment of both, without those that count no more."""
        segments = (self._base, self._recent)
        kept = [segment.alive() for segment in segments]
        whole = Segment.of(
            pl.concat([each.ids.gather(rows) for each, rows in zip(segments, kept, strict=True)]),
            [
                selected(each.subjects.profiles, rows)
                for each, rows in zip(segments, kept, strict=True)
            ],
        )
        for segment in reversed(segments):
            whole.count_sellers_of(segment.subjects.table)
        nobody = np.empty(0, np.int64)
        self._recent = Segment.of(whole.ids.clear(), [selected(whole.subjects.profiles, nobody)])
        self._base = whole

    def remove(self, ids: Sequence[str] | pl.Series) -> None:
        """Let subjects be found no more, at once; ids that are not known are passed over."""
        wanted = pl.Series(ids, dtype=pl.String)
        for segment in (self._base, self._recent):
            segment.remove(wanted)

    def observe(self, accounts: pl.DataFrame) -> None:
        """Learn from a seller base how common the subjects' values are in it."""
        tables = [segment.subjects.table for segment in (self._base, self._recent)]

        def located(batch: pl.DataFrame) -> list[I64]:
            keys, _ = all_keys(of_frame(batch, self._options))
            return [places_of(table, keys) for table in tables]

        for places in in_threads(located, _batches(accounts)):
            for table, place in zip(tables, places, strict=True):
                count(table.counts, place, SELLERS, 1)
        self._observed += len(accounts)

    def screen(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """Find the subjects that accounts probably are.

        Args:
            accounts: a frame with the columns of an account.

        Returns:
            `account_id`, `subject_id`, `level`, `probability`, `reasons`; most probable first.
        """
        frequencies, prior = self._frequencies(), self._prior()

        def screened(start: int) -> pl.DataFrame:
            batch = accounts[start : start + BATCH]
            profiles, ids = of_frame(batch, self._options), _ids(batch)
            found = [
                hits_frame(
                    ids.gather(rows[:, 0]),
                    subject_ids.gather(rows[:, 1]),
                    outcomes,
                    prior,
                    self._options.level,
                )
                for subject_ids, rows, outcomes in self._found(profiles, frequencies, start)
            ]
            return pl.concat([pl.DataFrame(schema=HITS), *found])

        parts = in_threads(screened, range(0, len(accounts), BATCH))
        hits = pl.concat([pl.DataFrame(schema=HITS), *parts])
        return hits.sort("probability", "account_id", "subject_id", descending=[True, False, False])

    def check(self, account: Account) -> list[Hit]:
        """Find the subjects that one account probably is, most probable first."""
        profiles = of_account(account, self._options)
        hits: list[Hit] = []
        for ids, rows, outcomes in self._found(profiles, self._frequencies(), 0):
            found = [ids[row] for row in rows[:, 1].tolist()]
            hits += hits_of(account.id, found, outcomes, self._prior(), self._options.level)
        return sorted(hits, key=lambda hit: (-hit.probability, hit.subject_id))

    def explain(self, account: Account, subject: str | Account) -> Explanation:
        """Compare an account with one subject, candidate or not.

        Args:
            account: the account.
            subject: a subject's id, or an account that need not be in the index.

        Raises:
            UnknownSubject: there is no subject of that id.
        """
        if isinstance(subject, Account):
            others, row = of_account(subject, self._options), 0
        else:
            others, row = self._subject(subject)
        outcomes = np.empty((1, 2, len(FIELDS)))
        compare_pairs(
            of_account(account, self._options),
            others,
            np.array([[0, row]]),
            self._frequencies(),
            self._weights,
            outcomes,
        )
        return explained(outcomes[0], self._prior())

    def _subject(self, subject: str) -> tuple[Profiles, int]:
        for segment in (self._base, self._recent):
            rows = (segment.ids == subject).to_numpy() & (segment.subjects.alive == 1)
            if rows.any():
                return segment.subjects.profiles, int(rows.argmax())
        raise UnknownSubject(f"no subject has the id {subject!r}; take one of the second file's")

    def _prior(self) -> float:
        return prior_bits(self._options.prior, len(self))

    def _frequencies(self) -> Frequencies:
        return frequencies_of(
            self._base.subjects.table, self._recent.subjects.table, len(self) + self._observed
        )

    def _found(
        self, profiles: Profiles, frequencies: Frequencies, start: int
    ) -> Iterator[tuple[pl.Series, I64, F64]]:
        """Pairs that may be hits, segment by segment: subjects' ids, rows, outcomes."""
        needed = bits_needed(self._options.level) - self._prior()
        same = start if self._options.same_file else -1
        for segment in (self._base, self._recent):
            if not len(segment.ids):
                continue
            rows = screen_rows(profiles, segment.subjects, frequencies, self._weights, needed, same)
            outcomes = np.empty((len(rows), 2, len(FIELDS)))
            if len(rows):
                compare_pairs(
                    profiles, segment.subjects.profiles, rows, frequencies, self._weights, outcomes
                )
            yield segment.ids, rows, outcomes


def _segment(subjects: pl.DataFrame, options: MatchOptions) -> Segment:
    return Segment.of(_ids(subjects), _prepared(subjects, options))


def _prepared(subjects: pl.DataFrame, options: MatchOptions) -> list[Profiles]:
    batches = list(_batches(subjects)) or [subjects]
    return in_threads(lambda batch: of_frame(batch, options, subjects=True), batches)


def _batches(accounts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return (accounts[start : start + BATCH] for start in range(0, len(accounts), BATCH))


def _ids(accounts: pl.DataFrame) -> pl.Series:
    if "id" not in accounts.columns:
        return pl.Series("id", [""], dtype=pl.String).new_from_index(0, len(accounts))
    return accounts["id"].fill_null("").cast(pl.String)


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


def explain(a: Account, b: Account, *, options: MatchOptions | None = None) -> Explanation:
    """Compare two accounts by what is known of the world alone, no file's frequencies."""
    nobody = pl.DataFrame({"id": []}, schema={"id": pl.String})
    return SubjectIndex.build(nobody, options=options).explain(a, b)
