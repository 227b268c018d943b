"""`acx watch`: stay connected, alert at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.options import home_option, input_options, json_option, level_option, prior_option

if TYPE_CHECKING:
    from acx.member.watch import Item


@click.command()
@click.argument("sellers", required=False)
@home_option
@level_option
@prior_option
@input_options
@json_option
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    sellers: str | None,
    home: Path,
    level: str,
    prior: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Stay connected; print each new event, and each new hit among SELLERS, as it arrives.

    Lost connections are made again and what was missed is caught up with, without gap or repeat.
    With --json, one object a line. Stop with Ctrl-C.
    """
    import polars as pl

    from acx.cli.input import reading
    from acx.cli.output import print_json
    from acx.member.home import Member
    from acx.records.files import read_accounts

    member = Member.open(home, {"default_country": options["default_country"] or None})
    accounts = None
    if sellers is not None:
        with reading(ctx, out=sellers, **(options | {"allow_rejects": "100%"})) as given:
            accounts = pl.concat(
                read_accounts(
                    sellers,
                    rejects=given.rejects,
                    mapping=given.mapping,
                    encoding=given.encoding,
                )
            )
    for item in member.watch(accounts, level=level, prior=prior):
        if as_json:
            print_json(item)
        else:
            click.echo(_line(item))


def _line(item: Item) -> str:
    from acx.member.watch import Connected, Disconnected, NewEvent

    match item:
        case Connected(size=size, warning=warning):
            warned = f"; warning: {warning}" if warning else ""
            return f"connected, {size} entries known{warned}"
        case Disconnected(reason=reason, pause=pause):
            return f"disconnected: {reason}; again in {pause:.0f} s"
        case NewEvent():
            about = f" {item.report} is {item.report_state}" if item.report else ""
            return f"#{item.index} {item.type}{about}"
    hit = item.hit
    return click.style(
        f"{item.change} hit, {hit.level}: {hit.account_id} is {hit.report_id} "
        f"(p {hit.probability:.3f}, {hit.contributors} contributor"
        f"{'s' if hit.contributors != 1 else ''}): {'; '.join(hit.reasons[:4])}",
        bold=True,
    )
