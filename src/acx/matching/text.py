"""Text as bytes: columns of strings that compiled kernels read, and their Latin writing.

Names and addresses come in any script. `fold` writes each value in lower-case ASCII: letters by
their usual romanisation, Han in pinyin with known words translated («贸易» becomes «trading») and a
person's surname apart, invisible characters dropped, and letters that only look Latin («Аррle» with
Cyrillic А, р) as what they look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from anyascii import anyascii

from acx.matching.compiled import (
    I32,
    I64,
    U8,
    U64,
    find,
    hash_bytes,
    inner,
    kernel,
    scatter,
    to_int,
)

MAX_BYTES: Final = 1024
"""Bytes read of one value: names and addresses are shorter, and hostile ones cost no more."""

PLAIN, NAME, ADDRESS = 0, 1, 2
"""What a value is, which decides how Han is divided into words."""


class Text(NamedTuple):
    """A column of strings: value i is `data[offsets[i]:offsets[i + 1]]`."""

    data: U8
    offsets: I64


class Values(NamedTuple):
    """Lists of strings: row i has the values `starts[i]:starts[i + 1]` of `text`."""

    starts: I64
    text: Text


def text_of(values: Sequence[str]) -> Text:
    """A few strings as a column; what is no Unicode text is left out."""
    encoded = [value.encode("utf-8", "ignore") for value in values]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(each) for each in encoded], out=offsets[1:])
    return Text(np.frombuffer(bytearray(b"".join(encoded)), np.uint8), offsets)


def lists_column(values: pl.Series) -> Values:
    """A series of lists of strings, or of strings; nulls and empty strings count as missing."""
    if values.dtype == pl.String:
        present = (values.str.len_bytes() > 0).fill_null(value=False)
        starts = np.zeros(len(values) + 1, np.int64)
        np.cumsum(present.to_numpy(), out=starts[1:])
        return Values(starts, _text(values.filter(present).to_arrow(compat_level=_OLDEST)))
    array = values.to_arrow(compat_level=_OLDEST)
    if array.null_count or array.values.null_count:
        array = values.fill_null([]).list.drop_nulls().to_arrow(compat_level=_OLDEST)
    offsets = np.frombuffer(array.buffers()[1], np.int64)
    starts = offsets[array.offset : array.offset + len(array) + 1]
    elements = array.values.slice(starts[0], starts[-1] - starts[0])
    return Values(starts - starts[0], _text(elements))


_OLDEST: Final = pl.CompatLevel.oldest()
"""Strings as offsets and data, not as views."""


def _text(array: pa.LargeStringArray) -> Text:
    _, offsets, data = array.buffers()
    if not len(array):
        return text_of([])
    at = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    # Copies, since Arrow's memory is read-only, which numba takes for another type.
    return Text(np.frombuffer(data, np.uint8)[at[0] : at[-1]].copy(), at - at[0])


def joined(texts: Sequence[Text]) -> Text:
    """Several columns as one, one after another."""
    if len(texts) == 1:
        return texts[0]
    offsets = np.zeros(sum(len(text.offsets) - 1 for text in texts) + 1, np.int64)
    n, size = 1, 0
    for text in texts:
        count = len(text.offsets) - 1
        offsets[n : n + count] = text.offsets[1:] + size
        n += count
        size += text.offsets[-1]
    return Text(np.concatenate([text.data for text in texts]), offsets)


def data_lines(name: str) -> list[tuple[str, ...]]:
    """The lines of one of the room's tables, `#` starting a comment, in columns."""
    text = (files("acx.matching") / "data" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split("\t")) for line in lines]


def hash_text(value: str) -> int:
    """The code of a string, as kernels compute it of its bytes."""
    data = np.frombuffer(bytearray(value.encode()), np.uint8)
    return int(hash_bytes(data, 0, len(data)))


_SURNAME: Final = "\0"
"""Follows the characters of a surname, which is a word only where a person's name begins."""


class HanWords(NamedTuple):
    """Han words by the hash of their characters.

    Attributes:
        codes: sorted.
        starts: writing i is `data[starts[i]:starts[i + 1]]`.
    """

    codes: U64
    starts: I64
    data: U8


MAX_HAN_WORD: Final = 6


class Romanisation(NamedTuple):
    """How each character is written in Latin letters.

    Attributes:
        start: by code point, where its writing starts in `data`, -1 where not yet looked up.
        size: bytes of the writing.
        data: the writings.
        lookalike: by code point below 0x600, the ASCII letter that it looks like, or 0.
    """

    start: I32
    size: U8
    data: U8
    lookalike: U8


# Arabic letters that stand for vowels as often as for consonants; anyascii writes consonants.
_VOWELS: Final = {
    "و": "u",
    "ي": "i",
    "ى": "a",
    "ی": "i",
    "ع": "a",
    "ة": "a",
    "ه": "h",
    "ئ": "i",
    "ؤ": "u",
}

