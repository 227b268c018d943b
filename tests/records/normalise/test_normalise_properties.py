"""What holds for every field and every text that strangers may send."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.records.normalise.writings import COUNTRIES, any_text, written_value

from acx.records.account import FIELDS, MAX_VALUE_CHARACTERS
from acx.records.normalise import (
    NORMALISABLE_FIELDS,
    NotNormalisable,
    latinise,
    mailbox,
    normalise,
    normalise_all,
    registered_domain,
    skeleton,
)


def writings_or_refusal(
    field: str, value: str, countries: Sequence[str] = (), default: str = ""
) -> tuple[str, ...] | NotNormalisable:
    """What comes of a value; any other error fails the test."""
    try:
        return normalise_all(field, value, countries, default)
    except NotNormalisable as error:
        return error


def test_every_field_but_the_stores_own_key_has_a_rule() -> None:
    assert set(NORMALISABLE_FIELDS) == set(FIELDS) - {"id"}


@pytest.mark.parametrize("field", NORMALISABLE_FIELDS)
@settings(max_examples=60)
@given(data=st.data(), countries=COUNTRIES, default=st.sampled_from(["", "CN", "DE"]))
def test_normalising_twice_is_normalising_once(
    field: str, data: st.DataObject, countries: list[str], default: str
) -> None:
    value = data.draw(written_value(field))
    match writings_or_refusal(field, value, countries, default):
        case NotNormalisable() as error:
            assert error.field == field
            assert str(error) == f"{field}: {error.reason}"
            with pytest.raises(NotNormalisable):
                normalise(field, value, countries, default)
        case (first, *others):
            assert all(0 < len(writing) <= MAX_VALUE_CHARACTERS for writing in [first, *others])
            assert len({first, *others}) == len(others) + 1
            assert normalise(field, value, countries, default) == first
            assert normalise(field, first, countries, default) == first


@pytest.mark.parametrize("field", NORMALISABLE_FIELDS)
@pytest.mark.parametrize(
    "value",
    ["", " ", "\u200b", "\x00", "\ud800", "\u202e\u202c", "x" * 5000, "9" * 5000, "\ufdfa" * 400],
    ids=ascii,
)
def test_refuses_what_is_no_value_of_any_field(field: str, value: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise(field, value)


@pytest.mark.parametrize("field", ["", "id", "price", "Name", "email\x00"], ids=ascii)
def test_refuses_fields_without_a_rule(field: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise(field, "value")


@given(any_text())
@example("")
@example("\ufdfa" * 100)
def test_looser_evidence_is_there_for_any_text(text: str) -> None:
    assert latinise(text).isascii()
    assert latinise(latinise(text)) == latinise(text)
    assert skeleton(skeleton(text)) == skeleton(text)
    assert mailbox(f"name@{text}").startswith("name@")
    assert registered_domain(text) in text


@given(any_text())
def test_an_error_shows_nothing_of_the_value(text: str) -> None:
    for field in NORMALISABLE_FIELDS:
        outcome = writings_or_refusal(field, f"secret-{text}-9f8e7d")
        assert not isinstance(outcome, NotNormalisable) or "9f8e7d" not in str(outcome)
