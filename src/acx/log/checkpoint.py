"""Checkpoints: the signed head of a log (C2SP tlog-checkpoint v1.0.0)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from acx.log.encoding import format_base64, parse_decimal, parse_hash
from acx.log.errors import MalformedNote, UntrustedNote
from acx.log.note import NoteSigner, NoteVerifier, open_note, parse_note, sign_note

_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: all its leaves, and their order.

    Attributes:
        origin: the log's name.
        size: number of leaves.
        root: root hash of the tree over them (RFC 9162, section 2.1.1).
        extensions: further lines of the text; acx writes none, and gives none a meaning.
        note: the signed note it was read from, which is evidence; empty if it was made here.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    note: str = field(default="", compare=False, repr=False)

    @property
    def text(self) -> str:
        """The note text: what log and witnesses sign."""
        lines = (self.origin, str(self.size), format_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def sign_checkpoint(checkpoint: Checkpoint, *signers: NoteSigner) -> str:
    """Make the signed note of a checkpoint.

    The signer answers for it that no inconsistent checkpoint was ever signed: check it against the
    last one first.

    Raises:
        MalformedNote: the origin is empty, or holds a line break.
    """
    _parse_lines(checkpoint.text)
    return sign_note(checkpoint.text, *signers)


def open_checkpoint(note: str | bytes, *logs: NoteVerifier) -> Checkpoint:
    """Read a checkpoint that its own log has signed.

    Args:
        note: as received.
        logs: keys of the logs we accept. A key counts for checkpoints of its own name only, so
            that one log cannot speak for another.

    Raises:
        MalformedNote: no signed note, or not a checkpoint's.
        UntrustedNote: the log is another one, or has not signed.
        BadSignature: the signature is not the log's.
    """
    parsed = read_checkpoint(note)
    own = [log for log in logs if log.name == parsed.origin]
    if not own:
        expected = ", ".join(sorted({log.name for log in logs})) or "none"
        raise UntrustedNote(
            f"the checkpoint is of log {parsed.origin[:_MAX_SHOWN]!r} where {expected} is expected"
        )
    open_note(note, *own)
    return parsed


def read_checkpoint(note: str | bytes) -> Checkpoint:
    """Read a checkpoint without verifying who signed it, to find out whose it claims to be.

    Raises:
        MalformedNote: no signed note, or not a checkpoint's.
    """
    checkpoint = parse_checkpoint_text(parse_note(note).text)
    return replace(checkpoint, note=note.decode() if isinstance(note, bytes) else note)


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read the text that log and witnesses sign.

    Raises:
        MalformedNote: it is not a checkpoint's.
    """
    origin, size, root, *extensions = _parse_lines(text)
    number, digest = parse_decimal(size), parse_hash(root)
    if number is None:
        raise MalformedNote(f"checkpoint: {size[:_MAX_SHOWN]!r} is no tree size")
    if digest is None:
        raise MalformedNote(f"checkpoint: {root[:_MAX_SHOWN]!r} is no root hash")
    return Checkpoint(origin, number, digest, tuple(extensions))


def _parse_lines(text: str) -> list[str]:
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise MalformedNote("a checkpoint's text is origin, size and root, a line each")
    return lines
