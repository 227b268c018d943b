"""The simulated operator names who hurries, and nobody whose posts go as they come."""

from __future__ import annotations

import pytest
from benchmarks.anonymity.attack import nearest, records, verdict
from benchmarks.anonymity.simulation import AS_ADVISED, DELAYED
from benchmarks.anonymity.world import MEMBERS, Way, simulate

from acx.member.spacing import Spacing


def named(way: Way) -> float:
    """Share of a quarter's commands whose sender read last."""
    world = simulate(AS_ADVISED, way, seed=7, periods=1)
    return verdict([nearest(records(world, range(1)))]).first


@pytest.mark.parametrize("relayed", [False, True])
def test_who_reads_and_posts_at_once_is_named(*, relayed: bool) -> None:
    assert named(Way(None, reads_beside=True, relayed=relayed)) > 0.9


@pytest.mark.parametrize("way", [Way(Spacing()), DELAYED], ids=["as it comes", "delayed"])
def test_who_reads_nothing_beside_a_post_is_one_of_many(way: Way) -> None:
    assert named(way) < 5 / MEMBERS
