"""Two accounts ► the best comparison of each field ► match weights.

The whole of a comparison is `compare`; reasons and explanations are read off what it leaves in
`bits` and `level`, so they are never another's opinion.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from acx.matching import addresses, names
from acx.matching.addresses import Addresses, compare_addresses
from acx.matching.compiled import F64, I64, inner, kernel, to_int
from acx.matching.frequencies import Frequencies, rarity
from acx.matching.images import SAME_BITS, SIMILAR_BITS, Images, different_bits
from acx.matching.keys import BIRTH_DATE, value_key
from acx.matching.model import FIELDS, NUMBERS, SMALLEST_CROWD, Weights
from acx.matching.names import NAME_LETTERS, NAME_SOUNDS, RELATED, Names, align
from acx.matching.profiles import Profiles
from acx.matching.values import CODES, FIELD_BITS, FROM_NAME, SUPPORTS

BITS, LEVEL = 0, 1
"""Lines of an outcome."""

ABSENT: Final = -2
DIFFERENT: Final = -1

ADDRESS: Final = NUMBERS["address"]
COUNTRY: Final = NUMBERS["country"]
EMAIL: Final = NUMBERS["email"]
HANDLE: Final = NUMBERS["handle"]
IMAGE: Final = NUMBERS["image_hash"]
NAME: Final = NUMBERS["name"]
RELATED_NAME: Final = NUMBERS["related"]
WEBSITE: Final = NUMBERS["website"]
MAIL_DOMAIN: Final = 2
"""Level of a website that is only a mailbox's domain."""

FROM_NAME_BITS: Final = 3.0
"""What a mailbox or nickname made of the name adds to the name."""
SAME_FROM_NAME_BITS: Final = 16.0
"""What the very same mailbox or nickname adds at most to the name that it is made of: among all of
one name, few choose so few letters and digits, but some do."""
LIKE_NAME_BITS: Final = 6.0
"""What a variant adds to names that agree: it may be made of them in a way that nobody sees."""

HOUSEHOLD: Final = np.array([NUMBERS[name] for name in ("phone", "address", "ip", "device")])
HOUSEHOLD_BITS: Final = 3.0
"""What all that a household shares is worth between two of one family name, beside what tells them
from all accounts there are: their relatives are nearly as many as their own accounts."""

ENOUGH: Final = 128
"""Values of a field that are compared of each side at least: of one with thousands beside one with
a few all are, of two with thousands the first, so that no comparison takes long."""

MANY_NAMES: Final = 9
"""Pairs of names from which on only those are aligned that share a sound or all letters."""


@kernel
def compare(
    a: Profiles,
    b: Profiles,
    rows: I64,
    frequencies: Frequencies,
    weights: Weights,
    needed: float,
    outcomes: F64,
) -> int:
    """Compare accounts pairwise, and keep the pairs that weigh enough.

    Addresses and names take the time: they are left out where they could not make a hit any more.

    Args:
        a: profiles of accounts.
        b: profiles of subjects.
        rows: pairs × 2: row of a, row of b. Those that weigh enough are moved to the front.
        frequencies: how common values are.
        weights: the model.
        needed: bits that make a hit; -inf to compare every field.
        outcomes: pairs × 2 × fields, filled at the front for the pairs that weigh enough: each
            field's weight, and its level, `DIFFERENT` or `ABSENT`.

    Returns:
        How many weigh enough.
    """
    hits = 0
    for p in range(len(rows)):
        i, j = rows[p, 0], rows[p, 1]
        outcome = outcomes[hits]
        for field in range(outcome.shape[1]):
            outcome[BITS, field] = 0.0
            outcome[LEVEL, field] = ABSENT
        made_of_name = _compare_values(a, i, b, j, frequencies, weights, outcome)
        _compare_images(a.images, i, b.images, j, weights, outcome)
        of_names = _most(weights, NAME)
        if _has_related(a.names, i) or _has_related(b.names, j):
            of_names += _most(weights, RELATED_NAME)
        if _sum(outcome) + _most(weights, ADDRESS) + of_names < needed:
            continue
        _compare_addresses(a.addresses, i, b.addresses, j, frequencies, weights, outcome)
        if _sum(outcome) + of_names < needed:
            continue
        _compare_names(a.names, i, b.names, j, frequencies, weights, outcome)
        _weigh_together(outcome, made_of_name, frequencies.accounts)
        if _sum(outcome) >= needed:
            rows[hits, 0], rows[hits, 1] = i, j
            hits += 1
    return hits


