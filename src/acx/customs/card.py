"""The model card and the evaluation, as one HTML page with its charts in it.

Source: Mitchell et al. (2019), Model Cards for Model Reporting.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import polars as pl

from acx.customs.errors import MissingLibrary
from acx.customs.model import PARAMETERS, ROUNDS, Model

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1, h2 { line-height: 1.2; } table { border-collapse: collapse; margin: 1rem 0; }
.wide { overflow-x: auto; } th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; }
th { text-align: left; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { background: #fff; color: #000; margin: 1rem 0; padding: .5rem; }
figure svg { height: auto; max-width: 100%; } figcaption { font-size: .9rem; }
"""


def model_card(model: Model, fairness: Mapping[str, pl.DataFrame]) -> str:
    """The card of a model.

    Args:
        model: as trained; its `quality` is of shipments that the trees had not seen.
        fairness: how selection falls on groups, by title.
    """
    trained = model.trained
    figures = trained.quality
    labels = "; ".join(
        f"{label.column} ≥ {label.least:g}, weight {label.weight:g}: {rows} inspected, "
        f"{base:.1%} finds"
        for label, rows, base in zip(trained.labels, trained.inspected, trained.base, strict=True)
    )
    facts = [
        ("purpose", "rank shipments for inspection; a person decides to open, and what was found"),
        ("shipments", f"{trained.rows:,}, {trained.first} to {trained.last}"),
        ("labels", labels),
        ("trees", f"XGBoost, {ROUNDS} rounds, {PARAMETERS}"),
        ("seed", str(trained.seed)),
        (
            "exchange",
            f"parties and goods screened against a replica of {trained.log_size} entries"
            if trained.exposure
            else "not used: trained without a replica",
        ),
    ]
    body = [
        "<h1>Model card</h1>",
        _table(("", ""), facts),
        "<h2>How good it is</h2>",
        (
            "<p>By cross-validation on the training file: each shipment is ranked by a model that "
            "has not seen it or its outcome. Intervals hold 95 % of 500 resamplings. On the future "
            "it will be worse: see <code>acx customs evaluate</code>.</p>"
        ),
        quality_table(figures),
        _figure(_curves({"cross-validation": figures}), "Precision and recall by share inspected"),
        "<h2>What it goes by</h2>",
        _table(("feature", "share of gain"), importances(model)[:25]),
        "<h2>On whom it falls</h2>",
        (
            "<p>Names, nationality of persons, sex, age and religion are no features. Country and "
            "importer are: they carry history. A group that is selected more often than its finds "
            "explain deserves a look; reasons are kept for appeal.</p>"
        ),
        *(f"<h3>{escape(title)}</h3>{_frame(table.head(15))}" for title, table in fairness.items()),
        (
            "<h2>Limits</h2><ul>"
            "<li>It learns what inspectors looked for. What they never opened it knows only by "
            "exploration and audit.</li>"
            "<li>Histories age: train again at least every quarter, and when targeting warns of "
            "drift.</li>"
            "<li>A party's match with a report says «the same actor», not «guilty».</li></ul>"
        ),
    ]
    return page("Model card", body)


def evaluation_page(
    title: str,
    tests: Mapping[str, Mapping[str, Any]],
    months: Sequence[Mapping[str, Any]],
    weeks: Sequence[Mapping[str, Any]],
) -> str:
    """An evaluation: figures of each test, months, and the simulated weeks."""
    body = [f"<h1>{escape(title)}</h1>"]
    for name, figures in tests.items():
        body += [f"<h2>{escape(name)}</h2>", quality_table(figures)]
    body.append(_figure(_curves(tests), "Precision and recall by share inspected"))
    if months:
        body += ["<h2>Month by month</h2>", _records(months)]
    if weeks:
        body += [
            "<h2>Weeks with feedback</h2>",
            "<p>Each strategy opens what it selects and learns from nothing else.</p>",
            _figure(_weeks(weeks), "Share of finds among the opened, running mean of four weeks"),
        ]
    return page(title, body)


def quality_table(figures: Mapping[str, Any]) -> str:
    """The figures of a ranking as a table."""
    rows = [
        (
            share,
            *(
                f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
                for value in at.values()
            ),
        )
        for share, at in figures["at"].items()
    ]
    head = ("inspected", *next(iter(figures["at"].values())))
    note = (
        f"<p>{figures['shipments']:,} shipments, {figures['base']:.1%} of them finds; "
        f"AUC {figures['auc']:.3f}.</p>"
    )
    return _table(head, rows) + note


def importances(model: Model) -> list[tuple[str, str]]:
    """Each feature's share of what the trees gained, over all labels, the largest first."""
    gains = model.gains()
    order = np.argsort(-gains, kind="stable")
    total = gains.sum() or 1.0
    return [(model.feature_names[place], f"{gains[place] / total:.1%}") for place in order]


def page(title: str, body: Iterable[str]) -> str:
    """A page that needs nothing else."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _curves(tests: Mapping[str, Mapping[str, Any]]) -> str:
    figure, axes = _plots(2)
    for name, figures in tests.items():
        shares, precision, recall = zip(*figures["curve"], strict=True)
        axes[0].plot(shares, precision, label=name)
        axes[1].plot(shares, recall, label=name)
    axes[0].set(xlabel="share inspected", ylabel="precision", ylim=(0, 1.02))
    axes[1].set(xlabel="share inspected", ylabel="recall", ylim=(0, 1.02))
    if len(tests) > 1:
        axes[0].legend(fontsize="small")
    return _svg(figure)


def _weeks(weeks: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = _plots(1)
    for strategy in dict.fromkeys(row["strategy"] for row in weeks):
        rows = [row for row in weeks if row["strategy"] == strategy]
        found = np.cumsum([0, *(row["found"] for row in rows)])
        opened = np.cumsum([0, *(row["inspected"] for row in rows)])
        width = min(4, len(rows))
        rate = (found[width:] - found[:-width]) / np.maximum(1, opened[width:] - opened[:-width])
        axes[0].plot(range(width, len(rows) + 1), rate, label=strategy)
    axes[0].set(xlabel="week", ylabel="share of finds", ylim=(0, 1.02))
    axes[0].legend()
    return _svg(figure)


def _plots(count: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingLibrary("charts need matplotlib: pip install 'acx[customs]'") from None
    figure = Figure(figsize=(5 * count, 3.6), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _svg(figure: Any) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _figure(svg: str, caption: str) -> str:
    labelled = svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
    return f"<figure>{labelled}<figcaption>{escape(caption)}</figcaption></figure>"


def _frame(table: pl.DataFrame) -> str:
    return _records(list(table.iter_rows(named=True)))


def _records(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(tuple(rows[0]) if rows else (), [tuple(row.values()) for row in rows])


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = "".join(f'<th scope="col">{escape(str(name).replace("_", " "))}</th>' for name in head)
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if place and isinstance(cell, int | float) else ''}>"
            f"{'' if cell is None else escape(str(cell))}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{cells}</tr>{lines}</table></div>'
