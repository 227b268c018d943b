"""The charts: precision and recall, one line a contender; how probabilities turn out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.matching.scoring import Curve

MOST_POINTS: Final = 600
"""Of a curve: more are not seen, and make large files."""


def draw(curves: Mapping[str, Curve], title: str, path: Path) -> bool:
    """Draw curves to an SVG file; False where matplotlib is not there (`uv sync --group bench`).

    Args:
        curves: by contender, the first one drawn strongest.
        title: what was measured.
        path: where to.
    """
    plt = _pyplot()
    if plt is None:
        return False
    figure, (whole, corner) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axes in (whole, corner):
        for place, (name, curve) in enumerate(curves.items()):
            points = curve.points.gather_every(max(1, len(curve.points) // MOST_POINTS))
            axes.plot(
                points["recall"],
                points["precision"],
                label=name,
                linewidth=2.4 if place == 0 else 1.4,
                zorder=10 - place,
            )
        axes.axhline(0.99, color="grey", linewidth=0.7, linestyle=":")
        axes.set_xlabel("recall: share of come-backs found")
        axes.grid(visible=True, alpha=0.25)
    whole.set(xlim=(0, 1.01), ylim=(0, 1.02), ylabel="precision: share of hits that are right")
    corner.set(xlim=(0.4, 1.005), ylim=(0.9, 1.003), title="the same, enlarged")
    whole.set_title(title)
    whole.legend(loc="lower left")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def draw_reliability(turned_out: Mapping[str, pl.DataFrame], title: str, path: Path) -> bool:
    """Draw how many hits of a probability are right; False where matplotlib is not there.

    Args:
        turned_out: `scoring.reliability` by the prior that was stated.
        title: what was measured.
        path: where to.
    """
    plt = _pyplot()
    if plt is None:
        return False
    figure, axes = plt.subplots(figsize=(5.6, 5.2), layout="constrained")
    axes.plot([0.5, 1], [0.5, 1], color="grey", linewidth=0.8, linestyle=":", label="calibrated")
    for name, bins in turned_out.items():
        axes.errorbar(
            bins["stated"],
            bins["right"],
            yerr=[bins["right"] - bins["low"], bins["high"] - bins["right"]],
            marker="o",
            capsize=3,
            label=name,
        )
    axes.set(xlim=(0.5, 1.01), ylim=(0, 1.03), title=title)
    axes.set_xlabel("probability that acx states, mean of the bin")
    axes.set_ylabel("share of hits that are right, with its 95 % interval")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower right")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def _pyplot() -> Any:
    """Matplotlib, writing the same SVG each time; None where it is not there."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "acx"
    from matplotlib import pyplot as plt

    return plt
