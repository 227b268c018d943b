"""Contexts: which tags an event must carry.

A context names what a member may do once: report within a day's rate, stand behind a version of a
report, tell an outcome. `docs/reference/protocol.md` lists them by type.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from acx.exchange.errors import WrongContexts, WrongDate
from acx.records.event import (
    Corroboration,
    Event,
    outcome_context,
    rate_context,
    stand_context,
)

MIDNIGHT_GRACE: Final = timedelta(minutes=10)
"""How near midnight a report may carry the other day's date."""

_VERSION: Final = r"[1-9][0-9]{0,8}"
_RATE: Final = "rate/"


def check_contexts(event: Event, now: datetime) -> None:
    """Check that an event carries tags in the contexts its type needs, and in no others.

    What depends on the report's state (its version, whose tag it is) is the fold's matter.

    Raises:
        WrongContexts: with those that are expected.
        WrongDate: all is as it should, but for the day.
    """
    carried = frozenset(event.tags)
    if bool(event.tags) != bool(event.key):
        raise WrongContexts("an event names the key of its tags if it carries any, and only then")
    allowed = _allowed(event, carried, now)
    if carried not in allowed:
        if _undated(carried) in map(_undated, allowed):
            raise WrongDate(
                f"a report is dated of the day on which it is posted: {_listed(allowed[0])}, and "
                f"not {_listed(carried)}. Authorise it anew; if the day is right, set the clock"
            )
        raise WrongContexts(
            f"a {event.type} carries tags for {_listed(allowed[0])}, this one for "
            f"{_listed(carried)}"
        )


def _allowed(event: Event, carried: frozenset[str], now: datetime) -> list[frozenset[str]]:
    """The sets of contexts an event may carry, the usual one first."""
    match event.type:
        case "report":
            stand = stand_context(event.report, 1)
            return [frozenset({rate_context(day), stand}) for day in _days(now)]
        case "corroboration":
            body = event.body()
            version = body.version if isinstance(body, Corroboration) else 0
            return [frozenset({stand_context(event.report, version)})]
        case "outcome":
            return [frozenset({outcome_context(event.report)})]
        case "amendment" | "answer":
            return _own_stand(event, carried)
        case _:
            return [frozenset()]


def _own_stand(event: Event, carried: frozenset[str]) -> list[frozenset[str]]:
    """One `stand` of the report, or for an amendment those of two versions in a row."""
    stand = re.compile(rf"stand/{re.escape(event.report)}/({_VERSION})", re.ASCII)
    versions = sorted(int(match[1]) for match in map(stand.fullmatch, carried) if match)
    first = versions[0] if versions else 1
    one = frozenset({stand_context(event.report, first)})
    if event.type == "answer":
        return [one]
    return [one, one | {stand_context(event.report, first + 1)}]


def _undated(contexts: frozenset[str]) -> list[str]:
    return sorted(_RATE if context.startswith(_RATE) else context for context in contexts)


def _days(now: datetime) -> list[str]:
    """Today, and the neighbouring day while midnight is near."""
    moments = (now, now - MIDNIGHT_GRACE, now + MIDNIGHT_GRACE)
    return list(dict.fromkeys(moment.strftime("%Y-%m-%d") for moment in moments))


def _listed(contexts: frozenset[str]) -> str:
    return ", ".join(sorted(contexts)) or "nothing"
