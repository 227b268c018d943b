"""Anonymous follow-ups: `acx corroborate`, `amend`, `withdraw`, `answer`, `outcome`, `inbox`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from acx.cli.options import home_option, json_option, yes_option
from acx.cli.posting import Posting, posting_options, sending, warn_of_haste
from acx.records.report import STANDARDS

if TYPE_CHECKING:
    from acx.member.home import Confirmation
    from acx.member.outbox import Sent
    from acx.records.files.reports import ReportRow

OUTCOMES = ("blocked", "removed", "no_match", "kept")
_AGAINST = ("blocked", "removed")


@click.command()
@click.argument("report", required=False)
@click.argument("file", required=False)
@click.option("--from", "hits", metavar="HITS", help="Corroborate every report that HITS names.")
@click.option(
    "--confirmed-by",
    multiple=True,
    type=click.Choice(STANDARDS),
    help="A standard of proof that you met yourselves; repeat for more.",
)
@click.option("--confirmed-on", metavar="YYYY-MM", help="The month of your confirmation.")
@home_option
@posting_options
@json_option
def corroborate(
    report: str | None,
    file: str | None,
    hits: str | None,
    confirmed_by: tuple[str, ...],
    confirmed_on: str | None,
    home: Path,
    posting: Posting,
    as_json: bool,
) -> None:
    """Stand behind another member's report, because you confirmed the actor yourselves.

    Your confirmation comes from FILE, one row with confirmed_by and confirmed_on, or from the
    options. A hit alone is no confirmation.
    """
    from acx.member.home import Confirmation, Member

    if (report is None) == (hits is None):
        raise click.UsageError("give a REPORT, or --from HITS")
    if file is None and not (confirmed_by and confirmed_on):
        raise click.UsageError("say what you confirmed: FILE, or --confirmed-by and --confirmed-on")
    row = _one_row(file) if file is not None else None
    said: Any = {
        "confirmed_by": row.confirmed_by if row else confirmed_by,
        "confirmed_on": row.confirmed_on if row else confirmed_on,
    }
    if report is not None:
        wanted = [Confirmation(report=report, account=row.account.id if row else "", **said)]
    else:
        wanted = list(_of_hits(str(hits), said))
    member = Member.open(home, posting.arguments)
    with sending(quiet=as_json) as progress:
        sent = member.corroborate(wanted, at_once=posting.at_once, progress=progress)
    _tell(sent, as_json)


@click.command()
@click.argument("report")
@click.argument("file")
@home_option
@posting_options
@json_option
def amend(report: str, file: str, home: Path, posting: Posting, as_json: bool) -> None:
    """Put a whole new report in the place of one of yours.

    REPORT is its id, or your own id of the account. An added or changed account value makes a new
    version, which corroborators confirm anew.
    """
    from acx.member.home import Member

    member = Member.open(home, posting.arguments)
    with sending(quiet=as_json) as progress:
        sent = member.amend(report, _one_row(file), at_once=posting.at_once, progress=progress)
    _tell(sent, as_json)


@click.command()
@click.argument("report")
@click.option(
    "--reason",
    type=click.Choice(("error", "duplicate", "cleared")),
    default="error",
    show_default=True,
    help="Why.",
)
@home_option
@posting_options
@yes_option
@json_option
def withdraw(
    report: str, reason: str, home: Path, posting: Posting, yes: bool, as_json: bool
) -> None:
    """Take back a report or corroboration of yours; others' hits on it are retracted."""
    from acx.member.home import Member

    if not yes:
        click.confirm(f"Withdraw {report}? It cannot be undone", abort=True, err=True)
    chosen = cast("Literal['error', 'duplicate', 'cleared']", reason)
    member = Member.open(home, posting.arguments)
    with sending(quiet=as_json) as progress:
        sent = member.withdraw(report, chosen, at_once=posting.at_once, progress=progress)
    _tell(sent, as_json)


@click.command()
@click.argument("dispute")
@click.option("--stands", "said", flag_value="stands", help="The report stands.")
@click.option("--withdraws", "said", flag_value="withdraws", help="You no longer stand behind it.")
@click.option(
    "--text",
    "text_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="File with words for the operators alone, sealed to them; - for standard input.",
)
@click.option(
    "--evidence",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that you committed to (`acx evidence add`), handed over to the operators for this "
    "dispute alone; repeat for more.",
)
@home_option
@posting_options
@json_option
def answer(
    dispute: str,
    said: str | None,
    text_file: Path | None,
    files: tuple[Path, ...],
    home: Path,
    posting: Posting,
    as_json: bool,
) -> None:
    """Answer a dispute of a report you stand behind.

    Words and files go to the operators, sealed, and into no log; they leave some time after the
    answer, and are deleted once the dispute is final. After an answer, the same without --stands
    or --withdraws sends more of them.
    """
    from acx.cli.output import note
    from acx.member.home import Member

    if said is None and text_file is None and not files:
        raise click.UsageError("say --stands or --withdraws")
    chosen = cast("Literal['stands', 'withdraws'] | None", said)
    text = _words(text_file)
    if files:
        note("acx: warning: what is in the files may say who you are, and operators read it")
    member = Member.open(home, posting.arguments)
    with sending(quiet=as_json) as progress:
        sent = member.answer(
            dispute,
            chosen,
            text=text,
            files=files,
            at_once=posting.at_once,
            progress=progress,
        )
    _tell(sent, as_json)


