"""The operator's side: from what was recorded, name the member that sent what a command posted.

The adversary is given more than it would have: it knows which posts came of one command. To learn,
it simulates an exchange of the same kind itself, with other members, since the code is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.anonymity.world import DAY, HOUR, MEMBERS, MINUTE, World

OTHERS = 20
"""Members that a command is told apart from while learning, drawn for each."""
HOURS = 24
NEVER = 400 * DAY

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How often an attack named the right one.

    Attributes:
        commands: how many it was asked about.
        first: share of them whose sender was ranked first; ties count in part.
        first_interval: 95 % interval of that share (Wilson).
        rank: mean rank of the sender.
        rank_interval: 95 % interval of the mean.
    """

    commands: int
    first: float
    first_interval: tuple[float, float]
    rank: float
    rank_interval: tuple[float, float]

    @property
    def beats_chance(self) -> bool:
        """Whether the sender is ranked better than by guessing, beyond the interval."""
        return self.first_interval[0] > 1 / MEMBERS or self.rank_interval[1] < (MEMBERS + 1) / 2


@dataclass(slots=True)
class Records:
    """What the operator has, as arrays: one row a command, its first post standing for it.

    Attributes:
        features: commands by members by features.
        sender: of each command, the truth.
        reports: whether it sent nothing but reports.
    """

    features: npt.NDArray[np.float32]
    sender: npt.NDArray[np.int64]
    reports: npt.NDArray[np.bool_]


def records(world: World, periods: range, *, knows_offices: bool = False) -> Records:
    """Compute what an operator could make of each command and each member.

    Args:
        world: what was recorded.
        periods: whose commands are looked at.
        knows_offices: whether it knows where the members are, and so when they work.
    """
    by_run: dict[int, list[int]] = {}
    for place, post in enumerate(world.posts):
        by_run.setdefault(post.run, []).append(place)
    since, until = world.periods[periods.start], world.periods[periods.stop]
    by_run = {
        run: places for run, places in by_run.items() if since <= world.posts[places[0]].at < until
    }
    firsts = [world.posts[places[0]] for places in by_run.values()]
    times = np.array([post.at for post in firsts])
    lasts = np.array([world.posts[places[-1]].at for places in by_run.values()])
    addresses = np.array([post.address for post in firsts])
    # The newest report that anything in the command is about: its sender has read that.
    about = np.array([max(world.posts[p].about for p in places) for places in by_run.values()])
    all_times = np.array([post.at for post in world.posts])
    burst = np.searchsorted(all_times, times + 10 * MINUTE) - np.searchsorted(all_times, times)
    columns = [
        _of_member(world, member, times, lasts, addresses, about, knows_offices=knows_offices)
        for member in range(MEMBERS)
    ]
    features = np.stack(columns, axis=1)
    sizes = np.array([len(places) for places in by_run.values()])
    shared = np.stack([burst, sizes, (times / HOUR) % 24], axis=1)[:, None, :]
    shared = np.broadcast_to(shared, (*features.shape[:2], shared.shape[2]))
    nearest = features[:, :, :1].argsort(axis=1).argsort(axis=1)
    return Records(
        np.concatenate([features, nearest, shared], axis=2).astype(np.float32),
        np.array([post.member for post in firsts]),
        about < 0,
    )


