"""A pair's match weights as a waterfall: from the prior, field by field, to the log-odds.

Pure: a `Waterfall` in, text, SVG or HTML out. Values come from strangers, so nothing of them is
ever markup: they are escaped, marks that nobody sees are spelled out, and each stands isolated, so
that a right-to-left one cannot turn the line around. The drawings need no script, no font and no
network, follow the reader's light or dark, and say in words all that they show in bars.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, Literal

import click
import msgspec
from rich.cells import cell_len, set_cell_size

Sign = Literal["for", "against", "neutral"]

SHOWN_VALUES: Final = 2
"""Values of a side that a line of text shows; HTML and JSON have all."""
LEAST_WIDTH: Final = 40
MOST_WIDTH: Final = 120
NOTHING: Final = "\N{EN DASH}"
LONGEST_VALUE: Final = 300
"""Characters of a value that are drawn."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says.

    Attributes:
        field: a field of an account.
        comparison: how its values compare.
        bits: the match weight, log2(m/u).
        m: how often two accounts of one actor compare so; None where it is not stated.
        u: how often two actors' do, this value's frequency considered; None likewise.
        account: the account's values, those that matter most first.
        subject: the subject's, likewise.
    """

    field: str
    comparison: str
    bits: float
    m: float | None = None
    u: float | None = None
    account: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair's probability comes about.

    Attributes:
        account_id: the account.
        subject_id: the subject or report.
        prior: bits, before anything is compared.
        steps: strongest first.
        bits: the log-odds, prior and steps together.
        probability: that both are one actor.
        level: `exact`, `strong`, `possible`, or empty.
        limit: why the level is not the one that the probability alone would give; mostly empty.
    """

    account_id: str
    subject_id: str
    prior: float
    steps: tuple[Step, ...]
    bits: float
    probability: float
    level: str
    limit: str = ""


class _Bar(msgspec.Struct, frozen=True):
    """A line of the waterfall: from where to where it falls or rises, in bits."""

    label: str
    detail: str
    start: float
    end: float
    sign: Sign
    step: Step | None = None

    @property
    def bits(self) -> float:
        return self.end - self.start if self.step or self.label == "prior" else self.end


def _bars(waterfall: Waterfall) -> list[_Bar]:
    bars = [_Bar("prior", "before anything is compared", 0.0, waterfall.prior, "neutral")]
    at = waterfall.prior
    for step in waterfall.steps:
        sign: Sign = "for" if step.bits > 0 else "against" if step.bits < 0 else "neutral"
        bars.append(_Bar(step.field, step.comparison, at, at + step.bits, sign, step))
        at += step.bits
    return [*bars, _Bar("log-odds", "all together", 0.0, waterfall.bits, "neutral")]


def _scale(bars: Sequence[_Bar]) -> tuple[float, float]:
    """Least and most bits, with even odds (0) between them."""
    ends = [0.0, *(bar.start for bar in bars), *(bar.end for bar in bars)]
    return min(ends), max(max(ends), min(ends) + 1.0)


def signed(bits: float) -> str:
    """Bits with their sign, as people write it."""
    return f"{bits:+.1f}".replace("-", "\N{MINUS SIGN}")


def percent(probability: float) -> str:
    """A probability, with as many digits as tell it from 0 and 1."""
    for digits in (1, 2, 4):
        text = f"{100 * probability:.{digits}f}"
        if 0 < float(text) < 100:
            return f"{text} %"
    return "over 99.9999 %" if probability > 0.5 else "under 0.0001 %"


def odds(bits: float) -> str:
    """Log-odds in words: one in so many."""
    side, other = ("right", "wrong") if bits > 0 else ("wrong", "right")
    times = "over a million" if abs(bits) > 20 else _count(2.0 ** abs(bits))
    return f"{side} {times} times for each time {other}"


def _count(number: float) -> str:
    return f"{float(f'{number:.2g}'):,.0f}" if number >= 10 else f"{number:.1f}"


def visible(value: str) -> str:
    """A value as it may be drawn: what is invisible spelled out, what is endless cut."""
    shown = "".join(
        f"\N{MATHEMATICAL LEFT ANGLE BRACKET}{ord(c):04X}\N{MATHEMATICAL RIGHT ANGLE BRACKET}"
        if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        else c
        for c in value[:LONGEST_VALUE]
    )
    return shown + "…" if len(value) > LONGEST_VALUE else shown


def headline(waterfall: Waterfall) -> str:
    """The outcome in a sentence."""
    level = waterfall.level or "no hit"
    return f"{level}: probability {percent(waterfall.probability)}, {odds(waterfall.bits)}"


# -- text -----------------------------------------------------------------------------------------


