"""Signed notes: a text, and signatures by named keys below it (C2SP signed-note v1.0.0).

Nothing of a note counts until a key we know has signed it: `open_note` is the way in.

Keys are lines of text. A verifier key (vkey) is `NAME+HEX(key id)+BASE64(type ‖ public key)`; a key
file holds one line, `PRIVATE+KEY+NAME+HEX(key id)+BASE64(type ‖ 32-byte seed)`, the writing that
Go's `sumdb/note` gave to secret keys and other tools took over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from acx.log.encoding import format_base64, parse_base64
from acx.log.errors import BadSignature, MalformedKey, MalformedNote, UntrustedNote

ED25519: Final = 0x01
"""Signature type of Ed25519 over the text itself."""
ED25519_BYTES: Final = 32
"""Length of an Ed25519 public key."""

MAX_NOTE_BYTES: Final = 512 * 1024
"""Room for `MAX_SIGNATURES` of the largest kind in use (ML-DSA-44, 3.3 kB in base64)."""
MAX_SIGNATURES: Final = 100
"""Bounds the work that a note can make; the standard asks for 16 at least."""

_MARK: Final = "\N{EM DASH} "
_PRIVATE: Final = "PRIVATE+KEY+"
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note.

    Attributes:
        name: name of the key.
        key_id: its 4 bytes; name and id together stand for one key and its algorithm.
        value: the signature proper, in the algorithm's form.
    """

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"{_MARK}{self.name} {format_base64(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart.

    Attributes:
        text: what is signed, ending in a newline.
        signatures: signature lines in their order; from `open_note`, the verified ones only.
    """

    text: str
    signatures: tuple[Signature, ...]


class NoteSigner(Protocol):
    """A secret key that signs notes."""

    @property
    def name(self) -> str:
        """Name of the key."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for it in signature lines."""

    def sign(self, text: str) -> bytes:
        """The signature proper over a note's text."""


