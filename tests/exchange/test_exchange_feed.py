"""What members read, page by page and live."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import wait

import pytest
from tests.exchange.acting import Actor, feed

from acx.exchange.feed import live as live_module
from acx.exchange.feed import pages
from acx.exchange.serving import Service
from acx.log.checkpoint import read_checkpoint
from acx.log.entry import entry_of, parse_keys
from acx.log.merkle import hash_leaf, tree_root

Join = Callable[..., Actor]


def grow(service: Service, actor: Actor, count: int) -> None:
    wait([service.sequencer.submit(actor.report(service).event) for _ in range(count)])


def test_a_reader_of_all_pages_rebuilds_the_root(
    service: Service, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_ENTRIES", 7)
    grow(service, join("A"), 20)
    leaves = []
    after = -1
    while True:
        page = service.entries(after, 1000)
        if not page.entries:
            break
        assert len(page.entries) <= 7
        for index, rendered in page.entries:
            entry = json.loads(rendered)
            assert entry["index"] == index == after + 1
            raw = rendered.partition(b'"event":')[2].rpartition(b',"index":')[0]
            k = base64.b64decode(entry["k"])
            leaves.append(hash_leaf(entry_of(k, entry["at"], raw)))
            after = index
    checkpoint = read_checkpoint(page.checkpoint.note)
    assert (len(leaves), tree_root(leaves)) == (checkpoint.size, checkpoint.root)


def test_a_page_ends_early_rather_than_grow_too_large(
    service: Service, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(service, join("A"), 5)
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 10)
    assert len(service.entries(-1, 1000).entries) == 1


@pytest.mark.parametrize("beyond", [0, 1, 10**9])
def test_at_the_head_a_page_is_empty(service: Service, beyond: int) -> None:
    assert not service.entries(service.published.size - 1 + beyond, 1000).entries


def test_key_pages_hold_every_key_from_the_page_that_is_asked_for(
    service: Service, join: Join
) -> None:
    brand = join("A", "brand")
    places = [service.sequencer.submit(brand.register(seq).event) for seq in range(300)]
    for place in places:
        place.result(60)
    size = service.published.size
    whole = service.keys(-1)
    assert whole.first_index == 0
    assert len(parse_keys(whole.data)) == size
    second = service.keys(255)
    assert second.first_index == 256
    assert second.data == whole.data[256 * 33 :]
    assert service.keys(254).first_index == 0
    assert service.keys(size + 1000).data == b""
    by_feed = [base64.b64decode(entry["k"]) for entry in feed(service)]
    assert parse_keys(whole.data) == by_feed


def test_followers_are_told_of_each_commit_and_read_it_from_memory(
    service: Service, join: Join
) -> None:
    draft = join("A").report(service)
    after = service.published.size - 1
    told = threading.Event()
    service.live.listen(told.set)
    assert service.live.after(after) == []
    assert not told.is_set()
    draft.post(service)
    assert told.wait(30)
    commits = service.live.after(after)
    assert commits is not None
    assert draft.event.raw in b"".join(entry for commit in commits for entry in commit.entries)
    assert service.live.newest == commits[-1].checkpoint == service.published


@pytest.mark.parametrize("beyond", [0, 1, 10**9])
def test_beyond_the_head_there_is_nothing_to_read(service: Service, beyond: int) -> None:
    assert service.live.after(service.published.size - 1 + beyond) == []


def test_who_is_too_far_behind_reads_from_storage(
    service: Service, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "WINDOW_BYTES", 2000)
    actor = join("A")
    start = service.published.size - 1
    for _ in range(6):
        actor.report(service).post(service)
    assert service.live.after(start) is None
    assert service.live.after(service.published.size - 2) is not None


def test_a_closed_feed_sends_its_followers_away(service: Service) -> None:
    told = threading.Event()
    service.live.listen(told.set)
    service.live.close()
    assert told.is_set()
    assert service.live.closed
