"""The index of subjects: built once, asked for one account or many, changed as events arrive."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from acx.matching.candidates import Subjects, candidates
from acx.matching.compare import compared
from acx.matching.compiled import F64, I32, I64, U8, U64
from acx.matching.crowd import Crowd, count_crowd, crowd_of
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
from acx.matching.errors import BadIndex, UnknownSubject
from acx.matching.frequencies import Frequencies, frequencies_of
from acx.matching.keys import keys_of, searched_keys
from acx.matching.model import Weights, weights
from acx.matching.options import MatchOptions
from acx.matching.profiles import Profiles, held_of, joined, of_account, of_frame, selected
from acx.matching.sellers import ALL_SHARERS, Sellers
from acx.matching.spool import Spool
from acx.matching.storage import AGAIN, NO_SECRET, Secret, SegmentFile, Stored, write_segment
from acx.matching.table import (
    MOST_SHARERS,
    Found,
    Slices,
    Table,
    build_table,
    count,
    forget,
    located,
    merged,
    sliced,
)
from acx.matching.text import text_of
from acx.matching.threads import stream
from acx.records.account import Account

BATCH: Final = 1 << 15
"""Accounts that a thread prepares and screens at a time."""

RECENT_SUBJECTS: Final = 4096
FEW_IDS: Final = 1024
"""So many ids are looked up one by one."""
RECENT_SHARE: Final = 0.05
"""Recent subjects join the others once they are more than so many, and than that share of them."""

PART: Final = 0.5
"""A file with a smaller share of a seller base's accounts is a part of it, not the next one."""

Frames: TypeAlias = pl.DataFrame | Iterable[pl.DataFrame]
"""Accounts, all at once or batch by batch."""
Progress: TypeAlias = Callable[[int, int | None], object]
"""Told how many accounts were read or screened, and of how many."""

BASE: Final = "base"
RECENT: Final = "recent"
"""Files of an index."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some subjects and their keys.

    Attributes:
        ids: the subjects' ids.
        subjects: what is known of them.
        file: the file that changes with it, if one does.
    """

    ids: pl.Series
    subjects: Subjects
    file: SegmentFile | None = None
    _hashed: list[tuple[U64, I64]] = field(default_factory=list)

    @classmethod
    def of(cls, frames: Frames, options: MatchOptions, secret: U64) -> Segment:
        """Index subjects."""
        ids, profiles, table = _indexed(frames, options, secret, subjects=True)
        return cls(ids, Subjects(profiles, np.ones(len(ids), np.uint8), table))

    @classmethod
    def opened(cls, path: Path, secret: Secret, *, change: bool) -> tuple[Segment, SegmentFile]:
        """A segment that was stored, and its file."""
        file = SegmentFile(path, secret, change=change)
        ids, subjects = file.stored
        strings = pa.LargeStringArray.from_buffers(
            len(subjects.alive), pa.py_buffer(ids.offsets), pa.py_buffer(ids.data)
        )
        series = pl.Series("id", strings)
        return cls(series, subjects, file if change else None), file

    def write(self, path: Path, secret: Secret, about: Mapping[str, Any]) -> str:
        """Store it; returns the file's generation."""
        # Who counts no more is not named either.
        ids = self.ids.zip_with(pl.Series(self.subjects.alive == 1), pl.Series([""]))
        return write_segment(path, Stored(text_of(ids.to_list()), self.subjects), secret, about)

    def alive(self) -> I64:
        """Rows of the subjects that still count."""
        return np.flatnonzero(self.subjects.alive)

    def rows_of(self, ids: pl.Series) -> I64:
        """Rows of those of some subjects that still count."""
        alive = self.subjects.alive
        if len(ids) > FEW_IDS:
            return np.flatnonzero(self.ids.is_in(ids.implode()).to_numpy() & (alive == 1))
        if not self._hashed:
            hashes = self.ids.hash().to_numpy()
            order = np.argsort(hashes)
            self._hashed.append((hashes[order], order))
        hashes, order = self._hashed[0]
        wanted = ids.hash().to_numpy()
        first = np.searchsorted(hashes, wanted, "left")
        last = np.searchsorted(hashes, wanted, "right")
        rows = [
            row
            for each, a, b in zip(ids.to_list(), first.tolist(), last.tolist(), strict=True)
            for row in order[a:b].tolist()
            if alive[row] and self.ids[row] == each
        ]
        return np.array(sorted(set(rows)), np.int64)

    def remove(self, rows: I64) -> None:
        """Let subjects be found no more, and forget what was known of them."""
        profiles, alive, table = self.subjects
        for row in rows.tolist():
            # First of all: another process may be about to read what is overwritten here.
            alive[row] = 0
            keys = keys_of(profiles, table.secret, row, row + 1)
            forget(table, located(table, keys).places, row)
            for name, array, first, last in held_of(profiles, row):
                array[first:last] = 0
                if self.file is not None:
                    self.file.overwrite(f"subjects.profiles.{name}", first, last)
            if self.file is not None:
                offsets = self.file.stored.ids.offsets
                self.file.overwrite("ids.data", offsets[row], offsets[row + 1])

    def with_those_of(self, other: Segment) -> Segment:
        """One segment of two, without those that count no more."""
        parts = (self, other)
        kept = [part.alive() for part in parts]
        ids = pl.concat([part.ids.gather(rows) for part, rows in zip(parts, kept, strict=True)])
        profiles = [
            part.subjects.profiles
            if len(rows) == len(part.ids)
            else selected(part.subjects.profiles, rows)
            for part, rows in zip(parts, kept, strict=True)
        ]
        table = merged(
            self.subjects.table,
            other.subjects.table,
            _renumbered(self.subjects.alive, 0),
            _renumbered(other.subjects.alive, len(kept[0])),
        )
        return Segment(ids, Subjects(joined(profiles), np.ones(len(ids), np.uint8), table))


