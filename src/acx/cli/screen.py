"""`acx screen` and `acx check`: one's own sellers against the replica, without the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.explain import explain_out_option
from acx.cli.options import (
    Decorated,
    fail_on_option,
    input_options,
    json_option,
    level_option,
    prior_option,
    weights_option,
)
from acx.records.account import FIELDS, LIST_FIELDS, SCALAR_FIELDS

if TYPE_CHECKING:
    from acx.cli.waterfall import Waterfall
    from acx.member.replica import Replica
    from acx.member.screen import Hit
    from acx.member.settings import Settings
    from acx.records.account import Account


def replica_options(command: Decorated) -> Decorated:
    """Which replica is screened with, and how old it may be."""
    for option in (
        click.option(
            "--max-age",
            type=click.FloatRange(min=0),
            metavar="HOURS",
            default=None,
            help="Refuse if the last sync is longer ago; by default a day warns.",
        ),
        click.option(
            "--replica",
            "replica_directory",
            metavar="DIR",
            type=click.Path(file_okay=False, path_type=Path),
            default=None,
            help="A replica to read, without a wallet; by default HOME/replica.",
        ),
        click.option(
            "--home",
            type=click.Path(file_okay=False, path_type=Path),
            envvar="ACX_HOME",
            default=None,
            help="Directory of the member (or ACX_HOME).",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def opened(
    home: Path | None, directory: Path | None, arguments: dict[str, object]
) -> Iterator[tuple[Replica, Settings]]:
    """The replica that options name, read-only, and the settings that hold."""
    from acx.member.join import REPLICA
    from acx.member.replica import Replica
    from acx.member.settings import resolve

    if home is None and directory is None:
        raise click.UsageError("say which replica: --home DIR (or ACX_HOME), or --replica DIR")
    place = directory or (home or Path()) / REPLICA
    settings = resolve(home or place, arguments)
    replica = Replica.open(place, read_only=True)
    try:
        yield replica, settings
    finally:
        replica.close()


@click.command()
@click.argument("sellers")
@click.option("--out", required=True, metavar="HITS", help="Where hits go: .csv, .jsonl, …; or -.")
@click.option(
    "--carry",
    multiple=True,
    metavar="COLUMN",
    help="Show this column of SELLERS in HITS; may be given several times.",
)
@click.option(
    "--since-last",
    is_flag=True,
    help="Only what changed since the last such run: new, changed and retracted hits.",
)
@level_option
@prior_option
@weights_option
@fail_on_option
@replica_options
@input_options
@json_option
@click.pass_context
def screen(
    ctx: click.Context,
    /,
    sellers: str,
    out: str,
    carry: tuple[str, ...],
    since_last: bool,
    level: str,
    prior: float | None,
    weights: Path | None,
    fail_on: str | None,
    home: Path | None,
    replica_directory: Path | None,
    max_age: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Screen a whole seller base against the replica. Nothing leaves this machine.

    SELLERS is JSON Lines, CSV, Parquet or XLSX, a folder, a glob, or -. HITS shows for each hit
    its level, calibrated probability and reasons, and the report's standing beside it: a hit says
    «the same actor», never «guilty».
    """
    import polars as pl

    from acx.cli.input import meets, reading
    from acx.cli.output import note, print_json, progress
    from acx.member.home import screen as screen_sellers
    from acx.member.since_last import SinceLast
    from acx.records.files import read_accounts, write_table

    with (
        opened(
            home,
            replica_directory,
            {
                "max_age": max_age,
                "default_country": options["default_country"] or None,
                "weights": None if weights is None else str(weights),
            },
        ) as (replica, settings),
        reading(ctx, out=out, **options) as given,
        progress("screening", quiet=as_json) as told,
    ):
        memory = SinceLast(_memory(home), sellers, level) if since_last else None
        hits, warning = screen_sellers(
            replica,
            read_accounts(
                sellers,
                rejects=given.rejects,
                mapping=given.mapping,
                encoding=given.encoding,
                carry=carry,
            ),
            settings=settings,
            level=level,
            prior=prior,
            carry=carry,
            home=None if replica_directory else home,
            progress=told,
        )
        found = hits if memory is None else memory.changes(hits, replica)
        write_table([found], out, joiners={"reasons": ";"})
        if memory is not None:
            memory.keep(hits)
        standing = found.filter(pl.col("change") != "retracted") if since_last else found
        counts = dict(standing.group_by("level").len().iter_rows())
        given.hits_found = meets(fail_on, counts)
        if warning:
            note(f"acx: warning: {warning}")
        levels = {name: counts.get(name, 0) for name in ("exact", "strong", "possible")}
        screened = given.rejects.accepted
        if as_json and out != "-":
            print_json({"sellers": screened, "hits": levels, "out": out})
        elif out != "-":
            note(f"{screened} sellers: {_words(levels)} -> {out}")


def _memory(home: Path | None) -> Path:
    """Where earlier screenings are remembered."""
    if home is None:
        raise click.UsageError("--since-last remembers in the member's directory: give --home")
    return home


