"""Key pages that anybody may carry and members alone can read."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from acx.records.event import public_key_text
from acx.records.reading_key import (
    SLOTS,
    ReadingKeyError,
    draw_reading_key,
    open_page,
    open_reading_key,
    seal_page,
    seal_reading_key,
)

ORIGIN = "acx.example/log"
MEMBERS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(3)]
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
KEY = bytes(range(64))
READERS = seal_reading_key(KEY, map(public_key_text, MEMBERS), origin=ORIGIN)


@pytest.mark.parametrize("member", MEMBERS, ids=["first", "second", "third"])
def test_each_member_opens_the_reading_key(member: Ed25519PrivateKey) -> None:
    assert open_reading_key(READERS, member, origin=ORIGIN) == KEY


def test_nobody_else_does_and_nowhere_else() -> None:
    with pytest.raises(ReadingKeyError, match="nothing for this member"):
        open_reading_key(READERS, STRANGER, origin=ORIGIN)
    with pytest.raises(ReadingKeyError):
        open_reading_key(READERS, MEMBERS[0], origin="acx.example/other")


def test_how_many_members_there_are_is_told_only_roughly() -> None:
    lengths = {
        len(seal_reading_key(KEY, [public_key_text(STRANGER)] * count, origin=ORIGIN))
        for count in (0, 1, 2, SLOTS)
    }
    assert len(lengths) == 1
    more = seal_reading_key(KEY, [public_key_text(STRANGER)] * (SLOTS + 1), origin=ORIGIN)
    assert len(more) == 2 * lengths.pop()


@settings(max_examples=20)
@given(st.binary(max_size=600), st.integers(0, 2**40))
def test_a_page_opens_as_itself_and_the_same_page_is_the_same_file(page: bytes, n: int) -> None:
    sealed = seal_page(KEY, n, page, origin=ORIGIN)
    assert sealed == seal_page(KEY, n, page, origin=ORIGIN)
    assert open_page(KEY, n, sealed, origin=ORIGIN) == page
    for key, number, origin in (
        (draw_reading_key(), n, ORIGIN),
        (KEY, n + 1, ORIGIN),
        (KEY, n, "x"),
    ):
        with pytest.raises(ReadingKeyError, match="does not open"):
            open_page(key, number, sealed, origin=origin)


@settings(max_examples=20)
@given(st.binary(max_size=3000))
def test_damaged_files_are_errors_of_ours(data: bytes) -> None:
    with pytest.raises(ReadingKeyError):
        open_reading_key(data, MEMBERS[0], origin=ORIGIN)
    with pytest.raises(ReadingKeyError):
        open_page(KEY, 0, data, origin=ORIGIN)
