"""`acx report`, `acx reports`, `acx outbox`: share confirmed counterfeiters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from acx.cli.options import dry_run_option, home_option, input_options, json_option
from acx.cli.posting import Posting, posting_options, sending, warn_of_haste

if TYPE_CHECKING:
    from acx.member.contribute import Draft
    from acx.member.home import Reported
    from acx.records.files import Rejects

MAX_SHOWN = 60
"""Characters of a value in a table."""


@click.command()
@click.argument("file")
@home_option
@dry_run_option
@click.option(
    "--amend",
    "only_amend",
    is_flag=True,
    help="Only change what was reported before; open nothing.",
)
@click.option(
    "--new",
    "always_new",
    is_flag=True,
    help="Open a report even where another stands for the same actor.",
)
@click.option("--out", metavar="FILE", help="Write for each row what was done and what leaves.")
@click.option(
    "--lint-word",
    "lint_words",
    metavar="WORD",
    multiple=True,
    help="A word that must not leave, in any writing, beside those of the settings; repeatable.",
)
@posting_options
@input_options
@json_option
@click.pass_context
def report(
    ctx: click.Context,
    /,
    file: str,
    home: Path,
    dry_run: bool,
    posting: Posting,
    only_amend: bool,
    always_new: bool,
    out: str | None,
    lint_words: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Share confirmed counterfeiters, and print a report id a line.

    FILE is JSON, JSON Lines, CSV, Parquet or XLSX, or -: account columns plus the report's
    (conduct, confirmed_by, confirmed_on, brands, categories, …). The wallet remembers what was
    said of each account id, so the same file again sends only what changed. A row that hits an
    active report at `exact` goes as a corroboration. Several reports go in random order with
    gaps; what waits is safe in the outbox. What would name this store is removed or coarsened, or
    blocks the row; --dry-run shows each finding with the value.
    """
    from acx.cli.input import reading
    from acx.cli.output import note, print_json
    from acx.member.errors import ContributionError
    from acx.member.home import Member
    from acx.records.files import read_reports

    settings = posting.arguments | {"default_country": options["default_country"] or None}
    member = Member.open(home, settings)
    if lint_words:
        # Words add up: one that the settings hold back must not leave because another is named.
        words = ",".join((member.settings.lint_words, *lint_words))
        member = Member.open(home, settings | {"lint_words": words})
    beside = out or (file if file != "-" else "-")
    with reading(ctx, out=beside, **options) as given:
        rows = list(
            read_reports(
                file, rejects=given.rejects, mapping=given.mapping, encoding=given.encoding
            )
        )
        with sending(quiet=as_json) as progress:
            done = member.report(
                rows,
                dry_run=dry_run,
                at_once=posting.at_once,
                only_amend=only_amend,
                always_new=always_new,
                progress=progress,
            )
        warn_of_haste(done.sent)
        _reject(done.drafts, given.rejects)
        results = _results(done)
        for warning in done.warnings:
            note(f"acx: warning: {warning}")
        if not as_json:
            _tell_findings(done.drafts, with_values=dry_run)
        if out:
            _write(results, out)
        if as_json:
            print_json({"rows": results, **_counts(done)})
        else:
            for result in results:
                if result["report"]:
                    click.echo(result["report"])
                elif dry_run and result["leaves"] is not None:
                    click.echo(msgspec.json.encode(result["leaves"]))
            note(_summary(done, dry_run))
    if done.sent is not None and done.sent.stopped:
        raise ContributionError(
            f"{done.sent.waiting} wait safely in the outbox: {done.sent.stopped};"
            " acx outbox --send goes on"
        )


@click.command()
@home_option
@json_option
def reports(home: Path, as_json: bool) -> None:
    """List everything this member said, and how it stands."""
    from acx.cli.output import print_json, print_table
    from acx.member.home import Member

    own = Member.open(home).reports()
    if as_json:
        print_json(own)
        return
    print_table(
        ("account", "kind", "report", "state", "contributors", "standing", "disputes"),
        [
            (
                o.account,
                o.kind,
                o.report,
                o.state or "-",
                o.contributors,
                o.standing,
                ",".join(o.disputes),
            )
            for o in own
        ],
    )


