"""Exports are read by what others use: STIX's library, yente's layout, DuckDB, Polars, pandas."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest
import stix2  # type: ignore[import-untyped]
from tests.interchange.validating import problems_of
from tests.member.lying_exchange import LyingExchange

from acx.cli.app import run
from acx.interchange.stix import slots
from acx.member.client import ExchangeClient
from acx.member.errors import ReplicaError
from acx.member.export import export
from acx.member.home import Member
from acx.member.replica import Replica
from acx.member.sync import sync
from acx.records.event import Act, Dispute, Resolution
from acx.records.files import Unwritable
from acx.records.report import Image, Product


@pytest.fixture
def replica(exchange: LyingExchange, url: str, tmp_path: Path) -> Replica:
    """Two reports that stand, one that was rejected and one that was erased."""
    exchange.report("Maria Lopez Garcia")
    exchange.report('=HYPERLINK("http://evil.test")')
    rejected = exchange.report("Wrongly Accused")
    erased = exchange.report("Gone Person")
    dispute = exchange.act("dispute", Dispute(code="not_mine"), report=rejected)
    decision = Resolution(decision="upheld", code="mistake")
    proposal = exchange.act("resolution", decision, report=rejected, ref=dispute.id)
    exchange.act("act", Act(act="approved"), ref=proposal.id, by=1)
    exchange.erase(erased, 3)
    replica = Replica.create(tmp_path / "replica", exchange.trust)
    sync(replica, ExchangeClient(url, token="t"), threads=1)
    return replica


def states(replica: Replica) -> dict[str, str]:
    return {view.state: view.id for view in replica.reports()}


def test_pdq_lists_each_hash_of_what_stands(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    hashes = ("0f" * 32, "f0" * 32)
    image = Image(variants=hashes, quality=80)
    pictured = exchange.report("Li Wei", products=(Product(title="bag", images=(image,)),))
    exchange.report("Nobody Pictured")
    replica = Replica.create(tmp_path / "replica", exchange.trust)
    sync(replica, ExchangeClient(url, token="t"), threads=1)
    assert export(replica, tmp_path / "pictures.csv", format="pdq") == 1
    with (tmp_path / "pictures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["hash"] for row in rows] == list(hashes)
    assert {(row["quality"], row["report_id"], row["report_state"]) for row in rows} == {
        ("80", pictured, "active")
    }


def test_stix_is_one_valid_bundle_of_what_is_left(replica: Replica, tmp_path: Path) -> None:
    path = tmp_path / "reports.json"
    assert export(replica, path, format="stix") == 3
    bundle = json.loads(path.read_bytes())
    assert stix2.parse(path.read_text(), version="2.1").id == bundle["id"]
    assert problems_of(bundle["objects"]) == []
    told = {made["id"]: made for made in bundle["objects"]}
    assert len(told) == len(bundle["objects"])
    of = states(replica)
    assert "revoked" not in told[slots(of["active"])["report"]]
    assert told[slots(of["rejected"])["report"]]["revoked"]
    assert slots(of["erased"])["report"] not in told
    for name in ("Gone Person", "Wrongly"):
        assert name not in path.read_text()


def test_an_observable_of_two_reports_is_in_the_bundle_once(
    exchange: LyingExchange, replica: Replica, url: str, tmp_path: Path
) -> None:
    exchange.report("Maria Lopez Garcia")
    sync(replica, ExchangeClient(url, token="t"), threads=1)
    export(replica, tmp_path / "reports.json", format="stix")
    objects = json.loads((tmp_path / "reports.json").read_bytes())["objects"]
    assert len({made["id"] for made in objects}) == len(objects)


def test_stix_can_be_of_some_states_only(replica: Replica, tmp_path: Path) -> None:
    assert export(replica, tmp_path / "reports.json", format="stix", states=["active"]) == 2
    assert "revoked" not in (tmp_path / "reports.json").read_text()


def test_a_folder_is_a_dataset_that_yente_finds(replica: Replica, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    assert export(replica, f"{folder}/", format="ftm") == 2
    lines = (folder / "entities.ftm.json").read_bytes()
    entities = [json.loads(line) for line in lines.splitlines()]
    index = json.loads((folder / "index.json").read_bytes())
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert {entity["schema"] for entity in entities} == {"LegalEntity", "Risk"}
    assert index["entity_count"] == len(entities) == 4
    assert index["resources"][0]["checksum"] == hashlib.sha1(lines).hexdigest()  # noqa: S324 -- what yente checks
    (dataset,) = manifest["datasets"]
    assert dataset["entities_url"] == (folder / "entities.ftm.json").as_uri()
    assert {entity["datasets"][0] for entity in entities} == {dataset["name"]}
    assert b"Wrongly" not in lines
    assert export(replica, folder, format="ftm") == 2


def test_a_file_is_the_entities_alone(replica: Replica, tmp_path: Path) -> None:
    assert export(replica, tmp_path / "acx.ftm.json", format="ftm") == 2
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["acx.ftm.json"]


@pytest.mark.parametrize("form", ["stix", "ftm"])
def test_what_was_never_synced_cannot_be_exported(
    form: str, exchange: LyingExchange, tmp_path: Path
) -> None:
    empty = Replica.create(tmp_path / "empty", exchange.trust)
    with pytest.raises(ReplicaError, match="acx sync"):
        export(empty, tmp_path / "reports.json", format=form)
    assert not (tmp_path / "reports.json").exists()


@pytest.mark.parametrize("form", ["stix", "ftm"])
def test_where_nothing_can_be_written_nothing_is(
    form: str, replica: Replica, tmp_path: Path
) -> None:
    with pytest.raises(Unwritable):
        export(replica, tmp_path / "no" / "folder.json", format=form)
    if form == "ftm":
        (tmp_path / "file").write_text("")
        with pytest.raises(Unwritable):
            export(replica, f"{tmp_path}/file/", format=form)


def test_a_spreadsheet_runs_nothing_of_an_export(replica: Replica, tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    export(replica, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any("HYPERLINK" in cell for cell in cells)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


def test_parquet_has_lists_for_duckdb_polars_and_pandas(replica: Replica, tmp_path: Path) -> None:
    path = str(tmp_path / "reports.parquet")
    export(replica, path)
    expected = sorted(
        (view.id, list(view.report.account.name) if view.report else [])
        for view in replica.reports()
    )
    table = pl.read_parquet(path)
    assert sorted(table.select("report_id", "name").iter_rows()) == expected
    frame = pd.read_parquet(path)
    rows = zip(frame["report_id"], frame["name"], strict=True)
    assert sorted((report, list(names)) for report, names in rows) == expected
    with duckdb.connect() as database:
        found = database.execute("SELECT report_id, name FROM read_parquet(?)", [path]).fetchall()
        unnested: list[Any] = database.execute(
            "SELECT count(*) FROM (SELECT unnest(email) FROM read_parquet(?))", [path]
        ).fetchall()
    assert sorted(found) == expected
    assert unnested == [(3,)]


def test_the_command_writes_stix_and_a_dataset(replica: Replica, tmp_path: Path) -> None:
    replica.close()
    common = ["export", "--replica", str(replica.directory)]
    assert run([*common, "--format", "stix", "--out", str(tmp_path / "s.json")]) == 0
    assert run([*common, "--format", "ftm", "--out", f"{tmp_path / 'data'}/", "--json"]) == 0
    assert (tmp_path / "data" / "manifest.json").exists()


def test_a_taxii_client_is_given_the_members_token(
    member: Member, capsys: pytest.CaptureFixture[str]
) -> None:
    with member.wallet() as wallet:
        token = wallet.secret("token").decode()
    assert run(["wallet", "token", "--home", str(member.home)]) == 0
    assert capsys.readouterr().out == f"{token}\n"
