"""Options that several commands share, so that a word means the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
LEVELS = ("exact", "strong", "possible")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for scripts instead of text for people."
)
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ACX_HOME",
    required=True,
    help="Directory of the member or operator (or ACX_HOME).",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be done, and do nothing."
)
level_option = click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="possible",
    show_default=True,
    help="Lowest level of hits to write.",
)
prior_option = click.option(
    "--prior",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    help="Probability that an account has a match before anything is compared.",
)
weights_option = click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="ACX_WEIGHTS",
    metavar="FILE",
    help="Match with these estimated weights (or ACX_WEIGHTS) instead of those that acx ships.",
)
fail_on_option = click.option(
    "--fail-on",
    type=click.Choice(LEVELS),
    default=None,
    help="Exit with 4 if there is a hit of this level or above.",
)


def _checked_allowance(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> str | None:
    """`N` rows or `P%` of them, checked before any work begins."""
    if value is not None and not re.fullmatch(r"\d+|\d+(\.\d+)?%", value):
        raise click.BadParameter(f"{value!r} is neither a number of rows nor a share such as 2%")
    return value


def input_options(command: Decorated) -> Decorated:
    """How account files are read: `--mapping`, `--encoding`, `--rejects`, `--allow-rejects`, …."""
    for option in reversed(
        (
            click.option(
                "--mapping",
                type=click.Path(dir_okay=False, path_type=Path),
                help="TOML file that names the columns of the input.",
            ),
            click.option("--encoding", help="Encoding of text files; UTF-8 by default."),
            click.option(
                "--default-country",
                metavar="CC",
                default="",
                help="Country in which national phone numbers are tried last.",
            ),
            click.option(
                "--rejects",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Where rejected rows go; by default beside the output, .rejects.jsonl.",
            ),
            click.option(
                "--allow-rejects",
                callback=_checked_allowance,
                metavar="N|P%",
                help="This many rejected rows are still a success (exit 0 instead of 3).",
            ),
        )
    ):
        command = option(command)
    return command
