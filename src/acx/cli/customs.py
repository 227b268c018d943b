"""`acx customs …`: rank shipments, and learn from what inspectors find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acx.cli.options import json_option

if TYPE_CHECKING:
    import polars as pl

    from acx.customs.exposure import Exchange
    from acx.customs.histories import F64
    from acx.customs.shipments import Label
    from acx.records.files import Mapping, Rejects

_PATH = click.Path(dir_okay=False, path_type=Path)
_LABELS = ("finding", "Fraud", "fraud", "illicit", "label")

mapping_option = click.option(
    "--mapping",
    metavar="FILE|NAME",
    help="TOML file that names the columns, or one that comes with acx: declarations, h7, "
    "us-entry, us-section321. Recognised by itself where the columns are.",
)
label_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="COLUMN",
    help="Column that says what was found; COLUMN>=N counts numbers from N on; several are "
    "combined by weight, COLUMN=WEIGHT. By default finding or Fraud.",
)
seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Of everything random."
)
replica_option = click.option(
    "--replica",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="ACX_REPLICA",
    help="Replica to screen parties and goods against (or ACX_REPLICA).",
)
rejects_option = click.option(
    "--rejects", type=_PATH, help="Where rejected rows go; by default beside the output."
)
allow_option = click.option(
    "--allow-rejects", metavar="N|P%", help="This many rejected rows are still a success."
)
outcomes_option = click.option(
    "--outcomes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Outcomes that `acx customs outcome --store` keeps; they take the place of labels.",
)


@click.group()
def customs() -> None:
    """Rank low-value shipments worth opening, and learn from what is found."""


@customs.command()
@click.argument("declarations")
@click.option("--out", required=True, type=_PATH, metavar="MODEL", help="Where the model goes.")
@mapping_option
@label_option
@outcomes_option
@replica_option
@seed_option
@rejects_option
@allow_option
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    declarations: str,
    out: Path,
    mapping: str | None,
    labels: tuple[str, ...],
    outcomes: Path | None,
    replica: Path | None,
    seed: int,
    rejects: Path | None,
    allow_rejects: str | None,
    as_json: bool,
) -> None:
    """Train on past declarations; writes MODEL and, beside it, its card as HTML.

    Shipments that were not inspected (an empty label) teach prices alone.
    """
    import numpy as np
    import polars as pl

    from acx.cli.output import note, print_json, progress
    from acx.customs import card, evaluation
    from acx.customs.model import train as learn
    from acx.records.files import AtomicFile

    with (
        _reading(ctx, str(out), rejects, allow_rejects) as collected,
        _exchange(replica) as exchange,
    ):
        frame, wanted = _labelled(declarations, mapping, labels, outcomes, collected)
        unseen: list[F64] = []

        def judged(scores: F64, found: F64) -> dict[str, Any]:
            unseen.append(scores)
            return evaluation.quality(scores, found)

        with progress("training", quiet=as_json) as advance:
            model = learn(
                frame,
                wanted,
                exposure=None if exchange is None else exchange.of(frame).matrix,
                log_size=0 if exchange is None else exchange.log_size,
                seed=seed,
                quality=judged,
                progress=advance,
            )
        inspected = frame.filter(pl.col("label_0").is_not_null())
        selected = (unseen[0] >= np.quantile(unseen[0], 0.95)).astype(float)
        falls = {
            f"By {title}, top 5 %, cross-validated": evaluation.fairness(inspected, selected, by)
            for title, by in (
                ("country of origin", "country_origin"),
                ("size of importer", "importer_size"),
            )
        }
        page = card.model_card(model, falls)
        model.save(out)
        card_path = out.with_suffix(".html")
        with AtomicFile(card_path) as file:
            file.write(page.encode())
        if as_json:
            print_json({"model": str(out), "card": str(card_path), **model.trained.quality})
        else:
            at = model.trained.quality["at"]["5%"]["precision"]
            note(
                f"{len(frame)} shipments -> {out}; of the top 5 % {at['value']:.1%} are finds "
                f"({at['low']:.1%} to {at['high']:.1%}, cross-validated); card: {card_path}"
            )


@customs.command()
@click.argument("shipments")
@click.option(
    "--model",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The model, as train wrote it.",
)
@click.option(
    "--capacity", required=True, metavar="N|P%", help="How many can be opened: 200, or 2%."
)
@click.option(
    "--out", required=True, metavar="RANKED", help="Where RANKED goes: .csv, .parquet, …."
)
@click.option(
    "--explore",
    default="10%",
    show_default=True,
    metavar="Q%",
    help="Share of the capacity for what the model cannot know yet.",
)
@click.option(
    "--audit",
    default="2%",
    show_default=True,
    metavar="Q%",
    help="Share of the capacity drawn at random, to measure by.",
)
@click.option("--per-office", is_flag=True, help="Each office has the capacity for itself.")
@click.option(
    "--reasons",
    type=click.Choice(("selected", "all")),
    default="selected",
    show_default=True,
    help="Whose reasons to give; all takes about a millisecond a shipment.",
)
@mapping_option
@replica_option
@seed_option
@rejects_option
@allow_option
@json_option
@click.pass_context
def target(
    ctx: click.Context,
    /,
    shipments: str,
    model: Path,
    capacity: str,
    out: str,
    explore: str,
    audit: str,
    per_office: bool,
    reasons: str,
    mapping: str | None,
    replica: Path | None,
    seed: int,
    rejects: Path | None,
    allow_rejects: str | None,
    as_json: bool,
) -> None:
    """Rank shipments under the capacity there is, with the reasons of the selected.

    RANKED has shipment_id, rank, score, selected, reasons, selection (model, explore, audit) and
    selection_probability, best first.
    """
    from acx.cli.output import note, print_json, progress
    from acx.customs.model import Model
    from acx.customs.ranking import rank, waiting_folder
    from acx.customs.shipments import read_shipments
    from acx.customs.targeting import Capacity
    from acx.records.files import write_table

    allowed = Capacity.parse(capacity)
    shares = (Capacity.parse(explore), Capacity.parse(audit))
    if any(share.count is not None for share in shares):
        raise click.UsageError("--explore and --audit are shares of the capacity, such as 10%")
    loaded = Model.load(model)
    if loaded.trained.exposure and replica is None:
        note("acx: warning: the model knows the exchange; without --replica it ranks blindly to it")
    with (
        _reading(ctx, out, rejects, allow_rejects) as collected,
        waiting_folder() as folder,
        _exchange(replica) as exchange,
    ):
        batches = read_shipments(shipments, rejects=collected, mapping=_mapping(mapping, shipments))
        with progress("ranking", quiet=as_json) as advance:
            ranked = rank(
                loaded,
                batches,
                allowed,
                folder=Path(folder),
                exchange=exchange,
                explore=shares[0].share,
                audit=shares[1].share,
                per_office=per_office,
                all_reasons=reasons == "all",
                seed=seed,
                progress=advance,
            )
        write_table(ranked.frames, out, joiners={"reasons": "; "})
        for drift in ranked.drift[:5]:
            note(
                f"acx: warning: {drift.feature} is not what it was in training (stability index "
                f"{drift.index}); train again soon"
            )
        if as_json and out != "-":
            print_json(
                {
                    "shipments": ranked.shipments,
                    "selected": ranked.selected,
                    "drift": ranked.drift,
                    "out": out,
                }
            )
        elif out != "-":
            chosen = ", ".join(f"{count} {kind}" for kind, count in ranked.selected.items())
            note(f"{ranked.shipments} shipments: {chosen or 'none selected'} -> {out}")


@customs.command()
@click.argument("file")
@click.option(
    "--store",
    type=_PATH,
    required=True,
    metavar="OUTCOMES",
    help="Parquet file that keeps all outcomes; made if there is none.",
)
@click.option(
    "--ranked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="RANKED, as Parquet or CSV, to measure hit rates by.",
)
@click.option(
    "--shipments", help="The shipments as declared, to draft reports of counterfeits from."
)
@click.option(
    "--drafts",
    metavar="FILE",
    type=_PATH,
    help="With --shipments: where drafts for `acx report` go, .jsonl; nothing is sent.",
)
@mapping_option
@rejects_option
@allow_option
@json_option
@click.pass_context
def outcome(
    ctx: click.Context,
    /,
    file: str,
    store: Path,
    ranked: Path | None,
    shipments: str | None,
    drafts: Path | None,
    mapping: str | None,
    rejects: Path | None,
    allow_rejects: str | None,
    as_json: bool,
) -> None:
    """Keep what inspectors found: for the next training, the figures, and drafts of reports.

    FILE has shipment_id, inspected_on, finding (clear, counterfeit, undervalued, prohibited,
    misclassified), brand, category, quantity, value, currency. The same file again changes nothing.
    """
    import msgspec

    from acx.cli.output import note, print_json, print_table
    from acx.customs import outcomes as found
    from acx.customs.shipments import read_shipments
    from acx.records.files import AtomicFile

    if (drafts is None) != (shipments is None):
        raise click.UsageError("--drafts needs --shipments, and the other way round")
    with _reading(ctx, str(store), rejects, allow_rejects) as collected:
        read = found.read_outcomes(file, rejects=collected)
        new, total = found.keep(read, store)
        everything = found.kept(store)
        rates = found.measured(everything, _ranked(ranked)) if ranked else []
        reports = []
        if drafts is not None and shipments is not None:
            frames = read_shipments(
                shipments, rejects=collected, mapping=_mapping(mapping, shipments)
            )
            reports = found.drafts(read, frames)
            with AtomicFile(drafts) as written:
                for report in reports:
                    written.write(msgspec.json.encode(report) + b"\n")
    if as_json:
        print_json({"new": new, "kept": total, "rates": rates, "drafts": len(reports)})
        return
    note(f"{new} new outcomes, {total} kept in {store}")
    if rates:
        print_table(
            ("selection", "inspected", "found", "rate", "lift over audit"),
            [
                (
                    row["selection"],
                    row["inspected"],
                    row["found"],
                    f"{row['rate']:.1%}",
                    f"{row['lift']:.1f}" if row["lift"] else "",
                )
                for row in rates
            ],
        )
    if drafts is not None:
        note(f"{len(reports)} drafts -> {drafts}; look at them, then: acx report {drafts}")


@customs.command()
@click.argument("declarations")
@click.option("--out", required=True, type=_PATH, metavar="HTML", help="Where the page goes.")
@click.option("--test", help="A later file to rank; by default the last quarter of DECLARATIONS.")
@click.option("--simulate", is_flag=True, help="Also simulate weeks with feedback; takes minutes.")
@click.option(
    "--capacity",
    type=click.FloatRange(0.001, 0.5),
    default=0.05,
    show_default=True,
    help="With --simulate: share of a week's shipments that can be opened.",
)
@mapping_option
@label_option
@seed_option
@rejects_option
@allow_option
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    declarations: str,
    out: Path,
    test: str | None,
    simulate: bool,
    capacity: float,
    mapping: str | None,
    labels: tuple[str, ...],
    seed: int,
    rejects: Path | None,
    allow_rejects: str | None,
    as_json: bool,
) -> None:
    """Train on the past, test on the future: precision, recall, revenue, months, feedback."""
    import polars as pl

    from acx.cli.output import note, print_json, progress
    from acx.customs import card, evaluation
    from acx.customs.model import train as learn
    from acx.records.files import AtomicFile

    with _reading(ctx, str(out), rejects, allow_rejects) as collected:
        whole, wanted = _labelled(declarations, mapping, labels, None, collected)
        if test is None:
            past, future = evaluation.split_by_time(whole)
        else:
            past, future = whole, _labelled(test, mapping, labels, None, collected)[0]
        with progress("training", quiet=as_json) as advance:
            model = learn(past, wanted, seed=seed, progress=advance)
        title = f"{_period(past)}, tested on {_period(future)}"
        tests = {title: evaluation.on_unseen(model, future)}
        months = evaluation.by_period(model, future)
        weeks: list[dict[str, Any]] = []
        if simulate:
            with progress("simulating", quiet=as_json) as advance:
                weeks = evaluation.simulate(
                    pl.concat([past, future]) if test is None else past,
                    wanted[0],
                    capacity=capacity,
                    seed=seed,
                    progress=advance,
                )
        page = card.evaluation_page("Evaluation", tests, months, weeks)
        with AtomicFile(out) as file:
            file.write(page.encode())
        if as_json:
            print_json({"tests": tests, "months": months, "weeks": weeks})
        else:
            note(f"{title}: AUC {tests[title]['auc']:.3f}")
            for share, at in tests[title]["at"].items():
                precision = at["precision"]
                note(
                    f"  top {share}: precision {precision['value']:.3f} "
                    f"({precision['low']:.3f} to {precision['high']:.3f}), "
                    f"recall {at['recall']['value']:.3f}"
                )
            note(f"-> {out}")


@contextmanager
def _reading(
    ctx: click.Context, out: str, rejects: Path | None, allow_rejects: str | None
) -> Iterator[Rejects]:
    from acx.cli.input import reading

    with reading(
        ctx,
        out=out,
        mapping=None,
        encoding=None,
        default_country="",
        rejects=rejects,
        allow_rejects=allow_rejects,
    ) as given:
        yield given.rejects


def _mapping(name: str | None, source: str) -> Mapping | None:
    from acx.customs.shipments import load_mapping, recognise

    return load_mapping(name, source) if name else recognise(source)


@contextmanager
def _exchange(replica: Path | None) -> Iterator[Exchange | None]:
    if replica is None:
        yield None
        return
    from contextlib import closing

    from acx.customs.exposure import Exchange
    from acx.member.replica import Replica

    with closing(Replica.open(replica, read_only=True)) as opened:
        yield Exchange(opened)


def _labelled(
    source: str,
    mapping: str | None,
    labels: tuple[str, ...],
    outcomes: Path | None,
    rejects: Rejects,
) -> tuple[pl.DataFrame, list[Label]]:
    """Shipments with what was found of them, and what that means."""
    import polars as pl

    from acx.customs import outcomes as found
    from acx.customs.shipments import Label, read_shipments

    names = _mapping(mapping, source)
    if outcomes is not None:
        if labels:
            raise click.UsageError("give --outcomes or --label, not both")
        frame = pl.concat(read_shipments(source, rejects=rejects, mapping=names))
        return found.labelled(frame, found.kept(outcomes)), [Label("finding")]
    wanted = [Label.parse(text) for text in labels or (_default_label(source),)]
    frames = read_shipments(source, rejects=rejects, mapping=names, labels=wanted)
    return pl.concat(frames), wanted


def _period(frame: pl.DataFrame) -> str:
    first, last = frame["date"].dt.to_string().sort().gather([0, -1]).to_list()
    return f"{first} to {last}"


def _default_label(source: str) -> str:
    from acx.customs.shipments import columns_of

    names = columns_of(source)
    for name in _LABELS:
        if name in names:
            return name
    raise click.UsageError(f"{source} has none of {', '.join(_LABELS)}: say --label COLUMN")


def _ranked(path: Path) -> pl.DataFrame:
    import polars as pl

    from acx.customs.errors import BadShipments

    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        ranked = pl.read_csv(path, infer_schema=False)
        return ranked.with_columns(
            pl.col("reasons").str.split("; "), pl.col("selection").fill_null("")
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadShipments(f"{path}: no RANKED file ({error})") from None
