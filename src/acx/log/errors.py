"""What can go wrong in the log, in two trees that tell whose fault it is.

Most errors are about one text or file, which may have been damaged on the way: ask again (exit 1).
`InconsistentLog` and its kin are about the log: what it signed cannot be true (exit 5), and they
carry what proves it.
"""

from __future__ import annotations

from typing import ClassVar

from acx.errors import AcxError


class LogError(AcxError):
    """Something about the log, its files or its signatures."""


class MalformedKey(LogError):
    """A line that is no note key, or one of a type that has no place here."""


class MalformedNote(LogError):
    """A text that is no signed note, or no checkpoint."""


class UntrustedNote(LogError):
    """A note that no key we trust has signed."""


class BadSignature(LogError):
    """A note with a signature that names a key we trust, and is not its own."""


class QuorumNotMet(LogError):
    """A checkpoint that fewer witnesses have cosigned than the policy asks for."""


class MalformedPolicy(LogError):
    """A text that is no witness policy."""


class MalformedProof(LogError):
    """A proof that cannot be about the place and the log it was given for. Ask again."""


class MalformedFile(LogError):
    """A tile, bundle or key page that is not what its path says, or a path that names none."""


class MissingFile(LogError):
    """A file of the log that is not there."""


class MalformedRequest(LogError):
    """A request to a witness that is not in the protocol's form."""


class InconsistentLog(LogError):
    """The log contradicts itself. Keep the evidence; do not trust what it says from here on.

    Attributes:
        evidence: signed notes that prove it to others, the earlier first; empty where there is no
            more than the log's files.
        proof: of a fork, as `acx.log.fork` writes it, which convinces anyone with the log's key
            alone; empty where there is none.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, evidence: tuple[str, ...] = (), proof: str = "") -> None:
        super().__init__(message)
        self.evidence = tuple(note for note in evidence if note)
        self.proof = proof


class RootMismatch(InconsistentLog):
    """Hashes that should lead to a signed root lead to another one.

    Attributes:
        computed: the root they lead to.
        signed: the root that was signed.
    """

    def __init__(
        self, subject: str, *, computed: bytes, signed: bytes, evidence: tuple[str, ...] = ()
    ) -> None:
        super().__init__(
            f"{subject}: hashes lead to root {computed.hex()}, the checkpoint has {signed.hex()}",
            evidence=evidence,
        )
        self.computed = computed
        self.signed = signed


class Forked(InconsistentLog):
    """Two signed checkpoints of one size have different roots."""


class Shrunk(InconsistentLog):
    """A signed checkpoint is smaller than an earlier one."""


class EntryMismatch(InconsistentLog):
    """What an entry's key opens is not what the entry commits to."""


class AlteredFile(InconsistentLog):
    """A file is not the one that was signed; whoever carried it may have changed it."""
