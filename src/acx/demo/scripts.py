"""The same name in another writing: other romanisations, and scripts of its own.

These are what real people do by ear and by keyboard, not standards: the come-backs' names must vary
as in life. Words that the lists know come out as their own culture writes them (`李`, `محمد`); the
rest goes letter by letter.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Final

from anyascii import anyascii
from pypinyin import lazy_pinyin

from acx.demo.words import alphabet, cultures, spellings

CYRILLIC: Final = frozenset(
    {"RU", "UA", "BY", "KZ", "KG", "UZ", "TJ", "BG", "RS", "MK", "ME", "MD"}
)
ARABIC: Final = frozenset(
    {"AE", "AF", "BH", "DZ", "EG", "IQ", "IR", "JO", "KW", "LB", "LY", "MA", "MR", "OM", "PK"}
    | {"PS", "QA", "SA", "SD", "SO", "SY", "TN", "YE"}
)
HAN: Final = frozenset({"CN", "HK", "TW", "MO", "SG"})
HANGUL: Final = frozenset({"KR", "KP"})
GREEK: Final = frozenset({"GR", "CY"})


def respelled(name: str, country: str, rng: random.Random) -> str | None:
    """Romanise a Latin name another way, or None where nothing in it has another spelling."""
    words = name.split(" ")
    places = list(range(len(words)))
    rng.shuffle(places)
    changed = 0
    for place in places:
        other = _respelled_word(words[place], country, rng)
        if other is not None and other != words[place]:
            words[place] = other
            changed += 1
        if changed == 2:
            break
    return " ".join(words) if changed else None


def in_native_script(
    name: str, country: str, rng: random.Random, *, person: bool = True
) -> str | None:
    """Write a Latin name in the script of a country, or None where that has no answer."""
    if not name.isascii():
        return None
    if country in ARABIC and not person:
        # Companies translate their names where a person spells his.
        return None
    if country in HAN:
        return _in_han(name, rng)
    for countries, letters, key in _ALPHABETS:
        if country in countries:
            known = _known_words(key)
            words = re.findall(r"[A-Za-z']+|[^A-Za-z']+", name)
            return "".join(
                known.get(word.lower())
                or _spelled(word, alphabet(letters), vowels=letters != "arabic")
                if word[0].isalpha()
                else word
                for word in words
            )
    if country in HANGUL:
        return _in_hangul(name)
    return None


def in_latin(name: str) -> str | None:
    """Romanise a name, Chinese by pinyin, anything else letter by letter."""
    if re.search("[A-Za-z]", name):
        # Latin already, but for marks or letters that only look it.
        return None
    if re.search(r"[\u4e00-\u9fff]", name):
        syllables = lazy_pinyin(name)
        if re.fullmatch(r"[\u4e00-\u9fff]{2,4}", name):
            return f"{syllables[0].title()} {''.join(syllables[1:]).title()}"
        return " ".join(syllables).title()
    if re.search(r"[\u0600-\u06ff]", name):
        # Arabic writes few vowels: only words that the lists know can be read aloud.
        words = [_read_arabic().get(word) for word in name.split()]
        return " ".join(word for word in words if word) if all(words) else None
    latin = anyascii(name).title()
    return latin if latin != name else None


def _respelled_word(word: str, country: str, rng: random.Random) -> str | None:
    bare = re.sub(r"[^a-z]", "", word.lower())
    others = [other for other in spellings().get(bare, ()) if other != bare]
    if others:
        return _cased_as(word, word.lower().replace(bare, rng.choice(others)))
    rules = _WADE_GILES if country in HAN else _LETTERS
    fitting = [(old, new) for old, new in rules if re.search(old, word.lower())]
    if not fitting or len(bare) < 3:
        return None
    old, new = rng.choice(fitting)
    return _cased_as(word, re.sub(old, new, word.lower(), count=1))


_LETTERS: Final = (
    ("ou", "u"), ("oo", "u"), ("ee", "i"), ("iy$", "y"), ("y$", "iy"), ("ei$", "ey"),
    ("ey$", "ei"), ("q", "k"), ("kh", "h"), ("dh", "d"), ("aa", "a"), ("ph", "f"), ("x", "ks"),
    ("w", "v"), ("v(?=[aeiou])", "w"), ("sky$", "skiy"), ("skiy$", "ski"), ("ss", "s"),
    ("(?<=[aeiou])s(?=[aeiou])", "ss"), ("ye", "e"), ("^e(?=[vl])", "ye"), ("ya", "ia"),
    ("ia$", "iya"), ("yu", "iu"), ("ch", "tch"), ("zh", "j"), ("ts", "tz"), ("gh", "g"),
    ("i(?=[bdlmnrst])", "ee"), ("u(?=[bdlmnrst])", "ou"), ("ah$", "a"), ("a$", "ah"),
    ("c(?=[aou])", "k"), ("z$", "s"), ("z(?=[aeiou])", "s"), ("j(?=[aeiou])", "dj"),
)  # fmt: skip
_WADE_GILES: Final = (
    ("^zh", "ch"), ("^x", "hs"), ("^q", "ch"), ("^j", "ch"), ("^z(?!h)", "ts"), ("^c(?!h)", "ts"),
    ("^b", "p"), ("^d", "t"), ("^g", "k"), ("^r", "j"), ("ong$", "ung"), ("ian", "ien"),
)  # fmt: skip


def _cased_as(word: str, other: str) -> str:
    if word.isupper():
        return other.upper()
    return other.title() if word[:1].isupper() else other


_ALPHABETS: Final = (
    (CYRILLIC, "cyrillic", "russian"),
    (ARABIC, "arabic", "arabic"),
    (GREEK, "greek", "greek"),
)


def _spelled(word: str, letters: Mapping[str, str], *, vowels: bool) -> str:
    """A word letter by letter; where vowels are not written, the first and the last are."""
    rest, written = word.lower().replace("'", ""), ""
    if not vowels:
        rest = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", rest)
        rest = re.sub(r"(?<=[^aeiou])[aeiou](?=[^aeiou]+[aeiou])", "", rest)
    while rest:
        size = next((size for size in (4, 2, 1) if rest[:size] in letters), 1)
        written += letters.get(rest[:size], rest[:size])
        rest = rest[size:]
    return written.title() if word[:1].isupper() else written


@cache
def _known_words(key: str) -> Mapping[str, str]:
    """Latin ► native for the words of a culture, and for every spelling of each."""
    known: dict[str, str] = {}
    for culture in cultures():
        if culture.key != key:
            continue
        for name in ("given", "families", "middles", "brands", "trades", "cities"):
            if name in culture.words:
                words = culture.words[name]
                for latin, native in zip(words.latin, words.native, strict=True):
                    for spelling in (latin.lower(), *spellings().get(latin.lower(), ())):
                        known.setdefault(spelling, native)
    return known


@cache
def _read_arabic() -> Mapping[str, str]:
    (arabic,) = (culture for culture in cultures() if culture.key == "arabic")
    known = dict(alphabet("read_arabic"))
    for name in ("families", "given", "middles"):
        words = arabic.words[name]
        for native, latin in zip(words.native, words.latin, strict=True):
            known.setdefault(native, latin)
            # Many writers leave the hamza away.
            known.setdefault(re.sub("[\u0623\u0625]", "\u0627", native), latin)
    return known


def _in_han(name: str, rng: random.Random) -> str | None:
    """Write pinyin in characters: common ones of that sound, family name first."""
    known = _known_words("chinese")
    family, comma, given = name.partition(", ")
    words = re.findall(r"[A-Za-z']+", f"{family} {given}" if comma else name)
    written = ""
    for word in words:
        whole = known.get(word.lower()) if len(word) > 3 else None
        syllables = None if whole else _syllables(word.lower().replace("'", ""))
        if whole:
            written += whole
        elif syllables:
            written += "".join(_character(syllable, rng) for syllable in syllables)
        elif word.lower() not in {"co", "ltd", "limited", "company", "inc"}:
            return None
    if re.search(r"\b(co|ltd|limited|company|inc)\b", name.lower()) and written:
        written += "有限公司"
    return written if len(written) >= 2 else None


def _syllables(word: str) -> list[str] | None:
    if not word:
        return []
    for size in range(min(6, len(word)), 0, -1):
        if word[:size] in _common_characters():
            rest = _syllables(word[size:])
            if rest is not None:
                return [word[:size], *rest]
    return None


def _character(syllable: str, rng: random.Random) -> str:
    return rng.choice(_common_characters()[syllable][:3])


@cache
def _common_characters() -> Mapping[str, list[str]]:
    """Characters by toneless pinyin: those of our name lists first, then GB 2312's first level."""
    (chinese,) = (culture for culture in cultures() if culture.key == "chinese")
    first = [*chinese.words["families"].native, *chinese.words["given"].native]
    level_one = bytes(
        byte for row in range(0xB0, 0xD8) for col in range(0xA1, 0xFF) for byte in (row, col)
    )
    found: dict[str, list[str]] = defaultdict(list)
    for character in [*first, *level_one.decode("gb2312", "ignore")]:
        if len(character) == 1:
            (syllable,) = lazy_pinyin(character)
            if character not in found[syllable] and syllable.isascii():
                found[syllable].append(character)
    return dict(found)


