"""Normalisation `h1`: two writings of the same thing become equal.

Written down in `docs/reference/normalisation.md` and never changed once a log is in use.
`normalise` gives the one writing that is compared and digested, `normalise_all` every other one it
may have been reported under; `mailbox`, `registered_domain`, `latinise` and `skeleton` are looser
evidence for matching, which may get better with time.
"""

from acx.records.normalise.column import map_unique, normalise_all_column, normalise_column
from acx.records.normalise.confusables import skeleton
from acx.records.normalise.email import mailbox
from acx.records.normalise.errors import NotNormalisable
from acx.records.normalise.keyed_digest import digest, digest_all, digest_column
from acx.records.normalise.latin import latinise
from acx.records.normalise.rules import NORMALISABLE_FIELDS, is_digest, normalise, normalise_all
from acx.records.normalise.text import fold_text
from acx.records.normalise.website import registered_domain

__all__ = [
    "NORMALISABLE_FIELDS",
    "NotNormalisable",
    "digest",
    "digest_all",
    "digest_column",
    "fold_text",
    "is_digest",
    "latinise",
    "mailbox",
    "map_unique",
    "normalise",
    "normalise_all",
    "normalise_all_column",
    "normalise_column",
    "registered_domain",
    "skeleton",
]
