"""Texts that only operators open."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from acx.records.event import public_key_text
from acx.records.sealed_text import (
    SIZES,
    Exhibit,
    Message,
    SealedTextError,
    open_text,
    opening_key,
    recipients_of,
    seal_text,
    sealing_key,
)

ANN, BOB, EVE = (Ed25519PrivateKey.from_private_bytes(name * 32) for name in (b"a", b"b", b"e"))
OPERATORS = [public_key_text(ANN), public_key_text(BOB)]
PLACE = {"origin": "exchange.example/test", "about": "a" * 26}


@given(st.binary(min_size=32, max_size=32))
def test_the_two_keys_of_an_operator_are_of_one_point(seed: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    secret: X25519PrivateKey = opening_key(key)
    assert secret.public_key() == sealing_key(public_key_text(key))


@given(st.text(max_size=5000))
def test_each_operator_opens_what_was_written(text: str) -> None:
    message = Message(text=text, contact="jo@example.com")
    sealed = seal_text(message, OPERATORS, **PLACE)
    assert open_text(sealed, ANN, **PLACE) == open_text(sealed, BOB, **PLACE) == message


def test_nobody_else_opens_it() -> None:
    sealed = seal_text(Message(text="I sold nothing"), OPERATORS, **PLACE)
    with pytest.raises(SealedTextError, match="other operators"):
        open_text(sealed, EVE, **PLACE)
    assert b"sold" not in sealed
    assert recipients_of(sealed) == set(OPERATORS)


@pytest.mark.parametrize("place", [{"origin": "elsewhere.example"}, {"about": "b" * 26}])
def test_it_opens_in_no_other_place(place: dict[str, str]) -> None:
    sealed = seal_text(Message(text="x"), OPERATORS, **PLACE)
    with pytest.raises(SealedTextError, match="written for something else"):
        open_text(sealed, ANN, **(PLACE | place))


def test_its_length_says_little() -> None:
    lengths = {
        len(seal_text(Message(text="x" * n), OPERATORS, **PLACE)) for n in range(0, 1900, 90)
    }
    assert len(lengths) == 1


def test_a_file_is_what_the_report_committed_to() -> None:
    exhibit = Exhibit(kind="invoice", nonce=b"n" * 32, file=b"\x00scan")
    sealed = seal_text(Message(exhibits=(exhibit,)), OPERATORS, **PLACE)
    (opened,) = open_text(sealed, ANN, **PLACE).exhibits
    assert opened.commitment == hashlib.sha256(b"n" * 32 + b"\x00scan").hexdigest()


def test_a_text_has_a_limit() -> None:
    exhibit = Exhibit(kind="scan", nonce=b"n" * 32, file=bytes(SIZES[-1]))
    with pytest.raises(SealedTextError, match="fewer files"):
        seal_text(Message(exhibits=(exhibit,)), OPERATORS, **PLACE)


def test_a_text_is_for_somebody() -> None:
    with pytest.raises(SealedTextError, match="no operator"):
        seal_text(Message(text="x"), [], **PLACE)


@given(st.binary(max_size=300))
def test_anything_else_is_refused_as_what_it_is(raw: bytes) -> None:
    with pytest.raises(SealedTextError):
        recipients_of(raw)


@given(st.data())
def test_a_changed_text_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(seal_text(Message(text="x"), OPERATORS[:1], **PLACE))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealedTextError):
        open_text(bytes(sealed), ANN, **PLACE)
