"""Work for all cores: kernels release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
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