def _indexed(
    frames: Frames, options: MatchOptions, secret: U64, *, subjects: bool, most: int = MOST_SHARERS
) -> tuple[pl.Series, Profiles, Table]:
    """Ids, profiles and keys of accounts."""

    def prepared(frame: pl.DataFrame) -> tuple[pl.Series, Profiles, Slices]:
        profiles = of_frame(frame, options, subjects=subjects)
        return _ids(frame), profiles, sliced(keys_of(profiles, secret))

    parts = list(stream(prepared, _batches(frames)))
    ids = pl.concat([part for part, _, _ in parts])
    rows = [len(part) for part, _, _ in parts]
    table = build_table([part for _, _, part in parts], rows, secret, most)
    profiles = [part for _, part, _ in parts]
    # The keys are not needed any more, and take as much memory as the table.
    del parts
    return ids, joined(profiles), table


def _renumbered(alive: U8, first: int) -> I32:
    """New rows of those that count, from `first` on, -1 for the others."""
    rows = np.cumsum(alive, dtype=np.int32) + np.int32(first - 1)
    return np.where(alive == 1, rows, np.int32(-1))


class Prepared(NamedTuple):
    """Accounts ready to be screened.

    Attributes:
        shown: their ids and what else hits show of them, as Arrow's bytes.
        profiles: the accounts.
        base: which keys of most subjects they have.
        recent: which keys of those added since.
    """

    shown: U8
    profiles: Profiles
    base: Found
    recent: Found

    @property
    def rows(self) -> int:
        """How many accounts."""
        return len(self.profiles.starts) - 1


