"""How an event becomes an entry of the log, so that it can be erased and its proofs stay.

The log holds a commitment; the event lies beside it, encrypted under a key of its own. Destroying
that key destroys both the text and the means to guess it, and touches no hash in the tree.
`docs/reference/protocol.md` is the contract.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from acx.log.errors import EntryMismatch, LogError, MalformedFile

KEY_BYTES: Final = 32
ENTRY_BYTES: Final = 32
PADDED_SIZES: Final = (1024, 4 * 1024, 16 * 1024, 65 * 1024)
"""Lengths of a padded event; more of them would tell events apart by their length."""
SEALED_SIZES: Final = tuple(size + 16 for size in PADDED_SIZES)
"""Lengths of a ciphertext: AES-GCM adds a tag of 16 bytes."""
MAX_EVENT_BYTES: Final = 64 * 1024
PAGE_KEYS: Final = 256
"""Keys in a full key page."""

_LABEL: Final = b"acx-leaf/v1\x00"
_NONCE: Final = bytes(12)
_NO_SALT: Final = bytes(32)
_HOUR: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}Z", re.ASCII)
_LIVE: Final = b"\x01"
_DESTROYED: Final = b"\x00" * (1 + KEY_BYTES)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An event as the log publishes it.

    Attributes:
        entry: the 32 bytes that go into the tree.
        ciphertext: the padded event, encrypted.
    """

    entry: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """An event as its key's holder reads it.

    Attributes:
        at: UTC hour at which the exchange took it, `YYYY-MM-DDTHHZ`.
        event: the event's canonical bytes.
    """

    at: str
    event: bytes


def draw_key() -> bytes:
    """A fresh secret for one event; never derived, so that destroying it is final."""
    return secrets.token_bytes(KEY_BYTES)


def entry_of(k: bytes, at: str, event: bytes) -> bytes:
    """The entry that commits the log to an event.

    Args:
        k: the event's secret.
        at: UTC hour, `YYYY-MM-DDTHHZ`.
        event: canonical bytes.
    """
    return _commit(k, _preimage(at, event))


def salt_of(k: bytes) -> bytes:
    """What shows, with hour and event, that an entry is theirs, and opens nothing.

    Args:
        k: the event's secret.
    """
    return _derive(k, b"salt")


def seal(event: bytes, at: str, k: bytes) -> Sealed:
    """Make what the log publishes of an event.

    The same event, hour and secret give the same bytes, so a crashed writer repeats itself exactly.

    Args:
        event: canonical bytes.
        at: UTC hour, `YYYY-MM-DDTHHZ`.
        k: a secret that is used for this event alone.

    Raises:
        LogError: the event is too long, or the hour is none.
    """
    if len(event) > MAX_EVENT_BYTES:
        raise LogError(f"event has {len(event)} bytes where {MAX_EVENT_BYTES} are allowed")
    if not _HOUR.fullmatch(at):
        raise LogError(f"{at!r} is no UTC hour: one reads YYYY-MM-DDTHHZ")
    preimage = _preimage(at, event)
    plaintext = len(preimage).to_bytes(4, "big") + preimage
    padded = plaintext.ljust(_padded_size(len(plaintext)), b"\x00")
    # The nonce may be constant because a key encrypts one message ever.
    ciphertext = AESGCM(_derive(k, b"enc")).encrypt(_NONCE, padded, None)
    return Sealed(_commit(k, preimage), ciphertext)


