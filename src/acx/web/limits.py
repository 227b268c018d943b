"""What one caller may ask at once. Held in memory, by key or token, and told to nobody."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from acx.errors import AcxError

MAX_CALLERS: Final = 10_000
"""Callers remembered; the one not seen for longest is forgotten, its allowance full again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """An allowance.

    Attributes:
        per_second: requests, in the long run.
        burst: requests at once.
    """

    per_second: float
    burst: int


class Allowance:
    """A token bucket per caller."""

    def __init__(
        self,
        rate: Rate,
        refusal: type[AcxError],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Everybody's is full.

        Args:
            rate: of each caller.
            refusal: raised at who has used it up.
            clock: seconds.
        """
        self._rate = rate
        self._refusal = refusal
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, caller: str) -> None:
        """Count one request.

        Raises:
            AcxError: the allowance is used up.
        """
        with self._lock:
            now = self._clock()
            left, since = self._buckets.pop(caller, (float(self._rate.burst), now))
            left = min(self._rate.burst, left + (now - since) * self._rate.per_second)
            spent = left < 1
            self._buckets[caller] = (left if spent else left - 1, now)
            if len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
        if spent:
            raise self._refusal(
                f"more than {self._rate.per_second:g} requests a second: wait a little"
            )


async def bounded(chunks: AsyncIterator[bytes], limit: int, refusal: type[AcxError]) -> bytes:
    """A body, read no further than the limit.

    Raises:
        AcxError: it is longer.
    """
    parts = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise refusal(f"the body may have {limit} bytes here")
        parts.append(chunk)
    return b"".join(parts)
