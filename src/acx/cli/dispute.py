"""`acx exchange dispute …`: filings, disputes, decisions, appeals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acx.cli.options import Decorated, home_option, json_option

if TYPE_CHECKING:
    from acx.exchange.governance.disputes import Case, Written
    from acx.exchange.governance.filings import Filing

as_option = click.option("--as", "operator", required=True, metavar="NAME", help="Who signs.")
who_option = click.option(
    "--as", "operator", metavar="NAME", default="", help="Who signs; by default the service's key."
)
text_option = click.option(
    "--text",
    "text_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="File with what was written; - for standard input. Sealed to the operators.",
)


def code_option(what: str, *, default: str | None = None) -> Callable[[Decorated], Decorated]:
    """`--code`, whose list is docs/governance.md's."""
    return click.option(
        "--code",
        required=default is None,
        default=default,
        show_default=default is not None,
        help=f"{what}; `acx exchange codes` lists them.",
    )


@click.group()
def dispute() -> None:
    """Disputes: what the accused contests, and how it is decided."""


@dispute.command("open")
@click.argument("report")
@code_option("Why the accused contests the report")
@who_option
@click.option("--filing", default="", help="The filing that it came of.")
@home_option
@json_option
def open_(report: str, code: str, operator: str, filing: str, home: Path, as_json: bool) -> None:
    """Open a dispute of a report: every replica shows it at once. Prints its id."""
    from acx.exchange.governance.operators import SERVICE
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        case = opened.disputes.open(report, code, operator or SERVICE, filing)
    _print_case(case, as_json)


