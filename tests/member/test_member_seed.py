"""A seed gives the same keys for ever, and comes back from paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.member.errors import WalletError
from acx.member.seed import Seed
from acx.records.event import public_key_text

SEEDS = st.binary(min_size=32, max_size=32)


@given(data=SEEDS)
def test_a_phrase_brings_the_seed_back(data: bytes) -> None:
    phrase = Seed(data, "o").phrase()
    assert len(phrase.split("-")) == 11
    assert Seed.from_phrase(phrase, "o").data == data
    assert Seed.from_phrase(phrase.upper().replace("-", "  "), "o").data == data


@given(data=SEEDS, place=st.integers(0, 54), shift=st.integers(1, 31))
def test_one_wrong_character_is_told(data: bytes, place: int, shift: int) -> None:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    text = list(Seed(data, "o").phrase().replace("-", ""))
    text[place] = alphabet[(alphabet.index(text[place]) + shift) % 32]
    with pytest.raises(WalletError, match="character is wrong"):
        Seed.from_phrase("".join(text), "o")


@given(text=st.text(max_size=80))
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(WalletError):
        Seed.from_phrase(text, "o")


def test_keys_are_pinned_for_ever() -> None:
    seed = Seed(bytes(range(32)), "acx.example/test")
    assert public_key_text(seed.member_key()) == "zTF77/5ljnrDjoOog+t6d1+ccddz8GZONBVyUUdAWSI="
    assert (
        public_key_text(seed.contribution_key(0)) == "JmLbW9lpdyGBYBuVTE2m9HiQR1VFYPnYk5Ws9ZGOvcY="
    )
    assert (
        public_key_text(seed.contribution_key(1)) == "Ti/sTsgkJGEMSw1jyO5WbOVII9RR5EAVFpbQ7poRy7s="
    )


def test_keys_of_two_exchanges_are_unrelated() -> None:
    here, there = Seed(bytes(32), "a"), Seed(bytes(32), "b")
    assert public_key_text(here.member_key()) != public_key_text(there.member_key())
