"""Digests of whole columns are those of single values, byte for byte."""

from __future__ import annotations

import hashlib
import hmac

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.matching.accounts import account, frame

from acx.matching.digests import digest_account, digest_frame
from acx.matching.sha256 import hmac_text
from acx.matching.text import text_of
from acx.records.account import DIGESTED_FIELDS
from acx.records.normalise import NotNormalisable, digest, normalise_all, normalise_all_column

KEY = bytes(range(32))
COUNTRIES = st.lists(st.sampled_from(["DE", "cn", "GB", "Norway", "no country", "BE"]), max_size=2)
BANK_ACCOUNTS = st.one_of(
    st.sampled_from(
        [
            "DE89 3704 0044 0532 0130 00",
            "DE88 3704 0044 0532 0130 00",
            "iban GB29 NWBK 6016 1331 9268 19",
            "370400440532013000",
            "539007547034",
            "86011117947",
            "6226 6362 5349 0575 81",
            "AB12CD",
            "h1:" + "0" * 64,
            "h1:damaged",
            "—",
            "",
        ]
    ),
    st.text(alphabet="0123456789", min_size=6, max_size=20),
)
DOCUMENTS = st.one_of(
    st.sampled_from(
        [
            "passport:CN:E12345678",
            "passport::E1234 5678",
            "National ID:de:X-1",
            "X99",
            "a:b",
            "passport:ZZ:1",
            "h1:" + "a" * 64,
            ":CN:1",
        ]
    ),
    st.text(alphabet="ab:CND1 ", max_size=12),
)


@pytest.mark.parametrize("size", [0, 1, 54, 55, 56, 63, 64, 119, 120, 500])
def test_compiled_hmacs_are_the_librarys(size: int) -> None:
    value = "v" * size
    text = hmac_text(text_of([value, "", value]), KEY, b"device\0")
    expected = [
        "h1:" + hmac.new(KEY, b"device\0" + each.encode(), hashlib.sha256).hexdigest()
        for each in (value, "", value)
    ]
    assert bytes(text.data).decode() == "".join(expected)


@given(
    banks=st.lists(BANK_ACCOUNTS, max_size=3),
    documents=st.lists(DOCUMENTS, max_size=3),
    countries=COUNTRIES,
    default=st.sampled_from(["", "DE", "Norway"]),
)
def test_all_writings_of_a_column_are_those_of_its_values(
    banks: list[str], documents: list[str], countries: list[str], default: str
) -> None:
    for field, values in (("bank_account", banks), ("id_document", documents)):
        expected: dict[str, None] = {}
        for value in values:
            try:
                expected |= dict.fromkeys(normalise_all(field, value, countries, default))
            except NotNormalisable:
                continue
        rows = pl.Series([[], values, values], dtype=pl.List(pl.String))
        own = pl.Series([[], countries, countries], dtype=pl.List(pl.String))
        written = normalise_all_column(field, rows, own, default).to_list()
        assert written == [[], list(expected), list(expected)]


@given(bank=BANK_ACCOUNTS, document=DOCUMENTS, countries=COUNTRIES)
def test_a_frame_is_digested_as_its_accounts_are(
    bank: str, document: str, countries: list[str]
) -> None:
    one = account(
        {"id": "a", "bank_account": [bank], "id_document": [document], "country": countries},
        device=["Device 1", "h1:" + "c" * 64],
        ip=["192.0.2.7", "no address"],
    )
    every = digest_frame(frame([one, account({"id": "b"})]), KEY, "DE", every=True)
    alone = digest_account(one, KEY, "DE")
    once = digest_frame(frame([one]), KEY, "DE", every=False)
    for field in DIGESTED_FIELDS:
        assert every[field].to_list() == [list(getattr(alone, field)), []]
        assert once[field].list.drop_nulls().to_list() == [_once(field, getattr(one, field))]


def _once(field: str, values: tuple[str, ...]) -> list[str]:
    found = []
    for value in values:
        try:
            found.append(digest(field, value, KEY))
        except NotNormalisable:
            continue
    return found
