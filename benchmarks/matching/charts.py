"""The curves of precision and recall, one line a contender."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.matching.scoring import Curve


def draw(curves: Mapping[str, Curve], title: str, path: Path) -> bool:
    """Draw curves to an SVG file; False where matplotlib is not there (`uv sync --group bench`).

    Args:
        curves: by contender, the first one drawn strongest.
        title: what was measured.
        path: where to.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        return False
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "acx"
    from matplotlib import pyplot as plt

    figure, (whole, corner) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axes in (whole, corner):
        for place, (name, curve) in enumerate(curves.items()):
            axes.plot(
                curve.points["recall"],
                curve.points["precision"],
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
