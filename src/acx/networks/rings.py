"""Rings: groups of accounts that links hold together.

Connected components first. One that is larger than a person can take in is split by the Leiden
algorithm, whose communities are connected; what links two of them is told as a bridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import graspologic_native
import numpy as np
import polars as pl
import rustworkx
from numpy.typing import NDArray

from acx.networks.links import Links

SPLIT: Final = 40
"""Accounts from which on a component is looked at for communities."""
KEY_ACTORS: Final = 3
"""Accounts that are named as a ring's key actors."""
_CENTRAL: Final = 2000
"""Accounts up to which betweenness is computed (it takes accounts by links steps)."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Accounts that links hold together.

    Attributes:
        nodes: their numbers in `Links.accounts`, key actors first.
        betweenness: of each, 0 to 1: share of the shortest ways between others that go through it.
        strength: of each, the bits of its links together.
        bridges: links that lead from here to other rings, where a component was split.
    """

    nodes: tuple[int, ...]
    betweenness: tuple[float, ...]
    strength: tuple[float, ...]
    bridges: int = 0


def find_rings(
    links: Links, *, least: int = 2, split: int = SPLIT, seed: int = 0
) -> tuple[Ring, ...]:
    """Group accounts by their links.

    Args:
        links: of a table of accounts.
        least: accounts that a ring has at least.
        split: accounts from which on a component is split.
        seed: of the Leiden algorithm; the same seed finds the same rings.

    Returns:
        Rings, largest first, then strongest.

    Source: V. A. Traag, L. Waltman, N. J. van Eck, «From Louvain to Leiden», Scientific Reports 9
    (2019); betweenness: U. Brandes, Journal of Mathematical Sociology 25 (2001).
    """
    if links.pairs.is_empty():
        return ()
    a, b = links.pairs["a"].to_numpy(), links.pairs["b"].to_numpy()
    nodes, compact = np.unique(np.concatenate([a, b]), return_inverse=True)
    left, right = compact[: len(a)], compact[len(a) :]
    weight = links.pairs["weight"].to_numpy()
    component = _components(len(nodes), left, right)
    group = _communities(component, left, right, weight, split, seed)
    inside = group[left] == group[right]
    bridged = np.bincount(
        np.concatenate([group[left[~inside]], group[right[~inside]]]), minlength=group.max() + 1
    )
    bits = links.pairs["bits"].to_numpy()
    edges = pl.DataFrame(
        {"group": group[left], "a": left, "b": right, "bits": bits}
    ).filter(pl.Series(inside))  # fmt: skip
    of_group = {
        int(number): part.select("a", "b", "bits").to_numpy()
        for (number,), part in edges.group_by("group", maintain_order=True)
    }
    size = np.bincount(group)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(size)])
    rings = [
        _ring(
            nodes,
            order[starts[number] : starts[number + 1]],
            of_group[number],
            int(bridged[number]),
        )
        for number in np.flatnonzero(size >= max(least, 2)).tolist()
    ]
    return tuple(
        sorted(rings, key=lambda ring: (-len(ring.nodes), -sum(ring.strength), ring.nodes))
    )


def _components(count: int, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The component of each node."""
    graph: rustworkx.PyGraph[None, None] = rustworkx.PyGraph(multigraph=False)
    graph.add_nodes_from([None] * count)
    graph.add_edges_from_no_data(list(zip(left.tolist(), right.tolist(), strict=True)))
    component = np.empty(count, np.int64)
    for number, members in enumerate(rustworkx.connected_components(graph)):
        component[list(members)] = number
    return component


def _communities(
    component: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    weight: NDArray[np.float64],
    split: int,
    seed: int,
) -> NDArray[np.int64]:
    """The ring of each node: its component, or its community within a large one."""
    large = np.bincount(component)[component] >= split
    if not large.any():
        return component
    chosen = large[left]
    members, compact = np.unique(np.concatenate([left[chosen], right[chosen]]), return_inverse=True)
    half = int(chosen.sum())
    rows = np.concatenate([compact[:half], compact[half:]])
    columns = np.concatenate([compact[half:], compact[:half]])
    order = np.lexsort((columns, rows))
    _, found = graspologic_native.leiden_csr(
        np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(members)))]).astype(
            np.int64
        ),
        columns[order].astype(np.int32),
        np.concatenate([weight[chosen], weight[chosen]])[order].astype(np.float64),
        len(members),
        iterations=3,
        seed=seed,
    )
    community = np.array([found[node] for node in range(len(members))], np.int64)
    group = component.copy()
    group[members] = component.max() + 1 + community
    # Numbers without gaps, so that arrays by ring are no larger than they need to be.
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _ring(
    nodes: NDArray[np.int64],
    members: NDArray[np.int64],
    edges: NDArray[np.float64],
    bridges: int,
) -> Ring:
    """One ring, its members in the order of how much goes through them."""
    place = {int(node): number for number, node in enumerate(members.tolist())}
    ends = [(place[int(a)], place[int(b)]) for a, b, _ in edges]
    strength = np.zeros(len(members))
    for (a, b), bits in zip(ends, edges[:, 2], strict=True):
        strength[a] += bits
        strength[b] += bits
    between = _betweenness(len(members), ends)
    ranked = sorted(range(len(members)), key=lambda n: (-between[n], -strength[n], int(members[n])))
    return Ring(
        nodes=tuple(int(nodes[members[n]]) for n in ranked),
        betweenness=tuple(round(between[n], 4) for n in ranked),
        strength=tuple(round(float(strength[n]), 2) for n in ranked),
        bridges=bridges,
    )


def _betweenness(count: int, ends: Sequence[tuple[int, int]]) -> list[float]:
    if count <= 2 or count > _CENTRAL:
        return [0.0] * count
    graph: rustworkx.PyGraph[None, None] = rustworkx.PyGraph(multigraph=False)
    graph.add_nodes_from([None] * count)
    graph.add_edges_from_no_data(list(ends))
    found = rustworkx.graph_betweenness_centrality(graph)
    return [float(found[node]) for node in range(count)]
