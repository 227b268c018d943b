"""What can go wrong when shipments are ranked."""

from __future__ import annotations

from acx.errors import AcxError


class CustomsError(AcxError):
    """Something has to be put right before shipments can be ranked."""


class BadShipments(CustomsError):
    """A file of shipments that cannot be used as it is."""


class BadModel(CustomsError):
    """A model file that is damaged, of another version, or not one of ours."""


class BadCapacity(CustomsError):
    """A capacity or share that is none."""


class MissingLibrary(CustomsError):
    """A library that only the extra `customs` brings."""
