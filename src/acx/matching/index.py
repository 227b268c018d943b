"""The index of subjects: built once, asked often, for one account or a million."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import polars as pl

from acx.matching.candidates import candidates
from acx.matching.columns import I64, U64, find
from acx.matching.compare import ABSENT, DIFFERENT, Comparisons, compare
from acx.matching.errors import BadOption
from acx.matching.frequencies import Frequencies
from acx.matching.model import (
    DEFAULT_PRIOR,
    EXACT_PROBABILITY,
    FIELDS,
    LEVELS,
    POSSIBLE_PROBABILITY,
    STRONG_PROBABILITY,
)
from acx.matching.names import LEVELS as NAME_LEVELS
from acx.matching.profiles import Profiles, counted, prepare
from acx.records.account import Account

SMALLEST_CROWD = 1000
"""The prior speaks of at least so many subjects: in a handful, chance agreements still happen."""

_CHUNK = 1 << 18


class MatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to match.

    Attributes:
        level: weakest level to return, `exact`, `strong` or `possible`.
        prior: share of accounts expected to be somebody among the subjects.
        default_country: where national phone numbers are tried after the account's countries.
        matching_key: the exchange's; with it, `h1:` digests of the subjects match plain values.
        same_file: both sides are one file: a row is not compared with itself, a pair found once.
    """

    level: str = "possible"
    prior: float = DEFAULT_PRIOR
    default_country: str = ""
    matching_key: bytes | None = None
    same_file: bool = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise BadOption(f"level {self.level!r}: must be one of {', '.join(LEVELS)}")
        if not 0 < self.prior < 1:
            raise BadOption(f"prior {self.prior}: must be between 0 and 1, both excluded")


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A subject that an account is probably the same actor as.

    Attributes:
        account_id: the account's id.
        subject_id: the subject's id.
        level: `exact`, `strong` or `possible`.
        probability: calibrated for the stated prior.
        reasons: `field:comparison:bits`, strongest first, `prior` among them.
    """

    account_id: str
    subject_id: str
    level: str
    probability: float
    reasons: list[str]


HITS = {
    "account_id": pl.String,
    "subject_id": pl.String,
    "level": pl.String,
    "probability": pl.Float64,
    "reasons": pl.List(pl.String),
}


@dataclass(slots=True)
class SubjectIndex:
    """Subjects, findable by any of their keys.

    Attributes:
        profiles: the subjects.
        options: how to match.
    """

    profiles: Profiles
    options: MatchOptions
    _keys: U64
    _starts: I64
    _postings: I64
    _own: I64
    _observed: int = field(default=0)

    @classmethod
    def build(cls, subjects: pl.DataFrame, *, options: MatchOptions | None = None) -> SubjectIndex:
        """Index subjects, a frame of accounts."""
        profiles = prepare(subjects, "subject")
        rows, keys = counted(profiles)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = (
            np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            if len(ordered)
            else np.empty(0, np.int64)
        )
        return cls(
            profiles,
            options or MatchOptions(),
            ordered[first],
            np.r_[first, len(ordered)].astype(np.int64),
            rows[order],
            np.zeros(len(first), np.int64),
        )

    def __len__(self) -> int:
        return len(self.profiles)

    def observe(self, accounts: pl.DataFrame) -> None:
        """Learn from a seller base how common the subjects' values are in it."""
        self._observe(counted(prepare(accounts, "account"))[1], len(accounts))

    def _observe(self, keys: U64, accounts: int) -> None:
        place = find(self._keys, keys)
        self._own += np.bincount(place[place >= 0], minlength=len(self._own))
        self._observed += accounts

    def screen(self, accounts: pl.DataFrame) -> pl.DataFrame:
        """Find the subjects that accounts probably are.

        Returns:
            account_id, subject_id, level, probability, reasons; most probable first.
        """
        profiles = prepare(accounts, "account")
        return self._screen(profiles, *counted(profiles))

    def check(self, account: Account) -> list[Hit]:
        """Find the subjects that one account probably is, most probable first."""
        frame = pl.DataFrame(
            [msgspec.structs.asdict(account)],
            schema={
                name: pl.String if name in ("id", "kind", "birth_date") else pl.List(pl.String)
                for name in account.__struct_fields__
            },
            orient="row",
        )
        return [Hit(**row) for row in self.screen(frame).iter_rows(named=True)]

    def _screen(self, profiles: Profiles, rows: I64, keys: U64) -> pl.DataFrame:
        frequencies = Frequencies(
            self._keys, np.diff(self._starts) + self._own, len(self) + self._observed
        )
        row_a, row_b = candidates(rows, keys, self._keys, self._starts, self._postings)
        if self.options.same_file:
            later = row_a < row_b
            row_a, row_b = row_a[later], row_b[later]
        prior = float(np.log2(self.options.prior / max(len(self), SMALLEST_CROWD)))
        parts = [
            self._hits(profiles, row_a[i : i + _CHUNK], row_b[i : i + _CHUNK], frequencies, prior)
            for i in range(0, len(row_a), _CHUNK)
        ]
        hits = pl.concat(parts) if parts else pl.DataFrame(schema=HITS)
        return hits.sort(
            ["probability", "account_id", "subject_id"], descending=[True, False, False]
        )

    def _hits(
        self, profiles: Profiles, row_a: I64, row_b: I64, frequencies: Frequencies, prior: float
    ) -> pl.DataFrame:
        compared = compare(profiles, self.profiles, row_a, row_b, frequencies)
        with np.errstate(over="ignore"):
            probability = 1.0 / (1.0 + np.exp2(-(compared.total + prior)))
        level = _levels(compared, probability)
        kept = np.flatnonzero(level <= LEVELS.index(self.options.level))
        return pl.DataFrame(
            {
                "account_id": profiles.ids.gather(row_a[kept]),
                "subject_id": self.profiles.ids.gather(row_b[kept]),
                "level": [LEVELS[place] for place in level[kept]],
                "probability": probability[kept],
                "reasons": _reasons(compared, kept, prior),
            },
            schema=HITS,
        )


