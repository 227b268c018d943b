"""`acx witness`: cosign the checkpoints of logs."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option


@click.command()
@home_option
@click.option(
    "--log",
    "logs",
    metavar="VKEY",
    multiple=True,
    help="Key of a log to witness, as `acx exchange log-key` prints it; kept from then on.",
)
@click.option(
    "--invite",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default=None,
    help="File with an invite (or -), to take the log's key from; it is not used up.",
)
@click.option("--name", default="", help="Name of the key that is made at the first start.")
@click.option(
    "--algorithm",
    type=click.Choice(("ed25519", "ml-dsa-44")),
    default="ed25519",
    show_default=True,
    help="Of the key that is made at the first start; ml-dsa-44 withstands quantum computers.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8441,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--vkey", is_flag=True, help="Print the witness's key, and do nothing else.")
def witness(
    home: Path,
    logs: tuple[str, ...],
    invite: Path | None,
    name: str,
    algorithm: str,
    host: str,
    port: int,
    vkey: bool,
) -> None:
    """Cosign a log's checkpoints, each only if it continues the last one (C2SP tlog-witness).

    Run it where the exchange's operator has no say. The operator names it to members with:
    acx exchange witness add NAME VKEY --url URL.
    """
    from acx.log.note import Verifier
    from acx.records.invite import parse_invite
    from acx.web.witness_api import serve
    from acx.witness.errors import WitnessError
    from acx.witness.witness import Witness

    with Witness.open(home, name=name, algorithm=algorithm) as opened:
        if vkey:
            click.echo(opened.key.vkey)
            return
        given = list(logs)
        if invite is not None:
            with click.open_file(str(invite), encoding="utf-8") as file:
                given.append(parse_invite(file.read()).log_key)
        for log in given:
            opened.add_log(Verifier.parse(log))
        if not opened.logs:
            raise WitnessError("say which log to witness: --log VKEY, or --invite FILE")
        click.echo(opened.key.vkey)
        for known in opened.logs:
            click.echo(f"witnessing {known.name}")
        serve(opened, host, port, on_ready=lambda url: click.echo(f"serving at {url}"))
