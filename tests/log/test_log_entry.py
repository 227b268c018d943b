from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from acx.log.entry import (
    MAX_EVENT_BYTES,
    PADDED_SIZES,
    SEALED_SIZES,
    draw_key,
    entry_of,
    keys_path,
    open_sealed,
    pack_bundle,
    pack_entries,
    pack_keys,
    parse_bundle,
    parse_entries,
    parse_keys,
    seal,
)
from acx.log.errors import EntryMismatch, LogError, MalformedFile

HOUR = "2026-03-01T09Z"
K = bytes(range(32))
EVENT = b'{"type":"report"}'


def hkdf(k: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=info).derive(k)


def test_an_entry_is_what_the_protocol_page_says() -> None:
    preimage = b"2026-03-01T09Z\x00" + EVENT
    sealed = seal(EVENT, HOUR, K)
    expected = hashlib.sha256(b"acx-leaf/v1\x00" + hkdf(K, b"salt") + preimage).digest()
    assert sealed.entry == expected == entry_of(K, HOUR, EVENT)
    plaintext = AESGCM(hkdf(K, b"enc")).decrypt(bytes(12), sealed.ciphertext, None)
    assert plaintext == (len(preimage).to_bytes(4, "big") + preimage).ljust(1024, b"\x00")


def test_an_entry_never_changes() -> None:
    """Pinned: whoever changes the format meets this before a log does."""
    sealed = seal(EVENT, HOUR, K)
    assert sealed.entry.hex() == "1de7d575820446fed6439ee9cdadc37afc8461fec2ac5cf0b339cd77360182a3"
    assert (
        hashlib.sha256(sealed.ciphertext).hexdigest()
        == "183aaef386ebd933442d98769e6755736a5a80d3871a5a60bd67c87baadd03e7"
    )


events = st.binary(max_size=3000) | st.integers(0, MAX_EVENT_BYTES).map(lambda n: b"x" * n)
keys = st.binary(min_size=32, max_size=32)


@given(events, keys)
def test_opens_what_it_seals(event: bytes, k: bytes) -> None:
    sealed = seal(event, HOUR, k)
    opened = open_sealed(sealed.ciphertext, k, sealed.entry)
    assert (opened.at, opened.event) == (HOUR, event)
    assert len(sealed.ciphertext) in SEALED_SIZES


@pytest.mark.parametrize("size", PADDED_SIZES[:-1])
def test_events_are_padded_to_the_next_size(size: int) -> None:
    fits = size - 4 - len(HOUR) - 1
    assert len(seal(b"x" * fits, HOUR, K).ciphertext) == size + 16
    assert len(seal(b"x" * (fits + 1), HOUR, K).ciphertext) > size + 16


def test_the_largest_event_fits_and_a_larger_one_is_refused() -> None:
    assert len(seal(b"x" * MAX_EVENT_BYTES, HOUR, K).ciphertext) == SEALED_SIZES[-1]
    with pytest.raises(LogError, match="65537 bytes"):
        seal(b"x" * (MAX_EVENT_BYTES + 1), HOUR, K)


@pytest.mark.parametrize("at", ["", "2026-03-01", "2026-03-01T09:00Z", "2026-3-1T9Z", HOUR + "\n"])
def test_refuses_a_time_finer_or_coarser_than_an_hour(at: str) -> None:
    with pytest.raises(LogError, match="UTC hour"):
        seal(EVENT, at, K)


def test_keys_are_never_drawn_twice() -> None:
    assert len({draw_key() for _ in range(1000)}) == 1000


