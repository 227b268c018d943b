"""The exchange as a process of its own: stopped, killed, started again."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.exchange.acting import Actor, Draft, SetClock, check_log, verify_acknowledgement
from tests.web.serving import Process

from acx.exchange.backup.http_copy import HttpCopy
from acx.exchange.errors import RecoveryError
from acx.exchange.intake.intake import Acknowledgement
from acx.exchange.service import Exchange

KILLS = int(os.environ.get("ACX_TEST_KILLS", "4"))
"""How often the server is killed; a longer run sets more."""


@pytest.fixture
def actor(home: Path) -> Actor:
    """A member that has joined while nothing served."""
    clock = SetClock()
    with Exchange.open(home) as exchange, exchange.lead() as service:
        made = Actor.invited(exchange, clock, "A", "contributor")
        made.join(service)
    return made


def drafts(home: Path, actor: Actor, count: int) -> list[Draft]:
    with Exchange.open(home) as exchange, exchange.lead() as service:
        return [actor.report(service) for _ in range(count)]


@dataclass
class Poster:
    """Posts one event after the other, and remembers what was acknowledged."""

    process: Process
    drafts: list[Draft]
    acknowledged: dict[str, tuple[Draft, Acknowledgement]] = field(default_factory=dict)

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self.process.url, timeout=30) as http:
                for draft in self.drafts:
                    answer = http.post("/v1/events", content=draft.body)
                    if answer.status_code == 200:
                        word = msgspec.json.decode(answer.content, type=Acknowledgement)
                        self.acknowledged[draft.event.id] = (draft, word)
        except httpx.TransportError:
            # It was killed; what it had not answered was not acknowledged.
            return


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_when_it_is_killed_at_any_instant(
    home: Path, actor: Actor
) -> None:
    chance = random.SystemRandom()
    waiting = drafts(home, actor, 30 * KILLS)
    acknowledged: dict[str, tuple[Draft, Acknowledgement]] = {}
    for turn in range(KILLS):
        process = Process(home)
        process.start()
        left = [draft for draft in waiting if draft.event.id not in acknowledged]
        posters = [Poster(process, left[part::4]) for part in range(4)]
        threads = [threading.Thread(target=poster.run) for poster in posters]
        for thread in threads:
            thread.start()
        while turn == 0 and not any(poster.acknowledged for poster in posters):
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.6))
        process.kill()
        for thread in threads:
            thread.join()
        for poster in posters:
            acknowledged |= poster.acknowledged
    assert acknowledged
    with Exchange.open(home) as exchange, exchange.lead() as service:
        for draft, word in acknowledged.values():
            assert draft.post(service) == word
            verify_acknowledgement(word, draft)
        for draft in waiting:
            draft.post(service)
        check_log(service, actor.invite.log_key)
        places = [draft.post(service).index for draft in waiting]
        assert len(set(places)) == len(waiting)


def test_a_signal_ends_it_cleanly_with_streams_open(home: Path, actor: Actor) -> None:
    process = Process(home)
    process.start()
    headers = {"Authorization": f"Bearer {actor.token}"}
    with (
        httpx.Client(base_url=process.url, timeout=30) as http,
        http.stream("GET", "/v1/stream", headers=headers) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        code, log = process.stop()
        assert list(lines)[-1:] in ([], [""])
    assert code == 0, log
    assert "Traceback" not in log
    for line in log.splitlines():
        assert json.loads(line)["level"] == "info"


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_the_verifying_processes_end_with_the_server_however_it_ends(
    home: Path, actor: Actor, how: str
) -> None:
    (draft,) = drafts(home, actor, 1)
    process = Process(home)
    process.start()
    assert httpx.post(process.url + "/v1/events", content=draft.body, timeout=60).is_success
    pid = process.process.pid
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    verifying = [child for thread in threads for child in thread.read_text().split()]
    assert verifying
    if how == "killed":
        process.kill()
    else:
        code, log = process.stop()
        assert code == 0
        for line in log.splitlines():
            assert json.loads(line)["level"] == "info"
    while any(map(running, verifying)):
        time.sleep(0.01)


def running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_commands_are_done_by_the_server_while_it_runs(home: Path, actor: Actor) -> None:
    (draft,) = drafts(home, actor, 1)
    process = Process(home)
    process.start()
    try:
        posted = httpx.post(process.url + "/v1/events", content=draft.body)
        assert posted.status_code == 200
        with Exchange.open(home) as exchange:
            exchange.approve(exchange.erase(draft.event.report, "data_subject", "ann"), "bob")
        page = httpx.get(
            process.url + f"/v1/events?after={posted.json()['index'] - 1}",
            headers={"Authorization": f"Bearer {actor.token}"},
        )
        first, *rest = page.json()["entries"]
        assert set(first) == {"index", "entry"}
        assert [entry["event"]["type"] for entry in rest] == ["erasure", "act"]
    finally:
        process.stop()


def test_a_restored_exchange_is_brought_up_to_date_from_another_server_of_the_log(
    home: Path, actor: Actor
) -> None:
    posted = drafts(home, actor, 3)
    with Exchange.open(home) as exchange:
        exchange.backup(home.parent / "backup")
    process = Process(home)
    process.start()
    try:
        for draft in posted:
            httpx.post(process.url + "/v1/events", content=draft.body)
        Exchange.restore(home.parent / "backup", home.parent / "restored")
        with Exchange.open(home.parent / "restored") as restored:
            recovered = restored.recover(HttpCopy(process.url, actor.token))
            assert recovered.size - recovered.before == len(posted)
            with restored.lead() as service:
                for draft in posted:
                    verify_acknowledgement(draft.post(service), draft)
                check_log(service, actor.invite.log_key)
        with pytest.raises(RecoveryError, match="does not give the log"):
            list(HttpCopy(process.url, "nobody's token").entries())
    finally:
        process.stop()
