"""`acx evidence …`: files that stay here, and the proof that they were held."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli.options import home_option, json_option, yes_option

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def evidence() -> None:
    """Commit to files that prove a report, and prove later that you held them.

    The files stay where they are: a report carries a commitment, from which nobody can tell what
    is in a file. Keep them for as long as the report stands.
    """


@evidence.command()
@click.argument("account")
@click.argument("files", nargs=-1, required=True, type=existing_file)
@click.option(
    "--kind",
    required=True,
    metavar="CODE",
    help="What the files are: invoice, test_buy_photo, laboratory_report, ….",
)
@home_option
@json_option
def add(account: str, files: tuple[Path, ...], kind: str, home: Path, as_json: bool) -> None:
    """Commit to FILES against ACCOUNT, your own id; its next report carries the commitments."""
    from acx.cli.output import note, print_json
    from acx.member.home import Member

    kept = Member.open(home).add_evidence(account, files, kind)
    if as_json:
        print_json(
            [
                {"kind": e.kind, "commitment": e.commitment, "file": e.file, "size": e.size}
                for e in kept
            ]
        )
        return
    for exhibit in kept:
        click.echo(exhibit.commitment)
    note("keep the files as they are; the next `acx report` of this account carries this")


@evidence.command("list")
@click.argument("account", required=False)
@home_option
@json_option
def list_(account: str | None, home: Path, as_json: bool) -> None:
    """List files that were committed to, of one ACCOUNT or all."""
    from acx.cli.output import print_json, print_table
    from acx.member.home import Member

    found = Member.open(home).exhibits(account or "")
    rows = [(e.account, e.kind, e.commitment, e.size, e.held, e.file) for e in found]
    names = ("account", "kind", "commitment", "size", "held", "file")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_table(
            names,
            [(a, k, c, str(size), "yes" if held else "no", f) for a, k, c, size, held, f in rows],
        )


@evidence.command()
@click.argument("commitment")
@home_option
@yes_option
@json_option
def drop(commitment: str, home: Path, yes: bool, as_json: bool) -> None:
    """Note that you no longer keep the file of COMMITMENT; the account's next report says so."""
    from acx.cli.output import print_json
    from acx.member.home import Member

    if not yes:
        click.confirm(
            "Is the file gone? What it proved can no longer be shown", abort=True, err=True
        )
    exhibit = Member.open(home).let_go(commitment)
    if as_json:
        print_json({"account": exhibit.account, "commitment": commitment, "held": exhibit.held})
    else:
        click.echo(f"{exhibit.account}: no longer held")


@evidence.command()
@click.argument("report")
@click.argument("file", type=existing_file)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the proof here instead of printing it.",
)
@home_option
def prove(report: str, file: Path, out: Path | None, home: Path) -> None:
    """Make the proof that you held FILE when you made REPORT (its id, or your own account id).

    Whoever gets proof and file can check them with `acx evidence check`. The proof names the
    report and not you; what is in the file may.
    """
    import msgspec

    from acx.cli.output import note, print_json
    from acx.member.home import Member
    from acx.records.files import AtomicFile

    proof = Member.open(home).prove_evidence(report, file)
    if out is None:
        print_json(proof)
        return
    with AtomicFile(out) as written:
        written.write(msgspec.json.encode(proof) + b"\n")
    note(f"proof -> {out}; it opens one commitment, and is worth nothing without the file")


@evidence.command()
@click.argument("proof", type=existing_file)
@click.argument("file", type=existing_file)
@click.option(
    "--replica",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="ACX_REPLICA",
    required=True,
    help="Replica directory to look the report up in (or ACX_REPLICA).",
)
@json_option
def check(proof: Path, file: Path, replica: Path, as_json: bool) -> None:
    """Check that FILE is what a report committed to, as PROOF says."""
    from contextlib import closing

    from acx.cli.output import print_json
    from acx.member import evidence as proofs
    from acx.member.replica import Replica

    claimed = proofs.parse_proof(proof.read_bytes())
    with closing(Replica.open(replica, read_only=True)) as opened:
        view = opened.report(claimed.report)
        proofs.check(claimed, file, view)
        index = view.first_index if view is not None else -1
    if as_json:
        print_json({"report": claimed.report, "kind": claimed.kind, "index": index, "holds": True})
    else:
        click.echo(f"report {claimed.report} committed to this file ({claimed.kind})")
