"""Our records in others' formats: STIX 2.1 and FollowTheMoney (`docs/interchange.md`).

Pure: a report's view goes in, plain JSON objects come out, the same on the exchange, on a replica
and in an export. Nothing here reads a clock, a file or the network.
"""

from acx.interchange.ftm import Ftm
from acx.interchange.stix import Stix
from acx.interchange.stix_ids import stix_id

__all__ = ["Ftm", "Stix", "stix_id"]
