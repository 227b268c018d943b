"""Key pages that anybody may carry and members alone can read.

A feed of static files lies where anyone can fetch it. Its bundles are sealed under a key an entry;
those keys come in pages, and the pages are sealed here under one **reading key**, which in turn is
sealed to the key of each member. Whoever is suspended is left out when the next one is drawn.

A page is sealed deterministically: the same page gives the same file, so only what changed is
published again. Nothing here has to be believed: a key that is not an entry's opens nothing.

Source: RFC 9180 (HPKE, base mode); RFC 5297 (AES-SIV).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from acx.errors import AcxError
from acx.records.sealed_text import opening_key, sealing_key

READERS_PATH: Final = "keys/readers"
"""Where the reading key lies, sealed to each member."""
READING_KEY_BYTES: Final = 64
SLOTS: Final = 64
"""The file has a multiple of so many slots, filled up with some for nobody: it tells how many
members there are only roughly."""
MAX_SLOTS: Final = 64 * 1024

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SLOT_BYTES: Final = 32 + READING_KEY_BYTES + 16


class ReadingKeyError(AcxError):
    """Key pages that are not for this member, or are damaged."""


def draw_reading_key() -> bytes:
    """A fresh reading key."""
    return secrets.token_bytes(READING_KEY_BYTES)


def seal_reading_key(key: bytes, members: Iterable[str], *, origin: str) -> bytes:
    """The file at `keys/readers`.

    Args:
        key: the reading key.
        members: public keys of those who may read, base64.
        origin: the exchange's.
    """
    recipients = [sealing_key(member) for member in members]
    spare = -len(recipients) % SLOTS if recipients else SLOTS
    recipients += [X25519PrivateKey.generate().public_key() for _ in range(spare)]
    info = _info(b"acx-reading-key/v1", origin)
    # Sealed bytes are as good as random: sorted, they say nothing of whose comes first.
    return b"".join(sorted(_SUITE.encrypt(key, recipient, info) for recipient in recipients))


def open_reading_key(readers: bytes, key: Ed25519PrivateKey, *, origin: str) -> bytes:
    """The reading key, for a member.

    Args:
        readers: the file at `keys/readers`.
        key: the member's.
        origin: the exchange's.

    Raises:
        ReadingKeyError: it is sealed to others, or damaged.
    """
    opening = opening_key(key)
    info = _info(b"acx-reading-key/v1", origin)
    if len(readers) % _SLOT_BYTES or len(readers) > MAX_SLOTS * _SLOT_BYTES:
        raise ReadingKeyError(f"{READERS_PATH} is damaged: fetch it again")
    for at in range(0, len(readers), _SLOT_BYTES):
        try:
            found = _SUITE.decrypt(readers[at : at + _SLOT_BYTES], opening, info)
        except (InvalidTag, ValueError):
            continue
        if len(found) == READING_KEY_BYTES:
            return found
    raise ReadingKeyError(
        f"{READERS_PATH} holds nothing for this member: it was published before the member joined,"
        " or after it was suspended"
    )


def seal_page(key: bytes, number: int, page: bytes, *, origin: str) -> bytes:
    """The file of a key page; the same page gives the same bytes.

    Args:
        key: the reading key.
        number: of the page.
        page: as `acx.log.entry.pack_keys` makes it.
        origin: the exchange's.
    """
    return AESSIV(key).encrypt(page, [_page_info(number, origin)])


def open_page(key: bytes, number: int, sealed: bytes, *, origin: str) -> bytes:
    """A key page, as `acx.log.entry.parse_keys` reads it.

    Args:
        key: the reading key.
        number: of the page.
        sealed: the file.
        origin: the exchange's.

    Raises:
        ReadingKeyError: it is damaged, another page's, or sealed under another reading key.
    """
    try:
        return AESSIV(key).decrypt(sealed, [_page_info(number, origin)])
    except (InvalidTag, ValueError):
        raise ReadingKeyError(
            f"key page {number} does not open: it is damaged, or was published under another"
            " reading key than the one at hand; try again in a while"
        ) from None


def _page_info(number: int, origin: str) -> bytes:
    return _info(b"acx-key-page/v1", origin) + b"\x00%d" % number


def _info(label: bytes, origin: str) -> bytes:
    return label + b"\x00" + origin.encode()