class NoteVerifier(Protocol):
    """A public key that we trust for some purpose."""

    @property
    def name(self) -> str:
        """Name of the key."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for it in signature lines."""

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this is the key's signature of the text."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """An Ed25519 public key of a log, or of anybody else who signs notes.

    Attributes:
        name: name of the key; a log's is its origin.
        public: the key's 32 bytes.
    """

    name: str
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Read a vkey.

        Raises:
            MalformedKey: the line is none, or of another signature type.
        """
        name, _, public = parse_vkey(vkey, {ED25519: ED25519_BYTES})
        return cls(name, public)

    @property
    def vkey(self) -> str:
        """The key as a line to hand out."""
        return format_vkey(self.name, ED25519, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in signature lines."""
        return key_id(self.name, ED25519, self.public)

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this is the key's signature of the text (RFC 8032)."""
        return ed25519_verifies(self.public, signature, text.encode())


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 secret key that signs notes.

    Attributes:
        name: name of the key; a log's is its origin.
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
        name, _, key = parse_secret(secret, {ED25519: Ed25519PrivateKey.from_private_bytes})
        return cls(name, key)

    @property
    def secret(self) -> str:
        """The line to keep in a key file, without a newline. Whoever reads it can sign."""
        return format_secret(self.name, ED25519, self.key)

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand for the key in signature lines."""
        return self.verifier.key_id

    def sign(self, text: str) -> bytes:
        """The signature proper over a note's text (RFC 8032)."""
        return self.key.sign(text.encode())


def sign_note(text: str, *signers: NoteSigner) -> str:
    """Make a signed note.

    Args:
        text: ends in a newline, and holds no other control character.
        signers: one signature line each, in this order.

    Raises:
        MalformedNote: the text cannot be a note's.
    """
    if not signers or not text.endswith("\n") or _CONTROL.search(text):
        raise MalformedNote(
            "a note is lines of text, each ended by a newline, and one key at least"
        )
    lines = (Signature(s.name, s.key_id, s.sign(text)).line for s in signers)
    return text + "\n" + "".join(lines)


def add_signatures(note: str, signatures: Iterable[Signature]) -> str:
    """A note with further signature lines, such as witnesses'; none is added twice."""
    present = set(parse_note(note).signatures)
    fresh = [s for s in dict.fromkeys(signatures) if s not in present]
    return note + "".join(s.line for s in fresh)


def open_note(note: str | bytes, *verifiers: NoteVerifier) -> Note:
    """Read a note that at least one of the given keys has signed.

    Steps: (1) parse; (2) skip signatures by other keys; (3) verify every other one: a known key's
    bad signature spoils the note, whoever else signed; (4) demand one good signature.

    Args:
        note: as received.
        verifiers: the keys we trust for what the note is about.

    Returns:
        The text, and those signatures that were verified.

    Raises:
        MalformedNote: at step 1.
        BadSignature: at step 3.
        UntrustedNote: at step 4.
        MalformedKey: two different keys share name and id, so that no signature can be told apart.

    Source: C2SP signed-note, «Signatures».
    """
    # (1)
    parsed = parse_note(note)
    # (2) and (3)
    verified = verified_signatures(parsed, verifiers)
    # (4)
    if not verified:
        known = ", ".join(sorted({v.name for v in verifiers})) or "none"
        found = ", ".join(sorted({s.name for s in parsed.signatures}))
        raise UntrustedNote(
            f"no signature by a key that is trusted here ({known}); the note is signed by {found}: "
            "check that you have the right log's key"
        )
    return Note(parsed.text, verified)


def verified_signatures(note: Note, verifiers: Iterable[NoteVerifier]) -> tuple[Signature, ...]:
    """Those of a note's signatures that are by the given keys, each of them verified.

    Raises:
        BadSignature: one that names a given key is not its own.
        MalformedKey: two different keys share name and id.
    """
    known: dict[tuple[str, bytes], NoteVerifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise MalformedKey(f"two keys named {verifier.name} share one id: leave one out")
    verified = []
    for signature in dict.fromkeys(note.signatures):
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verifies(note.text, signature.value):
            raise BadSignature(
                f"the signature by {signature.name} is not its own: the note was altered, fetch it "
                "again"
            )
        verified.append(signature)
    return tuple(verified)


def parse_note(note: str | bytes) -> Note:
    """Take a note apart, verifying nothing.

    Raises:
        MalformedNote: with the reason.
    """
    try:
        data = note if isinstance(note, bytes) else note.encode()
        whole = data.decode()
    except UnicodeError:
        raise MalformedNote("a signed note is UTF-8 text, which this is not") from None
    if len(data) > MAX_NOTE_BYTES:
        raise MalformedNote(f"note has {len(data)} bytes where {MAX_NOTE_BYTES} are allowed")
    if _CONTROL.search(whole):
        raise MalformedNote("a signed note holds no control characters, which this one does")
    # The last empty line separates, because the text may hold others.
    text, separator, block = whole.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise MalformedNote(
            "a signed note is a text, an empty line and lines of signatures; this one was cut short"
        )
    lines = block.split("\n")[:-1]
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote(f"note has {len(lines)} signatures where {MAX_SIGNATURES} are allowed")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def parse_signatures(block: str) -> tuple[Signature, ...]:
    """Read signature lines that stand alone, as a witness answers them.

    Raises:
        MalformedNote: a line is none.
    """
    return parse_note("\n\n" + block).signatures


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    data = parse_base64(encoded)
    if not line.startswith(_MARK) or not _is_key_name(name) or data is None or len(data) < 5:
        raise MalformedNote(f"not a signature line: {line[:100]!r}")
    return Signature(name, data[:4], data[4:])


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def check_key_name(name: str) -> str:
    """Return the name of a key, if it can be one.

    Raises:
        MalformedKey: it is empty, or holds a space, a plus sign or a control character.
    """
    if not _is_key_name(name) or not name.isprintable():
        raise MalformedKey(
            f"{name!r} cannot name a key: use a URL without its scheme, such as example.com/log"
        )
    return name


def key_id(name: str, type_: int, public: bytes) -> bytes:
    """The 4 bytes of a key: SHA-256(name ‖ newline ‖ signature type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([type_]) + public).digest()[:4]


def format_vkey(name: str, type_: int, public: bytes) -> str:
    """A public key as a line."""
    return _format_key(name, key_id(name, type_, public), type_, public)


class SecretKey(Protocol):
    """A private key of `cryptography` that is made from a seed of 32 bytes."""

    def private_bytes_raw(self) -> bytes:
        """The seed."""

    def public_key(self) -> PublicKey:
        """The public half."""


class PublicKey(Protocol):
    """A public key of `cryptography`."""

    def public_bytes_raw(self) -> bytes:
        """The key in its standard's form."""


K = TypeVar("K", bound=SecretKey)


def format_secret(name: str, type_: int, key: SecretKey) -> str:
    """A secret key as the line of a key file."""
    identity = key_id(name, type_, key.public_key().public_bytes_raw())
    return _PRIVATE + _format_key(name, identity, type_, key.private_bytes_raw())


def parse_vkey(vkey: str, lengths: Mapping[int, int]) -> tuple[str, int, bytes]:
    """Read a public key from its line.

    Args:
        vkey: the line; spaces and newlines around it are forgiven.
        lengths: the signature types wanted here, and the length of their public keys.

    Returns:
        Name, type and key.

    Raises:
        MalformedKey: the line is none, of another type, or its key id is not its key's.
    """
    name, identity, type_, public = _parse_key(vkey.strip(), lengths, "verifier key")
    if identity != key_id(name, type_, public):
        raise MalformedKey(f"the verifier key of {name} is damaged: its id is not its key's")
    return name, type_, public


def parse_secret(secret: str, loaders: Mapping[int, Callable[[bytes], K]]) -> tuple[str, int, K]:
    """Read a secret key from the line of a key file.

    Args:
        secret: the line; spaces and newlines around it are forgiven.
        loaders: the signature types wanted here, and what makes a key of a seed.

    Returns:
        Name, type and key.

    Raises:
        MalformedKey: as with `parse_vkey`; the message never shows the line.
    """
    line = secret.strip()
    if not line.startswith(_PRIVATE):
        raise MalformedKey(f"not a secret key: one starts with {_PRIVATE}")
    lengths = dict.fromkeys(loaders, _SEED_BYTES)
    name, identity, type_, seed = _parse_key(line.removeprefix(_PRIVATE), lengths, "secret key")
    key = loaders[type_](seed)
    if identity != key_id(name, type_, key.public_key().public_bytes_raw()):
        raise MalformedKey(f"the secret key of {name} is damaged: its id is not its key's")
    return name, type_, key


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is the key's over a message (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _format_key(name: str, identity: bytes, type_: int, material: bytes) -> str:
    return f"{check_key_name(name)}+{identity.hex()}+{format_base64(bytes([type_]) + material)}"


def _parse_key(line: str, lengths: Mapping[int, int], what: str) -> tuple[str, bytes, int, bytes]:
    # Base64 may hold plus signs too, so only the first two separate.
    name, _, rest = line.partition("+")
    identity, _, encoded = rest.partition("+")
    material = parse_base64(encoded)
    if not _KEY_ID.fullmatch(identity) or not material:
        raise MalformedKey(f"not a {what}: one reads NAME+KEYID+BASE64; copy the whole line again")
    type_, key = material[0], material[1:]
    if type_ not in lengths:
        wanted = " or ".join(f"{known:#04x}" for known in lengths)
        raise MalformedKey(f"the {what} is of signature type {type_:#04x} where {wanted} is wanted")
    if len(key) != lengths[type_]:
        raise MalformedKey(f"the {what} has {len(key)} bytes where {lengths[type_]} are due")
    return check_key_name(name), bytes.fromhex(identity), type_, key
