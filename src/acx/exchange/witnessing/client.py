"""One witness, as the log asks it (C2SP tlog-witness v1.0.0)."""

from __future__ import annotations

from typing import Final

from acx.exchange.errors import ExchangeError
from acx.log.checkpoint import Checkpoint, open_checkpoint
from acx.log.encoding import parse_decimal
from acx.log.errors import LogError
from acx.log.note import Note, NoteVerifier, Signature, parse_signatures, verified_signatures
from acx.log.policy import Witness
from acx.log.tiles import TileReader, consistency_path
from acx.log.witness import AddCheckpoint, Status, origin_hash

TIMEOUT_SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 64 * 1024
_ATTEMPTS: Final = 3
"""A witness that others ask too, such as an earlier leader, may have moved on in between."""


class WitnessFailed(ExchangeError):
    """A witness that did not cosign: it is down, or does not know the log. Ask it again later."""


class WitnessAhead(WitnessFailed):
    """A witness that has cosigned more than this log has."""


class WitnessContradicts(WitnessFailed):
    """A witness to which this log does not continue the one that it has cosigned."""


class WitnessClient:
    """A witness over HTTP, and what is known of where it stands.

    Attributes:
        name: in the policy.
    """

    def __init__(self, name: str, witness: Witness, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Nothing is asked yet."""
        # Here, so that commands of an exchange without witnesses start quickly.
        import httpx

        self.name = name
        self._key = witness.key
        self._url = witness.url
        self._size = 0
        self._http = httpx.Client(
            timeout=timeout, trust_env=False, headers={"User-Agent": "acx-exchange"}
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def cosign(self, checkpoint: Checkpoint, reader: TileReader) -> Signature:
        """Have a checkpoint cosigned.

        Args:
            checkpoint: published, with its note.
            reader: the log's files, for the proof that it continues the last one.

        Raises:
            WitnessFailed: with the reason.
        """
        for _ in range(_ATTEMPTS):
            if self._size > checkpoint.size:
                raise WitnessAhead(
                    f"witness {self.name} has cosigned {self._size} entries and this log has"
                    f" {checkpoint.size}"
                )
            proof = consistency_path(reader, self._size, checkpoint.size)
            body = AddCheckpoint(self._size, tuple(proof), checkpoint).body
            status, answer = self._ask("POST", "/add-checkpoint", body.encode())
            if status == Status.COSIGNED:
                cosignature = self._verified(checkpoint, answer)
                self._size = checkpoint.size
                return cosignature
            if status == Status.INCONSISTENT:
                raise WitnessContradicts(f"witness {self.name} says: {_shown(answer)}")
            size = parse_decimal(answer.strip()) if status == Status.CONFLICT else None
            if size is None:
                raise WitnessFailed(f"witness {self.name} answered {status}: {_shown(answer)}")
            self._size = size
        raise WitnessFailed(f"witness {self.name} does not settle on a size")

    def last(self, log: NoteVerifier) -> Checkpoint | None:
        """The checkpoint of a log that the witness cosigned last, if the log really signed it.

        Raises:
            WitnessFailed: it does not answer, or with something else.
        """
        status, answer = self._ask("GET", f"/{origin_hash(log.name)}/checkpoint")
        if status == Status.UNKNOWN_LOG:
            return None
        try:
            return open_checkpoint(answer, log)
        except LogError as error:
            raise WitnessFailed(
                f"witness {self.name} shows no checkpoint of ours: {error}"
            ) from None

    def _verified(self, checkpoint: Checkpoint, answer: str) -> Signature:
        try:
            note = Note(checkpoint.text, parse_signatures(answer))
            (cosignature, *_) = verified_signatures(note, [self._key])
        except (LogError, ValueError):
            raise WitnessFailed(
                f"witness {self.name} answered with no cosignature by the key in the policy"
            ) from None
        return cosignature

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        import httpx

        data = b""
        try:
            with self._http.stream(method, self._url + path, content=body) as answer:
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > MAX_ANSWER_BYTES:
                        raise WitnessFailed(f"witness {self.name} answers at too great length")
                return answer.status_code, data.decode()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeDecodeError) as error:
            reason = str(error) or type(error).__name__
            raise WitnessFailed(f"witness {self.name} cannot be asked ({_shown(reason)})") from None


def _shown(text: str) -> str:
    """What a stranger wrote, fit for a log."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:200]).split())
