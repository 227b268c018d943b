"""How to match."""

from __future__ import annotations

import msgspec

from acx.matching.errors import BadOption
from acx.matching.model import DEFAULT_PRIOR, LEVELS, Weights


class MatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to match.

    Attributes:
        level: weakest level to return, `exact`, `strong` or `possible`.
        prior: share of accounts expected to be somebody among the subjects.
        default_country: where national phone numbers are tried after the account's countries.
        subjects_country: the same for subjects; None where it is `default_country` too.
        matching_key: the exchange's; with it, `h1:` digests of the subjects match plain values.
        same_file: both sides are one file: a row is not compared with itself.
        weights: the model's, where they were estimated; None for the shipped ones.
    """

    level: str = "possible"
    prior: float = DEFAULT_PRIOR
    default_country: str = ""
    subjects_country: str | None = None
    matching_key: bytes | None = None
    same_file: bool = False
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise BadOption(f"level {self.level!r}: must be one of {', '.join(LEVELS)}")
        if not 0 < self.prior < 1:
            raise BadOption(f"prior {self.prior}: must be between 0 and 1, both excluded")
