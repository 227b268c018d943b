"""`acx exchange audit` and `acx exchange subject`: what the log says of operators and of people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from acx.cli.options import home_option, json_option

if TYPE_CHECKING:
    from acx.exchange.governance.audit import Audited
    from acx.exchange.governance.holdings import Holding

INCONSISTENT = 5


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ACX_HOME",
    default=None,
    help="Directory of the operator (or ACX_HOME).",
)
@click.option(
    "--replica",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="An auditor's: audit from this replica, without the operator's help.",
)
@click.option(
    "--invites-daily",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="With --replica: invites a day that one operator alone may make.",
)
@json_option
def audit(home: Path | None, replica: Path | None, invites_daily: int, as_json: bool) -> None:
    """Print every act of the operators, from the log, and hold it against the rules.

    Signatures, order, who was an operator when, what needs two, and that nothing is missing but
    what was erased on record. Exit code 5: something is wrong.
    """
    if replica is not None:
        found = _of_replica(replica, invites_daily)
        names: dict[str, str] = {}
    elif home is not None:
        found, names = _of_home(home)
    else:
        raise click.UsageError("say what to audit: --home DIR (or ACX_HOME), or --replica DIR")
    if as_json:
        _print_json(found, names)
    else:
        _print_text(found, names)
    if found.problems:
        raise click.exceptions.Exit(INCONSISTENT)


@click.command()
@home_option
@json_option
def refusals(home: Path, as_json: bool) -> None:
    """List what operators tried and the rules do not allow; it is in no log."""
    from dataclasses import asdict

    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.refusals()
    if as_json:
        print_json([asdict(refusal) for refusal in found])
    else:
        print_table(
            ("at", "operator", "act", "about", "reason"),
            [(r.at, r.operator, r.act, r.target or "-", r.reason) for r in found],
        )


@click.command()
@click.argument("value")
@click.option("--field", "name", default="", help="The field it is a value of; by default, any.")
@click.option("--country", metavar="CC", default="", help="In which national numbers are read.")
@click.option(
    "--full",
    is_flag=True,
    help="With everything in these reports: for a person whom you have identified.",
)
@click.option(
    "--as", "operator", metavar="NAME", default="", help="Who answers; by default the service."
)
@home_option
@json_option
def subject(
    value: str, name: str, country: str, full: bool, operator: str, home: Path, as_json: bool
) -> None:
    """Say what is held about an e-mail address, a phone number, a name or another value.

    The answer to a data subject: reports, their state, categories and dates, never contributors.
    That it was given is on record, and the value is not.
    """
    from acx.cli.output import print_json
    from acx.exchange.governance.operators import SERVICE
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.subjects.answer(
            value, name, country=country, full=full, by=operator or SERVICE
        )
        origin = opened.settings.origin
    facts = [_holding(holding, full=full) for holding in found]
    if as_json:
        print_json({"exchange": origin, "reports": facts})
        return
    click.echo(f"{len(facts)} {'report holds' if len(facts) == 1 else 'reports hold'} it")
    for fact in facts:
        click.echo("")
        for key, told in fact.items():
            click.echo(f"{key}: {', '.join(told) if isinstance(told, list | tuple) else told}")


def _of_home(home: Path) -> tuple[Audited, dict[str, str]]:
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        names = {operator.key: operator.name for operator in opened.operators()}
        return opened.audit(), names


def _of_replica(directory: Path, invites_daily: int) -> Audited:
    from acx.exchange.governance.audit import audit as audit_copy
    from acx.member.replica import Replica

    replica = Replica.open(directory, read_only=True)
    try:
        trust = replica.trust
        with replica.snapshot():
            return audit_copy(
                replica,
                origin=trust.origin,
                log_key=trust.log_key,
                founders=trust.operators,
                invites_daily=invites_daily,
            )
    finally:
        replica.close()


def _print_json(found: Audited, names: dict[str, str]) -> None:
    from dataclasses import asdict

    from acx.cli.output import print_json

    print_json(
        {
            "origin": found.origin,
            "size": found.size,
            "sound": not found.problems,
            "problems": found.problems,
            "counts": found.counts,
            "invited": found.invited,
            "joined": found.joined,
            "gone": found.gone,
            "quality": asdict(found.quality) | {"upheld_share": found.quality.upheld_share},
            "acts": [
                {
                    "index": act.index,
                    "at": act.at,
                    "type": act.type,
                    "by": names.get(act.by, act.by),
                    "report": act.about[0],
                    "ref": act.about[1],
                    "body": _json(act.says),
                    "approved_by": names.get(act.approved_by, act.approved_by),
                    "ignored": act.ignored,
                }
                for act in found.acts
            ],
        }
    )


def _print_text(found: Audited, names: dict[str, str]) -> None:
    from acx.cli.output import note, print_table

    def shown(key: str) -> str:
        return names.get(key, key[:12])

    print_table(
        ("index", "at", "type", "by", "approved by", "report", "says"),
        [
            (
                act.index,
                act.at,
                act.type,
                shown(act.by),
                shown(act.approved_by) or "-",
                act.about[0] or "-",
                act.says,
            )
            for act in found.acts
        ],
    )
    quality = found.quality
    note(
        f"{found.origin}, {found.size} entries, {len(found.acts)} acts; {quality.reports} reports, "
        f"{quality.disputed} disputed, {quality.upheld} of them rejected "
        f"({quality.upheld_share:.2%} of all)"
    )
    for problem in found.problems:
        note(f"wrong: {problem}")
    note("nothing is wrong" if not found.problems else f"{len(found.problems)} things are wrong")


def _holding(holding: Holding, *, full: bool) -> dict[str, object]:
    facts: dict[str, object] = {
        "report": holding.report,
        "state": holding.state,
        "found_in": list(holding.values),
        "also_held": holding.categories,
        "conduct": holding.conduct,
        "confirmed_by": holding.confirmed_by,
        "confirmed_on": holding.confirmed_on,
        "taken": holding.taken,
        "kept_until": holding.kept_until or f"held: {holding.held}",
        "disputes": holding.disputes,
    }
    return facts | ({"account": holding.account} if full else {})


def _json(text: str) -> object:
    import json

    return json.loads(text)
