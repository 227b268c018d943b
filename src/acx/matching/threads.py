"""Work for all cores: kernels release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results for all items, in their order."""
    listed = list(items)
    if len(listed) < 2 or cores() < 2:
        return [function(item) for item in listed]
    with ThreadPoolExecutor(min(cores(), len(listed))) as threads:
        return list(threads.map(function, listed))


def stream(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results for items in their order; items are drawn a little ahead of the results.

    However many items there are, memory holds a few.
    """
    if cores() < 2:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            for item in items:
                pending.append(threads.submit(function, item))
                if len(pending) > cores():
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
