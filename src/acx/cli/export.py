"""`acx export`: the replica in the formats others read."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import json_option
from acx.cli.screen import opened, replica_options


@click.command()
@click.option(
    "--format",
    "file_format",
    type=click.Choice(("jsonl", "csv", "parquet", "xlsx", "stix", "ftm", "pdq")),
    default=None,
    help="What to write; by default what FILE's name says, if it is a table.",
)
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    help="Where to; - is standard output. For ftm it may be a folder, which yente then loads.",
)
@replica_options
@json_option
def export(
    file_format: str | None,
    out: str,
    home: Path | None,
    replica_directory: Path | None,
    max_age: float | None,
    as_json: bool,
) -> None:
    """Write every report of the replica in the formats others read.

    Tables (jsonl, csv, parquet, xlsx) have a row for each report, stix is one STIX 2.1 bundle, and
    ftm is a FollowTheMoney dataset of the reports that stand, and pdq lists their pictures as PDQ
    hashes (docs/interchange.md).
    """
    from acx.cli.output import note, print_json
    from acx.member.export import export as write

    with opened(home, replica_directory, {"max_age": max_age}) as (replica, _):
        rows = write(replica, out, format=file_format)
    if as_json and out != "-":
        print_json({"reports": rows, "out": out})
    elif out != "-":
        note(f"{rows} reports -> {out}")
