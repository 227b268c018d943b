"""`acx wallet …`: keep a wallet safe, and bring it back."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File with the backup's passphrase; by default it is asked for.",
)


@click.group()
def wallet() -> None:
    """Keep the wallet safe, and bring it back."""


@wallet.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@passphrase_option
def backup(file: Path, home: Path, passphrase_file: Path | None) -> None:
    """Write the wallet to one new FILE that a passphrase opens."""
    from acx.cli.output import note
    from acx.member.home import Member

    Member.open(home).backup(file, _passphrase(passphrase_file, confirm=True))
    note(f"the wallet is in {file}; keep the passphrase elsewhere")


@wallet.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
@passphrase_option
@click.option("--url", metavar="URL", default=None, help="Where the exchange answers now.")
def restore(file: Path, home: Path, passphrase_file: Path | None, url: str | None) -> None:
    """Make a home from a backup FILE.

    What the keys signed after the backup is found by the next sync; reports wait for the next day,
    so that no tag is used twice. Never use the old copy again.
    """
    from acx.cli.output import note
    from acx.member.home import Member

    Member.restore(home, file, _passphrase(passphrase_file, confirm=False), arguments={"url": url})
    note(f"restored in {home}; next: acx sync. The old copy must not be used again")


@wallet.command()
@home_option
def token(home: Path) -> None:
    """Print the token by which the exchange knows this member, for a TAXII client.

    Whoever has it reads what this member reads; it signs nothing.
    """
    from acx.member.home import Member

    with Member.open(home).wallet() as opened:
        click.echo(opened.secret("token").decode())


def _passphrase(file: Path | None, *, confirm: bool) -> bytes:
    from acx.member.errors import WalletError

    if file is not None:
        passphrase = file.read_bytes().rstrip(b"\r\n")
    else:
        passphrase = str(
            click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        ).encode()
    if not passphrase:
        raise WalletError("the passphrase is empty; choose one")
    return passphrase
