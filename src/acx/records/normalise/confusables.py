"""Letters that look alike in different scripts: evidence for matching, no `h1` writing."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

from acx.records.normalise.text import fold_text


def skeleton(text: str) -> str:
    """Replace letters by the Latin letters they look like; texts that look alike become equal.

    Give it the text as written, not folded: a capital Greek nu looks like N, a small one like v.

    Returns:
        Folded text; compare it with other skeletons only.

    Source: UTS #39, section 4, for the letters that imitate Latin ones.
    """
    if text.isascii():
        return fold_text(text)
    # Once as written and once folded, for letters that look Latin in small writing only.
    return _imitated(_imitated(text))


def _imitated(text: str) -> str:
    return fold_text(unicodedata.normalize("NFD", text).translate(_table()))


@cache
def _table() -> dict[int, str]:
    rows = (files(__package__) / "confusables.tsv").read_text(encoding="utf-8").splitlines()
    parts = (row.split("\t") for row in rows)
    return {int(sign.removeprefix("U+"), 16): latin for latin, sign, _name in parts}
