"""`acx match --estimate` and `--labels`: labels read, and what was estimated shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from acx.cli.output import print_json, print_table

if TYPE_CHECKING:
    import polars as pl

    from acx.cli.input import Input
    from acx.matching.estimate import Estimate
    from acx.matching.labels import Evaluation, LabelledPairs
    from acx.matching.weights import ModelWeights

SUBJECT, ACCOUNT = "subject_id", "account_id"

_WEIGHTS: Final = ("field", "comparison", "m", "u", "bits", "shipped m", "shipped bits")
_LEVELS: Final = ("level", "hits", "precision", "recall", "shipped precision", "shipped recall")
_RELIABILITY: Final = ("probability from", "pairs", "predicted", "observed")


def read_labels(
    source: str, accounts: pl.DataFrame, subjects: pl.DataFrame, given: Input
) -> LabelledPairs:
    """Read which pairs are one actor.

    A row whose ids are unknown, or that says of a pair what an earlier one denied, is a reject.

    Args:
        source: a file with `account_id`, `subject_id` and `label`, `true` or `false`.
        accounts: the rows that `account_id` speaks of.
        subjects: the rows that `subject_id` speaks of.
        given: how input is read.
    """
    import polars as pl

    from acx.matching.labels import LabelledPairs, kept_back
    from acx.records.files import FILE, LINE, Column, read_table

    columns = [
        Column(name=ACCOUNT, required=True),
        Column(name=SUBJECT, required=True),
        Column(name="label", required=True, as_written=True, one_of=("true", "false")),
    ]
    read = pl.concat(
        read_table(source, columns=columns, rejects=given.rejects, encoding=given.encoding)
    )
    said = _with_rows(_with_rows(read, ACCOUNT, accounts), SUBJECT, subjects).with_columns(
        before=pl.col("label").first().over(ACCOUNT, SUBJECT),
        again=pl.int_range(pl.len()).over(ACCOUNT, SUBJECT) > 0,
    )
    unknown = pl.col("row_of_account_id").is_null() | pl.col("row_of_subject_id").is_null()
    wrong = said.filter(unknown | (pl.col("label") != pl.col("before")))
    for row in wrong.iter_rows(named=True):
        field, reason = _problem(row)
        shown = {name: row[name] for name in (ACCOUNT, SUBJECT, "label")}
        given.rejects.add(file=row[FILE], line=row[LINE], field=field, reason=reason, row=shown)
    given.rejects.accepted -= len(wrong)
    kept = said.filter(~unknown & ~pl.col("again"))
    return LabelledPairs(
        kept["row_of_account_id"].to_numpy(),
        kept["row_of_subject_id"].to_numpy(),
        (kept["label"] == "true").to_numpy(),
        kept_back(kept[ACCOUNT].to_list()),
    )


def _with_rows(labels: pl.DataFrame, column: str, accounts: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    rows = accounts.select(
        pl.col("id").alias(column), pl.int_range(pl.len(), dtype=pl.Int64).alias(f"row_of_{column}")
    )
    return labels.join(rows, on=column, how="left", maintain_order="left")


def _problem(row: dict[str, object]) -> tuple[str, str]:
    if row["row_of_account_id"] is None:
        return ACCOUNT, "is no account's id in ACCOUNTS"
    if row["row_of_subject_id"] is None:
        return SUBJECT, "is no id in the file given by --against"
    return "label", f"was {row['before']} for the same pair before; keep one of the two"


def show(estimate: Estimate, *, as_json: bool, out_weights: str | None) -> None:
    """Print what was estimated, and how good it is on labels that were kept back."""
    if as_json:
        print_json(
            {
                "weights": estimate.weights,
                "log_likelihood": estimate.likelihood,
                "held_out": estimate.held_out,
                "held_out_shipped": estimate.held_out_shipped,
                "out_weights": out_weights,
            }
        )
        return
    print_table(_WEIGHTS, list(_weight_rows(estimate.weights)))
    said = estimate.weights.provenance
    if said is not None:
        click.echo(
            f"\nfrom {said.accounts} accounts against {said.subjects}: {said.pairs} pairs compared,"
            f" {said.matches:.0f} of them one actor, {said.labelled} by their label"
        )
        if said.rounds:
            ended = "converged" if said.converged else "stopped before it converged"
            click.echo(f"EM {ended} after {said.rounds} rounds")
            click.echo(
                f"prior: {estimate.weights.prior:.2g} of the accounts are somebody; it counts only"
                " where you say --prior"
            )
    if estimate.held_out is not None and estimate.held_out_shipped is not None:
        _show_evaluation(estimate.held_out, estimate.held_out_shipped)


def _weight_rows(weights: ModelWeights) -> Iterator[tuple[str, ...]]:
    from acx.matching.weights import most_bits, shipped

    for f, (field, before) in enumerate(zip(weights.fields, shipped().fields, strict=True)):
        left = left_before = chance = 1.0
        for place, (level, old) in enumerate(zip(field.levels, before.levels, strict=True)):
            bits, bits_before = most_bits(f, place, level), most_bits(f, place, old)
            yield _row(field.name, level.name, level.m, level.u, bits, old.m, bits_before)
            left, left_before = left - level.m, left_before - old.m
            chance = max(chance - level.u, 0.0)
        yield _row(field.name, "differs", left, chance, field.differs, left_before, before.differs)


def _row(
    field: str, comparison: str, m: float, u: float, bits: float, old_m: float, old_bits: float
) -> tuple[str, ...]:
    return (
        field,
        comparison,
        f"{m:.3f}",
        f"{u:.2g}",
        f"{bits:+.1f}",
        f"{old_m:.3f}",
        f"{old_bits:+.1f}",
    )


def _show_evaluation(now: Evaluation, shipped: Evaluation) -> None:
    click.echo(
        f"\non {now.pairs} labelled pairs that were kept back, {now.same} of them one actor:"
        f" Brier score {now.brier:.4f}, shipped weights {shipped.brier:.4f}"
    )
    print_table(
        _LEVELS,
        [
            (
                f"{new.level} and above" if new.level != "exact" else new.level,
                new.hits,
                *map(_share, (new.precision, new.recall, old.precision, old.recall)),
            )
            for new, old in zip(now.levels, shipped.levels, strict=True)
        ],
    )
    click.echo("\nreliability: of the pairs with such a probability, the share that is one actor")
    print_table(
        _RELIABILITY,
        [
            (each.above, each.pairs, f"{each.predicted:.4f}", f"{each.observed:.4f}")
            for each in now.reliability
        ],
    )


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
