"""What can go wrong in matching."""

from __future__ import annotations

from acx.errors import AcxError


class MatchingError(AcxError):
    """Root of the room's errors."""


class BadOption(MatchingError):
    """An option is outside what it can be; the message names it and its bounds."""

    exit_code = 2


class BadIndex(MatchingError):
    """An index on disk is missing, damaged or of another version: build it again."""


class NoIndex(BadIndex):
    """There is no index where one was looked for."""


class BadWeights(MatchingError):
    """Weights that cannot be matched with: estimate them again."""


class NothingToLearn(MatchingError):
    """Files or labels that weights cannot be estimated from."""


class NoSpace(MatchingError):
    """What a large seller base needs on disk does not fit there."""


class UnknownSubject(MatchingError):
    """An id is no subject's."""
