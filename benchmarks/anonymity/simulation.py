"""Who reported? 200 members over 10 quarters; what the operator can record names nobody.

Data: simulated members that read and post on a simulated clock (`world.py` says what is simulated
and what is the product's own code). What the exchange can record of it, transport included, goes to
two attacks (`attack.py`): the member that read last before the post, and gradient boosting trained
on the truth of six of the quarters and asked about the last four.
Bar: with relay and spacing as they come, and with `delay = 600`, neither ranks the reporter better
than chance (1 of 200; mean rank 100.5), 95 % intervals; without them they do. What is left is shown
below that.

    python -m benchmarks anonymity.simulation
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from acx.member.spacing import Spacing
from benchmarks.anonymity.attack import Verdict, learnt, nearest, records, verdict
from benchmarks.anonymity.world import DAY, MEMBERS, PERIODS, Habit, Way, simulate

SEED = 20261125
BEFORE, AFTER = range(6), range(6, PERIODS)
"""Quarters from which the adversary learns; and where those are of the same world, the others."""
WORLDS = 3
"""How many worlds the case is played in that the bar is on, so that a small leak would show."""
CHART = Path(__file__).parent / "simulation.svg"

DELAYED = Way(Spacing(delay=600))
DAY_LONG = Way(Spacing(delay=DAY))
AS_ADVISED: dict[Habit, float] = {"connected": 0.7, "hourly": 0.3}


@dataclass(frozen=True, slots=True)
class Case:
    """One world, and what the operator knows of it besides.

    Attributes:
        name: what is shown.
        way: how members post.
        habits: how they read.
        knows_offices: the operator knows in which hours each member works.
        knows_truth: it knows who sent what in the six quarters before, and learns from that.
    """

    name: str
    way: Way = DELAYED
    habits: dict[Habit, float] = field(default_factory=lambda: AS_ADVISED)
    knows_offices: bool = False
    knows_truth: bool = False


PROTECTED = Case("relay and spacing, as they come", Way(Spacing()))
REPORTERS = "  of these, nothing but reports"
FOLLOWERS = "  of these, corroborations and outcomes too"
CASES = (
    Case("no relay, at once (`--direct --now`)", Way(None, reads_beside=True, relayed=False)),
    Case("relay, at once (`--now`: reads, then posts)", Way(None, reads_beside=True)),
    Case("relay, spacing, but reading beside the post", Way(Spacing(), reads_beside=True)),
    Case("the same, `delay = 600`", Way(Spacing(delay=600), reads_beside=True)),
    PROTECTED,
    Case("the same, `delay = 600`"),
)
LEFT = (
    Case("one nightly job that syncs and reports", habits={"nightly": 1.0}),
    Case("the same, `delay = 86400`", DAY_LONG, {"nightly": 1.0}),
    Case("nothing is read but by what posts", habits={"seldom": 1.0}),
    Case("connected in office hours alone", habits={"office": 1.0}),
    Case("the operator knows the offices' hours", knows_offices=True),
    Case("the same, `delay = 86400`", DAY_LONG, knows_offices=True),
    Case("it knows who sent all of six quarters", knows_truth=True),
)


def main() -> None:
    print(f"{MEMBERS} members, {PERIODS} quarters; chance: 0.5 %, mean rank 100.5; seed {SEED}")
    print(f"{'':50}  commands  who read last: top-1, mean rank    learnt: top-1, mean rank")
    shown: list[tuple[str, Verdict, Verdict]] = []
    for case in CASES + LEFT:
        if case is LEFT[0]:
            print("what is left, with relay, spacing and `delay = 600`:")
        started = time.process_time()
        for name, by_time, by_learning in _attacked(case):
            shown.append((name, by_time, by_learning))
            print(
                f"{name:50} {by_time.commands:9,}  {_line(by_time)}  {_line(by_learning)}",
                flush=True,
            )
            if name is REPORTERS:
                better = by_time.beats_chance or by_learning.beats_chance
        print(f"  ({time.process_time() - started:.0f} s)", flush=True)
    print(f"bar: the reporter is named {'BETTER' if better else 'no better'} than by chance")
    _draw(shown)


def _attacked(case: Case) -> list[tuple[str, Verdict, Verdict]]:
    """What both attacks find, each after learning from another world; by what the commands sent."""
    by_time, by_learning, reports = [], [], []
    for seed in range(SEED, SEED + 2 * (WORLDS if case is PROTECTED else 1), 2):
        world = simulate(case.habits, case.way, seed)
        other = world if case.knows_truth else simulate(case.habits, case.way, seed + 1)
        known = records(other, BEFORE, knows_offices=case.knows_offices)
        asked = records(
            world, AFTER if case.knows_truth else range(PERIODS), knows_offices=case.knows_offices
        )
        by_time.append(nearest(asked))
        by_learning.append(learnt(known, asked, seed))
        reports.append(asked.reports)
    found = [(case.name, verdict(by_time), verdict(by_learning))]
    if case is PROTECTED:
        others = [~these for these in reports]
        found += [
            (REPORTERS, verdict(by_time, reports), verdict(by_learning, reports)),
            (FOLLOWERS, verdict(by_time, others), verdict(by_learning, others)),
        ]
    return found


def _line(found: Verdict) -> str:
    low, high = found.first_interval
    below, above = found.rank_interval
    return (
        f"{found.first:6.2%} [{low:6.2%}, {high:6.2%}]"
        f" {found.rank:6.1f} [{below:5.1f}, {above:5.1f}]"
    )


def _draw(shown: list[tuple[str, Verdict, Verdict]]) -> None:
    """Share of commands whose sender is named, by attack, on a logarithmic scale."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no chart: uv sync --group bench")
        return
    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "acx"
    figure, axes = plt.subplots(figsize=(9.5, 6), layout="constrained")
    for place, (_, *both) in enumerate(shown):
        for shift, found, colour in zip((-0.16, 0.16), both, ("#7a8ca3", "#b3312c"), strict=True):
            low, high = found.first_interval
            axes.plot([100 * low, 100 * high], [place + shift] * 2, color=colour, linewidth=2)
            axes.plot(100 * found.first, place + shift, "o", color=colour, markersize=5)
    axes.axvline(100 / MEMBERS, color="black", linewidth=0.8, linestyle=":")
    axes.axhline(len(shown) - len(LEFT) - 0.5, color="grey", linewidth=0.6)
    axes.set_yticks(range(len(shown)), [name.replace("`", "") for name, *_ in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xscale("log")
    ticks = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("commands whose sender the operator names first (dotted: chance, 1 of 200)")
    for label, colour in (("who read last", "#7a8ca3"), ("gradient boosting", "#b3312c")):
        axes.plot([], [], "o-", color=colour, label=label)
    axes.legend(loc="lower right")
    axes.grid(visible=True, axis="x", alpha=0.25)
    figure.savefig(CHART, metadata={"Date": None})
    plt.close(figure)
