"""The model as a table: fields ► comparison levels ► m and u ► match weights ► levels of a hit.

Fellegi and Sunter weigh a comparison's outcome by log2(m/u): m is how often accounts of the same
actor show it, u how often accounts of two unrelated actors do. Here u of an agreement is not one
number for the field but the frequency of *the value that agrees*, learnt from both sides, never
below the floor in the table, and believed only so far as unrelated accounts do not agree in
company: what many share weighs little. Absent is not different: a field that one side lacks has no
outcome and no weight.

    field       email
      level       same       m .35   u ≥ 2^-31    the same mailbox
      level       variant    m .15   u ≥ 2^-26    dots, dashes, digits at the end aside
      differs                        -1.4 bits    both have one, none agrees

Source: I. P. Fellegi, A. B. Sunter, «A Theory for Record Linkage», JASA 64 (1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from acx.matching.compiled import F64


@dataclass(frozen=True, slots=True)
class Level:
    """One way in which values of a field agree.

    Attributes:
        name: as `reasons` shows it.
        m: share of pairs of the same actor, both with a value, whose best agreement this is.
        floor: bits; the agreement's u is never taken below 2^-floor.
        belief: how much of the rarity counts: less than all where unrelated accounts that agree
            here agree elsewhere too (households, agents, one name in two mailboxes).
    """

    name: str
    m: float
    floor: float
    belief: float = 1.0


@dataclass(frozen=True, slots=True)
class Field:
    """A field, and what its comparison says.

    Attributes:
        name: the account's field, as `reasons` shows it.
        levels: ways to agree, strongest first.
        differs: bits where both sides have a value and none agrees.
        identifies: how many of the first levels identify an actor.
        contradicts: whether a difference rules out level `exact`.
    """

    name: str
    levels: tuple[Level, ...]
    differs: float
    identifies: int = 0
    contradicts: bool = False


FIELDS: Final = (
    Field(
        "email",
        (
            Level("same", 0.35, 31, belief=0.85),
            Level("variant", 0.15, 26, belief=0.72),
            Level("mailbox", 0.08, 20, belief=0.8),
        ),
        differs=-1.4,
        identifies=2,
    ),
    Field(
        "phone",
        (Level("same", 0.45, 30, belief=0.75), Level("national", 0.08, 24, belief=0.9)),
        differs=-1.4,
        identifies=2,
    ),
    Field("bank_account", (Level("same", 0.60, 32), Level("number", 0.05, 27)), -1.0, identifies=2),
    Field(
        "tax_id", (Level("same", 0.65, 32), Level("number", 0.08, 27)), -2.5, 2, contradicts=True
    ),
    Field(
        "registration_no",
        (Level("same", 0.70, 31), Level("number", 0.08, 26)),
        -2.8,
        2,
        contradicts=True,
    ),
    Field("id_document", (Level("same", 0.70, 32), Level("number", 0.10, 27)), -1.2, identifies=2),
    Field(
        "website",
        (Level("same", 0.60, 28), Level("domain", 0.10, 27), Level("mail", 0.04, 26, belief=0.9)),
        -0.4,
        identifies=2,
    ),
    Field("contact", (Level("same", 0.60, 29),), -0.5, identifies=1),
    Field(
        "handle",
        (Level("same", 0.30, 28), Level("elsewhere", 0.25, 20, belief=0.8)),
        -0.3,
        identifies=1,
    ),
    Field(
        "birth_date",
        (Level("same", 0.85, 14.5), Level("swapped", 0.07, 14), Level("partly", 0.03, 8)),
        differs=-4.5,
        contradicts=True,
    ),
    Field("country", (Level("same", 0.50, 3.5),), -1.9),
    Field("kind", (Level("same", 0.95, 0.8),), -1.5),
    Field("ip", (Level("same", 0.20, 14, belief=0.7),), 0.0),
    Field("device", (Level("same", 0.50, 18),), -0.2),
    Field("image_hash", (Level("same", 0.30, 21), Level("similar", 0.30, 20)), -0.1),
    Field(
        "address",
        (
            Level("same", 0.35, 20, belief=0.75),
            Level("building", 0.15, 16, belief=0.85),
            Level("street", 0.20, 13),
            Level("postcode", 0.05, 10),
            Level("place", 0.07, 8, belief=0.85),
        ),
        differs=-0.3,
    ),
    Field(
        "name",
        (
            Level("same", 0.38, 23.5, belief=0.8),
            Level("similar", 0.22, 22, belief=0.85),
            Level("part", 0.16, 20.5, belief=0.8),
            Level("shared", 0.12, 8),
        ),
        differs=-1.5,
    ),
    Field(
        "related",
        (
            Level("same", 0.10, 15, belief=0.8),
            Level("similar", 0.05, 13, belief=0.8),
            Level("part", 0.03, 11, belief=0.8),
        ),
        differs=0.0,
    ),
)
"""The fields, in the order in which compiled code numbers them."""

NUMBERS: Final = {field.name: number for number, field in enumerate(FIELDS)}
MAX_LEVELS: Final = max(len(field.levels) for field in FIELDS)


class Weights(NamedTuple):
    """The table as compiled code reads it: fields × levels.

    Attributes:
        m: log2 of m.
        floor: bits.
        belief: share of an agreement's rarity that counts.
        differs: bits, by field.
    """

    m: F64
    floor: F64
    belief: F64
    differs: F64


def weights() -> Weights:
    """The weights of `FIELDS`."""
    m = np.zeros((len(FIELDS), MAX_LEVELS))
    floor = np.zeros((len(FIELDS), MAX_LEVELS))
    belief = np.ones((len(FIELDS), MAX_LEVELS))
    for f, field in enumerate(FIELDS):
        for place, level in enumerate(field.levels):
            m[f, place] = np.log2(level.m)
            floor[f, place] = level.floor
            belief[f, place] = level.belief
    return Weights(m, floor, belief, np.array([field.differs for field in FIELDS]))


EXACT_PROBABILITY: Final = 0.995
STRONG_PROBABILITY: Final = 0.98
POSSIBLE_PROBABILITY: Final = 0.5
LEVELS: Final = ("exact", "strong", "possible")
"""Levels of a hit, strongest first."""

DEFAULT_PRIOR: Final = 0.01
"""Share of accounts expected to be somebody among the subjects."""

SMALLEST_CROWD: Final = 1000
"""The prior speaks of at least so many subjects: in a handful, too, values agree by chance."""
