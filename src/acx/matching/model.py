"""The model as a table: fields ► comparisons ► m and u ► match weights ► levels.

Fellegi and Sunter weigh a comparison's outcome by log2(m/u): m is how often records of the same
actor show it, u how often records of two unrelated actors do. Here u of an agreement is not one
number for the field but the frequency of *the value that agrees*, learnt from both sides, never
below the floor in the table: what many share weighs little. Absent is not different: a field that
one side lacks is no outcome and has no weight.

    field       email
      level       same       m .30   u ≥ 2^-30    both wrote the same address
      level       variant    m .10   u ≥ 2^-27    dots, plus-tags, digits aside
      differs                m .50   u ~ 1        both have one, none agrees

Source: I. P. Fellegi, A. B. Sunter, «A Theory for Record Linkage», JASA 64 (1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Final

import numpy as np

from acx.matching.columns import F64


@dataclass(frozen=True, slots=True)
class Level:
    """One way in which two values of a field agree.

    Attributes:
        name: as `reasons` shows it.
        m: share of pairs of the same actor, both with a value, whose best agreement this is.
        floor: bits; the agreement's u is never taken below 2^-floor.
        key: whether sharing the value makes two accounts candidates.
    """

    name: str
    m: float
    floor: float
    key: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """A field, and what its comparison says.

    Attributes:
        name: the account's field, as `reasons` shows it.
        levels: ways to agree, strongest first.
        differs: bits where both sides have a value and none agrees.
        identifier: whether agreement at the first levels identifies an actor.
        contradicts: whether a difference rules out level `exact`.
    """

    name: str
    levels: tuple[Level, ...]
    differs: float
    identifier: bool = False
    contradicts: bool = False

    def bits(self, level: int, u: F64) -> F64:
        """Match weights of agreements at `level` on values of frequency `u`."""
        chosen = self.levels[level]
        weights: F64 = log2(chosen.m) - np.log2(np.maximum(u, 2.0**-chosen.floor))
        return weights


FIELDS: Final = (
    Field(
        "email",
        (
            Level("same", 0.40, 31),
            Level("variant", 0.10, 27),
            Level("mailbox", 0.05, 19),
            Level("domain", 0.05, 14, key=False),
        ),
        differs=-0.7,
        identifier=True,
    ),
    Field(
        "phone",
        (Level("same", 0.40, 30), Level("national", 0.15, 24)),
        differs=-0.7,
        identifier=True,
    ),
    Field(
        "bank_account",
        (Level("same", 0.50, 32), Level("number", 0.10, 27)),
        differs=-0.5,
        identifier=True,
    ),
    Field(
        "tax_id",
        (Level("same", 0.70, 32), Level("number", 0.15, 27)),
        differs=-3.0,
        identifier=True,
        contradicts=True,
    ),
    Field(
        "registration_no",
        (Level("same", 0.70, 32), Level("number", 0.15, 26)),
        differs=-3.0,
        identifier=True,
        contradicts=True,
    ),
    Field(
        "id_document",
        (Level("same", 0.60, 32), Level("number", 0.15, 27)),
        differs=-1.5,
        identifier=True,
    ),
    Field("website", (Level("same", 0.40, 28),), differs=-0.4, identifier=True),
    Field("contact", (Level("same", 0.40, 29),), differs=-0.4, identifier=True),
    Field("handle", (Level("same", 0.30, 28), Level("elsewhere", 0.20, 20)), differs=-0.3),
    Field(
        "birth_date",
        (
            Level("same", 0.85, 14.5, key=False),
            Level("swapped", 0.05, 13.5, key=False),
            Level("partly", 0.02, 8, key=False),
            Level("partly", 0.02, 8, key=False),
            Level("partly", 0.02, 8, key=False),
        ),
        differs=-5.0,
        contradicts=True,
    ),
    Field(
        "address",
        (
            Level("same", 0.30, 20),
            Level("building", 0.20, 17),
            Level("postcode", 0.10, 9, key=False),
            Level("place", 0.20, 8, key=False),
        ),
        differs=-1.0,
    ),
    Field("country", (Level("same", 0.90, 3.0, key=False),), differs=-2.0),
    Field("kind", (Level("same", 0.95, 0.6, key=False),), differs=-2.0),
    Field("ip", (Level("same", 0.10, 12),), differs=0.0),
    Field("device", (Level("same", 0.30, 16),), differs=0.0),
)
"""Fields compared by equality of (variants of) their values. Names have a file of their own."""

EXACT_PROBABILITY: Final = 0.995
STRONG_PROBABILITY: Final = 0.98
POSSIBLE_PROBABILITY: Final = 0.5
LEVELS: Final = ("exact", "strong", "possible")
"""Levels of a hit, strongest first."""

DEFAULT_PRIOR: Final = 0.01
"""Share of accounts expected to be somebody among the subjects."""
