"""`acx serve` and `acx token`: the member's local service, and who may ask it."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option, json_option, prior_option, weights_option


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8450,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--no-follow",
    is_flag=True,
    help="Do not connect to the exchange: another process (acx watch, acx sync) does.",
)
@click.option(
    "--max-age",
    type=click.FloatRange(min=0),
    metavar="HOURS",
    default=None,
    help="Refuse if the last sync is longer ago; by default a day warns.",
)
@click.option(
    "--checks-per-second",
    type=click.FloatRange(min=0.1),
    default=200.0,
    show_default=True,
    help="What one token may ask of /v1/check in the long run; five times that at once.",
)
@prior_option
@weights_option
def serve(
    home: Path,
    host: str,
    port: int,
    no_follow: bool,
    max_age: float | None,
    checks_per_second: float,
    prior: float | None,
    weights: Path | None,
) -> None:
    """Answer this store's own systems: POST /v1/check and /v1/screen, warm, on this machine.

    Stays connected to the exchange, so that a report counts as soon as it is there. Who asks needs
    a token (acx token create). Stop with Ctrl-C.
    """
    from acx.cli.output import note
    from acx.member.home import REPLICA, Member
    from acx.member.tokens import Tokens
    from acx.web.limits import Rate
    from acx.web.member_api import serve as run

    arguments = {"max_age": max_age, "weights": None if weights is None else str(weights)}
    member = Member.open(home, arguments)
    tokens = Tokens(home)
    if not tokens.all():
        note(f"acx: nobody may ask yet: acx token create --scope check --home {home}")
    if host not in ("127.0.0.1", "::1", "localhost"):
        note(f"acx: warning: others can reach {host}; put TLS before it, tokens go in the clear")
    run(
        home / REPLICA,
        member.settings,
        tokens,
        member=None if no_follow else member,
        home=home,
        prior=prior,
        host=host,
        port=port,
        checks=Rate(per_second=checks_per_second, burst=max(1, int(5 * checks_per_second))),
        on_ready=lambda url: click.echo(f"serving at {url}"),
    )


@click.group()
def token() -> None:
    """Say who may ask the local service, and for what."""


@token.command()
@home_option
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(("check", "screen")),
    multiple=True,
    required=True,
    help="What may be asked with it; may be given several times.",
)
@click.option("--name", default="", help="Who has it, in your words.")
@json_option
def create(home: Path, scopes: tuple[str, ...], name: str, as_json: bool) -> None:
    """Make a token and print it, this once."""
    import msgspec

    from acx.cli.output import note, print_json
    from acx.member.home import Member
    from acx.member.tokens import Scope, Tokens

    opened = Member.open(home)
    text, made = Tokens(opened.home).create(msgspec.convert(list(scopes), list[Scope]), name)
    if as_json:
        print_json({"token": text, "id": made.id, "scopes": made.scopes, "name": made.name})
        return
    click.echo(text)
    note(f"token {made.id} is for {', '.join(made.scopes)}; it is shown only now")


@token.command("list")
@home_option
@json_option
def list_(home: Path, as_json: bool) -> None:
    """List the tokens, without what they are."""
    from acx.cli.output import print_json, print_table
    from acx.member.tokens import Tokens

    known = Tokens(home).all()
    if as_json:
        for each in known:
            print_json({k: getattr(each, k) for k in ("id", "name", "scopes", "created")})
        return
    print_table(
        ("id", "name", "scopes", "created"),
        [(each.id, each.name, ", ".join(each.scopes), each.created) for each in known],
    )


@token.command()
@click.argument("token_id", metavar="ID")
@home_option
def revoke(token_id: str, home: Path) -> None:
    """Let a token be nobody's from now on, also with a service that runs."""
    from acx.cli.output import note
    from acx.member.tokens import Tokens

    gone = Tokens(home).revoke(token_id)
    note(f"token {gone.id} is revoked")
