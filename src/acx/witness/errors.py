"""What can go wrong with a witness, for the person who runs it."""

from __future__ import annotations

from acx.errors import AcxError


class WitnessError(AcxError):
    """The witness's directory is missing, damaged, or not for this."""
