"""Keys of accounts: two accounts that share one are worth a look.

All of an account's values, names and addresses give keys; each is a digest under a secret, so a
rare and a common one look alike until the table has counted them, and without the secret a key on
disk tells nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from acx.matching.addresses import address_keys, most_address_keys
from acx.matching.compiled import I64, U64, inner, kernel, keyed, salted, sort
from acx.matching.images import BAND_BITS, BANDS, Images, band_key, image_keys
from acx.matching.model import NUMBERS
from acx.matching.names import SOUND, most_name_keys, name_keys
from acx.matching.profiles import Profiles
from acx.matching.table import Keys
from acx.matching.values import CODES, FIELD_BITS

BIRTH_DATE: Final = NUMBERS["birth_date"]
WORD_AND_DATE_KEY: Final = np.uint64(161)
"""Salt of the key of a word's sound and the birth date."""


@inner
def value_key(code: np.uint64, field: int, level: int) -> np.uint64:
    """The key of a value at a level, which also counts how common it is."""
    return salted(code, np.uint64(4 * field + level + 1))


@inner
def most_keys(profiles: Profiles, row: int) -> int:
    """No row has more keys than this."""
    values = profiles.starts[row + 1] - profiles.starts[row]
    pictures = profiles.images.starts[row + 1] - profiles.images.starts[row]
    of_names = most_name_keys(profiles.names, row)
    of_addresses = most_address_keys(profiles.addresses, row)
    return CODES * values + 2 * of_names + of_addresses + BANDS * pictures


@inner
def row_keys(profiles: Profiles, row: int, secret: U64, keys: U64) -> int:
    """Keys of a row, each once, at the beginning of `keys`; returns how many."""
    n = 0
    born = np.uint64(0)
    starts, about, codes = profiles.starts, profiles.about, profiles.codes
    for v in range(starts[row], starts[row + 1]):
        field = about[v] & FIELD_BITS
        if field == BIRTH_DATE:
            born = codes[v, 0]
        for level in range(CODES):
            if codes[v, level] != 0:
                keys[n] = value_key(codes[v, level], field, level)
                n += 1
    names = profiles.names
    n = name_keys(names, row, keys, n)
    if born != 0:
        entries, bounds, words = names.starts, names.first, names.words
        for w in range(bounds[entries[row]], bounds[entries[row + 1]]):
            keys[n] = salted(words[w, SOUND] + born, WORD_AND_DATE_KEY)
            n += 1
    n = address_keys(profiles.addresses, row, keys, n)
    n = image_keys(profiles.images, row, keys, n)
    sort(keys, n)
    kept = 0
    before = np.uint64(0)
    for i in range(n):
        key = keys[i]
        if key != before:
            keys[kept] = keyed(secret, key)
            kept += 1
            before = key
    return kept


@kernel
def _fill_bounds(profiles: Profiles, first: int, bounds: I64) -> None:
    for place in range(len(bounds) - 1):
        bounds[place + 1] = bounds[place] + most_keys(profiles, first + place)


def key_bounds(profiles: Profiles, first: int, last: int) -> I64:
    """Offsets between which each row's keys have room, for some rows."""
    bounds = np.zeros(last - first + 1, np.int64)
    _fill_bounds(profiles, first, bounds)
    return bounds


@kernel
def _fill_keys(
    profiles: Profiles, first: int, last: int, secret: U64, starts: I64, keys: U64, buffer: U64
) -> int:
    n = 0
    for row in range(first, last):
        count = row_keys(profiles, row, secret, buffer)
        for i in range(count):
            keys[n] = buffer[i]
            n += 1
        starts[row - first + 1] = n
    return n


def keys_of(profiles: Profiles, secret: U64, first: int = 0, last: int = -1) -> Keys:
    """Keys of rows.

    Args:
        profiles: the accounts.
        secret: two words under which the keys are digests.
        first: the first row.
        last: the row after the last one; -1 for all there are.
    """
    last = len(profiles.starts) - 1 if last < 0 else last
    room = np.diff(key_bounds(profiles, first, last))
    keys = np.empty(room.sum(), np.uint64)
    starts = np.zeros(last - first + 1, np.int64)
    buffer = np.empty(int(room.max(initial=0)), np.uint64)
    n = _fill_keys(profiles, first, last, secret, starts, keys, buffer)
    return Keys(starts, keys[:n].copy())


def searched_keys(profiles: Profiles, secret: U64, row: int) -> Keys:
    """Keys by which a row is looked for: its own, and those of pictures nearly the same."""
    own = keys_of(profiles, secret, row, row + 1).keys
    pictures = profiles.images.starts[row + 1] - profiles.images.starts[row]
    keys = np.empty(pictures * BANDS * BAND_BITS, np.uint64)
    size = _fill_neighbours(profiles.images, row, secret, keys)
    found = np.unique(np.concatenate([own, keys[:size]]))
    return Keys(np.array([0, len(found)]), found)


@kernel
def _fill_neighbours(images: Images, row: int, secret: U64, keys: U64) -> int:
    return neighbour_keys(images, row, secret, keys, 0)


@inner
def neighbour_keys(images: Images, row: int, secret: U64, keys: U64, n: int) -> int:
    """Add the keys of all bands that differ in one bit; returns their new end."""
    starts, bits = images.starts, images.bits
    for j in range(starts[row], starts[row + 1]):
        for band in range(BANDS):
            for bit in range(BAND_BITS):
                flipped = np.uint64(1) << np.uint64(bit)
                keys[n] = keyed(secret, band_key(bits, j, band, flipped))
                n += 1
    return n
