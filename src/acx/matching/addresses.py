"""Addresses: what of them agrees, part by part, in whatever order they were written.

An address is read as words, house numbers, units (rooms, floors) and postcodes; words that say
nothing of where («street», «district») are left out. `same`: number, words and unit; `building`:
number and street; `street`: words, no number against; `postcode`; `place`: a town or a district.
"""

from __future__ import annotations

from functools import cache
from math import log2
from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import (
    I64,
    U8,
    U64,
    find,
    hash_bytes,
    inner,
    kernel,
    salted,
    scatter,
    to_int,
)
from acx.matching.frequencies import UNSEEN_WORD, Frequencies, rarity, word_rarity
from acx.matching.text import Text, Values, data_lines, hash_text

MAX_PARTS: Final = 24
"""Parts compared of one address."""

WORD, NUMBER, UNIT, POSTCODE = 0, 1, 2, 3
"""What a part is."""

_UNSEEN: Final = np.uint64(round(-8 * log2(UNSEEN_WORD)))

CODE, KIND = 0, 1
"""Columns of a part."""

SAME, BUILDING, STREET, POSTCODE_ONLY, PLACE, DIFFERENT = 0, 1, 2, 3, 4, -1
"""Levels of the model's field `address`, in its order."""

PART_KEY, BUILDING_KEY = np.uint64(121), np.uint64(122)
"""Salts of the keys that addresses give."""


class AddressWords(NamedTuple):
    """Words that name no place: codes, sorted, and whether a number beside one is a unit."""

    codes: U64
    unit: U8


@cache
def address_words() -> AddressWords:
    """The room's list of such words."""
    words = {hash_text(word): role == "unit" for word, role in data_lines("address_words.tsv")}
    codes = sorted(words)
    return AddressWords(
        np.array(codes, np.uint64), np.array([words[code] for code in codes], np.uint8)
    )


class Addresses(NamedTuple):
    """Addresses of all rows of one side.

    Attributes:
        starts: row i's addresses are `starts[i]:starts[i + 1]`.
        first: address j's parts are `first[j]:first[j + 1]`.
        parts: parts × 2: its code, and what it is.
    """

    starts: I64
    first: I64
    parts: U64


def parse_addresses(values: Values) -> Addresses:
    """Divide folded addresses into parts."""
    text = values.text
    first = np.zeros(len(text.offsets), np.int64)
    parts = np.empty((_count_parts(text), 2), np.uint64)
    size = _parse(text, address_words(), first, parts, np.empty(64, np.uint8))
    return Addresses(values.starts, first, parts[:size].copy())


@kernel
def _count_parts(text: Text) -> int:
    """No fewer parts than there are, at most `MAX_PARTS` of each address."""
    total = 0
    for v in range(len(text.offsets) - 1):
        count = 1
        for i in range(text.offsets[v], text.offsets[v + 1]):
            if not 97 <= text.data[i] <= 122:
                count += 1
        total += min(MAX_PARTS, count)
    return total


@inner
def _read_part(data: U8, i: int, end: int, buffer: U8) -> tuple[int, int, int]:
    """Copy one run of letters and digits; returns where it ends, its size, and its digits."""
    size, digits = 0, 0
    while i < end:
        c = data[i]
        if 48 <= c <= 57 or 97 <= c <= 122:
            if size < len(buffer):
                buffer[size] = c
                size += 1
                if c <= 57:
                    digits += 1
        elif c != 39 and c != 96:
            break
        i += 1
    return i, size, digits


