"""One word in all its writings.

A value is read in several ways (decoded, by the shape of its letters, by their sound), and a word
is turned into an expression that finds it in any of these readings, with what people put between
and in place of letters. How far that goes depends on how telling the word is: three letters found
inside a longer word would be chance, and a word that many names have names nobody.
"""

from __future__ import annotations

import binascii
import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final
from urllib.parse import unquote

from anyascii import anyascii

from acx.records.normalise import latinise, skeleton
from acx.records.normalise.text import fold_text


def _resource(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


LEET: Final = {
    "a": "4@", "b": "8", "e": "3", "g": "69", "i": "1l!|", "l": "1i!|", "o": "0", "s": "5$",
    "t": "7+", "z": "2",
}  # fmt: skip
"""Signs that stand for a letter."""
PAIRS: Final = {"d": "cl", "m": "rn", "w": "vv"}
"""Two letters that look like one."""
COMPANY_FORMS: Final = frozenset(_resource("company_forms.txt").split())
COMMON: Final = COMPANY_FORMS | frozenset(_resource("common_words.txt").split())
"""Words of the trade, places, common names of people. Alone they say little about who speaks."""

MIN_SOUGHT: Final = 3
MIN_SPACED: Final = 4
MIN_INSIDE: Final = 6
MIN_INSIDE_AND_SPACED: Final = 8

_SYMBOLS: Final = "".join(sorted({c for signs in LEET.values() for c in signs if not c.isalnum()}))
_SYMBOLS_APART: Final = str.maketrans(dict.fromkeys(_SYMBOLS, " "))
_SEPARATOR: Final = rf"[^\w\n{re.escape(_SYMBOLS)}]|_"
_START: Final = r"(?<![^\W_])"
_END: Final = r"(?![^\W_])"
_MAX_FORM_WORDS: Final = 4
"""S. à r. l."""
_PUNYCODE: Final = re.compile(r"xn--([a-z0-9-]+)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"(?:\\u|%u|\\x|U\+)([0-9a-f]{4}|(?<=\\x)[0-9a-f]{2})", re.IGNORECASE)
_CODED: Final = re.compile(r"[%&\\\U000e0020-\U000e007e]|xn--|U\+", re.IGNORECASE)
_LAYERS: Final = 5
_MAX_TEXTS: Final = 32
_BASE64: Final = re.compile(r"(?=[A-Za-z+/_-]*\d|[A-Za-z0-9+/_-]*?[a-z][A-Z])[A-Za-z0-9+/_-]{6,}")
"""Words have no digits, and capitals only at the beginning or throughout."""
_BASE64_URL: Final = str.maketrans("-_", "+/")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}[\s:.,-]?){4,}", re.IGNORECASE)
_SAYS_SOMETHING: Final = re.compile(r"[A-Za-z0-9]{4}|[^\x00-\x1f\x7f-\x9f\ufffd]{6}")
"""Of what was never text, so much in a row is rarely to be read."""
_TAGS: Final = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
"""Invisible twins of ASCII (Unicode, 23.9)."""
# Of scripts in which nobody writes names on marketplaces; `normalise.skeleton` has the others.
_RARE_LOOKALIKES: Final = {
    ord(sign): letter
    for letter, *signs in map(str.split, _resource("rare_lookalikes.txt").splitlines())
    for sign in signs
}


def decoded(value: str) -> str:
    """A value without its layers of encoding: percent, HTML, escapes, Punycode, tags."""
    if _CODED.search(value) is None:
        return value
    for _ in range(_LAYERS):
        plain = unquote(html.unescape(_ESCAPED.sub(_unescape, value))).translate(_TAGS)
        plain = _PUNYCODE.sub(_unpuny, plain)
        if plain == value:
            break
        value = plain
    return value


def hidden(value: str) -> tuple[str, ...]:
    """Texts that are coded inside a value, in Base64 or hexadecimal, several layers deep."""
    found: dict[str, None] = {}
    unread = [decoded(value)]
    while unread and len(found) < _MAX_TEXTS:
        text = unread.pop()
        for inner in map(decoded, _coded_in(text)):
            if inner not in found:
                found[inner] = None
                unread.append(inner)
    return tuple(found)


