"""Framing: reports that copy or graft an honest seller's identity (docs/framing.md).

Each attack is one member's, against a seller of another member's that did nothing. What the other
member sees of it is bounded: one contributor's claim, or no more than `possible`; and one dispute
ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange

from acx.member.errors import ContributionError
from acx.member.home import Confirmation, Member, check
from acx.member.screen import Hit
from acx.records.account import Account
from acx.records.files.reports import ReportRow

HONEST: Final = Account(
    id="honest",
    name=("Annegret Weidenbusch",),
    email=("annegret@weidenbusch-keramik.example",),
    phone=("+49 351 4820177",),
    address=("Loschwitzer Str. 14, 01309 Dresden",),
    country=("DE",),
    bank_account=("DE89370400440532013000",),
    birth_date="1971-03-04",
)
COUNTERFEITER: Final = Account(
    id="bad",
    name=("Shenzhen Kuaida Trading Co Ltd",),
    email=("boss@kuaida-trade.example",),
    phone=("+86 755 2345 6789",),
    country=("CN",),
    bank_account=("6222020200112233445",),
)


def row(account: Account, number: int = 0, **changes: Any) -> ReportRow:
    changed = msgspec.structs.replace(account, id=f"{account.id}-{number}", **changes)
    return ReportRow(
        file="reports.jsonl",
        line=number + 1,
        account=changed,
        conduct="sold_counterfeits",
        confirmed_by=("test_buy",),
        confirmed_on="2026-10",
    )


@pytest.fixture
def members(real_exchange: RealExchange, tmp_path: Path) -> Sequence[Member]:
    """The framer, two who know the counterfeiter, and the store of the honest seller."""
    made = []
    for name in ("framer", "second", "third", "store"):
        home = tmp_path / name
        Member.join(real_exchange.invite(f"{tmp_path.name}-{name}"), home, arguments=FAST)
        made.append(Member.open(home, FAST))
    return made


@pytest.fixture
def settle(real_exchange: RealExchange) -> Callable[[str], None]:
    """One dispute, upheld by two operators."""

    def decided(report: str) -> None:
        with real_exchange.operate() as exchange:
            case = exchange.disputes.open(report, "not_me", "one")
            proposal = exchange.disputes.decide(case.id, "upheld", "other_person", "one")
            exchange.approve(proposal.id, "two")

    return decided


def reported(member: Member, *rows: ReportRow, **options: Any) -> list[str]:
    done = member.report(rows, at_once=True, **options)
    assert done.sent is not None
    assert not done.sent.failed
    return list(done.reports)


def hits(store: Member, reports: Sequence[str]) -> list[Hit]:
    """What the store sees of these reports when it checks the honest seller."""
    store.sync()
    with store.replica(read_only=True) as replica:
        found, _ = check(replica, HONEST, settings=store.settings)
    return [hit for hit in found if hit.report_id in reports]


def corroborated(member: Member, report: str) -> None:
    word = Confirmation(report=report, confirmed_by=("test_buy",), confirmed_on="2026-10")
    sent = member.corroborate([word], at_once=True)
    assert not sent.failed


def test_a_copied_identity_is_one_contributors_claim_and_gone_with_one_dispute(
    members: Sequence[Member], settle: Callable[[str], None]
) -> None:
    framer, *_, store = members
    (report,) = reported(framer, row(HONEST), always_new=True)
    (hit,) = hits(store, [report])
    assert hit.contributors == 1
    settle(report)
    assert hits(store, [report]) == []


def test_many_reports_of_one_member_stay_one_contributors_each(
    members: Sequence[Member], settle: Callable[[str], None]
) -> None:
    framer, *_, store = members
    rows = [row(HONEST, number, alias=(f"Shop {number}",)) for number in range(4)]
    reports = reported(framer, *rows, always_new=True)
    assert {hit.contributors for hit in hits(store, reports)} == {1}
    with pytest.raises(ContributionError):
        corroborated(framer, reports[0])
    settle(reports[0])
    assert reports[0] not in {hit.report_id for hit in hits(store, reports)}


def test_corroborations_do_not_follow_a_report_that_is_turned_on_somebody_else(
    members: Sequence[Member], settle: Callable[[str], None]
) -> None:
    framer, second, third, store = members
    (report,) = reported(framer, row(COUNTERFEITER), always_new=True)
    for witness in (second, third):
        witness.sync()
        corroborated(witness, report)
    store.sync()
    with store.replica() as replica:
        before = replica.report(report)
    assert before is not None
    assert before.contributors == 3
    framer.amend(report, row(HONEST), at_once=True)
    (hit,) = hits(store, [report])
    assert hit.contributors == 1
    settle(report)
    assert hits(store, [report]) == []


@pytest.mark.parametrize("grafted", ["email", "phone", "bank_account", "address"])
def test_a_value_grafted_onto_a_real_counterfeiter_is_no_strong_hit(
    members: Sequence[Member], settle: Callable[[str], None], grafted: str
) -> None:
    """Others who know the counterfeiter stand behind the report and its grafted value with it."""
    framer, second, _, store = members
    both: Any = {grafted: (*getattr(COUNTERFEITER, grafted), *getattr(HONEST, grafted))}
    (report,) = reported(framer, row(COUNTERFEITER, **both), always_new=True)
    second.sync()
    corroborated(second, report)
    assert {hit.level for hit in hits(store, [report])} <= {"possible"}
    settle(report)
    assert hits(store, [report]) == []
