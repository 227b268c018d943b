"""`acx exchange …`: what an operator does."""

from __future__ import annotations

from pathlib import Path

import click

from acx.cli import audit, retention, witnessing
from acx.cli.dispute import as_option, code_option, dispute, who_option
from acx.cli.options import home_option, json_option, yes_option

ROLES = ("contributor", "receiver", "brand", "customs", "auditor")


@click.group()
def exchange() -> None:
    """Run an exchange: admission, serving, governance."""


for _command in (
    audit.audit,
    audit.refusals,
    audit.subject,
    dispute,
    retention.expire,
    retention.hold,
    retention.release,
    retention.holds,
    retention.codes,
    witnessing.witness,
    witnessing.relay,
    witnessing.log_key,
):
    exchange.add_command(_command)


@exchange.command()
@home_option
@click.option(
    "--database",
    metavar="URL",
    envvar="ACX_DATABASE",
    default="",
    help="postgresql://…; by default SQLite in the home. A password belongs into PGPASSFILE.",
)
@click.option(
    "--origin",
    metavar="NAME",
    default="",
    help="The log's name for ever, a host and path such as acx.example/log.",
)
@click.option("--url", metavar="URL", default="", help="Where members will reach it.")
@click.option("--sandbox", is_flag=True, help="An exchange to try things on; it never mixes.")
@json_option
def init(home: Path, database: str, origin: str, url: str, sandbox: bool, as_json: bool) -> None:
    """Make an exchange: keys, tables, the first entries of its log."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import DEFAULT_URL, Exchange

    with Exchange.init(
        home, origin=origin, url=url or DEFAULT_URL, database=database, sandbox=sandbox
    ) as made:
        settings, log_key = made.settings, made.log_key
    if as_json:
        print_json(
            {
                "origin": settings.origin,
                "home": str(home),
                "sandbox": sandbox,
                "log_key": log_key,
            }
        )
    else:
        click.echo(settings.origin)
        note(f"made in {home}; next: acx exchange operator add NAME, then acx exchange serve")


@exchange.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8440,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Serve Prometheus metrics on this port of the same address.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Only read, beside the process that leads; any number of these, on ports of their own.",
)
def serve(home: Path, host: str, port: int, metrics_port: int | None, follow: bool) -> None:
    """Serve members until stopped.

    One process leads: it alone takes what is posted. Others may --follow it and answer all that is
    read, streams above all; on PostgreSQL it wakes them, on SQLite they look.
    """
    from acx.web import exchange_api

    exchange_api.serve(
        home,
        host=host,
        port=port,
        metrics_port=metrics_port,
        follow=follow,
        on_ready=lambda url: click.echo(f"serving at {url}"),
    )


@exchange.group()
def operator() -> None:
    """Operators and their keys."""


@operator.command("add")
@click.argument("name")
@home_option
@json_option
def operator_add(name: str, home: Path, as_json: bool) -> None:
    """Make a key for an operator and put it on record."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        added = opened.add_operator(name)
    if as_json:
        print_json({"name": added.name, "key": added.key, "added": added.added})
    else:
        click.echo(added.key)
        note(f"{name}'s key is in {home}/keys/operators; acts that need four eyes need another's")