@inner
def _weigh_together(outcome: F64, made_of_name: int, accounts: float) -> None:
    """Count once what several fields say."""
    if outcome[LEVEL, EMAIL] >= 0:
        # Mailboxes that agree have their local part and domain in common: that is said already.
        if outcome[LEVEL, HANDLE] > 0:
            outcome[BITS, HANDLE], outcome[LEVEL, HANDLE] = 0.0, ABSENT
        if outcome[LEVEL, WEBSITE] == MAIL_DOMAIN:
            outcome[BITS, WEBSITE], outcome[LEVEL, WEBSITE] = 0.0, ABSENT
    for field in (EMAIL, HANDLE):
        # Names that agree make mailboxes agree that are made of them: that is said already.
        most = np.inf
        if outcome[BITS, NAME] > 0:
            most = LIKE_NAME_BITS
        if made_of_name & (1 << field) and outcome[BITS, NAME] + outcome[BITS, RELATED_NAME] > 0:
            most = FROM_NAME_BITS
        if outcome[LEVEL, field] == 0:
            most = SAME_FROM_NAME_BITS if most == FROM_NAME_BITS else np.inf
        if outcome[BITS, field] > most:
            outcome[BITS, field] = most
    if outcome[LEVEL, NAME] == names.SHARED:
        # Relatives explain together what each field of a household counts apart.
        most = HOUSEHOLD_BITS + np.log2(max(accounts, SMALLEST_CROWD))
        bits = 0.0
        for field in HOUSEHOLD:
            if outcome[BITS, field] > 0:
                bits += outcome[BITS, field]
        if bits > most:
            for field in HOUSEHOLD:
                if outcome[BITS, field] > 0:
                    outcome[BITS, field] *= most / bits


@inner
def _sum(outcome: F64) -> float:
    total = 0.0
    for field in range(outcome.shape[1]):
        total += outcome[BITS, field]
    return total


@inner
def _most(weights: Weights, field: int) -> float:
    """No agreement of a field weighs more; what is weighed again afterwards only weighs less."""
    most = 0.0
    for place in range(weights.m.shape[1]):
        bits = weights.belief[field, place] * weights.floor[field, place] + weights.m[field, place]
        most = max(most, bits)
    return most


@inner
def _has_related(names: Names, row: int) -> bool:
    """Whether a row has names of others; they come last."""
    first, last = names.starts[row], names.starts[row + 1]
    return last > first and names.role[last - 1] == RELATED


