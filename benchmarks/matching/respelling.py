"""Other writings of names for the holdout, by libraries and rules that acx itself does not use."""

# ruff: noqa: RUF001 -- Greek letters are the table's subject

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from typing import Final

import cyrtranslit
import iuliia
from anyascii import anyascii
from hangul_romanize import Transliter
from hangul_romanize.rule import academic
from pypinyin import Style, lazy_pinyin
from ToJyutping import get_jyutping_list

_SCHEMAS: Final = ("bgn_pcgn", "ala_lc", "gost_52290", "icao_doc_9303", "wikipedia", "telegram",
                   "scientific", "yandex_maps", "bs_2979", "gost_16876")  # fmt: skip
_TYPEWRITER: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

_HONG_KONG_STARTS: Final = {
    "gw": "kw", "kw": "kw", "ng": "ng", "b": "p", "p": "p", "d": "t", "t": "t", "g": "k", "k": "k",
    "z": "ch", "c": "ch", "j": "y",
}  # fmt: skip
_HONG_KONG_ENDS: Final = {
    "oeng": "eung", "oek": "euk", "eoi": "ui", "eon": "un", "eot": "ut", "yun": "uen", "yut": "uet",
    "yu": "u", "aai": "ai", "aau": "au", "aam": "am", "aan": "an", "aang": "ang", "aap": "ap",
    "aat": "at", "aak": "ak", "aa": "a", "ou": "o", "ing": "ing", "iu": "iu", "au": "au",
}  # fmt: skip
_KOREAN_FAMILIES: Final = {
    "gim": "kim", "i": "lee", "bak": "park", "choe": "choi", "jeong": "jung", "jo": "cho",
    "yun": "yoon", "im": "lim", "o": "oh", "sin": "shin", "gwon": "kwon", "yu": "yoo", "an": "ahn",
    "gang": "kang", "no": "roh", "mun": "moon", "seo": "suh", "heo": "huh",
}  # fmt: skip
_GREEK: Final = (
    ("ου", "ou"), ("αυ", "av"), ("ευ", "ef"), ("μπ", "b"), ("ντ", "d"), ("γκ", "g"), ("γγ", "ng"),
    ("θ", "th"), ("χ", "ch"), ("ψ", "ps"), ("ξ", "x"), ("φ", "ph"), ("η", "e"), ("υ", "y"),
    ("ω", "o"), ("β", "v"), ("γ", "g"), ("δ", "d"), ("ζ", "z"), ("κ", "k"), ("λ", "l"), ("μ", "m"),
    ("ν", "n"), ("π", "p"), ("ρ", "r"), ("σ", "s"), ("ς", "s"), ("τ", "t"), ("α", "a"), ("ε", "e"),
    ("ι", "i"), ("ο", "o"),
)  # fmt: skip
_LATIN_ARABIC: Final = (
    ("mohammed", "muhammad"), ("muhammad", "mohamad"), ("mohammad", "mohamed"), ("al-", "el-"),
    ("abdul ", "abd al-"), ("abd al-", "abdel "), ("ou", "u"), ("oo", "u"), ("ee", "i"), ("q", "k"),
    ("ah ", "a "), ("aa", "a"), ("dh", "d"), ("iy", "i"), ("ss", "s"), ("ai", "ei"), ("u", "o"),
    ("husayn", "hussein"), ("hassan", "hasan"), ("yusuf", "youssef"), ("'", ""), ("j", "dj"),
)  # fmt: skip


def script_of(name: str) -> str:
    """The first script that a name is in: `han`, `kana`, `hangul`, `cyrillic`, … or `latin`."""
    for letter in name:
        point = ord(letter)
        for script, first, last in (
            ("kana", 0x3040, 0x30FF), ("han", 0x3400, 0x9FFF), ("hangul", 0xAC00, 0xD7A3),
            ("cyrillic", 0x400, 0x52F), ("greek", 0x370, 0x3FF), ("arabic", 0x600, 0x6FF),
            ("hebrew", 0x590, 0x5FF), ("thai", 0xE00, 0xE7F), ("other", 0x900, 0x10FF),
        ):  # fmt: skip
            if first <= point <= last:
                return script
    return "latin"


