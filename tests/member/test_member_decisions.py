"""A person decides, on a ground of the store's own; what was known then stays on record."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import polars as pl
import pytest
from tests.member.lying_exchange import LyingExchange
from tests.member.real_exchange import ACX

from acx.member import since_last
from acx.member.errors import ContributionError, DecisionError
from acx.member.home import Member
from acx.member.since_last import SinceLast
from acx.member.statement import Terms
from acx.records.event import Act, Dispute, Resolution

TERMS = Terms(clause="4.2: no counterfeits", complaints="complaints@store.test")
GROUND = "Two of three test purchases were counterfeit; the seller sent no invoice."


@pytest.fixture
def theirs(exchange: LyingExchange, member: Member) -> str:
    report = exchange.report("Maria Lopez Garcia", tag="theirs")
    member.sync()
    return report


def hits(report: str, level: str = "strong", log_size: int = 1) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "account_id": ["seller-9"],
            "report_id": [report],
            "level": [level],
            "probability": [0.99],
            "reasons": [["email:exact:+12.10", "name:similar:+6.00", "birth_date:differs:-2.00"]],
            "report_state": ["active"],
            "contributors": [1],
            "conduct": ["sold_counterfeits"],
            "confirmed_by": [["test_buy"]],
            "confirmed_on": ["2026-10"],
            "log_size": [log_size],
        }
    )


def kinds(member: Member) -> list[tuple[str, str]]:
    return [(item.kind, item.account) for item in member.inbox()]


def uphold_a_dispute(exchange: LyingExchange, report: str) -> None:
    dispute = exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    body = Resolution(decision="upheld", code="mistaken_identity")
    decision = exchange.act("resolution", body, report=report, ref=dispute.id)
    exchange.act("act", Act(act="approved"), ref=decision.id, by=1)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_decision_keeps_what_the_hit_said_and_no_values(
    member: Member, theirs: str, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"hits.{suffix}"
    frame = hits(theirs)
    if suffix == "parquet":
        frame.write_parquet(file)
    elif suffix == "jsonl":
        frame.write_ndjson(file)
    else:
        lists = pl.col("reasons", "confirmed_by").list.join(";")
        frame.with_columns(lists).write_csv(file)
    member.decide("seller-9", theirs, "blocked", by="ann", note=GROUND, hits=[file])
    (decision,) = member.decisions()
    assert (decision.level, decision.log_size) == ("strong", 1)
    assert decision.reasons == (
        "email:exact:+12.10",
        "name:similar:+6.00",
        "birth_date:differs:-2.00",
    )


def test_the_hit_is_found_where_a_screening_kept_it(member: Member, theirs: str) -> None:
    with member.replica() as replica:
        replica_size = replica.size
    SinceLast(member.home, "old.csv", "possible").keep(hits(theirs, "possible", 0))
    SinceLast(member.home, "new.csv", "possible").keep(hits(theirs, "exact", replica_size))
    member.decide("seller-9", theirs, "kept")
    assert [(d.level, d.log_size) for d in member.decisions()] == [("exact", replica_size)]
    assert (member.home / since_last.DIRECTORY).is_dir()


def test_a_file_that_does_not_show_the_hit_is_refused_and_nothing_recorded(
    member: Member, theirs: str, tmp_path: Path
) -> None:
    hits("a" * 26).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "broken.csv").write_text("account_id\nseller-9\n")
    for name, reason in (("other.parquet", "no hit of seller-9"), ("broken.csv", "no HITS file")):
        with pytest.raises(DecisionError, match=reason):
            member.decide("seller-9", theirs, "blocked", hits=[tmp_path / name])
    assert member.decisions() == []


def test_a_block_without_a_ground_of_ones_own_waits_in_the_inbox(
    member: Member, theirs: str
) -> None:
    member.decide("seller-9", theirs, "blocked", by="ann")
    member.decide("seller-8", theirs, "no_match", by="ann")
    assert kinds(member) == [("ground", "seller-9")]
    member.decide("seller-9", theirs, "blocked", by="ann", note=GROUND)
    assert kinds(member) == []


def test_whoever_blocked_because_of_a_report_that_fell_is_told(
    exchange: LyingExchange, member: Member, theirs: str
) -> None:
    member.decide("seller-9", theirs, "removed", by="ann", note=GROUND)
    member.decide("seller-8", theirs, "kept", by="ann")
    assert kinds(member) == []
    uphold_a_dispute(exchange, theirs)
    member.sync()
    (item,) = member.inbox()
    assert (item.kind, item.account, item.report) == ("fallen", "seller-9", theirs)
    assert "rested on a report that is now rejected" in item.problem
    with pytest.raises(ContributionError, match="rejected"):
        member.decide("seller-9", theirs, "blocked", by="ann", note=GROUND)
    member.decide("seller-9", theirs, "kept", by="bob", note="let in again")
    assert kinds(member) == []


def test_an_erased_report_is_a_fallen_one(
    exchange: LyingExchange, member: Member, theirs: str
) -> None:
    member.decide("seller-9", theirs, "blocked", by="ann", note=GROUND)
    with member.replica() as replica:
        view = replica.report(theirs)
    assert view is not None
    exchange.erase(theirs, view.first_index)
    exchange.destroy(view.first_index)
    member.sync()
    (item,) = member.inbox()
    assert "now erased" in item.problem


def test_the_statement_says_what_article_17_asks_for_and_nothing_of_the_report(
    member: Member, theirs: str
) -> None:
    SinceLast(member.home, "sellers.csv", "possible").keep(hits(theirs))
    member.decide("seller-9", theirs, "removed", by="ann", note=GROUND)
    text, _ = member.statement("seller-9", theirs, TERMS)
    for said in (
        "terminated",  # (a) the restriction, where and for how long
        "everywhere the service is offered",
        "no end set",
        GROUND,  # (b) facts and circumstances
        "own initiative",
        "Agreeing details: email, name.",
        "a test purchase",
        "A person examined",  # (c) automated means
        "4.2: no counterfeits",  # (e) the clause
        "complaints@store.test",  # (f) redress
        "article 21",
    ):
        assert said in text
    assert "Maria" not in text
    assert "ann" not in text.split()


def test_the_public_record_holds_nothing_personal(member: Member, theirs: str) -> None:
    member.decide("seller-9", theirs, "removed", by="ann", note=GROUND)
    _, record = member.statement("seller-9", theirs, TERMS, countries=["DE", "FR"])
    assert record["automated_decision"] == "AUTOMATED_DECISION_NOT_AUTOMATED"
    assert record["territorial_scope"] == ["DE", "FR"]
    text = json.dumps(record)
    assert not any(word in text for word in ("seller-9", "ann", "Maria", GROUND))


def test_no_statement_without_a_restriction_a_ground_and_a_clause_or_law(
    member: Member, theirs: str
) -> None:
    with pytest.raises(DecisionError, match="no decision"):
        member.statement("seller-9", theirs, TERMS)
    member.decide("seller-9", theirs, "blocked", by="ann")
    with pytest.raises(DecisionError, match="no ground of your own"):
        member.statement("seller-9", theirs, TERMS)
    member.decide("seller-9", theirs, "blocked", by="ann", note=GROUND)
    with pytest.raises(DecisionError, match="--law or --clause"):
        member.statement("seller-9", theirs, Terms())
    member.decide("seller-9", theirs, "kept", by="ann", note=GROUND)
    with pytest.raises(DecisionError, match="nothing was restricted"):
        member.statement("seller-9", theirs, TERMS)


def test_decide_and_statement_from_the_command_line(
    member: Member, theirs: str, tmp_path: Path
) -> None:
    def acx(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*ACX, *arguments, "--home", str(member.home)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    hit = f"seller-9:{theirs}"
    without = acx("decide", hit, "--action", "blocked")
    assert (without.returncode, "no ground of your own" in without.stderr) == (0, True)
    (tmp_path / "ground.txt").write_text(GROUND)
    assert acx("decide", hit, "--action", "blocked", "--statement", str(tmp_path / "ground.txt"))
    out = tmp_path / "statement.md"
    done = acx("statement", hit, "--clause", "4.2", "--until", "2027-01-01", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "until 2027-01-01" in out.read_text()
    record = json.loads(acx("statement", hit, "--law", "TMA", "--country", "DE", "--json").stdout)
    assert record["decision_ground"] == "DECISION_GROUND_ILLEGAL_CONTENT"
    refused = acx("statement", "seller-1:" + theirs, "--law", "TMA")
    assert (refused.returncode, "no decision" in refused.stderr) == (1, True)
