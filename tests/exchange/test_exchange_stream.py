"""The stream from outside: from the servers of several processes, with readers of all kinds."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from tests.exchange.acting import Actor, SetClock
from tests.web.serving import Process, Served, answering, served

from acx.exchange.feed import tail
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.service import Exchange
from acx.exchange.storage.ledger import load_head
from acx.log.checkpoint import open_checkpoint
from acx.log.note import Verifier
from acx.records.event import Act
from acx.web.exchange_api import stream
from acx.web.exchange_api.metrics import Metrics

on_one_database = pytest.mark.parametrize("founded", ["sqlite"], indirect=True)


@dataclass
class Reader:
    """A connection that follows the log, from a raw socket."""

    url: str
    token: str
    query: str = ""
    window: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    covered: int = 0
    rest: bytes = b""
    everything: bytes = b""

    def __enter__(self) -> Self:
        at = urlsplit(self.url)
        self.socket = socket.socket()
        if self.window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.window)
        self.socket.settimeout(30)
        self.socket.connect((at.hostname, at.port))
        lines = {"Host": "x", "Authorization": f"Bearer {self.token}"} | self.headers
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.socket.sendall(f"GET /v1/stream{self.query} HTTP/1.1\r\n{head}\r\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self, size: int = 65536) -> bool:
        """Take some bytes; whether there are more to come."""
        data = self.socket.recv(size)
        self.everything += data
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            if line.startswith(b"id: "):
                self.seen.append(int(line[4:]))
            elif line.startswith(b'data: "'):
                self.covered = int(json.loads(line[6:]).split("\n")[1])
        return bool(data)

    def until(self, size: int) -> list[int]:
        """Read until a checkpoint covers so many entries."""
        while self.covered < size:
            assert self.read(), "the stream ended early"
        return self.seen


@contextmanager
def following(home: Path) -> Iterator[str]:
    """Another process's server of the same exchange, as far as the database can tell."""
    with (
        Exchange.open(home) as opened,
        opened.follow() as service,
        answering(service, Metrics()) as url,
    ):
        yield url


@pytest.fixture
def leader(exchange: Exchange, cleanup: ExitStack) -> Served:
    return cleanup.enter_context(served(exchange))


@pytest.fixture
def member(leader: Served, clock: SetClock) -> Actor:
    joined = leader.join("A", clock=clock)
    fill(leader, 0)
    return joined


def fill(leader: Served, count: int) -> int:
    """Append what needs no proof; the size then."""
    with leader.exchange._deciding() as connection:
        size = load_head(connection).size + count
        for start in range(0, count, 500):
            planned = Planned("act", Act(act="configured", code="tried"))
            plan(connection, *[planned] * min(500, count - start))
    leader.service.sequencer.wake()
    while leader.service.published.size < size:
        time.sleep(0.005)
    return size


def test_readers_of_any_process_are_told_the_same_without_gap_or_repeat(
    home: Path, leader: Served, member: Actor
) -> None:
    start = leader.service.published.size
    with ExitStack() as stack:
        urls = [leader.url, *(stack.enter_context(following(home)) for _ in range(2))]
        readers = [stack.enter_context(Reader(url, member.token)) for url in urls for _ in "ab"]
        for reader in readers:
            reader.read()
        for _ in range(4):
            size = fill(leader, 3)
        expected = list(range(start, size))
        assert [reader.until(size) for reader in readers] == [expected] * len(readers)
        # The members' own way: what one process has told, the next goes on from.
        cursor, told = -1, list[int]()
        for url in urls * 2:
            with Reader(url, member.token, headers={"Last-Event-ID": str(cursor)}) as reader:
                told += reader.until(size)
                cursor = told[-1]
            size = fill(leader, 2)
        assert told == list(range(size - 2))


def test_a_process_that_only_reads_gives_everything_that_is_read_and_takes_nothing(
    home: Path, leader: Served, member: Actor
) -> None:
    with following(home) as url, httpx.Client(base_url=url, timeout=30) as http:
        headers = {"Authorization": f"Bearer {member.token}"}
        for path in ("/v1/events?after=-1", "/v1/keys?after=-1", "/checkpoint", "/taxii2/"):
            assert http.get(path, headers=headers).content == leader.get(path, member).content
        assert http.get("/readyz").status_code == 200
        for path in ("/v1/join", "/v1/credentials", "/v1/events", "/v1/disputes/texts", "/dispute"):
            answer = http.post(path, content=b"{}")
            assert answer.status_code == 503
            assert answer.json()["type"].endswith("/unavailable")
            assert "leads" in answer.json()["detail"]


def test_what_is_erased_is_in_no_process_any_more(
    home: Path, leader: Served, member: Actor
) -> None:
    with following(home) as url, Reader(url, member.token) as reader:
        reader.read()
        draft = member.report(leader.service)
        index = draft.post(leader.service).index
        reader.until(index + 1)
        erased = leader.exchange.erase(draft.event.report, "data_subject", "ann")
        leader.exchange.approve(erased, "bob")
        reader.until(leader.service.published.size)
        with Reader(url, member.token, f"?after={index - 1}") as late:
            late.until(leader.service.published.size)
            assert late.seen[0] == index
            assert draft.event.raw not in late.everything
            assert b'"entry":' in late.everything