def latin(name: str, rng: random.Random) -> str:
    """A name of another script as its bearer might write it in Latin letters."""
    write = _LATIN.get(script_of(name))
    return (write(name, rng) if write else str(anyascii(name))).strip()


def respelled(name: str, rng: random.Random) -> str:
    """A Latin name in another romanisation, where a rule for that applies."""
    rules = list(_LATIN_ARABIC)
    rng.shuffle(rules)
    done = 0
    other = name.lower()
    for old, new in rules:
        if old in other and done < 2:
            other = other.replace(old, new, 1)
            done += 1
    return other.upper() if name.isupper() else other.title()


def cyrillic(name: str, country: str) -> str | None:
    """A Latin name of a country that writes Cyrillic in its letters."""
    code = {"RU": "ru", "BY": "by", "UA": "ua", "BG": "bg", "RS": "sr", "MK": "mk"}.get(country)
    if code is None or not name.isascii():
        return None
    return str(cyrtranslit.to_cyrillic(name.title(), code))


def typed(name: str, rng: random.Random) -> str | None:
    """One slip of the fingers: a letter more or less, another one, two swapped."""
    places = [at for at, letter in enumerate(name) if letter.isalpha() and letter.isascii()]
    if len(places) < 5:
        return None
    at = rng.choice(places[1:])
    slip = rng.randrange(4)
    if slip == 0:
        return name[:at] + name[at + 1 :]
    if slip == 1:
        return name[:at] + rng.choice("aeioustrnl") + name[at:]
    if slip == 2 and at + 1 < len(name) and name[at + 1].isalpha():
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    (row,) = [row for row in _TYPEWRITER if name[at].lower() in row]
    place = row.index(name[at].lower())
    return name[:at] + row[place - 1 if place else 1] + name[at + 1 :]


def _of_han(name: str, rng: random.Random) -> str:
    if len(name) > 4:
        return " ".join(lazy_pinyin(name)).title()
    if rng.random() < 0.15:
        written = [_hong_kong(sound) for _, sound in get_jyutping_list(name) if sound]
    else:
        style = rng.choice((Style.NORMAL, Style.NORMAL, Style.TONE, Style.WADEGILES))
        written = [re.sub(r"\d", "", each) for each in lazy_pinyin(name, style=style)]
    family, *given = written
    joined = rng.choice((" ", "", "-")).join(given)
    return " ".join((family, joined) if rng.random() < 0.6 else (joined, family)).title()


def _hong_kong(jyutping: str) -> str:
    sound = jyutping.rstrip("0123456789")
    for start, written in _HONG_KONG_STARTS.items():
        if sound.startswith(start) and len(sound) > len(start):
            rest = sound[len(start) :]
            return written + _HONG_KONG_ENDS.get(rest, rest)
    return sound[:1] + _HONG_KONG_ENDS.get(sound[1:], sound[1:])


def _of_cyrillic(name: str, rng: random.Random) -> str:
    return str(iuliia.schemas.get(rng.choice(_SCHEMAS)).translate(name))


def _of_hangul(name: str, rng: random.Random) -> str:
    if len(name) > 4 or " " in name:
        return str(_korean().translit(name)).title()
    family, *given = [str(_korean().translit(letter)) for letter in name]
    if rng.random() < 0.7:
        family = _KOREAN_FAMILIES.get(family, family)
    joined = rng.choice(("", "-", " ")).join(given)
    return " ".join((family, joined) if rng.random() < 0.5 else (joined, family)).title()


@cache
def _korean() -> Transliter:
    return Transliter(academic)


def _of_greek(name: str, _rng: random.Random) -> str:
    written = anyascii_marks(name.lower())
    for old, new in _GREEK:
        written = written.replace(old, new)
    return written.title()


def anyascii_marks(name: str) -> str:
    """Greek letters without their accents."""
    return name.translate(str.maketrans("άέήίόύώϊϋΐΰ", "αεηιουωιυιυ"))


_LATIN: Final[dict[str, Callable[[str, random.Random], str]]] = {
    "han": _of_han,
    "cyrillic": _of_cyrillic,
    "hangul": _of_hangul,
    "greek": _of_greek,
}
