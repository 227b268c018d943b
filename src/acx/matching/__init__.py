"""Finding the same actor: keys, candidates, comparisons, weights, probability, level, reasons.

`match` compares two files of accounts; `SubjectIndex` is built once from the subjects and asked for
one account (`check`) or many (`screen`); `explain` shows how one pair's probability comes about.
"""

from acx.matching.decide import Explanation, Hit, Weight
from acx.matching.errors import BadIndex, BadOption, MatchingError, UnknownSubject
from acx.matching.index import SubjectIndex, explain, match
from acx.matching.options import MatchOptions

__all__ = [
    "BadIndex",
    "BadOption",
    "Explanation",
    "Hit",
    "MatchOptions",
    "MatchingError",
    "SubjectIndex",
    "UnknownSubject",
    "Weight",
    "explain",
    "match",
]
