"""Text: what a reader sees, without what only a machine does.

Files come from strangers and from many systems, so one and the same text arrives in composed,
decomposed, full-width, bidirectional and invisible writings. Every kind of value starts here.

Source: UAX #15 (normalisation forms), UTS #39 and RFC 5892 (invisible characters).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal, Protocol

from acx.records.account import MAX_VALUE_CHARACTERS
from acx.records.normalise.errors import NotNormalisable

MAX_INPUT_CHARACTERS: Final = 4096
"""Long enough for a URL with all its parameters; anything longer is no value of any field."""

_INVISIBLE: Final = (
    (0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F),  # controls that are no white space
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
_SPACE: Final = (
    (0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x2800, 0x2800), (0x3000, 0x3000),
)  # fmt: skip


def _character_class(ranges: Iterable[tuple[int, int]]) -> str:
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"


_INVISIBLE_RUN: Final = re.compile(_character_class(_INVISIBLE) + "+")
_SPACE_RUN: Final = re.compile(_character_class(_SPACE) + "+")


NormalisationForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


class UnicodeDatabase(Protocol):
    """The part of `unicodedata` that exists for every version of Unicode that Python carries."""

    def normalize(self, form: NormalisationForm, text: str, /) -> str:
        """Bring text into a normalisation form."""

    def decimal(self, character: str, default: int, /) -> int:
        """The value of a decimal digit of any script."""

    def category(self, character: str, /) -> str:
        """The general category."""


UNICODE_3_2: Final[UnicodeDatabase] = unicodedata.ucd_3_2_0
"""Never changes, whatever the Python: what a digest is made of must have the same bytes for ever.

Source: RFC 3454, section 2: the version on which stringprep rests.
"""


def plain(field: str, value: str, database: UnicodeDatabase = unicodedata) -> str:
    """Compatibility-normalise a value, drop what is invisible, collapse white space, trim.

    Args:
        field: named in the error.
        value: as it came.
        database: the version of Unicode; the running Python's where bytes may grow with it.

    Raises:
        NotNormalisable: no text, nothing visible, or too long.
    """
    if len(value) > MAX_INPUT_CHARACTERS:
        raise NotNormalisable(field, f"longer than {MAX_INPUT_CHARACTERS} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotNormalisable(field, "no valid Unicode text") from None
    text = _visible(_INVISIBLE_RUN.sub("", value), database)
    if not text:
        raise NotNormalisable(field, "nothing visible in it")
    return text


def fold(field: str, value: str) -> str:
    """The `h1` writing of names and addresses: plain, and the same in either case.

    Raises:
        NotNormalisable: see `plain`.

    Source: Unicode Standard, section 3.13, D146 (compatibility caseless matching), composed.
    """
    return fold_text(plain(field, value))


def fold_text(text: str) -> str:
    """`fold` for text of any origin; empty where nothing is visible."""
    if text.isascii():
        return _visible(_INVISIBLE_RUN.sub("", text), unicodedata).lower()
    folded = unicodedata.normalize("NFD", _INVISIBLE_RUN.sub("", text)).casefold()
    return _visible(unicodedata.normalize("NFKC", folded).casefold(), unicodedata)


def without_invisible(text: str) -> str:
    """The text without characters that nobody sees, line breaks and spaces apart."""
    return text if text.isascii() and text.isprintable() else _INVISIBLE_RUN.sub("", text)


def within_limit(field: str, text: str) -> str:
    """The same text, if an event has room for it.

    Raises:
        NotNormalisable: it has not.
    """
    if len(text) > MAX_VALUE_CHARACTERS:
        raise NotNormalisable(field, f"longer than {MAX_VALUE_CHARACTERS} characters")
    return text


def ascii_digits(text: str) -> str:
    """The text with decimal digits of any script as ASCII digits."""
    return text if text.isascii() else "".join(map(_ascii_digit, text))


def _ascii_digit(character: str) -> str:
    value = UNICODE_3_2.decimal(character, -1)
    return character if value < 0 else str(value)


def _visible(text: str, database: UnicodeDatabase) -> str:
    if not text.isascii():
        text = _INVISIBLE_RUN.sub("", database.normalize("NFKC", text))
    return _SPACE_RUN.sub(" ", text).strip(" ")
