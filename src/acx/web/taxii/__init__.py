"""TAXII 2.1 at `/taxii2/`: the exchange's reports for whoever reads STIX feeds already."""

from acx.web.taxii.app import PREFIX, taxii_app

__all__ = ["PREFIX", "taxii_app"]