def _account_options(command: Decorated) -> Decorated:
    """An option for each field of an account."""
    for name in reversed(FIELDS):
        many = name in LIST_FIELDS
        option = click.option(
            f"--{name.replace('_', '-')}",
            f"field_{name}",
            multiple=many,
            metavar=name.upper(),
            help=f"The account's {name.replace('_', ' ')}{'; repeat for more' if many else ''}.",
        )
        command = option(command)
    return command


@click.command()
@click.argument("file", required=False)
@_account_options
@level_option
@prior_option
@weights_option
@fail_on_option
@replica_options
@click.option(
    "--default-country",
    metavar="CC",
    default="",
    help="Country in which national phone numbers are tried last.",
)
@click.option("--explain", is_flag=True, help="Show each hit's weights, from prior to outcome.")
@explain_out_option
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    file: str | None,
    level: str,
    prior: float | None,
    weights: Path | None,
    fail_on: str | None,
    home: Path | None,
    replica_directory: Path | None,
    max_age: float | None,
    default_country: str,
    explain: bool,
    explain_out: Path | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Check one account now, as at a sign-up. Nothing leaves this machine.

    The account comes as options (--name, --email, …) or as a JSON object in FILE, or - for
    standard input. --explain-out draws the most probable hit.
    """
    from acx.cli.explain import check_drawing, draw, print_waterfall
    from acx.cli.input import HITS_FOUND, meets
    from acx.cli.output import note, print_json, print_table
    from acx.member.home import check as check_account

    check_drawing(explain_out)
    given = {name.removeprefix("field_"): value for name, value in fields.items() if value}
    if (file is None) == (not given):
        raise click.UsageError("give the account as options, or one FILE with it (- for stdin)")
    account = _from_options(given) if file is None else _from_file(file)
    arguments: dict[str, object] = {
        "max_age": max_age,
        "default_country": default_country or None,
        "weights": None if weights is None else str(weights),
    }
    with opened(home, replica_directory, arguments) as (replica, settings):
        hits, warning = check_account(
            replica,
            account,
            settings=settings,
            level=level,
            prior=prior,
            home=None if replica_directory else home,
        )
        if warning:
            note(f"acx: warning: {warning}")
        drawn = _waterfalls(hits, account, replica, settings) if explain or explain_out else []
        if explain_out is not None and drawn:
            draw(drawn[0], explain_out)
        if as_json:
            shown = {"hits": hits, "log_size": replica.size, "synced_at": replica.synced}
            print_json(shown | {"explanations": drawn} if explain else shown)
        else:
            print_table(
                ("report", "level", "probability", "state", "contributors", "reasons"),
                [
                    (
                        h.report_id,
                        h.level,
                        f"{h.probability:.4f}",
                        h.report_state,
                        h.contributors,
                        "; ".join(h.reasons),
                    )
                    for h in hits
                ],
            )
            if not hits:
                note("no hit")
            for waterfall in drawn if explain else []:
                click.echo()
                print_waterfall(waterfall)
    if meets(fail_on, (hit.level for hit in hits)):
        ctx.exit(HITS_FOUND)


def _waterfalls(
    hits: list[Hit], account: Account, replica: Replica, settings: Settings
) -> list[Waterfall]:
    """What makes each hit, with the account's and the report's values beside it."""
    import msgspec

    from acx.cli.explain import explanation_of, waterfall
    from acx.matching.model import weights
    from acx.matching.weights import load
    from acx.records.account import Account
    from acx.records.report import Report

    table = load(settings.weights).table() if settings.weights else weights()
    drawn = []
    for hit in hits:
        view = replica.report(hit.report_id)
        subject = Account(id=hit.report_id)
        if view is not None and view.report_json:
            reported = msgspec.json.decode(view.report_json, type=Report).account
            subject = Account(id=hit.report_id, **msgspec.structs.asdict(reported))
        drawn.append(
            waterfall(
                explanation_of(hit.reasons, hit.probability, hit.level),
                account,
                subject,
                table=table,
                default_country=settings.default_country,
            )
        )
    return drawn


def _from_options(given: dict[str, Any]) -> Account:
    import msgspec

    from acx.records.account import Account

    values = {n: v if n in SCALAR_FIELDS else tuple(v) for n, v in given.items()}
    try:
        return msgspec.convert(values, Account)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"the account: {error}") from None


def _from_file(file: str) -> Account:
    from acx.cli.output import note
    from acx.records.files import FileFormatError, parse_account
    from acx.records.files.errors import listed

    limit = 1 << 20
    if file == "-":
        data = sys.stdin.buffer.read(limit + 1)
    else:
        with Path(file).open("rb") as source:
            data = source.read(limit + 1)
    if len(data) > limit:
        raise FileFormatError(f"{file}: more than 1 MiB, and one account is wanted: acx screen")
    try:
        account, unknown = parse_account(data)
    except FileFormatError as error:
        raise FileFormatError(f"{file}: {error}") from None
    if unknown:
        note(f"acx: warning: {file}: no fields of an account, ignored: {listed(unknown, 10)}")
    return account


def _words(levels: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in levels.items())