@lru_cache(maxsize=4096)
def readings(value: str) -> str:
    """How a value may be read: in its own letters, by their shape, by their sound.

    All in lower case, a reading a line, so that one search goes through them all; each once with
    the signs that may stand for letters, once with these as gaps between words.
    """
    found: dict[str, None] = {}
    for text in dict.fromkeys((value, decoded(value), *hidden(value))):
        # A capital and its small letter may look like different Latin letters, as Greek
        # nu does.
        shapes = dict.fromkeys((_shape(text), _shape(text.lower())))
        for reading in (fold_text(text), *shapes, latinise(text)):
            line = reading.replace("\n", " ")
            found[line] = None
            found[line.translate(_SYMBOLS_APART)] = None
    return "\n".join(found)


@dataclass(frozen=True, slots=True)
class Sought:
    """A word to be found in any writing.

    Attributes:
        word: as the contributor gave it.
        expression: finds it in a reading; None if it is too short to be sought.
        common: whether it is a word that says something only where it is all there is.
        in_places: the same for addresses, where a name of six letters may be part of a river's.
        letters: what it is made of, folded.
        fewest: how many of these have to be there, and not a sign for them.
    """

    word: str
    expression: re.Pattern[str] | None
    letters: frozenset[str]
    fewest: int = 1
    in_places: re.Pattern[str] | None = None
    common: bool = False

    def found_in(self, field: str, value: str) -> bool:
        """Whether a field's value holds the word, in any writing."""
        expression = self.in_places if self.in_places and field == "address" else self.expression
        return expression is not None and any(
            self._is_meant(match[0]) for match in expression.finditer(readings(value))
        )

    def _is_meant(self, match: str) -> bool:
        # «8055» may be read as «boss», but then every number is a word.
        return sum(character in self.letters for character in match) >= self.fewest