@click.command()
@click.argument("report", required=False)
@click.argument("what", required=False, type=click.Choice(OUTCOMES))
@click.option("--file", help="Many at once: a table with report_id and outcome.")
@home_option
@posting_options
@json_option
def outcome(
    report: str | None,
    what: str | None,
    file: str | None,
    home: Path,
    posting: Posting,
    as_json: bool,
) -> None:
    """Say anonymously what you did about a report: blocked, removed, no_match or kept.

    The yearly report counts these; a later word about the same report replaces it.
    """
    from acx.member.home import Member

    if (file is None) == (report is None or what is None):
        raise click.UsageError("give REPORT and what you did, or --file")
    said = [(str(report), str(what))] if file is None else _outcomes(file)
    member = Member.open(home, posting.arguments)
    with sending(quiet=as_json) as progress:
        sent = member.outcome(cast("Any", said), at_once=posting.at_once, progress=progress)
    _tell(sent, as_json)


@click.command()
@click.argument("hit")
@click.option(
    "--action", type=click.Choice(OUTCOMES), required=True, help="What you did about the account."
)
@click.option("--by", default="", metavar="NAME", help="Who decided; by default your login name.")
@click.option(
    "--statement",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="File with your own ground for it, what you found yourselves; stays here.",
)
@click.option(
    "--hits",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="HITS file that shows the hit, so that its level and reasons are kept too.",
)
@click.option("--tell", is_flag=True, help="Also say the outcome anonymously, for the figures.")
@home_option
@posting_options
@json_option
def decide(
    hit: str,
    action: str,
    by: str,
    statement: Path | None,
    hits: tuple[Path, ...],
    tell: bool,
    home: Path,
    posting: Posting,
    as_json: bool,
) -> None:
    """Record what a person decided about a hit, on your own ground; it stays here.

    HIT is ACCOUNT_ID:REPORT_ID, as HITS shows them. A hit says «the same actor», never «guilty»:
    decide on what you found yourselves, and say it (--statement, or when asked). What the hit said
    is kept beside it: which fields agreed, how strongly, how much of the log was known. Later,
    `acx inbox` tells if the report fell, and `acx statement` writes what you owe the seller.
    """
    from acx.cli.output import note, print_json
    from acx.member.home import Member

    account, report = _hit(hit)
    member = Member.open(home, posting.arguments)
    ground = _ground(statement, action)
    with sending(quiet=as_json) as progress:
        sent = member.decide(
            account,
            report,
            cast("Any", action),
            by=by or _login_name(),
            note=ground,
            hits=hits,
            tell=tell,
            at_once=posting.at_once,
            progress=progress,
        )
    if sent is not None:
        _tell(sent, as_json)
    elif as_json:
        print_json({"account": account, "report": report, "action": action})
    else:
        click.echo(f"{account}: {action}")
    if action in _AGAINST and not ground.strip():
        note("no ground of your own is on record; decide again with --statement FILE to add it")


def _login_name() -> str:
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError):  # A service without an entry among the machine's users.
        return ""


def _ground(statement: Path | None, action: str) -> str:
    """The store's own ground: from the file, or asked for where a person sits there."""
    if statement is not None:
        return _words(statement)
    if action in _AGAINST and sys.stdin.isatty():
        asked: str = click.prompt("What did you find yourselves?", default="", err=True)
        return asked
    return ""


def _words(file: Path | None) -> str:
    """What a file says; nothing if there is none."""
    if file is None:
        return ""
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            return str(stream.read())
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} is no text in UTF-8") from None


