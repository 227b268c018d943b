"""Names in any script, in Latin letters: evidence for matching, no `h1` writing."""

from __future__ import annotations

import re
from typing import Final

from acx.records.normalise.text import fold_text

_HAN_RUN: Final = re.compile(
    "[\u2e80-\u2fdf\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def latinise(text: str) -> str:
    """Write a name in Latin letters: Han as pinyin, a word a character, the rest by letter.

    Args:
        text: a name in any script; better in its `h1` writing.

    Returns:
        Folded ASCII words; empty if nothing of it can be written so.

    Source: GB/T 16159 (pinyin), by pypinyin; anyascii for all other scripts.
    """
    if text.isascii():
        return fold_text(text)
    from anyascii import anyascii

    return fold_text(anyascii(_HAN_RUN.sub(_pinyin, text)))


def _pinyin(run: re.Match[str]) -> str:
    from pypinyin import lazy_pinyin

    # ü as in Lü, which passports write as lyu and everybody else as lv or lu.
    return f" {' '.join(lazy_pinyin(run[0])).replace('ü', 'u').replace('v', 'u')} "
