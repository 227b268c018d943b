"""What explains a pair: an explanation, or a hit's reasons, with both sides' values beside it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from acx.cli.output import note
from acx.cli.waterfall import Step, Waterfall, as_html, as_svg, as_text

if TYPE_CHECKING:
    from acx.matching import Explanation, Weight
    from acx.matching.model import Weights
    from acx.records.account import Account

DRAWINGS: Final = {".html": as_html, ".svg": as_svg}
SOURCES: Final = {
    "name": ("name", "alias"),
    "related": ("related", "name", "alias"),
    "website": ("website", "email"),
    "handle": ("handle", "email", "contact"),
    "phone": ("phone", "contact"),
}
"""Fields of an account whose values a field of the model compares, where it is not the same one."""
COMPARED_VALUES: Final = 40
"""Values of a side among which the ones that are alike are looked for."""

DIGEST_SHOWN: Final = 15
"""Characters of a digest that are shown."""

explain_out_option = click.option(
    "--explain-out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the explanation into FILE: .html, or .svg.",
)


def check_drawing(out: Path | None) -> None:
    """Refuse a drawing of no known kind before any work begins."""
    if out is not None and out.suffix.lower() not in DRAWINGS:
        raise click.UsageError(f"--explain-out {out}: name a file that ends in .html or .svg")


def print_waterfall(waterfall: Waterfall) -> None:
    """Print a waterfall as wide as the terminal, coloured where there is one."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    columns = shutil.get_terminal_size().columns
    click.echo(as_text(waterfall, width=columns, colour=colour))


def draw(waterfall: Waterfall, out: Path) -> None:
    """Draw a waterfall into a file, as its name says."""
    from acx.records.files import AtomicFile

    with AtomicFile(out) as file:
        file.write(DRAWINGS[out.suffix.lower()](waterfall).encode())
    note(f"drawn -> {out}")


def waterfall(
    explanation: Explanation,
    account: Account,
    subject: Account,
    *,
    table: Weights,
    default_country: str = "",
) -> Waterfall:
    """An explanation with both sides' values beside it.

    Args:
        explanation: of the pair.
        account: the one.
        subject: the other.
        table: the weights it was explained with.
        default_country: where national phone numbers are tried last.
    """
    *weights, prior = explanation.weights
    return Waterfall(
        account_id=account.id,
        subject_id=subject.id,
        prior=prior.bits,
        steps=tuple(_step(each, account, subject, table, default_country) for each in weights),
        bits=sum(each.bits for each in explanation.weights),
        probability=explanation.probability,
        level=explanation.level,
        limit=_limit(weights, explanation.probability, explanation.level),
    )


def explanation_of(reasons: Iterable[str], probability: float, level: str) -> Explanation:
    """The explanation that a hit's reasons are; their bits are rounded to two digits."""
    from acx.matching import Explanation, Weight

    weights = []
    for reason in reasons:
        field, comparison, bits = reason.split(":")
        weights.append(Weight(field=field, comparison=comparison, bits=float(bits)))
    return Explanation(weights=weights, probability=probability, level=level)


def _step(
    weight: Weight, account: Account, subject: Account, table: Weights, default_country: str
) -> Step:
    from acx.matching.model import FIELDS, NUMBERS

    number = NUMBERS[weight.field]
    places = [level.name for level in FIELDS[number].levels]
    m = u = None
    if weight.comparison in places:
        m = float(2.0 ** table.m[number, places.index(weight.comparison)])
        # What it weighs tells how rare the matcher took the very value to be.
        u = m * 2.0**-weight.bits
    ours, theirs = (_values(weight.field, side, default_country) for side in (account, subject))
    ours, theirs = _alike_first(ours, theirs)
    return Step(
        field=weight.field,
        comparison=weight.comparison,
        bits=weight.bits,
        m=m,
        u=u,
        account=ours,
        subject=theirs,
    )


def _values(field: str, account: Account, default_country: str) -> tuple[str, ...]:
    """The values that a field compares, identifiers in the one writing in which they are equal."""
    from acx.records.normalise import NotNormalisable, is_digest, normalise

    found: list[str] = []
    for source in SOURCES.get(field, (field,)):
        held = getattr(account, source)
        values = (held,) if isinstance(held, str) else held
        for value in filter(None, values):
            if is_digest(value):
                found.append(f"{value[:DIGEST_SHOWN]}…")
                continue
            if source in ("name", "alias", "related", "address"):
                found.append(value)
                continue
            try:
                found.append(normalise(source, value, account.country, default_country))
            except NotNormalisable:
                found.append(value)
    return tuple(dict.fromkeys(found))


def _alike_first(
    ours: Sequence[str], theirs: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both sides' values, the two that are most alike first."""
    if (len(ours) < 2 and len(theirs) < 2) or not ours or not theirs:
        return tuple(ours), tuple(theirs)
    from anyascii import anyascii
    from rapidfuzz import fuzz, process

    def folded(values: Sequence[str]) -> list[str]:
        return [anyascii(value).casefold() for value in values[:COMPARED_VALUES]]

    scores = process.cdist(folded(ours), folded(theirs), scorer=fuzz.token_sort_ratio)
    best, other = divmod(int(scores.argmax()), scores.shape[1])
    return _moved_up(ours, best), _moved_up(theirs, other)


def _moved_up(values: Sequence[str], place: int) -> tuple[str, ...]:
    return (values[place], *values[:place], *values[place + 1 :])


def _limit(weights: Sequence[Weight], probability: float, level: str) -> str:
    """Why a pair as probable as this is not `exact`, where it is not."""
    from acx.matching.model import EXACT_PROBABILITY, FIELDS, NUMBERS

    if probability < EXACT_PROBABILITY or level == "exact":
        return ""
    against = [
        each.field
        for each in weights
        if each.comparison == "differs" and FIELDS[NUMBERS[each.field]].contradicts
    ]
    if against:
        return f"not exact all the same: {', '.join(against)} contradicts"
    return (
        "not exact all the same: that needs two independent agreeing fields, one of them an"
        " identifier"
    )
