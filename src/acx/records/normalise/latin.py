"""Names in any script, in Latin letters: evidence for matching, no `h1` writing."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from acx.records.normalise.text import fold_text

_HAN_RUN: Final = re.compile(
    "[\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_LONGEST_PERSONAL_NAME: Final = 4
_SURNAMES: Final = {
    "乐": "yue", "仇": "qiu", "冼": "xian", "区": "ou", "单": "shan", "召": "shao", "员": "yun",
    "尉": "wei", "应": "ying", "折": "she", "曾": "zeng", "朴": "piao", "查": "zha", "洗": "xian",
    "盖": "ge", "种": "chong", "祭": "zhai", "秘": "bi", "繁": "po", "缪": "miao", "翟": "zhai",
    "能": "nai", "葛": "ge", "覃": "qin", "解": "xie", "逄": "pang", "那": "na", "重": "chong",
    "隗": "wei", "黑": "he", "單": "shan", "區": "ou", "應": "ying", "員": "yun", "蓋": "ge",
    "種": "chong", "繆": "miao", "樂": "yue",
}  # fmt: skip
"""Characters that are read otherwise as a surname than in most words."""


def latinise(text: str) -> str:
    """Write a name in Latin letters: Han as pinyin, a word a character, the rest by letter.

    Args:
        text: a name in any script; better in its `h1` writing.

    Returns:
        Folded ASCII words; empty if nothing of it can be written so.

    Source: GB/T 16159 and GB/T 28039 (pinyin, of names), by pypinyin; anyascii for other scripts.
    """
    if text.isascii():
        return fold_text(text)
    from anyascii import anyascii

    return fold_text(anyascii(_HAN_RUN.sub(_pinyin, text)))


def _pinyin(run: re.Match[str]) -> str:
    from pypinyin.contrib.mmseg import seg

    words = list(seg.cut(run[0]))
    syllables = [syllable for word in words for syllable in _syllables(word)]
    if words[0] in _SURNAMES and 1 < len(run[0]) <= _LONGEST_PERSONAL_NAME:
        syllables[0] = _SURNAMES[words[0]]
    return f" {' '.join(syllables)} "


@lru_cache(maxsize=100_000)
def _syllables(word: str) -> tuple[str, ...]:
    from pypinyin import lazy_pinyin

    # Ü, as in the surname Lü, is v to pypinyin, yu in passports and u to most who write it.
    return tuple(syllable.replace("v", "u") for syllable in lazy_pinyin(word))
