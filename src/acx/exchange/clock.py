"""The exchange's clock: UTC, and told to nobody finer than the hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_HOUR = "%Y-%m-%dT%HZ"

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, aware of its zone."""
    return datetime.now(UTC)


def hour_text(moment: datetime) -> str:
    """The UTC hour of a moment, `YYYY-MM-DDTHHZ`; texts compare as the moments do."""
    return moment.astimezone(UTC).strftime(_HOUR)


def parse_hour(text: str) -> datetime:
    """The moment an hour begins."""
    return datetime.strptime(text, _HOUR).replace(tzinfo=UTC)


def years_after(moment: datetime, years: int) -> datetime:
    """The same day so many years on, or ago if negative; of 29 February, the 28th."""
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:
        return moment.replace(year=moment.year + years, day=28)