class SubjectIndex:
    """Subjects, findable by whatever they share with an account.

    Most are in one large segment, those added since in a small one, so that adding is quick; once
    it has grown, they join.
    """

    def __init__(
        self, base: Segment, recent: Segment, options: MatchOptions, observed: int = 0
    ) -> None:
        """Put an index together; `build` and `open` are the ways to one."""
        self._base = base
        self._recent = recent
        self._options = options
        self._observed = observed
        self._crowd: Crowd | None = None
        self._weights: Weights = weights() if options.weights is None else options.weights
        self._size = len(base.alive()) + len(recent.alive())

    @classmethod
    def build(
        cls, subjects: Frames, *, options: MatchOptions | None = None, secret: Secret = NO_SECRET
    ) -> SubjectIndex:
        """Index subjects.

        Args:
            subjects: frames with the columns of an account; ids are taken to be unique.
            options: how to match.
            secret: what protects the index, where it is to be saved.
        """
        options = options or MatchOptions()
        return cls(
            Segment.of(subjects, options, secret.words),
            Segment.of(_nobody(), options, secret.words),
            options,
        )

    @classmethod
    def open(
        cls,
        directory: Path,
        secret: Secret,
        *,
        options: MatchOptions | None = None,
        change: bool = False,
    ) -> tuple[SubjectIndex, dict[str, Any]]:
        """Open an index that was saved.

        Args:
            directory: where.
            secret: what it was built and saved with.
            options: how to match.
            change: what is removed is removed from the files too; for the one process that may.

        Returns:
            The index, and what was said of it when it was saved.

        Raises:
            BadIndex: there is none, it is damaged, or another version of acx made it.
        """
        recent, recent_file = Segment.opened(directory / RECENT, secret, change=change)
        base, base_file = Segment.opened(directory / BASE, secret, change=change)
        about = dict(recent_file.about)
        if about.pop("base", "") != base_file.generation:
            raise BadIndex(f"{directory}: two files that do not belong together; {AGAIN}")
        return cls(base, recent, options or MatchOptions()), about

    def save(self, directory: Path, secret: Secret, about: Mapping[str, Any]) -> None:
        """Keep the index on disk.

        Of one that was opened there to be changed only what was added is written.

        Args:
            directory: where.
            secret: what it was built with.
            about: to be kept with it.

        Raises:
            BadIndex: the directory cannot be written.
        """
        file = self._base.file
        if file is not None and file.path == directory / BASE:
            file.flush()
            generation = file.generation
        else:
            generation = self._base.write(directory / BASE, secret, {})
        self._recent.write(directory / RECENT, secret, {**about, "base": generation})

    @property
    def subjects(self) -> Subjects:
        """What it was built of, without those added since."""
        return self._base.subjects

    def __len__(self) -> int:
        return self._size

    def add(self, subjects: pl.DataFrame) -> None:
        """Add subjects; those with an id that is known replace the ones before."""
        secret = self._base.subjects.table.secret
        added = Segment.of(subjects, self._options, secret)
        added.remove(self._known(added))
        ids = added.ids.gather(added.alive())
        if self._crowd is not None:
            count_crowd(self._crowd, added.subjects.table)
        self.remove(ids)
        self._recent = self._recent.with_those_of(added)
        self._size += len(ids)
        if len(self._recent.ids) > max(RECENT_SUBJECTS, RECENT_SHARE * len(self._base.ids)):
            self._base = self._base.with_those_of(self._recent)
            self._recent = Segment.of(_nobody(), self._options, secret)

    def _known(self, added: Segment) -> I64:
        """Rows of subjects that are in the index exactly as they are."""
        rows = {subject: row for row, subject in enumerate(added.ids.to_list())}
        known = []
        for segment in (self._base, self._recent):
            for row in segment.rows_of(added.ids).tolist():
                other = rows[segment.ids[row]]
                before = held_of(segment.subjects.profiles, row)
                after = held_of(added.subjects.profiles, other)
                if all(
                    np.array_equal(x[a:b], y[c:d])
                    for (_, x, a, b), (_, y, c, d) in zip(before, after, strict=True)
                ):
                    known.append(other)
        return np.array(sorted(known), np.int64)

    def remove(self, ids: Sequence[str] | pl.Series) -> None:
        """Let subjects be found no more, at once; ids that are not known are passed over."""
        wanted = pl.Series(ids, dtype=pl.String)
        for segment in (self._base, self._recent):
            segment.remove(segment.rows_of(wanted))
        self._size = len(self._base.alive()) + len(self._recent.alive())

    def observe(self, accounts: Frames) -> None:
        """Learn from a seller base how common the subjects' values are in it."""
        for batch in stream(self._prepared, _batches(accounts)):
            self._count(batch)

    @property
    def crowd(self) -> Crowd:
        """How common the subjects' values are in the seller base that was observed."""
        return crowd_of(self._tables, self._observed)

    def weigh_among(self, crowd: Crowd) -> None:
        """Count a seller base that was observed before, in place of any other."""
        self._crowd, self._observed = crowd, crowd.accounts
        for table in self._tables:
            count_crowd(crowd, table)

    def sellers(self, accounts: Frames) -> Sellers:
        """Index a seller base, to look for new subjects in; it counts as observed."""
        secret = self._base.subjects.table.secret
        sellers = Sellers(
            *_indexed(accounts, self._options, secret, subjects=False, most=ALL_SHARERS)
        )
        self.weigh_among(sellers.crowd)
        return sellers

    def screen_all(self, sellers: Sellers) -> pl.DataFrame:
        """All hits of an indexed seller base, as `screen` gives them."""
        frequencies = self.frequencies()

        def screened(start: int) -> pl.DataFrame:
            rows = np.arange(start, min(start + BATCH, len(sellers)))
            shown = pl.DataFrame([sellers.ids.gather(rows).alias("account_id")])
            places = self._places(selected(sellers.profiles, rows))
            return self._shown(shown, *places, frequencies, 0)

        parts = stream(screened, range(0, len(sellers), BATCH))
        return _sorted(pl.concat([pl.DataFrame(schema=HITS), *parts]))

    def screen_for(self, subjects: Sequence[str], sellers: Sellers) -> pl.DataFrame:
        """Hits of a few subjects in a seller base: those among what `screen` would find.

        Args:
            subjects: ids of subjects.
            sellers: the seller base.

        Returns:
            As `screen` does.
        """
        wanted = pl.Series("subject_id", subjects, dtype=pl.String)
        frequencies = self.frequencies()
        needed = bits_needed(self._options.level) - self._prior()
        near = [np.empty(0, np.int64)]
        for segment in (self._base, self._recent):
            profiles = segment.subjects.profiles
            for row in segment.rows_of(wanted).tolist():
                keys = searched_keys(profiles, sellers.table.secret, row)
                rows = sellers.near(located(sellers.table, keys), needed)
                pairs = np.stack([rows, np.full_like(rows, row)], axis=1)
                pairs, _ = compared(
                    sellers.profiles, profiles, pairs, frequencies, self._weights, needed
                )
                near.append(pairs[:, 0])
        rows = np.unique(np.concatenate(near))
        shown = pl.DataFrame([sellers.ids.gather(rows).alias("account_id")])
        places = self._places(selected(sellers.profiles, rows))
        hits = self._shown(shown, *places, frequencies, 0)
        return _sorted(hits.filter(pl.col("subject_id").is_in(wanted.implode())))

    def screen(
        self,
        accounts: Frames,
        *,
        observe: bool = False,
        part_of: Crowd | None = None,
        carry: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> pl.DataFrame:
        """Find the subjects that accounts probably are.

        Memory holds some batches of accounts, and the hits.

        Args:
            accounts: frames with the columns of an account.
            observe: learn from these accounts, and from no others any more, how common values
                are, before any is screened.
            part_of: a larger seller base that was observed before; where these are fewer than
                `PART` of it, they are weighed among its accounts, and nothing is learnt.
            carry: columns that hits show of their account.
            progress: told how many accounts were read, then how many of them were screened.

        Returns:
            `account_id`, `subject_id`, `level`, `probability`, `reasons`, then those carried; most
            probable first.
        """
        with Spool[Prepared]() as spool:
            batches: Iterable[Prepared] = stream(
                lambda frame: self._prepared(frame, carry), _batches(accounts)
            )
            total = None
            if observe:
                self._forget_sellers()
                total = 0
                for batch in batches:
                    self._count(batch)
                    spool.append(batch)
                    total += batch.rows
                    if progress is not None:
                        progress(total, None)
                if part_of is not None and total < PART * part_of.accounts:
                    self.weigh_among(part_of)
                batches = spool
            hits = [pl.DataFrame(schema=HITS)]
            done = 0
            frequencies = self.frequencies()
            for rows, found in stream(
                lambda item: (item[1].rows, self._hits(*item, frequencies)), _numbered(batches)
            ):
                hits.append(found)
                done += rows
                if progress is not None:
                    progress(done, total)
        return _sorted(pl.concat(hits, how="diagonal"))

    def check(self, account: Account) -> list[Hit]:
        """Find the subjects that one account probably is, most probable first."""
        profiles = of_account(account, self._options)
        hits: list[Hit] = []
        for ids, rows, outcomes in self._found(*self._places(profiles), self.frequencies(), 0):
            if not len(rows):
                continue
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
        _, outcomes = compared(
            of_account(account, self._options),
            others,
            np.array([[0, row]]),
            self.frequencies(),
            self._weights,
            -np.inf,
        )
        return explained(outcomes[0], self._prior())

    def frequencies(self) -> Frequencies:
        """How common values are, as far as counted."""
        return frequencies_of(*self._tables, float(len(self) + self._observed))

    @property
    def _tables(self) -> tuple[Table, Table]:
        return self._base.subjects.table, self._recent.subjects.table

    def _subject(self, subject: str) -> tuple[Profiles, int]:
        for segment in (self._base, self._recent):
            rows = segment.rows_of(pl.Series([subject]))
            if len(rows):
                return segment.subjects.profiles, int(rows[0])
        raise UnknownSubject(f"no subject has the id {subject!r}; take one of the second file's")

    def _prior(self) -> float:
        return prior_bits(self._options.prior, len(self))

    def _prepared(self, frame: pl.DataFrame, carry: Sequence[str] = ()) -> Prepared:
        shown = pl.DataFrame([_ids(frame).alias("account_id"), *(frame[name] for name in carry)])
        written = io.BytesIO()
        shown.write_ipc(written)
        profiles = of_frame(frame, self._options)
        return Prepared(np.frombuffer(written.getvalue(), np.uint8), *self._places(profiles))

    def _places(self, profiles: Profiles) -> tuple[Profiles, Found, Found]:
        """Accounts, and which keys of the subjects they have."""
        base, recent = self._tables
        keys = keys_of(profiles, base.secret)
        return profiles, located(base, keys), located(recent, keys)

    def _forget_sellers(self) -> None:
        self._crowd, self._observed = None, 0
        for table in self._tables:
            table.sellers.fill(0)

    def _count(self, batch: Prepared) -> None:
        base, recent = self._tables
        count(base.sellers, batch.base.places)
        count(recent.sellers, batch.recent.places)
        self._observed += batch.rows

    def _hits(self, start: int, batch: Prepared, frequencies: Frequencies) -> pl.DataFrame:
        """Hits of some accounts, the first of which is row `start` of its file."""
        shown = pl.read_ipc(io.BytesIO(batch.shown.tobytes()))
        return self._shown(shown, batch.profiles, batch.base, batch.recent, frequencies, start)

    def _shown(
        self,
        shown: pl.DataFrame,
        profiles: Profiles,
        base: Found,
        recent: Found,
        frequencies: Frequencies,
        start: int,
    ) -> pl.DataFrame:
        found = self._found(profiles, base, recent, frequencies, start)
        return pl.concat(
            hits_frame(
                shown[rows[:, 0]],
                ids.gather(rows[:, 1]),
                outcomes,
                self._prior(),
                self._options.level,
            )
            for ids, rows, outcomes in found
        )

    def _found(
        self,
        profiles: Profiles,
        base: Found,
        recent: Found,
        frequencies: Frequencies,
        start: int,
    ) -> Iterator[tuple[pl.Series, I64, F64]]:
        """Pairs that may be hits, segment by segment: subjects' ids, rows, outcomes."""
        needed = bits_needed(self._options.level) - self._prior()
        same = start if self._options.same_file else -1
        segments = [(self._base, base), (self._recent, recent)]
        for segment, places in segments[: 2 if len(self._recent.ids) else 1]:
            pairs = candidates(profiles, places, segment.subjects, frequencies, needed, same)
            others = segment.subjects.profiles
            pairs, outcomes = compared(profiles, others, pairs, frequencies, self._weights, needed)
            yield segment.ids, pairs, outcomes


def _sorted(hits: pl.DataFrame) -> pl.DataFrame:
    return hits.sort("probability", "account_id", "subject_id", descending=[True, False, False])


def _numbered(batches: Iterable[Prepared]) -> Iterator[tuple[int, Prepared]]:
    """Batches, each with the row of its first account."""
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.rows


def _batches(accounts: Frames) -> Iterator[pl.DataFrame]:
    """Frames of at most so many accounts as a thread takes at a time; one at least."""
    for frame in [accounts] if isinstance(accounts, pl.DataFrame) else accounts:
        for start in range(0, max(len(frame), 1), BATCH):
            yield frame[start : start + BATCH]


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(schema={"id": pl.String})


def _ids(accounts: pl.DataFrame) -> pl.Series:
    if "id" not in accounts.columns:
        return pl.Series("id", [""], dtype=pl.String).new_from_index(0, len(accounts))
    return accounts["id"].fill_null("").cast(pl.String)


def match(
    accounts: Frames,
    against: Frames,
    *,
    options: MatchOptions,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Find the accounts of one file that are probably the same actor as a subject in another.

    Args:
        accounts: a seller base, columns as `acx.records.account.FIELDS`.
        against: the subjects, likewise.
        options: how to match.
        progress: told how many accounts were read, then how many of them were screened.

    Returns:
        `account_id`, `subject_id`, `level`, `probability`, `reasons`; most probable first.
    """
    index = SubjectIndex.build(against, options=options)
    return index.screen(accounts, observe=not options.same_file, progress=progress)


def explain(a: Account, b: Account, *, options: MatchOptions | None = None) -> Explanation:
    """Compare two accounts by what is known of the world alone, no file's frequencies."""
    return SubjectIndex.build(_nobody(), options=options).explain(a, b)
