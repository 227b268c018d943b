"""Cosignatures: a witness's word that a checkpoint continues all it has seen of that log.

Source: C2SP tlog-cosignature v1.0.1, Ed25519 (signature type 04). A cosignature is one more
signature line under a checkpoint; it says at what time the checkpoint was the largest consistent
one. The name of the witness is not signed, so every witness has a key of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.log.encoding import MAX_SIZE
from acx.log.errors import MalformedNote
from acx.log.note import (
    Signature,
    check_key_name,
    ed25519_verifies,
    format_secret,
    format_vkey,
    key_id,
    parse_secret,
    parse_vkey,
)

COSIGNATURE: Final = 0x04
"""Signature type of an Ed25519 cosignature."""

_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness.

    Attributes:
        name: name of the key.
        public: its 32 bytes.
    """

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read a vkey of signature type 04.

        Raises:
            MalformedKey: the line is none, or of another type.
        """
        return cls(*parse_vkey(vkey, COSIGNATURE))

    @property
    def vkey(self) -> str:
        """The key as a line to hand out."""
        return format_vkey(self.name, COSIGNATURE, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in signature lines."""
        return key_id(self.name, COSIGNATURE, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this is the witness's cosignature of a checkpoint's text."""
        time = int.from_bytes(signature[:_TIME_BYTES], "big")
        return (
            len(signature) == _TIME_BYTES + _SIGNATURE_BYTES
            and time <= MAX_SIZE
            and ed25519_verifies(self.public, signature[_TIME_BYTES:], _message(text, time))
        )


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The secret key of a witness.

    Attributes:
        name: name of the key.
        key: the secret; it is never shown.
    """

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str) -> Self:
        """A fresh key.

        Raises:
            MalformedKey: the name is empty, or holds a space or a plus sign.
        """
        return cls(check_key_name(name), Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, secret: str) -> Self:
        """Read the line of a key file.

        Raises:
            MalformedKey: the line is none, or of another signature type. It never shows the line.
        """
        return cls(*parse_secret(secret, COSIGNATURE))

    @property
    def secret(self) -> str:
        """The line to keep in a key file, without a newline. Whoever reads it can cosign."""
        return format_secret(self.name, COSIGNATURE, self.key)

    @property
    def verifier(self) -> WitnessKey:
        """The public half."""
        return WitnessKey(self.name, self.key.public_key().public_bytes_raw())

    def cosign(self, text: str, time: int) -> Signature:
        """Sign a checkpoint that was found consistent with everything seen before.

        Args:
            text: the checkpoint's text, extension lines included.
            time: seconds since 1970-01-01 UTC, now.

        Raises:
            MalformedNote: the time is negative or does not fit its field.
        """
        if not 0 < time <= MAX_SIZE:
            raise MalformedNote(f"{time} cannot be a cosignature's time: check the clock")
        signed = time.to_bytes(_TIME_BYTES, "big") + self.key.sign(_message(text, time))
        return Signature(self.name, self.verifier.key_id, signed)


def cosigned_at(signature: Signature) -> int:
    """When a cosignature says it was made, in seconds since 1970-01-01 UTC.

    Args:
        signature: a cosignature that has been verified.
    """
    return int.from_bytes(signature.value[:_TIME_BYTES], "big")


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
