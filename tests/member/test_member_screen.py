"""Screening finds the same actors, shows how their reports stand, and tells what changed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import LyingExchange

from acx.cli.app import run
from acx.matching.errors import BadWeights
from acx.matching.model import NUMBERS
from acx.matching.weights import bounded, save, shipped
from acx.member.client import ExchangeClient
from acx.member.errors import ReplicaError
from acx.member.export import COLUMNS as EXPORTED
from acx.member.export import export
from acx.member.home import Member, check, screen
from acx.member.replica import Replica
from acx.member.screen import COLUMNS, Screener, accounts_frame, require_fresh
from acx.member.settings import Settings
from acx.member.since_last import SinceLast
from acx.member.sync import sync
from acx.records.account import Account
from acx.records.event import Dispute, Lapse, Withdrawal, sign_event
from acx.records.files import Column, Rejects, read_accounts, read_table

MARIA = Account(id="m", name=("Garcia Maria Lopez",), email=("MARIA.LOPEZ.GARCIA@mail.test",))
INNOCENT = Account(id="i", name=("Heinrich Baumgartner",), email=("h.baum@post.test",))
NEVER_STALE = Settings()


@pytest.fixture
def replica(exchange: LyingExchange, tmp_path: Path) -> Replica:
    return Replica.create(tmp_path / "replica", exchange.trust)


def update(replica: Replica, url: str) -> None:
    sync(replica, ExchangeClient(url, token="t"), threads=1)


def hits_of(replica: Replica, *accounts: Account, level: str = "possible") -> pl.DataFrame:
    frame = accounts_frame(accounts)
    return screen(replica, frame, settings=NEVER_STALE, level=level)[0]


def test_finds_the_same_actor_and_nobody_else(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("Maria Lopez Garcia")
    exchange.report("Somebody Else")
    update(replica, url)
    hits = hits_of(replica, INNOCENT, MARIA)
    assert hits.columns == list(COLUMNS)
    (hit,) = hits.to_dicts()
    assert (hit["account_id"], hit["report_id"], hit["level"]) == ("m", report, "exact")
    assert (hit["report_state"], hit["contributors"], hit["log_size"]) == ("active", 1, 2)
    assert (hit["conduct"], hit["confirmed_by"]) == ("sold_counterfeits", ["test_buy"])
    assert any(reason.startswith("email:") for reason in hit["reasons"])


def test_a_single_check_finds_what_the_batch_finds(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    (single,) = check(replica, MARIA, settings=NEVER_STALE)[0]
    (batch,) = hits_of(replica, MARIA).to_dicts()
    assert (single.report_id, single.level) == (batch["report_id"], batch["level"])
    assert check(replica, INNOCENT, settings=NEVER_STALE) == ([], "")


def test_a_suspended_report_hits_as_possible_at_most(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("Maria Lopez Garcia")
    dispute = exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    update(replica, url)
    assert hits_of(replica, MARIA)["report_state"].to_list() == ["disputed"]
    exchange.act("lapse", Lapse(), report=report, ref=dispute.id)
    update(replica, url)
    (hit,) = hits_of(replica, MARIA).to_dicts()
    assert (hit["level"], hit["report_state"]) == ("possible", "suspended")
    assert hits_of(replica, MARIA, level="strong").is_empty()


def test_closed_reports_do_not_hit(exchange: LyingExchange, url: str, replica: Replica) -> None:
    withdrawn = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", withdrawn)
    exchange.append(
        sign_event(
            withdrawn,
            origin=exchange.origin,
            type="withdrawal",
            body=Withdrawal(reason="error"),
            report=report,
            seq=1,
        )
    )
    exchange.erase(exchange.report("Maria Lopez Garcia"), 2)
    update(replica, url)
    assert hits_of(replica, MARIA).is_empty()


def test_carries_columns_of_the_seller_base(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    sellers = tmp_path / "sellers.csv"
    sellers.write_text(
        "id,name,email,team\nm,Maria Lopez Garcia,maria.lopez.garcia@mail.test,blue\n"
    )
    with Rejects() as rejects:
        frame = pl.concat(read_accounts(sellers, rejects=rejects, carry=["team"]))
    hits, _ = screen(replica, frame, settings=NEVER_STALE, carry=["team"])
    assert hits.columns == [*COLUMNS, "team"]
    assert hits["team"].to_list() == ["blue"]


def test_an_empty_replica_or_seller_base_has_no_hits(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    update(replica, url)
    assert hits_of(replica, MARIA).columns == list(COLUMNS)
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    assert hits_of(replica).is_empty()


def test_screening_needs_no_wallet_and_no_network(
    exchange: LyingExchange, url: str, member: Member
) -> None:
    exchange.report("Maria Lopez Garcia")
    member.sync()
    asked = len(exchange.requests)
    alone = Replica.open(member.home / "replica", read_only=True)
    assert len(hits_of(alone, MARIA)) == 1
    assert len(exchange.requests) == asked


def test_an_old_replica_warns_and_then_refuses(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    with pytest.raises(ReplicaError, match="never synced"):
        require_fresh(replica, 0)
    update(replica, url)
    hour = 3600.0
    assert require_fresh(replica, 0, replica.synced + 23 * hour) == ""
    assert "25 hours old" in require_fresh(replica, 0, replica.synced + 25 * hour)
    assert require_fresh(replica, 2, replica.synced + 1 * hour) == ""
    with pytest.raises(ReplicaError, match=r"3 hours old, and 2 are allowed.*acx sync"):
        require_fresh(replica, 2, replica.synced + 3 * hour)


def test_since_last_tells_new_changed_and_retracted_hits_once(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    memory = SinceLast(tmp_path, tmp_path / "sellers.csv", "possible")

    def changes() -> list[tuple[str, str, str]]:
        update(replica, url)
        hits = hits_of(replica, MARIA, INNOCENT)
        changed = memory.changes(hits, replica)
        assert changed.columns == [*COLUMNS, "change"]
        memory.keep(hits)
        return [
            (row["account_id"], row["report_state"], row["change"]) for row in changed.to_dicts()
        ]

    key = Ed25519PrivateKey.generate()
    report = exchange.report("Maria Lopez Garcia", key)
    assert changes() == [("m", "active", "new")]
    exchange.report("Nobody Here")
    assert changes() == []
    exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    assert changes() == [("m", "disputed", "changed")]
    exchange.append(
        sign_event(
            key,
            origin=exchange.origin,
            type="withdrawal",
            body=Withdrawal(reason="error"),
            report=report,
            seq=1,
        )
    )
    assert changes() == [("m", "withdrawn", "retracted")]
    assert changes() == []


def test_each_seller_base_and_level_is_remembered_apart(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    hits = hits_of(replica, MARIA)
    SinceLast(tmp_path, "a.csv", "possible").keep(hits)
    for other in (SinceLast(tmp_path, "b.csv", "possible"), SinceLast(tmp_path, "a.csv", "exact")):
        assert other.changes(hits, replica)["change"].to_list() == ["new"]


def test_a_damaged_memory_is_one_line(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    memory = SinceLast(tmp_path, "a.csv", "possible")
    update(replica, url)
    hits = hits_of(replica, MARIA)
    memory.keep(hits)
    (file,) = (tmp_path / "screened").iterdir()
    file.write_bytes(b"damaged")
    with pytest.raises(ReplicaError, match="delete it"):
        memory.changes(hits, replica)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "xlsx"])
def test_exports_every_report_in_every_format(
    suffix: str, exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    exchange.report("Maria Lopez Garcia")
    erased = exchange.report("Gone Person")
    exchange.erase(erased, 1)
    update(replica, url)
    path = tmp_path / f"reports.{suffix}"
    assert export(replica, path) == 2
    with Rejects() as rejects:
        columns = [
            Column(name="report_id"),
            Column(name="report_state"),
            Column(name="name", many=True),
        ]
        table = pl.concat(read_table(path, columns=columns, rejects=rejects))
    names = {state: tuple(name) for state, name in table["report_state", "name"].iter_rows()}
    assert names == {"active": ("Maria Lopez Garcia",), "erased": ()}
    assert b"Gone Person" not in path.read_bytes()
    if suffix == "csv":
        assert path.read_text().splitlines()[0] == ",".join(EXPORTED)
    assert export(replica, tmp_path / "active.jsonl", states=["active"]) == 1


def test_hits_of_some_reports_are_those_of_all_about_them(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    first = exchange.report("Maria Lopez Garcia")
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    screener = Screener(replica)
    sellers = screener.sellers(accounts_frame([INNOCENT, MARIA]))
    whole = screener.screen_all(sellers)
    some = screener.screen_for([first, "a" * 26], sellers)
    assert some.equals(whole.filter(pl.col("report_id") == first))
    assert len(some) == 1
    assert msgspec.json.encode(screener.check(MARIA))


def test_screens_checks_and_refuses_by_the_weights_that_settings_name(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    exchange.report("Maria Lopez Garcia")
    update(replica, url)
    (plain,) = check(replica, MARIA, settings=NEVER_STALE)[0]
    fields = list(shipped().fields)
    same = fields[NUMBERS["name"]].levels[0]
    rarer = msgspec.structs.replace(same, m=same.m / 2)
    fields[NUMBERS["name"]] = msgspec.structs.replace(
        fields[NUMBERS["name"]], levels=(rarer, *fields[NUMBERS["name"]].levels[1:])
    )
    file = tmp_path / "weights.json"
    save(bounded(msgspec.structs.replace(shipped(), fields=tuple(fields))), file)
    settings = Settings(weights=str(file))
    (hit,) = check(replica, MARIA, settings=settings)[0]
    (screened,) = screen(replica, accounts_frame([MARIA]), settings=settings)[0].to_dicts()
    assert list(hit.reasons) == screened["reasons"]
    assert hit.reasons != plain.reasons
    with pytest.raises(BadWeights, match="none"):
        check(replica, MARIA, settings=Settings(weights=str(tmp_path / "none")))


def test_a_check_explains_its_hits_with_the_values_of_both_sides(
    exchange: LyingExchange,
    url: str,
    replica: Replica,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = exchange.report("Maria Lopez Garcia")
    update(replica, url)
    asked = ["check", "--replica", str(replica.directory)]
    asked += [f"--name={MARIA.name[0]}", f"--email={MARIA.email[0]}"]
    assert run([*asked, "--explain", "--explain-out", str(tmp_path / "why.svg")]) == 0
    drawn = capsys.readouterr().out
    for said in ("email same", "maria.lopez.garcia@mail.test", "Garcia Maria Lopez", "log-odds"):
        assert said in drawn
    assert report in (tmp_path / "why.svg").read_text(encoding="utf-8")
    assert run([*asked, "--explain", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (hit,), (explained,) = told["hits"], told["explanations"]
    assert (explained["subject_id"], explained["level"]) == (hit["report_id"], hit["level"])
    assert [step["field"] for step in explained["steps"]] == [
        reason.split(":")[0] for reason in hit["reasons"][:-1]
    ]
    assert run([*asked, "--json"]) == 0
    assert "explanations" not in json.loads(capsys.readouterr().out)
