"""Proof that a log has forked, which convinces anyone who knows the log's key.

Two checkpoints of one size and different roots speak for themselves. Of two sizes, one has to show
that the larger checkpoint commits to another beginning: a root for the smaller size, and the
consistency proof (RFC 9162) that leads from it to the larger root. Who made the proof does not
matter; nothing of it but the two checkpoints is taken on trust, and those the log signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.encoding import format_base64, parse_hash
from acx.log.errors import Forked, InconsistentLog, LogError, MalformedProof
from acx.log.merkle import MAX_PROOF_HASHES, verify_consistency
from acx.log.note import MAX_NOTE_BYTES, NoteVerifier
from acx.log.tiles import TileReader, consistency_path, earlier_root

FORMAT: Final = "acx-fork/v1"
MAX_CHARACTERS: Final = 2 * MAX_NOTE_BYTES + 64 * 1024

_Hash = Annotated[str, Meta(max_length=64)]


class ForkProof(msgspec.Struct, frozen=True, kw_only=True):
    """Two checkpoints of one log that cannot both be true, and why. Unverified, as it was read.

    Attributes:
        format: names this format.
        smaller: signed note of the checkpoint that has fewer entries, or as many.
        larger: signed note of the other.
        root: base64 of the root that the larger one commits to for the smaller one's size.
        path: base64 of the hashes that show so; none for checkpoints of one size.
    """

    format: Literal["acx-fork/v1"] = FORMAT
    smaller: str
    larger: str
    root: _Hash
    path: Annotated[tuple[_Hash, ...], Meta(max_length=MAX_PROOF_HASHES)] = ()

    @property
    def text(self) -> str:
        """The proof as a file holds it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that is proven.

    Attributes:
        smaller: one checkpoint that the log signed.
        larger: another.
        root: the root that the larger one commits to for the size of the smaller.
    """

    smaller: Checkpoint
    larger: Checkpoint
    root: bytes

    @property
    def explanation(self) -> str:
        """What it means, for people."""
        origin, size = self.smaller.origin, self.smaller.size
        first = (
            f"The log {origin} has forked. It signed that its first {size} entries have the root"
            f" {self.smaller.root.hex()}"
        )
        if self.larger.size == size:
            return f"{first}, and also that they have the root {self.root.hex()}."
        return (
            f"{first}, and also a log of {self.larger.size} entries (root {self.larger.root.hex()})"
            f" whose first {size} have the root {self.root.hex()}."
        )


def parse_fork_proof(text: str) -> ForkProof:
    """Read a proof.

    Raises:
        MalformedProof: it is none.
    """
    if len(text) > MAX_CHARACTERS:
        raise MalformedProof(f"the proof is longer than {MAX_CHARACTERS} characters")
    try:
        return msgspec.json.decode(text.encode(), type=ForkProof)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedProof(f"not a proof of a fork: {error}") from None


def verify_fork_proof(proof: ForkProof, *logs: NoteVerifier) -> Fork:
    """Check that a proof proves what it says.

    Steps: (1) the log signed both checkpoints; (2) the larger one commits to the root that the
    proof names; (3) the smaller one has another.

    Args:
        proof: as read.
        logs: keys of the logs that it may be about.

    Raises:
        MalformedNote, UntrustedNote, BadSignature: at step 1; it says nothing about the log.
        MalformedProof: at steps 2 and 3; it proves nothing.
    """
    # (1)
    smaller, larger = (open_checkpoint(note, *logs) for note in (proof.smaller, proof.larger))
    if smaller.origin != larger.origin:
        raise MalformedProof("the two checkpoints are of different logs, which proves nothing")
    # (2)
    root, path = parse_hash(proof.root), [parse_hash(item) for item in proof.path]
    hashes = tuple(digest for digest in path if digest is not None)
    if root is None or len(hashes) != len(path):
        raise MalformedProof("the proof holds what is no hash")
    if not 1 <= smaller.size <= larger.size:
        raise MalformedProof("the smaller checkpoint is empty, or is not the smaller")
    try:
        verify_consistency(Checkpoint(smaller.origin, smaller.size, root), larger, hashes)
    except InconsistentLog:
        raise MalformedProof("the proof's hashes do not lead to the larger checkpoint") from None
    # (3)
    if root == smaller.root:
        raise MalformedProof("the larger checkpoint continues the smaller: there is no fork")
    return Fork(smaller, larger, root)


def fork_proof(smaller: Checkpoint, larger: Checkpoint, reader: TileReader | None) -> ForkProof:
    """Make a proof of two checkpoints that contradict each other.

    Args:
        smaller: signed, of at least one entry.
        larger: signed, of at least as many.
        reader: files of the larger one's tree; none needed where the sizes are equal.

    Raises:
        MalformedProof: the files do not lead to the larger checkpoint, so nothing is proven.
        MissingFile, MalformedFile: a file is not as it should be.
    """
    root, path = larger.root, list[bytes]()
    if smaller.size != larger.size:
        if reader is None:
            raise MalformedProof("checkpoints of different sizes need the larger log's files")
        root = earlier_root(reader, smaller.size, larger.size)
        path = consistency_path(reader, smaller.size, larger.size)
    try:
        verify_consistency(Checkpoint(larger.origin, smaller.size, root), larger, path)
    except InconsistentLog:
        raise MalformedProof("the files do not lead to the larger checkpoint") from None
    return ForkProof(
        smaller=smaller.note,
        larger=larger.note,
        root=format_base64(root),
        path=tuple(map(format_base64, path)),
    )


def forked(
    message: str, one: Checkpoint, other: Checkpoint, reader: TileReader | None = None
) -> Forked:
    """The error for two signed checkpoints that contradict each other, with the proof if there is.

    Args:
        message: what was found, and what to do.
        one: a checkpoint, with its note.
        other: another.
        reader: files of the larger one's tree.
    """
    smaller, larger = sorted((one, other), key=lambda checkpoint: checkpoint.size)
    try:
        proof = fork_proof(smaller, larger, reader).text
    except LogError:
        proof = ""
    return Forked(message, evidence=(smaller.note, larger.note), proof=proof)
