"""An issuer and a member as the tests of credentials share them, and the vectors' random stream."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from acx.credentials.credential import Credential
from acx.credentials.issuance import ClientRequest, MemberSecret, enrol, renew
from acx.credentials.keys import SecretKey

VECTORS: Final = Path(__file__).parent / "vectors"

REQUEST_CONTEXT: Final = b"exchange.example"
CONTEXT: Final = b"rate/2026-03-01"
MESSAGE: Final = hashlib.sha256(b"an event").digest()


def published(name: str) -> dict[str, Any]:
    """Published vectors by their file's name."""
    vectors: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return vectors


class Stream:
    """Random bytes that come again from the same seed, as the drafts' test generator makes them."""

    def __init__(self, seed: bytes) -> None:
        name = b"sigma-proofs/TestDRNG/SHAKE128".ljust(64, b"\0")
        self._bytes = hashlib.shake_128(name + bytes(104) + seed.ljust(32, b"\0")).digest(2**16)
        self._at = 0

    def __call__(self, length: int) -> bytes:
        self._at += length
        assert self._at <= len(self._bytes), "the stream is at its end"
        return self._bytes[self._at - length : self._at]


def enrolled(key: SecretKey, secret: MemberSecret) -> Credential:
    """The first credential of a member."""
    asked = ClientRequest.create(secret, REQUEST_CONTEXT)
    return asked.finalize(enrol(key, asked.request), key.public_key)


def renewed(key: SecretKey, secret: MemberSecret) -> Credential:
    """A later credential of a member who is enrolled."""
    asked = ClientRequest.create(secret, REQUEST_CONTEXT)
    answer = renew(key, asked.request, secret.commitment.encode())
    return asked.finalize(answer, key.public_key)


ISSUER: Final = SecretKey.generate(Stream(b"issuer"))
SECRET: Final = MemberSecret.generate(Stream(b"member"))
MEMBER: Final = enrolled(ISSUER, SECRET)
