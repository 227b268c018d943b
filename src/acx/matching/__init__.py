"""Finding the same actor: keys, candidates, comparisons, weights, probability, level, reasons.

`match` compares two files of accounts; `SubjectIndex` is built once from the subjects and asked for
one account (`check`) or many (`screen`).
"""

from acx.matching.decide import Hit
from acx.matching.errors import BadIndex, BadOption, MatchingError
from acx.matching.index import SubjectIndex, match
from acx.matching.options import MatchOptions

__all__ = ["BadIndex", "BadOption", "Hit", "MatchOptions", "MatchingError", "SubjectIndex", "match"]