_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"
_COLOURS: Final = {"for": "green", "against": "red", "neutral": "blue"}


def as_text(waterfall: Waterfall, *, width: int = 80, colour: bool = False) -> str:
    """The waterfall for a terminal.

    Args:
        waterfall: what to draw.
        width: cells of a line; a Han character takes two.
        colour: whether to colour it by ANSI sequences.
    """
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    bars = _bars(waterfall)
    least, most = _scale(bars)
    label_width = min(max(cell_len(_label(bar)) for bar in bars), width - 22)
    room = width - label_width - 12
    lines = [
        _style(_cut(" and ".join(map(_isolated, _ids(waterfall))), width), colour),
        *textwrap.wrap(headline(waterfall), width),
        *textwrap.wrap(waterfall.limit, width),
        "",
    ]
    for bar in bars:
        if bar.label == "log-odds":
            lines.append("  " + "─" * (width - 2))
        drawn = _drawn(bar, least, most, room).rstrip()
        label = set_cell_size(_label(bar), label_width)
        lines.append(
            f"  {label} {signed(bar.bits):>7}  "
            + (click.style(drawn, fg=_COLOURS[bar.sign]) if colour else drawn)
        )
        if bar.step and (bar.step.account or bar.step.subject):
            lines.append(_compared(bar.step, width, colour=colour))
    return "\n".join(line.rstrip() for line in lines)


def _label(bar: _Bar) -> str:
    return bar.label if bar.step is None else f"{bar.label} {bar.detail}"


def _style(text: str, colour: bool) -> str:
    return click.style(text, bold=True) if colour else text


def _isolated(value: str) -> str:
    shown = visible(value)
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in shown):
        return f"{_ISOLATE}{shown}{_END_ISOLATE}"
    return shown


