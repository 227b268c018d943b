"""`acx verify`: check the log, one's own copy or anybody's public one."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import json_option


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ACX_HOME",
    default=None,
    help="Directory of the member (or ACX_HOME).",
)
@click.option(
    "--against",
    metavar="URL|FILE",
    default="",
    help="Also hold another signed head against ours: the exchange's, or a fellow member's.",
)
@click.option(
    "--log",
    metavar="URL|DIR",
    default=None,
    help="As an outsider: verify a log's public files, without a membership.",
)
@click.option(
    "--log-key",
    metavar="VKEY",
    default=None,
    help="With --log: the log's key, as the operator publishes it.",
)
@json_option
def verify(
    home: Path | None, against: str, log: str | None, log_key: str | None, as_json: bool
) -> None:
    """Check the log: recompute every entry, proof and state from the ground up.

    A member checks its replica (--home), and with --against also that another head agrees with it.
    Anyone checks the public files (--log URL --log-key VKEY). Exit code 5: the log is inconsistent;
    the signed checkpoints that prove it are named.
    """
    if log is not None:
        if log_key is None:
            raise click.UsageError("--log needs --log-key, the key that the operator publishes")
        _public(log, log_key, as_json)
    elif home is None:
        raise click.UsageError("say what to verify: --home DIR (or ACX_HOME), or --log URL|DIR")
    else:
        _own(home, against, as_json)


def _own(home: Path, against: str, as_json: bool) -> None:
    from acx.cli.output import print_json, progress
    from acx.member.home import Member

    member = Member.open(home)
    with progress("verifying", quiet=as_json) as advance:
        checked = member.verify(against=against, progress=advance)
    if as_json:
        print_json(checked)
        return
    own = checked.verified
    click.echo(
        f"{own.origin}: {own.size} entries lead to root {own.root[:16]}…; {own.opened} opened and "
        f"their signatures checked, {own.gone} erased or expired on record; "
        f"{own.reports} reports follow from them"
    )
    if checked.compared is not None:
        click.echo(f"agrees with {against}, of {checked.compared.other_size} entries")


def _public(log: str, log_key: str, as_json: bool) -> None:
    from acx.cli.output import print_json
    from acx.log.tiles import DirectoryReader
    from acx.member.client import ExchangeClient
    from acx.member.verify import PublicFiles, verify_public

    if log.startswith(("http://", "https://")):
        client = ExchangeClient(log)
        try:
            found = verify_public(PublicFiles(client), log_key)
        finally:
            client.close()
    else:
        found = verify_public(DirectoryReader(Path(log)), log_key)
    head = found.checkpoint
    if as_json:
        print_json(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "files": found.files,
            }
        )
    else:
        click.echo(f"{head.origin}: {head.size} entries, {found.files} files, all as signed")
