"""Webhooks, as receivers of all kinds meet them."""

from __future__ import annotations

import base64
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook as Reference
from standardwebhooks.webhooks import WebhookVerificationError
from tests.exchange.acting import Actor, SetClock
from tests.relay.relaying import certificate
from tests.web.serving import Served, served

from acx.exchange.admission.members import Member
from acx.exchange.errors import MalformedRequest
from acx.exchange.sequencer.outbox import Planned, plan
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.storage.ledger import load_head
from acx.exchange.webhooks import dispatcher, endpoints, target
from acx.exchange.webhooks.dispatcher import Dispatcher
from acx.exchange.webhooks.endpoints import NewWebhook, Replay, WebhookWithSecret
from acx.exchange.webhooks.service import WebhookService
from acx.records.event import Act

LOOPBACK = ("127.0.0.0/8", "::1/128")

Join = Callable[..., Actor]
Behaviour = Callable[["Receiver", BaseHTTPRequestHandler], None]

on_one_database = pytest.mark.parametrize("founded", ["sqlite"], indirect=True)


@dataclass
class Receiver:
    """Somebody's endpoint, over a real socket."""

    url: str = ""
    answers: int = 200
    behaviour: Behaviour | None = None
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def taken(self) -> list[int]:
        """Indices of all entries that were taken, in the order in which they came."""
        return [
            entry["index"]
            for _, body in self.posts
            for entry in json.loads(body)["data"].get("entries", ())
        ]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if receiver.behaviour is not None:
                receiver.behaviour(receiver, self)
                return
            if receiver.answers == 200:
                receiver.posts.append((dict(self.headers), body))
            self.send_response(receiver.answers)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook?a=b"
        yield receiver
        server.shutdown()
        thread.join()


@pytest.fixture
def home(home: Path) -> Path:
    """An exchange whose operator allows webhooks to this machine."""
    config = home / "config.toml"
    networks = f"webhook_networks = {json.dumps(LOOPBACK)}"
    config.write_text(config.read_text().replace("webhook_networks = []", networks))
    assert networks in config.read_text()
    return home


@pytest.fixture
def clock() -> SetClock:
    """Receivers hold the time of a post against their own clock."""
    return SetClock(datetime.now(UTC))


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is posted but when a test says so."""
    monkeypatch.setattr(Dispatcher, "start", lambda _: None)


@dataclass
class Hooks:
    """A member's webhooks, and a dispatcher that posts when it is told to."""

    exchange: Exchange
    service: Service
    clock: SetClock
    member: Member
    actor: Actor

    @property
    def webhooks(self) -> WebhookService:
        return self.service.webhooks

    def create(self, receiver: Receiver, after: int = -1) -> WebhookWithSecret:
        return self.webhooks.create(self.member, NewWebhook(url=receiver.url, after=after))

    def post(self) -> None:
        self.webhooks.dispatcher.settle()

    def state(self) -> Any:
        (found,) = self.webhooks.list(self.member).webhooks
        return found

    def grow(self, count: int) -> int:
        with self.exchange._deciding() as connection:
            size = load_head(connection).size + count
            plan(connection, *[Planned("act", Act(act="configured", code="tried"))] * count)
        self.service.sequencer.wake()
        while self.service.live.newest.size < size:
            time.sleep(0.005)
        return size


@pytest.fixture
def hooks(
    by_hand: None, exchange: Exchange, service: Service, join: Join, clock: SetClock
) -> Hooks:
    actor = join("A")
    made = Hooks(exchange, service, clock, service.member(actor.token), actor)
    made.grow(0)
    return made


def test_the_reference_library_verifies_what_comes_and_all_of_it_comes_in_order(
    hooks: Hooks, receiver: Receiver
) -> None:
    made = hooks.create(receiver)
    size = hooks.grow(250)
    hooks.post()
    assert receiver.taken == list(range(size))
    assert len(receiver.posts) > 2
    reference = Reference(made.secret)
    for headers, body in receiver.posts:
        message = reference.verify(body, headers)
        assert message["type"] == "log.entries"
        with pytest.raises(WebhookVerificationError):
            reference.verify(body + b" ", headers)
    ids = [headers["webhook-id"] for headers, _ in receiver.posts]
    assert len(set(ids)) == len(ids)
    page = [json.loads(entry) for _, entry in hooks.service.entries(-1, 1000).entries]
    posted = [e for _, body in receiver.posts for e in json.loads(body)["data"]["entries"]]
    assert posted == page