def open_sealed(ciphertext: bytes, k: bytes, entry: bytes) -> Opened:
    """Read an event, and check that it is the one its entry commits to.

    Steps: (1) decrypt; (2) unpad, which leaves one reading only; (3) compare with the entry.

    Args:
        ciphertext: as published in a bundle.
        k: the event's secret, from a key page.
        entry: as published in the tree.

    Raises:
        EntryMismatch: the exchange has published a ciphertext, key and entry that do not belong
            together.
    """
    # (1)
    try:
        padded = AESGCM(_derive(k, b"enc")).decrypt(_NONCE, ciphertext, None)
    except InvalidTag:
        raise EntryMismatch("the key does not open the ciphertext") from None
    # (2)
    length = int.from_bytes(padded[:4], "big")
    preimage = padded[4 : 4 + length]
    at, separator, event = preimage.partition(b"\x00")
    hour = at.decode("ascii", "replace")
    if (
        len(padded) not in PADDED_SIZES
        or len(padded) != _padded_size(4 + length)
        or any(padded[4 + length :])
        or not separator
        or not _HOUR.fullmatch(hour)
    ):
        raise EntryMismatch("the ciphertext holds no padded event")
    # (3)
    if not hmac.compare_digest(_commit(k, preimage), entry):
        raise EntryMismatch("the ciphertext holds another event than the entry commits to")
    return Opened(hour, event)


def _preimage(at: str, event: bytes) -> bytes:
    return at.encode() + b"\x00" + event


def _commit(k: bytes, preimage: bytes) -> bytes:
    return hashlib.sha256(_LABEL + salt_of(k) + preimage).digest()


def _derive(k: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 without salt, 32 bytes: one block of RFC 5869, sections 2.2 and 2.3."""
    extracted = hmac.digest(_NO_SALT, k, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _padded_size(length: int) -> int:
    return next((size for size in PADDED_SIZES if length <= size), 0)


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """The file at `tile/entries/N`: each entry after its length (2 bytes, big-endian)."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_entries(data: bytes, width: int) -> list[bytes]:
    """Read an entries file.

    Args:
        data: the file.
        width: number of entries it must hold.

    Raises:
        MalformedFile: it holds more, fewer, or others than entries of 32 bytes.
    """
    return list(_parse_places(data, width, 2, (ENTRY_BYTES,), "entries file"))


def pack_bundle(ciphertexts: Sequence[bytes]) -> bytes:
    """The file at `bundle/N`: each ciphertext after its length (4 bytes, big-endian)."""
    return b"".join(len(text).to_bytes(4, "big") + text for text in ciphertexts)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Read a bundle of ciphertexts.

    Args:
        data: the file.
        width: number of ciphertexts it must hold.

    Raises:
        MalformedFile: it holds more, fewer, or others than padded events.
    """
    return list(_parse_places(data, width, 4, SEALED_SIZES, "bundle"))


def _parse_places(
    data: bytes, width: int, prefix: int, lengths: tuple[int, ...], what: str
) -> Iterator[bytes]:
    start = 0
    for place in range(width):
        length = int.from_bytes(data[start : start + prefix], "big")
        start += prefix
        if length not in lengths or start + length > len(data):
            raise MalformedFile(f"{what}: place {place} of {width} is damaged: fetch it again")
        yield data[start : start + length]
        start += length
    if start != len(data):
        raise MalformedFile(f"{what}: {len(data) - start} bytes follow the last of {width} places")


def keys_path(page: int) -> str:
    """Path of a key page, below the prefix where those who may read keys find them."""
    return f"keys/{page}"


def pack_keys(keys: Sequence[bytes | None]) -> bytes:
    """A key page: 33 bytes a place, 01 ‖ key, or zeros once the key is destroyed (None)."""
    return b"".join(_DESTROYED if k is None else _LIVE + k for k in keys)


def parse_keys(data: bytes) -> list[bytes | None]:
    """Read key pages, one or several in a row.

    Returns:
        A key for each place, None where it is destroyed.

    Raises:
        MalformedFile: the bytes are no key page.
    """
    keys: list[bytes | None] = []
    for start in range(0, len(data), 1 + KEY_BYTES):
        record = data[start : start + 1 + KEY_BYTES]
        if len(record) == 1 + KEY_BYTES and record.startswith(_LIVE):
            keys.append(record[1:])
        elif record == _DESTROYED:
            keys.append(None)
        else:
            raise MalformedFile(f"key page: place {len(keys)} is damaged: fetch it again")
    return keys
