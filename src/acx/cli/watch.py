"""`acx watch`: stay connected, alert at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.options import home_option, input_options, json_option, level_option, prior_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

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
    from acx.cli.output import print_json
    from acx.member.home import Member

    member = Member.open(home, {"default_country": options["default_country"] or None})
    base = _SellerFile(ctx, sellers, options) if sellers is not None else None
    for item in member.watch(base, level=level, prior=prior):
        if as_json:
            print_json(item)
        else:
            click.echo(_line(item))


class _SellerFile:
    """SELLERS, read again whenever they are written anew."""

    def __init__(self, ctx: click.Context, source: str, options: dict[str, Any]) -> None:
        self._ctx = ctx
        self._source = source
        self._options = options | {"allow_rejects": "100%"}

    def read(self) -> Iterator[pl.DataFrame]:
        from acx.cli.input import reading
        from acx.records.files import read_accounts

        with reading(self._ctx, out=self._source, **self._options) as given:
            yield from read_accounts(
                self._source,
                rejects=given.rejects,
                mapping=given.mapping,
                encoding=given.encoding,
            )

    def stamp(self) -> object:
        """Names, sizes and times of the files; None while one cannot be found."""
        from acx.records.files import FileFormatError
        from acx.records.files.source import find

        try:
            places, _ = find(self._source)
            files = [place for place in places if isinstance(place, Path)]
            return [(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except (FileFormatError, OSError):
            return None


def _line(item: Item) -> str:
    from acx.member.watch import Connected, Disconnected, NewEvent, SellersRead

    match item:
        case Connected(size=size, warning=warning):
            warned = f"; warning: {warning}" if warning else ""
            return f"connected, {size} entries known{warned}"
        case Disconnected(reason=reason, pause=pause):
            return f"disconnected: {reason}; again in {pause:.0f} s"
        case SellersRead(accounts=accounts, problem=problem):
            kept = f"; the {accounts} of before are watched: {problem}" if problem else ""
            return f"{'sellers changed' if problem else f'{accounts} sellers read anew'}{kept}"
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
