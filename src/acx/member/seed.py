"""The seed: 32 bytes from which every key of a member follows, and its writing for people.

Who writes the recovery phrase down at `acx join` can make every key again: the one the exchange
knows the member by, and those that signed its reports. Keys of different exchanges are unrelated.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from acx.member.errors import WalletError

if TYPE_CHECKING:
    from acx.credentials.issuance import ClientRequest

SIZE: Final = 32
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTERS: Final = 55
_GROUP: Final = 5
_CHECK_BITS: Final = _CHARACTERS * 5 - SIZE * 8


class Seed:
    """The root of a member's keys at one exchange."""

    def __init__(self, data: bytes, origin: str) -> None:
        """`origin` is the exchange's; the same seed gives other keys elsewhere."""
        if len(data) != SIZE:
            raise WalletError(f"a seed has {SIZE} bytes, this has {len(data)}")
        self._data = data
        self._origin = origin

    @classmethod
    def generate(cls, origin: str) -> Seed:
        """A new seed from the operating system's randomness."""
        return cls(secrets.token_bytes(SIZE), origin)

    @property
    def data(self) -> bytes:
        """The 32 bytes."""
        return self._data

    def member_key(self) -> Ed25519PrivateKey:
        """The key by which the exchange knows the member."""
        return self._derive(b"member")

    def contribution_key(self, counter: int) -> Ed25519PrivateKey:
        """The key that signs one report, corroboration or outcome, and what follows from it.

        Args:
            counter: never used before for another; the wallet sees to it.
        """
        return self._derive(b"contribution\x00" + counter.to_bytes(8, "big"))

    def credential_request(self) -> ClientRequest:
        """What asks for a credential, and takes it out of the answer.

        All of it but the proof follows from the seed, for every issuer key alike. So the member's
        secret, and with it its tags, comes back with the recovery phrase, and an answer that the
        exchange stored is of use to a wallet that lost what it asked.
        """
        from acx.credentials.issuance import ClientRequest, MemberSecret
        from acx.credentials.scalar import Scalar
        from acx.records.issuer_keys import request_context

        def scalar(purpose: bytes) -> Scalar:
            return Scalar.random(lambda size: self._bytes(b"credential\x00" + purpose, size))

        secret = MemberSecret(scalar(b"m1"), scalar(b"r1"))
        return ClientRequest.create(secret, request_context(self._origin), blinding=scalar(b"r2"))

    def phrase(self) -> str:
        """The recovery phrase: 11 groups of 5 letters and digits, 19 bits of them a checksum.

        Base 32 without the letters people confuse (i, l, o, u) rather than a list of words: it is
        short, reads in any language, and a mistyped character is told.
        """
        number = (int.from_bytes(self._data, "big") << _CHECK_BITS) | _checksum(self._data)
        text = "".join(
            _ALPHABET[(number >> shift) & 31] for shift in range((_CHARACTERS - 1) * 5, -1, -5)
        )
        return "-".join(text[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))

    @classmethod
    def from_phrase(cls, phrase: str, origin: str) -> Seed:
        """The seed of a recovery phrase; case, spaces and dashes do not matter.

        Raises:
            WalletError: a character is wrong or missing; the phrase is never shown.
        """
        text = phrase.lower().translate(str.maketrans("ilo", "110", "- \t\r\n"))
        if len(text) != _CHARACTERS:
            raise WalletError(
                f"a recovery phrase has {_CHARACTERS} letters and digits, this has {len(text)}"
            )
        number = 0
        for place, character in enumerate(text):
            if character not in _ALPHABET:
                raise WalletError(
                    f"recovery phrase: no such character in group {place // _GROUP + 1}"
                )
            number = number << 5 | _ALPHABET.index(character)
        data = (number >> _CHECK_BITS).to_bytes(SIZE, "big")
        if _checksum(data) != number & ((1 << _CHECK_BITS) - 1):
            raise WalletError("recovery phrase: a character is wrong; compare it with the paper")
        return cls(data, origin)

    def _derive(self, purpose: bytes) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._bytes(purpose, 32))

    def _bytes(self, purpose: bytes, size: int) -> bytes:
        info = b"acx-wallet/v1\x00" + self._origin.encode() + b"\x00" + purpose
        return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(self._data)


def _checksum(data: bytes) -> int:
    digest = hashlib.sha256(b"acx-recovery-phrase/v1\x00" + data).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _CHECK_BITS)
