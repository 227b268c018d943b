"""`acx sync`: bring the replica up to date."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option, json_option


@click.command()
@click.option(
    "--from",
    "source",
    metavar="URL|DIR",
    default="",
    help="Read the log's files there (acx exchange publish) instead of asking the exchange.",
)
@home_option
@json_option
def sync(source: str, home: Path, as_json: bool) -> None:
    """Bring the replica up to the exchange's head, every entry verified.

    With --from, what others carry is verified in the same way, and a file that was changed on the
    way is named. Exit code 5: that, or the log contradicts itself; the replica stays as it was,
    and both signed checkpoints are kept in HOME/replica/evidence.
    """
    from acx.cli.output import note, print_json, progress
    from acx.member.home import Member

    member = Member.open(home)
    with progress("syncing", quiet=as_json) as advance:
        synced = member.sync_from(source, advance) if source else member.sync(advance)
    if as_json:
        print_json(synced)
    else:
        click.echo(
            f"{synced.size} entries ({synced.size - synced.since} new), "
            f"{len(synced.changed)} reports new or changed, verified"
        )
    if synced.warning:
        note(f"acx: warning: {synced.warning}")
