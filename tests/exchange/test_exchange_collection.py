"""The reports as TAXII hands them out: in order, nothing lost and nothing told twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import URL, make_url
from tests.exchange.founding import create_database, fast_directory
from tests.exchange.written_log import WrittenLog, about

from acx.exchange.feed import collection as collection_module
from acx.exchange.feed.collection import (
    EVERYTHING,
    MAX_OBJECTS,
    START,
    Collection,
    Item,
    Page,
    Position,
    Wanted,
)
from acx.interchange.stix import note_id, slots


@pytest.fixture
def log() -> Iterator[WrittenLog]:
    with fast_directory() as directory:
        log = WrittenLog.founded(URL.create("sqlite", database=str(directory / "log.sqlite")))
        yield log
        log.database.close()


def read(
    collection: Collection, log: WrittenLog, after: Position = START, limit: int = 7
) -> list[Item]:
    """Everything after a place, page by page."""
    items: list[Item] = []
    while True:
        page = collection.page(log.size, after, limit=limit)
        items += page.items
        assert len(page.items) <= limit
        if not page.more:
            return items
        assert page.next > after
        after = page.next


def objects(items: list[Item]) -> dict[str, dict[str, object]]:
    """The newest version of each, as a reader keeps it."""
    return {item.object["id"]: item.object for item in items}


def of(report: str, items: list[Item]) -> dict[str, dict[str, object]]:
    """A report's objects by role."""
    told = objects(items)
    return {role: told[made] for role, made in slots(report).items() if made in told}


@pytest.mark.parametrize("limit", [1, 5, 12, MAX_OBJECTS])
def test_pages_hold_everything_once_and_in_order(log: WrittenLog, limit: int) -> None:
    reports = [log.report(about(f"N{number}")) for number in range(6)]
    items = read(log.collection(), log, limit=limit)
    assert len({item.object["id"] for item in items}) == len(items)
    assert [item.position for item in items] == sorted(item.position for item in items)
    assert {of(reported.id, items)["report"]["type"] for reported in reports} == {"report"}


def test_times_of_adding_rise_strictly_within_one_hour(log: WrittenLog) -> None:
    for number in range(30):
        log.report(about(f"N{number}"))
    added = [item.added for item in read(log.collection(), log)]
    assert all(before < after for before, after in pairwise(added))
    assert added[-1] - added[0] < timedelta(seconds=1)


def test_a_reader_who_goes_on_from_any_time_it_was_told_misses_nothing(log: WrittenLog) -> None:
    for number in range(4):
        log.report(about(f"N{number}"))
        log.hour = f"2026-11-25T{8 + number // 2:02}Z"
    collection = log.collection()
    items = read(collection, log)
    for place, item in enumerate(items):
        after = collection.position_at(log.size, item.added)
        assert [later.position for later in read(collection, log, after)] == [
            later.position for later in items[place + 1 :]
        ]


def test_a_reader_who_asks_with_the_time_of_its_visit_misses_nothing(log: WrittenLog) -> None:
    collection = log.collection()
    visited = datetime.fromisoformat("2026-11-25T07:59:59Z")
    log.report(about("Early"))
    read(collection, log)
    late = log.report(about("Late"))
    after = collection.position_at(log.size, visited)
    assert of(late.id, read(collection, log, after))


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00Z",
        "2026-11-25T09:00:00Z",
        "2026-11-25T23:59:59Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_any_time_is_a_place(log: WrittenLog, moment: str) -> None:
    log.report(about("Somebody"))
    after = log.collection().position_at(log.size, datetime.fromisoformat(moment))
    items = read(log.collection(), log, after)
    assert all(item.added > datetime.fromisoformat(moment) for item in items)
    assert bool(items) == (moment < "2026-11-25T09:01")


def test_nothing_beyond_the_published_size_shows(log: WrittenLog) -> None:
    log.report(about("Shown"))
    size = log.size
    hidden = log.report(about("Hidden"))
    page = log.collection().page(size)
    assert hidden.id not in str([item.object for item in page.items])


