"""`acx relay`: pass members' anonymous posts on to one exchange."""

from __future__ import annotations

import click


@click.command()
@click.option("--to", metavar="URL", required=True, help="The exchange, as its invites name it.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8442,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
def relay(to: str, host: str, port: int) -> None:
    """Pass anonymous posts on to one exchange, which then sees this machine's address only.

    An HTTP proxy that knows CONNECT to the exchange and nothing else. It keeps no addresses, and
    with an https exchange it cannot read what passes. Members use it once the operator names it:
    acx exchange relay add http://HOST:PORT.
    """
    from acx.relay.relay import Destination, run
    from acx.web.logs import configure_logs
    from acx.web.server import listen, url_of

    configure_logs()
    destination = Destination.of_url(to)
    with listen(host, port) as listening:
        url = url_of(host, listening)
        run(destination, listening, on_ready=lambda: click.echo(f"relaying at {url}"))
