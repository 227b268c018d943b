"""The witness: what it is asked over HTTP, answered (C2SP tlog-witness v1.0.0).

```
HOME/            0700
  witness.key    the secret key, one line
  witness.db     which logs, and what was cosigned last of each
```
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from acx.log.checkpoint import Checkpoint
from acx.log.cosignature import ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, Cosigner, WitnessKey
from acx.log.errors import LogError, MalformedRequest
from acx.log.note import MAX_NOTE_BYTES, Verifier, open_note
from acx.log.witness import SIZE_TYPE, Status, judge, origin_hash, parse_add_checkpoint
from acx.witness.errors import WitnessError
from acx.witness.state import State

KEY_FILE: Final = "witness.key"
MAX_BODY_BYTES: Final = MAX_NOTE_BYTES + 8 * 1024
"""A checkpoint, and a proof of 63 hashes."""
TEXT_TYPE: Final = "text/plain; charset=utf-8"
ALGORITHMS: Final = {"ed25519": ED25519_COSIGNATURE, "ml-dsa-44": MLDSA44_COSIGNATURE}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        status: HTTP status.
        body: text; ends in a newline.
        content_type: of the body.
    """

    status: int
    body: str
    content_type: str = TEXT_TYPE


class Witness(AbstractContextManager["Witness"]):
    """A witness, by its home. Safe to use in many threads, and beside other processes."""

    def __init__(
        self, cosigner: Cosigner, state: State, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Use `open`."""
        self._cosigner = cosigner
        self._state = state
        self._clock = clock

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        name: str = "",
        algorithm: str = "ed25519",
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open a witness; the first time, make its directory and key.

        Args:
            home: its directory.
            name: of the key that is made, a URL without its scheme by convention; by default one
                that says it is of this machine.
            algorithm: of the key that is made: `ed25519`, or `ml-dsa-44` against quantum computers.
            clock: seconds since 1970, for cosignatures.

        Raises:
            WitnessError: the directory is not a witness's, or damaged.
            MalformedKey: the name cannot be.
        """
        made_up = f"witness.localhost/{secrets.token_hex(4)}"
        fresh = Cosigner.generate(name or made_up, ALGORITHMS[algorithm])
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (home / KEY_FILE).exists():
                _make_key(home, fresh)
            cosigner = Cosigner.parse((home / KEY_FILE).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WitnessError(f"{home} cannot be used ({reason}): choose another --home") from None
        except LogError as error:
            raise WitnessError(f"{home / KEY_FILE}: {error}") from None
        if name and name != cosigner.name:
            raise WitnessError(
                f"{home} is the witness {cosigner.name}, and a key keeps its name: choose another"
                " --home"
            )
        return cls(cosigner, State(home), clock=clock)

    def __enter__(self) -> Self:
        """Nothing further."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the database back."""
        self._state.close()

    @property
    def key(self) -> WitnessKey:
        """The public key, to hand out."""
        return self._cosigner.verifier

    @property
    def logs(self) -> list[Verifier]:
        """Keys of the logs it witnesses."""
        return self._state.logs()

    def add_log(self, log: Verifier) -> None:
        """Witness a log from now on."""
        with self._state.deciding():
            self._state.add_log(log)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Cosign a checkpoint, if it continues the last one.

        Steps: (1) the request is read; (2) it is judged against what was cosigned last; (3) the
        checkpoint is kept, on the disk; (4) only then its cosignature is answered.

        Raises:
            WitnessError: the disk or the database does not do its part; nothing was cosigned.

        Source: C2SP tlog-witness, «add-checkpoint».
        """
        # (1)
        try:
            request = parse_add_checkpoint(body)
        except MalformedRequest as error:
            return Answer(Status.MALFORMED, f"{error}\n")
        checkpoint = request.checkpoint
        with self._state.deciding():
            # (2)
            logs = self._state.logs()
            last = self._state.cosigned(checkpoint.origin)
            verdict = judge(request, logs, last)
            if verdict.status is Status.INCONSISTENT:
                self._state.keep_refused(checkpoint.note, verdict.reason)
            if verdict.status is not Status.COSIGNED:
                if verdict.status is Status.CONFLICT:
                    return Answer(verdict.status, verdict.reason, SIZE_TYPE)
                return Answer(verdict.status, f"{verdict.reason}\n")
            # (3)
            cosignature = self._cosigner.cosign(checkpoint.text, int(self._clock()))
            own = [log for log in logs if log.name == checkpoint.origin]
            signed = open_note(checkpoint.note, *own).signatures
            lines = "".join(signature.line for signature in (*signed, cosignature))
            self._state.keep(checkpoint.origin, f"{checkpoint.text}\n{lines}")
        # (4)
        return Answer(Status.COSIGNED, cosignature.line)

    def checkpoint(self, digest: str) -> Answer:
        """The checkpoint of a log that was cosigned last, for anyone who compares.

        Args:
            digest: hex SHA-256 of the log's origin.
        """
        found: Checkpoint | None = None
        for origin in self._state.origins():
            if origin_hash(origin) == digest:
                found = self._state.cosigned(origin)
        if found is None:
            return Answer(Status.UNKNOWN_LOG, "nothing of that log was cosigned here\n")
        return Answer(Status.COSIGNED, found.note)

    def refused(self) -> list[tuple[str, str]]:
        """Signed checkpoints that did not continue the last one, and why: they may be evidence."""
        return self._state.refused()


def _make_key(home: Path, cosigner: Cosigner) -> None:
    """Keep a new key, unless another process was faster; whole, and on the disk."""
    draft = home / f".{KEY_FILE}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(cosigner.secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, home / KEY_FILE)
    finally:
        draft.unlink()
    directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
