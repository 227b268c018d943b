"""Cosignatures: a witness's word that a checkpoint continues all it has seen of that log.

A cosignature is one more signature line under a checkpoint; it says at what time the checkpoint was
the largest consistent one. There are two kinds, Ed25519, and ML-DSA-44 (FIPS 204), which withstands
quantum computers and signs the witness's name as well: with Ed25519, every witness must have a key
of its own.

Source: C2SP tlog-cosignature v1.1.0-rc.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from acx.log.checkpoint import parse_checkpoint_text
from acx.log.encoding import MAX_SIZE
from acx.log.errors import MalformedNote
from acx.log.note import (
    ED25519_BYTES,
    Signature,
    check_key_name,
    ed25519_verifies,
    format_secret,
    format_vkey,
    key_id,
    parse_secret,
    parse_vkey,
)

ED25519_COSIGNATURE: Final = 0x04
"""Signature type of an Ed25519 cosignature."""
MLDSA44_COSIGNATURE: Final = 0x06
"""Signature type of an ML-DSA-44 cosignature."""

_MLDSA44_BYTES: Final = 1312
_TIME_BYTES: Final = 8
_MAX_NAME_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness.

    Attributes:
        name: name of the key.
        type: one of the two signature types.
        public: the key, in its standard's form.
    """

    name: str
    type: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read a vkey of a cosigner.

        Raises:
            MalformedKey: the line is none, or of another type.
        """
        lengths = {ED25519_COSIGNATURE: ED25519_BYTES, MLDSA44_COSIGNATURE: _MLDSA44_BYTES}
        return cls(*parse_vkey(vkey, lengths))

    @property
    def vkey(self) -> str:
        """The key as a line to hand out."""
        return format_vkey(self.name, self.type, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in signature lines."""
        return key_id(self.name, self.type, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this is the witness's cosignature of a checkpoint's text."""
        time, proper = int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]
        if time > MAX_SIZE:
            return False
        if self.type == ED25519_COSIGNATURE:
            return ed25519_verifies(self.public, proper, _ed25519_message(text, time))
        try:
            message = _mldsa44_message(self.name, text, time)
            MLDSA44PublicKey.from_public_bytes(self.public).verify(proper, message)
        except (InvalidSignature, MalformedNote):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The secret key of a witness.

    Attributes:
        name: name of the key.
        key: the secret; it is never shown.
    """

    name: str
    key: Ed25519PrivateKey | MLDSA44PrivateKey

    @classmethod
    def generate(cls, name: str, type_: int = ED25519_COSIGNATURE) -> Self:
        """A fresh key.

        Args:
            name: a URL without its scheme, by convention.
            type_: one of the two signature types. Ed25519's signatures are 33 times shorter.

        Raises:
            MalformedKey: the name is empty, or holds a space or a plus sign.
        """
        make = Ed25519PrivateKey if type_ == ED25519_COSIGNATURE else MLDSA44PrivateKey
        return cls(check_key_name(name), make.generate())

    @classmethod
    def parse(cls, secret: str) -> Self:
        """Read the line of a key file.

        Raises:
            MalformedKey: the line is none, or of another signature type. It never shows the line.
        """
        loaders: dict[int, Callable[[bytes], Ed25519PrivateKey | MLDSA44PrivateKey]] = {
            ED25519_COSIGNATURE: Ed25519PrivateKey.from_private_bytes,
            MLDSA44_COSIGNATURE: MLDSA44PrivateKey.from_seed_bytes,
        }
        name, _, key = parse_secret(secret, loaders)
        return cls(name, key)

    @property
    def secret(self) -> str:
        """The line to keep in a key file, without a newline. Whoever reads it can cosign."""
        return format_secret(self.name, self.verifier.type, self.key)

    @property
    def verifier(self) -> WitnessKey:
        """The public half."""
        ed25519 = isinstance(self.key, Ed25519PrivateKey)
        type_ = ED25519_COSIGNATURE if ed25519 else MLDSA44_COSIGNATURE
        return WitnessKey(self.name, type_, self.key.public_key().public_bytes_raw())

    def cosign(self, text: str, time: int) -> Signature:
        """Sign a checkpoint that was found consistent with everything seen before.

        Args:
            text: the checkpoint's text, extension lines included.
            time: seconds since 1970-01-01 UTC, now.

        Raises:
            MalformedNote: the text is no checkpoint's, or the time does not fit its field.
        """
        if not 0 < time <= MAX_SIZE:
            raise MalformedNote(f"{time} cannot be a cosignature's time: check the clock")
        parse_checkpoint_text(text)
        if isinstance(self.key, Ed25519PrivateKey):
            proper = self.key.sign(_ed25519_message(text, time))
        else:
            proper = self.key.sign(_mldsa44_message(self.name, text, time))
        signed = time.to_bytes(_TIME_BYTES, "big") + proper
        return Signature(self.name, self.verifier.key_id, signed)


def cosigned_at(signature: Signature) -> int:
    """When a cosignature says it was made, in seconds since 1970-01-01 UTC.

    Args:
        signature: a cosignature that has been verified.
    """
    return int.from_bytes(signature.value[:_TIME_BYTES], "big")


def _ed25519_message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _mldsa44_message(name: str, text: str, time: int) -> bytes:
    """The structure `cosigned_message`; extension lines are no part of it."""
    checkpoint = parse_checkpoint_text(text)
    start = 0
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _short(name),
            time.to_bytes(8, "big"),
            _short(checkpoint.origin),
            start.to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _short(name: str) -> bytes:
    data = name.encode()
    if len(data) > _MAX_NAME_BYTES:
        raise MalformedNote(f"the name {name[:40]}… has more than {_MAX_NAME_BYTES} bytes")
    return bytes([len(data)]) + data