def test_a_reader_of_an_older_head_finds_later_what_others_have_seen_change(
    log: WrittenLog,
) -> None:
    reported = log.report(about("First"))
    log.report(about("Second"))
    older = log.size
    log.withdraw(reported)
    collection = log.collection()
    collection.page(log.size)
    page = collection.page(older)
    assert not of(reported.id, list(page.items))
    assert of(reported.id, read(collection, log, page.items[-1].position))["report"]["revoked"]


def test_postgresql_holds_the_same_collection(postgres: str) -> None:
    log = WrittenLog.founded(make_url(create_database(postgres)))
    kept, erased = log.report(about("Kept")), log.report(about("Erased"))
    expired = [log.report(about(f"N{number}")) for number in range(3)]
    log.corroborate(kept)
    log.erase(erased)
    log.expire(*expired)
    collection = log.collection()
    items = read(collection, log)
    assert of(kept.id, items)["contributors"]["count"] == 2
    assert all(of(each.id, items)["report"]["revoked"] for each in (erased, *expired))
    observable = next(item for item in items if item.object["type"] == "email-addr")
    found = collection.page(log.size, wanted=Wanted(ids=[observable.object["id"]]))
    assert [item.object for item in found.items] == [observable.object]
    log.database.close()


def test_what_changes_comes_again_in_a_newer_version(log: WrittenLog) -> None:
    collection = log.collection()
    first, second = log.report(about("First")), log.report(about("Second"))
    before = read(collection, log)
    after = before[-1].position
    log.amend(first, about("First", email=("new@shop.example",)))
    items = read(collection, log, after)
    assert {item.object.get("created") for item in items} <= {
        item.object.get("created") for item in before
    } | {None}
    old, new = of(first.id, before), of(first.id, items)
    assert {role: made["id"] for role, made in old.items()}.items() <= {
        role: made["id"] for role, made in new.items()
    }.items()
    assert all(str(new[role]["modified"]) > str(made["modified"]) for role, made in old.items())
    assert "new@shop.example" in str(new["email-addr"]["pattern"])
    assert not of(second.id, items)
    assert read(collection, log, items[-1].position) == []


def test_an_indicator_whose_values_were_all_taken_back_is_revoked(log: WrittenLog) -> None:
    collection = log.collection()
    reported = log.report(about("First", website=("fakes.example",)))
    after = read(collection, log)[-1].position
    log.amend(reported, about("First", phone=("+4915112345678",)))
    new = of(reported.id, read(collection, log, after))
    assert new["domain-name"]["revoked"]
    assert new["indicates/domain-name"]["revoked"]
    assert "revoked" not in new["email-addr"]
    assert "fakes" not in str(new)


@pytest.mark.parametrize("end", ["withdrawn", "rejected", "erased", "expired"])
def test_a_report_that_ends_is_revoked_and_leaves_nothing_of_what_it_said(
    log: WrittenLog, end: str
) -> None:
    collection = log.collection()
    reported = log.report(about("Maria", website=("fakes.example",)))
    other = log.report(about("Other"))
    dispute = log.dispute(reported)
    before = read(collection, log)
    after = before[-1].position
    match end:
        case "withdrawn":
            log.withdraw(reported)
        case "rejected":
            log.uphold(reported, dispute)
        case "erased":
            log.erase(reported)
        case _:
            log.expire(reported)
    for reader in (collection, log.collection()):
        items = read(reader, log, after)
        told = objects(items)
        known = {*slots(reported.id).values(), note_id(dispute.id)}
        ours = {made for made in objects(before) if made in known}
        assert ours <= set(told)
        assert all(made["revoked"] for made in told.values())
        assert "Maria" not in str(told)
        assert "fakes" not in str(told)
        everything = read(reader, log)
        assert "maria@shop.example" not in str(everything)
        assert of(other.id, everything)
        assert all(
            str(told[made]["modified"]) > str(objects(before)[made]["modified"]) for made in ours
        )
        assert all(told[made]["created"] == objects(before)[made]["created"] for made in ours)


