"""Texts for the operators' eyes: what belongs to a dispute and must not stand in the log.

A text is sealed to each operator by the key that operator signs with, which the log holds already:
so nobody has to be asked for another key, and nobody can hand out a false one. The Ed25519 key is
turned into the X25519 key at the same point (both are curve 25519), as age and libsodium do.

The service's own key, which founds the log, opens none: it lies on a machine that serves.

Source: RFC 9180 (HPKE, base mode); RFC 7748, section 4.1, for the map between the curves; that one
key may serve both: Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM"
(eprint 2021/509).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Meta

from acx.errors import AcxError
from acx.records.event import PublicKey, canonical, public_key_text

SIZES: Final = tuple(1024 * size for size in (2, 8, 32, 128, 512, 2048))
"""Bytes a message is padded to, so that its length says little; the last is the limit."""
MAX_SEALED_BYTES: Final = SIZES[-1] * 4 // 3 + 32 * 1024
"""A sealed text as JSON: base64, and a slot for each of some hundred operators."""

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_PRIME: Final = 2**255 - 19
_NONCE: Final = bytes(12)
"""May be constant: a key seals one message ever."""


class SealedTextError(AcxError):
    """A sealed text that is none, is not for this key, or belongs elsewhere."""


class Exhibit(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a report committed to, handed over for one dispute.

    Attributes:
        kind: as in the report's evidence.
        nonce: the 32 random bytes of the commitment.
        file: the file's bytes.
    """

    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}$")]
    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]
    file: bytes

    @property
    def commitment(self) -> str:
        """What the report's evidence holds, if this is the file it was made of."""
        return hashlib.sha256(self.nonce + self.file).hexdigest()


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed.

    Attributes:
        text: words.
        contact: where who writes can be reached; of the accused alone.
        exhibits: files handed over.
    """

    text: Annotated[str, Meta(max_length=65536)] = ""
    contact: Annotated[str, Meta(max_length=254)] = ""
    exhibits: Annotated[tuple[Exhibit, ...], Meta(max_length=20)] = ()


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a sealed text.

    Attributes:
        v: 1.
        recipients: an operator's key, as in events ► the message's key, by HPKE.
        sealed: AES-256-GCM of the padded message.
    """

    v: Annotated[int, Meta(ge=1, le=1)]
    recipients: Annotated[dict[PublicKey, str], Meta(min_length=1, max_length=100)]
    sealed: str


def seal_text(message: Message, recipients: Iterable[str], *, origin: str, about: str) -> bytes:
    """Seal a message to operators.

    Args:
        message: what to say.
        recipients: the operators' public keys, as in events.
        origin: the exchange's.
        about: the id of what it belongs to, an answer or a filing; it opens nowhere else.

    Returns:
        Canonical JSON.

    Raises:
        SealedTextError: it is too long, or for nobody.
    """
    plain = _padded(msgspec.json.encode(message))
    key = secrets.token_bytes(32)
    info = _info(origin, about)
    slots = {
        name: _text(_SUITE.encrypt(key, sealing_key(name), info))
        for name in sorted(set(recipients))
    }
    if not slots:
        raise SealedTextError("there is no operator to write to")
    sealed = AESGCM(key).encrypt(_NONCE, plain, info)
    return canonical(_Sealed(v=1, recipients=slots, sealed=_text(sealed)))


def recipients_of(raw: bytes) -> frozenset[str]:
    """Whom a text claims to be sealed to; whether it opens, only they can see.

    Raises:
        SealedTextError: it has not the form of a sealed text.
    """
    return frozenset(_parse(raw).recipients)


def open_text(raw: bytes, key: Ed25519PrivateKey, *, origin: str, about: str) -> Message:
    """Open a message as an operator.

    Args:
        raw: as `seal_text` gave it.
        key: the operator's.
        origin: the exchange's.
        about: the id of what it belongs to.

    Raises:
        SealedTextError: it is damaged, sealed to others, or belongs elsewhere.
    """
    sealed = _parse(raw)
    slot = sealed.recipients.get(public_key_text(key))
    if slot is None:
        raise SealedTextError("the text was sealed to other operators: one of them has to open it")
    info = _info(origin, about)
    try:
        message_key = _SUITE.decrypt(_bytes(slot), opening_key(key), info)
        plain = AESGCM(message_key).decrypt(_NONCE, _bytes(sealed.sealed), info)
        size = int.from_bytes(plain[:4], "big")
        return msgspec.json.decode(plain[4 : 4 + size], type=Message)
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise SealedTextError(
            "the text does not open: it is damaged, or was written for something else"
        ) from None


def text_statement(raw: bytes, *, origin: str, answer: str) -> bytes:
    """What the key that answered a dispute signs of a text it sends.

    Args:
        raw: the sealed text.
        origin: the exchange's.
        answer: id of the answer in the log.
    """
    digest = hashlib.sha256(raw).digest()
    return b"acx-text-of/v1\x00" + origin.encode() + b"\x00" + answer.encode() + b"\x00" + digest


def _info(origin: str, about: str) -> bytes:
    return b"acx-text/v1\x00" + origin.encode() + b"\x00" + about.encode()


def _padded(message: bytes) -> bytes:
    whole = len(message).to_bytes(4, "big") + message
    for size in SIZES:
        if len(whole) <= size:
            return whole.ljust(size, b"\x00")
    raise SealedTextError(
        f"a text with its files has at most {SIZES[-1]:,} bytes as JSON: hand over fewer files"
    )


def _parse(raw: bytes) -> _Sealed:
    if len(raw) > MAX_SEALED_BYTES:
        raise SealedTextError(f"a sealed text has at most {MAX_SEALED_BYTES:,} bytes")
    try:
        sealed = msgspec.json.decode(raw, type=_Sealed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SealedTextError(f"not a sealed text: {error}") from None
    tag = 16
    if len(_bytes(sealed.sealed)) - tag not in SIZES:
        raise SealedTextError("not a sealed text: of none of the sizes that texts are padded to")
    return sealed


def sealing_key(name: str) -> X25519PublicKey:
    """The X25519 key at the point of an Ed25519 key: u = (1 + y) / (1 - y).

    Args:
        name: the Ed25519 public key, base64 as in events.

    Raises:
        SealedTextError: it is no key, or of small order.
    """
    y = int.from_bytes(_bytes(name), "little") & (2**255 - 1)
    if y in {1, _PRIME - 1} or y >= _PRIME:
        raise SealedTextError("no key to seal to: it is of small order")
    u = (1 + y) * pow(1 - y, -1, _PRIME) % _PRIME
    return X25519PublicKey.from_public_bytes(u.to_bytes(32, "little"))


def opening_key(key: Ed25519PrivateKey) -> X25519PrivateKey:
    """The scalar that an Ed25519 key multiplies by (RFC 8032, section 5.1.5)."""
    seed = key.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    return X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise SealedTextError("not a sealed text: base64 is damaged") from None
    if _text(data) != text:
        raise SealedTextError("not a sealed text: base64 has one writing, and this is another")
    return data
