"""`acx exchange witness …`, `relay …`, `log-key`: who vouches for the log, who passes posts on."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option, json_option

quorum_option = click.option(
    "--quorum",
    type=click.IntRange(1),
    default=None,
    help="How many of all the witnesses must cosign; by default more than half.",
)
RESTART = "a running server asks its witnesses as it was started: restart acx exchange serve"


@click.group()
def witness() -> None:
    """Witnesses that cosign the log; invites name them to members."""


@witness.command("add")
@click.argument("name")
@click.argument("vkey")
@click.option("--url", required=True, metavar="URL", help="Where the witness answers.")
@quorum_option
@home_option
def witness_add(name: str, vkey: str, url: str, quorum: int | None, home: Path) -> None:
    """Have one more witness cosign; VKEY is what acx witness prints. It is on record.

    Members who joined before keep the policy of their invite.
    """
    from acx.cli.output import note
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        opened.add_witness(name, vkey, url, quorum)
    _show(home, as_json=False)
    note(RESTART)


@witness.command("remove")
@click.argument("name")
@quorum_option
@home_option
def witness_remove(name: str, quorum: int | None, home: Path) -> None:
    """Ask a witness no more; it is on record."""
    from acx.cli.output import note
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        opened.remove_witness(name, quorum)
    _show(home, as_json=False)
    note(RESTART)


@witness.command("list")
@home_option
@json_option
def witness_list(home: Path, as_json: bool) -> None:
    """List the witnesses, and how many of them must cosign."""
    _show(home, as_json=as_json)


def _show(home: Path, *, as_json: bool) -> None:
    from acx.cli.output import note, print_json, print_table
    from acx.exchange.home import Home
    from acx.exchange.witnessing.policy import read_policy, threshold

    settings = Home(home).settings()
    policy = read_policy(settings.witnesses)
    rows = [(name, w.url, w.key.vkey) for name, w in policy.witnesses.items()]
    if as_json:
        witnesses = [{"name": name, "url": url, "vkey": vkey} for name, url, vkey in rows]
        print_json(
            {"witnesses": witnesses, "quorum": threshold(policy), "policy": settings.witnesses}
        )
        return
    print_table(("name", "url", "key"), rows)
    if not policy.quorum:
        note("no cosignature is asked for")
    elif threshold(policy):
        note(f"{threshold(policy)} of {len(rows)} must cosign")


@click.group()
def relay() -> None:
    """Relays that pass members' anonymous posts on; invites name them."""


@relay.command("add")
@click.argument("url")
@home_option
def relay_add(url: str, home: Path) -> None:
    """Name a relay in every invite from now on; URL is what acx relay prints. It is on record."""
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        opened.add_relay(url)
        click.echo("\n".join(opened.settings.relays))


@relay.command("remove")
@click.argument("url")
@home_option
def relay_remove(url: str, home: Path) -> None:
    """Name a relay no more; it is on record."""
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        opened.remove_relay(url)
        click.echo("\n".join(opened.settings.relays))


@relay.command("list")
@home_option
@json_option
def relay_list(home: Path, as_json: bool) -> None:
    """List the relays that invites name."""
    from acx.cli.output import print_json
    from acx.exchange.home import Home

    relays = Home(home).settings().relays
    if as_json:
        print_json(list(relays))
    else:
        for url in relays:
            click.echo(url)


@click.command("log-key")
@home_option
def log_key(home: Path) -> None:
    """Print the log's public key, for witnesses and whoever verifies from outside."""
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        click.echo(opened.log_key)
