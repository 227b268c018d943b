"""Proofs to carry along: that an entry is in a log, checkable offline (C2SP tlog-proof).

A `.tlog-proof` holds place, path and checkpoint; whoever knows the entry and the log's key needs
nothing else. The exchange's receipts are of this form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acx.log.checkpoint import Checkpoint
from acx.log.encoding import format_base64, parse_base64, parse_decimal, parse_hash
from acx.log.errors import MalformedProof
from acx.log.merkle import MAX_PROOF_HASHES, verify_inclusion
from acx.log.note import MAX_NOTE_BYTES, Verifier
from acx.log.policy import Policy

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_EXTRA_BYTES: Final = 64 * 1024

_MAX_CHARACTERS: Final = MAX_NOTE_BYTES + 2 * MAX_EXTRA_BYTES


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof, taken apart; nothing about it is verified.

    Attributes:
        index: place of the entry in the log.
        path: sibling hashes, from the leaf upwards.
        checkpoint: signed note of the head the proof is for, cosignatures included.
        extra: what the application adds; nobody has signed it.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    @property
    def text(self) -> str:
        """The proof as a file holds it."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {format_base64(self.extra)}")
        lines += [f"index {self.index}", *map(format_base64, self.path)]
        return "".join(f"{line}\n" for line in lines) + "\n" + self.checkpoint


def parse_proof(text: str) -> LogProof:
    """Take a proof apart.

    Raises:
        MalformedProof: with the reason.
    """
    if len(text) > _MAX_CHARACTERS:
        raise MalformedProof(f"proof is longer than {_MAX_CHARACTERS} characters")
    head, separator, checkpoint = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not separator:
        raise MalformedProof(
            f"not a proof: one starts with the line {HEADER}, and is not cut short"
        )
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0).removeprefix("extra ")) or b""
        if not 1 <= len(extra) <= MAX_EXTRA_BYTES:
            raise MalformedProof("the proof's extra line is not base64, or too long")
    index = parse_decimal(lines[0].removeprefix("index ")) if lines else None
    if index is None or not lines[0].startswith("index "):
        raise MalformedProof("the proof's index line is missing, or is no number")
    hashes = [parse_hash(line) for line in lines[1:]]
    path = tuple(digest for digest in hashes if digest is not None)
    if len(path) != len(hashes) or len(path) > MAX_PROOF_HASHES:
        raise MalformedProof("the proof's path is not made of hashes, or too long")
    return LogProof(index, path, checkpoint, extra)


def verify_proof(
    proof: LogProof, leaf: bytes, *logs: Verifier, policy: Policy | None = None
) -> Checkpoint:
    """Check that an entry is in a log that we trust, without asking anybody.

    Steps: (1) the log has signed the checkpoint; (2) enough witnesses have cosigned it; (3) the
    path leads from the entry to the checkpoint's root.

    Args:
        proof: the proof.
        leaf: leaf hash of the entry, computed from what the proof is to be about.
        logs: keys of the logs we accept; by default, the policy's.
        policy: how many witnesses must have seen the checkpoint; by default, none.

    Returns:
        The checkpoint, as a statement to rely on.

    Raises:
        MalformedNote, UntrustedNote, BadSignature: at step 1.
        QuorumNotMet: at step 2.
        MalformedProof, RootMismatch: at step 3.

    Source: C2SP tlog-proof, «Verifying a tlog proof».
    """
    # (1) and (2)
    checkpoint = (policy or Policy()).open(proof.checkpoint, *logs)
    # (3)
    verify_inclusion(leaf, proof.index, proof.path, checkpoint)
    return checkpoint
