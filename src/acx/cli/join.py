"""`acx join`: become a member."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from acx.cli.options import home_option, json_option


@click.command()
@click.argument("invite", nargs=-1, required=True)
@home_option
@click.option(
    "--url",
    metavar="URL",
    default=None,
    help="Where the exchange answers, if not where the invite says.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False),
    default=None,
    help="File with a passphrase that closes the wallet; else a key file does.",
)
@click.option("--terms", metavar="VERSION", default=None, help="Version of the terms accepted.")
@click.option(
    "--phrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="File with the recovery phrase of a lost wallet, whose keys are made again.",
)
@json_option
def join(
    invite: tuple[str, ...],
    home: Path,
    url: str | None,
    passphrase_file: str | None,
    terms: str | None,
    phrase_file: Path | None,
    as_json: bool,
) -> None:
    """Become a member: keys are made here, and the invite is used up.

    INVITE is the line the operator gave, or - to read it from standard input; an address may stand
    before it (acx join URL INVITE). Write the recovery phrase down: it is shown once, and brings
    the wallet's keys back.
    """
    from acx.cli.output import note, print_json
    from acx.member.home import Member
    from acx.member.join import TERMS

    if len(invite) > 2 or (len(invite) == 2 and url is not None):
        raise click.UsageError("give one invite, and at most one address")
    line = sys.stdin.readline() if invite[-1] == "-" else invite[-1]
    joined = Member.join(
        line.strip(),
        home,
        terms=terms or TERMS,
        phrase=phrase_file.read_text("utf-8").strip() if phrase_file else "",
        arguments={
            "url": invite[0] if len(invite) == 2 else url,
            "passphrase_file": passphrase_file,
        },
    )
    if as_json:
        print_json(joined)
        return
    sandbox = ", a sandbox" if joined.sandbox else ""
    click.echo(f"joined {joined.origin}{sandbox} as {joined.role}")
    if joined.phrase:
        note(f"recovery phrase, shown once: {joined.phrase}")
    note("next: acx sync, then acx screen SELLERS --out HITS")