@kernel
def _parse(text: Text, known: AddressWords, first: I64, parts: U64, buffer: U8) -> int:
    """Fill `first` and `parts`; returns how many parts."""
    data = text.data
    n = 0
    for v in range(len(text.offsets) - 1):
        i, end = text.offsets[v], text.offsets[v + 1]
        begin = n
        after_unit, after_number = False, False
        while i < end and n - begin < MAX_PARTS:
            c = data[i]
            if not (97 <= c <= 122 or 48 <= c <= 57):
                if c == 35:
                    after_unit = True
                elif c == 44 or c == 59:
                    after_unit = False
                i += 1
                continue
            i, size, digits = _read_part(data, i, end, buffer)
            if digits:
                size = _without_ordinal(buffer, size)
                zeros = 0
                while zeros < size - 1 and buffer[zeros] == 48:
                    zeros += 1
                kind = NUMBER
                if digits >= 5:
                    kind = POSTCODE
                elif after_unit:
                    kind = UNIT
                parts[n, CODE] = hash_bytes(buffer, zeros, size)
                parts[n, KIND] = kind
                after_number, after_unit = kind == NUMBER, False
                n += 1
                continue
            word = hash_bytes(buffer, 0, size)
            place = find(known.codes, word)
            if place < 0:
                after_unit, after_number = False, False
                if size > 1:
                    parts[n, CODE] = word
                    parts[n, KIND] = WORD
                    n += 1
            elif known.unit[place]:
                # «room 12», and «12 room» as Chinese has it.
                if after_number and _ends_part(data, i, end):
                    parts[n - 1, KIND] = UNIT
                else:
                    after_unit = True
        first[v + 1] = n
    return n


@inner
def _ends_part(data: U8, i: int, end: int) -> bool:
    """Whether no number follows before the next separator."""
    while i < end and (data[i] == 32 or data[i] == 46):
        i += 1
    return i >= end or not 48 <= data[i] <= 57


@inner
def _without_ordinal(buffer: U8, size: int) -> int:
    """«5th» is 5."""
    if size >= 3 and 48 <= buffer[size - 3] <= 57:
        a, b = buffer[size - 2], buffer[size - 1]
        if (
            (a == 116 and b == 104)
            or (a == 115 and b == 116)
            or (a == 110 and b == 100)
            or (a == 114 and b == 100)
        ):
            return size - 2
    return size


@inner
def address_keys(addresses: Addresses, row: int, keys: U64, n: int) -> int:
    """Keys of a row's addresses, written from `keys[n]` on; returns their new end.

    Each part, which counts how common it is; each house number with the words next to it.
    """
    starts, bounds, parts = addresses.starts, addresses.first, addresses.parts
    for j in range(starts[row], starts[row + 1]):
        first, last = bounds[j], bounds[j + 1]
        for p in range(first, last):
            keys[n] = salted(parts[p, CODE], PART_KEY)
            n += 1
            if parts[p, KIND] == NUMBER:
                for q in range(_near_first(p, first), _near_last(p, last)):
                    if parts[q, KIND] == WORD:
                        keys[n] = building_key(parts[p, CODE], parts[q, CODE])
                        n += 1
    return n


@inner
def _near_first(p: int, first: int) -> int:
    """Where the neighbourhood of a part begins."""
    return max(first, p - 2)


@inner
def _near_last(p: int, last: int) -> int:
    """Where the neighbourhood of a part ends."""
    return min(last, p + 3)


@inner
def building_key(number: np.uint64, word: np.uint64) -> np.uint64:
    """The key of a house number and a word beside it."""
    return salted(scatter(number) + word, BUILDING_KEY)


@inner
def most_address_keys(addresses: Addresses, row: int) -> int:
    """No row has more keys of addresses than this."""
    parts = addresses.first[addresses.starts[row + 1]] - addresses.first[addresses.starts[row]]
    return 5 * parts


@inner
def _street_rarity(
    a: U64, first_a: int, last_a: int, b: U64, first_b: int, last_b: int, frequencies: Frequencies
) -> float:
    """What the rarest house number with a word beside it that both have is worth, 0 if none."""
    best = 0.0
    for p in range(first_a, last_a):
        if a[p, KIND] != NUMBER:
            continue
        for q in range(first_b, last_b):
            if b[q, KIND] != NUMBER or a[p, CODE] != b[q, CODE]:
                continue
            for x in range(_near_first(p, first_a), _near_last(p, last_a)):
                if a[x, KIND] != WORD:
                    continue
                for y in range(_near_first(q, first_b), _near_last(q, last_b)):
                    if a[x, CODE] == b[y, CODE]:
                        worth = rarity(frequencies, building_key(a[p, CODE], a[x, CODE]), 24.0)
                        if worth > best:
                            best = worth
    return best