@click.command()
@home_option
@click.option("--send", is_flag=True, help="Send what waits.")
@posting_options
@json_option
def outbox(home: Path, send: bool, posting: Posting, as_json: bool) -> None:
    """Show what waits, was sent and was acknowledged; --send goes on sending."""
    from acx.cli.output import note, print_json, print_table
    from acx.member.errors import ContributionError
    from acx.member.home import Member

    member = Member.open(home, posting.arguments)
    stopped = ""
    if send:
        with sending(quiet=as_json) as progress:
            sent = member.send(at_once=posting.at_once, progress=progress)
        warn_of_haste(sent)
        stopped = sent.stopped
    messages = member.outbox()
    rows = [
        {"id": m.id, "type": m.type, "state": m.state, "index": m.index, "problem": m.problem}
        for m in messages
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("id", "type", "state", "index", "problem"),
            [tuple("" if v is None else v for v in row.values()) for row in rows],
        )
        if not rows:
            note("the outbox is empty")
    if stopped:
        raise ContributionError(f"{stopped}; the rest waits safely, run it again")


def _reject(drafts: Iterable[Draft], rejects: Rejects) -> None:
    """Rows that were read and must not or cannot be said."""
    for draft in drafts:
        if draft.action == "rejected":
            rejects.accepted -= 1
            rejects.add(
                file=draft.file,
                line=draft.line,
                field=draft.field,
                reason=draft.reason,
                row={"id": draft.account},
            )


def _results(done: Reported) -> list[dict[str, object]]:
    """For each row what was said of it."""
    from acx.records.event import parse_event

    settled = done.sent.acknowledged if done.sent else ()
    acknowledged = {parse_event(m.event).report: m.acknowledged for m in settled}
    return [
        {
            "account": draft.account,
            "action": draft.action,
            "report": report_id,
            "reason": draft.reason,
            "findings": draft.findings,
            "leaves": msgspec.json.decode(draft.leaves) if draft.leaves else None,
            "acknowledged": acknowledged.get(report_id),
        }
        for draft, report_id in zip(done.drafts, done.reports, strict=True)
    ]


def _tell_findings(drafts: Iterable[Draft], *, with_values: bool) -> None:
    """What the lint found and did; the values only where a person asked to look at them."""
    from acx.cli.output import note, print_table

    found = [(draft, finding) for draft in drafts for finding in draft.findings]
    if not with_values:
        for draft, finding in found:
            place = draft.account or f"line {draft.line}"
            note(f"{finding.action}, {place}: {finding.explanation}")
    elif found:
        print_table(
            ("line", "account", "field", "rule", "done", "value", "leaves", "why"),
            [
                (
                    draft.line,
                    draft.account,
                    f"{finding.field} {finding.index + 1}",
                    finding.rule,
                    finding.action,
                    _one_line(finding.value),
                    _one_line(finding.left),
                    finding.explanation.partition(": ")[2],
                )
                for draft, finding in found
            ],
            beside=True,
        )


def _one_line(value: str) -> str:
    """A value for a terminal: no line breaks or control characters, and not too long."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def _write(results: list[dict[str, object]], out: str) -> None:
    from acx.records.files import AtomicFile

    with AtomicFile(out) as file:
        for result in results:
            file.write(msgspec.json.encode(result) + b"\n")


def _counts(done: Reported) -> dict[str, object]:
    sent = done.sent
    return {
        "acknowledged": len(sent.acknowledged) if sent else 0,
        "failed": len(sent.failed) if sent else 0,
        "waiting": sent.waiting if sent else 0,
        "stopped": sent.stopped if sent else "",
    }


def _summary(done: Reported, dry_run: bool) -> str:
    actions = [draft.action for draft in done.drafts]
    said = ", ".join(
        f"{actions.count(action)} {word}"
        for action, word in (
            ("report", "new"),
            ("amend", "changed"),
            ("corroborate", "corroborated"),
            ("unchanged", "unchanged"),
            ("withdrawn", "withdrawn before"),
            ("rejected", "rejected"),
        )
        if action in actions
    )
    if dry_run or done.sent is None:
        return f"dry run, nothing sent: {said or 'no rows'}"
    counts = f"{len(done.sent.acknowledged)} acknowledged"
    if done.sent.failed:
        counts += f", {len(done.sent.failed)} refused (acx outbox)"
    return f"{said or 'no rows'}; {counts}"