@click.command()
@click.argument("hit")
@click.option("--law", default="", metavar="TEXT", help="The legal ground, and why it applies.")
@click.option(
    "--clause", default="", metavar="TEXT", help="Your terms' clause, and why it applies."
)
@click.option(
    "--territory",
    default="everywhere the service is offered",
    show_default=True,
    metavar="TEXT",
    help="Where the restriction holds.",
)
@click.option(
    "--country",
    "countries",
    multiple=True,
    metavar="CC",
    help="With --json: where it holds, a country code each.",
)
@click.option("--until", default="", metavar="YYYY-MM-DD", help="Until when; by default no end.")
@click.option("--complaints", default="", metavar="URL", help="Where to complain to you.")
@click.option("--disputes", default="", metavar="URL", help="Where to contest the report itself.")
@click.option(
    "--out",
    default="-",
    show_default=True,
    metavar="FILE",
    help="Where to write it; `-` is standard output.",
)
@home_option
@json_option
def statement(
    hit: str,
    law: str,
    clause: str,
    territory: str,
    countries: tuple[str, ...],
    until: str,
    complaints: str,
    disputes: str,
    out: str,
    home: Path,
    as_json: bool,
) -> None:
    """Write the statement of reasons that a restricted seller is owed (DSA, article 17).

    From what you decided and recorded with `acx decide`. The text goes to the seller, as Markdown;
    --json gives the record for the public transparency database, without personal data.
    """
    import msgspec

    from acx.member.home import Member
    from acx.member.statement import Terms
    from acx.records.files import AtomicFile

    account, report = _hit(hit)
    terms = Terms(
        law=law,
        clause=clause,
        territory=territory,
        until=until,
        complaints=complaints,
        disputes=disputes,
    )
    text, record = Member.open(home).statement(account, report, terms, countries=countries)
    with AtomicFile(out) as file:
        file.write(msgspec.json.encode(record) + b"\n" if as_json else text.encode())


@click.command()
@home_option
@json_option
def decisions(home: Path, as_json: bool) -> None:
    """List what was decided about hits, oldest first."""
    from acx.cli.output import print_json, print_table
    from acx.member.home import Member

    found = Member.open(home).decisions()
    if as_json:
        print_json(found)
    else:
        print_table(
            ("account", "report", "action", "by", "level", "log size"),
            [(d.account, d.report, d.action, d.by, d.level, str(d.log_size)) for d in found],
        )


@click.command()
@home_option
@json_option
def inbox(home: Path, as_json: bool) -> None:
    """List what waits for you: disputes, refusals, decisions whose report fell."""
    from acx.cli.output import note, print_json, print_table
    from acx.member.home import Member

    items = Member.open(home).inbox()
    if as_json:
        print_json(items)
        return
    print_table(
        ("kind", "account", "report", "dispute", "code", "problem"),
        [(i.kind, i.account, i.report, i.dispute, i.code, i.problem) for i in items],
    )
    if not items:
        note("nothing waits; acx sync first for what is new")


def _hit(text: str) -> tuple[str, str]:
    account, _, report = text.rpartition(":")
    if not account or not report:
        raise click.UsageError("a hit is ACCOUNT_ID:REPORT_ID, as HITS shows them")
    return account, report


def _one_row(file: str) -> ReportRow:
    """The one report that a file holds."""
    from acx.records.files import FileFormatError, Rejects, read_reports

    rejects = Rejects()
    rows = list(read_reports(file, rejects=rejects))
    if rejects.count or len(rows) != 1:
        raise FileFormatError(
            f"{file}: one report is needed, and there are {len(rows)} good rows and "
            f"{rejects.count} bad ones; acx report --dry-run {file} tells what is wrong"
        )
    return rows[0]


def _of_hits(file: str, said: Any) -> Iterator[Confirmation]:
    from acx.member.home import Confirmation

    seen = set()
    for account, report in _table(file, ("account_id", "report_id")):
        if report not in seen:
            seen.add(report)
            yield Confirmation(report=report, account=account, **said)


def _outcomes(file: str) -> list[tuple[str, str]]:
    from acx.records.files import FileFormatError

    rows = [(report, what) for report, what in _table(file, ("report_id", "outcome"))]
    for number, (_, what) in enumerate(rows, start=1):
        if what not in OUTCOMES:
            raise FileFormatError(
                f"{file}: row {number}: outcome is {what!r}, and must be one of "
                f"{', '.join(OUTCOMES)}; nothing was sent"
            )
    return rows


def _table(file: str, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns of a table, all or nothing."""
    from acx.records.files import Column, FileFormatError, Rejects, read_table

    rejects = Rejects()
    columns = [Column(name=name, required=True) for name in names]
    rows = [
        tuple(row)
        for frame in read_table(file, columns=columns, rejects=rejects)
        for row in frame.select(*names).iter_rows()
    ]
    if rejects.count:
        raise FileFormatError(
            f"{file}: {rejects.count} rows lack {' or '.join(names)}; nothing was sent"
        )
    return rows


def _tell(sent: Sent, as_json: bool) -> None:
    from acx.cli.output import print_json
    from acx.member.errors import ContributionError

    warn_of_haste(sent)
    if as_json:
        print_json(
            {
                "acknowledged": len(sent.acknowledged),
                "failed": [message.problem for message in sent.failed],
                "waiting": sent.waiting,
                "stopped": sent.stopped,
            }
        )
    else:
        click.echo(f"{len(sent.acknowledged)} acknowledged")
    if sent.failed:
        raise ContributionError(f"the exchange refused: {sent.failed[0].problem}")
    if sent.stopped:
        raise ContributionError(
            f"{sent.waiting} wait safely in the outbox: {sent.stopped}; acx outbox --send goes on"
        )
