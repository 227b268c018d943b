"""Retention: what expires and when, what is erased and how far, what the law holds."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard
from sqlalchemy import text
from tests.exchange.acting import Actor, Draft, SetClock, about, check_log, event_at, feed, folded
from tests.exchange.founding import Founded

from acx.exchange.clock import years_after
from acx.exchange.errors import GovernanceError
from acx.exchange.governance import filings
from acx.exchange.governance.daily import Daily
from acx.exchange.governance.retention import MAX_INDICES
from acx.exchange.sequencer.sequencer import Published
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.database import KEYS, SQLITE_FILE
from acx.records.sealed_text import Message, seal_text

Join = Callable[..., Actor]
ATTEMPT = msgspec.structs.replace(about("Jo Doe"), conduct="attempted_to_sell")


@pytest.fixture
def founded(request: pytest.FixtureRequest) -> Founded:
    """The rules are the same on every database; what is left in files is not."""
    founded: Founded = request.getfixturevalue(getattr(request, "param", "founded_on_sqlite"))
    return founded


@pytest.fixture
def actor(join: Join) -> Actor:
    return join("A")


def test_attempts_expire_after_two_years_and_the_rest_after_five(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock
) -> None:
    sold, attempted = posted(service, actor), posted(service, actor, ATTEMPT)
    day = clock.moment
    clock.moment = years_after(day, 2) - timedelta(hours=1)
    assert exchange.expire().reports == 0
    clock.pass_(hours=1)
    assert exchange.expire(dry_run=True).reports == 1
    assert states(service, sold, attempted) == ["active", "active"]
    assert exchange.expire().reports == 1
    assert states(service, sold, attempted) == ["active", None]
    clock.moment = years_after(day, 5)
    assert exchange.expire().reports == 1
    assert states(service, sold, attempted) == [None, None]
    assert check_log(service, actor.invite.log_key).destroyed == 2


def test_the_test_subject_stays(exchange: Exchange, service: Service, clock: SetClock) -> None:
    clock.moment = years_after(clock.moment, 20)
    assert exchange.expire().reports == 0
    (report,) = list(folded(service))
    assert report.state == "active"


def test_what_counts_is_what_the_report_says_now(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock
) -> None:
    draft = posted(service, actor, ATTEMPT)
    actor.amend(service, draft, about("Jo Doe")).post(service)
    clock.moment = years_after(clock.moment, 3)
    assert exchange.expire().reports == 0
    assert states(service, draft) == ["active"]


def test_the_days_of_retention_are_a_setting(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock, home: Path
) -> None:
    posted(service, actor)
    service.close()
    config = home / "config.toml"
    config.write_text(config.read_text().replace("retention_years = 5", "retention_years = 1"))
    clock.moment = years_after(clock.moment, 1)
    with Exchange.open(home, clock=clock) as changed:
        assert changed.expire().reports == 1


def test_everything_that_members_said_about_a_report_goes_with_it(
    exchange: Exchange, service: Service, join: Join, actor: Actor
) -> None:
    draft = posted(service, actor)
    other = join("B")
    other.corroborate(service, draft.event).post(service)
    other.tell_outcome(service, draft.event).post(service)
    actor.amend(service, draft, about("Jo Doe", alias=("More",)), versions=(1, 2)).post(service)
    case = exchange.disputes.open(draft.event.report, "not_me", "ann")
    dispute = event_at(service, feed(service)[-1]["index"])
    assert dispute.id == case.id
    before = gone(service)
    exchange.approve(exchange.erase(draft.event.report, "data_subject", "ann"), "bob")
    assert gone(service) - before == 4
    view = folded(service).get(draft.event.report)
    assert view is not None
    assert (view.state, view.report) == ("erased", None)
    check_log(service, actor.invite.log_key)


def test_many_are_erased_in_one_go(exchange: Exchange, service: Service, actor: Actor) -> None:
    drafts = [posted(service, actor) for _ in range(3)]
    kept = posted(service, actor)
    proposal = exchange.retention.erase([d.event.report for d in drafts], "court_order", "ann")
    size = service.published.size
    exchange.approve(proposal.id, "bob")
    assert service.published.size == size + 2
    assert states(service, *drafts, kept) == [None, None, None, "active"]
    assert check_log(service, actor.invite.log_key).destroyed == 3
    assert MAX_INDICES == 5_000


def test_a_held_report_is_neither_erased_nor_expires(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock
) -> None:
    draft = posted(service, actor)
    report = draft.event.report
    proposal = exchange.erase(report, "data_subject", "ann")
    exchange.retention.hold(report, "court_order", "ann")
    with pytest.raises(GovernanceError, match="legal hold"):
        exchange.approve(proposal, "bob")
    exchange.reject(proposal)
    with pytest.raises(GovernanceError, match="legal hold"):
        exchange.erase(report, "data_subject", "ann")
    with pytest.raises(GovernanceError, match="is held"):
        exchange.retention.hold(report, "court_order", "bob")
    clock.moment = years_after(clock.moment, 6)
    exchange.expire()
    assert states(service, draft) == ["active"]
    exchange.retention.release(report, "ended", "bob")
    assert exchange.retention.holds() == ()
    exchange.expire()
    assert states(service, draft) == ["expired"]


def test_a_hold_and_its_end_are_on_record(
    exchange: Exchange, service: Service, actor: Actor
) -> None:
    draft = posted(service, actor)
    exchange.retention.hold(draft.event.report, "legal_claim", "ann")
    exchange.retention.release(draft.event.report, "error", "bob")
    acts = [entry["event"] for entry in feed(service)[-2:]]
    assert [act["body"] for act in acts] == [
        {"act": "held", "code": "legal_claim"},
        {"act": "released", "code": "error"},
    ]
    assert {act["report"] for act in acts} == {draft.event.report}


def test_by_itself_the_service_trusts_no_clock_that_is_far_ahead(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock
) -> None:
    draft = posted(service, actor)
    clock.moment = years_after(clock.moment, 10)
    with pytest.raises(GovernanceError, match="acx exchange expire"):
        Daily(exchange._decisions).run(looked_at=False)
    assert states(service, draft) == ["active"]


def test_the_service_does_the_days_work_by_itself(
    exchange: Exchange, service: Service, actor: Actor, clock: SetClock
) -> None:
    draft = posted(service, actor)
    exchange.disputes.open(draft.event.report, "not_me", "ann")
    service.close()
    clock.pass_(days=20)
    lapsed = threading.Event()

    def heard(published: Published) -> None:
        if any(raw and b'"type":"lapse"' in raw for _, raw in published.rows):
            lapsed.set()

    with exchange.lead(heard) as again:
        assert lapsed.wait(30)
        assert states(again, draft) == ["suspended"]


@pytest.mark.parametrize("founded", ["founded_on_sqlite", "founded_on_postgres"], indirect=True)
def test_after_an_erasure_the_data_is_in_no_file(
    founded: Founded,
    exchange: Exchange,
    service: Service,
    actor: Actor,
    home: Path,
    directory: Path,
) -> None:
    secret = "Unmistakable Trading 48151623"
    kept = posted(service, actor)
    draft = posted(service, actor, about(secret, email=("unmistakable@example.com",)))
    report = draft.event.report
    exchange.disputes.file(report, "not_me", Message(text="I am unmistakable"))
    case = exchange.disputes.open(report, "not_me", "ann")
    answer = actor.answer(service, draft, event_at(service, feed(service)[-1]["index"]))
    answer.post(service)
    sealed = seal_text(
        Message(text="We hold the unmistakable invoice"),
        [operator.key for operator in exchange.operators() if operator.name != "service"],
        origin=service.settings.origin,
        about=answer.event.id,
    )
    with exchange._database.write() as connection:
        filings.add_text(
            connection, dispute=case.id, about=answer.event.id, sealed=sealed, now=SetClock()()
        )
    exchange.backup(directory / "before")
    k, kept_k = (key_of(exchange, d.post(service).index) for d in (draft, kept))
    # A sealed text would open with an operator's key for as long as it lies anywhere.
    slots = [slot.encode() for slot in json.loads(sealed)["recipients"].values()]
    database = table_files(exchange) if founded.database else home.glob(SQLITE_FILE + "*")
    assert found_in(database, k, *slots)
    exchange.approve(exchange.erase(report, "data_subject", "ann"), "bob")
    exchange.backup(directory / "after")
    # The backup made before keeps its rows, and loses its keys to the newer one.
    (directory / "before" / "event-keys.jsonl.zst").unlink()
    service.close()
    # Until it is done the sequencer asks again; an automatic ANALYZE may read just now.
    assert exchange._database.forget_deleted(patience=30)
    database = table_files(exchange) if founded.database else home.glob(SQLITE_FILE + "*")
    assert found_in(database, kept_k)
    needles = (k, b"Unmistakable", b"unmistakable", *encodings(k), *slots)
    backups = [*(directory / "before").rglob("*"), *_unpacked(directory)]
    assert not found_in([*home.rglob("*"), *backups, *database], *needles)


def found_in(files: Iterable[Path], *needles: bytes) -> list[str]:
    """The names of files that hold any of these bytes."""
    contents = ((file.name, file.read_bytes()) for file in files if file.is_file())
    return [name for name, content in contents if any(needle in content for needle in needles)]


def test_postgresqls_log_lets_go_where_it_is_told_to_recycle_nothing(
    founded_on_postgres: Founded, directory: Path, clock: SetClock
) -> None:
    founded_on_postgres.copy(directory / "home")
    with Exchange.open(directory / "home", clock=clock) as exchange, exchange.lead() as service:
        with exchange._database._bare() as connection:
            connection.execute(text("ALTER SYSTEM SET wal_recycle = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        actor = Actor.invited(exchange, clock, "A", "contributor")
        actor.join(service)
        draft = posted(service, actor)
        k = key_of(exchange, draft.post(service).index)
        assert found_in(write_ahead_log(exchange), k)
        exchange.approve(exchange.erase(draft.event.report, "data_subject", "ann"), "bob")
        with exchange._database._bare() as connection:
            for _ in range(2):
                connection.execute(text("SELECT pg_switch_wal()"))
                connection.execute(text("CHECKPOINT"))
        assert not found_in(write_ahead_log(exchange), k)


def test_nothing_waits_for_who_reads_while_tables_are_written_anew(
    founded_on_postgres: Founded, directory: Path
) -> None:
    founded_on_postgres.copy(directory / "home")
    with Exchange.open(directory / "home") as exchange:
        database = exchange._database
        with database.read() as connection:
            connection.execute(text("SELECT count(*) FROM event_keys"))
            assert not database.forget_deleted(KEYS)
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
            with database.write() as writing:
                writing.execute(text("DELETE FROM condemned"))
                writing.execute(text("SELECT pg_current_xact_id()"))
            # Whoever reads an older state would see what was deleted, whatever it reads.
            assert not database.forget_deleted(KEYS)
        assert database.forget_deleted(KEYS, patience=10)


def key_of(exchange: Exchange, index: int) -> bytes:
    with exchange._database.read() as connection:
        query = text('SELECT k FROM event_keys WHERE "index" = :index')
        return bytes(connection.execute(query, {"index": index}).scalar_one())


def data_directory(exchange: Exchange) -> tuple[Path, int]:
    """Where PostgreSQL keeps its files, and under which number this database's."""
    query = text(
        "SELECT current_setting('data_directory'), oid FROM pg_database "
        "WHERE datname = current_database()"
    )
    with exchange._database.read() as connection:
        directory, number = connection.execute(query).one()
    return Path(directory), number