@operator.command("list")
@home_option
@json_option
def operator_list(home: Path, as_json: bool) -> None:
    """List operators; `service` is the server's own key."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        operators = opened.operators()
    if as_json:
        print_json([{"name": o.name, "key": o.key, "added": o.added} for o in operators])
    else:
        print_table(("name", "key", "added"), [(o.name, o.key, o.added) for o in operators])


@exchange.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="contributor",
    show_default=True,
    help="What the member may do.",
)
@click.option(
    "--criterion",
    "criteria",
    multiple=True,
    help="On what grounds, any number; `acx exchange codes` lists them.",
)
@click.option(
    "--group",
    default="",
    help="Company at the head of its economic group; one membership each. By default, itself.",
)
@click.option(
    "--as",
    "operator",
    metavar="NAME",
    default="",
    help="Who signs. Where two have to, this proposes the invite.",
)
@home_option
@json_option
def invite(
    name: str,
    role: str,
    criteria: tuple[str, ...],
    group: str,
    operator: str,
    home: Path,
    as_json: bool,
) -> None:
    """Print a one-time invite for a member to join with.

    A second one for an economic group, and those beyond the day's number, take two operators: with
    --as a proposal is printed instead, and its approval prints the invite.
    """
    from acx.cli.output import note, print_json
    from acx.exchange.governance.admissions import NeedsTwo
    from acx.exchange.governance.operators import SERVICE
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        admissions = opened.admissions
        try:
            token = admissions.invite(
                name, role, criteria=criteria, group=group, by=operator or SERVICE
            )
        except NeedsTwo:
            if not operator:
                raise
            proposal = admissions.propose(name, role, criteria=criteria, group=group, by=operator)
            if as_json:
                print_json({"name": name, "role": role, "proposal": proposal.id})
            else:
                click.echo(proposal.id)
                note("four eyes: acx exchange approve PROPOSAL --as ANOTHER prints the invite")
            return
    if as_json:
        print_json({"name": name, "role": role, "invite": token})
    else:
        click.echo(token)


@exchange.command()
@click.argument("name")
@click.option(
    "--mark",
    "marks",
    multiple=True,
    required=True,
    help="Number of a registered mark that was looked up, EUTM:018000000; any number of times.",
)
@as_option
@home_option
@json_option
def verify(name: str, marks: tuple[str, ...], operator: str, home: Path, as_json: bool) -> None:
    """Propose that a brand's registered marks count as verified, so that its word counts."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        proposal = opened.admissions.verify(name, marks, operator)
    if as_json:
        print_json({"proposal": proposal.id, "name": name, "marks": marks})
    else:
        click.echo(proposal.id)
        note("four eyes: acx exchange approve PROPOSAL --as ANOTHER")


