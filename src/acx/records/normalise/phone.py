"""Phone numbers in E.164, by the numbering plans of libphonenumber."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from acx.records.normalise import country
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.text import ascii_digits, plain

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

FIELD: Final = "phone"
MAX_CHARACTERS: Final = 64

_LABEL: Final = re.compile(r"^(?:tel|phone)?[:\s]*", re.IGNORECASE)


def candidates(
    value: str, countries: Sequence[str] = (), default_country: str = ""
) -> Iterator[str]:
    """Every number that the writing may stand for, the likeliest first.

    An international writing (`+…`, `00…`) is one number. A national one is tried in each country,
    then in the default country; numbers in use there go before numbers that are merely long
    enough. What is left is read as an international number that lost its `+`.

    Args:
        value: as written.
        countries: the account's own.
        default_country: tried last, or empty.

    Yields:
        Numbers in E.164.

    Raises:
        NotNormalisable: it is a number nowhere that was asked.

    Source: ITU-T E.164; libphonenumber.
    """
    text = _LABEL.sub("", ascii_digits(plain(FIELD, value)))
    if len(text) > MAX_CHARACTERS:
        raise NotNormalisable(FIELD, f"longer than {MAX_CHARACTERS} characters")
    found = ""
    for found in _readings(text, [*countries, default_country]):
        yield found
    if not found:
        raise NotNormalisable(FIELD, _reason(text, countries, default_country))


def _readings(text: str, countries: Sequence[str]) -> Iterator[str]:
    international = re.sub(r"^\(?\s*00", "+", text) if _has_no_plus(text) else text
    if not _has_no_plus(international):
        number = _parse(international)
        if number and (_is_in_use(number) or _is_long_enough(number)):
            yield _e164(number)
            return
    regions = dict.fromkeys(code for code in map(country.code, countries) if code)
    numbers = [number for region in regions if (number := _parse(text, region))]
    yield from (_e164(number) for number in numbers if _is_in_use(number))
    yield from (_e164(number) for number in numbers if _is_long_enough(number))
    if _has_no_plus(text) and (number := _parse("+" + text)) and _is_in_use(number):
        yield _e164(number)


def _has_no_plus(text: str) -> bool:
    return "+" not in text


def _parse(text: str, region: str | None = None) -> PhoneNumber | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
        # What is possible but nobody's may still begin with a national prefix, and would then be
        # read as another number the next time.
        again = phonenumbers.parse(_e164(number))
    except phonenumbers.NumberParseException:
        return None
    return number if _e164(again) == _e164(number) else None


def _is_in_use(number: PhoneNumber) -> bool:
    import phonenumbers

    return phonenumbers.is_valid_number(number)


def _is_long_enough(number: PhoneNumber) -> bool:
    import phonenumbers

    reason = phonenumbers.is_possible_number_with_reason(number)
    return reason == phonenumbers.ValidationResult.IS_POSSIBLE


def _e164(number: PhoneNumber) -> str:
    import phonenumbers

    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _reason(text: str, countries: Sequence[str], default_country: str) -> str:
    if not any(character.isdigit() for character in text):
        return "no digit in it"
    if any([*countries, default_country]):
        return "no phone number in the account's countries; write it as +country code and number"
    return (
        "no international number, and the account has no country; "
        "write it with +country code, or give --default-country"
    )