_LOOKALIKES: Final = dict(
    zip(
        "АВЕЅZІЈКМНОРСТУХЬаеосрухіјѕһԁԛԝкмнтвгпΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονικρτυχγ",
        "abeszijkmhopctyxbaeocpyxijshdqwkmhtbrnabezhikmnoptyxaovikptuxy",
        strict=True,
    )
)


class _Characters:
    """The romanisation of characters met so far: a cache of what anyascii says."""

    def __init__(self) -> None:
        self._lock = Lock()
        lookalike = np.zeros(0x600, np.uint8)
        for letter, latin in _LOOKALIKES.items():
            if ord(letter) < len(lookalike):
                lookalike[ord(letter)] = ord(latin)
        self._table = Romanisation(
            np.full(0x110000, -1, np.int32),
            np.zeros(0x110000, np.uint8),
            np.zeros(0, np.uint8),
            lookalike,
        )

    def table(self, characters: Iterable[int]) -> Romanisation:
        """The table, with at least the given code points in it."""
        with self._lock:
            start, size, data, lookalike = self._table
            written = bytearray()
            for point in characters:
                if start[point] < 0:
                    latin = _VOWELS.get(chr(point)) or anyascii(chr(point)).lower()
                    start[point] = len(data) + len(written)
                    size[point] = len(latin[:12])
                    written += latin[:12].encode()
            if written:
                grown = np.concatenate([data, np.frombuffer(written, np.uint8)])
                self._table = Romanisation(start, size, grown, lookalike)
            return self._table


_characters: Final = _Characters()


@cache
def han_words() -> HanWords:
    """The room's Han words."""
    written: dict[str, str] = {}
    for mark, table in (("", "han_words.tsv"), (_SURNAME, "han_surnames.tsv")):
        for word, *latin in data_lines(table):
            written[word + mark] = latin[0] if latin else anyascii(word).lower()
    codes = {
        int(_hash_points(np.array([ord(c) for c in word], np.int64), 0, len(word))): word
        for word in written
    }
    ordered = sorted(codes)
    texts = [written[codes[code]].encode() for code in ordered]
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=starts[1:])
    return HanWords(
        np.array(ordered, np.uint64),
        starts,
        np.frombuffer(bytearray(b"".join(texts)), np.uint8),
    )


_FEW: Final = 4096
"""Bytes of foreign letters up to which a set of them is faster than a table."""


def fold(text: Text, kind: int) -> Text:
    """Each value in lower-case ASCII.

    Args:
        text: the values.
        kind: `PLAIN`, `NAME` or `ADDRESS`.
    """
    foreign = int(np.count_nonzero(text.data & 0x80))
    points: Iterable[int] = ()
    if foreign > _FEW:
        seen = np.zeros(0x110000, np.uint8)
        _mark_points(text.data, seen)
        points = np.flatnonzero(seen).tolist()
    elif foreign:
        points = {ord(c) for c in text.data.tobytes().decode("utf-8", "replace")}
    out = np.empty(2 * len(text.data) + 13 * foreign + 64, np.uint8)
    offsets = np.zeros(len(text.offsets), np.int64)
    size = _fold(
        text,
        kind,
        _characters.table(points),
        han_words(),
        out,
        offsets,
        np.empty(MAX_BYTES + 2, np.int64),
        np.empty((2, MAX_BYTES + 2), np.int64),
    )
    return Text(out[:size].copy(), offsets)


@inner
def _decode(data: U8, i: int, end: int) -> tuple[int, int]:
    """The code point at `i` of UTF-8, and where the next begins."""
    first = to_int(data[i])
    if first < 0x80:
        return first, i + 1
    size, point = 4, first & 0x07
    if first < 0xE0:
        size, point = 2, first & 0x1F
    elif first < 0xF0:
        size, point = 3, first & 0x0F
    stop = i + size
    if stop > end:
        stop = end
    for j in range(i + 1, stop):
        point = (point << 6) | (to_int(data[j]) & 0x3F)
    if point > 0x10FFFF:
        point = 0xFFFD
    return point, stop


@kernel
def _mark_points(data: U8, seen: U8) -> None:
    i = 0
    while i < len(data):
        if data[i] < 0x80:
            i += 1
            continue
        point, i = _decode(data, i, len(data))
        seen[point] = 1


@kernel
def _hash_points(points: I64, start: int, end: int) -> np.uint64:
    code = np.uint64(0)
    for i in range(start, end):
        code = scatter(code + np.uint64(points[i]))
    return code


@inner
def _script(point: int) -> int:
    """1 for Han, 2 for Hangul: scripts that join words; 0 for others."""
    if 0x4E00 <= point <= 0x9FFF or 0x3400 <= point <= 0x4DBF or 0xF900 <= point <= 0xFAFF:
        return 1
    if 0xAC00 <= point <= 0xD7A3:
        return 2
    return 0


@inner
def _copy(out: U8, n: int, data: U8, start: int, end: int) -> int:
    for i in range(start, end):
        out[n] = data[i]
        n += 1
    return n