_ONSETS: Final = (
    "g", "kk", "n", "d", "tt", "r", "m", "b", "pp", "s", "ss", "-", "j", "jj", "ch", "k", "t",
    "p", "h",
)  # fmt: skip
_VOWELS: Final = (
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we",
    "wi", "yu", "eu", "ui", "i",
)  # fmt: skip
_CODAS: Final = {
    "": 0,
    "k": 1,
    "g": 1,
    "n": 4,
    "t": 7,
    "l": 8,
    "r": 8,
    "m": 16,
    "p": 17,
    "b": 17,
    "ng": 21,
}


def _in_hangul(name: str) -> str | None:
    family, comma, given = name.partition(", ")
    words = re.findall(r"[A-Za-z]+", f"{family} {given}" if comma else name)
    known = alphabet("hangul")
    blocks = [known.get(word.lower()) or _hangul_block(word.lower()) for word in words]
    return "".join(block for block in blocks if block) if all(blocks) and len(blocks) < 5 else None


def _hangul_block(syllable: str) -> str | None:
    """Compose one romanised syllable (Unicode, section 3.12)."""
    for onset in sorted(_ONSETS, key=len, reverse=True):
        lead = "" if onset == "-" else onset
        if not syllable.startswith(lead):
            continue
        for vowel in sorted(_VOWELS, key=len, reverse=True):
            rest = syllable[len(lead) :]
            if rest.startswith(vowel) and rest[len(vowel) :] in _CODAS:
                place = (_ONSETS.index(onset) * 21 + _VOWELS.index(vowel)) * 28
                return chr(0xAC00 + place + _CODAS[rest[len(vowel) :]])
    return None
