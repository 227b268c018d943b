"""A replica's views are those of the fold, however the log came and whatever was erased meanwhile.

The replica folds a report's events when they change, and keeps the view; `Reports` folds everything
from the start. Whoever followed all along, whoever came late, and the fold itself must agree.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.member.lying_exchange import LogEntry, LyingExchange, rendered
from tests.records.histories import DISMISSED, ORIGIN, UPHELD, Log, by, fold, key, report

from acx.log.note import Signer
from acx.member.replica import Replica
from acx.member.sync import sync
from acx.member.wire import Page
from acx.records.event import Act, Withdrawal
from acx.records.state import Reports, ReportView

NAMES = ("one", "two", "three")
MEMBERS = ("mia", "max", "moe")


@dataclass
class History:
    """A log that grows by drawn steps, and the exchange that publishes it."""

    log: Log = field(default_factory=Log)
    exchange: LyingExchange = field(
        default_factory=lambda: LyingExchange(
            origin=ORIGIN,
            signer=Signer("exchange.example/test", key("log")),
            operators=(key("olga"), key("oskar")),
        )
    )
    reports: list[tuple[str, str]] = field(default_factory=list)
    proposals: list[str] = field(default_factory=list)
    disputes: list[tuple[str, str]] = field(default_factory=list)

    def step(self, kind: int, a: int, b: int) -> None:
        """Append one event, of a kind and about things that the numbers choose."""
        log = self.log
        member = MEMBERS[a % len(MEMBERS)]
        if kind == 0 or not self.reports:
            name = f"{NAMES[b % len(NAMES)]}-{len(self.reports)}"
            self.reports.append((name, log.report(member, name, report(name))))
            return
        name, target = self.reports[b % len(self.reports)]
        if kind == 1:
            log.amend(MEMBERS[a % 3], name, report(name, f"alias {a}"), 1, 2)
        elif kind == 2:
            log.corroborate(member, f"c{len(log.entries)}", target, 1 + a % 2)
        elif kind == 3:
            log.withdraw(name, target)
        elif kind == 4:
            self.disputes.append((target, log.dispute(target).id))
        elif kind == 5 and self.disputes:
            of, dispute = self.disputes[a % len(self.disputes)]
            proposed = log.propose(of, dispute, UPHELD if b % 2 else DISMISSED)
            self.proposals.append(proposed.id)
        elif kind == 6 and self.proposals:
            log.approve(self.proposals[a % len(self.proposals)])
        elif kind == 7:
            indices = {a % len(log.entries), b % len(log.entries)}
            self.proposals.append(log.erase(*sorted(indices), report=target if a % 2 else "").id)
        elif kind == 8:
            log.expire(a % len(log.entries), report=target if b % 2 else "")
        elif kind == 9:
            # One number too far: it waits for what may yet be explained by an erasure.
            log.add(name, "withdrawal", Withdrawal(reason="error"), report=target, seq=2 + a % 2)
        else:
            log.act(Act(act="operator_added", target=by("otto")))

    def publish(self) -> None:
        """Let the exchange take what is new, and destroy the keys of what is gone."""
        for entry in self.log.entries[len(self.exchange.entries) :]:
            self.exchange.entries.append(
                LogEntry(entry.event.raw, bytes([len(self.exchange.entries) % 256]) * 32)
            )
        law = fold(self.log.entries)
        for index, published in enumerate(self.exchange.entries):
            published.destroyed = published.destroyed or law.is_gone(index)

    def events(self, after: int) -> Page:
        """As a source to sync from; pages are small, so that histories span several."""
        return msgspec.json.decode(rendered(self.exchange.page(after, 3)), type=Page)


def views(reports: Reports | Replica) -> dict[str, ReportView]:
    found = reports.reports() if isinstance(reports, Replica) else iter(reports)
    return {view.id: view for view in found}


STEPS = st.tuples(st.integers(0, 10), st.integers(0, 30), st.integers(0, 30))


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(STEPS, max_size=8), min_size=1, max_size=5))
def test_followers_latecomers_and_the_fold_agree(batches: list[list[tuple[int, int, int]]]) -> None:
    history = History()
    with tempfile.TemporaryDirectory() as directory:
        follower = Replica.create(Path(directory) / "follower", history.exchange.trust)
        before: dict[str, ReportView] = {}
        for batch in batches:
            for step in batch:
                history.step(*step)
            history.publish()
            synced = sync(follower, history, threads=1)
            now = views(follower)
            assert now == views(fold(history.log.entries))
            assert {r for r in now | before if now.get(r) != before.get(r)} == set(synced.changed)
            before = now
        latecomer = Replica.create(Path(directory) / "latecomer", history.exchange.trust)
        sync(latecomer, history, threads=1)
        assert views(latecomer) == before
        for entry in follower.entries():
            assert bool(entry.event) != history.exchange.entries[entry.index].destroyed
        follower.close()
        latecomer.close()
