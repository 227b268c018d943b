"""The member's local service, asked over a real socket as a store's systems would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST

from acx.cli.app import run
from acx.member.home import REPLICA, Member, check
from acx.member.memory import Memory
from acx.member.service import ScreeningService
from acx.member.tokens import Tokens
from acx.records.account import Account
from acx.records.invite import format_invite
from acx.web.limits import Rate
from acx.web.member_api.app import build_app
from acx.web.member_api.lines import MAX_LINE_BYTES, Lines
from acx.web.member_api.server import configured
from acx.web.server import Server, listen, url_of

MARIA = {"id": "m", "name": "Maria Lopez Garcia", "email": ["maria.lopez.garcia@mail.test"]}
INNOCENT = {"id": "i", "name": ["Heinrich Baumgartner"], "email": ["h.baum@post.test"]}


@dataclass
class Local:
    """A service that runs, and what is behind it."""

    exchange: LyingExchange
    member: Member
    service: ScreeningService
    tokens: Tokens
    url: str
    token: str
    report: str

    def post(self, path: str, content: Any, token: str | None = None) -> httpx.Response:
        token = self.token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(self.url + path, content=content, headers=headers, timeout=60)

    def check(self, account: Any, token: str | None = None) -> httpx.Response:
        return self.post("/v1/check", json.dumps(account), token)


@contextmanager
def answering(service: ScreeningService, tokens: Tokens, checks: Rate) -> Iterator[str]:
    listening = listen("127.0.0.1", 0)
    ready = threading.Event()
    server = Server(configured(build_app(service, tokens, checks)), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert ready.wait(30)
    try:
        yield url_of("127.0.0.1", listening)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    exchange = LyingExchange()
    home = tmp_path_factory.mktemp("local") / "home"
    with serving(exchange) as url:
        Member.join(format_invite(exchange.invite(url)), home, arguments=FAST)
        member = Member.open(home, FAST)
        report = exchange.report("Maria Lopez Garcia")
        member.sync()
        tokens = Tokens(home)
        token, _ = tokens.create(["check", "screen"])
        with ScreeningService(home / REPLICA, member.settings, home=home) as service:
            service.follow(member)
            with answering(service, tokens, Rate(per_second=10_000, burst=10_000)) as at:
                yield Local(exchange, member, service, tokens, at, token, report)


def test_a_check_answers_as_the_command_does(local: Local) -> None:
    answer = local.check(MARIA)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"hits", "log_size", "synced_at"}
    (hit,) = body["hits"]
    assert (hit["account_id"], hit["report_id"], hit["level"]) == ("m", local.report, "exact")
    account = Account(id="m", name=("Maria Lopez Garcia",), email=("maria.lopez.garcia@mail.test",))
    with local.member.replica(read_only=True) as replica:
        (same,), _ = check(replica, account, settings=local.member.settings)
    assert hit["reasons"] == list(same.reasons)
    assert local.check(INNOCENT).json()["hits"] == []


def test_a_report_counts_as_soon_as_it_is_there(local: Local) -> None:
    account = {"name": "Otto Neumann Weiss", "email": "Otto.Neumann.Weiss@mail.test"}
    assert local.check(account).json()["hits"] == []
    local.exchange.report("Otto Neumann Weiss")
    for _ in range(2_000):
        hits = local.check(account).json()["hits"]
        if hits:
            break
    assert hits[0]["level"] == "exact"


def test_whom_it_checked_is_remembered_for_a_watch(local: Local) -> None:
    with closing(Memory.open(local.member.home)) as memory:
        before = len(memory)
        local.check({"id": "new", "email": ["first.time@mail.test"]})
        assert len(memory) == before + 1
        local.post("/v1/screen", json.dumps({"id": "screened", "email": ["x.y@mail.test"]}))
        assert len(memory) == before + 1


def test_a_line_goes_out_for_each_line_in_in_order(local: Local) -> None:
    lines = [
        json.dumps(MARIA),
        "no json",
        json.dumps(INNOCENT),
        "",
        json.dumps({"id": "m", "email": "maria.lopez.garcia@mail.test", "unknown": 1}),
        "x" * (MAX_LINE_BYTES + 1),
        json.dumps({"id": "last", "name": 5}),
        json.dumps(MARIA),
    ]
    answer = local.post("/v1/screen", "\n".join(lines).encode())
    assert answer.headers["content-type"] == "application/x-ndjson"
    out = [json.loads(line) for line in answer.text.splitlines()]
    assert len(out) == len(lines)
    told = [
        row["problem"]["type"].rpartition("/")[2] if "problem" in row else len(row["hits"])
        for row in out
    ]
    bad = "malformed-account"
    assert told == [1, bad, 0, bad, 1, "too-large", bad, 1]
    assert [row["line"] for row in out if "line" in row] == [2, 4, 6, 7]
    assert out[0]["hits"][0]["account_id"] == out[0]["account_id"] == "m"


def test_answers_come_while_the_request_is_still_being_sent(local: Local) -> None:
    host, port = local.url.removeprefix("http://").split(":")
    line = json.dumps(MARIA).encode() + b"\n"
    with socket.create_connection((host, int(port)), timeout=60) as raw, raw.makefile("rb") as got:
        head = (
            f"POST /v1/screen HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {local.token}\r\n"
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        raw.sendall(head.encode())
        for _ in range(3):
            raw.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            while not (answer := got.readline()).startswith(b'{"account_id"'):
                assert answer
            assert json.loads(answer)["hits"][0]["report_id"] == local.report
        raw.sendall(b"0\r\n\r\n")
        assert got.read().endswith(b"0\r\n\r\n")


def test_a_client_may_send_all_before_it_reads(local: Local) -> None:
    # As httpx does.
    answer = local.post("/v1/screen", (json.dumps(MARIA).encode() + b"\n") * 20_000)
    assert answer.content.count(b'"report_id"') == 20_000


@pytest.mark.parametrize(
    ("path", "content", "status", "problem"),
    [
        ("/v1/check", "no json", 400, "malformed-account"),
        ("/v1/check", "[]", 400, "malformed-account"),
        ("/v1/check", '{"name": [1]}', 400, "malformed-account"),
        ("/v1/check", "[" * 100_000, 400, "malformed-account"),
        ("/v1/check", b"\xff\xfe", 400, "malformed-account"),
        ("/v1/check", "x" * 200_000, 413, "too-large"),
        ("/v1/check?level=sure", "{}", 400, "malformed-request"),
        ("/v1/screen?level=", "{}", 400, "malformed-request"),
        ("/v1/nothing", "{}", 404, "not-found"),
        ("/healthz", "{}", 405, "method-not-allowed"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else None,
)
def test_bad_input_is_a_problem_that_says_what_is_wrong(
    path: str, content: Any, status: int, problem: str, local: Local
) -> None:
    answer = local.post(path, content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(f"/{problem}")


def test_nobody_is_answered_without_a_token_for_it(local: Local) -> None:
    assert local.check(MARIA, "").status_code == 401
    assert local.check(MARIA, "acxs_wrong").headers["www-authenticate"] == "Bearer"
    only_screen, made = local.tokens.create(["screen"])
    assert local.check(MARIA, only_screen).status_code == 403
    assert local.post("/v1/screen", json.dumps(MARIA), only_screen).status_code == 200
    local.tokens.revoke(made.id)
    assert local.post("/v1/screen", json.dumps(MARIA), only_screen).status_code == 401


def test_level_leaves_weaker_hits_out(local: Local) -> None:
    weak = {"name": "Maria Lopez Garcia", "email": "maria.lopez.garcia@other.test"}
    all_hits = local.check(weak).json()["hits"]
    path = "/v1/check?level=exact"
    exact = local.post(path, json.dumps(weak)).json()["hits"]
    assert [hit for hit in all_hits if hit["level"] == "exact"] == exact


def test_a_misspelt_field_is_told(local: Local) -> None:
    body = local.check({"emails": ["a@b.test"]}).json()
    assert "emails" in body["warning"]


def test_who_asks_too_often_is_told_to_wait(local: Local) -> None:
    with answering(local.service, local.tokens, Rate(per_second=0.001, burst=2)) as url:
        headers = {"Authorization": f"Bearer {local.token}"}
        statuses = [httpx.post(f"{url}/v1/check", json=INNOCENT, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in statuses] == [200, 200, 429]
    assert "retry-after" in statuses[2].headers


def test_says_that_it_lives_and_is_ready_and_what_it_can_be_asked(local: Local) -> None:
    assert httpx.get(f"{local.url}/healthz").text == "ok\n"
    assert httpx.get(f"{local.url}/readyz").text == "ready\n"
    document = httpx.get(f"{local.url}/openapi.json").json()
    assert {"/v1/check", "/v1/screen"} <= set(document["paths"])


def test_is_unready_with_a_replica_that_is_too_old(local: Local, tmp_path: Path) -> None:
    settings = Member.open(local.member.home, FAST | {"max_age": 1e-9}).settings
    with (
        ScreeningService(local.member.home / REPLICA, settings) as service,
        answering(service, local.tokens, Rate(per_second=100, burst=100)) as url,
    ):
        headers = {"Authorization": f"Bearer {local.token}"}
        for answer in (
            httpx.get(f"{url}/readyz"),
            httpx.post(f"{url}/v1/check", json=MARIA, headers=headers),
            httpx.post(f"{url}/v1/screen", json=MARIA, headers=headers),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"].endswith("/stale-replica")


def test_the_command_serves_with_a_token_of_its_own(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(local.member.home)
    assert run(["token", "create", "--scope", "check", "--name", "shop", "--home", home]) == 0
    token = capsys.readouterr().out.strip()
    command = [sys.executable, "-m", "acx", "serve", "--home", home, "--port", "0", "--no-follow"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("serving at ")
        try:
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.post(f"{url}/v1/check", json=MARIA, headers=headers, timeout=60)
            assert answer.json()["hits"][0]["report_id"] == local.report
        finally:
            process.terminate()
            log = process.communicate(timeout=30)[1]
    assert process.returncode == 0, log
    # Neither tokens nor accounts are anybody's to read in a log.
    assert token not in log
    assert "maria" not in log.lower()
    assert run(["token", "list", "--home", home]) == 0
    listed = capsys.readouterr().out
    assert "shop" in listed
    assert token not in listed


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_lines_are_the_same_however_the_body_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    body = b"\n".join(part.replace(b"\n", b"") for part in parts)
    lines, found, place = Lines(), [], 0
    while place < len(body):
        size = cuts[place % len(cuts)]
        found += lines.feed(body[place : place + size])
        place += size
    found += lines.end()
    expected = body.split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)