def _drawn(bar: _Bar, least: float, most: float, room: int) -> str:
    """The bar in half cells, and the line of even odds where no bar covers it."""
    halves = 2 * room / (most - least)
    low, high = sorted((bar.start, bar.end))
    first = min(round((low - least) * halves), 2 * room - 1)
    last = max(round((high - least) * halves), first + 1)
    even = min(int((0 - least) * halves) // 2, room - 1)
    cells = []
    for cell in range(room):
        left, right = first <= 2 * cell < last, first <= 2 * cell + 1 < last
        empty = "┊" if cell == even else " "
        cells.append("█" if left and right else "▌" if left else "▐" if right else empty)
    return "".join(cells)


def _compared(step: Step, width: int, *, colour: bool) -> str:
    """Both sides' values, side by side."""
    room = (width - 9) // 2
    ours, theirs = _few(step.account), _few(step.subject)
    link = "=" if ours == theirs else "≠" if step.comparison == "differs" else "~"
    line = f"      {set_cell_size(_cut(ours, room), room)} {link} {_cut(theirs, room)}"
    return click.style(line, dim=True) if colour else line


def _few(values: Sequence[str]) -> str:
    shown = ", ".join(_isolated(value) for value in values[:SHOWN_VALUES])
    more = len(values) - SHOWN_VALUES
    return f"{shown} +{more}" if more > 0 else shown or NOTHING


def _cut(text: str, width: int) -> str:
    """Text of at most so many cells, an isolate it opened closed again."""
    if cell_len(text) <= width:
        return text
    cut = set_cell_size(text, width - 1).rstrip()
    open_isolates = cut.count(_ISOLATE) - cut.count(_END_ISOLATE)
    return f"{cut}…" + _END_ISOLATE * open_isolates


# -- SVG ------------------------------------------------------------------------------------------

_PALETTE: Final = """
  --ground: #ffffff; --ink: #1c1e21; --quiet: #5b6169; --line: #d4d8de;
  --for: #1a7f4b; --against: #c0392b; --neutral: #3b6ea8;"""
_DARK: Final = """
  --ground: #15171a; --ink: #e8eaed; --quiet: #a2a9b2; --line: #3a3f46;
  --for: #4fc38a; --against: #f08072; --neutral: #7fb0e6;"""

_SVG_STYLE: Final = f"""
svg {{{_PALETTE} color-scheme: light dark }}
@media (prefers-color-scheme: dark) {{ svg {{{_DARK} }} }}
text {{ fill: var(--ink); unicode-bidi: isolate; font-variant-numeric: tabular-nums }}
line {{ stroke: var(--line) }} .ground {{ fill: var(--ground) }} .quiet {{ fill: var(--quiet) }}
.for {{ fill: var(--for) }} .against {{ fill: var(--against) }} .neutral {{ fill: var(--neutral) }}
"""

SVG_WIDTH: Final = 760
_ROW: Final = 46
_LEFT: Final = 190
_RIGHT: Final = 70
_TOP: Final = 84


def as_svg(waterfall: Waterfall) -> str:
    """The waterfall as a picture that stands by itself.

    Screen readers are told it as a table, row by row.
    """
    bars = _bars(waterfall)
    least, most = _scale(bars)
    unit = (SVG_WIDTH - _LEFT - _RIGHT) / (most - least)
    height = _TOP + _ROW * len(bars) + 12
    even = _LEFT - least * unit
    title = " and ".join(map(visible, _ids(waterfall)))
    rows = "\n".join(
        line
        for row, bar in enumerate(bars)
        for line in _svg_row(bar, _TOP + row * _ROW, even, unit)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SVG_WIDTH} {height}" width="{SVG_WIDTH}"
 height="{height}" role="group" aria-labelledby="title description"
 font-family="system-ui, sans-serif" font-size="13">
<title id="title">Why {escape(title)} are or are not one actor</title>
<desc id="description">{escape(_in_words(waterfall))}</desc>
<style>{_SVG_STYLE}</style>
<rect class="ground" width="{SVG_WIDTH}" height="{height}"/>
<text x="16" y="28" font-size="16" font-weight="600">{escape(_fitting(title, 84))}</text>
<text x="16" y="50">{escape(headline(waterfall))}</text>
<text x="16" y="70" class="quiet">{escape(_fitting(waterfall.limit, 110))}</text>
<line x1="{even:.1f}" x2="{even:.1f}" y1="{_TOP - 4}" y2="{height - 12}" stroke-dasharray="3 3"/>
<g role="table" aria-label="Match weights, in bits">
{rows}
</g>
</svg>
"""


def _svg_row(bar: _Bar, top: float, even: float, unit: float) -> Iterator[str]:
    low, high = sorted((bar.start, bar.end))
    left, wide = even + low * unit, max((high - low) * unit, 1.5)
    yield '<g role="row">'
    yield (
        f'<text role="cell" x="16" y="{top + 15}">{escape(bar.label)}'
        f' <tspan class="quiet">{escape(bar.detail if bar.step else "")}</tspan></text>'
    )
    yield (
        f'<rect class="{bar.sign}" x="{left:.1f}" y="{top + 3}" width="{wide:.1f}" height="16"'
        ' rx="2" aria-hidden="true"/>'
    )
    yield (
        f'<text role="cell" x="{SVG_WIDTH - 16}" y="{top + 15}" text-anchor="end">'
        f"{signed(bar.bits)}</text>"
    )
    if bar.step and (bar.step.account or bar.step.subject):
        for x, values in ((16, bar.step.account), (SVG_WIDTH // 2, bar.step.subject)):
            shown = escape(_fitting(", ".join(map(visible, values)) or NOTHING, 54))
            yield (
                f'<text role="cell" class="quiet" font-size="11" x="{x}" y="{top + 34}">'
                f"{shown}</text>"
            )
    yield "</g>"


def _fitting(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def _in_words(waterfall: Waterfall) -> str:
    """All of it in sentences."""
    said = [f"{headline(waterfall)}. Prior {signed(waterfall.prior)} bits."]
    said += [
        f"{step.field} {step.comparison} {signed(step.bits)} bits." for step in waterfall.steps
    ]
    return " ".join([*said, waterfall.limit]).strip()


# -- HTML -----------------------------------------------------------------------------------------

_STYLE: Final = f"""
:root {{{_PALETTE} color-scheme: light dark }}
@media (prefers-color-scheme: dark) {{ :root {{{_DARK} }} }}
* {{ box-sizing: border-box }}
body {{ background: var(--ground); color: var(--ink); margin: 0 auto; padding: 1.25rem;
  max-width: 70rem; font: 1rem/1.45 system-ui, sans-serif }}
h1 {{ font-size: 1.3rem; margin: 0 0 .25rem; overflow-wrap: anywhere }}
p {{ margin: .25rem 0 }}
.quiet {{ color: var(--quiet) }}
.outcome {{ font-size: 1.1rem }}
table {{ border-collapse: collapse; width: 100%; margin: 1.25rem 0; table-layout: fixed }}
th, td {{ text-align: start; vertical-align: top; padding: .4rem .5rem; font-weight: 400;
  border-top: 1px solid var(--line); overflow-wrap: anywhere }}
thead th {{ color: var(--quiet); border: 0; font-size: .85rem }}
thead th:nth-child(1) {{ width: 17% }} thead th:nth-child(2) {{ width: 30% }}
thead th:nth-child(3) {{ width: 8% }}
caption {{ text-align: start; margin-bottom: .75rem }}
td.bits {{ text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap }}
thead th.bits {{ text-align: end }}
tbody th b {{ display: block }}
td ul {{ list-style: none; margin: 0; padding: 0 }}
td small {{ color: var(--quiet); display: block }}
.fall {{ position: relative; display: block; height: 1.1rem; margin-top: .15rem }}
.fall::before {{ content: ""; position: absolute; inset: -.4rem auto -.4rem var(--even);
  border-left: 1px dashed var(--line) }}
.fall i {{ position: absolute; top: 0; bottom: 0; left: var(--from); width: max(var(--wide), 2px);
  border-radius: 2px }}
.for i {{ background: var(--for) }} .against i {{ background: var(--against) }}
.neutral i {{ background: var(--neutral) }}
tr.sum th, tr.sum td {{ border-top: 2px solid var(--ink); font-weight: 600 }}
@media (max-width: 46rem) {{
  body {{ padding: .9rem }}
  table, caption, tbody, tr, td, tbody th {{ display: block; width: auto }}
  thead {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }}
  tr {{ position: relative; border-top: 1px solid var(--line); padding: .5rem 0 }}
  tr.sum {{ border-top: 2px solid var(--ink) }}
  th, td, tr.sum th, tr.sum td {{ border: 0; padding: .1rem 0 }}
  tbody th {{ padding-right: 5rem }}
  td.bits {{ position: absolute; right: 0; top: .5rem }}
  td[data-side]:not(:empty)::before {{ content: attr(data-side); display: block;
    color: var(--quiet); font-size: .8rem }}
}}
@media print {{ body {{ max-width: none; padding: 0 }} .fall i {{ print-color-adjust: exact }} }}
"""


_COLUMNS: Final = ("evidence", "weight", "bits", "account", "subject")


def as_html(waterfall: Waterfall) -> str:
    """The waterfall as a page that stands by itself: a table whose second column are the bars."""
    bars = _bars(waterfall)
    least, most = _scale(bars)
    heading = " and ".join(f'<bdi dir="auto">{_text(each)}</bdi>' for each in _ids(waterfall))
    title = " and ".join(map(_text, _ids(waterfall)))
    rows = "\n".join(_html_row(bar, least, most) for bar in bars)
    heads = "".join(
        f'<th role="columnheader" scope="col" class="{name}">{name}</th>' for name in _COLUMNS
    )
    limit = f'<p class="quiet">{escape(waterfall.limit)}</p>' if waterfall.limit else ""
    return f"""<!doctype html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Why {title} are or are not one actor</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