@inner
def compare_addresses(
    a: Addresses, j: int, b: Addresses, k: int, frequencies: Frequencies
) -> tuple[float, int]:
    """Compare address j of a with address k of b.

    Returns:
        Bits that what agrees is worth, and the level.
    """
    parts_a, parts_b = a.parts, b.parts
    first_a, last_a, first_b, last_b = a.first[j], a.first[j + 1], b.first[k], b.first[k + 1]
    # Counts by kind, eight bits each: what a has, what b has, what agrees.
    have_a, have_b, agree = 0, 0, 0
    words, numbers = 0.0, 0.0
    for q in range(first_b, last_b):
        have_b += 1 << (8 * to_int(parts_b[q, KIND]))
    for p in range(first_a, last_a):
        kind = to_int(parts_a[p, KIND])
        have_a += 1 << (8 * kind)
        for q in range(first_b, last_b):
            if parts_a[p, CODE] != parts_b[q, CODE]:
                continue
            other = to_int(parts_b[q, KIND])
            if kind != other and (kind == POSTCODE or other == POSTCODE):
                continue
            worth = word_rarity(frequencies, salted(parts_a[p, CODE], PART_KEY), _UNSEEN)
            if kind == WORD:
                agree += 1
                words += min(12.0, worth)
            elif kind == other:
                agree += 1 << (8 * kind)
                numbers += min(9.0, worth)
            else:
                # One side says that it is a unit, the other does not say.
                agree += 1 << (8 * NUMBER)
                numbers += 3.0
            break
    fewer = min(have_b & 255, have_a & 255)
    agree_words = agree & 255
    unit = _some(have_a, UNIT) or _some(have_b, UNIT)
    same_unit = not unit or _some(agree, UNIT)
    # A house number of five digits looks like a postcode: two of them are one of each.
    housed = _some(agree, NUMBER) or (agree >> (8 * POSTCODE)) & 255 > 1
    whole = agree_words == fewer >= 2 and housed and same_unit
    if _against(have_a, have_b, agree, NUMBER) or _against(have_a, have_b, agree, POSTCODE):
        whole = False
    street = 0.0
    if _some(agree, NUMBER):
        street = _street_rarity(parts_a, first_a, last_a, parts_b, first_b, last_b, frequencies)
    if street > 0 and not _against(have_a, have_b, agree, POSTCODE):
        bits = words + numbers
        if street + 0.5 * numbers < bits:
            bits = street + 0.5 * numbers
        # One word beside the number, of two or more, may be the town.
        if same_unit and 2 * agree_words > fewer and not _other_number(have_a, have_b, agree):
            return bits, SAME
        return min(street, bits), BUILDING
    if whole:
        return words + numbers, SAME
    if agree_words >= 2 and 2 * agree_words > fewer and not _against(have_a, have_b, agree, NUMBER):
        return 0.7 * words, STREET
    if _some(agree, POSTCODE):
        return 0.3 * words + numbers, POSTCODE_ONLY
    if agree_words:
        return 0.4 * words, PLACE
    return 0.0, DIFFERENT


@inner
def _some(counts: int, kind: int) -> bool:
    return (counts >> (8 * kind)) & 255 > 0


@inner
def _other_number(have_a: int, have_b: int, agree: int) -> bool:
    """Whether both have a number that the other has not."""
    numbers_a, numbers_b = (have_a >> (8 * NUMBER)) & 255, (have_b >> (8 * NUMBER)) & 255
    return min(numbers_a, numbers_b) > (agree >> (8 * NUMBER)) & 255


@inner
def _against(have_a: int, have_b: int, agree: int, kind: int) -> bool:
    """Whether both have parts of a kind, and none agrees."""
    return _some(have_a, kind) and _some(have_b, kind) and not _some(agree, kind)