@inner
def _divide(
    points: I64, count: int, kind: int, divided: bool, words: HanWords, division: I64
) -> int:
    """Find the known words in a run of characters, the longest first.

    Args:
        points: the characters.
        count: how many.
        kind: what the value is.
        divided: whether blanks divide the value's characters already.
        words: known words.
        division: filled: at the first character of a word its place in `words` and its length;
            -1 and 1 elsewhere.

    Returns:
        Characters of the surname, 0 if it is no person's name.
    """
    found = False
    i = 0
    while i < count:
        division[0, i], division[1, i] = -1, 1
        length = min(count - i, MAX_HAN_WORD)
        while length > 0:
            # Single characters are words in addresses, and at the end of longer names.
            if length > 1 or kind == ADDRESS or (i > 0 and count > 4):
                at = find(words.codes, _hash_points(points, i, i + length))
                if at >= 0:
                    division[0, i], division[1, i] = at, length
                    found = True
                    break
            length -= 1
        i += division[1, i]
    # Two to four characters without a known word are a person's name, surname first.
    if kind != NAME or found or divided or count < 2 or count > 4:
        return 0
    for length in range(2, 0, -1):
        at = find(words.codes, scatter(_hash_points(points, 0, length)))
        if at >= 0 and length < count:
            division[0, 0], division[1, 0] = at, length
            return length
    return 1


@inner
def _write_run(
    out: U8,
    n: int,
    points: I64,
    count: int,
    surname: int,
    division: I64,
    romanisation: Romanisation,
    words: HanWords,
) -> int:
    """Write a divided run of characters; returns the new end of `out`."""
    out[n] = 32
    n += 1
    i = 0
    while i < count:
        at = division[0, i]
        if at >= 0:
            out[n] = 32
            n = _copy(out, n + 1, words.data, words.starts[at], words.starts[at + 1])
            out[n] = 32
            n += 1
        else:
            start = to_int(romanisation.start[points[i]])
            n = _copy(out, n, romanisation.data, start, start + romanisation.size[points[i]])
        i += division[1, i]
        if i == surname:
            out[n] = 32
            n += 1
    out[n] = 32
    return n + 1


@inner
def _is_letter(point: int) -> bool:
    return 97 <= point <= 122 or 65 <= point <= 90 or 0x370 <= point <= 0x52F


@inner
def _is_mixed(data: U8, i: int, end: int) -> bool:
    """Whether a run of letters has Latin ones beside Greek or Cyrillic ones."""
    latin, other = False, False
    while i < end:
        point, i = _decode(data, i, end)
        if not _is_letter(point):
            break
        if point < 128:
            latin = True
        else:
            other = True
    return latin and other


@kernel
def _fold(
    text: Text,
    kind: int,
    romanisation: Romanisation,
    words: HanWords,
    out: U8,
    offsets: I64,
    points: I64,
    division: I64,
) -> int:
    """Fold all values into `out` and `offsets`; returns the bytes written."""
    data = text.data
    n = 0
    for v in range(len(text.offsets) - 1):
        i, end = text.offsets[v], text.offsets[v + 1]
        if end > i + MAX_BYTES:
            end = i + MAX_BYTES
        spaced, latin = kind != NAME, False
        for j in range(i, end):
            if data[j] == 32:
                spaced = True
            elif 65 <= data[j] <= 122:
                latin = True
        before = 32
        in_run, mixed = False, False
        while i < end:
            if data[i] < 128:
                point, after = to_int(data[i]), i + 1
            else:
                point, after = _decode(data, i, end)
            if not _is_letter(point):
                in_run = False
            elif not in_run:
                in_run, mixed = True, _is_mixed(data, i, end)
            if point < 128:
                if 65 <= point <= 90:
                    # «LuckyStore» in one piece is two words; «McDonald & Co» is left alone.
                    if not spaced and 97 <= before <= 122:
                        out[n] = 32
                        n += 1
                    out[n] = point + 32
                else:
                    out[n] = point
                n += 1
            elif in_run and mixed and point < 0x600 and romanisation.lookalike[point] != 0:
                out[n] = romanisation.lookalike[point]
                n += 1
            elif kind != PLAIN and _script(point) > 0:
                script = _script(point)
                count = 0
                after = i
                while after < end:
                    point, beyond = _decode(data, after, end)
                    if _script(point) != script:
                        break
                    points[count] = point
                    count += 1
                    after = beyond
                divided = spaced and not latin
                surname = _divide(points, count, kind, divided, words, division)
                n = _write_run(out, n, points, count, surname, division, romanisation, words)
            elif romanisation.size[point] == 0:
                # Invisible: as if it were not there.
                i = after
                continue
            else:
                start = to_int(romanisation.start[point])
                n = _copy(out, n, romanisation.data, start, start + romanisation.size[point])
            before = point
            i = after
        offsets[v + 1] = n
    return n


def fold_strings(values: Sequence[str], kind: int) -> list[str]:
    """A few strings folded; for tables and tests."""
    folded = fold(text_of(values), kind)
    raw = folded.data.tobytes()
    bounds: list[int] = folded.offsets.tolist()
    return [raw[a:b].decode() for a, b in pairwise(bounds)]
