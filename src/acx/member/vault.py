"""Values at rest: sealed under one key, found again by keyed digest.

Wallet and replica keep their contents in SQLite; what SQLite sees of a value is AES-256-GCM, and
what it indexes is HMAC-SHA-256, so that the file alone tells neither what nor about whom.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12
SCRYPT_LOG_N: Final = 17
"""2^17 with r = 8: 128 MiB and some tenths of a second a guess (OWASP's advice for scrypt)."""


class Unsealable(Exception):
    """A value that was not sealed under this key in this place."""


class Vault:
    """Seals, opens and digests values under one key.

    Attributes:
        index_key: 32 bytes for an index that lies beside what is sealed.
    """

    def __init__(self, key: bytes) -> None:
        """`key` is 32 bytes; sealing and digesting use keys derived from it."""
        if len(key) != KEY_SIZE:
            raise Unsealable
        self._cipher = AESGCM(_expand(key, b"seal"))
        self._digest_key = _expand(key, b"digest")
        self.index_key = _expand(key, b"index")

    def seal(self, value: bytes, place: str) -> bytes:
        """Encrypt a value for one place (table and row), where alone it can be opened."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """The value sealed for this place.

        Raises:
            Unsealable: another key, another place, or damaged.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place.encode())
        except (InvalidTag, ValueError):
            raise Unsealable from None

    def digest(self, value: str, purpose: str) -> bytes:
        """A digest by which a sealed row is found again."""
        message = purpose.encode() + b"\x00" + value.encode()
        return hmac.new(self._digest_key, message, hashlib.sha256).digest()


def passphrase_key(passphrase: bytes, salt: bytes, log_n: int) -> bytes:
    """The key that a passphrase gives.

    Args:
        passphrase: as it was typed.
        salt: random, kept beside what the key opens.
        log_n: how long a guess takes: twice as long for each one more.

    Source: RFC 7914.
    """
    return Scrypt(salt=salt, length=KEY_SIZE, n=2**log_n, r=8, p=1).derive(passphrase)


def write_secret_file(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read, durably; an existing one is never replaced.

    Raises:
        FileExistsError: there is one.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a created or renamed name durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _expand(key: bytes, purpose: bytes) -> bytes:
    info = b"acx-vault/v1\x00" + purpose
    return HKDFExpand(algorithm=SHA256(), length=KEY_SIZE, info=info).derive(key)
