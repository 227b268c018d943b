"""What one caller may ask of the exchange at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from acx.exchange.errors import RateLimited, TooLarge
from acx.web import limits
from acx.web.limits import Rate as Rate

MAX_SMALL_BODY: Final = 16 * 1024

READS: Final = Rate(per_second=50, burst=500)
CREDENTIALS: Final = Rate(per_second=1, burst=50)
JOINS: Final = Rate(per_second=5, burst=100)
TESTS: Final = Rate(per_second=0.1, burst=5)
TEXTS: Final = Rate(per_second=5, burst=100)


class Allowance(limits.Allowance):
    """A token bucket per caller; `spend` raises `RateLimited`."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        """Everybody's is full."""
        super().__init__(rate, RateLimited, clock)


async def bounded(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """A body, read no further than the limit.

    Raises:
        TooLarge: it is longer.
    """
    return await limits.bounded(chunks, limit, TooLarge)
