"""The exchange from outside: over a socket, as members, strangers and enemies meet it."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.exchange.acting import Actor, Draft, SetClock, verify_acknowledgement
from tests.web.serving import Served

from acx.errors import AcxError
from acx.exchange import durable, errors
from acx.exchange.errors import HomeError, LeadError
from acx.exchange.intake.intake import Acknowledgement
from acx.exchange.sequencer import publisher, sequencer
from acx.exchange.service import Exchange
from acx.log.checkpoint import open_checkpoint
from acx.log.entry import entry_of, parse_keys
from acx.log.merkle import hash_leaf, tree_root
from acx.log.note import Verifier
from acx.records.http_signature import sign_request
from acx.web import limits, protocol
from acx.web.exchange_api import stream
from acx.web.exchange_api.app import _Api
from acx.web.exchange_api.limits import Allowance, Rate
from acx.web.exchange_api.problems import PROBLEMS, problem_type
from acx.web.logs import JsonLines
from acx.web.server import CannotListen, listen


@pytest.fixture
def member(exchange: Served, clock: SetClock) -> Actor:
    return exchange.join("A", clock=clock)


def problem(answer: httpx.Response, status: int, name: str) -> str:
    """Check a problem's form; return what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"https://acx.example/problems/{name}"
    assert body["status"] == status
    assert body["title"]
    detail: str = body["detail"]
    assert detail
    return detail


def post(exchange: Served, draft: Draft) -> httpx.Response:
    return exchange.http.post("/v1/events", content=draft.body)


def test_a_report_posted_over_http_is_acknowledged_and_read_back(
    exchange: Served, member: Actor
) -> None:
    draft = member.report(exchange.service)
    answer = post(exchange, draft)
    assert answer.status_code == 200, answer.text
    acknowledgement = Acknowledgement(**answer.json())
    verify_acknowledgement(acknowledgement, draft)
    assert post(exchange, draft).content == answer.content
    page = exchange.get(f"/v1/events?after={acknowledgement.index - 1}", member)
    assert draft.event.raw in page.content
    assert page.json()["entries"][0]["k"] == acknowledgement.k


def test_a_reader_rebuilds_the_log_from_its_pages(exchange: Served, member: Actor) -> None:
    for _ in range(5):
        post(exchange, member.report(exchange.service))
    leaves: list[bytes] = []
    while True:
        answer = exchange.get(f"/v1/events?after={len(leaves) - 1}&limit=3", member)
        page = answer.json()
        if not page["entries"]:
            break
        for entry in page["entries"]:
            raw = json.dumps(entry["event"], separators=(",", ":"), ensure_ascii=False).encode()
            k = base64.b64decode(entry["k"])
            leaves.append(hash_leaf(entry_of(k, entry["at"], raw)))
    checkpoint = open_checkpoint(page["checkpoint"], Verifier.parse(member.invite.log_key))
    assert (checkpoint.size, checkpoint.root) == (len(leaves), tree_root(leaves))
    keys = exchange.get("/v1/keys?after=-1", member)
    assert keys.headers["acx-first-index"] == "0"
    assert len(parse_keys(keys.content)) == checkpoint.size