def table_files(exchange: Exchange) -> list[Path]:
    """The files of this database's tables, with all that was changed written to them."""
    with exchange._database._bare() as connection:
        connection.execute(text("CHECKPOINT"))
    directory, number = data_directory(exchange)
    return list((directory / "base" / str(number)).iterdir())


def write_ahead_log(exchange: Exchange) -> list[Path]:
    directory, _ = data_directory(exchange)
    return list((directory / "pg_wal").iterdir())


def encodings(k: bytes) -> tuple[bytes, ...]:
    return (base64.b64encode(k), base64.urlsafe_b64encode(k), k.hex().encode())


def _unpacked(directory: Path) -> list[Path]:
    """A backup's compressed files, as what they hold."""
    unpacked = []
    for file in directory.rglob("*.zst"):
        target = file.with_suffix(".plain")
        with file.open("rb") as packed, target.open("wb") as plain:
            zstandard.ZstdDecompressor().copy_stream(packed, plain)
        unpacked.append(target)
    return unpacked


def posted(service: Service, actor: Actor, body: object = None) -> Draft:
    draft = actor.report(service, body)  # type: ignore[arg-type]
    draft.post(service)
    return draft


def states(service: Service, *drafts: Draft) -> list[str | None]:
    reports = folded(service)
    views = [reports.get(draft.event.report) for draft in drafts]
    return [view.state if view else None for view in views]


def gone(service: Service) -> int:
    return sum("event" not in entry for entry in feed(service))