@dispute.command()
@click.argument("dispute_id", metavar="ID")
@click.option("--uphold", "decision", flag_value="upheld", help="The accused is right.")
@click.option("--dismiss", "decision", flag_value="dismissed", help="The report stands.")
@code_option("Why")
@as_option
@click.option(
    "--reasons",
    "reasons_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="File with reasons for the accused, sent by letter with the decision.",
)
@home_option
@json_option
def decide(
    dispute_id: str,
    decision: str | None,
    code: str,
    operator: str,
    reasons_file: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Propose a decision; prints the proposal for another operator to approve."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    if decision not in ("upheld", "dismissed"):
        raise click.UsageError("say --uphold or --dismiss")
    reasons = _read(reasons_file)
    with Exchange.open(home) as opened:
        proposal = opened.disputes.decide(
            dispute_id,
            "upheld" if decision == "upheld" else "dismissed",
            code,
            operator,
            reasons,
        )
    if as_json:
        print_json({"proposal": proposal.id, "dispute": dispute_id, "decision": decision})
    else:
        click.echo(proposal.id)
        note("four eyes: acx exchange approve PROPOSAL --as ANOTHER")


@dispute.command()
@click.argument("dispute_id", metavar="ID")
@code_option("Why", default="appeal")
@who_option
@home_option
@json_option
def appeal(dispute_id: str, code: str, operator: str, home: Path, as_json: bool) -> None:
    """Reopen a decided dispute, once."""
    from acx.exchange.governance.operators import SERVICE
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        case = opened.disputes.appeal(dispute_id, code, operator or SERVICE)
    _print_case(case, as_json)


@dispute.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are decided, too.")
@home_option
@json_option
def list_(everything: bool, home: Path, as_json: bool) -> None:
    """List open disputes, and until when what is due."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        cases = [c for c in opened.disputes.cases() if everything or c.stage == "open"]
    if as_json:
        print_json([_case(case) for case in cases])
        return
    print_table(
        ("dispute", "report", "code", "stage", "report is", "answers", "due", "proposal"),
        [
            (c.id, c.report, c.code, _stage(c), c.state, c.answers, c.due or "-", c.proposal or "-")
            for c in cases
        ],
    )


@dispute.command()
@click.argument("dispute_id", metavar="ID")
@click.option(
    "--as",
    "operator",
    metavar="NAME",
    default="",
    help="Open what was written with this operator's key.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files that were handed over to this directory.",
)
@home_option
@json_option
def show(dispute_id: str, operator: str, out: Path | None, home: Path, as_json: bool) -> None:
    """Show a dispute, or a filing; with --as also what was written."""
    from acx.cli.output import print_json
    from acx.exchange.errors import GovernanceError
    from acx.exchange.service import Exchange

    if out is not None and not operator:
        raise click.UsageError("--out needs --as: files are sealed to the operators")
    with Exchange.open(home) as opened:
        try:
            facts = _case(opened.disputes.case(dispute_id))
        except GovernanceError:
            filed = {filing.id: filing for filing in opened.disputes.filings()}
            if dispute_id not in filed:
                raise
            facts = _filing(filed[dispute_id])
        written = opened.disputes.written(dispute_id, operator) if operator else ()
        committed = opened.disputes.committed(dispute_id) if operator else frozenset()
    if out is not None:
        _write_files(written, out)
    if as_json:
        print_json(facts | {"written": [_written(item, committed) for item in written]})
        return
    for name, value in facts.items():
        click.echo(f"{name}: {value}")
    for item in written:
        message = item.message
        click.echo(f"\n{item.who}, {item.received}:")
        click.echo(message.text if message else f"({item.reason})")
        if message and message.contact:
            click.echo(f"contact: {message.contact}")
        for exhibit in message.exhibits if message else ():
            proven = (
                "as the report has it" if exhibit.commitment in committed else "not in the report"
            )
            click.echo(f"{exhibit.kind}: {len(exhibit.file)} bytes, {exhibit.commitment}, {proven}")


@dispute.command("file")
@click.argument("report")
@code_option("Why the accused contests the report")
@text_option
@click.option("--contact", default="", help="E-mail address the decision is sent to.")
@home_option
@json_option
def file_(
    report: str, code: str, text_file: Path | None, contact: str, home: Path, as_json: bool
) -> None:
    """Enter what somebody has filed whom an operator knows; prints the filing's id."""
    from acx.cli.output import print_json
    from acx.exchange.service import Exchange
    from acx.records.normalise import email
    from acx.records.sealed_text import Message

    message = Message(text=_read(text_file), contact=email.normalise(contact) if contact else "")
    with Exchange.open(home) as opened:
        filing = opened.disputes.file(report, code, message)
    if as_json:
        print_json(_filing(filing))
    else:
        click.echo(filing.id)


@dispute.command()
@home_option
@json_option
def filings(home: Path, as_json: bool) -> None:
    """List what was filed, the oldest first."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.disputes.filings()
    if as_json:
        print_json([_filing(filing) for filing in found])
        return
    print_table(
        ("filing", "report", "code", "proved by", "received", "became"),
        [
            (f.id, f.report, f.code, f.proved_by, f.received, f.dispute or f.closed or "waits")
            for f in found
        ],
    )


@dispute.command()
@click.argument("filing")
@code_option("Why it becomes no dispute")
@home_option
@json_option
def close(filing: str, code: str, home: Path, as_json: bool) -> None:
    """Close a filing that becomes no dispute; what was written is deleted."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        closed = opened.disputes.close_filing(filing, code)
    if as_json:
        print_json({"filing": closed.id, "closed": code})
    else:
        note(f"{closed.id}: closed, {code}")


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    with click.open_file(str(file), encoding="utf-8") as stream:
        try:
            return str(stream.read())
        except UnicodeDecodeError:
            raise click.UsageError(f"{file} is not text in UTF-8") from None


def _print_case(case: Case, as_json: bool) -> None:
    from acx.cli.output import note, print_json

    if as_json:
        print_json(_case(case))
    else:
        click.echo(case.id)
        note(f"report {case.report} is {case.state}; due {case.due or 'nothing'}")


def _stage(case: Case) -> str:
    marks = [mark for mark, holds in (("lapsed", case.lapsed), ("appeal", case.appealed)) if holds]
    return case.stage + (f" ({', '.join(marks)})" if marks else "")


def _case(case: Case) -> dict[str, object]:
    from dataclasses import asdict

    facts = asdict(case)
    facts["dispute"] = facts.pop("id")
    return facts


def _filing(filing: Filing) -> dict[str, object]:
    return {
        "filing": filing.id,
        "report": filing.report,
        "code": filing.code,
        "proved_by": filing.proved_by,
        "received": filing.received,
        "dispute": filing.dispute,
        "closed": filing.closed,
    }


def _written(item: Written, committed: frozenset[str]) -> Mapping[str, object]:
    message = item.message
    return {
        "who": item.who,
        "about": item.about,
        "received": item.received,
        "text": message.text if message else "",
        "contact": message.contact if message else "",
        "files": [
            {
                "kind": e.kind,
                "bytes": len(e.file),
                "commitment": e.commitment,
                "in_report": e.commitment in committed,
            }
            for e in (message.exhibits if message else ())
        ],
        "unreadable": item.reason,
    }


def _write_files(written: tuple[Written, ...], directory: Path) -> None:
    """Each file under its commitment: its own name never left the store."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for item in written:
        for exhibit in item.message.exhibits if item.message else ():
            target = directory / f"{exhibit.kind}-{exhibit.commitment[:16]}"
            target.write_bytes(exhibit.file)
