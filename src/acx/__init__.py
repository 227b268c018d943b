"""acx: an anti-counterfeiting exchange."""

__version__ = "0.1.0"
