"""Keyed digests."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acx.records.account import DIGESTED_FIELDS
from acx.records.normalise import NotNormalisable, digest, digest_all, is_digest, normalise_all

KEY = bytes(range(32))
IBAN = "DE89 3704 0044 0532 0130 00"


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def test_a_digest_is_the_hmac_of_field_and_normalised_value() -> None:
    expected = hmac_sha256(KEY, b"bank_account\0DE89370400440532013000")
    assert digest("bank_account", IBAN, KEY) == f"h1:{expected.hex()}"


def test_two_writings_of_one_account_have_one_digest() -> None:
    assert digest("bank_account", IBAN, KEY) == digest(
        "bank_account", "de89370400440532013000", KEY
    )


def test_key_field_and_value_each_change_a_digest() -> None:
    digests = {
        digest("device", "x", KEY),
        digest("device", "y", KEY),
        digest("device", "x", bytes(32)),
        digest("bank_account", "x", KEY),
    }
    assert len(digests) == 4


@pytest.mark.parametrize("field", DIGESTED_FIELDS)
def test_a_digest_stands(field: str) -> None:
    already = digest("device", "x", KEY)
    assert digest(field, already, KEY) == already
    assert digest_all(field, already, KEY) == (already,)


@pytest.mark.parametrize("field", DIGESTED_FIELDS)
@pytest.mark.parametrize(
    "damaged",
    ["h1:", "h1:00", "h1:" + "0" * 63, "h1:" + "A" * 64, " h1:xyz", "\u200bh1:" + "0" * 64],
)
def test_a_damaged_digest_is_refused_rather_than_digested(field: str, damaged: str) -> None:
    with pytest.raises(NotNormalisable, match="64 hex digits"):
        digest(field, damaged, KEY)


@given(st.text(max_size=80))
def test_only_h1_and_64_small_hex_digits_are_a_digest(text: str) -> None:
    assert not is_digest(text)
    assert is_digest("h1:" + hashlib.sha256(text.encode()).hexdigest())
    assert not is_digest("h1:" + hashlib.sha256(text.encode()).hexdigest() + "\n")


def test_every_writing_has_its_digest() -> None:
    writings = normalise_all("id_document", "passport:CN:E1")
    digests = digest_all("id_document", "passport:CN:E1", KEY)
    assert digests == tuple(
        f"h1:{hmac_sha256(KEY, b'id_document' + bytes(1) + writing.encode()).hex()}"
        for writing in writings
    )
    assert digests[0] == digest("id_document", "passport:CN:E1", KEY)


def test_heavy_libraries_load_only_with_the_values_that_need_them() -> None:
    heavy = {"phonenumbers", "schwifty", "stdnum", "pypinyin", "anyascii", "tldextract"}
    heavy |= {"email_validator", "idna", "pycountry"}
    code = (
        "import sys; from acx.records.normalise import digest;"
        "digest('device', 'x', bytes(32)); print(*sys.modules, sep='\\n')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert heavy.isdisjoint(loaded.stdout.split())
