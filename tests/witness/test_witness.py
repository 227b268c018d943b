"""A witness cosigns what continues the last checkpoint, and nothing else whatever happens to it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.witness.witnessing import Log, add, serving, witnessing

from acx.log.checkpoint import open_checkpoint, read_checkpoint
from acx.log.cosignature import MLDSA44_COSIGNATURE, cosigned_at
from acx.log.errors import LogError
from acx.log.note import Note, Signer, parse_note, parse_signatures, verified_signatures
from acx.log.witness import origin_hash
from acx.witness.errors import WitnessError
from acx.witness.witness import MAX_BODY_BYTES, Witness


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def witness(log: Log, tmp_path: Path) -> Iterator[tuple[Witness, str]]:
    with witnessing(tmp_path / "witness", log.key) as serving:
        yield serving


def test_cosigns_what_continues_the_last_checkpoint(log: Log, witness: tuple[Witness, str]) -> None:
    asked, url = witness
    size, before = 0, int(time.time())
    for grown in (1, 2, 3, 8, 9):
        checkpoint = log.grow(*(bytes([n]) for n in range(size, grown)))
        answer = add(url, log.ask(size))
        assert answer.status_code == 200, answer.text
        note = Note(checkpoint.text, parse_signatures(answer.text))
        (cosignature,) = verified_signatures(note, [asked.key])
        assert before <= cosigned_at(cosignature) <= time.time()
        size = grown
    # Whoever compares finds the log's own signature and the witness's.
    shown = httpx.get(f"{url}/{origin_hash(log.key.name)}/checkpoint", trust_env=False)
    assert open_checkpoint(shown.text, log.key) == log.checkpoint()
    assert verified_signatures(parse_note(shown.text), [asked.key])
    # The same again is the same again, with the time of now.
    assert add(url, log.ask(9)).status_code == 200


def test_tells_the_size_it_knows_where_the_log_does_not(
    log: Log, witness: tuple[Witness, str]
) -> None:
    log.grow(b"a", b"b")
    assert add(witness[1], log.ask(0)).status_code == 200
    log.grow(b"c")
    answer = add(witness[1], log.ask(0))
    assert (answer.status_code, answer.text) == (409, "2\n")
    assert answer.headers["content-type"] == "text/x.tlog.size"
    assert add(witness[1], log.ask(2)).status_code == 200


def changed(body: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    for before, after in changes:
        assert before in body
        body = body.replace(before, after, 1)
    return body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 2\n",
        b"old -1\n\n",
        b"old 02\n\nx\n0\nAAAA\n\n",
        b"new 2\n\n",
        b"\xff\xfe",
        b"old 2\n" + b"A" * 44 + b"\n\n",
        b"old 2\n" + (b"A" * 43 + b"=\n") * 64 + b"\n",
        b"old 2\nnothash\n\nacx.example/log\n3\n",
        b"old 99999999999999999999999\n\n",
    ],
    ids=range(10),
)
def test_what_is_no_request_is_told(witness: tuple[Witness, str], body: bytes) -> None:
    answer = add(witness[1], body)
    assert answer.status_code == 400
    assert answer.text.endswith("\n")


def test_each_reason_to_refuse_has_a_status_of_its_own(
    log: Log, witness: tuple[Witness, str]
) -> None:
    asked, url = witness
    log.grow(b"a", b"b", b"c")
    assert add(url, log.ask(0)).status_code == 200
    stranger, forger = Log(Signer.generate("other.example/log")), Log(Signer.generate(log.key.name))
    for other in (stranger, forger):
        other.grow(*log.entries, b"d")
    fork = log.fork(2)
    fork.grow(b"x", b"y")
    log.grow(b"d")
    good = log.ask(3)
    refusals = {
        "another log": (stranger.ask(3), 404),
        "another key": (forger.ask(3), 403),
        "an altered signature": (changed(good, (b" ", b" AAAA")), 400),
        "beyond the checkpoint": (log.ask(5, path=()), 400),
        "no proof": (log.ask(3, path=()), 422),
        "a wrong proof": (log.ask(3, path=[bytes(32)] * 3), 422),
        "a proof too long": (log.ask(3, path=[bytes(32)] * 60), 422),
        "another root of one size": (fork.ask(3, size=3, path=()), 422),
        "a fork": (fork.ask(3), 422),
    }
    found = {name: add(url, body).status_code for name, (body, _) in refusals.items()}
    assert found == {name: status for name, (_, status) in refusals.items()}
    # What was signed and does not fit is kept: it may be evidence.
    kept = {read_checkpoint(note).root for note, _ in asked.refused()}
    assert {fork.checkpoint(3).root, fork.checkpoint().root} <= kept
    assert add(url, good).status_code == 200


def test_an_altered_checkpoint_is_not_the_logs(log: Log, witness: tuple[Witness, str]) -> None:
    log.grow(b"a")
    body = log.ask(0)
    assert add(witness[1], changed(body, (b"\n1\n", b"\n2\n"))).status_code == 403


def test_a_proof_from_nothing_is_too_much(log: Log, witness: tuple[Witness, str]) -> None:
    log.grow(b"a")
    assert add(witness[1], log.ask(0, path=[bytes(32)])).status_code == 422


def test_bodies_and_requests_are_bounded(witness: tuple[Witness, str]) -> None:
    _, url = witness
    assert add(url, b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert httpx.get(f"{url}/add-checkpoint", trust_env=False).status_code == 405
    assert httpx.get(f"{url}/nothing", trust_env=False).status_code == 404
    assert httpx.get(f"{url}/{'0' * 64}/checkpoint", trust_env=False).status_code == 404
    assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30) as raw:
        raw.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_witnesses_against_quantum_computers_too(log: Log, tmp_path: Path) -> None:
    log.grow(b"a")
    with Witness.open(tmp_path, algorithm="ml-dsa-44") as witness:
        assert witness.key.type == MLDSA44_COSIGNATURE
        witness.add_log(log.key)
        answer = witness.add_checkpoint(log.ask(0))
        note = Note(log.checkpoint().text, parse_signatures(answer.body))
        assert verified_signatures(note, [witness.key])


def test_the_key_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads, ExitStack() as stack:
        opened = threads.map(lambda _: Witness.open(tmp_path / "witness"), range(8))
        keys = {stack.enter_context(witness).key for witness in opened}
    assert len(keys) == 1
    assert (tmp_path / "witness" / "witness.key").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in (tmp_path / "witness").iterdir() if "key" in file.name) == [
        "witness.key"
    ]


def test_two_at_once_never_cosign_two_logs(log: Log, tmp_path: Path) -> None:
    """Both are asked for another fork at the same time, again and again."""
    log.grow(b"start")
    with ThreadPoolExecutor(2) as threads, ExitStack() as stack:
        witnesses = [stack.enter_context(Witness.open(tmp_path)) for _ in range(2)]
        witnesses[0].add_log(log.key)
        assert witnesses[1].add_checkpoint(log.ask(0)).status == 200
        for size in range(1, 20):
            forks = [log.fork(size), log.fork(size)]
            for number, fork in enumerate(forks):
                fork.grow(bytes([number]))
            barrier = threading.Barrier(2)

            def ask(number: int, size: int = size, forks: list[Log] = forks) -> int:
                barrier.wait()  # noqa: B023 -- run to its end within the turn
                return witnesses[number].add_checkpoint(forks[number].ask(size)).status

            statuses = list(threads.map(ask, range(2)))
            assert sorted(statuses) == [200, 409]
            log = forks[statuses.index(200)]


@pytest.mark.soak
def test_a_witness_that_is_killed_forgets_nothing_it_has_said(log: Log, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from acx.web.witness_api import serve; "
        "from acx.witness.witness import Witness; "
        "serve(Witness.open(Path(sys.argv[1])), '127.0.0.1', 0, "
        "on_ready=lambda url: print(url, flush=True))"
    )
    with Witness.open(tmp_path) as witness:
        witness.add_log(log.key)
    told = 0
    for _ in range(int(os.environ.get("ACX_TEST_KILLS", "2"))):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        killer = threading.Timer(secrets.SystemRandom().uniform(0.05, 0.3), process.kill)
        killer.start()
        size = told
        try:
            while True:
                log.grow(bytes([len(log.entries) % 251]))
                answer = add(url, log.ask(size))
                if answer.status_code == 409:
                    size = int(answer.text)
                    assert size >= told
                    continue
                assert answer.status_code == 200
                told = size = len(log.entries)
        except httpx.TransportError:
            pass
        process.wait()
        process.stdout.close()
    assert told
    with Witness.open(tmp_path) as witness:
        kept = witness.checkpoint(origin_hash(log.key.name))
        assert read_checkpoint(kept.body).size >= told


def test_a_disk_that_keeps_nothing_gets_no_cosignature(log: Log, tmp_path: Path) -> None:
    log.grow(b"a")
    with Witness.open(tmp_path) as witness, serving(witness) as url:
        witness.add_log(log.key)
        witness._state._connection.execute("PRAGMA query_only = ON")
        answer = add(url, log.ask(0))
        assert answer.status_code == 503
        assert log.key.name not in answer.text
        witness._state._connection.execute("PRAGMA query_only = OFF")
        assert add(url, log.ask(0)).status_code == 200


def test_a_witness_that_was_damaged_does_not_go_on(log: Log, tmp_path: Path) -> None:
    log.grow(b"a")
    with Witness.open(tmp_path) as witness:
        witness.add_log(log.key)
        witness.add_checkpoint(log.ask(0))
        witness._state._connection.execute("UPDATE cosigned SET note = 'lost'")
        with pytest.raises(WitnessError, match="start anew"):
            witness.add_checkpoint(log.ask(0))
    (tmp_path / "witness.db").write_bytes(b"not a database" * 100)
    with pytest.raises(WitnessError, match="check the disk"):
        Witness.open(tmp_path)


def test_a_home_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WitnessError, match="another --home"):
        Witness.open(tmp_path / "file")
    with pytest.raises(LogError, match="cannot name a key"):
        Witness.open(tmp_path / "named", name="with space")
    Witness.open(tmp_path / "old", name="old.example").__exit__(None, None, None)
    with pytest.raises(WitnessError, match="keeps its name"):
        Witness.open(tmp_path / "old", name="new.example")
    (tmp_path / "old" / "witness.key").write_text("PRIVATE+KEY+nonsense")
    with pytest.raises(WitnessError) as refused:
        Witness.open(tmp_path / "old")
    assert "nonsense" not in str(refused.value)
