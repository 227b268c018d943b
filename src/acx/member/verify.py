"""Check a log again: one's own copy from the ground up, and the exchange's word against it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Final, Protocol

import msgspec

from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.entry import entry_of, parse_keys
from acx.log.errors import EntryMismatch, InconsistentLog, MissingFile
from acx.log.fork import forked
from acx.log.fsck import Report as FileReport
from acx.log.fsck import fsck
from acx.log.merkle import EMPTY_ROOT, Frontier, hash_leaf, verify_consistency
from acx.log.note import MAX_NOTE_BYTES, Verifier
from acx.log.proof import HEADER
from acx.log.tiles import TileReader, consistency_path
from acx.log.witness import origin_hash
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, Refused, ReplicaError, Withheld
from acx.member.replica import Replica, StoredEntry
from acx.member.witnessed import Witnessed, policy_of, witnessed
from acx.records.event import parse_event, verify_event
from acx.records.state import Entry, Reports

BATCH: Final = 4096
"""Entries that are in memory at a time."""
CHUNK: Final = 64
"""Entries that a thread recomputes at a time."""
NOT_FOUND: Final = 404
_FORKED: Final = (
    "entries that the log signed are others than in this replica: the log has forked; tell the"
    " operator and the other members"
)


class KeySource(Protocol):
    """Where key pages come from."""

    def key_pages(self, after: int) -> tuple[int, bytes]:
        """Key pages from the one that holds the next index on: their first index, and bytes."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was found to hold.

    Attributes:
        origin: the log.
        size: entries.
        root: root hash of the tree over them, hex.
        opened: events recomputed from their secrets, their signatures checked.
        gone: entries without a body, each listed by an erasure or expiry.
        reports: reports whose views follow from the events.
        witnessed: how far the invite's witnesses have cosigned it.
    """

    origin: str
    size: int
    root: str
    opened: int
    gone: int
    reports: int
    witnessed: Witnessed


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Two signed heads of one log that agree.

    Attributes:
        size: entries of ours.
        other_size: entries of the other.
        other_cosigners: the invite's witnesses that have cosigned the other.
    """

    size: int
    other_size: int
    other_cosigners: tuple[str, ...] = ()


def verify_replica(
    replica: Replica, *, threads: int = 0, progress: Callable[[int, int], object] | None = None
) -> Verified:
    """Recompute everything a replica holds, trusting only the keys of the invite.

    Steps: (1) the checkpoint is the log's, and the cosigned one also its witnesses'; (2) each entry
    commits to its event, which its key signed; (3) all entries lead to the roots of both; (4) what
    has no body is gone by the log's own word; (5) the views of all reports follow from the events.

    Raises:
        InconsistentLog: the log does not hold what was signed.
        ReplicaError: there is nothing to verify, or the replica itself is damaged.
    """
    with replica.snapshot():
        checkpoint = replica.checkpoint
        if checkpoint is None:
            raise ReplicaError(f"{replica.directory} was never synced; run `acx sync` first")
        trust = replica.trust
        # (1)
        open_checkpoint(checkpoint.note, Verifier.parse(trust.log_key))
        cosigned = replica.cosigned
        if cosigned is not None:
            policy_of(replica).open(cosigned.note, Verifier.parse(trust.log_key))
        frontier, reports, gone = Frontier(), Reports(trust.operators), list[int]()
        with ThreadPoolExecutor(threads or os.cpu_count() or 1, "acx-verify") as executor:
            entries = replica.entries()
            while batch := list(islice(entries, BATCH)):
                # (2)
                chunks = [batch[at : at + CHUNK] for at in range(0, len(batch), CHUNK)]
                opened = executor.map(lambda chunk: _open(chunk, trust.origin), chunks)
                for stored, entry in chain.from_iterable(opened):
                    frontier.append(hash_leaf(stored.entry))
                    # (3)
                    if cosigned is not None and frontier.size == cosigned.size:
                        frontier.confirm(cosigned)
                    if entry is None:
                        gone.append(stored.index)
                    else:
                        reports.apply(entry)
                if progress is not None:
                    progress(frontier.size, checkpoint.size)
        # (3)
        frontier.confirm(checkpoint)
        # (4)
        for index in gone:
            if not reports.is_gone(index):
                raise Withheld(f"withheld at index {index}", evidence=(checkpoint.note,))
        # (5)
        views = {view.id: view for view in reports}
        kept = {view.id: view for view in replica.reports()}
        if views != kept:
            raise ReplicaError(
                "the replica's reports do not follow from its entries; delete"
                f" {replica.directory} and sync again"
            )
    return Verified(
        origin=trust.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        opened=checkpoint.size - len(gone),
        gone=len(gone),
        reports=len(kept),
        witnessed=witnessed(replica),
    )


def compare(replica: Replica, note: str, reader: TileReader | None = None) -> Compared:
    """Hold another signed head, the exchange's or a fellow member's, against one's own copy.

    Args:
        replica: one's own copy.
        note: the other checkpoint.
        reader: the log's public files, by which a larger log is shown to contain ours.

    Raises:
        LogError: the note is no checkpoint of this log.
        Forked: the two cannot both be true; the message says where the evidence is.
        ReplicaError: the other is larger and there are no files to compare with.
    """
    other = open_checkpoint(note, Verifier.parse(replica.trust.log_key))
    own = replica.checkpoint or Checkpoint(replica.trust.origin, 0, EMPTY_ROOT)
    if other.size > own.size:
        if reader is None:
            raise ReplicaError(
                f"the other checkpoint is of {other.size} entries and ours of {own.size}; run `acx"
                " sync` first, and if ours stays smaller, let the other member compare with our"
                " checkpoint (acx verify --checkpoint-out FILE)"
            )
        _require_growth(own, other, reader)
    elif _root(replica, other.size) != other.root:
        raise forked(f"{other.size} {_FORKED}", own, other, replica.tiles())
    cosigners = {name for name, _ in policy_of(replica).cosignatures(note)}
    return Compared(size=own.size, other_size=other.size, other_cosigners=tuple(sorted(cosigners)))


