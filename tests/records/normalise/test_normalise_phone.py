"""Phone numbers: E.164, by libphonenumber."""

# ruff: noqa: RUF001 -- letters and digits that look like others are what is tested

from __future__ import annotations

import phonenumbers
import pytest

from acx.records.normalise import NotNormalisable, normalise, normalise_all

FORMS = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
)


@pytest.mark.parametrize(
    "written",
    [
        "+44 20 7946 0958",
        "+44 (0)20 7946 0958",
        "+442079460958",
        "0044 20 7946 0958",
        "tel:+44-20-7946-0958",
        "＋４４ ２０ ７９４６ ０９５８",
        "+٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨",
        "\u202a+44 20 7946 0958\u202c",
        "442079460958",
    ],
    ids=ascii,
)
def test_international_writings_need_no_country(written: str) -> None:
    assert normalise("phone", written) == "+442079460958"


@pytest.mark.parametrize(
    ("written", "countries", "default", "e164"),
    [
        ("030 901820", ["DE"], "", "+4930901820"),
        ("13800138000", ["CN"], "", "+8613800138000"),
        ("13800138000", ["US", "CN"], "", "+8613800138000"),
        ("13800138000", [], "CN", "+8613800138000"),
        ("(202) 555-0142", ["XX"], "US", "+12025550142"),
        ("06 698 12345", ["IT"], "", "+390669812345"),
        ("8 (495) 123-45-67", ["Russia"], "", "+74951234567"),
        ("020 7946 0958", ["uk"], "", "+442079460958"),
    ],
)
def test_national_writings_are_tried_in_each_country_and_then_in_the_default(
    written: str, countries: list[str], default: str, e164: str
) -> None:
    assert normalise("phone", written, countries, default) == e164


def test_a_number_in_use_goes_before_one_that_is_merely_possible() -> None:
    numbers = normalise_all("phone", "13800138000", ["DE", "CN"])
    assert numbers == ("+8613800138000", "+4913800138000")


def test_every_country_in_which_a_number_is_possible_gives_a_writing() -> None:
    assert normalise_all("phone", "020 7946 0958", ["GB", "CN", "DE"]) == (
        "+442079460958",
        "+862079460958",
        "+492079460958",
    )


@pytest.mark.parametrize("written", ["0", "12", "n/a", "+", "+0", "+999 123 456 789", "x" * 65])
def test_refuses_what_is_no_number(written: str) -> None:
    with pytest.raises(NotNormalisable):
        normalise("phone", written, ["DE"])


def test_says_what_to_do_about_a_national_number_without_a_country() -> None:
    with pytest.raises(NotNormalisable, match="--default-country"):
        normalise("phone", "030 901820")


def test_agrees_with_the_library_on_every_example_it_has() -> None:
    # The library's own writings of its examples, read by us, are the library's numbers.
    for region in phonenumbers.SUPPORTED_REGIONS - {"AC", "TA"}:  # no countries of ISO 3166
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if number is None:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for form in FORMS:
            written = phonenumbers.format_number(number, form)
            assert normalise("phone", written, [region]) == e164
