"""The exchange's clock: UTC, and told to nobody finer than the hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, aware of its zone."""
    return datetime.now(UTC)


def hour_text(moment: datetime) -> str:
    """The UTC hour of a moment, `YYYY-MM-DDTHHZ`; texts compare as the moments do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%HZ")
