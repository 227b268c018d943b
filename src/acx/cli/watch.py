"""`acx watch`: stay connected, alert at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.options import home_option, input_options, json_option, level_option, prior_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from acx.member.deliver import Channel
    from acx.member.watch import Item


@click.command()
@click.argument("sellers", required=False)
@home_option
@level_option
@prior_option
@click.option(
    "--exec",
    "command",
    metavar="CMD",
    help="Run this for each hit, without a shell, with one JSON object on standard input.",
)
@click.option(
    "--exec-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="End the command of --exec after so long.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Post each hit to this address of yours, signed (Standard Webhooks), until it is taken.",
)
@click.option(
    "--webhook-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the secret that signs, whsec_…; by default HOME/watch/webhook-secret.",
)
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
    command: str | None,
    exec_timeout: float,
    webhook: str | None,
    webhook_secret: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Stay connected; print each new event, and each new hit among SELLERS, as it arrives.

    Lost connections are made again, also after sleep, and what was missed is caught up with,
    without gap or repeat; a watch that starts again goes on where the last one over SELLERS ended.
    A report on an account that was checked before (acx check, sign-ups) is told too, for as long as
    the setting remember_checked says. With --json, one object a line. Stop with Ctrl-C.
    """
    from acx.cli.output import note, print_json
    from acx.member.home import Member

    member = Member.open(home, {"default_country": options["default_country"] or None})
    base = _SellerFile(ctx, sellers, options) if sellers is not None else None
    items = member.watch(
        base,
        level=level,
        prior=prior,
        base=f"{sellers if sellers in (None, '-') else Path(sellers).absolute()}\0{level}",
        channels=_channels(home, command, exec_timeout, webhook, webhook_secret),
        say=lambda problem: note(f"acx: warning: {problem}"),
    )
    for item in items:
        if as_json:
            print_json(item)
        else:
            # A terminal rings for what is new, and shows it where its owner looks.
            click.echo(_line(item) + ("\a" if _alarms(item) and sys.stdout.isatty() else ""))


def _alarms(item: Item) -> bool:
    from acx.member.watch import CheckedHit, NewHit

    return isinstance(item, NewHit | CheckedHit) and item.change == "new"


def _channels(
    home: Path,
    command: str | None,
    exec_timeout: float,
    webhook: str | None,
    webhook_secret: Path | None,
) -> list[Channel]:
    """Where alerts go besides standard output."""
    import shlex
    import shutil

    from acx.cli.output import note
    from acx.member.deliver import Command, Webhook, own_secret

    channels: list[Channel] = []
    if command is not None:
        try:
            arguments = shlex.split(command)
        except ValueError as error:
            raise click.UsageError(f"--exec {command!r}: {error}") from None
        if not arguments or shutil.which(arguments[0]) is None:
            raise click.UsageError(f"--exec {command!r}: there is no such program")
        channels.append(Command(arguments, exec_timeout))
    if webhook is not None:
        if webhook_secret is None:
            secret, place = own_secret(home)
            note(f"acx: alerts are signed with the secret in {place}")
        else:
            secret = webhook_secret.read_text(encoding="utf-8").strip()
        channels.append(Webhook(webhook, secret))
    return channels


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
    from acx.member.watch import (
        Awoke,
        CheckedHit,
        Connected,
        Disconnected,
        NewEvent,
        SellersRead,
    )

    match item:
        case Connected(size=size, warning=warning):
            warned = f"; warning: {warning}" if warning else ""
            return f"connected, {size} entries known{warned}"
        case Disconnected(reason=reason, pause=pause):
            return f"disconnected: {reason}; again in {pause:.0f} s"
        case Awoke(seconds=seconds):
            return f"this machine stood still for {seconds:.0f} s; connecting again"
        case SellersRead(accounts=accounts, problem=problem):
            kept = f"; the {accounts} of before are watched: {problem}" if problem else ""
            return f"{'sellers changed' if problem else f'{accounts} sellers read anew'}{kept}"
        case NewEvent():
            about = f" {item.report} is {item.report_state}" if item.report else ""
            return f"#{item.index} {item.type}{about}"
        case CheckedHit(change=change, checked_on=day):
            what = f"{change} report on an account checked on {day}"
        case _:
            what = f"{item.change} hit"
    hit = item.hit
    return click.style(
        f"{what}, {hit.level}: {hit.account_id or 'no id'} is {hit.report_id} "
        f"(p {hit.probability:.3f}, {hit.contributors} contributor"
        f"{'s' if hit.contributors != 1 else ''}): {'; '.join(hit.reasons[:4])}",
        bold=True,
    )
