"""The matching index of a replica: built once, kept beside it, brought up to date with the log.

It lies in `replica/index`, protected by the replica's key, and knows the log up to a size; whoever
opens it catches up in memory with what the log has said since. One process at a time changes the
files: a screening that finds none or an outdated one, and the replica's writer, which takes out at
once what no longer counts. It is only ever a copy: where it is damaged, or another version made it,
it is built again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
import polars as pl

from acx.matching import BadIndex, MatchOptions, SubjectIndex
from acx.matching.errors import NoIndex
from acx.matching.index import BATCH
from acx.matching.storage import Secret
from acx.member.replica import INDEX_SIZE_FILE, Replica
from acx.records.account import LIST_FIELDS, SUBJECT_FIELDS
from acx.records.state import ReportView, State

SCREENED_STATES: Final[tuple[State, ...]] = ("active", "disputed", "suspended")
"""Reports that can hit."""
KEPT_FROM: Final = 1000
"""Fewer reports are indexed anew each time: that takes less than to keep them."""
LOCK_FILE: Final = "lock"
PATIENCE_SECONDS: Final = 30.0

_TEXTS: Final = pl.List(pl.String)
_REPORT: Final = pl.Struct(
    {
        "account": pl.Struct(
            {name: _TEXTS if name in LIST_FIELDS else pl.String() for name in SUBJECT_FIELDS}
        )
    }
)
"""What matching takes of a report's JSON; the rest is passed over."""


class ReportIndex:
    """The reports that can hit, indexed.

    Attributes:
        subjects: the index.
        size: entries of the log that it knows.
        note: why it had to be built again; empty if it had not.
    """

    def __init__(self, subjects: SubjectIndex, size: int, note: str = "") -> None:
        """Use `open`."""
        self.subjects = subjects
        self.size = size
        self.note = note

    @classmethod
    def open(cls, replica: Replica, options: MatchOptions, *, keep: bool = False) -> ReportIndex:
        """The index of a replica as it is now.

        Args:
            replica: what is known.
            options: how to match.
            keep: write it down, if it is not there or is outdated, and nobody else does.
        """
        options = msgspec.structs.replace(options, subjects_country="")
        note = ""
        try:
            opened = _read(replica, options)
        except BadIndex as error:
            note = "" if isinstance(error, NoIndex) else str(error)
            opened = _built(replica, options)
            if keep and len(opened.subjects) >= KEPT_FROM:
                with _changing(replica, patience=0) as allowed:
                    if allowed:
                        opened.refresh(replica)
                        _write(opened, replica)
        else:
            if keep and replica.index_is_due:
                update(replica, patience=0)
        opened.note = note
        return opened

    def refresh(self, replica: Replica) -> list[str]:
        """Catch up with the log; returns the reports that have changed."""
        if replica.size == self.size:
            return []
        with replica.snapshot():
            size = replica.size
            views = list(replica.reports(since=self.size))
        standing = [view for view in views if _can_hit(view)]
        self.subjects.remove([view.id for view in views if not _can_hit(view)])
        for frame in _frames(standing):
            if len(frame):
                self.subjects.add(frame)
        self.size = size
        return [view.id for view in views]


def _read(replica: Replica, options: MatchOptions, *, change: bool = False) -> ReportIndex:
    """What is on disk, caught up with the log."""
    directory = replica.index_directory
    subjects, about = SubjectIndex.open(
        directory, secret_of(replica), options=options, change=change
    )
    opened = ReportIndex(subjects, int(about["size"]))
    if opened.size > replica.size:
        raise BadIndex(f"{directory}: of a longer log than the replica's; build it again")
    opened.refresh(replica)
    return opened


def _built(replica: Replica, options: MatchOptions) -> ReportIndex:
    with replica.snapshot():
        size = replica.size
        views = filter(_can_hit, replica.reports(*SCREENED_STATES))
        subjects = SubjectIndex.build(_frames(views), options=options, secret=secret_of(replica))
    return ReportIndex(subjects, size)


def _write(index: ReportIndex, replica: Replica) -> None:
    directory = replica.index_directory
    # A full disk or a directory of somebody else's costs the copy, not the screening.
    with suppress(BadIndex, OSError):
        index.subjects.save(directory, secret_of(replica), {"size": index.size})
        (directory / INDEX_SIZE_FILE).write_text(str(index.size), encoding="ascii")


def update(replica: Replica, *, patience: float = PATIENCE_SECONDS) -> bool:
    """Bring the files up to date; what can hit no more is overwritten in them.

    Args:
        replica: what is known.
        patience: seconds to wait for another process that changes them.

    Returns:
        Whether they are up to date, or gone.
    """
    with _changing(replica, patience=patience) as allowed:
        if not allowed:
            return False
        options = MatchOptions(matching_key=replica.trust.matching_key, subjects_country="")
        try:
            _write(_read(replica, options, change=True), replica)
        except BadIndex:
            # Whatever is in it must not stay.
            shutil.rmtree(replica.index_directory, ignore_errors=True)
            if replica.changed_since(0) >= KEPT_FROM:
                _write(_built(replica, options), replica)
    return True


def secret_of(replica: Replica) -> Secret:
    """What protects a replica's index."""
    return Secret.of(replica.vault.index_key)


def _can_hit(view: ReportView) -> bool:
    return view.state in SCREENED_STATES and bool(view.report_json)


def _frames(views: Iterable[ReportView]) -> Iterator[pl.DataFrame]:
    """Accounts of reports as the matcher takes them, batch by batch; one frame at least."""
    rows: list[tuple[str, str]] = []
    first = True
    for view in views:
        rows.append((view.id, view.report_json.decode()))
        if len(rows) == BATCH:
            yield _frame(rows)
            rows, first = [], False
    if rows or first:
        yield _frame(rows)


def _frame(rows: list[tuple[str, str]]) -> pl.DataFrame:
    # Parsed as a column: at a million reports, one by one takes minutes.
    return (
        pl.DataFrame(rows, schema={"id": pl.String, "json": pl.String}, orient="row")
        .with_columns(pl.col("json").str.json_decode(_REPORT))
        .unnest("json")
        .unnest("account")
        .with_columns(pl.col(pl.String).fill_null(""), pl.col(_TEXTS).fill_null([]))
    )


@contextmanager
def _changing(replica: Replica, *, patience: float) -> Iterator[bool]:
    """Be the one process that changes the files, if that is allowed."""
    path = replica.directory / f"{replica.index_directory.name}.{LOCK_FILE}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield False
        return
    try:
        deadline = time.monotonic() + patience
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                yield False
                return
            time.sleep(0.02)
        yield True
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