@inner
def _compared(count: int, other: int) -> int:
    """How many of a side's values are compared with so many of the other side."""
    return min(count, max(ENOUGH, ENOUGH * ENOUGH // max(1, other)))


@inner
def _bounds(starts: I64, row: int, others: I64, other: int) -> tuple[int, int]:
    """Where a row's values begin, and where those end that are compared with another row's."""
    first = starts[row]
    count = _compared(starts[row + 1] - first, others[other + 1] - others[other])
    return first, first + count


@inner
def _compare_values(
    a: Profiles,
    i: int,
    b: Profiles,
    j: int,
    frequencies: Frequencies,
    weights: Weights,
    outcome: F64,
) -> int:
    """Fields compared by equality; returns which of them agree by a value made of the name."""
    about_a, codes_a, about_b, codes_b = a.about, a.codes, b.about, b.codes
    made_of_name = 0
    v, end_a = a.starts[i], a.starts[i + 1]
    w, end_b = b.starts[j], b.starts[j + 1]
    while v < end_a and w < end_b:
        field = about_a[v] & FIELD_BITS
        other = about_b[w] & FIELD_BITS
        if field < other:
            v += 1
            continue
        if other < field:
            w += 1
            continue
        last_v = v
        while last_v < end_a and about_a[last_v] & FIELD_BITS == field:
            last_v += 1
        last_w = w
        while last_w < end_b and about_b[last_w] & FIELD_BITS == field:
            last_w += 1
        best = -1.0
        both = False
        for x in range(v, v + _compared(last_v - v, last_w - w)):
            for y in range(w, w + _compared(last_w - w, last_v - v)):
                both |= (about_a[x] | about_b[y]) & SUPPORTS == 0
                if field == BIRTH_DATE:
                    place = _compare_dates(codes_a[x, 0], codes_b[y, 0])
                else:
                    place = -1
                    for at in range(CODES):
                        if codes_a[x, at] != 0 and codes_a[x, at] == codes_b[y, at]:
                            place = at
                            break
                if place < 0:
                    continue
                floor = weights.floor[field, place]
                gain = floor
                if field != BIRTH_DATE or place == 0:
                    key = value_key(codes_a[x, place], field, place)
                    gain = rarity(frequencies, key, floor)
                gain = weights.belief[field, place] * gain + weights.m[field, place]
                # What everybody shares says nothing; it never speaks against.
                if gain < 0:
                    gain = 0.0
                if gain > best:
                    best = gain
                    outcome[LEVEL, field] = place
                    if about_a[x] & about_b[y] & FROM_NAME:
                        made_of_name |= 1 << field
                    else:
                        made_of_name &= ~(1 << field)
        if best >= 0:
            outcome[BITS, field] = best
        elif both:
            outcome[BITS, field] = weights.differs[field]
            outcome[LEVEL, field] = DIFFERENT
        v, w = last_v, last_w
    return made_of_name


@inner
def _compare_dates(a: np.uint64, b: np.uint64) -> int:
    """Level at which two days written YYYYMMDD agree, -1 if at none."""
    if a == b:
        return 0
    x, y = to_int(a), to_int(b)
    year_a, month_a, day_a = x // 10000, x // 100 % 100, x % 100
    year_b, month_b, day_b = y // 10000, y // 100 % 100, y % 100
    if year_a == year_b and month_a == day_b and day_a == month_b:
        return 1
    same = (year_a == year_b) + (month_a == month_b) + (day_a == day_b)
    if same == 2:
        return 2
    return -1


@inner
def _compare_images(a: Images, i: int, b: Images, j: int, weights: Weights, outcome: F64) -> None:
    least = 257
    first_a, last_a = _bounds(a.starts, i, b.starts, j)
    first_b, last_b = _bounds(b.starts, j, a.starts, i)
    for x in range(first_a, last_a):
        for y in range(first_b, last_b):
            apart = different_bits(a.bits, x, b.bits, y)
            if apart < least:
                least = apart
    if least == 257:
        return
    place = 0 if least <= SAME_BITS else 1 if least <= SIMILAR_BITS else DIFFERENT
    outcome[LEVEL, IMAGE] = place
    if place == DIFFERENT:
        outcome[BITS, IMAGE] = weights.differs[IMAGE]
    else:
        outcome[BITS, IMAGE] = weights.floor[IMAGE, place] + weights.m[IMAGE, place]


@inner
def _compare_addresses(
    a: Addresses,
    i: int,
    b: Addresses,
    j: int,
    frequencies: Frequencies,
    weights: Weights,
    outcome: F64,
) -> None:
    best = -1.0
    first_a, last_a = _bounds(a.starts, i, b.starts, j)
    first_b, last_b = _bounds(b.starts, j, a.starts, i)
    if first_a == last_a or first_b == last_b:
        return
    for x in range(first_a, last_a):
        for y in range(first_b, last_b):
            worth, place = compare_addresses(a, x, b, y, frequencies)
            if place == addresses.DIFFERENT:
                continue
            gain = _weigh(worth, weights, ADDRESS, place)
            least = 0.0 if place < addresses.PLACE else weights.differs[ADDRESS]
            if gain < least:
                gain = least
            if best < 0 or gain > outcome[BITS, ADDRESS]:
                best = 0.0
                outcome[BITS, ADDRESS] = gain
                outcome[LEVEL, ADDRESS] = place
    if best < 0:
        outcome[BITS, ADDRESS] = weights.differs[ADDRESS]
        outcome[LEVEL, ADDRESS] = DIFFERENT


@inner
def _compare_names(
    a: Names,
    i: int,
    b: Names,
    j: int,
    frequencies: Frequencies,
    weights: Weights,
    outcome: F64,
) -> None:
    first_a, last_a = _bounds(a.starts, i, b.starts, j)
    first_b, last_b = _bounds(b.starts, j, a.starts, i)
    own, others = 0, 0
    best, best_other = 0.0, 0.0
    about_a, about_b = a.about, b.about
    many = (last_a - first_a) * (last_b - first_b) > MANY_NAMES
    for x in range(first_a, last_a):
        for y in range(first_b, last_b):
            related = a.role[x] == RELATED or b.role[y] == RELATED
            if related:
                others += 1
            else:
                own += 1
            # A typo can change the only sound; it is looked for where that costs little.
            if (
                (many or related)
                and not about_a[x, NAME_SOUNDS] & about_b[y, NAME_SOUNDS]
                and about_a[x, NAME_LETTERS] != about_b[y, NAME_LETTERS]
            ):
                continue
            worth, place = align(a, x, b, y, frequencies)
            if place == names.DIFFERENT:
                continue
            if related:
                if place <= names.PART:
                    gain = _weigh(worth, weights, RELATED_NAME, place)
                    if gain > best_other:
                        best_other = gain
                        outcome[LEVEL, RELATED_NAME] = place
            else:
                gain = _weigh(worth, weights, NAME, place)
                if gain > best:
                    best = gain
                    outcome[LEVEL, NAME] = place
    if own:
        if best > 0:
            outcome[BITS, NAME] = _after_tries(best, own)
        else:
            outcome[BITS, NAME] = weights.differs[NAME]
            outcome[LEVEL, NAME] = DIFFERENT
    if best_other > 0:
        outcome[BITS, RELATED_NAME] = _after_tries(best_other, others)


@inner
def _weigh(worth: float, weights: Weights, field: int, place: int) -> float:
    """The match weight of an agreement that is worth so many bits."""
    if worth > weights.floor[field, place]:
        worth = weights.floor[field, place]
    return weights.belief[field, place] * worth + weights.m[field, place]


@inner
def _after_tries(bits: float, tries: int) -> float:
    """What is left of a best agreement: so many tries, so much likelier one by chance."""
    left = bits - 0.5 * np.log2(tries)
    return left if left > 0 else 0.0


def compared(
    a: Profiles, b: Profiles, rows: I64, frequencies: Frequencies, weights: Weights, needed: float
) -> tuple[I64, F64]:
    """Compare accounts pairwise.

    Returns:
        The pairs that weigh enough, and their outcomes: see `compare`.
    """
    outcomes = np.empty((len(rows), 2, len(FIELDS)))
    hits = compare(a, b, rows, frequencies, weights, needed, outcomes)
    return rows[:hits], outcomes[:hits]
