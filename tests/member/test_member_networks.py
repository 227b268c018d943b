"""`acx rings`: the networks behind a replica's reports, as tables, GraphML and a page."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest
import rustworkx
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST
from tests.member.real_exchange import ACX

from acx.member.home import Member
from acx.records.account import Account
from acx.records.files.reports import ReportRow
from acx.records.invite import format_invite

HOSTILE = "</script><img src=x onerror=alert(1)> =1+1"


def rings(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*ACX, "rings", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member whose replica holds a ring of three, and a loner."""
    home = tmp_path_factory.mktemp("member") / "home"
    exchange = LyingExchange()
    accounts = [
        Account(id="1", name=("Goldstep Footwear",), email=("sales@goldstep.example",)),
        Account(
            id="2",
            name=(HOSTILE,),
            email=("sales@goldstep.example",),
            bank_account=("GB33BUKB20201555555555",),
        ),
        Account(id="3", name=("Silverstep",), bank_account=("GB33BUKB20201555555555",)),
        Account(id="4", name=("Lone Trader",), email=("lone@trader.example",)),
    ]
    rows = [
        ReportRow(
            file="reports.jsonl",
            line=number,
            account=account,
            conduct="sold_counterfeits",
            confirmed_by=("test_buy",),
            confirmed_on=f"2026-0{number}",
            brands=("Velorun", "Strideon") if number == 1 else ("Velorun",),
            categories=("footwear",),
        )
        for number, account in enumerate(accounts, start=1)
    ]
    with serving(exchange) as url:
        Member.join(format_invite(exchange.invite(url)), home, arguments=FAST)
        member = Member.open(home, FAST)
        for row in rows:
            member.report([row], at_once=True)
        member.sync()
    return home


def test_a_ring_shows_its_accounts_brands_and_months_and_the_store_s_own_sellers_in_it(
    home: Path, tmp_path: Path
) -> None:
    sellers = tmp_path / "sellers.csv"
    sellers.write_text(
        "id,name,bank_account\nA-7,New Face Ltd,GB33 BUKB 2020 1555 5555 55\nA-8,Nobody Else,\n",
        encoding="utf-8",
    )
    out = tmp_path / "rings"
    done = rings("--home", home, "--sellers", sellers, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (ring,) = told["rings"]
    assert told["reports"] == 4
    assert told["own_sellers"] == 2
    assert (ring["reports"], ring["own_sellers"]) == (3, 1)
    assert ring["brands"] == ["Velorun", "Strideon"]
    assert (ring["first"], ring["last"]) == ("2026-01", "2026-03")
    with (out / "accounts.csv").open(newline="", encoding="utf-8") as file:
        accounts = {row["id"]: row for row in csv.DictReader(file)}
    assert "own:A-7" in accounts
    assert len(accounts) == 4
    links = (out / "links.csv").read_text(encoding="utf-8")
    assert "GB33" not in links
    assert "sales@goldstep.example" in links
    graph = rustworkx.read_graphml(str(out / "rings.graphml"))[0]
    assert graph.num_nodes() == 4
    assert {"own:A-7"} <= {node["id"] for node in graph.nodes()}


def test_a_ring_keeps_its_name_as_it_grows_and_is_found_by_its_reports(home: Path) -> None:
    from acx.member.networks import find_networks
    from acx.member.replica import Replica
    from acx.networks.errors import UnknownRing

    replica = Replica.open(home / "replica", read_only=True)
    networks = find_networks(replica)
    replica.close()
    (name,) = networks.rings["id"]
    ring = networks.ring(name)
    assert ring == networks.ring(ring.key_actors[0])
    # It is named after its earliest report, which is not its key actor.
    assert any(node.id.startswith(name.removeprefix("ring-")) for node in ring.accounts)
    assert {link.field for link in ring.links} == {"email", "bank_account"}
    with pytest.raises(UnknownRing, match="no ring"):
        networks.ring("ring-nothing")


def test_nothing_that_a_stranger_wrote_is_markup_on_the_page_or_a_formula_in_a_table(
    home: Path, tmp_path: Path
) -> None:
    done = rings("--home", home, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "onerror" in page
    assert HOSTILE not in page
    assert "<img" not in page
    assert "default-src 'none'" in page
