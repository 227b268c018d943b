"""The script one writes first: exact identifiers, and rapidfuzz on sorted words: `SUBJECTS SELLERS HITS`.

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
    by_value = defaultdict(list)
    by_word = defaultdict(list)
    for place, subject in enumerate(subjects):
        for field in LISTS:
            for value in subject[field]:
                by_value[field, value].append(place)
        for word in {word for name in subject["names"] for word in name.split()}:
            by_word[word].append(place)
    hits = []
    for seller in read(sellers_path):
        agreeing = defaultdict(float)
        for field in LISTS:
            for value in seller[field]:
                for place in by_value.get((field, value), ())[:TOO_COMMON]:
                    agreeing[place] += 1
        places = set(agreeing)
        for word in {word for name in seller["names"] for word in name.split()}:
            found = by_word.get(word, ())
            if len(found) <= TOO_COMMON:
                places.update(found)
        for place in places:
            likeness = max(
                (fuzz.ratio(a, b) for a in seller["names"] for b in subjects[place]["names"]),
                default=0.0,
            )
            if likeness >= LIKE_ENOUGH or agreeing[place]:
                score = agreeing[place] + likeness / 100
                hits.append((seller["id"], subjects[place]["id"], score))
    write(hits_path, hits)


if __name__ == "__main__":
    run(*sys.argv[1:4])
