"""The order of writes: whatever breaks, nothing acknowledged is lost, and nothing forks."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.exchange.acting import Actor, Draft, about, check_log, feed, verify_acknowledgement
from tests.exchange.founding import Founded

from acx.exchange.errors import EventRefused, LeadError, LogBehind, TagSpent, Unavailable
from acx.exchange.intake import rules
from acx.exchange.sequencer import publisher, sequencer
from acx.exchange.sequencer.lead import Lead
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.database import Database
from acx.log.checkpoint import Checkpoint, read_checkpoint
from acx.log.errors import MissingFile
from acx.log.merkle import verify_consistency
from acx.log.tiles import DirectoryReader, consistency_path

Join = Callable[..., Actor]

DISK_FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sequencer, "POLL_SECONDS", 0.01)


@dataclass
class Breakage:
    """One step that fails, before or after it took effect, once or for as long as it is told to."""

    monkeypatch: pytest.MonkeyPatch
    after: bool
    armed: bool = False
    lasting: bool = False
    happened: list[str] = field(default_factory=list)

    def strike(self, step: str) -> None:
        if self.armed:
            self.armed = self.lasting
            self.happened.append(step)
            raise DISK_FULL

    def function(self, module: Any, name: str, step: str, when: Callable[..., bool]) -> None:
        """Break a function of a module where its arguments are such."""
        real = getattr(module, name)

        def broken(*args: Any, **kwargs: Any) -> Any:
            mine = when(*args)
            if mine and not self.after:
                self.strike(step)
            result = real(*args, **kwargs)
            if mine and self.after:
                self.strike(step)
            return result

        self.monkeypatch.setattr(module, name, broken)

    def transaction(self, marker: str, step: str) -> None:
        """Break the commit of the transaction in which a function of the sequencer was called."""
        breakage = self
        module = sequencer if hasattr(sequencer, marker) else publisher
        real_write = Database.write
        real_marker = getattr(module, marker)
        seen: list[bool] = []

        def marked(*args: Any, **kwargs: Any) -> Any:
            seen.append(True)
            return real_marker(*args, **kwargs)

        @contextmanager
        def write(database: Database) -> Iterator[Connection]:
            with real_write(database) as connection:
                seen.clear()
                yield connection
                if seen and not breakage.after:
                    breakage.strike(step)
            if seen and breakage.after:
                seen.clear()
                breakage.strike(step)

        self.monkeypatch.setattr(module, marker, marked)
        self.monkeypatch.setattr(Database, "write", write)


STEPS: dict[str, Callable[[Breakage], None]] = {
    "1 rows": lambda b: b.transaction("append", "1 rows"),
    "2 files": lambda b: b.function(publisher, "write_all_durably", "2 files", lambda *_: True),
    "3 high water": lambda b: b.function(
        publisher, "write_durably", "3 high water", lambda file, *_: file.name == "high-water"
    ),
    "3 keep": lambda b: b.transaction("save_checkpoint", "3 keep"),
    "4 publish": lambda b: b.function(
        publisher, "write_durably", "4 publish", lambda file, *_: file.name == "checkpoint"
    ),
}


@pytest.mark.parametrize("recovery", ["goes on", "restarts"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_loses_nothing_and_forks_nothing(
    exchange: Exchange,
    service: Service,
    join: Join,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    recovery: str,
    *,
    after: bool,
) -> None:
    actor = join("A")
    acknowledged = [(draft, draft.post(service)) for draft in reports(actor, service, 3)]
    before = service.published
    breakage = Breakage(monkeypatch, after, lasting=recovery == "restarts")
    STEPS[step](breakage)

    failing = reports(actor, service, 2)
    breakage.armed = True
    unavailable = 0
    for draft in failing:
        try:
            service.sequencer.submit(draft.event).result()
        except Unavailable:
            unavailable += 1
    assert breakage.happened[0] == step
    assert unavailable

    if recovery == "restarts":
        service.close()
        breakage.armed = False
        service = exchange.lead()
    with service:
        acknowledged += [(draft, posted_at_last(draft, service)) for draft in failing]
        for draft, acknowledgement in acknowledged:
            verify_acknowledgement(acknowledgement, draft)
            assert draft.post(service) == acknowledgement
        entries = feed(service)
        assert [entry["index"] for entry in entries] == list(range(service.published.size))
        posted = [draft.event.id for draft, _ in acknowledged]
        assert len(posted) == len({acknowledgement.index for _, acknowledgement in acknowledged})
        check_log(service, actor.invite.log_key)
        check_growth(service, before)


def test_everything_published_of_an_acknowledged_group_is_there_before_it_is_acknowledged(
    service: Service, join: Join
) -> None:
    actor = join("A")
    drafts = reports(actor, service, 5)
    seen: Queue[bool] = Queue()

    def look(place: Future[Any]) -> None:
        on_disk = read_checkpoint((service.public / "checkpoint").read_text())
        covering: Checkpoint = place.result().checkpoint
        seen.put(on_disk.size >= covering.size > place.result().row.index)

    places = [service.sequencer.submit(draft.event) for draft in drafts]
    for place in places:
        place.add_done_callback(look)
    assert [seen.get(timeout=30) for _ in places] == [True] * 5
    check_log(service, actor.invite.log_key)


def test_groups_fill_whole_tiles_and_drop_their_partial_files(service: Service, join: Join) -> None:
    brand = join("A", "brand")
    for start in range(0, 300, 50):
        drafts = [brand.register(seq) for seq in range(start, start + 50)]
        wait([service.sequencer.submit(draft.event) for draft in drafts])
    check_log(service, brand.invite.log_key)
    assert not list(service.public.glob("tile/0/000.p"))
    assert list(service.public.glob("bundle/001.p/*"))


def test_of_two_events_with_one_tag_in_a_group_one_is_taken(service: Service, join: Join) -> None:
    actor = join("A")
    first = actor.report(service)
    actor.nonce = 0
    second = actor.report(service)
    places = [service.sequencer.submit(draft.event) for draft in (first, second)]
    wait(places)
    assert places[0].exception() is None
    assert isinstance(places[1].exception(), TagSpent)


def test_the_same_event_twice_in_a_group_has_one_place(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    places = [service.sequencer.submit(draft.event) for _ in range(3)]
    wait(places)
    answers = [service.intake.acknowledge(draft.event, place.result()) for place in places]
    assert answers[0] == answers[1] == answers[2]


def test_a_group_takes_a_report_and_what_follows_it(service: Service, join: Join) -> None:
    actor, other = join("A"), join("B")
    for _ in range(5):
        draft = actor.report(service)
        # Intake would refuse them before the report is there; the sequencer sees them together.
        events = [
            draft.event,
            actor.amend(service, draft, about("Jo Doe")).event,
            other.corroborate(service, draft.event).event,
            actor.amend(service, draft, about("Jo Doe"), seq=3).event,
            actor.withdraw(service, draft, seq=2).event,
        ]
        places = [service.sequencer.submit(event) for event in events]
        wait(places)
        refused = [isinstance(place.exception(), EventRefused) for place in places]
        assert refused == [False, False, False, True, False]


def test_reports_in_memory_are_let_go_and_known_again(
    service: Service, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_LOADED", 1)
    actor, other = join("A"), join("B")
    drafts = reports(actor, service, 4)
    for draft in drafts:
        draft.post(service)
    for draft in drafts:
        other.corroborate(service, draft.event).post(service)
    assert len(service.sequencer.rules._touched) <= 2
    for draft in drafts:
        actor.amend(service, draft, about("Jo Doe")).post(service)
        with pytest.raises(EventRefused):
            other.withdraw(service, replace(draft, key=other.key), seq=0).post(service)


def test_one_process_leads(exchange: Exchange, service: Service) -> None:
    with pytest.raises(LeadError):
        exchange.lead()
    service.close()
    exchange.lead().close()


def test_a_leader_that_was_overtaken_appends_nothing_more(
    exchange: Exchange, service: Service, join: Join, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = join("A")
    draft = actor.report(service)
    # As if the lock had been lost: on another machine, over a network file system, say.
    monkeypatch.setattr(Lead, "_lock", lambda *_: None)
    with exchange.lead() as usurper:
        with pytest.raises(Unavailable):
            draft.post(service)
        assert not service.ready
        draft.post(usurper)
        check_log(usurper, actor.invite.log_key)


def test_a_leader_that_was_overtaken_between_two_steps_takes_nothing_back(
    exchange: Exchange, service: Service, join: Join, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = join("A")
    late, more = reports(actor, service, 2)
    overtaken, go_on = threading.Event(), threading.Event()
    real = publisher.Publisher.write_files

    def slow(self: publisher.Publisher, batch: publisher.Batch) -> None:
        real(self, batch)
        if threading.current_thread().name == "acx-sequencer" and not overtaken.is_set():
            overtaken.set()
            go_on.wait(30)

    monkeypatch.setattr(publisher.Publisher, "write_files", slow)
    answer = service.post(late.body)
    overtaken.wait(30)
    monkeypatch.setattr(Lead, "_lock", lambda *_: None)
    with exchange.lead() as usurper:
        late.post(usurper)
        more.post(usurper)
        go_on.set()
        assert isinstance(answer.exception(), Unavailable)
        assert (home / "public" / "checkpoint").read_text() == usurper.published.note
        check_log(usurper, actor.invite.log_key)


def test_after_the_end_nothing_is_left_waiting(service: Service, join: Join) -> None:
    draft = join("A").report(service)
    service.sequencer.stop()
    with pytest.raises(Unavailable, match="stopping"):
        service.sequencer.submit(draft.event).result(30)


def test_an_older_database_is_refused_and_the_way_out_named(
    exchange: Exchange, service: Service, join: Join, home: Path
) -> None:
    actor = join("A")
    service.close()
    with exchange._database.write() as connection:
        connection.execute(text("UPDATE head SET size = size - 1"))
    with pytest.raises(LogBehind, match="recover"):
        exchange.lead()
    with pytest.raises(LogBehind, match="recover"):
        exchange.invite("B")
    (home / "public" / "checkpoint").unlink()
    with pytest.raises(LogBehind, match="recover"):
        exchange.lead()
    assert actor.invite.origin == exchange.settings.origin


def test_rows_of_another_history_are_refused(exchange: Exchange, service: Service) -> None:
    service.close()
    with exchange._database.write() as connection:
        connection.execute(text("UPDATE head SET root = :root"), {"root": bytes(32)})
    with pytest.raises(LogBehind, match="recover"):
        exchange.lead()


def test_lost_files_are_written_again_from_the_rows(
    exchange: Exchange, service: Service, join: Join, home: Path
) -> None:
    actor = join("A")
    for draft in reports(actor, service, 3):
        draft.post(service)
    published = service.published
    service.close()
    shutil.rmtree(home / "public" / "tile")
    shutil.rmtree(home / "public" / "bundle")
    with exchange.lead() as again:
        assert again.published == published
        check_log(again, actor.invite.log_key)
        actor.report(again).post(again)
        check_log(again, actor.invite.log_key)


def test_partial_files_of_older_checkpoints_are_cut_from_wider_ones(
    exchange: Exchange, service: Service, join: Join, home: Path
) -> None:
    actor = join("A")
    drafts = reports(actor, service, 4)
    acknowledged = [draft.post(service) for draft in drafts]
    sizes = [word.index + 1 for word in acknowledged]
    kept = {
        f"{kind}/000.p/{size}": (home / "public" / kind / "000.p" / str(size)).read_bytes()
        for kind in ("tile/0", "tile/entries", "bundle")
        for size in sizes
    }
    service.close()
    shutil.rmtree(home / "public")
    (home / "public").mkdir()
    with exchange.lead() as again:
        for path, content in kept.items():
            assert again.log_file(path) == content
        assert [draft.post(again) for draft in drafts] == acknowledged
        for path in ("tile/0/000.p/255", "tile/0/001", "bundle/000"):
            with pytest.raises(MissingFile):
                again.log_file(path)


def test_nothing_in_the_database_says_who_posted_or_when_to_the_minute(
    founded: Founded, exchange: Exchange, service: Service, join: Join
) -> None:
    actor = join("A")
    draft = actor.report(service, about("Unmistakable Name"))
    draft.post(service)
    member = exchange.members()[0].id
    with exchange._database.read() as connection:
        for table in ("entries", "event_keys", "tags", "checkpoints", "head", "outbox"):
            for row in connection.execute(text(f"SELECT * FROM {table}")):  # noqa: S608 -- ours
                values = [value for value in row if not isinstance(value, bytes | memoryview)]
                assert not {actor.public, actor.token, member, "A"} & set(map(str, values))
                held = b"".join(bytes(v) for v in row if isinstance(v, bytes | memoryview))
                assert b"Unmistakable" not in held
                assert not any(":" in str(v) for v in values if str(v).startswith("20"))


def test_a_follower_that_came_before_is_not_told_of_keys_that_went(
    exchange: Exchange, service: Service, join: Join
) -> None:
    draft = join("A").report(service)
    index = draft.post(service).index
    assert service.live.after(index - 1)
    exchange.approve(exchange.erase(draft.event.report, "court_order", "ann"), "bob")
    window = service.live.after(index - 1)
    assert window is None or draft.event.raw not in b"".join(
        entry for commit in window for entry in commit.entries
    )


def reports(actor: Actor, service: Service, count: int) -> list[Draft]:
    return [actor.report(service) for _ in range(count)]


def posted_at_last(draft: Draft, service: Service) -> Any:
    """Post as a wallet does: the same bytes until they are acknowledged."""
    for _ in range(1000):
        try:
            return draft.post(service)
        except Unavailable:
            service.sequencer._stopping.wait(0.01)
    raise AssertionError("never acknowledged")


def check_growth(service: Service, before: Checkpoint) -> None:
    """What is published now is what was published then, and more."""
    now = service.published
    path = consistency_path(DirectoryReader(service.public), before.size, now.size)
    verify_consistency(before, now, path)
