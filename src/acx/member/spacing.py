"""When posts leave, so that their times do not tell whose they are.

Two things could tell it. What a member does under its own name just before: so a command that
posts reads nothing, unless the copy of the log is older than a day. And that posts come together:
so those after the first wait for exponential gaps, which look the same however long they lasted.
Whoever wants more sets `delay`: then the first post waits for a random time as well, and what only
who has read a report can say (a corroboration, an outcome) waits until others have read it too.
`benchmarks/anonymity` measures what this hides, and what it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from secrets import SystemRandom
from typing import Final

READ_AFTER_SECONDS: Final = 24 * 3600.0
"""Age of the copy of the log from which a command reads before it posts."""
_HOUR_SECONDS: Final = 3600.0
FOLLOW_UPS_AFTER_SECONDS: Final = 3600.0
"""Age of a report from which a corroboration or an outcome leaves: members that read by the clock
have read it by then, so that those who have not are not left out as the sender."""
SELDOM_SECONDS: Final = 4 * 3600.0
"""Who reads less often than this shows something by when it does."""
_SYSTEM_RANDOM: Final = SystemRandom()


@dataclass(frozen=True, slots=True)
class Spacing:
    """How long posts wait.

    Attributes:
        reports: mean gap in seconds before a report that is not the first post.
        follow_ups: mean gap before anything else that is not.
        delay: longest wait in seconds before the first post; 0 for none, neither there nor before
            follow-ups.
    """

    reports: float = 20.0
    follow_ups: float = 120.0
    delay: float = 0.0

    def wait(self, type_: str, *, first: bool, random: Random = _SYSTEM_RANDOM) -> float:
        """Seconds that a post waits, drawn for it.

        Args:
            type_: the event's.
            first: whether it is the first that a command posts.
            random: what is drawn from.
        """
        if first:
            return random.uniform(0.0, self.delay)
        mean = self._gap(type_)
        return random.expovariate(1 / mean) if mean else 0.0

    def expected(self, waiting: Mapping[str, int], next_: str, *, first: bool) -> float:
        """Seconds that posts will wait in all, on average.

        Args:
            waiting: type ► how many of it are still to go.
            next_: the type of which one goes next.
            first: whether that is the first.
        """
        gaps = sum(count * self._gap(type_) for type_, count in waiting.items())
        return gaps + (self.delay / 2 - self._gap(next_) if first else 0.0)

    def _gap(self, type_: str) -> float:
        return self.reports if type_ == "report" else self.follow_ups


DEFAULT: Final = Spacing()


def follow_ups_from(hour: float) -> float:
    """From when corroborations and outcomes of a report leave, in seconds since 1970.

    Args:
        hour: when the log took the report, to the hour as its entry says, likewise.
    """
    return hour + _HOUR_SECONDS + FOLLOW_UPS_AFTER_SECONDS


def reads_before_posting(synced: float, now: float) -> bool:
    """Whether a copy of the log is so old that it has to be brought up to date before a post.

    Args:
        synced: when its head was last reached, in seconds since 1970; 0 for never.
        now: the moment, likewise.
    """
    return now - synced > READ_AFTER_SECONDS


def reading_shows(synced: float, before: float, now: float, delay: float) -> bool:
    """Whether a member has read so lately, and reads so seldom, that it can be paired with a post.

    Args:
        synced: when it last read, in seconds since 1970; 0 for never.
        before: when it read the time before, likewise.
        now: the moment, likewise.
        delay: longest wait of the post, in seconds.
    """
    usual = synced - before
    return usual > SELDOM_SECONDS and now - synced < SELDOM_SECONDS and delay < usual