def _require_growth(own: Checkpoint, other: Checkpoint, reader: TileReader) -> None:
    """Check by a larger log's files that it contains ours."""
    try:
        verify_consistency(own, other, consistency_path(reader, own.size, other.size))
    except InconsistentLog as error:
        fork = forked(f"{own.size} {_FORKED}", own, other, reader)
        # Files that lead to neither checkpoint are damaged, or belong to a third log.
        raise (fork if fork.proof else error) from None


def _root(replica: Replica, size: int) -> bytes:
    """Root of our tree over its first entries."""
    frontier = Frontier()
    frontier.extend(hash_leaf(stored.entry) for stored in islice(replica.entries(), size))
    return frontier.root()


def read_checkpoint_file(path: Path) -> str:
    """The signed note in a file: a checkpoint, a receipt, or a whole replica of somebody's.

    Raises:
        ReplicaError: it is none of these.
    """
    if path.is_dir():
        with closing(Replica.open(path, read_only=True)) as replica:
            checkpoint = replica.checkpoint
        if checkpoint is None:
            raise ReplicaError(f"{path} was never synced; there is nothing to compare with")
        return checkpoint.note
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_NOTE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ReplicaError(f"{path}: {error}; it should hold a checkpoint") from None
    if text.startswith(HEADER):
        return text.partition("\n\n")[2]
    if text.lstrip().startswith("{"):
        raise ReplicaError(f"{path} is no checkpoint; check a proof with `acx verify {path}`")
    return text


def published_checkpoint(client: ExchangeClient, origin: str) -> tuple[str, bool]:
    """The signed head at a URL.

    Returns:
        The note, and whether the log's files are there too: an exchange or a mirror has them, a
        witness only what it has cosigned.

    Raises:
        ExchangeError: there is none.
    """
    try:
        return client.checkpoint(), True
    except Refused as refusal:
        if refusal.status != NOT_FOUND:
            raise
    note = client.public_file(f"{origin_hash(origin)}/checkpoint")
    return note.decode("utf-8", "replace"), False


def compare_keys(replica: Replica, pages: KeySource) -> int:
    """Hold the exchange's key pages, as they stand now, against one's own copy.

    Whoever joins today is given an entry only if its key is still there; so a key that is gone
    without a word on the log hides the entry from every later member.

    Args:
        replica: one's own copy, up to date.
        pages: the exchange's.

    Returns:
        The number of keys that were compared.

    Raises:
        Withheld: a key is destroyed and no erasure or expiry says why.
        EntryMismatch: a key is another one than we were given.
        BadAnswer: the pages do not reach our size.
    """
    checkpoint = replica.checkpoint
    evidence = (checkpoint.note,) if checkpoint else ()
    entries = replica.entries()
    compared = 0
    while compared < replica.size:
        first, data = pages.key_pages(compared - 1)
        keys = parse_keys(data)[compared - first :]
        if first > compared or not keys:
            raise BadAnswer(f"the exchange's key pages end at {compared} of {replica.size}")
        for key, stored in zip(keys, entries, strict=False):  # Pages may go beyond our size.
            if key is None and stored.event:
                raise Withheld(
                    f"withheld at index {stored.index}: the exchange destroyed its key, and no"
                    " erasure or expiry on the log says why; tell the operator",
                    evidence=evidence,
                )
            if key is not None and stored.event and key != stored.k:
                raise EntryMismatch(
                    f"entry {stored.index} has another key now than it had", evidence=evidence
                )
        compared += len(keys)
    return min(compared, replica.size)


def verify_public(reader: TileReader, log_key: str) -> FileReport:
    """Check a log's public files as anybody can, with nothing but its key.

    Raises:
        LogError: there is no checkpoint by that key.
        RootMismatch: a file is not what was signed.
    """
    report = fsck(reader, Verifier.parse(log_key))
    if not report.sound:
        first = report.problems[0]
        raise EntryMismatch(
            f"{len(report.problems)} files are not what was signed, first {first.path}:"
            f" {first.reason}",
            evidence=(report.checkpoint.note,),
        )
    return report


class PublicFiles:
    """The log's public files, over HTTP."""

    def __init__(self, client: ExchangeClient) -> None:
        """`client` needs no token."""
        self._client = client

    def read(self, path: str) -> bytes:
        """A file.

        Raises:
            MissingFile: it is not there.
        """
        try:
            return self._client.public_file(path)
        except Refused as refusal:
            if refusal.status == NOT_FOUND:
                raise MissingFile(f"{self._client.url} has no {path}") from None
            raise


def _open(batch: Iterable[StoredEntry], origin: str) -> list[tuple[StoredEntry, Entry | None]]:
    opened: list[tuple[StoredEntry, Entry | None]] = []
    for stored in batch:
        if not stored.event:
            opened.append((stored, None))
            continue
        if entry_of(stored.k, stored.at, stored.event) != stored.entry:
            raise EntryMismatch(f"entry {stored.index} commits to another event than is kept")
        event = parse_event(stored.event)
        verify_event(event, origin)
        opened.append((stored, Entry(stored.index, event)))
    return opened