@exchange.command()
@home_option
@json_option
def members(home: Path, as_json: bool) -> None:
    """List members, their roles and standing."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.members()
    if as_json:
        print_json(
            [
                {
                    "name": m.name,
                    "role": m.role,
                    "status": m.status,
                    "joined": m.joined,
                    "terms": m.terms,
                    "criteria": m.criteria,
                    "marks": m.marks,
                }
                for m in found
            ]
        )
    else:
        print_table(
            ("name", "role", "status", "joined", "grounds", "marks"),
            [
                (m.name, m.role, m.status, m.joined, ",".join(m.criteria), ",".join(m.marks))
                for m in found
            ],
        )


@exchange.command()
@click.argument("name")
@who_option
@home_option
@yes_option
@json_option
def suspend(name: str, operator: str, home: Path, yes: bool, as_json: bool) -> None:
    """Stop a member from reading and posting; it is on record."""
    if not yes:
        click.confirm(f"Suspend {name}?", abort=True, err=True)
    _set_standing("suspend", name, operator, home, as_json)


@exchange.command()
@click.argument("name")
@who_option
@home_option
@json_option
def reinstate(name: str, operator: str, home: Path, as_json: bool) -> None:
    """Let a suspended member take part again; it is on record."""
    _set_standing("reinstate", name, operator, home, as_json)


@exchange.command()
@click.argument("name")
@as_option
@home_option
@json_option
def reenrol(name: str, operator: str, home: Path, as_json: bool) -> None:
    """Propose a new wallet for a member that lost its own; once a year, on record.

    Not needed where the recovery phrase or a backup is left. The approval prints an invite.
    """
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        proposal = opened.admissions.reenrol(name, operator)
    if as_json:
        print_json({"proposal": proposal.id})
    else:
        click.echo(proposal.id)
        note("four eyes: acx exchange approve PROPOSAL --as ANOTHER prints the invite")


@exchange.command()
@click.option(
    "--emergency",
    is_flag=True,
    help="Start in two hours and not in two days: the key in use may be stolen. Once a week.",
)
@home_option
@yes_option
@json_option
def rotate(emergency: bool, home: Path, yes: bool, as_json: bool) -> None:
    """Replace the key that credentials are issued under, ahead of the quarter; it is on record.

    Whoever is suspended cannot post from its start on. Members' wallets fetch new credentials by
    themselves before that, and no report is lost.
    """
    from acx.cli.output import note, print_json
    from acx.exchange.clock import hour_text
    from acx.exchange.service import Exchange

    if not yes:
        click.confirm("Replace the issuer key?", abort=True, err=True)
    with Exchange.open(home) as opened:
        key = opened.rotate(emergency=emergency)
    starts = hour_text(key.term.starts)
    if as_json:
        print_json({"key": key.term.id, "not_before": starts, "emergency": emergency})
    else:
        click.echo(key.term.id)
        note(f"in use from {starts} on; members' wallets fetch their credentials until then")


def _set_standing(act: str, name: str, operator: str, home: Path, as_json: bool) -> None:
    from acx.cli.output import print_json
    from acx.exchange.governance.operators import SERVICE
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        admissions = opened.admissions
        change = admissions.suspend if act == "suspend" else admissions.reinstate
        member = change(name, operator or SERVICE)
    if as_json:
        print_json({"name": member.name, "status": member.status})
    else:
        click.echo(f"{member.name}: {member.status}")


@exchange.command()
@click.argument("reports", metavar="REPORT…", nargs=-1, required=True)
@code_option("Why")
@as_option
@home_option
@json_option
def erase(reports: tuple[str, ...], code: str, operator: str, home: Path, as_json: bool) -> None:
    """Propose that reports be erased; prints the proposal for another operator to approve."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        proposal = opened.retention.erase(reports, code, operator).id
    if as_json:
        print_json({"proposal": proposal})
    else:
        click.echo(proposal)
        note("four eyes: acx exchange approve PROPOSAL --as ANOTHER")


