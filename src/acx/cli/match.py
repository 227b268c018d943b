"""`acx match`: the matcher alone, on two account files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.explain import check_drawing, explain_out_option
from acx.cli.options import (
    fail_on_option,
    input_options,
    json_option,
    level_option,
    prior_option,
    weights_option,
)

if TYPE_CHECKING:
    import polars as pl

    from acx.cli.input import Input
    from acx.matching import MatchOptions


@click.command()
@click.argument("accounts")
@click.option("--against", required=True, metavar="ACCOUNTS", help="The accounts to find.")
@click.option("--out", metavar="HITS", help="Where hits go: .csv, .jsonl, …; or -.")
@level_option
@prior_option
@weights_option
@click.option(
    "--explain",
    nargs=2,
    metavar="A B",
    help="Show how the account A and the subject B compare, field by field, hit or not.",
)
@explain_out_option
@click.option(
    "--estimate", is_flag=True, help="Estimate m, u and the prior from the two files, by EM."
)
@click.option(
    "--labels",
    metavar="FILE",
    help="Learn from pairs with a label (account_id, subject_id, label: true or false); a part is"
    " kept back to check on. With --estimate, from both.",
)
@click.option("--out-weights", metavar="FILE", help="Where estimated weights go, as JSON; or -.")
@fail_on_option
@input_options
@json_option
@click.pass_context
def match(
    ctx: click.Context,
    /,
    accounts: str,
    against: str,
    out: str | None,
    level: str,
    prior: float | None,
    weights: Path | None,
    explain: tuple[str, str] | None,
    explain_out: Path | None,
    estimate: bool,
    labels: str | None,
    out_weights: str | None,
    fail_on: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Match two account files: the matcher alone.

    ACCOUNTS and the accounts to find are JSON Lines, CSV, Parquet or XLSX, a folder, a glob, or -
    for standard input. A file against itself leaves out each row itself. HITS has account_id,
    subject_id, level, probability and reasons, most probable first.

    With --estimate or --labels, weights are estimated first, and HITS, if asked for, are made with
    them. With --explain, one pair is shown instead.
    """
    import msgspec

    from acx.cli.input import meets, reading
    from acx.cli.output import progress
    from acx.matching import MatchOptions
    from acx.matching import match as match_accounts
    from acx.matching.weights import load, save
    from acx.records.files import write_table

    learning = estimate or labels is not None
    _require_sense(ctx, learning=learning)
    same_file = accounts == against or (
        Path(accounts).exists() and Path(against).exists() and Path(accounts).samefile(against)
    )
    place = out or out_weights or str(explain_out or "-")
    with reading(ctx, out=place, **options) as given, progress("matching", quiet=as_json) as told:
        how = MatchOptions(
            level=level,
            default_country=given.default_country,
            same_file=same_file,
            prior=MatchOptions().prior if prior is None else prior,
            weights=None if weights is None or learning else load(weights).table(),
        )
        subjects, sellers = _Frames(_read(against, given)), _Frames(_read(accounts, given))
        if same_file or learning or explain:
            subjects = _Frames([subjects.whole()])
            sellers = subjects if same_file else _Frames([sellers.whole()])
        if explain:
            _explain(sellers.whole(), subjects.whole(), explain, how, explain_out, as_json=as_json)
            return
        if learning:
            from acx.cli.estimate import read_labels, show
            from acx.matching.estimate import estimate as estimate_weights
            from acx.matching.labels import NO_LABELS

            files = sellers.whole(), subjects.whole()
            known = read_labels(labels, *files, given) if labels else NO_LABELS
            learnt = estimate_weights(*files, options=how, labels=known, by_em=estimate)
            if out_weights is not None:
                save(learnt.weights, out_weights)
            if "-" not in (out, out_weights):
                show(learnt, as_json=as_json, out_weights=out_weights)
            how = msgspec.structs.replace(how, weights=learnt.weights.table())
        if out:
            hits = match_accounts(sellers, subjects, options=how, progress=told)
            write_table([hits], out, joiners={"reasons": ";"})
            counts = dict(hits.group_by("level").len().iter_rows())
            for frames, source in ((subjects, against), (sellers, accounts)):
                _warn_of_bare(frames, source, given)
            if out != "-":
                _tell(sellers.rows, subjects.rows, counts, out, as_json=as_json and not learning)
            given.hits_found = meets(fail_on, counts)


