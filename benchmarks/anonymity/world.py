"""A simulated exchange: what members do, and what the operator can record of it.

The product's own: how long posts wait (`Spacing.wait`), from when follow-ups leave
(`follow_ups_from`), whether a command reads before it posts (`reads_before_posting`), from when an
issuer key is believed (`believed_from`) and when its credential is fetched (`fetching_time`,
`LOOK_SECONDS`). Made up, and stated here: who the members are, when they work and read, and the
clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, Literal

from acx.member.issuer_keys import LOOK_SECONDS, fetching_time
from acx.member.spacing import Spacing, follow_ups_from, reads_before_posting
from acx.records.event import IssuerKey
from acx.records.issuer_keys import (
    PUBLISHED_AHEAD,
    PublishedKey,
    believed_from,
    next_period,
)

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MEMBERS: Final = 200
PERIODS: Final = 10
RUNS_A_PERIOD: Final = 5.0
"""Commands that post, a member and quarter on average. All are equally active, so that chance is
one of two hundred: who knows which stores report much guesses better without any record."""
RELAYS: Final = 3
START: Final = datetime(2027, 1, 1, tzinfo=UTC)
_SECONDS_OF_A_POST: Final = 0.3

Habit = Literal["connected", "hourly", "nightly", "office", "seldom"]
"""How a member reads: connected by `acx watch` on a server; `acx sync` once an hour by the clock;
one job a night that syncs and then reports; connected while its office is open; or nothing but what
commands read that post."""


@dataclass(frozen=True, slots=True)
class Way:
    """How members post.

    Attributes:
        spacing: how long posts wait; None for at once (`--now`).
        reads_beside: whether each command reads before it posts, as `--now` does.
        relayed: whether posts go through a relay.
    """

    spacing: Spacing | None
    reads_beside: bool = False
    relayed: bool = True


@dataclass(frozen=True, slots=True)
class Post:
    """A post, as the exchange sees it; whose it is only the simulation knows.

    Attributes:
        at: seconds since the start.
        type: the event's.
        address: the relay's, below 0; or the member's.
        about: time at which what it is about came into the log; -1 for a report.
        run: the command that sent it.
        member: whose.
    """

    at: float
    type: str
    address: int
    about: float
    run: int
    member: int


@dataclass(slots=True)
class Seen:
    """What the operator can record of one member, under its name.

    Attributes:
        reads: times at which it fetched pages or connected; up to date from then on.
        streams: from when to when it was connected, and so up to date throughout.
        issued: times at which credentials were issued to it.
        office: hour of the day (UTC) at which its office opens, for whoever knows its country.
    """

    office: float
    reads: list[float] = field(default_factory=list)
    streams: list[tuple[float, float]] = field(default_factory=list)
    issued: list[float] = field(default_factory=list)


@dataclass(slots=True)
class World:
    """All that was recorded, and in `Post.member` and `Post.run` the truth."""

    seen: list[Seen]
    posts: list[Post]
    periods: list[float]


def simulate(habits: dict[Habit, float], way: Way, seed: int, *, periods: int = PERIODS) -> World:
    """Quarters of two hundred members.

    Args:
        habits: share of the members with each.
        way: how all of them post.
        seed: of everything that is drawn.
        periods: how many quarters.
    """
    random = Random(seed)
    starts = [START]
    while len(starts) <= periods:
        starts.append(next_period(starts[-1]))
    ends = [(moment - START).total_seconds() for moment in starts]
    end = ends[-1]
    who: list[Habit] = random.choices(list(habits), list(habits.values()), k=MEMBERS)
    seen = [Seen(office=random.uniform(0.0, 24.0)) for _ in who]
    runs: list[tuple[float, int]] = []
    for member, habit in enumerate(who):
        _read(seen[member], habit, end, random)
        count = _poisson(RUNS_A_PERIOD * periods, random)
        runs += [(at, member) for at in _commands(seen[member], habit, count, end, random)]
    runs.sort()
    posts: list[Post] = []
    published: list[float] = []
    for number, (at, member) in enumerate(runs):
        _post(number, at, member, seen[member], way, posts, published, random)
    for record in seen:
        record.reads.sort()
        _fetch_credentials(record, starts, random)
    posts.sort(key=lambda post: post.at)
    return World(seen, [post for post in posts if post.at < end], ends)


def _read(seen: Seen, habit: Habit, end: float, random: Random) -> None:
    """When a member reads, whatever it has to say."""
    if habit == "connected":
        # The server or the line restarts about once a day.
        at = 0.0
        while at < end:
            until = at + random.expovariate(1 / DAY)
            seen.streams.append((at, min(until, end)))
            at = until + random.uniform(0.5, 5.0)
    elif habit == "hourly":
        phase = random.uniform(0.0, HOUR)
        seen.reads += [
            hour * HOUR + phase + random.uniform(0.0, 5.0) for hour in range(int(end / HOUR))
        ]
    elif habit == "nightly":
        # Between one and five at night, where the office opens at nine.
        phase = ((seen.office - random.uniform(4.0, 8.0)) % 24) * HOUR
        seen.reads += [
            day * DAY + phase + random.uniform(0.0, 30.0) for day in range(int(end / DAY))
        ]
    elif habit == "office":
        for day in range(int(end / DAY)):
            if day % 7 < 5:
                opens = day * DAY + seen.office * HOUR + random.gauss(0.0, 15 * MINUTE)
                seen.streams.append((opens, opens + random.gauss(8.5, 0.5) * HOUR))
    seen.reads += [start for start, _ in seen.streams]
    seen.reads.sort()


def _commands(seen: Seen, habit: Habit, count: int, end: float, random: Random) -> list[float]:
    """When a member runs a command that posts: at work on weekdays, or in its nightly job."""
    times: list[float] = []
    for _ in range(count):
        day = int(random.uniform(0, end / DAY))
        if habit == "nightly":
            times.append(seen.reads[min(day, len(seen.reads) - 1)] + random.uniform(60.0, 180.0))
            continue
        while day % 7 >= 5:
            day = int(random.uniform(0, end / DAY))
        hour = random.uniform(0.5, 7.5) if habit == "office" else random.uniform(0.0, 8.0)
        times.append(day * DAY + (seen.office + hour) * HOUR)
    return [at for at in times if 15 * DAY < at < end]


def _post(
    run: int,
    at: float,
    member: int,
    seen: Seen,
    way: Way,
    posts: list[Post],
    published: list[float],
    random: Random,
) -> None:
    """One command: what it reads, and what it posts when."""
    if way.reads_beside or reads_before_posting(_synced(seen, at), at):
        seen.reads.insert(bisect_left(seen.reads, at), at)
        at += 1.0
    said = [_said(seen, at, published, random) for _ in range(1 + _geometric(random))]
    if way.spacing is not None and way.spacing.delay:
        # What may leave now goes before what others may not have read about.
        said.sort(key=lambda what: max(at, _from(what[1])))
    for place, (type_, about) in enumerate(said):
        at += _SECONDS_OF_A_POST
        if way.spacing is not None:
            if way.spacing.delay:
                at = max(at, _from(about))
            at += way.spacing.wait(type_, first=not place, random=random)
        address = -1 - random.randrange(RELAYS) if way.relayed else member
        posts.append(Post(at, type_, address, about, run, member))
        if type_ == "report":
            published.append(at)


def _said(seen: Seen, at: float, published: list[float], random: Random) -> tuple[str, float]:
    """What a post says: its type, and when what it is about came into the log."""
    if published and random.random() < 0.4:
        about = _about(seen, at, published, random)
        if about >= 0:
            return random.choice(("corroboration", "corroboration", "outcome")), about
    return "report", -1.0


def _from(about: float) -> float:
    """From when a post may leave that is about what was published then."""
    return follow_ups_from(about // HOUR * HOUR) if about >= 0 else 0.0


def _about(seen: Seen, at: float, published: list[float], random: Random) -> float:
    """An earlier report that the member has read: some days old, or what it has just learnt."""
    known = _synced(seen, at)
    wanted = known - random.lognormvariate(math.log(DAY), 1.5)
    place = bisect_left(published, wanted)
    return published[place] if place < len(published) and published[place] <= known else -1.0


def _synced(seen: Seen, at: float) -> float:
    """Until when a member knows the log, as its replica says; 0 for never."""
    place = bisect_left(seen.streams, (at, 0.0)) - 1
    if place >= 0 and at <= seen.streams[place][1]:
        return at
    place_of_read = bisect_left(seen.reads, at) - 1
    last = seen.reads[place_of_read] if place_of_read >= 0 else -math.inf
    return max(last, seen.streams[place][1] if place >= 0 else -math.inf)


def _fetch_credentials(seen: Seen, starts: list[datetime], random: Random) -> None:
    """When a member's credentials were issued: as `IssuerKeys.renew` does, at its looks."""
    for start in starts[1:]:
        published = start - PUBLISHED_AHEAD + timedelta(hours=random.randrange(24))
        key = IssuerKey(id="k", public_key="", not_before=f"{start:%Y-%m-%dT%HZ}")
        believed = believed_from([PublishedKey(0, published, key)])["k"]
        first = _look(seen, (believed - START).total_seconds(), random)
        due = fetching_time(start, START.timestamp() + first, random) - START.timestamp()
        fetched = _look(seen, due, random)
        if fetched < math.inf:
            seen.issued.append(fetched)


def _look(seen: Seen, at: float, random: Random) -> float:
    """The first moment from `at` on at which a member looks whether a credential is due."""
    place = bisect_left(seen.streams, (at, 0.0)) - 1
    if place >= 0 and at <= seen.streams[place][1]:
        return at + random.uniform(0.0, LOOK_SECONDS)
    place = bisect_left(seen.reads, at)
    return seen.reads[place] if place < len(seen.reads) else math.inf


def _poisson(mean: float, random: Random) -> int:
    count, at = 0, random.expovariate(1.0)
    while at < mean:
        count, at = count + 1, at + random.expovariate(1.0)
    return count


def _geometric(random: Random) -> int:
    """How many more posts a command has: none in half of the cases."""
    count = 0
    while random.random() < 0.5:
        count += 1
    return count