def _of_member(
    world: World,
    member: int,
    times: Floats,
    lasts: Floats,
    addresses: npt.NDArray[np.int64],
    about: Floats,
    *,
    knows_offices: bool,
) -> Floats:
    """Commands by features, for one member."""
    seen = world.seen[member]
    reads, issued = np.array(seen.reads), np.array(seen.issued)
    since, until = _around(reads, times)
    since_issued, until_issued = _around(issued, times)
    # A read that keeps no habit: how much its distance to the one before differs from the usual.
    gaps = np.diff(reads) if len(reads) > 2 else np.array([NEVER])
    usual = float(np.median(gaps))
    place = np.clip(np.searchsorted(reads, times) - 2, 0, len(gaps) - 1)
    odd = np.abs(gaps[place] - usual) / usual
    near = np.searchsorted(reads, times + 10 * MINUTE) - np.searchsorted(reads, times - 10 * MINUTE)
    starts = np.array([start for start, _ in seen.streams] or [-2.0])
    ends = np.array([end for _, end in seen.streams] or [-1.0])
    stream = np.clip(np.searchsorted(starts, times) - 1, 0, None)
    connected = (starts[stream] <= times) & (times <= ends[stream])
    still = (starts[stream] <= lasts) & (lasts <= ends[stream])
    read_about, _ = _around(reads, times, from_=about)
    has_read = connected | np.isfinite(read_about)
    profile = np.histogram((reads / HOUR) % 24, HOURS, (0, 24))[0] / max(len(reads), 1)
    usually = profile[((times / HOUR) % 24).astype(int) % HOURS]
    features = [
        np.minimum(since, NEVER), np.minimum(until, NEVER), np.minimum(since_issued, NEVER),
        np.minimum(until_issued, NEVER), odd, near, connected, still, has_read, usually,
        addresses == member,
    ]  # fmt: skip
    if knows_offices:
        features.append(((times / HOUR) % 24 - seen.office) % 24)
    return np.stack([np.asarray(column, np.float32) for column in features], axis=1)


def _around(moments: Floats, times: Floats, from_: Floats | None = None) -> tuple[Floats, Floats]:
    """Seconds since the last moment before each time, and until the next after it."""
    if not len(moments):
        never = np.full(len(times), np.inf)
        return never, never
    place = np.searchsorted(moments, times)
    before = np.where(place > 0, moments[np.maximum(place - 1, 0)], -np.inf)
    after = np.where(place < len(moments), moments[np.minimum(place, len(moments) - 1)], np.inf)
    if from_ is not None:
        before = np.where(before >= from_, before, -np.inf)
    return times - before, after - times


Ranks = tuple[Floats, Floats]
"""Of each command: the share of a first place that its sender got, and its rank."""


def nearest(asked: Records) -> Ranks:
    """Name who read last before the command's first post."""
    return _ranks(-asked.features[:, :, 0], asked.sender)


def learnt(known: Records, asked: Records, seed: int) -> Ranks:
    """Name whom gradient boosting thinks most probable.

    Args:
        known: commands whose senders the adversary knows, to learn from.
        asked: commands to name the senders of.
        seed: of the learning.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(seed)
    commands = np.arange(len(known.sender))
    others = random.integers(0, MEMBERS, (len(commands), OTHERS))
    pairs = np.concatenate([known.sender[:, None], others], axis=1)
    right = pairs == known.sender[:, None]
    rows = known.features[commands[:, None], pairs].reshape(-1, known.features.shape[2])
    model = HistGradientBoostingClassifier(max_iter=100, random_state=seed)
    model.fit(rows, right.reshape(-1))
    scores = model.decision_function(asked.features.reshape(-1, asked.features.shape[2]))
    return _ranks(scores.reshape(-1, MEMBERS), asked.sender)


def _ranks(scores: npt.NDArray[np.floating[Any]], sender: npt.NDArray[np.int64]) -> Ranks:
    """Where the senders come among the members; ties share what they would get."""
    own = scores[np.arange(len(sender)), sender][:, None]
    above = (scores > own).sum(axis=1)
    level = (scores == own).sum(axis=1)
    return np.where(above == 0, 1 / level, 0.0), above + (level + 1) / 2


def verdict(
    worlds: Sequence[Ranks], these: Sequence[npt.NDArray[np.bool_]] | None = None
) -> Verdict:
    """How an attack did.

    Args:
        worlds: of each what the attack found, by command.
        these: of each which commands count; all without.
    """
    chosen = np.concatenate(these) if these else slice(None)
    firsts = np.concatenate([first for first, _ in worlds])[chosen]
    ranks = np.concatenate([rank for _, rank in worlds])[chosen]
    count = len(ranks)
    share, mean = float(firsts.mean()), float(ranks.mean())
    spread = 1.96 * float(ranks.std(ddof=1)) / count**0.5
    return Verdict(count, share, _wilson(share, count), mean, (mean - spread, mean + spread))


def _wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * ((share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5)
    return max(0.0, middle - half), min(1.0, middle + half)
