"""What a witness is asked, and what it has to answer (C2SP tlog-witness v1.0.0).

Pure: `judge` decides on a request against the last checkpoint that was cosigned. Whoever serves it
looks that up, judges, and stores the new one in one transaction, or a race rolls the witness back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from acx.log.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from acx.log.encoding import format_base64, parse_decimal, parse_hash
from acx.log.errors import (
    BadSignature,
    InconsistentLog,
    MalformedNote,
    MalformedProof,
    MalformedRequest,
    UntrustedNote,
)
from acx.log.merkle import EMPTY_ROOT, MAX_PROOF_HASHES, verify_consistency
from acx.log.note import NoteVerifier

SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of the answer to a conflict, which is the last cosigned size."""


class Status(IntEnum):
    """What each status of `add-checkpoint` means."""

    COSIGNED = 200
    """The body has the witness's signature lines."""
    MALFORMED = 400
    """The body is not in form, or `old` is larger than the checkpoint."""
    UNTRUSTED = 403
    """No key of that log has signed, or a signature in its name is not its own."""
    UNKNOWN_LOG = 404
    """The witness does not know the origin."""
    CONFLICT = 409
    """`old` is not the last size the witness cosigned; the body says which it is."""
    INCONSISTENT = 422
    """The checkpoint does not continue the last one: a wrong proof, or a fork."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request for a cosignature.

    Attributes:
        old_size: size the witness cosigned last, as far as the log knows; 0 if it does not.
        proof: consistency of that size with the checkpoint.
        checkpoint: what is to be cosigned; when parsed, not verified yet.
    """

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint

    @property
    def body(self) -> str:
        """The request's body."""
        lines = [f"old {self.old_size}", *map(format_base64, self.proof)]
        return "".join(f"{line}\n" for line in lines) + "\n" + self.checkpoint.note


def parse_add_checkpoint(body: str | bytes) -> AddCheckpoint:
    """Read the body of a request.

    Raises:
        MalformedRequest: with the reason. Answer `Status.MALFORMED`.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        raise MalformedRequest("the body is not UTF-8") from None
    head, separator, note = text.partition("\n\n")
    first, *rest = head.split("\n", MAX_PROOF_HASHES + 1)
    old_size = parse_decimal(first.removeprefix("old "))
    if not separator or not first.startswith("old ") or old_size is None:
        raise MalformedRequest("the body reads: old SIZE, hashes, an empty line, a checkpoint")
    hashes = [parse_hash(line) for line in rest]
    proof = tuple(digest for digest in hashes if digest is not None)
    if len(proof) != len(hashes) or len(proof) > MAX_PROOF_HASHES:
        raise MalformedRequest(f"the proof is not at most {MAX_PROOF_HASHES} hashes, one a line")
    try:
        return AddCheckpoint(old_size, proof, read_checkpoint(note))
    except MalformedNote as error:
        raise MalformedRequest(str(error)) from None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a witness answers.

    Attributes:
        status: the answer's status. On `COSIGNED`, store the request's checkpoint, then answer with
            cosignatures; on `INCONSISTENT`, keep it: it is signed, and may be evidence.
        reason: for the log's operator; with `CONFLICT`, the body the standard asks for.
    """

    status: Status
    reason: str = ""


def judge(request: AddCheckpoint, logs: Iterable[NoteVerifier], last: Checkpoint | None) -> Verdict:
    """Decide whether a checkpoint may be cosigned.

    Steps, in the order in which the first that fails decides: (1) the log is known; (2) it has
    signed; (3) `old` is not beyond the checkpoint; (4) `old` is what was cosigned last; (5) the
    proof leads from there to the checkpoint.

    Args:
        request: as parsed.
        logs: keys of the logs this witness knows.
        last: the checkpoint of that origin which was cosigned last; None if none was.

    Source: C2SP tlog-witness, «add-checkpoint».
    """
    checkpoint = request.checkpoint
    # (1)
    own = [log for log in logs if log.name == checkpoint.origin]
    if not own:
        return Verdict(Status.UNKNOWN_LOG, "this witness does not know the log")
    # (2)
    try:
        open_checkpoint(checkpoint.note, *own)
    except (UntrustedNote, BadSignature) as error:
        return Verdict(Status.UNTRUSTED, str(error))
    # (3)
    if request.old_size > checkpoint.size:
        return Verdict(
            Status.MALFORMED, f"old {request.old_size} is beyond the checkpoint's {checkpoint.size}"
        )
    # (4)
    cosigned = last or Checkpoint(checkpoint.origin, 0, EMPTY_ROOT)
    if request.old_size != cosigned.size:
        return Verdict(Status.CONFLICT, f"{cosigned.size}\n")
    # (5)
    try:
        verify_consistency(cosigned, checkpoint, request.proof)
    except (MalformedProof, InconsistentLog) as error:
        return Verdict(Status.INCONSISTENT, str(error))
    return Verdict(Status.COSIGNED)


def origin_hash(origin: str) -> str:
    """Name of a log in a witness's monitoring paths, `HASH/checkpoint`."""
    return hashlib.sha256(origin.encode()).hexdigest()
