"""`acx refer`: a ring or report for law enforcement and customs, checkable offline."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import json_option
from acx.cli.screen import opened, replica_options


@click.command()
@click.argument("name", metavar="RING_OR_REPORT")
@click.option(
    "--out",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A folder of its own for the referral.",
)
@replica_options
@json_option
def refer(
    name: str,
    directory: Path,
    home: Path | None,
    replica_directory: Path | None,
    max_age: float | None,
    as_json: bool,
) -> None:
    """Write a referral: what is known, how it links, and proofs that anyone can check offline.

    RING_OR_REPORT is a ring of `acx rings`, or a report's id. The folder holds personal data in
    the clear: hand it to the authority alone. It never says who reported.
    """
    from acx.cli.output import note, print_json
    from acx.member.referral import refer as write

    with opened(home, replica_directory, {"max_age": max_age}) as (replica, settings):
        made = write(replica, name, directory, default_country=settings.default_country)
    if as_json:
        print_json({"out": directory, **{f: getattr(made, f) for f in made.__struct_fields__}})
    else:
        note(
            f"{made.reports} reports, {made.events} events proved -> {directory}/index.html;"
            f" python3 {directory}/verify.py checks it. It holds personal data in the clear"
        )