def _levels(compared: Comparisons, probability: np.ndarray) -> np.ndarray:
    """Place in `LEVELS` of each pair, beyond it for those that are no hit."""
    agreeing = compared.level >= 0
    agreeing &= compared.bits >= 3
    agreeing[-1] &= compared.level[-1] <= NAME_LEVELS.index("part")
    identifiers = np.array([f.identifier for f in FIELDS] + [False])
    contradicts = np.array([f.contradicts for f in FIELDS] + [False])
    identified = (
        agreeing & identifiers[:, None] & (compared.level <= 1) & (compared.bits >= 8)
    ).any(0)
    contradicted = ((compared.level == DIFFERENT) & contradicts[:, None]).any(0)
    exact = (agreeing.sum(0) >= 2) & identified & ~contradicted
    level = np.full(len(probability), len(LEVELS))
    level[probability >= POSSIBLE_PROBABILITY] = LEVELS.index("possible")
    level[probability >= STRONG_PROBABILITY] = LEVELS.index("strong")
    level[(probability >= EXACT_PROBABILITY) & exact] = LEVELS.index("exact")
    return level


def _reasons(compared: Comparisons, kept: np.ndarray, prior: float) -> list[list[str]]:
    reasons = []
    names = (*NAME_LEVELS, "related")
    for pair in kept:
        said = []
        for i in np.flatnonzero(compared.level[:, pair] != ABSENT):
            place, bits = compared.level[i, pair], compared.bits[i, pair]
            if i < len(FIELDS):
                comparison = "differs" if place == DIFFERENT else FIELDS[i].levels[place].name
                said.append((FIELDS[i].name, comparison, bits))
            else:
                said.append(("name", names[place], bits))
        said.sort(key=lambda reason: (-abs(reason[2]), reason[0]))
        said.append(("prior", "pair", prior))
        reasons.append([f"{name}:{comparison}:{bits:+.2f}" for name, comparison, bits in said])
    return reasons
