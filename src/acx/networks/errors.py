"""What can go wrong with networks."""

from acx.errors import AcxError


class NetworkError(AcxError):
    """A network that cannot be made or shown."""


class UnknownRing(NetworkError):
    """A ring or report that is not there."""
