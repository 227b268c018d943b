"""Estimated weights as a file: what `acx match --estimate` learns and other commands match with.

The file holds numbers only: m and u of every level of every field, and the prior. What a field is,
which levels identify an actor and how far an agreement's rarity is believed stay the model's. Two
things hold of any file that loads, whoever wrote it: a stronger agreement never weighs less than a
weaker one, and no weight is further from the shipped one than `MOST_ADDED` and `MOST_TAKEN` bits.
So a bad estimate, or a bad file, makes matching worse, but never lets one weak field decide.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from acx.matching import model
from acx.matching.decide import bits_needed, prior_bits
from acx.matching.errors import BadWeights
from acx.matching.model import FIELDS, SMALLEST_CROWD, Weights
from acx.records.files import AtomicFile

FORMAT: Final = "acx-weights/1"
MOST_BYTES: Final = 1 << 20

MOST_ADDED: Final = 3.0
"""Bits that an estimate may add to a shipped weight."""
MOST_TAKEN: Final = 10.0
"""Bits that an estimate may take from the shipped weight of an agreement."""
LEAST_CONTRADICTION: Final = -1.0
"""Bits that a difference counts against at least, where it rules out level `exact`."""
LEAST_PRIOR: Final = 1e-6
MOST_PRIOR: Final = 0.3
MOST_WEAK: Final = bits_needed("exact") - prior_bits(MOST_PRIOR, SMALLEST_CROWD)
"""Bits that an agreement which identifies nobody has at most: alone, it never makes `exact`."""
_ROUNDING: Final = 1e-6
_AGAIN: Final = "estimate again: acx match … --estimate --out-weights FILE"


class LevelWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way in which values of a field agree.

    Attributes:
        name: the level.
        m: share of pairs of one actor, both with a value, that agree so.
        u: share of pairs of two actors that do, on average over all values.
        least_u: the same for a value that nobody else has; a value's own u is never taken lower.
    """

    name: str
    m: float
    u: float
    least_u: float


class FieldWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field's levels, strongest first.

    Attributes:
        name: the field.
        levels: the levels.
        differs: bits where both sides have a value and none agrees.
    """

    name: str
    levels: tuple[LevelWeights, ...]
    differs: float


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where weights come from: sizes and counts, no names and no values.

    Attributes:
        acx: version of acx.
        made_on: day, YYYY-MM-DD.
        accounts: rows of the one file.
        subjects: rows of the other.
        sampled: accounts whose candidates were compared.
        pairs: pairs that were compared.
        labelled: pairs whose label was learnt from.
        matches: pairs of one actor among those compared, as far as known or expected.
        rounds: rounds of EM; 0 where only labels were used.
        converged: whether a further round would have changed next to nothing.
    """

    acx: str
    made_on: str
    accounts: int
    subjects: int
    sampled: int
    pairs: int
    labelled: int
    matches: float
    rounds: int
    converged: bool


class ModelWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All numbers of the model.

    Attributes:
        format: version of the file.
        prior: share of accounts expected to be somebody among the subjects.
        fields: every field of the model, in its order.
        provenance: where they come from; None for the shipped ones.
    """

    format: str
    prior: float
    fields: tuple[FieldWeights, ...]
    provenance: Provenance | None = None

    def table(self) -> Weights:
        """The weights as compiled code reads them."""
        table = model.weights()
        for f, field in enumerate(self.fields):
            for place, level in enumerate(field.levels):
                table.m[f, place] = np.log2(level.m)
                table.floor[f, place] = -np.log2(level.least_u)
            table.differs[f] = field.differs
        return table


def shipped() -> ModelWeights:
    """The weights that acx comes with; average u is not known there, and least u stands for it."""
    return ModelWeights(
        format=FORMAT,
        prior=model.DEFAULT_PRIOR,
        fields=tuple(
            FieldWeights(
                name=field.name,
                levels=tuple(
                    LevelWeights(
                        name=level.name, m=level.m, u=2.0**-level.floor, least_u=2.0**-level.floor
                    )
                    for level in field.levels
                ),
                differs=field.differs,
            )
            for field in FIELDS
        ),
    )


def most_bits(field: int, place: int, level: LevelWeights) -> float:
    """What an agreement weighs on a value that nobody else has."""
    belief = FIELDS[field].levels[place].belief
    return math.log2(level.m) - belief * math.log2(level.least_u)


def bounded(weights: ModelWeights) -> ModelWeights:
    """The nearest weights that keep within the bounds.

    m stays as measured; least u takes up what an agreement would weigh too much or too little.
    """
    return msgspec.structs.replace(
        weights,
        prior=min(max(weights.prior, LEAST_PRIOR), MOST_PRIOR),
        fields=tuple(_bounded_field(f, field) for f, field in enumerate(weights.fields)),
    )


def _bounded_field(f: int, field: FieldWeights) -> FieldWeights:
    levels: list[LevelWeights] = []
    stronger = math.inf
    for place, level in enumerate(field.levels):
        least, most = _agreement_bounds(f, place)
        bits = min(max(most_bits(f, place, level), least), most, stronger)
        if bits != most_bits(f, place, level):
            belief = FIELDS[f].levels[place].belief
            least_u = 2.0 ** ((math.log2(level.m) - bits) / belief)
            level = msgspec.structs.replace(level, least_u=least_u)
        levels.append(level)
        stronger = bits
    least, most = _difference_bounds(f)
    differs = min(max(field.differs, least), most)
    return msgspec.structs.replace(field, levels=tuple(levels), differs=differs)


def _agreement_bounds(f: int, place: int) -> tuple[float, float]:
    """Least and most bits of an agreement on a value that nobody else has."""
    field, level = FIELDS[f], FIELDS[f].levels[place]
    bits = math.log2(level.m) + level.belief * level.floor
    most = bits + MOST_ADDED
    if place >= field.identifies:
        most = min(most, max(bits, MOST_WEAK))
    return max(bits - MOST_TAKEN, 0.0), most


def _difference_bounds(f: int) -> tuple[float, float]:
    """Least and most bits of a difference."""
    field = FIELDS[f]
    most = min(0.0, field.differs + MOST_ADDED)
    if field.contradicts:
        most = min(most, LEAST_CONTRADICTION)
    return min(field.differs - MOST_ADDED, most), most


def save(weights: ModelWeights, path: Path | str) -> None:
    """Write weights, whole or not at all; `-` is standard output.

    Raises:
        Unwritable: the system refuses.
    """
    text = msgspec.json.format(msgspec.json.encode(weights), indent=2)
    with AtomicFile(path) as file:
        file.write(text + b"\n")


def load(path: Path | str) -> ModelWeights:
    """Read weights; nothing in the file is executed, and none of its numbers is believed unchecked.

    Raises:
        BadWeights: there is no such file, or it is not one this acx can match with.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadWeights(f"{path}: cannot read the weights: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise BadWeights(f"{path}: more than 1 MiB, so no weights of acx; {_AGAIN}")
    try:
        return decode(data)
    except BadWeights as error:
        raise BadWeights(f"{path}: {error}") from None


def decode(data: bytes) -> ModelWeights:
    """The weights that bytes are.

    Raises:
        BadWeights: they are none.
    """
    try:
        found = msgspec.json.decode(data, type=_Head).format
        if found != FORMAT:
            raise BadWeights(
                f"the format is {found[:40]!r}, and this acx reads {FORMAT!r}; {_AGAIN}"
            )
        weights = msgspec.json.decode(data, type=ModelWeights)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadWeights(f"not weights of acx: {error}; {_AGAIN}") from None
    _check(weights)
    return weights


class _Head(msgspec.Struct):
    """What tells the version, before anything else is looked at."""

    format: str


def _check(weights: ModelWeights) -> None:
    if not LEAST_PRIOR <= weights.prior <= MOST_PRIOR:
        raise BadWeights(
            f"prior is {weights.prior}, which must be from {LEAST_PRIOR} to {MOST_PRIOR}; to match"
            " with a higher one, say --prior"
        )
    have = [(field.name, [level.name for level in field.levels]) for field in weights.fields]
    need = [(field.name, [level.name for level in field.levels]) for field in FIELDS]
    if have != need:
        odd = next(
            (n for (n, levels), mine in zip(have, need, strict=False) if (n, levels) != mine),
            "their number",
        )
        raise BadWeights(
            f"the fields and levels are not those of this acx's model (first: {odd!r}); {_AGAIN}"
        )
    for f, field in enumerate(weights.fields):
        _check_field(f, field)


def _check_field(f: int, field: FieldWeights) -> None:
    stronger = math.inf
    for place, level in enumerate(field.levels):
        where = f"{field.name}:{level.name}"
        for name in ("m", "u", "least_u"):
            if not 0 < getattr(level, name) <= 1:
                raise BadWeights(
                    f"{where}: {name} is {getattr(level, name)}, which must be above 0 and at"
                    f" most 1; {_AGAIN}"
                )
        least, most = _agreement_bounds(f, place)
        _require(where, most_bits(f, place, level), min(least, stronger), min(most, stronger))
        stronger = most_bits(f, place, level)
    if sum(level.m for level in field.levels) > 1 + _ROUNDING:
        raise BadWeights(f"{field.name}: the m of its levels sum to more than 1; {_AGAIN}")
    _require(f"{field.name}:differs", field.differs, *_difference_bounds(f))


def _require(where: str, bits: float, least: float, most: float) -> None:
    if not least - _ROUNDING <= bits <= most + _ROUNDING:
        raise BadWeights(
            f"{where} weighs {bits:+.2f} bits, and {least:+.2f} to {most:+.2f} are allowed (no"
            f" further from what acx ships, no stronger than a stronger agreement); {_AGAIN}"
        )
