"""Messages changed at random in the ways that an attacker or a bad line would change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.credentials.issuing import CONTEXT, ISSUER, MEMBER, MESSAGE, REQUEST_CONTEXT, SECRET

from acx.credentials.element import ELEMENT_BYTES, FIELD
from acx.credentials.group import GENERATOR_G, LIBRARY
from acx.credentials.issuance import (
    ClientRequest,
    CredentialRequest,
    CredentialResponse,
    MemberSecret,
    enrol,
)
from acx.credentials.presentation import present, verify
from acx.credentials.scalar import ORDER, SCALAR_BYTES, Scalar
from acx.credentials.single_use import present_once, verify_once


@dataclass(frozen=True)
class Target:
    """A kind of message, valid ones of it, and who must refuse all others.

    Attributes:
        name: the kind.
        elements: number of elements at its beginning; the rest are scalars.
        valid: messages that are accepted.
        accept: returns if a message is accepted, and raises if not.
    """

    name: str
    elements: int
    valid: Sequence[bytes]
    accept: Callable[[bytes], object]


def _targets() -> list[Target]:
    asked = [ClientRequest.create(SECRET, REQUEST_CONTEXT) for _ in range(2)]
    asked.append(ClientRequest.create(MemberSecret.generate(), REQUEST_CONTEXT))
    answers = [enrol(ISSUER, asked[0].request).encode() for _ in range(3)]

    def limited(limit: int) -> Target:
        return Target(
            f"presentation, limit {limit}",
            5 + (limit - 1).bit_length(),
            [
                present(MEMBER, context=CONTEXT, limit=limit, nonce=nonce, message=MESSAGE).encode()
                for nonce in (0, 0, limit - 1)
            ],
            lambda message: verify(
                ISSUER,
                message,
                request_context=REQUEST_CONTEXT,
                context=CONTEXT,
                limit=limit,
                message=MESSAGE,
            ),
        )

    single = [present_once(MEMBER, context=CONTEXT, message=MESSAGE).encode() for _ in range(3)]
    return [
        Target(
            "single-use presentation",
            4,
            single,
            lambda message: verify_once(
                ISSUER, message, request_context=REQUEST_CONTEXT, context=CONTEXT, message=MESSAGE
            ),
        ),
        limited(2),
        limited(3),
        limited(1000),
        Target(
            "credential request",
            2,
            [one.request.encode() for one in asked],
            lambda message: enrol(ISSUER, CredentialRequest.decode(message)),
        ),
        Target(
            "credential response",
            6,
            answers,
            lambda message: asked[0].finalize(
                CredentialResponse.decode(message), ISSUER.public_key
            ),
        ),
    ]


TARGETS: Final = _targets()


def mutated(target: Target, random: Random) -> bytes:
    """A message of a kind, changed so that it is none of the valid ones."""
    while True:
        message, other = random.sample(list(target.valid), 2)
        change = random.choice(_CHANGES)
        changed = change(target, message, other, random)
        if changed not in target.valid:
            return changed


def _fields(target: Target, message: bytes) -> list[bytes]:
    cut = target.elements * ELEMENT_BYTES
    return [
        *(message[at : at + ELEMENT_BYTES] for at in range(0, cut, ELEMENT_BYTES)),
        *(message[at : at + SCALAR_BYTES] for at in range(cut, len(message), SCALAR_BYTES)),
    ]


def _bits_flipped(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    changed = bytearray(message)
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut_or_lengthened(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        return message[: random.randrange(len(message))]
    return message + random.randbytes(random.choice((1, 32, 33, 129)))


def _spliced(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of one valid message and the end of another."""
    at = random.randrange(1, len(message))
    return message[:at] + other[at:]


def _field_of_another(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    fields, others = _fields(target, message), _fields(target, other)
    for at in random.sample(range(len(fields)), random.choice((1, 1, 2, 3))):
        fields[at] = others[at]
    return b"".join(fields)


def _fields_swapped(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    fields = _fields(target, message)
    side = range(target.elements) if random.random() < 0.5 else range(target.elements, len(fields))
    one, another = random.sample(side, 2)
    fields[one], fields[another] = fields[another], fields[one]
    return b"".join(fields)


def _field_changed(target: Target, message: bytes, other: bytes, random: Random) -> bytes:
    fields = _fields(target, message)
    for at in random.sample(range(len(fields)), random.choice((1, 1, 2))):
        change = _element_changed if at < target.elements else _scalar_changed
        fields[at] = change(fields[at], random)
    return b"".join(fields)


def _element_changed(field: bytes, random: Random) -> bytes:
    number = Scalar.of(random.randrange(1, ORDER))
    return random.choice(
        [
            bytes([field[0] ^ 1]) + field[1:],  # its negative
            bytes([random.randrange(256)]) + field[1:],
            bytes(ELEMENT_BYTES),
            field[:1] + FIELD.to_bytes(32, "big"),
            field[:1] + random.randbytes(32),
            (number * GENERATOR_G).encode(),
            (number * LIBRARY.decode(field)).encode(),
            (LIBRARY.decode(field) + GENERATOR_G).encode(),
        ]
    )


def _scalar_changed(field: bytes, random: Random) -> bytes:
    number = int.from_bytes(field, "big")
    changed = random.choice(
        [
            (number + 1) % ORDER,
            (number - 1) % ORDER,
            -number % ORDER,
            0,
            1,
            ORDER,
            ORDER - 1,
            2**256 - 1,
            random.randrange(ORDER),
            # The same number, where it has a second writing in 32 bytes.
            number + ORDER if number + ORDER < 2**256 else number ^ 1,
        ]
    )
    return changed.to_bytes(SCALAR_BYTES, "big")


_CHANGES: Final = (
    _bits_flipped,
    _cut_or_lengthened,
    _spliced,
    _field_of_another,
    _fields_swapped,
    _field_changed,
    _field_changed,
)
