"""How commands read account files: one way of mapping, rejecting and counting for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acx.cli.options import LEVELS
from acx.cli.output import note
from acx.records.files import Mapping, Rejects

if TYPE_CHECKING:
    import click

DONE_WITH_REJECTS = 3
HITS_FOUND = 4


@dataclass(slots=True)
class Input:
    """What `input_options` said.

    Attributes:
        mapping: names of the input's columns, if they are not ours.
        encoding: of text files; None for UTF-8.
        default_country: where national phone numbers are tried last.
        rejects: collects the rows that could not be read.
        hits_found: the command sets it when `--fail-on` is met.
    """

    mapping: Mapping | None
    encoding: str | None
    default_country: str
    rejects: Rejects
    hits_found: bool = False


@contextmanager
def reading(
    ctx: click.Context,
    *,
    out: str,
    mapping: Path | None,
    encoding: str | None,
    default_country: str,
    rejects: Path | None,
    allow_rejects: str | None,
) -> Iterator[Input]:
    """Read input within it; on leaving, warnings are told and the exit code is decided.

    Args:
        ctx: the command's; it ends with exit code 4 if hits were found that `--fail-on` names,
            else with 3 if more rows were rejected than allowed.
        out: the output, beside which rejects go unless `rejects` says where.
        mapping: see `input_options`, as are the others.
        encoding: ditto.
        default_country: ditto.
        rejects: ditto.
        allow_rejects: ditto.
    """
    place = rejects or _beside(out)
    with Rejects(place) as collected:
        given = Input(
            mapping=Mapping.load(mapping) if mapping else None,
            encoding=encoding,
            default_country=default_country.upper(),
            rejects=collected,
        )
        yield given
    for warning in collected.warnings:
        note(f"acx: warning: {warning}")
    if collected.count:
        rows = collected.accepted + collected.count
        note(f"acx: {collected.count} of {rows} rows were rejected: see {place}")
    if given.hits_found:
        ctx.exit(HITS_FOUND)
    if not collected.allowed(allow_rejects):
        ctx.exit(DONE_WITH_REJECTS)


def _beside(out: str) -> Path:
    """`hits.csv` ► `hits.rejects.jsonl`; for standard output, in the working directory."""
    if out == "-":
        return Path("acx.rejects.jsonl")
    path = Path(out)
    stem = path.name.split(".")[0] or path.name
    return path.with_name(f"{stem}.rejects.jsonl")


def meets(fail_on: str | None, levels: Iterable[str]) -> bool:
    """Whether one of these levels is what `--fail-on` waits for."""
    return fail_on is not None and not set(levels).isdisjoint(LEVELS[: LEVELS.index(fail_on) + 1])
