"""A name as somebody would write it who wants people to read it and machines not to.

And how a person would read it, which is written apart from the lint so that it can judge it.
"""

# ruff: noqa: RUF001 -- letters that look like others are what is tested

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import strategies as st

LEET = str.maketrans("aeiost", "431057")
LOOKALIKES = {
    "a": "аα", "c": "сϲ", "e": "еҽ", "h": "һհ", "i": "іι", "j": "јϳ", "k": "кκ", "l": "ӏⅼ",
    "m": "мＭ", "n": "ո𝐧", "o": "оο", "p": "рρ", "r": "ᴦ𝚛", "s": "ѕꜱ", "t": "тτ", "u": "υս",
    "v": "ѵν", "w": "ԝѡ", "x": "хⅹ", "y": "уү", "b": "Ьᖯ", "d": "ԁⅾ", "f": "ꞙ𝒇", "g": "ɡց",
    "q": "ԛ𝗊", "z": "ᴢ𝚣",
}  # fmt: skip
GAPS = st.sampled_from([" ", "-", ".", "_", " . ", "·", "\u200b", "\u00ad", "/", "~", "\u2060"])
CODINGS: dict[str, Callable[[str], str]] = {
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "quoted": lambda text: quote(text, safe=""),
    "html": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "escaped": lambda text: "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "tags": lambda text: (
        "ok" + "".join(chr(0xE0000 + ord(c)) for c in text) if text.isascii() else text
    ),
}
MAX_CHARACTERS = 512


@st.composite
def writings(draw: st.DrawFn, name: str, *, inside: bool = True, coded: bool = True) -> str:
    """The name, disguised and then coded, in up to two layers.

    Args:
        draw: Hypothesis's.
        name: lower-case Latin letters.
        inside: whether it may be a part of a longer word.
        coded: whether it may be coded.
    """
    letters = list(name)
    kind = draw(st.sampled_from(["plain", "leet", "lookalike", "styled", "accented"]))
    if kind == "leet":
        at_most = max(0, len(letters) - max(2, len(letters) // 3) - 1)
        for place in draw(
            st.lists(st.integers(0, len(letters) - 1), max_size=at_most, unique=True)
        ):
            letters[place] = letters[place].translate(LEET)
    elif kind == "lookalike":
        letters = [
            draw(st.sampled_from(LOOKALIKES[letter])) if draw(st.booleans()) else letter
            for letter in letters
        ]
    elif kind == "styled":
        first = draw(st.sampled_from([0xFF21, 0x1D5D4, 0x1D670, 0x24B6]))
        letters = [chr(first + ord(letter) - ord("a")) for letter in letters]
    elif kind == "accented":
        letters = [
            letter + draw(st.sampled_from(["", "\u0301", "\u0308", "\u0336"])) for letter in letters
        ]
    if draw(st.booleans()):
        letters = [x.upper() if x.isascii() and draw(st.booleans()) else x for x in letters]
    if len(name) >= 6 and kind == "plain" and draw(st.integers(0, 7)) == 0:
        letters = letters[::-1]
        inside = inside and len(name) >= 8
    text = draw(st.just("") | GAPS).join(letters)
    before, after = draw(
        st.sampled_from([("", ""), ("best ", " deals"), ("(", ")"), *[("zz", "qq")] * inside])
    )
    if draw(st.booleans()):
        text = before + text + after
    if coded:
        for coding in draw(st.lists(st.sampled_from(sorted(CODINGS)), max_size=2)):
            again = CODINGS[coding](text)
            text = again if len(again) <= MAX_CHARACTERS else text
    return text[:MAX_CHARACTERS]


def strings(tree: Any) -> Iterator[str]:
    """Every string of a JSON tree, names of members too."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from (key, *strings(value))
    elif isinstance(tree, list):
        for value in tree:
            yield from strings(value)
    elif isinstance(tree, str):
        yield tree


def reads(text: str, name: str, depth: int = 3) -> bool:
    """Whether somebody who knows these disguises reads the name in a text."""
    letters = _letters(text)
    if name in letters or name in letters[::-1]:
        return True
    return depth > 0 and any(reads(inner, name, depth - 1) for inner in set(_inner(text)) - {text})


_UNDO = str.maketrans(
    {sign: letter for letter, signs in LOOKALIKES.items() for sign in signs}
    | dict(zip("431057", "aeiost", strict=True))
)


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_UNDO)).casefold()
    return "".join(c for c in plain.translate(_UNDO) if c.isascii() and c.isalnum())


def _inner(text: str) -> Iterator[str]:
    yield unquote(text)
    yield html.unescape(text)
    yield re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)
    yield "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0000 < ord(c) < 0xE007F)
    for token in re.findall(r"[A-Za-z0-9+/_-]{8,}", text):
        for start in range(4):
            part = token[start:]
            try:
                raw = base64.urlsafe_b64decode(
                    part.replace("+", "-").replace("/", "_") + "=" * (-len(part) % 4)
                )
            except binascii.Error:
                continue
            yield raw.decode(errors="replace")
    for token in re.findall(r"[0-9a-f]{8,}", text):
        for start in range(2):
            part = token[start:]
            yield bytes.fromhex(part[: len(part) // 2 * 2]).decode(errors="replace")
