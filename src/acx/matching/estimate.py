"""m, u and the prior, estimated from the accounts themselves, from labelled pairs, or from both.

u comes from the whole cross product: where values are compared by equality, from how often each
value is on either side (a sample of pairs would never meet a near-unique one); else from random
pairs, and for agreements too rare for those from the candidates. m and the prior come by EM over
candidate pairs: each account's best-scored ones, among which nearly all pairs of one actor are. All
other pairs count as pairs of two actors, so the likelihood is that of the cross product, and keys
do not bias it. In EM as in matching, the u of an agreement is that of the very value. A pair with a
label is known beforehand; where all are, the first round is the last.

Estimates are drawn towards the shipped weights as if `mixture.PSEUDO_COUNT` pairs of one actor had
been seen beside the others, so with a handful of matches a field stays nearly as it was.

Source: W. E. Winkler, «Using the EM Algorithm for Weight Computation in the Fellegi-Sunter Model of
Record Linkage», Proceedings of the Section on Survey Research Methods, ASA (1988).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from acx import __version__
from acx.matching.candidates import Subjects, candidates
from acx.matching.compare import ABSENT, BITS, DIFFERENT, LEVEL, compare
from acx.matching.compiled import F64, I64, U64, kernel, keyed
from acx.matching.decide import levels, prior_bits
from acx.matching.errors import NothingToLearn
from acx.matching.frequencies import Frequencies
from acx.matching.index import SubjectIndex
from acx.matching.keys import keys_of, value_key
from acx.matching.labels import NO_LABELS, Evaluation, LabelledPairs, evaluate
from acx.matching.mixture import (
    ONE_ACTOR,
    PSEUDO_COUNT,
    TWO_ACTORS,
    UNKNOWN,
    Fit,
    Given,
    Pairs,
    Parameters,
    differs_m,
    fit,
)
from acx.matching.model import FIELDS, MAX_LEVELS, NUMBERS, SMALLEST_CROWD, Weights, weights
from acx.matching.options import MatchOptions
from acx.matching.profiles import Profiles, joined, of_frame, selected
from acx.matching.table import Keys, Table, located
from acx.matching.threads import in_threads
from acx.matching.values import FIELD_BITS
from acx.matching.weights import (
    FORMAT,
    FieldWeights,
    LevelWeights,
    ModelWeights,
    Provenance,
    bounded,
)

SAMPLE: Final = 30_000
"""Accounts whose candidates are compared at most; how common values are is counted over all."""
RANDOM_PAIRS: Final = 1 << 17
SEEN_OFTEN: Final = 10
"""Random pairs that have to agree in a way before their share is believed."""
PROVEN_WRONG: Final = 3
"""Labelled pairs of two actors that agree on a value nobody else has, before its u is raised."""
LEAST_U: Final = 2.0**-40
LEAST_IDENTIFIED: Final = 0.5
"""Of the pairs that EM takes for one actor, the share that must agree on an identifier: else it
has found people of like names, not people who came back."""

BATCH: Final = 1 << 14
_EVERYTHING: Final = -1e6
"""Bits needed to be a candidate: none is left out for its weight."""
_LIFT: Final = 64.0
"""Bits added to all agreements to see what they weigh where matching would call it nothing."""

EQUAL: Final = tuple(
    field.name for field in FIELDS if field.name not in ("image_hash", "address", "name", "related")
)
"""Fields compared by equality, so that u can be counted."""
STATED: Final = {"birth_date": ("swapped", "partly"), "image_hash": ("same", "similar")}
"""Levels whose u is one number for all values."""
BORROWED: Final = {
    "website": ("mail",),
    "handle": ("elsewhere",),
    "related": ("same", "similar", "part"),
}
"""Levels at which other fields' values agree, or whose field never differs: nobody can say of how
many pairs they are a share, so the shipped m stands."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was estimated, and how good it is.

    Attributes:
        weights: to match with.
        likelihood: log-likelihood (natural) before each round of EM, with what the pseudo-counts
            add; it never falls.
        held_out: how the estimated weights do on the labels that were kept back; None without.
        held_out_shipped: how the shipped weights do on the same.
    """

    weights: ModelWeights
    likelihood: tuple[float, ...]
    held_out: Evaluation | None = None
    held_out_shipped: Evaluation | None = None


def estimate(
    accounts: pl.DataFrame,
    subjects: pl.DataFrame,
    *,
    options: MatchOptions | None = None,
    labels: LabelledPairs = NO_LABELS,
    by_em: bool = True,
) -> Estimate:
    """Estimate the model's weights.

    Args:
        accounts: a seller base, columns as `acx.records.account.FIELDS`.
        subjects: those who may be found, likewise.
        options: how to match; its weights and level do not count.
        labels: pairs of which it is known whether they are one actor.
        by_em: learn from pairs without a label too; else from `labels` alone.

    Raises:
        NothingToLearn: no pair of one actor can be made out.
    """
    if not by_em and not (labels.same & ~labels.held_out).any():
        raise NothingToLearn(
            "no labelled pair to learn from is one actor: label more pairs, or add --estimate"
        )
    if not len(accounts) or not len(subjects):
        raise NothingToLearn("one of the files has no account: there is nothing to learn from")
    files = _Files.read(accounts, subjects, options or MatchOptions(), labels)
    learnt = files.pairs(by_em=by_em)
    chance = files.by_chance()
    start = Parameters(_shipped_m(), files.options.prior / max(len(subjects), SMALLEST_CROWD))
    given = Given(start, _held(), chance.differs, files.total)
    fitted = fit(learnt.pairs, given)
    if by_em:
        _require_identified(learnt.pairs, fitted)
    made = bounded(_weights(files, learnt, chance, fitted, by_em=by_em))
    result = Estimate(made, fitted.objective)
    if not labels.held_out.any():
        return result
    return Estimate(
        made,
        fitted.objective,
        files.evaluate(made.table()),
        files.evaluate(weights()),
    )


@dataclass(frozen=True, slots=True)
class _Learnt:
    """Pairs to learn from.

    Attributes:
        rows: of the account among `_Files.profiles`, and of the subject.
        pairs: what their comparison says.
    """

    rows: I64
    pairs: Pairs


@dataclass(frozen=True, slots=True)
class _Chance:
    """How two actors compare, by random pairs.

    Attributes:
        both: for each field, the share of pairs in which both have a value.
        seen: fields × levels: random pairs that agree so.
        compared: for each field, random pairs in which both have a value.
        differs: for each field, the share of these that differ.
    """

    both: F64
    seen: F64
    compared: F64
    differs: F64


@dataclass(frozen=True, slots=True)
class _Files:
    """Both files, prepared.

    Attributes:
        options: how to match.
        accounts: rows of the one.
        profiles: the accounts that are sampled, then those with a label.
        place: the row in the file of each of these.
        sampled: how many of them are sampled.
        subjects: the others.
        frequencies: how common values are in both.
        labels: pairs that are known; the account's row is one of `profiles`.
    """

    options: MatchOptions
    accounts: int
    profiles: Profiles
    place: I64
    sampled: int
    subjects: Subjects
    frequencies: Frequencies
    labels: LabelledPairs

    @classmethod
    def read(
        cls,
        accounts: pl.DataFrame,
        subjects: pl.DataFrame,
        options: MatchOptions,
        labels: LabelledPairs,
    ) -> _Files:
        """Prepare both files, and count."""
        index = SubjectIndex.build(subjects, options=options)
        if not options.same_file:
            index.observe(accounts)
        sample = np.linspace(0, len(accounts) - 1, min(SAMPLE, len(accounts))).astype(np.int64)
        known = np.unique(labels.accounts)
        place = np.concatenate([sample, known])
        moved = len(sample) + np.searchsorted(known, labels.accounts)
        return cls(
            options,
            len(accounts),
            joined(_prepared(accounts[place], options)),
            place,
            len(sample),
            index.subjects,
            index.frequencies(),
            labels._replace(accounts=moved),
        )

    @property
    def total(self) -> float:
        """Pairs of a sampled account and a subject."""
        return float(self.sampled * max(len(self.subjects.alive), SMALLEST_CROWD))

    @property
    def table(self) -> Table:
        """Keys of the subjects, counted on both sides."""
        return self.subjects.table

    def pairs(self, *, by_em: bool) -> _Learnt:
        """The pairs to learn from: labelled ones, and with EM the sampled accounts' candidates."""
        rows = self._candidates() if by_em else np.empty((0, 2), np.int64)
        # What has a label comes in once, as known, and what is held back not at all.
        rows = rows[~np.isin(self._codes(rows), self._codes(self.labels.rows))]
        train = self.labels.only(~self.labels.held_out)
        known = np.full(len(rows) + len(train.rows), UNKNOWN, np.int8)
        known[len(rows) :] = np.where(train.same, ONE_ACTOR, TWO_ACTORS)
        rows = np.concatenate([rows, train.rows])
        level, surprise = self._outcomes(rows)
        return _Learnt(rows, Pairs(level, surprise, known, known == UNKNOWN))

    def _candidates(self) -> I64:
        """Sampled accounts and their best-scored subjects, whatever these weigh."""

        def screened(start: int) -> I64:
            part = np.arange(start, min(start + BATCH, self.sampled))
            profiles = selected(self.profiles, part)
            rows = candidates(
                profiles,
                located(self.table, keys_of(profiles, self.table.secret)),
                self.subjects,
                self.frequencies,
                _EVERYTHING,
            )
            return rows + np.array([start, 0])

        rows = np.concatenate(in_threads(screened, range(0, self.sampled, BATCH)))
        return rows[self._others(rows)]

    def _others(self, rows: I64) -> npt.NDArray[np.bool_]:
        """Whether pairs are of two rows, not of a row and itself."""
        if not self.options.same_file:
            return np.ones(len(rows), np.bool_)
        return np.not_equal(self.place[rows[:, 0]], rows[:, 1])

    def _codes(self, rows: I64) -> I64:
        return self.place[rows[:, 0]] * len(self.subjects.alive) + rows[:, 1]

    def compared(self, rows: I64, table: Weights) -> F64:
        """Outcomes of pairs under some weights, see `compare`."""
        outcomes = np.empty((len(rows), 2, len(FIELDS)))

        def compare_some(start: int) -> None:
            end = start + BATCH
            compare(
                self.profiles,
                self.subjects.profiles,
                rows[start:end],
                self.frequencies,
                table,
                -np.inf,
                outcomes[start:end],
            )

        in_threads(compare_some, range(0, len(rows), BATCH))
        return outcomes

    def _outcomes(self, rows: I64) -> tuple[npt.NDArray[np.int8], F64]:
        """Level of each field, and how surprising its agreement is.

        Matching counts an agreement that everybody shares as 0 bits; how much less than nothing it
        says is seen with all agreements lifted.
        """
        shipped = weights()
        outcomes = self.compared(rows, shipped)
        lifted = self.compared(rows, shipped._replace(m=shipped.m + _LIFT))
        level = outcomes[:, LEVEL].astype(np.int8)
        silent = (outcomes[:, BITS] == 0) & (level >= 0) & (level == lifted[:, LEVEL])
        bits = np.where(silent, lifted[:, BITS] - _LIFT, outcomes[:, BITS])
        m = np.take_along_axis(shipped.m.T, np.maximum(level, 0).astype(np.int64), axis=0)
        # No u is above 1, whatever is taken off where fields say the same thing.
        return level, np.maximum(bits - m, 0.0)

    def by_chance(self) -> _Chance:
        """How random pairs compare that do not look like one actor; the same ones each time."""
        rng = np.random.default_rng(0)
        rows = np.column_stack(
            [
                rng.integers(0, self.sampled, RANDOM_PAIRS),
                rng.integers(0, len(self.subjects.alive), RANDOM_PAIRS),
            ]
        )
        outcomes = self.compared(rows[self._others(rows)], weights())
        probability, _ = levels(outcomes, prior_bits(self.options.prior, len(self.subjects.alive)))
        level = outcomes[probability < 0.5, LEVEL].astype(np.int64)
        compared = (level != ABSENT).sum(axis=0).astype(np.float64)
        seen = np.stack([(level == place).sum(axis=0) for place in range(MAX_LEVELS)], axis=1)
        return _Chance(
            both=compared / max(len(level), 1),
            seen=seen.astype(np.float64),
            compared=compared,
            differs=((level == DIFFERENT).sum(axis=0) + 1) / (compared + 1),
        )

    def agreeing(self, field: str, place: int) -> float:
        """Pairs of the two files whose values agree at a level or a stronger one, counted."""
        profiles = self.subjects.profiles
        about = profiles.about & FIELD_BITS == NUMBERS[field]
        codes = profiles.codes[about, place]
        codes = np.unique(codes[codes != 0])
        keys = np.empty(len(codes), np.uint64)
        _fill_value_keys(codes, NUMBERS[field], place, self.table.secret, keys)
        places = located(self.table, Keys(np.arange(len(keys) + 1), keys)).places
        ours = self.table.subjects[places].astype(np.float64)
        theirs = self.table.sellers[places].astype(np.float64)
        if self.options.same_file:
            theirs = ours - 1
        return float((ours * theirs).sum())

    def evaluate(self, table: Weights) -> Evaluation:
        """How good weights are on the labels that were kept back, at the prior that was given."""
        back = self.labels.only(self.labels.held_out)
        outcomes = self.compared(back.rows, table)
        prior = prior_bits(self.options.prior, len(self.subjects.alive))
        return evaluate(*levels(outcomes, prior), back.same)


