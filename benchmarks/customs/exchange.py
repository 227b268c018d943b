"""What the exchange adds to a ranking: the same shipments, model and seed, with and without it.

Data: declarations (see `customs.declarations`) to which parties are added. Assumptions: finds are
as rare as among low-value parcels, so only one in twenty of the declarations' own is kept; 1 % of
the consignors are reported sellers who came back (`acx.demo.comebacks`: other store names, typos,
transliterations, some contacts kept); seven of ten of their shipments are counterfeit, whatever the
rest of the declaration says; every other consignor is an ordinary seller, none of them reported.
The reported ones never shipped before, so that no history knows them. Among the declarations as
published every fifth is a find, and the histories alone fill the first 2 % with finds.
`python -m benchmarks customs.exchange`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST

from acx.customs import evaluation
from acx.customs.exposure import Exchange
from acx.customs.model import train
from acx.customs.shipments import PARTY
from acx.demo.accounts import as_frame, by_row
from acx.demo.comebacks import come_backs
from acx.demo.sellers import ordinary
from acx.member.home import Member
from acx.member.replica import Replica
from acx.records.account import Account
from acx.records.files.reports import ReportRow
from acx.records.invite import format_invite
from benchmarks.customs.declarations import BUILD, LABEL, RESULTS, read

REPORTED: Final = 300
SHARE: Final = 0.01
KEPT: Final = 0.05
"""Share of the declarations' own finds that are kept."""
COUNTERFEIT: Final = 0.7
SEED: Final = 5
"""Of the generators; models use seeds of their own."""


def main() -> None:
    """Measure with and without the exchange, three seeds each."""
    home = BUILD / "exchange-home"
    subjects = by_row(ordinary(REPORTED, SEED, prefix="subject-", domains="real"))
    if not home.exists():
        _report(subjects, home)
    past = _with_parties(_thinned(read("declarations-train.csv"), 1), subjects, 1)
    future = _with_parties(_thinned(read("declarations-valid.csv"), 2), subjects, 2)
    shares = [frame["label_0"].sum() / len(frame) for frame in (past, future)]
    print(f"finds: {shares[0]:.3f} of the past, {shares[1]:.3f} after")
    replica = Replica.open(home / "replica", read_only=True)
    exchange = Exchange(replica)
    exposure = exchange.of(past).matrix, exchange.of(future).matrix
    replica.close()
    figures: dict[str, Any] = {}
    for seed in range(3):
        for name, (before, now) in {"with": exposure, "without": (None, None)}.items():
            model = train(past, LABEL, exposure=before, seed=seed)
            at = evaluation.on_unseen(model, future, now)["at"]
            for share in ("1%", "2%", "5%", "10%"):
                figures.setdefault(share, {}).setdefault(name, []).append(
                    at[share]["precision"]["value"]
                )
    means = {
        share: {name: round(float(np.mean(values)), 4) for name, values in each.items()}
        for share, each in figures.items()
    }
    for share, each in means.items():
        print(f"top {share}: {each['with']:.3f} with the exchange, {each['without']:.3f} without")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "exchange.json").write_text(json.dumps(means, indent=1) + "\n", encoding="utf-8")


def _report(subjects: list[Account], home: Path) -> None:
    """Let a member report the subjects, and keep its replica."""
    exchange = LyingExchange()
    rows = [
        ReportRow(
            file="subjects",
            line=number,
            account=account,
            conduct="shipped_counterfeits",
            confirmed_by=("customs_seizure",),
            confirmed_on="2020-01",
            categories=("apparel", "footwear", "bags_and_leather"),
        )
        for number, account in enumerate(subjects, start=1)
    ]
    with serving(exchange) as url:
        Member.join(format_invite(exchange.invite(url)), home, arguments=FAST)
        member = Member.open(home, FAST)
        member.report(rows, at_once=True)
        member.sync()


def _thinned(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Shipments among which finds are rare."""
    kept = np.random.default_rng(100 + seed).random(len(frame)) < KEPT
    return frame.filter((pl.col("label_0") != 1) | pl.Series(kept))


def _with_parties(frame: pl.DataFrame, subjects: list[Account], seed: int) -> pl.DataFrame:
    """Shipments with consignors of flesh and blood, some of them reported."""
    random = np.random.default_rng(seed)
    rows = len(frame)
    returning = come_backs(subjects, REPORTED, SEED + seed, domains="real")
    back = as_frame(come_back.account for come_back in returning)
    crowd = ordinary(3000, SEED + 10 * seed, prefix="crowd-", domains="real")
    planted = random.random(rows) < SHARE
    party = {
        field: pl.concat([back[field], crowd[field]])[
            np.where(
                planted,
                random.integers(0, len(back), rows),
                len(back) + random.integers(0, len(crowd), rows),
            )
        ].alias(f"consignor_{field}")
        for field in PARTY
    }
    counterfeit = random.random(rows) < COUNTERFEIT
    ids = pl.Series([f"planted-{seed}-{n}" for n in range(rows)])
    return frame.with_columns(
        *party.values(),
        pl.when(pl.Series(planted))
        .then(pl.Series(counterfeit))
        .otherwise("label_0")
        .alias("label_0"),
        pl.when(pl.Series(planted)).then(ids).otherwise("consignor_id").alias("consignor_id"),
    )


if __name__ == "__main__":
    main()