def test_many_reports_that_expire_at_once_are_all_told(log: WrittenLog) -> None:
    collection = log.collection()
    reported = [log.report(about(f"N{number}")) for number in range(60)]
    kept = log.report(about("Kept"))
    after = read(collection, log)[-1].position
    log.expire(*reported)
    log.report(about("Next"))
    items = read(collection, log, after)
    added = [item.added for item in items]
    assert added == sorted(set(added))
    assert all(of(each.id, items)["report"]["revoked"] for each in reported)
    assert not of(kept.id, items)


def test_what_was_decided_counts_as_a_change(log: WrittenLog) -> None:
    collection = log.collection()
    reported = log.report(about("Maria"))
    dispute = log.dispute(reported)
    proposed = read(collection, log)[-1].position
    log.lapse(reported, dispute)
    suspended = of(reported.id, read(collection, log, proposed))
    assert suspended["email-addr"]["valid_until"]
    log.corroborate(reported)
    log.outcome(reported)
    told = of(reported.id, read(collection, log))
    assert told["contributors"]["count"] == 2
    assert told["outcomes"]["count"] == 1
    assert "valid_until" not in told["email-addr"]


def test_an_observable_of_two_reports_stays_while_one_stands(log: WrittenLog) -> None:
    first = log.report(about("First", email=("shared@shop.example",)))
    log.report(about("Second", email=("shared@shop.example",)))
    collection = log.collection()
    (shared,) = {
        item.object["id"] for item in read(collection, log) if item.object["type"] == "email-addr"
    }
    log.erase(first)
    assert shared in objects(read(collection, log))
    assert [i.object["id"] for i in collection.page(log.size, wanted=Wanted(ids=[shared])).items]


def test_objects_are_found_by_their_ids(log: WrittenLog) -> None:
    reported = log.report(about("Maria", website=("fakes.example",), handle=("shop:maria",)))
    log.report(about("Other"))
    dispute = log.dispute(reported)
    collection = log.collection()
    everything = read(collection, log)
    for item in everything:
        page = collection.page(log.size, wanted=Wanted(ids=[item.object["id"]]))
        assert [found.object for found in page.items] == [item.object]
    wanted = [note_id(dispute.id), *slots(reported.id).values(), "identity--none", "what", ""]
    found = collection.page(log.size, wanted=Wanted(ids=wanted), limit=3)
    assert len(found.items) == 3
    assert found.more
    log.erase(reported)
    gone = collection.page(log.size, wanted=Wanted(types={"domain-name"}))
    assert gone == Page([], more=False, next=gone.next)
    observable = next(i for i in everything if i.object["type"] == "domain-name")
    assert not collection.page(log.size, wanted=Wanted(ids=[observable.object["id"]])).items


def test_a_filter_that_finds_little_still_gets_on(
    log: WrittenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        log.report(about(f"N{number}"))
    dispute = log.dispute(log.report(about("Disputed")))
    monkeypatch.setattr(collection_module, "_BATCH", 2)
    monkeypatch.setattr(collection_module, "MAX_EXAMINED", 4)
    collection, after, pages = log.collection(), START, 0
    found: list[Item] = []
    while True:
        page = collection.page(log.size, after, Wanted(types={"note"}))
        found += page.items
        pages += 1
        if not page.more:
            break
        after = page.next
    assert [item.object["id"] for item in found] == [note_id(dispute.id)]
    assert pages == 3


def test_a_reader_that_pages_while_reports_come_misses_nothing(log: WrittenLog) -> None:
    collection = log.collection()
    reported = [log.report(about(f"N{number}")) for number in range(5)]
    after = START
    items: list[Item] = []
    for step in range(200):
        page = collection.page(log.size, after, EVERYTHING, 4)
        items += page.items
        after = page.next
        if step < 10:
            reported.append(log.report(about(f"Late{step}")))
            log.corroborate(reported[step % 5], member=f"m{step}")
        elif not page.more:
            break
    told = objects(items)
    assert told == objects(read(log.collection(), log))
    assert all(slots(each.id)["report"] in told for each in reported)
