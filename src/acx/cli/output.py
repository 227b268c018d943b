"""What commands print: text for people, JSON for scripts, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


def print_json(value: object) -> None:
    """Print one JSON document on a line: any record, list or mapping of acx."""
    click.echo(msgspec.json.encode(value, enc_hook=str).decode())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, beside: bool = False
) -> None:
    """Print rows for people; with the output piped, the same as tab-separated lines.

    Args:
        columns: their headings.
        rows: a cell a column.
        beside: on standard error, where standard output has other results.
    """
    if not (sys.stderr if beside else sys.stdout).isatty():
        for row in rows:
            click.echo("\t".join(str(cell) for cell in row), err=beside)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console(stderr=beside).print(table)


def note(message: str) -> None:
    """Tell the person at the terminal something that is not a result."""
    click.echo(message, err=True)


@contextmanager
def progress(
    label: str, total: int | None = None, *, quiet: bool = False
) -> Iterator[Callable[..., Any]]:
    """A progress bar on standard error, shown only to a terminal.

    Args:
        label: what is going on.
        total: number of steps, where it is known.
        quiet: show nothing, for `--json`.

    Yields:
        A function `advance(done, total=None, seconds=0)` that says how many steps are done in all,
        and how long the rest will take where that is known.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, total=None, seconds=0: None  # noqa: ARG005 -- the callback's signature
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)

        def advance(done: int, total: int | None = None, seconds: float = 0) -> None:
            left = f", about {duration(seconds)} left" if seconds >= 1 else ""
            bar.update(task, completed=done, total=total, description=label + left)

        yield advance


def duration(seconds: float) -> str:
    """A time for people, in one unit."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3600:.0f} h"
