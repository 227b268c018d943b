"""In which hour an entry of the log was taken, as a replica knows it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from acx.member.errors import ReplicaError
from acx.member.replica import Replica


def hours_of(replica: Replica) -> Callable[[int], str]:
    """A function from a place in the log to its UTC hour, `YYYY-MM-DDTHHZ`.

    An entry that is gone has no hour of its own here: it has that of the one before. An hour that
    is earlier than the one before it, by an exchange's clock that was set back, counts as that.

    Raises:
        ReplicaError: nothing was synced yet.
    """
    firsts: list[int] = []
    hours: list[str] = []
    for entry in replica.entries():
        if entry.at and (not hours or entry.at > hours[-1]):
            firsts.append(entry.index if hours else 0)
            hours.append(entry.at)

    if not hours:
        raise ReplicaError(f"{replica.directory} is empty; run `acx sync` first")

    def hour_of(index: int) -> str:
        return hours[max(0, bisect_right(firsts, index) - 1)]

    return hour_of