@settings(max_examples=50)
@given(st.data())
def test_refuses_a_ciphertext_key_or_entry_with_any_bit_changed(data: st.DataObject) -> None:
    sealed = seal(EVENT, HOUR, K)
    parts = [bytearray(sealed.ciphertext), bytearray(K), bytearray(sealed.entry)]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(EntryMismatch) as caught:
        open_sealed(*map(bytes, parts))
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x02{}".ljust(1024, b"\x00"),
        (b"\xff\xff\xff\xff" + HOUR.encode() + b"\x00{}").ljust(1024, b"\x00"),
        (b"\x00\x00\x00\x11" + HOUR.encode() + b"\x00{}").ljust(1023, b"\x00"),
        (b"\x00\x00\x00\x11" + HOUR.encode() + b"\x00{}").ljust(4096, b"\x00"),
        (b"\x00\x00\x00\x11" + HOUR.encode() + b"\x00{}").ljust(1023, b"\x00") + b"!",
        (b"\x00\x00\x00\x11" + b"2026-03-01T9ZZ" + b"\x00{}").ljust(1024, b"\x00"),
        (b"\x00\x00\x00\x11" + b"2026-03-01T\xff9Z" + b"\x00{}").ljust(1024, b"\x00"),
    ],
)
def test_refuses_a_plaintext_that_no_honest_exchange_would_have_sealed(plaintext: bytes) -> None:
    ciphertext = AESGCM(hkdf(K, b"enc")).encrypt(bytes(12), plaintext, None)
    preimage = plaintext[4 : 4 + int.from_bytes(plaintext[:4], "big")]
    committed = hashlib.sha256(b"acx-leaf/v1\x00" + hkdf(K, b"salt") + preimage).digest()
    with pytest.raises(EntryMismatch):
        open_sealed(ciphertext, K, committed)


def test_one_writing_of_the_padding_only() -> None:
    preimage = HOUR.encode() + b"\x00{}"
    plaintext = (len(preimage).to_bytes(4, "big") + preimage).ljust(1024, b"\x00")
    ciphertext = AESGCM(hkdf(K, b"enc")).encrypt(bytes(12), plaintext, None)
    assert ciphertext == seal(b"{}", HOUR, K).ciphertext


@given(st.lists(keys, max_size=256))
def test_entries_survive_their_file(entries: list[bytes]) -> None:
    data = pack_entries(entries)
    assert len(data) == 34 * len(entries)
    assert parse_entries(data, len(entries)) == entries


ciphertexts = st.lists(st.sampled_from(SEALED_SIZES[:2]).map(bytes), max_size=8)


@given(ciphertexts)
def test_ciphertexts_survive_their_bundle(texts: list[bytes]) -> None:
    assert parse_bundle(pack_bundle(texts), len(texts)) == texts


@given(st.lists(st.none() | keys, max_size=256))
def test_keys_survive_their_page_and_so_does_their_destruction(page: list[bytes | None]) -> None:
    data = pack_keys(page)
    assert len(data) == 33 * len(page)
    assert parse_keys(data) == page


def test_a_destroyed_key_is_written_as_zeroes() -> None:
    assert pack_keys([None, K]) == bytes(33) + b"\x01" + K
    assert keys_path(12) == "keys/12"


ENTRIES = pack_entries([K, K, K])
BUNDLE = pack_bundle([bytes(1040), bytes(1040)])


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (ENTRIES, 2),
        (ENTRIES, 4),
        (ENTRIES[:-1], 3),
        (ENTRIES + b"\x00", 3),
        (b"", 1),
        (b"\x00\x21" + bytes(33), 1),
        (b"\x00\x1f" + bytes(31), 1),
        (b"\x00", 1),
    ],
)
def test_refuses_an_entries_file_of_another_width_or_content(data: bytes, width: int) -> None:
    with pytest.raises(MalformedFile, match="entries file"):
        parse_entries(data, width)


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (BUNDLE, 1),
        (BUNDLE, 3),
        (BUNDLE[:-1], 2),
        (BUNDLE + b"\x00", 2),
        (b"\xff\xff\xff\xff", 1),
        (b"\x00\x00\x04\x00" + bytes(1024), 1),
    ],
)
def test_refuses_a_bundle_of_another_width_or_content(data: bytes, width: int) -> None:
    with pytest.raises(MalformedFile, match="bundle"):
        parse_bundle(data, width)


@pytest.mark.parametrize(
    "data", [b"\x01", b"\x01" + bytes(31), b"\x02" + bytes(32), bytes(32) + b"\x01", bytes(34)]
)
def test_refuses_a_page_that_is_no_key_page(data: bytes) -> None:
    with pytest.raises(MalformedFile, match="key page"):
        parse_keys(data)


Codec = tuple[Callable[[bytes, int], Any], Callable[[Any], bytes]]
CODECS: dict[str, Codec] = {
    "entries": (parse_entries, pack_entries),
    "bundle": (parse_bundle, pack_bundle),
    "keys": (lambda data, _: parse_keys(data), pack_keys),
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(st.binary(max_size=200), st.integers(0, 5))
def test_no_nonsense_is_a_file_or_crashes(codec: Codec, data: bytes, width: int) -> None:
    parse, pack = codec
    try:
        parsed = parse(data, width)
    except MalformedFile:
        return
    assert pack(parsed) == data
