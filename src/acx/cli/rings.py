"""`acx rings`: the networks behind the reports, without the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from acx.cli.options import input_options, json_option
from acx.cli.screen import opened, replica_options


@click.command()
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a page to look at, tables (CSV) and GraphML here.",
)
@click.option(
    "--sellers",
    metavar="FILE",
    help="Own sellers to lay over the reports: who of them is linked. They stay on this machine.",
)
@click.option(
    "--least",
    type=click.IntRange(min=2),
    default=2,
    show_default=True,
    help="Accounts that a ring has at least.",
)
@click.option(
    "--bits",
    type=click.FloatRange(min=0),
    default=8.0,
    show_default=True,
    help="Weight from which a link counts, as in the reasons of hits.",
)
@click.option(
    "--hub",
    type=click.IntRange(min=3),
    default=50,
    show_default=True,
    help="Accounts from which on a shared value links nobody (a forwarder, an agent).",
)
@replica_options
@input_options
@json_option
@click.pass_context
def rings(
    ctx: click.Context,
    /,
    directory: Path | None,
    sellers: str | None,
    least: int,
    bits: float,
    hub: int,
    home: Path | None,
    replica_directory: Path | None,
    max_age: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find rings: reported accounts that share what few have, and own sellers linked to them.

    A ring is a reason to look, no verdict: it says who shares what, never who reported.
    """
    import polars as pl

    from acx.cli.input import reading
    from acx.cli.output import note, print_json, print_table
    from acx.member.export_networks import export_networks
    from acx.member.networks import find_networks
    from acx.records.files import read_accounts

    given = {"max_age": max_age, "default_country": options["default_country"] or None}
    beside = str(directory / "rings.csv") if directory else "rings"
    with (
        opened(home, replica_directory, given) as (replica, settings),
        reading(ctx, out=beside, **options) as source,
    ):
        own = None
        if sellers is not None:
            own = pl.concat(
                read_accounts(
                    sellers,
                    rejects=source.rejects,
                    mapping=source.mapping,
                    encoding=source.encoding,
                )
            )
        found = find_networks(
            replica,
            own,
            default_country=settings.default_country,
            least=least,
            least_bits=bits,
            hub=hub,
        )
        if directory is not None:
            export_networks(found, directory)
    if as_json:
        print_json(
            {
                "rings": found.rings.to_dicts(),
                "hubs": found.hubs.head(100).to_dicts(),
                "reports": found.reports,
                "own_sellers": found.own_sellers,
                "log_size": found.log_size,
                "out": directory,
            }
        )
        return
    print_table(
        ("ring", "reports", "own", "key actor", "brands", "from", "to"),
        [
            (
                row["id"],
                row["reports"],
                row["own_sellers"],
                row["key_actors"][0],
                ", ".join(row["brands"][:3]),
                row["first"],
                row["last"],
            )
            for row in found.rings.iter_rows(named=True)
        ],
    )
    where = f" -> {directory}/index.html" if directory else "; --out DIR writes a page to look at"
    note(f"{found.reports} reports, {len(found.rings)} rings{where}")
