"""The script one writes first, exact identifiers and rapidfuzz: `SUBJECTS SELLERS HITS`.

Names are compared where they share a word that is not too common. Each agreeing identifier adds
one to the likeness of the names.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from preparation import LISTS, read, write
from rapidfuzz import fuzz

TOO_COMMON = 300
LIKE_ENOUGH = 80


def run(subjects_path: str, sellers_path: str, hits_path: str) -> None:
    """Match two files."""
    subjects = read(subjects_path)
    by_key = defaultdict(list)
    for place, subject in enumerate(subjects):
        for key in {*values(subject), *words(subject)}:
            by_key[key].append(place)
    hits = []
    for seller in read(sellers_path):
        agreeing = defaultdict(float)
        for value in values(seller):
            for place in by_key.get(value, ())[:TOO_COMMON]:
                agreeing[place] += 1
        near = [by_key.get(word, ()) for word in words(seller)]
        places = {
            *agreeing,
            *(place for found in near if len(found) <= TOO_COMMON for place in found),
        }
        for place in places:
            pairs = ((a, b) for a in seller["names"] for b in subjects[place]["names"])
            likeness = max((fuzz.ratio(a, b) for a, b in pairs), default=0.0)
            if likeness >= LIKE_ENOUGH or agreeing[place]:
                hits.append((seller["id"], subjects[place]["id"], agreeing[place] + likeness / 100))
    write(hits_path, hits)


def values(account: dict) -> list[tuple[str, str]]:
    """Identifiers, each with its field."""
    return [(field, value) for field in LISTS for value in account[field]]


def words(account: dict) -> set[str]:
    """Words of all names."""
    return {word for name in account["names"] for word in name.split()}


if __name__ == "__main__":
    run(*sys.argv[1:4])
