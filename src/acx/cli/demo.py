"""`acx demo`: the whole loop on this machine."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.options import json_option

if TYPE_CHECKING:
    from acx.demo.play import Play, Step


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Keep homes, input and results here; by default in a temporary place, removed at the end.",
)
@click.option("--serve", is_flag=True, help="Leave everything up until Ctrl-C.")
@click.option(
    "--sellers",
    type=click.IntRange(100, 1_000_000),
    default=3000,
    show_default=True,
    help="Sellers of each store.",
)
@json_option
def demo(directory: Path | None, serve: bool, sellers: int, as_json: bool) -> None:
    """Run the whole loop on this machine, on real input.

    An exchange and three stores, each a process of its own: A reports, B and C are informed, screen
    their own sellers, find the same actors under changed names; one report is erased; everybody
    verifies. The input stands in for reported accounts: public sanctions lists, see examples/.
    Exit code 1 if a step did not happen.
    """
    from acx.cli.output import print_json
    from acx.demo.play import Play, StepFailed

    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise StepFailed(f"{directory} is not empty; choose another --dir, or empty it")
        place: Any = nullcontext(str(directory))
    else:
        place = tempfile.TemporaryDirectory(prefix="acx-demo-")
    with place as name:
        play = Play(
            Path(name).absolute(),
            sellers_per_store=sellers,
            tell=(lambda step: None) if as_json else _tell,  # noqa: ARG005 -- the callback's signature
        )
        with play.running() as steps:
            if as_json:
                print_json({"steps": steps, "seconds": sum(step.seconds for step in steps)})
            else:
                _conclude(play, steps)
            if serve:
                click.echo(f"the exchange answers at {play.url}; Ctrl-C ends it")
                click.pause("")


def _tell(step: Step) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"[green]✔[/] [bold]{escape(step.title)}[/]  [dim]{step.seconds:.1f} s[/]")
    for name, value in step.facts.items():
        shown = (
            ", ".join(f"{count} {word}" for word, count in value.items())
            if isinstance(value, dict)
            else value
        )
        console.print(f"    {escape(str(name))}: {escape(str(shown))}")


def _conclude(play: Play, steps: list[Step]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("seller", "level", "p", "why", title="Hits at store B, a few of them", box=None)
    for hit in play.some_hits("B", 6):
        table.add_row(
            hit["account_id"], hit["level"], f"{float(hit['probability']):.3f}",
            ", ".join(reason.rsplit(":", 1)[0] for reason in hit["reasons"].split(";")[:4]),
        )  # fmt: skip
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(steps)} steps in {sum(step.seconds for step in steps):.0f} s")