def _prepared(accounts: pl.DataFrame, options: MatchOptions) -> list[Profiles]:
    batches = list(_batches(accounts)) or [accounts]
    return in_threads(lambda batch: of_frame(batch, options), batches)


def _batches(accounts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return (accounts[start : start + BATCH] for start in range(0, len(accounts), BATCH))


@kernel
def _fill_value_keys(codes: U64, field: int, level: int, secret: U64, keys: U64) -> None:
    for v in range(len(codes)):
        keys[v] = keyed(secret, value_key(codes[v], field, level))


def _shipped_m() -> F64:
    m = np.zeros((len(FIELDS), MAX_LEVELS))
    for f, field in enumerate(FIELDS):
        m[f, : len(field.levels)] = [level.m for level in field.levels]
    return m


def _held() -> npt.NDArray[np.bool_]:
    held = np.zeros((len(FIELDS), MAX_LEVELS), np.bool_)
    for f, field in enumerate(FIELDS):
        for place, level in enumerate(field.levels):
            held[f, place] = level.name in BORROWED.get(field.name, ())
    return held


def _require_identified(pairs: Pairs, fitted: Fit) -> None:
    identifies = np.array([field.identifies for field in FIELDS])
    identified = ((pairs.level >= 0) & (pairs.level < identifies)).any(axis=1)
    matches = fitted.posterior.sum()
    if fitted.posterior[identified].sum() < LEAST_IDENTIFIED * matches:
        raise NothingToLearn(
            f"of about {matches:.0f} pairs that look like one actor, fewer than half agree on an"
            " identifier: too few have come back in these files to tell them from namesakes;"
            " take files with more of them, or label pairs (--labels)"
        )


def _weights(
    files: _Files, learnt: _Learnt, chance: _Chance, fitted: Fit, *, by_em: bool
) -> ModelWeights:
    """The model's weights of what was fitted and counted, not yet held to the bounds."""
    u, least_u = _by_two_actors(files, learnt, chance, fitted)
    m = fitted.parameters.m
    differs = _differs(learnt.pairs, chance, fitted)
    fields = []
    for f, field in enumerate(FIELDS):
        levels_of = tuple(
            LevelWeights(
                name=level.name,
                m=float(m[f, place]),
                u=float(u[f, place]),
                least_u=float(least_u[f, place]),
            )
            for place, level in enumerate(field.levels)
        )
        fields.append(
            FieldWeights(
                name=field.name,
                levels=levels_of,
                differs=float(differs[f]),
            )
        )
    pairs = learnt.pairs
    return ModelWeights(
        format=FORMAT,
        prior=_prior(files, learnt, fitted) if by_em else files.options.prior,
        fields=tuple(fields),
        provenance=Provenance(
            acx=__version__,
            made_on=datetime.now(UTC).date().isoformat(),
            accounts=files.accounts,
            subjects=len(files.subjects.alive),
            sampled=files.sampled if by_em else 0,
            pairs=len(pairs.known),
            labelled=int((pairs.known != UNKNOWN).sum()),
            matches=round(float(fitted.posterior.sum()), 1),
            rounds=len(fitted.objective) if by_em else 0,
            converged=fitted.converged,
        ),
    )


def _differs(pairs: Pairs, chance: _Chance, fitted: Fit) -> F64:
    """What a difference weighs, by field.

    The shipped weight of a difference is not what its m says: whoever comes back changes several
    values at once. So it is the weight that is drawn towards the shipped one.
    """
    shipped = weights().differs
    compared = (fitted.posterior[:, np.newaxis] * (pairs.level != ABSENT)).sum(axis=0)
    compared[_held().sum(axis=1) == (_shipped_m() > 0).sum(axis=1)] = 0.0
    found = np.log2(differs_m(fitted.parameters.m) / chance.differs)
    drawn: F64 = (compared * found + PSEUDO_COUNT * shipped) / (compared + PSEUDO_COUNT)
    return drawn


def _prior(files: _Files, learnt: _Learnt, fitted: Fit) -> float:
    """The share of sampled accounts that are somebody, drawn towards the prior that was given."""
    nobody = np.ones(len(files.place))
    counted = learnt.pairs.counted
    np.multiply.at(nobody, learnt.rows[counted, 0], 1 - fitted.posterior[counted])
    somebody = files.sampled - nobody[: files.sampled].sum()
    return float((somebody + 1) / (files.sampled + 1 / files.options.prior))


def _by_two_actors(files: _Files, learnt: _Learnt, chance: _Chance, fitted: Fit) -> tuple[F64, F64]:
    """Each level's u, on average and for the rarest value.

    Where equal values are counted, those of pairs that are one actor are taken off.
    """
    pairs, counted, held = learnt.pairs, learnt.pairs.counted, _held()
    every = float(files.accounts * len(files.subjects.alive))
    part = files.accounts / files.sampled
    u, least_u = np.ones((2, len(FIELDS), MAX_LEVELS))
    for f, field in enumerate(FIELDS):
        stronger = 0.0
        for place, level in enumerate(field.levels):
            # Of borrowed levels nobody knows of how many pairs they are a share: of all, then.
            both = every if held[f, place] else max(chance.both[f] * every, 1.0)
            compared = RANDOM_PAIRS if held[f, place] else chance.compared[f]
            stated = level.name in STATED.get(field.name, ())
            often = chance.seen[f, place] >= SEEN_OFTEN
            here = pairs.level[:, f] == place
            if field.name in EQUAL and not stated:
                agreeing = max(files.agreeing(field.name, place) - stronger, 0.0)
                stronger += agreeing
                same = fitted.posterior * np.where(counted, part, 1.0)
                apart = agreeing - same[here].sum()
            else:
                apart = (1 - fitted.posterior[here & counted]).sum() * part
            # What was never seen is put at half a pair.
            u[f, place] = max(apart, 0.5) / both
            if often and (stated or field.name not in EQUAL):
                u[f, place] = chance.seen[f, place] / compared
            least_u[f, place] = u[f, place] if often and stated else 2.0**-level.floor
            rare = pairs.surprise[:, f] >= level.belief * level.floor - 1e-6
            wrong = (here & rare & (pairs.known == TWO_ACTORS)).sum()
            if wrong >= PROVEN_WRONG:
                least_u[f, place] = max(least_u[f, place], wrong / every)
    return np.clip(u, LEAST_U, 1.0), least_u
