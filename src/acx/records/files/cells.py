r"""How several values stand in one cell, and how a cell is kept from being run as a formula.

**Joining.** Values are joined by `|`; a `|` inside a value is written `\|`. Backslashes are
themselves, except in a run that touches a `|`, where each is doubled: this keeps paths readable
and every value exact.

**Guard.** A spreadsheet runs a cell that starts with `=`, `+`, `-`, `@`, tab or carriage return.
Such a cell is written with a `'` before it, and so is one in which only `'` stand before such a
character; reading takes one `'` from a cell that starts with `'` and then such a character,
further `'` between them allowed. The two are each other's inverse, so `+49 30 …` survives, and
so does a value that really starts with `'=`.

Source: OWASP, «CSV Injection».
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from numpy.typing import NDArray

JOINER: Final = "|"

_INVISIBLE_RANGES: Final = (
    (0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0xAD, 0xAD), (0x0600, 0x0605),
    (0x061C, 0x061C), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2),
    (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x2064),
    (0x2066, 0x206F), (0x3000, 0x3000), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0x110BD, 0x110BD),
    (0x110CD, 0x110CD), (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
    (0xE0001, 0xE0001), (0xE0020, 0xE007F),
)  # fmt: skip
INVISIBLE: Final = "".join(
    chr(code) for first, last in _INVISIBLE_RANGES for code in range(first, last + 1)
)
"""White space, zero-width and direction marks: a value of nothing else is no value.

Source: Unicode, White_Space and general category Cf.
"""

_GUARDED: Final = r"^'+[=+\-@\t\r]"
_TO_GUARD: Final = r"^'*[=+\-@\t\r]"


def guard(cells: pl.Series) -> pl.Series:
    """Keep a spreadsheet from running cells as formulas."""
    return cells.str.replace(f"({_TO_GUARD})", "'${1}")


def unguard(cells: pl.Series) -> pl.Series:
    """Take the guard off."""
    if not cells.str.starts_with("'").any():
        return cells
    return cells.zip_with(~cells.str.contains(_GUARDED), cells.str.slice(1))


def is_blank(values: pl.Series) -> pl.Series:
    """Whether a reader would see nothing."""
    blank = values == ""
    # Few values start with anything but a visible ASCII character: only those need a look.
    doubtful = ((values < "!") | (values > "~")) & ~blank
    if doubtful.any():
        places = doubtful.arg_true()
        blank = blank.scatter(places, values.gather(places).str.strip_chars(INVISIBLE) == "")
    return blank


def join(lists: pl.Series, joiner: str = JOINER) -> pl.Series:
    """Write each list of values as one cell."""
    length = lists.list.len().fill_null(0).to_numpy()
    values = lists.filter(pl.Series(length > 0)).explode()
    escaped = _escape(values, np.cumsum(length)[length > 0] - 1, joiner)
    return as_lists(escaped, length).list.join(joiner)


def split(cells: pl.Series, joiner: str = JOINER) -> pl.Series:
    r"""Read each cell as a list of values; a blank one is none.

    A joiner other than `|` comes from a mapping file and has no escape; values are then trimmed,
    because hands that write `a; b` mean two values.
    """
    if not cells.str.contains(joiner, literal=True).any():
        return drop_blanks(cells, np.ones(len(cells), dtype=np.int64))
    if joiner == JOINER:
        escaped = cells.str.contains(r"\|", literal=True)
        if escaped.any():
            # No text file, workbook or JSON string that is accepted holds a NUL.
            joiner = "\0"
            places = escaped.arg_true()
            cells = cells.str.replace_all(JOINER, joiner, literal=True).scatter(
                places, [joiner.join(_split_escaped(cell)) for cell in cells.gather(places)]
            )
        parts = cells.str.split(joiner)
        values = parts.explode()
    else:
        parts = cells.str.split(joiner)
        values = parts.explode().str.strip_chars()
    return drop_blanks(values, parts.list.len().to_numpy())


def drop_blanks(values: pl.Series, length: NDArray[np.integer]) -> pl.Series:
    """Lists of the given lengths over the values, without those that are blank or null.

    Args:
        values: the values of all lists, one after the other.
        length: how many belong to each list.
    """
    kept = (~is_blank(values.fill_null(""))).to_numpy()
    if kept.all():
        return as_lists(values, length)
    owner = np.repeat(np.arange(len(length)), length)
    return as_lists(values.filter(pl.Series(kept)), np.bincount(owner[kept], minlength=len(length)))


def as_lists(values: pl.Series, length: NDArray[np.integer]) -> pl.Series:
    """Lists of the given lengths over the values."""
    offsets = np.zeros(len(length) + 1, dtype=np.int64)
    np.cumsum(length, out=offsets[1:])
    flat = values.cast(pl.String).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), flat.cast(pa.large_string()))
    series = pl.from_arrow(lists)
    assert isinstance(series, pl.Series)  # noqa: S101 -- an array is never a frame
    return series.alias(values.name)


def _escape(values: pl.Series, last: NDArray[np.integer], joiner: str) -> pl.Series:
    touched = values.str.contains(f"[{re.escape(joiner)}\\\\]").fill_null(value=False)
    if not touched.any():
        return values
    escaped = values.str.replace_all(rf"(\\*){re.escape(joiner)}", rf"${{1}}${{1}}\{joiner}")
    inner = np.ones(len(values), dtype=bool)
    inner[last] = False
    doubled = escaped.str.replace(r"(\\+)$", "${1}${1}")
    return doubled.zip_with(pl.Series(inner), escaped)


def _split_escaped(cell: str) -> list[str]:
    values = [""]
    for run, joiner, other in re.findall(r"(\\+)(\|)|(\\+|[^\\|]+|\|)", cell):
        if joiner:
            values[-1] += run[: len(run) // 2]
            if len(run) % 2:
                values[-1] += JOINER
            else:
                values.append("")
        elif other == JOINER:
            values.append("")
        else:
            values[-1] += other
    return values
