"""`acx brand …`: what a brand says by its own name."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option, json_option


@click.group()
def brand() -> None:
    """Speak as a brand: register what is yours, and confirm or refute reports about it."""


@brand.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be published, and publish nothing.")
@home_option
@json_option
def register(file: Path, dry_run: bool, home: Path, as_json: bool) -> None:
    """Publish marks, product identifiers, press pictures and official sellers, by name.

    FILE is TOML or JSON; see docs/brands.md. Official sellers leave as digests. What was registered
    before is replaced.
    """
    from acx.cli.output import note, print_json
    from acx.member.home import Member

    registration, index = Member.open(home).register_brand(file, dry_run=dry_run)
    if as_json or dry_run:
        print_json({"registration": registration, "index": index})
    else:
        note(f"{registration.brand}: registered, entry {index} of the log")


@brand.command()
@click.argument("report")
@click.option("--confirmed", "said", flag_value="confirmed", help="The goods were counterfeit.")
@click.option("--refuted", "said", flag_value="refuted", help="They were not, or not yours.")
@home_option
@json_option
def assess(report: str, said: str | None, home: Path, as_json: bool) -> None:
    """Confirm or refute a REPORT that names you, signed with your name; everybody sees it."""
    from acx.cli.output import print_json
    from acx.member.home import Member

    if said is None:
        raise click.UsageError("say --confirmed or --refuted")
    index = Member.open(home).assess(report, "confirmed" if said == "confirmed" else "refuted")
    if as_json:
        print_json({"report": report, "assessment": said, "index": index})
    else:
        click.echo(f"{report}: {said}")


@brand.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--unassessed", is_flag=True, help="Only those you have not assessed.")
@home_option
@json_option
def reports(names: tuple[str, ...], unassessed: bool, home: Path, as_json: bool) -> None:
    """List reports that name a brand, by its NAMES; looked up here, in your replica."""
    from acx.cli.output import print_json, print_table
    from acx.member.home import Member

    found = Member.open(home).about_brand(names, unassessed=unassessed)
    rows = [
        (
            view.id,
            view.state,
            view.contributors,
            report.conduct,
            report.confirmed_on,
            ", ".join(sorted(set(view.assessments.values()))),
        )
        for view in found
        if (report := view.report) is not None
    ]
    columns = ("report", "state", "contributors", "conduct", "confirmed_on", "assessed")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
