"""What the exchange says of a shipment: parties, goods and description, and only to the model."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.customs.shipping import declared, frame
from tests.customs.test_customs_targeting import acx
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST

from acx.customs.exposure import CHAPTERS, Exchange
from acx.customs.features import EXPOSURE
from acx.member.home import Member
from acx.member.replica import Replica
from acx.records.account import Account
from acx.records.files.reports import ReportRow
from acx.records.invite import format_invite
from acx.records.report import CATEGORIES

COLUMN = {name: place for place, name in enumerate(EXPOSURE)}


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A replica with one reported seller of shoes."""
    home = tmp_path_factory.mktemp("member") / "home"
    exchange = LyingExchange()
    row = ReportRow(
        file="reports.jsonl",
        line=1,
        account=Account(
            id="1",
            name=("Zhejiang Goldstep Footwear Co Ltd",),
            email=("sales@goldstep.example",),
            phone=("+86 571 8765 4321",),
            address=("88 Wensan Road, Hangzhou 310012, China",),
            country=("CN",),
            registration_no=("CN:91330100MA2XXXXX1A",),
        ),
        conduct="shipped_counterfeits",
        confirmed_by=("customs_seizure",),
        confirmed_on="2026-10",
        brands=("Velorun",),
        categories=("footwear",),
    )
    with serving(exchange) as url:
        Member.join(format_invite(exchange.invite(url)), home, arguments=FAST)
        member = Member.open(home, FAST)
        member.report([row], at_once=True)
        member.sync()
    return home / "replica"


def shipments(folder: Path, **columns: pl.Expr | str) -> pl.DataFrame:
    made = declared(6, 3).with_columns(
        **{
            name: pl.lit(value) if isinstance(value, str) else value
            for name, value in columns.items()
        }
    )
    return frame(made, folder)


@pytest.fixture
def exchange(replica: Path) -> Iterator[Exchange]:
    with closing(Replica.open(replica, read_only=True)) as opened:
        yield Exchange(opened)


def test_a_party_that_comes_back_is_found_with_its_report(
    exchange: Exchange, tmp_path: Path
) -> None:
    given = shipments(
        tmp_path,
        consignor_name="Goldstep Footwear (Zhejiang) Company Limited",
        consignor_email="sales@goldstep.example",
        seller_name="Somebody Else",
        hs_code=pl.when(pl.int_range(pl.len()) < 3)
        .then(pl.lit("640411"))
        .otherwise(pl.lit("330300")),
    )
    exposed = exchange.of(given)
    consignor = exposed.matrix[:, COLUMN["exchange_consignor"]]
    assert np.all(consignor > 0.9)
    assert np.all(exposed.matrix[:, COLUMN["exchange_seller"]] == 0)
    assert np.all(np.isnan(exposed.matrix[:, COLUMN["exchange_consignee"]]))
    assert exposed.matrix[:, COLUMN["exchange_same_goods"]].tolist() == [1, 1, 1, 0, 0, 0]
    assert set(exposed.levels["consignor"]) <= {"exact", "strong"}
    assert np.all(exposed.matrix[:, COLUMN["exchange_contributors"]] == 1)


def test_an_address_or_telephone_that_reported_accounts_use_counts_for_whoever_uses_it(
    exchange: Exchange, tmp_path: Path
) -> None:
    of = {
        "the telephone, written at home": {"consignor_phone": "0571-87654321"},
        "the address": {"seller_address": "88 WENSAN ROAD, Hangzhou 310012, China"},
        "neither": {"consignor_phone": "0571-11112222"},
        "nothing to look at": {"consignor_name": "Somebody Else"},
    }
    found = {
        given: exchange.of(
            shipments(tmp_path, consignor_country="CN", seller_country="CN", **columns)
        ).matrix[0, COLUMN["exchange_hub"]]
        for given, columns in of.items()
    }
    assert found["the telephone, written at home"] == found["the address"] == 1
    assert found["neither"] == 0
    assert np.isnan(found["nothing to look at"])


@pytest.mark.parametrize(
    ("description", "named", "disguised"),
    [
        ("VELORUN running shoes, size 42", 1, 0),
        ("sports shoes V E L O R U N", 0, 1),
        ("shoes vel0run style", 0, 1),
        ("V\u0435l\u043erun shoes", 0, 1),
        ("running shoes, no brand", 0, 0),
        ("", None, None),
    ],
)
def test_a_reported_brand_is_found_plain_or_in_disguise(
    exchange: Exchange,
    tmp_path: Path,
    description: str,
    named: int | None,
    disguised: int | None,
) -> None:
    exposed = exchange.of(shipments(tmp_path, description=description))
    for name, expected in (("brand_named", named), ("brand_disguised", disguised)):
        value = exposed.matrix[0, COLUMN[name]]
        assert np.isnan(value) if expected is None else value == expected


def test_every_category_has_its_chapters() -> None:
    assert set(CHAPTERS) == set(CATEGORIES)
    page = Path("docs/reference/categories.md").read_text(encoding="utf-8")
    for category, chapters in CHAPTERS.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{category}`"))
        cell = re.sub(r"\([^)]*\)", "", line.rpartition("|")[0].rpartition("|")[2])
        stated = {
            f"{chapter:02}"
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", cell)
            for chapter in range(int(first), int(last or first) + 1)
        }
        assert set(chapters) == stated, category


def test_a_match_is_a_reason_in_words(replica: Path, tmp_path: Path) -> None:
    """Planted: a fifth of the shipments are the reported seller's, and most of them are finds."""
    past = declared(1500, 5)
    planted = pl.int_range(pl.len()) % 5 == 0
    past = past.with_columns(
        consignor_name=pl.when(planted)
        .then(pl.lit("Zhejiang Goldstep Footwear"))
        .otherwise(pl.format("Trader {}", pl.int_range(pl.len()))),
        consignor_email=pl.when(planted)
        .then(pl.lit("sales@goldstep.example"))
        .otherwise(pl.format("trader{}@mail.test", pl.int_range(pl.len()))),
        finding=pl.when(planted).then(pl.lit("counterfeit")).otherwise("finding"),
    )
    past.write_csv(tmp_path / "past.csv")
    model, out = tmp_path / "model.acx", tmp_path / "ranked.csv"
    with_replica = ("--replica", replica)
    done = acx("train", tmp_path / "past.csv", "--out", model, *with_replica, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["auc"] > 0.75
    options = (
        "--model",
        model,
        "--capacity",
        "10%",
        "--out",
        out,
        "--explore",
        "0%",
        "--audit",
        "0%",
    )
    done = acx("target", tmp_path / "past.csv", *options, *with_replica)
    assert done.returncode == 0, done.stderr
    with out.open(encoding="utf-8", newline="") as file:
        reasons = [row["reasons"] for row in csv.DictReader(file) if row["selected"] == "true"]
    assert sum("consignor matches report" in reason for reason in reasons) > 0.8 * len(reasons)
    blind = acx("target", tmp_path / "past.csv", *options)
    assert "without --replica it ranks blindly" in blind.stderr
