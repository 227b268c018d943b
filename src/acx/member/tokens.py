"""Tokens for the member's local service: who may ask it what.

`HOME/service/tokens.json` holds their digests; a token itself is shown once, when it is made.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from acx.member.errors import TokenError
from acx.records.files import AtomicFile

DIRECTORY: Final = "service"
TOKENS_FILE: Final = "tokens.json"
LOCK_FILE: Final = "lock"
PREFIX: Final = "acxs_"
"""By which leaked tokens are found."""

Scope = Literal["check", "screen"]
SCOPES: Final[tuple[str, ...]] = get_args(Scope)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, as it is kept.

    Attributes:
        id: names it in lists and logs.
        name: who has it, in the owner's words.
        scopes: what may be asked with it.
        created: UTC day.
        digest: SHA-256 of it, in hex.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created: str
    digest: str


class Tokens:
    """The tokens of one home."""

    def __init__(self, home: Path) -> None:
        """Nothing is read yet.

        Args:
            home: the member's directory.
        """
        self._directory = home / DIRECTORY
        self._path = self._directory / TOKENS_FILE
        self._read: tuple[object, dict[str, Token]] = (None, {})

    def create(self, scopes: Sequence[Scope], name: str = "") -> tuple[str, Token]:
        """A new token, and what is kept of it."""
        text = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        token = Token(
            id=secrets.token_hex(4),
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            created=datetime.now(UTC).strftime("%Y-%m-%d"),
            digest=_digest(text),
        )
        with self._changing() as tokens:
            tokens.append(token)
        return text, token

    def revoke(self, token_id: str) -> Token:
        """Let a token be nobody's from now on.

        Raises:
            TokenError: there is none of this id.
        """
        with self._changing() as tokens:
            for token in tokens:
                if token.id == token_id:
                    tokens.remove(token)
                    return token
            raise TokenError(f"no token has the id {token_id!r}; `acx token list` shows them")

    def all(self) -> list[Token]:
        """All tokens, oldest first."""
        return [*self._known().values()]

    def find(self, text: str) -> Token | None:
        """Whose token this is; None for nobody's."""
        return self._known().get(_digest(text))

    def _known(self) -> dict[str, Token]:
        """By digest; read again when the file has changed."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read[0] != stamp:
            self._read = (stamp, {token.digest: token for token in self._load()})
        return self._read[1]

    def _load(self) -> list[Token]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Token])
        except FileNotFoundError:
            return []
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TokenError(
                f"{self._path} is damaged ({error}); delete it, and make new tokens"
            ) from None

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            tokens = self._load()
            yield tokens
            with AtomicFile(self._path) as file:
                file.write(msgspec.json.encode(tokens))
        finally:
            os.close(descriptor)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
