"""What can be wrong with a file, each error saying what to do next.

A row that is wrong is no error: it goes to the rejects and the rows around it are read. An error
ends the reading, because what follows in the file, or the file itself, cannot be trusted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from acx.errors import AcxError


class FileFormatError(AcxError):
    """A file that cannot be read or written as asked."""


class SourceNotFound(FileFormatError):
    """No such file, a folder or pattern without files, or something that is not a file."""


class Unreadable(FileFormatError):
    """The system refuses to read: permission, a device, an error of the disk."""


class UnknownFormat(FileFormatError):
    """Content that is none of the formats acx reads, or a name none that it writes."""


class Damaged(FileFormatError):
    """A file that is cut off or broken, so that what follows in it is unknown."""


class TooLarge(FileFormatError):
    """Content beyond a limit that protects the machine: expansion, width, size."""


class WrongEncoding(FileFormatError):
    """Bytes that are no text in the encoding named or assumed."""


class BadColumns(FileFormatError):
    """A header that lacks a column, or names one twice."""


class BadMapping(FileFormatError):
    """A mapping file that says something impossible."""

    exit_code: ClassVar[int] = 2


class BadAllowance(FileFormatError):
    """An `--allow-rejects` that is neither a number of rows nor a percentage."""

    exit_code: ClassVar[int] = 2


class Unwritable(FileFormatError):
    """Output that cannot be written; what stood there before still stands."""


_SHOWN_CHARACTERS = 60
_CLOSE = 0.66
"""Two of three letters agree: one slip in a short name, two in one of six."""


def shown(text: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """A value as a message may show it: short, and without characters that act on a terminal.

    Files come from strangers: escape sequences, right-to-left and zero-width marks in them are
    shown as escapes, so that a message says what is there.
    """
    characters = str(text)
    cut = characters[:limit]
    visible = "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else f"\\u{ord(c):04x}" for c in cut
    )
    return visible + ("…" if len(characters) > limit else "")


def shown_path(path: object) -> str:
    """A path as a message may show it, so that it can be found again."""
    return shown(path, limit=4096)


def listed(names: Iterable[object], limit: int = 30) -> str:
    """Names in a row, for a message; the first `limit` of them."""
    every = [shown(name) for name in names]
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """` (did you mean NAME?)` if one of the known names is close, else nothing."""
    close = process.extractOne(
        name,
        known,
        scorer=DamerauLevenshtein.normalized_similarity,
        processor=str.casefold,
        score_cutoff=_CLOSE,
    )
    return f" (did you mean {shown(close[0])}?)" if close else ""