def seek(word: str) -> Sought:
    """How to find a name or another word.

    Source: the lengths from which chance hits in ordinary names become rare
    (`benchmarks/records/leak.py`).
    """
    needles = list(_needles(word))
    if needles and all(len(words) == 1 and words[0] in COMMON for words in needles):
        alone = _either([_alone(words[0]) for words in needles])
        return Sought(word, alone, frozenset(needles[0][0]), common=True)
    expression, in_places = (
        _either([_part(words, inside) for words in needles]) or _either(_as_written(word))
        for inside in (MIN_INSIDE, MIN_INSIDE_AND_SPACED)
    )
    shortest = min((len("".join(words)) for words in needles), default=0)
    letters = frozenset("".join("".join(words) for words in needles))
    fewest = max(1, min(2, shortest), shortest // 3)
    return Sought(word, expression, letters, fewest, in_places)


def seek_person(name: str) -> Sought:
    """How to find a person's name: its words in either order, never inside longer words."""
    parts = []
    letters: set[str] = set()
    for words in _needles(name):
        letters.update("".join(words))
        if len("".join(words)) < MIN_SPACED:
            continue
        orders = [words] if len(words) == 1 else [words, words[1:] + words[:1], words[::-1]]
        parts += [f"{_START}{_spelt(order, spaced=True)}{_END}" for order in orders]
    return Sought(name, _either(parts), frozenset(letters))


def seek_exactly(identifier: str) -> Sought:
    """How to find an id: its letters and digits, with anything or nothing between them."""
    found = re.findall(r"[^\W_]", fold_text(identifier))
    if len(found) < MIN_SPACED:
        return Sought(identifier, None, frozenset())
    gap = rf"(?:{_SEPARATOR}|[{re.escape(_SYMBOLS)}]){{0,3}}"
    expression = re.compile(_START + gap.join(map(re.escape, found)) + _END)
    return Sought(identifier, expression, frozenset(found))


def seek_domain(domain: str) -> Sought:
    """How to find a domain, however its dots are written."""
    dot = r"\s*(?:\.|[\[({<]\s*(?:dot|\.)\s*[\])}>]|\s(?:dot|punkt|punto|point)\s)\s*"
    labels = [label for label in fold_text(decoded(domain)).strip(". ").split(".") if label]
    expression = re.compile(
        rf"(?<![^\W_])(?<!-){dot.join(map(re.escape, labels))}(?![^\W_]|-)" if labels else r"(?!)"
    )
    return Sought(domain, expression, frozenset("".join(labels)))


def _needles(word: str) -> Iterator[tuple[str, ...]]:
    """A word's own readings, as the words in them, without a company form at the end."""
    for reading in dict.fromkeys((fold_text(word), _shape(word), latinise(word))):
        words = re.findall(r"[^\W_]+", _bare(reading))
        if words:
            yield _without_form(tuple(words))


def _without_form(words: tuple[str, ...]) -> tuple[str, ...]:
    for count in range(min(_MAX_FORM_WORDS, len(words) - 1), 0, -1):
        if "".join(words[-count:]) in COMPANY_FORMS:
            return _without_form(words[:-count])
    return words


def _as_written(word: str) -> list[str]:
    """A name that only its signs tell from chance, such as H&M."""
    signs = [c for c in fold_text(word) if not c.isspace()]
    if len(signs) < MIN_SOUGHT or all(c.isalnum() for c in signs):
        return []
    return [_START + r"\s?".join(map(re.escape, signs)) + _END]


def _either(parts: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for all; None if there are none."""
    expressions = list(dict.fromkeys(filter(None, parts)))
    return re.compile("|".join(expressions), re.MULTILINE) if expressions else None


def _part(words: Sequence[str], min_inside: int) -> str:
    """The expression for a name's words; empty if they are too short or too general."""
    length = len("".join(words))
    common = all(word in COMMON for word in words)
    if not "".join(words).isascii():
        # Scripts without spaces have no word boundaries, and more to a character.
        exact = re.escape("".join(words))
        return exact if length >= MIN_SOUGHT else f"{_START}{exact}{_END}" if length > 1 else ""
    if length < MIN_SOUGHT:
        return ""
    if length < MIN_SPACED:
        return f"{_START}{_spelt(words, leet=False)}{_END}"
    whole = f"{_START}{_spelt(words, spaced=True)}{_END}"
    if length < MIN_INSIDE or common:
        return whole
    backwards = f"{_START}{_spelt([''.join(words)[::-1]], spaced=True)}{_END}"
    if length < min_inside:
        return f"{whole}|{backwards}"
    if length < MIN_INSIDE_AND_SPACED:
        return f"{whole}|{_spelt(words)}|{backwards}"
    return f"{_spelt(words, spaced=True)}|{_spelt([''.join(words)[::-1]], spaced=True)}"


def _alone(word: str) -> str:
    """The expression for a common word that is a whole value, but for where it is a handle."""
    gaps = f"(?:{_SEPARATOR})"
    forms = "|".join(f"{gaps}*".join(form) for form in sorted(COMPANY_FORMS))
    form = f"{gaps}+(?:{forms})"
    return f"^{gaps}*(?:[a-z]+:)?{_spelt([word], spaced=True)}(?:{form})*{gaps}*$"


def _spelt(words: Sequence[str], *, spaced: bool = False, leet: bool = True) -> str:
    gap = f"(?:{_SEPARATOR}){{0,3}}" if spaced else ""
    return gap.join(_letter(letter) if leet else re.escape(letter) for letter in "".join(words))


def _letter(letter: str) -> str:
    signs = f"[{re.escape(letter + LEET.get(letter, ''))}]"
    if letter in PAIRS:
        signs = f"(?:{signs}|{PAIRS[letter]})"
    return f"{signs}{{1,3}}"


def _shape(text: str) -> str:
    """By the Latin letters that its letters look like, else by those that sound like them."""
    return anyascii(_bare(skeleton(text.translate(_RARE_LOOKALIKES)))).lower()


def _bare(text: str) -> str:
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def _coded_in(text: str) -> Iterator[str]:
    """What parts of a text spell in Base64 or hexadecimal, wherever in them it begins."""
    for match in _BASE64.finditer(text):
        coded = match[0].translate(_BASE64_URL)
        for start in range(4):
            part = coded[start:]
            # One character more than whole groups has no bits of a byte.
            part = part[: len(part) - (len(part) % 4 == 1)]
            yield from _said(binascii.a2b_base64(part + "=" * (-len(part) % 4)))
    for match in _HEX.finditer(text):
        digits = "".join(re.findall("[0-9a-fA-F]", match[0]))
        for start in range(2):
            part = digits[start:]
            yield from _said(bytes.fromhex(part[: len(part) // 2 * 2]))


def _said(data: bytes) -> Iterator[str]:
    # UTF-16 writes Latin letters with a zero byte each.
    text = data.replace(b"\0", b"").decode(errors="replace")
    if _SAYS_SOMETHING.search(text):
        yield text


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return match[0] if "\ud800" <= character <= "\udfff" else character


def _unpuny(match: re.Match[str]) -> str:
    try:
        return match[1].encode().decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return match[0]
