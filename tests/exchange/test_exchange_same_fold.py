"""Whatever comes in whatever order, SQLite, PostgreSQL, a replica and the plain fold agree."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from benchmarks.exchange.same_fold import compare
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, update
from tests.exchange.founding import create_database
from tests.member.lying_exchange import LyingExchange
from tests.member.test_member_fold import STEPS, History, views
from tests.records.histories import ORIGIN, Log, by, fold, key

from acx.exchange.governance.docket import Docket
from acx.exchange.storage.database import Database, database_url
from acx.exchange.storage.ledger import (
    LogRow,
    append,
    condemn,
    destroy_condemned,
    load_head,
    read_rows,
)
from acx.exchange.storage.schema import head, metadata
from acx.log.entry import seal
from acx.log.merkle import EMPTY_ROOT, Frontier, hash_leaf
from acx.log.note import Signer
from acx.member.replica import Replica
from acx.member.sync import sync
from acx.records.event import Act
from acx.records.state import ReportView

HOUR = "2026-03-01T10Z"
EVENTS = int(os.environ.get("ACX_EVENTS", "1500"))


class Agreement(RuleBasedStateMachine):
    """A log that grows by drawn steps, kept in rows of both databases and in a replica."""

    databases: tuple[Database, ...] = ()

    @initialize()
    def begin(self) -> None:
        self.history = History(
            log=Log(operators=("olga",)),
            exchange=LyingExchange(
                origin=ORIGIN,
                signer=Signer("exchange.example/test", key("log")),
                operators=(key("olga"),),
            ),
        )
        # A second operator, so that one alone founds the log as in an exchange.
        self.history.log.act(Act(act="operator_added", target=by("oskar")))
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "replica"
        self.replica = Replica.create(path, self.history.exchange.trust)
        for database in self.databases:
            clear(database)

    @rule(steps=st.lists(STEPS, min_size=1, max_size=6))
    def happen(self, steps: list[tuple[int, int, int]]) -> None:
        entries = self.history.log.entries
        for step in steps:
            self.history.step(*step)
            if entries[-1].event.id in {entry.event.id for entry in entries[:-1]}:
                # The same event has one place in a log: an exchange answers it again.
                entries.pop()

    @invariant()
    def all_agree(self) -> None:
        log = self.history.log
        self.history.publish()
        sync(self.replica, self.history, threads=1)
        expected = views(fold(log.entries, ("olga",)))
        assert views(self.replica) == expected
        for database in self.databases:
            keep(database, log)
            assert stored(database, set(expected)) == expected

    def teardown(self) -> None:
        if hasattr(self, "replica"):
            self.replica.close()
            self.directory.cleanup()


def test_rows_of_both_databases_a_replica_and_the_fold_agree(
    postgres: str, directory: Path
) -> None:
    urls = (database_url("", directory), database_url(create_database(postgres), directory))
    databases = tuple(Database(url) for url in urls)
    for database in databases:
        database.migrate()
    machine = type("Agreement", (Agreement,), {"databases": databases})
    try:
        run_state_machine_as_test(
            machine, settings=settings(max_examples=12, stateful_step_count=8, deadline=None)
        )
    finally:
        for database in databases:
            database.close()


@pytest.mark.soak
def test_a_long_log_of_everything_at_any_moment_folds_alike_everywhere(
    postgres: str, directory: Path
) -> None:
    urls = (database_url("", directory), database_url(create_database(postgres), directory))
    digests = compare(directory, urls, EVENTS)
    assert len(set(digests.values())) == 1, digests


def keep(database: Database, log: Log) -> None:
    """Append what is new as the sequencer does, and destroy what is gone."""
    with database.write() as connection:
        before = load_head(connection)
        tree = Frontier()
        tree.extend([hash_leaf(row.entry) for row in read_rows(connection, 0, before.size)])
        rows = []
        for entry in log.entries[before.size :]:
            k = entry.index.to_bytes(32, "big")
            sealed = seal(entry.event.raw, HOUR, k)
            tree.append(hash_leaf(sealed.entry))
            row = LogRow(entry.index, HOUR, sealed.entry, sealed.ciphertext, k)
            rows.append((row, entry.event))
        if rows:
            append(connection, before, tree.root(), rows)
        law = fold(log.entries, ("olga",))
        condemn(connection, filter(law.is_gone, range(len(log.entries))))
        destroy_condemned(connection)


def stored(database: Database, reports: set[str]) -> dict[str, ReportView]:
    """What the exchange makes of its rows."""
    with database.read() as connection:
        docket = Docket(connection, by("olga"), reports)
    return {view.id: view for view in docket.reports if view.id in reports}


def clear(database: Database) -> None:
    """Empty tables, and the head of an empty log."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name != "head":
                connection.execute(delete(table))
        connection.execute(update(head).values(size=0, root=EMPTY_ROOT, fence=0))