def _require_sense(ctx: click.Context, *, learning: bool) -> None:
    """Refuse options that do not go together before any work begins."""
    out, explain = ctx.params["out"], ctx.params["explain"]
    if not (out or learning or explain):
        raise click.UsageError("say what to do: --out HITS, --explain A B, --estimate or --labels")
    if explain and (out or learning):
        raise click.UsageError("--explain shows one pair: leave out --out, --estimate and --labels")
    told_weights = ctx.get_parameter_source("weights") is click.core.ParameterSource.COMMANDLINE
    if learning and told_weights:
        raise click.UsageError(
            "--weights are what --estimate and --labels are to find: leave it out"
        )
    for name, parameter, needs, met in (
        ("--explain-out", "explain_out", "--explain", explain),
        ("--out-weights", "out_weights", "--estimate or --labels", learning),
        ("--fail-on", "fail_on", "--out", out),
    ):
        if ctx.params[parameter] is not None and not met:
            raise click.UsageError(f"{name} goes with {needs}")
    check_drawing(ctx.params["explain_out"])


class _Frames:
    """Accounts batch by batch, counted as they pass: all, and those with nothing to match on."""

    def __init__(self, frames: Iterable[pl.DataFrame]) -> None:
        self._frames = frames
        self.rows = 0
        self.bare = 0

    def __iter__(self) -> Iterator[pl.DataFrame]:
        self.rows = self.bare = 0
        for frame in self._frames:
            self.rows += len(frame)
            self.bare += _bare(frame)
            yield frame

    def whole(self) -> pl.DataFrame:
        """All of them in memory."""
        import polars as pl

        return pl.concat(self)


def _bare(frame: pl.DataFrame) -> int:
    """How many accounts have no value that could tell who they are."""
    import polars as pl

    from acx.records.account import LIST_FIELDS

    telling = [pl.col(name).list.len() > 0 for name in LIST_FIELDS if name != "country"]
    return frame.select(~pl.any_horizontal(*telling, pl.col("birth_date") != "")).sum().item() or 0


def _warn_of_bare(frames: _Frames, source: str, given: Input) -> None:
    if frames.bare:
        of = "all" if frames.bare == frames.rows else f"{frames.bare} of"
        given.rejects.warn(
            f"{source}: {of} {frames.rows} accounts have nothing to match on but perhaps kind and"
            " country, and hit nothing; if their columns have other names, give --mapping"
        )


def _read(source: str, given: Input) -> Iterator[pl.DataFrame]:
    from acx.records.files import read_accounts

    return read_accounts(
        source, rejects=given.rejects, mapping=given.mapping, encoding=given.encoding
    )


def _tell(accounts: int, against: int, counts: dict[str, int], out: str, *, as_json: bool) -> None:
    """Say how many hits there are."""
    from acx.cli.output import note, print_json

    levels = {name: counts.get(name, 0) for name in ("exact", "strong", "possible")}
    if as_json:
        print_json({"accounts": accounts, "against": against, "hits": levels, "out": out})
    else:
        found = ", ".join(f"{count} {name}" for name, count in levels.items())
        note(f"{accounts} accounts against {against}: {found} -> {out}")


def _explain(
    sellers: pl.DataFrame,
    subjects: pl.DataFrame,
    pair: tuple[str, str],
    how: MatchOptions,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show how one pair compares, values as common as they are in both files."""
    from acx.cli.explain import draw, print_waterfall, waterfall
    from acx.cli.output import print_json
    from acx.matching import SubjectIndex
    from acx.matching.model import weights

    account = _account(sellers, pair[0], "ACCOUNTS")
    subject = _account(subjects, pair[1], "the file given by --against")
    index = SubjectIndex.build(subjects, options=how)
    if not how.same_file:
        index.observe(sellers)
    explanation = index.explain(account, pair[1])
    table = weights() if how.weights is None else how.weights
    drawn = waterfall(
        explanation, account, subject, table=table, default_country=how.default_country
    )
    if out is not None:
        draw(drawn, out)
    if as_json:
        print_json(drawn)
    else:
        print_waterfall(drawn)


def _account(accounts: pl.DataFrame, wanted: str, where: str) -> Any:
    import msgspec
    import polars as pl

    from acx.matching import UnknownSubject
    from acx.records.account import FIELDS, Account

    found = accounts.filter(pl.col("id") == wanted).select(FIELDS)
    if found.is_empty():
        raise UnknownSubject(f"{wanted!r} is no account's id in {where}; see its column id")
    return msgspec.convert(found.row(0, named=True), Account)
