"""`acx exchange expire`, `hold`, `release`, `holds`, `codes`: how long reports are kept."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.dispute import as_option, code_option
from acx.cli.options import dry_run_option, home_option, json_option


@click.command()
@home_option
@dry_run_option
@json_option
def expire(home: Path, dry_run: bool, as_json: bool) -> None:
    """Let pass what has passed: deadlines, retention. The server does it by itself, daily."""
    from dataclasses import asdict

    from acx.cli.output import print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        done = opened.expire(dry_run=dry_run)
    if as_json:
        print_json(asdict(done) | {"dry_run": dry_run})
    else:
        would = "would " if dry_run else ""
        click.echo(
            f"{done.lapsed} disputes {would}lapse; {done.reports} reports ({done.entries} entries) "
            f"{would}expire; {done.texts} texts deleted"
        )


@click.command()
@click.argument("report")
@code_option("Why")
@as_option
@home_option
@json_option
def hold(report: str, code: str, operator: str, home: Path, as_json: bool) -> None:
    """Keep a report from being erased and from expiring; it is on record."""
    _set_hold("held", report, code, operator, home, as_json)


@click.command()
@click.argument("report")
@code_option("Why", default="ended")
@as_option
@home_option
@json_option
def release(report: str, code: str, operator: str, home: Path, as_json: bool) -> None:
    """End a hold; it is on record."""
    _set_hold("released", report, code, operator, home, as_json)


@click.command()
@home_option
@json_option
def holds(home: Path, as_json: bool) -> None:
    """List the reports that are held."""
    from dataclasses import asdict

    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.retention.holds()
    if as_json:
        print_json([asdict(h) for h in found])
    else:
        print_table(("report", "code"), [(h.report, h.code) for h in found])


@click.command()
@json_option
def codes(as_json: bool) -> None:
    """List the codes that operators decide by, with what each says."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.governance.codes import LISTS

    if as_json:
        print_json(LISTS)
        return
    print_table(
        ("for", "code", "says"),
        [(what, code, says) for what, listed in LISTS.items() for code, says in listed.items()],
    )


def _set_hold(act: str, report: str, code: str, operator: str, home: Path, as_json: bool) -> None:
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        if act == "held":
            opened.retention.hold(report, code, operator)
        else:
            opened.retention.release(report, code, operator)
    if as_json:
        print_json({"report": report, "act": act, "code": code})
    else:
        note(f"{report}: {act} ({code})")