<p class="outcome">{escape(headline(waterfall))}</p>
{limit}
<table role="table">
<caption class="quiet">Match weights in bits, strongest first: each bit for doubles the odds that
both are one actor, each bit against halves them. The dashed line is even odds.</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead>
<tbody role="rowgroup">
{rows}
</tbody>
</table>
<p class="quiet">«One actor» is not «guilty»: read the report, and decide on your own ground.</p>
</main>
</body>
</html>
"""


def _ids(waterfall: Waterfall) -> tuple[str, str]:
    return waterfall.account_id, waterfall.subject_id


def _text(value: str) -> str:
    return escape(visible(value)) or NOTHING


def _html_row(bar: _Bar, least: float, most: float) -> str:
    low, high = sorted((bar.start, bar.end))
    share = 100 / (most - least)
    place = (
        f"--from: {(low - least) * share:.2f}%; --wide: {(high - low) * share:.2f}%;"
        f" --even: {-least * share:.2f}%"
    )
    chance = ""
    if bar.step and bar.step.m is not None and bar.step.u is not None:
        chance = f"<small>{_chances(bar.step.m, bar.step.u)}</small>"
    sides = "".join(
        f'<td role="cell" data-side="{side}">{_values(values)}</td>'
        for side, values in (
            ("account", bar.step.account if bar.step else ()),
            ("subject", bar.step.subject if bar.step else ()),
        )
    )
    row = ' class="sum"' if bar.label == "log-odds" else ""
    return (
        f'<tr role="row"{row}><th role="rowheader" scope="row"><b>{escape(bar.label)}</b>'
        f'{escape(bar.detail)}</th><td role="cell"><span class="fall {bar.sign}" style="{place}"'
        f' aria-hidden="true"><i></i></span>{chance}</td>'
        f'<td role="cell" class="bits">{signed(bar.bits)}</td>{sides}</tr>'
    )


def _chances(m: float, u: float) -> str:
    return f"one actor: {percent(m)} · two actors: 1 in {_count(1 / u)}"


def _values(values: Sequence[str]) -> str:
    if len(values) < 2:
        return "".join(f'<bdi dir="auto">{_text(value)}</bdi>' for value in values)
    items = "".join(f'<li><bdi dir="auto">{_text(value)}</bdi></li>' for value in values)
    return f"<ul>{items}</ul>"
