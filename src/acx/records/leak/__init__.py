"""The leak lint: nothing that names the contributor leaves.

A report is anonymous only as far as its text is. Here the contributor says what would give it away
(`Contributor`), and every value of a report is read as a person would read it, whatever its
writing: percent-encoded, spaced, in look-alike letters, inside a longer word. What is found is
removed, coarsened, or blocked for a person to decide, and each finding explains itself
(`docs/reference/leak-lint.md`).
"""

from acx.records.leak.contributor import Contributor, LeakError
from acx.records.leak.lint import Action, Cleaned, Finding, clean, lint, unsought

__all__ = [
    "Action",
    "Cleaned",
    "Contributor",
    "Finding",
    "LeakError",
    "clean",
    "lint",
    "unsought",
]