@exchange.command()
@click.argument("proposal")
@as_option
@home_option
@json_option
def approve(proposal: str, operator: str, home: Path, as_json: bool) -> None:
    """Approve another operator's proposal, and see it done."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        done = opened.approve(proposal, operator)
    if as_json:
        print_json(
            {
                "proposal": done.id,
                "kind": done.kind,
                "report": done.report,
                "approved_by": done.approved_by,
                "result": done.result,
            }
        )
        return
    if done.kind in {"invitation", "reenrolment"}:
        click.echo(done.result)
        return
    click.echo(f"{done.kind} of {done.report or 'several'}: done, approved by {operator}")
    if done.result:
        note(done.result)


@exchange.command()
@click.argument("proposal")
@home_option
@yes_option
def reject(proposal: str, home: Path, yes: bool) -> None:
    """Drop a proposal that nobody has approved."""
    from acx.cli.output import note
    from acx.exchange.service import Exchange

    if not yes:
        click.confirm(f"Drop proposal {proposal}?", abort=True, err=True)
    with Exchange.open(home) as opened:
        opened.reject(proposal)
    note(f"{proposal}: dropped")


@exchange.command()
@home_option
@json_option
def proposals(home: Path, as_json: bool) -> None:
    """List proposals; those that wait for another operator first."""
    from acx.cli.output import print_json, print_table
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        found = opened.proposals()
    if as_json:
        names = ("id", "kind", "report", "code", "proposed_by", "approved_by", "created")
        print_json([{name: getattr(p, name) for name in names} for p in found])
    else:
        print_table(
            ("id", "kind", "report", "code", "proposed by", "approved by"),
            [
                (p.id, p.kind, p.report, p.code, p.proposed_by, p.approved_by or "waits")
                for p in found
            ],
        )


@exchange.command()
@home_option
def migrate(home: Path) -> None:
    """Bring the database to this version of acx."""
    from acx.cli.output import note
    from acx.exchange.service import Exchange

    Exchange.migrate_home(home)
    note("the database is of this version")


@exchange.command()
@click.argument("directory", type=click.Path(path_type=Path))
@home_option
@json_option
def backup(directory: Path, home: Path, as_json: bool) -> None:
    """Write a backup to a new DIRECTORY, whether the server runs or not. It holds the keys."""
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        made = opened.backup(directory)
    if as_json:
        print_json({"origin": made.origin, "size": made.size, "files": len(made.files)})
    else:
        note(f"{made.origin}, {made.size} entries, {len(made.files)} files -> {directory}")


@exchange.command()
@click.option(
    "--to",
    "directory",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of its own, for a web server, an object store or a CDN.",
)
@click.option(
    "--without-keys",
    is_flag=True,
    help="Leave key pages out: members fetch them from the exchange, with their tokens.",
)
@home_option
@json_option
def publish(directory: Path, without_keys: bool, home: Path, as_json: bool) -> None:
    """Write the log as plain files that members sync from; again, only what is new.

    Events are encrypted, and their keys sealed for members in good standing, so anyone may carry
    the files. What is erased is gone from here with the next run: run it often, and let no cache
    or version keep `keys/`.
    """
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    with Exchange.open(home) as opened:
        done = opened.publish(directory, keys=not without_keys)
    if as_json:
        print_json({"size": done.size, "written": done.written, "removed": done.removed})
    else:
        note(
            f"{done.size} entries in {directory}: {done.written} files written,"
            f" {done.removed} removed"
        )


@exchange.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@home_option
@click.option("--database", metavar="URL", default=None, help="Another database than before.")
@json_option
def restore(directory: Path, home: Path, database: str | None, as_json: bool) -> None:
    """Put a backup in place as a new home; it signs nothing before `recover`.

    What was published after the backup must come back first, from any member's replica: an
    exchange that went on from an old backup would fork its log.
    """
    from acx.cli.output import note, print_json
    from acx.exchange.service import Exchange

    made = Exchange.restore(directory, home, database=database)
    if as_json:
        print_json({"origin": made.origin, "size": made.size})
    else:
        note(f"{made.origin}, {made.size} entries; next: acx exchange recover --from REPLICA|URL")


@exchange.command()
@click.option(
    "--from",
    "source",
    metavar="REPLICA|URL",
    help="A member's replica directory, or another server of the log.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With a URL: file with a member's token for it.",
)
@click.option(
    "--nothing-published",
    is_flag=True,
    help="Assert that nothing was published after the backup. If wrong, the log forks.",
)
@home_option
@yes_option
@json_option
def recover(
    source: str | None,
    token_file: Path | None,
    nothing_published: bool,
    home: Path,
    yes: bool,
    as_json: bool,
) -> None:
    """Bring an exchange that is behind what it published up to date, and sign again."""
    from acx.cli.output import note, print_json
    from acx.exchange.backup.http_copy import HttpCopy
    from acx.exchange.service import Exchange
    from acx.member.replica import Replica

    if (source is None) != nothing_published:
        raise click.UsageError("give --from REPLICA|URL, or assert --nothing-published")
    if nothing_published and not yes:
        click.confirm("Was really nothing published after the backup?", abort=True, err=True)
    with Exchange.open(home) as opened:
        if source is None:
            done = opened.recover(None)
        elif source.startswith(("http://", "https://")):
            if token_file is None:
                raise click.UsageError("a URL needs --token-file, a member's token for it")
            done = opened.recover(HttpCopy(source, token_file.read_text("utf-8").strip()))
        else:
            replica = Replica.open(Path(source), read_only=True)
            try:
                done = opened.recover(replica)
            finally:
                replica.close()
    if as_json:
        print_json({"before": done.before, "size": done.size, "joined": done.joined})
        return
    click.echo(f"{done.size - done.before} entries brought back; the log has {done.size}")
    if done.joined:
        note(f"{done.joined} members joined in between: invite them again")