@pytest.mark.parametrize("founded", ["postgres"], indirect=True)
def test_a_process_that_cannot_be_woken_for_a_while_misses_nothing(
    home: Path, leader: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RETRY_SECONDS", 0.05)
    start = leader.service.published.size
    listening = "query LIKE 'LISTEN %' AND datname = current_database()"
    with following(home) as url, Reader(url, member.token) as reader:
        reader.read()
        with leader.exchange._database.write() as connection:
            ended = connection.execute(
                text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {listening}")  # noqa: S608 -- ours
            ).all()
        assert ended == [(True,)]
        size = fill(leader, 3)
        assert reader.until(size) == list(range(start, size))


def test_who_is_far_behind_is_not_held_in_memory(
    home: Path, leader: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK", 4)
    start = leader.service.published.size
    with following(home) as url, Reader(url, member.token) as reader:
        reader.read()
        size = fill(leader, 30)
        assert reader.until(size) == list(range(start, size))


@on_one_database
def test_a_cursor_from_the_future_is_refused_and_one_of_a_moment_ahead_waits(
    leader: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = leader.service.published.size
    monkeypatch.setattr("acx.web.exchange_api.app.BEHIND_SECONDS", 0.05)
    answer = leader.get(f"/v1/stream?after={size}", member)
    assert answer.status_code == 400
    assert f"no entry {size} in a log of {size}" in answer.json()["detail"]
    monkeypatch.setattr("acx.web.exchange_api.app.BEHIND_SECONDS", 30)
    with Reader(leader.url, member.token, f"?after={size}") as ahead:
        fill(leader, 2)
        assert ahead.until(size + 2) == [size + 1]


@on_one_database
@pytest.mark.parametrize("cursor", ["x", "-2", "1.5", "", "9" * 30, "1e3", "0x1", "٣"])
def test_a_malformed_cursor_is_a_problem(leader: Served, member: Actor, cursor: str) -> None:
    with Reader(leader.url, member.token, headers={"Last-Event-ID": cursor}) as reader:
        assert b" 400 " in reader.socket.recv(4096).split(b"\r\n")[0]


@on_one_database
def test_a_full_connection_falls_behind_and_misses_nothing(
    leader: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_BUFFERED", 0)
    monkeypatch.setattr("acx.exchange.feed.live.WINDOW_BYTES", 2000)
    start = leader.service.published.size
    with Reader(leader.url, member.token, window=2048) as slow:
        slow.read()
        for _ in range(5):
            size = fill(leader, 400)
        assert slow.until(size) == list(range(start, size))


@on_one_database
def test_who_reads_nothing_is_cut_off_and_holds_nobody_up(
    leader: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STALL_SECONDS", 0.2)
    size = fill(leader, 3000)
    with ExitStack() as stack:
        dead = [
            stack.enter_context(Reader(leader.url, member.token, "?after=-1", window=2048))
            for _ in range(5)
        ]
        good = stack.enter_context(Reader(leader.url, member.token))
        good.read()
        assert good.until(fill(leader, 2)) == [size, size + 1]
        while followers(leader) > 1:
            time.sleep(0.01)
        for reader in dead:
            with pytest.raises((ConnectionError, AssertionError)):
                reader.until(size)
        assert good.until(fill(leader, 1))[-1] == size + 2


@on_one_database
@pytest.mark.parametrize("how", ["half-closed", "gone", "reset"])
def test_who_leaves_costs_nothing_any_more(leader: Served, member: Actor, how: str) -> None:
    with Reader(leader.url, member.token) as reader:
        reader.read()
        assert followers(leader) == 1
        if how == "half-closed":
            reader.socket.shutdown(socket.SHUT_WR)
        elif how == "reset":
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            reader.socket.close()
        else:
            reader.socket.close()
        while followers(leader):
            time.sleep(0.01)


@on_one_database
def test_only_the_head_of_a_stream_is_given_to_who_asks_for_that(
    leader: Served, member: Actor
) -> None:
    answer = leader.http.head("/v1/stream", headers={"Authorization": f"Bearer {member.token}"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


@on_one_database
def test_checkpoints_of_the_stream_are_the_logs(leader: Served, member: Actor) -> None:
    with Reader(leader.url, member.token, "?after=-1") as reader:
        reader.until(leader.service.published.size)
        assert reader.covered == leader.service.published.size
    note = leader.http.get("/checkpoint").text
    open_checkpoint(note, Verifier.parse(member.invite.log_key))


def followers(served_: Served) -> float:
    value = served_.metrics.registry.get_sample_value("acx_stream_followers")
    assert value is not None
    return value


@on_one_database
def test_a_server_ends_cleanly_under_readers_that_read_nothing(home: Path, clock: SetClock) -> None:
    with Exchange.open(home) as exchange, served(exchange) as leader:
        token = leader.join("A", clock=clock).token
        fill(leader, 3000)
    process = Process(home)
    process.start()
    with Reader(process.url, token, "?after=-1", window=2048) as dead:
        dead.read(100)
        code, log = process.stop()
    assert code == 0, log
    assert {json.loads(line)["level"] for line in log.splitlines()} == {"info"}