@on_one_database
@pytest.mark.parametrize("how", ["refuses", "fails", "is silent"])
def test_an_endpoint_that_is_down_for_an_hour_gets_everything_in_order_afterwards(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    url = receiver.url
    hooks.create(receiver, after=hooks.service.live.newest.size - 1)
    start = hooks.service.live.newest.size
    if how == "refuses":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            receiver.url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with hooks.webhooks._database.write() as connection:
            connection.execute(text("UPDATE webhooks SET url = :u"), {"u": receiver.url})
    elif how == "fails":
        receiver.answers = 500
    else:
        monkeypatch.setattr(target, "ANSWER_SECONDS", 0.05)
        receiver.behaviour = lambda *_: time.sleep(0.2)
    attempts = 0
    for minute in range(60):
        if minute % 5 == 0:
            size = hooks.grow(3)
        hooks.post()
        state = hooks.state()
        assert state.attempts >= attempts
        attempts = state.attempts
        hooks.clock.pass_(minutes=1)
    assert state.status == "active"
    assert state.problem
    # Later and later: not once a minute, and not longer apart than ten.
    assert 9 <= attempts <= 25
    receiver.answers, receiver.behaviour = 200, None
    with hooks.webhooks._database.write() as connection:
        connection.execute(text("UPDATE webhooks SET url = :u"), {"u": url})
    monkeypatch.setattr(target, "ANSWER_SECONDS", 15)
    hooks.clock.pass_(seconds=dispatcher.LONGEST_PAUSE_SECONDS)
    hooks.post()
    assert receiver.taken == list(range(start, size))
    state = hooks.state()
    assert (state.attempts, state.problem, state.after) == (0, "", size - 1)


@on_one_database
def test_what_is_tried_again_has_the_same_id_and_the_same_entries(
    hooks: Hooks, receiver: Receiver
) -> None:
    hooks.create(receiver, after=hooks.grow(3) - 4)
    tried: list[tuple[str, bytes]] = []

    def lose_the_answer(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        tried.append((request.headers["webhook-id"], b""))

    receiver.behaviour = lose_the_answer
    hooks.post()
    hooks.grow(5)
    receiver.behaviour = None
    hooks.clock.pass_(minutes=1)
    hooks.post()
    (again, _), (new, _) = receiver.posts
    assert [again["webhook-id"]] == [name for name, _ in tried]
    assert new["webhook-id"] != again["webhook-id"]
    assert len(json.loads(receiver.posts[0][1])["data"]["entries"]) == 3


@on_one_database
def test_both_secrets_are_good_for_a_day_after_a_rotation(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = hooks.create(receiver)
    hooks.post()
    new = hooks.webhooks.rotate(hooks.member, old.id)
    assert new.secret != old.secret
    for good in ([old.secret, new.secret], [new.secret]):
        hooks.grow(1)
        hooks.post()
        headers, body = receiver.posts[-1]
        for secret in good:
            Reference(secret).verify(body, headers)
        hooks.clock.pass_(hours=endpoints.OLD_SECRET_HOURS, minutes=1)
        # The library holds the time against its own clock.
        monkeypatch.setattr(Reference, "_Webhook__verify_timestamp", _any_time)
    with pytest.raises(WebhookVerificationError):
        Reference(old.secret).verify(body, headers)


def _any_time(_: Reference, header: str) -> Any:
    return datetime.fromtimestamp(float(header), UTC)


@on_one_database
@pytest.mark.parametrize("how", ["gone", "three days"])
def test_what_is_given_up_waits_for_a_replay_and_goes_on_where_it_stopped(
    hooks: Hooks, receiver: Receiver, how: str
) -> None:
    made = hooks.create(receiver)
    receiver.answers = 410 if how == "gone" else 503
    hooks.post()
    while hooks.state().status == "active":
        hooks.clock.pass_(hours=7)
        hooks.post()
    receiver.answers = 200
    hooks.clock.pass_(hours=100)
    hooks.post()
    assert not receiver.posts
    size = hooks.service.live.newest.size
    assert hooks.webhooks.replay(hooks.member, made.id, Replay()).status == "active"
    hooks.post()
    assert receiver.taken == list(range(size))
    hooks.webhooks.replay(hooks.member, made.id, Replay(after=size - 3))
    hooks.post()
    assert receiver.taken == [*range(size), size - 2, size - 1]


@on_one_database
def test_a_replay_while_a_post_is_under_way_is_not_undone_by_it(
    hooks: Hooks, receiver: Receiver
) -> None:
    made = hooks.create(receiver)
    size = hooks.service.live.newest.size

    def replay(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        hooks.webhooks.replay(hooks.member, made.id, Replay(after=size - 2))
        receiver.behaviour = None
        request.send_response(200)
        request.end_headers()

    receiver.behaviour = replay
    hooks.post()
    assert receiver.taken == [size - 1]


@on_one_database
def test_an_endpoint_that_is_dead_holds_up_no_other(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "ANSWER_SECONDS", 0.3)
    with receiving() as dead:
        dead.behaviour = lambda *_: time.sleep(1)
        hooks.create(dead)
        hooks.create(receiver)
        size = hooks.grow(1)
        hooks.post()
        assert receiver.taken == list(range(size))


@on_one_database
def test_what_was_erased_is_not_posted_afterwards_and_lies_nowhere(
    hooks: Hooks, receiver: Receiver
) -> None:
    receiver.answers = 500
    draft = hooks.actor.report(hooks.service)
    index = draft.post(hooks.service).index
    hooks.create(receiver, after=index - 1)
    hooks.post()
    erased = hooks.exchange.erase(draft.event.report, "data_subject", "ann")
    hooks.exchange.approve(erased, "bob")
    receiver.answers = 200
    hooks.clock.pass_(minutes=20)
    hooks.grow(0)
    hooks.post()
    first, *_ = json.loads(receiver.posts[0][1])["data"]["entries"]
    assert set(first) == {"index", "entry"}
    assert first["index"] == index


@on_one_database
def test_a_suspended_member_is_posted_nothing(hooks: Hooks, receiver: Receiver) -> None:
    hooks.create(receiver)
    hooks.exchange.suspend("A")
    hooks.post()
    assert not receiver.posts
    hooks.exchange.reinstate("A")
    hooks.grow(0)
    hooks.post()
    assert receiver.posts


@on_one_database
def test_nobody_is_followed_elsewhere(hooks: Hooks, receiver: Receiver) -> None:
    with receiving() as elsewhere:

        def redirect(_: Receiver, request: BaseHTTPRequestHandler) -> None:
            request.send_response(307)
            request.send_header("Location", elsewhere.url)
            request.end_headers()

        receiver.behaviour = redirect
        made = hooks.create(receiver)
        hooks.post()
        tested = hooks.webhooks.test(hooks.member, made.id)
        assert not elsewhere.posts
    assert "redirects are not followed" in hooks.state().problem
    assert (tested.status, "redirects" in tested.problem) == (307, True)


@on_one_database
def test_a_target_that_takes_its_time_is_left(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "ANSWER_SECONDS", 0.2)
    released = threading.Event()

    def trickle(_: Receiver, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not released.wait(0.02):
            try:
                request.wfile.write(b"X-More: and more\r\n")
            except OSError:
                return

    receiver.behaviour = trickle
    made = hooks.create(receiver)
    started = time.monotonic()
    hooks.post()
    assert "did not answer within" in hooks.state().problem
    assert "did not answer within" in hooks.webhooks.test(hooks.member, made.id).problem
    released.set()
    assert time.monotonic() - started < 60


@contextmanager
def speaking_tls(context: ssl.SSLContext, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[str]:
    """A server that shakes hands, and then does as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            opened, _ = listening.accept()
            with suppress(OSError), context.wrap_socket(opened, server_side=True) as secured:
                answer(secured)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


def test_over_tls_the_certificate_is_checked_and_the_time_limited(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate(directory)
    allowed = (ipaddress.ip_network("127.0.0.0/8"),)

    def take(secured: ssl.SSLSocket) -> None:
        secured.recv(65536)
        secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def trickle(secured: ssl.SSLSocket) -> None:
        secured.sendall(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            while True:
                secured.sendall(b"X-More: and more\r\n")
                time.sleep(0.02)

    with speaking_tls(context, take) as url:
        assert "certificate is not good" in target.post(url, b"{}", {}, allowed).problem
    trusting = ssl.create_default_context(cafile=authority)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    with speaking_tls(context, take) as url:
        assert target.post(url, b"{}", {}, allowed) == target.Answer(204)
    monkeypatch.setattr(target, "ANSWER_SECONDS", 0.5)
    with speaking_tls(context, trickle) as url:
        assert "did not answer within" in target.post(url, b"{}", {}, allowed).problem


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "0.1.2.3",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "ff02::1",
    "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:53aa:64c::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_nobodys_business_are_not_asked(address: str) -> None:
    assert not target.is_allowed(ipaddress.ip_address(address), ())
    answer = target.post(f"https://[{address}]/" if ":" in address else f"https://{address}/",
                         b"{}", {}, ())  # fmt: skip
    assert answer == target.Answer(0, "its address is not a public one")
    shown = f"[{address}]" if ":" in address else address
    with pytest.raises(MalformedRequest):
        target.checked_url(f"https://{shown}/", ())


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1"])
def test_public_addresses_are(address: str) -> None:
    assert target.is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "017700000001", "localhost", "127.1"])
def test_other_writings_of_this_machine_are_not_asked(host: str) -> None:
    assert target.post(f"https://{host}/", b"{}", {}, ()).status == 0


def test_a_name_that_changes_its_address_leads_nowhere_else(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked: list[str] = []

    def rebinding(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        """Public when it is checked; this machine from then on."""
        asked.append(host)
        address = "192.0.2.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    documentation = (ipaddress.ip_network("192.0.2.0/24"),)
    monkeypatch.setattr(target, "ANSWER_SECONDS", 0.3)
    answer = target.post(f"http://rebind.example:{port}/", b"{}", {}, documentation)
    # What was checked is what is connected to: nobody is asked for the name again.
    assert answer.status == 0
    assert asked == ["rebind.example"]
    assert not receiver.posts


def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def both(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("93.184.216.34", "10.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert "not a public one" in target.post("https://both.example/", b"{}", {}, ()).problem


@pytest.mark.parametrize(
    "url",
    [
        "", "http://example.com/", "ftp://example.com/", "https://", "https:///x", "example.com",
        "https://user:pass@example.com/", "https://example.com/#f", "https://example.com:0/",
        "https://example.com:99999/", "https://exa mple.com/", "https://example.com/\n",
        "https://[::1/", "https://" + "a" * 1024, "https://ex\xe1mple.com/",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_target_is_refused(url: str) -> None:
    with pytest.raises(MalformedRequest):
        target.checked_url(url, ())


@on_one_database
def test_secrets_are_in_no_file_of_the_database(hooks: Hooks, receiver: Receiver) -> None:
    made = hooks.create(receiver)
    secret = base64.b64decode(made.secret.removeprefix("whsec_"))
    hooks.webhooks.rotate(hooks.member, made.id)
    for file in hooks.exchange.home.path.glob("exchange.sqlite*"):
        assert secret not in file.read_bytes()
        assert made.secret.encode() not in file.read_bytes()


# Over HTTP


@on_one_database
def test_a_webhook_from_its_making_to_its_end_over_http(
    exchange: Exchange, clock: SetClock, receiver: Receiver, cleanup: ExitStack
) -> None:
    api = cleanup.enter_context(served(exchange))
    member, other = (api.join(name, clock=clock) for name in "AB")
    made = ask(api, member, "POST", "", {"url": receiver.url})
    assert made["secret"].startswith("whsec_")
    assert "secret" not in ask(api, member, "GET", "")["webhooks"][0]
    assert ask(api, other, "GET", "") == {"webhooks": []}
    assert ask(api, member, "POST", f"/{made['id']}/test") == {"status": 200, "problem": ""}
    draft = member.report(api.service)
    index = draft.post(api.service).index
    while index not in receiver.taken:
        time.sleep(0.01)
    posted = {"outcome": "taken"}
    while not api.metrics.registry.get_sample_value("acx_webhook_posts_total", posted):
        time.sleep(0.01)
    assert Reference(made["secret"]).verify(receiver.posts[0][1], receiver.posts[0][0])
    replayed = ask(api, member, "POST", f"/{made['id']}/replay", {"after": index - 1})
    assert replayed["after"] == index - 1
    rotated = ask(api, member, "POST", f"/{made['id']}/rotate")
    assert rotated["secret"] != made["secret"]
    for path, method in (
        ("", "DELETE"),
        ("/test", "POST"),
        ("/rotate", "POST"),
        ("/replay", "POST"),
    ):
        answer = api.http.request(method, f"/v1/webhooks/{made['id']}{path}", headers=bearer(other))
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("/unknown-webhook")
    answer = api.http.delete(f"/v1/webhooks/{made['id']}", headers=bearer(member))
    assert (answer.status_code, answer.content) == (204, b"")
    assert ask(api, member, "GET", "") == {"webhooks": []}
    for _ in range(endpoints.MAX_WEBHOOKS):
        ask(api, member, "POST", "", {"url": receiver.url})
    for body, status in (({"url": receiver.url}, 409), ({"url": "x"}, 400), ({"after": 1}, 400)):
        answer = api.http.post("/v1/webhooks", json=body, headers=bearer(member))
        assert answer.status_code == status, answer.text
    assert api.http.post("/v1/webhooks", json={}).status_code == 401


def ask(api: Served, member: Actor, method: str, path: str, body: object = None) -> Any:
    answer = api.http.request(method, f"/v1/webhooks{path}", json=body, headers=bearer(member))
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(member: Actor) -> dict[str, str]:
    return {"Authorization": f"Bearer {member.token}"}
