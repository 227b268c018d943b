"""What can go wrong with a relay, for the person who runs it."""

from __future__ import annotations

from acx.errors import AcxError


class RelayError(AcxError):
    """The relay cannot be run as asked."""