def test_the_checkpoint_and_its_files_are_anyones(exchange: Served, member: Actor) -> None:
    post(exchange, member.report(exchange.service))
    answer = exchange.get("/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    checkpoint = open_checkpoint(answer.text, Verifier.parse(member.invite.log_key))
    for path in ("tile/0/000", "tile/entries/000", "bundle/000"):
        file = exchange.get(f"/{path}.p/{checkpoint.size}")
        assert file.status_code == 200
        assert file.headers["content-type"] == "application/octet-stream"
        assert "immutable" in file.headers["cache-control"]
    tile = exchange.get(f"/tile/0/000.p/{checkpoint.size}").content
    leaves = [tile[i : i + 32] for i in range(0, len(tile), 32)]
    assert tree_root(leaves) == checkpoint.root


def test_caches_keep_files_for_ever_and_ask_for_a_checkpoint_again(
    exchange: Served, member: Actor
) -> None:
    size = exchange.service.published.size
    tile = f"/tile/0/000.p/{size}"
    for path, control in (("/checkpoint", "no-cache"), (tile, "public, max-age=604800, immutable")):
        first = exchange.get(path)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == control
        assert exchange.get(path).headers["etag"] == tag
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = exchange.get(path, None, **{"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["cache-control"] == control
        assert exchange.get(path, None, **{"If-None-Match": '"other"'}).content == first.content
        assert exchange.http.head(path).headers["content-length"] == str(len(first.content))
    old = exchange.get("/checkpoint").headers["etag"]
    post(exchange, member.report(exchange.service))
    newer = exchange.get("/checkpoint", None, **{"If-None-Match": old})
    assert newer.status_code == 200
    assert newer.headers["etag"] != old


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/../../config.toml",
        "/tile/%2e%2e/%2e%2e/config.toml",
        "/../config.toml",
        "/tile/0/000.p/0",
        "/tile/0/000.p/257",
        "/tile/0/999",
        "/tile/99/000",
        "/bundle/../../keys/log.key",
        "/bundle/000%00",
        "/config.toml",
        "/keys/log.key",
        "/tile",
        "/",
    ],
)
def test_nothing_but_the_logs_files_is_served(exchange: Served, path: str) -> None:
    with socket.create_connection(("127.0.0.1", int(exchange.url.rpartition(":")[2]))) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"origin" not in answer
    assert b"PRIVATE" not in answer


BEARER = ["/v1/events", "/v1/keys", "/v1/stream"]
SIGNED = ["/v1/join", "/v1/credentials"]


@pytest.mark.parametrize("path", BEARER)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer acxt_wrong", "Basic YTpi", "x" * 5000]
)
def test_members_doors_are_shut_to_others(
    exchange: Served, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = exchange.http.get(path, headers=headers)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", SIGNED)
def test_signed_requests_are_verified(exchange: Served, clock: SetClock, path: str) -> None:
    actor = Actor.invited(exchange.exchange, clock, "A", "contributor")
    body = (
        {"key": "k", "request": actor.credential_request} if "cred" in path else actor.join_request
    )
    problem(exchange.http.post(path, content=b"{}"), 401, "bad-signature")
    problem(exchange.signed(actor, path, body, Signature="acx=:AA==:"), 401, "bad-signature")
    for_another_body = sign_request(
        actor.key, method="POST", path=path, body=b"{}", created=int(time.time())
    )
    moved = exchange.http.post(path, json=msgspec.to_builtins(body), headers=for_another_body)
    problem(moved, 401, "bad-signature")
    elsewhere = exchange.http.post("/v1/events", content=b"{}", headers=for_another_body)
    assert elsewhere.status_code == 400


@pytest.mark.parametrize("seconds", [-310, 310])
def test_a_signature_is_good_for_five_minutes(
    exchange: Served, member: Actor, seconds: int
) -> None:
    body = {"key": "k", "request": member.credential_request}
    created = int(time.time()) + seconds
    answer = exchange.signed(member, "/v1/credentials", body, created=created)
    assert "300 s" in problem(answer, 401, "bad-signature")


def test_a_used_invite_is_answered_as_a_problem_of_its_own(
    exchange: Served, member: Actor, clock: SetClock
) -> None:
    thief = Actor(member.invite, clock)
    problem(exchange.signed(thief, "/v1/join", thief.join_request), 409, "invite-used")


def test_a_spent_tag_is_a_conflict(exchange: Served, member: Actor) -> None:
    assert post(exchange, member.report(exchange.service)).status_code == 200
    member.nonce = 0
    problem(post(exchange, member.report(exchange.service)), 409, "tag-spent")


def test_suspension_shuts_every_door_and_ends_the_stream(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    with following(exchange, member) as lines:
        next(lines)
        exchange.exchange.suspend("A")
        assert all(line.startswith((":", "id:", "event:", "data:")) or not line for line in lines)
    problem(exchange.get("/v1/events", member), 403, "suspended")
    key = exchange.service.issuer.current.term.id
    body = {"key": key, "request": member.credential_request}
    problem(exchange.signed(member, "/v1/credentials", body), 403, "suspended")


def test_suspension_ends_a_stream_that_is_never_idle(
    exchange: Served, member: Actor, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    other = exchange.join("B", clock=clock)
    ended = threading.Event()

    def keep_busy() -> None:
        while not ended.is_set():
            post(exchange, other.report(exchange.service))

    busy = threading.Thread(target=keep_busy)
    with following(exchange, member) as lines:
        next(lines)
        busy.start()
        exchange.exchange.suspend("A")
        try:
            for _ in lines:
                pass
        finally:
            ended.set()
            busy.join()


@contextmanager
def following(
    exchange: Served, member: Actor, after: int | None = None, **headers: str
) -> Iterator[Iterator[str]]:
    path = "/v1/stream" if after is None else f"/v1/stream?after={after}"
    headers["Authorization"] = f"Bearer {member.token}"
    with exchange.http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def events(lines: Iterator[str], until: int) -> list[dict[str, Any]]:
    """Events of a stream, up to the checkpoint of so many entries."""
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line and event:
            event["data"] = json.loads(event["data"])
            found.append(event)
            if event["event"] == "checkpoint" and int(event["data"].split("\n")[1]) >= until:
                return found
            event = {}
        elif value:
            event[name] = value
    raise AssertionError("the stream ended early")


def test_a_stream_tells_what_came_and_what_comes_and_then_its_checkpoint(
    exchange: Served, member: Actor
) -> None:
    size = exchange.service.published.size
    with following(exchange, member, after=-1) as lines:
        past = events(lines, size)
        assert [int(event["id"]) for event in past[:-1]] == list(range(size))
        draft = member.report(exchange.service)
        post(exchange, draft)
        entry, checkpoint = events(lines, size + 1)
    assert entry["event"] == "entry"
    assert entry["data"]["event"]["report"] == draft.event.report
    assert int(entry["id"]) == entry["data"]["index"] == size
    open_checkpoint(checkpoint["data"], Verifier.parse(member.invite.log_key))


def test_a_stream_goes_on_where_the_last_event_was(exchange: Served, member: Actor) -> None:
    size = exchange.service.published.size
    with following(exchange, member, after=0, **{"Last-Event-ID": str(size - 3)}) as lines:
        found = events(lines, size)
        ids = [event["id"] for event in found if event["event"] == "entry"]
        assert ids == [str(size - 2), str(size - 1)]
        assert found[-1]["event"] == "checkpoint"


def test_a_stream_begins_at_the_head_and_beats_while_nothing_comes(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    with following(exchange, member) as lines:
        beats = [next(lines) for _ in range(6)]
        assert beats == [":", ""] * 3
        size = exchange.service.published.size
        post(exchange, member.report(exchange.service))
        assert [event.get("id") for event in events(lines, size + 1)] == [str(size), None]


def test_a_slow_reader_holds_nobody_up_and_misses_nothing(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acx.exchange.feed.live.WINDOW_BYTES", 4000)
    size = exchange.service.published.size
    with following(exchange, member, after=size - 1) as slow:
        next(slow)
        for _ in range(30):
            assert post(exchange, member.report(exchange.service)).status_code == 200
        told = [int(event["id"]) for event in events(slow, size + 30) if "id" in event]
    assert told == list(range(size, size + 30))


@pytest.mark.parametrize(
    "query", ["after=x", "after=-2", "after=1.5", "limit=0", "after=" + "9" * 30, "limit=-1"]
)
def test_numbers_are_numbers(exchange: Served, member: Actor, query: str) -> None:
    problem(exchange.get(f"/v1/events?{query}", member), 400, "malformed-request")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/join"), ("DELETE", "/v1/events"), ("POST", "/checkpoint")]
)
def test_other_methods_are_named_as_such(exchange: Served, method: str, path: str) -> None:
    problem(exchange.http.request(method, path), 405, "method-not-allowed")


@pytest.mark.parametrize(
    ("path", "size"), [("/v1/join", 17_000), ("/v1/credentials", 200_000), ("/v1/events", 200_000)]
)
def test_a_body_is_read_no_further_than_its_limit(exchange: Served, path: str, size: int) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(size // 1000):
            yield b" " * 1000

    problem(exchange.http.post(path, content=chunks()), 413, "too-large")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"event":1}', b"[" * 100_000, b"\xff" * 10, b'{"a":' * 20_000]
)
@pytest.mark.parametrize("path", ["/v1/events", "/v1/credentials", "/v1/join"])
def test_a_hostile_body_is_a_problem_and_never_an_error_of_ours(
    exchange: Served, member: Actor, path: str, body: bytes
) -> None:
    answer = exchange.signed(member, path, body=body or b" ")
    assert answer.status_code in {400, 413}, answer.text


@pytest.mark.parametrize("where", ["one header", "many headers", "an endless header", "the path"])
def test_headers_are_bounded(exchange: Served, where: str) -> None:
    filler = {
        "one header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000,
        "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000,
        "an endless header": b"GET / HTTP/1.1\r\n" + b"a" * 100_000,
        "the path": b"GET /" + b"a" * 100_000,
    }[where]
    with socket.create_connection(("127.0.0.1", int(exchange.url.rpartition(":")[2]))) as raw:
        raw.settimeout(30)
        answer = b""
        try:
            raw.sendall(filler)
            answer = raw.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert exchange.get("/healthz").status_code == 200


def test_a_request_that_takes_for_ever_is_given_up(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.1)
    address = ("127.0.0.1", int(exchange.url.rpartition(":")[2]))
    post_line = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    for begun in (b"", b"GET / HTTP/1.1\r\nHos", post_line):
        with socket.create_connection(address) as raw:
            raw.settimeout(30)
            raw.sendall(begun)
            try:
                rest = raw.recv(65536)
            except ConnectionResetError:
                rest = b""
            assert rest == b"" or b"400" in rest


def test_who_asks_too_often_is_told_when_to_come_again(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = Allowance(Rate(per_second=0.001, burst=2))
    monkeypatch.setattr(_Api, "_member", _limited(_Api._member, spent))
    answers = [exchange.get("/v1/keys", member) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[-1], 429, "rate-limited")
    assert int(answers[-1].headers["retry-after"]) > 0


def _limited(real: Any, allowance: Allowance) -> Any:
    async def member(self: _Api, request: Any) -> Any:
        self._reads = allowance
        return await real(self, request)

    return member


def test_an_allowance_fills_again_and_is_each_callers_own() -> None:
    now = 0.0
    allowance = Allowance(Rate(per_second=2, burst=3), clock=lambda: now)
    for _ in range(3):
        allowance.spend("a")
    with pytest.raises(errors.RateLimited):
        allowance.spend("a")
    allowance.spend("b")
    now = 1.0
    allowance.spend("a")
    allowance.spend("a")
    with pytest.raises(errors.RateLimited):
        allowance.spend("a")


def test_an_allowance_remembers_so_many_callers_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_CALLERS", 10)
    allowance = Allowance(Rate(per_second=1, burst=1), clock=lambda: 0.0)
    for caller in range(1000):
        allowance.spend(str(caller))
    assert len(allowance._buckets) == 10


def test_a_full_disk_makes_the_exchange_unready_and_loses_nothing(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sequencer, "STUCK_SECONDS", 0.0)
    draft = member.report(exchange.service)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    real = durable.write_all_durably
    monkeypatch.setattr(publisher, "write_all_durably", full)
    assert "No space left" in problem(post(exchange, draft), 503, "unavailable")
    answer = exchange.get("/readyz")
    problem(answer, 503, "unavailable")
    assert "retry-after" in answer.headers
    assert exchange.get("/healthz").text == "ok\n"
    assert exchange.get("/v1/events", member).status_code == 200
    monkeypatch.setattr(publisher, "write_all_durably", real)
    while (answer := post(exchange, draft)).status_code == 503:
        time.sleep(0.01)
    assert answer.status_code == 200
    while exchange.get("/readyz").status_code != 200:
        time.sleep(0.01)


def test_an_error_of_our_own_is_told_without_its_words(
    exchange: Served, member: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(exchange.service, "keys", broken)
    detail = problem(exchange.get("/v1/keys", member), 500, "internal")
    assert "secret" not in detail


def test_figures_are_kept_apart_and_tell_nobody_from_another(
    exchange: Served, member: Actor
) -> None:
    post(exchange, member.report(exchange.service))
    assert exchange.get("/metrics").status_code == 404
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listening.close()
    exchange.metrics.serve("127.0.0.1", port)
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert f"acx_log_size {exchange.service.published.size}" in text
    assert "acx_ready 1.0" in text
    assert 'acx_requests_total{route="/v1/events",status="200"} 1.0' in text
    assert member.token not in text
    with pytest.raises(HomeError, match="metrics port"):
        exchange.metrics.serve("127.0.0.1", port)


def test_logs_are_json_and_hold_nothing_of_the_caller(
    exchange: Served, member: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        draft = member.report(exchange.service)
        post(exchange, draft)
        exchange.get("/v1/events", member)
        exchange.signed(member, "/v1/credentials", {"key": "nonsense", "request": ""})
    text = "\n".join(
        JsonLines().format(record) for record in caplog.records if record.name[:3] != "htt"
    )
    for line in filter(None, text.splitlines()):
        assert json.loads(line)["level"]
    for personal in (member.token, member.public, "127.0.0.1:", draft.event.id, "Jo Doe"):
        assert personal not in text


def test_every_refusal_has_a_problem_of_its_own() -> None:
    refusals = [errors.Unavailable("x"), *(kind("x") for kind in subclasses(errors.Refused))]
    types = {type(error): problem_type(error) for error in refusals}
    assert all(problem.status < 500 or problem.name == "unavailable" for problem in types.values())
    assert len({problem.name for problem in PROBLEMS.values()}) == len(PROBLEMS)


def subclasses(kind: type[AcxError]) -> list[type[AcxError]]:
    found = []
    for child in kind.__subclasses__():
        found += [child, *subclasses(child)]
    return found


def test_the_openapi_document_describes_every_route(exchange: Served) -> None:
    document = exchange.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), path.replace("{path}", "x").replace("{id}", "x"))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert {
        ("POST", "/v1/join"),
        ("POST", "/v1/credentials"),
        ("POST", "/v1/events"),
        ("GET", "/v1/events"),
        ("GET", "/v1/keys"),
        ("GET", "/v1/stream"),
        ("GET", "/checkpoint"),
        ("GET", "/tile/x"),
        ("GET", "/bundle/x"),
        ("GET", "/v1/webhooks"),
        ("POST", "/v1/webhooks/x/replay"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    } <= described
    for method, path in described:
        assert exchange.http.request(method, path).status_code != 405
    schemas = document["components"]["schemas"]
    assert set(schemas["JoinRequest"]["required"]) == {
        "invite_id",
        "secret",
        "member_key",
        "terms",
    }
    references = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {reference.partition('"')[0] for reference in references} <= set(schemas)


def test_a_port_in_use_is_told_with_what_to_do(exchange: Served, home: Path) -> None:
    port = int(exchange.url.rpartition(":")[2])
    with pytest.raises(CannotListen, match="choose another --port"):
        listen("127.0.0.1", port)
    for host in ("no.such.host.invalid", "203.0.113.1"):
        with pytest.raises(CannotListen, match="cannot be listened on"):
            listen(host, 0)


def test_a_second_server_of_one_exchange_is_refused(exchange: Served, home: Path) -> None:
    with Exchange.open(home) as other, pytest.raises(LeadError, match="stop it first"):
        other.lead()


def test_a_key_of_nobody_is_told_to_join(exchange: Served, clock: SetClock) -> None:
    actor = Actor.invited(exchange.exchange, clock, "A", "contributor")
    actor.key = Ed25519PrivateKey.generate()
    answer = exchange.signed(actor, "/v1/credentials", {"key": "k", "request": ""})
    assert "join first" in problem(answer, 401, "unauthenticated")


def test_the_protocol_page_names_every_problem() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text()
    for kind in PROBLEMS.values():
        assert f"| `{kind.name}` | {kind.status} | {kind.title} |" in page
