"""`acx match`: the matcher alone, on two account files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from acx.cli.options import fail_on_option, input_options, json_option, level_option, prior_option


@click.command()
@click.argument("accounts")
@click.option("--against", required=True, metavar="ACCOUNTS", help="The accounts to find.")
@click.option("--out", required=True, metavar="HITS", help="Where hits go: .csv, .jsonl, …; or -.")
@level_option
@prior_option
@fail_on_option
@input_options
@json_option
@click.pass_context
def match(
    ctx: click.Context,
    /,
    accounts: str,
    against: str,
    out: str,
    level: str,
    prior: float | None,
    fail_on: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Match two account files: the matcher alone.

    ACCOUNTS and the accounts to find are JSON Lines, CSV, Parquet or XLSX, a folder, a glob, or -
    for standard input. A file against itself leaves out each row itself. HITS has account_id,
    subject_id, level, probability and reasons, most probable first.
    """
    import polars as pl

    from acx.cli.input import meets, reading
    from acx.cli.output import note, print_json, progress
    from acx.matching import MatchOptions
    from acx.matching import match as match_accounts
    from acx.records.files import read_accounts, write_table

    same_file = accounts == against or (
        Path(accounts).exists() and Path(against).exists() and Path(accounts).samefile(against)
    )
    with reading(ctx, out=out, **options) as given, progress("matching", quiet=as_json):

        def frame(source: str) -> pl.DataFrame:
            return pl.concat(
                read_accounts(
                    source, rejects=given.rejects, mapping=given.mapping, encoding=given.encoding
                )
            )

        subjects = frame(against)
        sellers = subjects if same_file else frame(accounts)
        hits = match_accounts(
            sellers,
            subjects,
            options=MatchOptions(
                level=level,
                default_country=given.default_country,
                same_file=same_file,
                prior=MatchOptions().prior if prior is None else prior,
            ),
        )
        write_table([hits], out, joiners={"reasons": ";"})
        counts = dict(hits.group_by("level").len().iter_rows())
        summary = {
            "accounts": len(sellers),
            "against": len(subjects),
            "hits": {name: counts.get(name, 0) for name in ("exact", "strong", "possible")},
            "out": out,
        }
        if as_json and out != "-":
            print_json(summary)
        elif out != "-":
            found = ", ".join(f"{counts.get(n, 0)} {n}" for n in ("exact", "strong", "possible"))
            note(f"{len(sellers)} accounts against {len(subjects)}: {found} -> {out}")
        given.hits_found = meets(fail_on, counts)
