"""Issuer keys: from when a member believes one, and which one counts when.

An exchange that could give one member a key of its own, or change keys at a moment when only one
member has something to say, would see who says it. So a key is published in the log ahead of time,
and members use none that is not old enough: until then everybody else has had it too. The rules
stand here because both sides go by them, the exchange when it publishes and the wallet when it
believes; `docs/anonymity.md` argues for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from acx.records.event import IssuerKey, short_id

BELIEVED_AFTER: Final = timedelta(hours=24)
"""Age at which a key is believed."""
EMERGENCY_BELIEVED_AFTER: Final = timedelta(hours=1)
"""Likewise in an emergency: the key before it may be in a thief's hands."""
STARTS_AFTER: Final = timedelta(hours=48)
"""Least time from publishing to using a key, so that wallets can fetch credentials in between."""
EMERGENCY_STARTS_AFTER: Final = timedelta(hours=2)
EMERGENCY_EVERY: Final = timedelta(days=7)
"""A second emergency in that time is none for the wallets: its key has to be a day old."""
PUBLISHED_AHEAD: Final = timedelta(days=14)
"""How long before its period the next period's key is published."""
OVERLAP: Final = timedelta(minutes=10)
"""How long around a change of keys both are taken, as clocks differ."""

_HOUR: Final = "%Y-%m-%dT%HZ"
_MONTHS: Final = 3


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A key as the log has it.

    Attributes:
        index: place of its `key` event.
        taken: the hour at which the log took it, as the entry says.
        key: the event's body.
        founding: whether it stands before the first admission.
    """

    index: int
    taken: datetime
    key: IssuerKey
    founding: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A key, and from when it is used.

    Attributes:
        order: of two keys that could be used, the one with the higher order is.
        id: the key's id.
        starts: from when it could be used.
    """

    order: int
    id: str
    starts: datetime


def request_context(origin: str) -> bytes:
    """What all credentials of an exchange are issued for; no period, role or right is in it."""
    return b"acx-credential/v1\x00" + origin.encode()


def issuer_key_id(public_key: bytes) -> str:
    """The id of an issuer key, which stands for this key alone."""
    return short_id(public_key)


def parse_hour(text: str) -> datetime:
    """The moment at which an hour of the log begins."""
    return datetime.strptime(text, _HOUR).replace(tzinfo=UTC)


def next_period(moment: datetime) -> datetime:
    """When the quarter after a moment's begins, UTC."""
    quarter, year = (moment.month - 1) // _MONTHS + 1, moment.year
    if quarter == 12 // _MONTHS:
        quarter, year = 0, year + 1
    return datetime(year, quarter * _MONTHS + 1, 1, tzinfo=UTC)


def believed_from(keys: Sequence[PublishedKey]) -> dict[str, datetime]:
    """From when each key may be believed, by id, as far as its age goes.

    A key counts as of the end of the hour in which it was taken. The founding key counts at once:
    it stood in the log before there was anybody to be singled out by it.

    Args:
        keys: in the order of the log.
    """
    believed: dict[str, datetime] = {}
    last_emergency = datetime.min.replace(tzinfo=UTC)
    for published in keys:
        wait = BELIEVED_AFTER
        if published.key.emergency:
            if published.taken - last_emergency >= EMERGENCY_EVERY:
                wait = EMERGENCY_BELIEVED_AFTER
            last_emergency = published.taken
        if published.founding:
            moment = published.taken
        else:
            moment = published.taken + timedelta(hours=1) + wait
        believed.setdefault(published.key.id, moment)
    return believed


def in_force(terms: Iterable[Term], now: datetime) -> Term | None:
    """The key that is used at a moment: of those that have started, the one published last.

    So whatever is published voids what was published before it and has not started by then.
    """
    started = [term for term in terms if term.starts <= now]
    return max(started, key=lambda term: term.order, default=None)


def usable(terms: Iterable[Term], now: datetime) -> list[Term]:
    """The key in force and those that will be, in the order in which they start."""
    known = list(terms)
    current = in_force(known, now)
    coming = [term for term in known if term.starts > now and in_force(known, term.starts) == term]
    return ([current] if current else []) + sorted(coming, key=lambda term: term.starts)
