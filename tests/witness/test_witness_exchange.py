"""An exchange has its log cosigned, waits for no witness, and stops for one that knows better."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.exchange.founding import fast_directory
from tests.witness.witnessing import eventually, serving, witnessing

from acx.exchange.errors import GovernanceError, LogBehind, Unavailable
from acx.exchange.governance import decisions
from acx.exchange.home import Home
from acx.exchange.sequencer import sequencer
from acx.exchange.service import Exchange
from acx.exchange.serving import Service
from acx.exchange.witnessing.policy import add_witness, remove_witness
from acx.log.checkpoint import read_checkpoint
from acx.log.cosignature import Cosigner
from acx.log.note import Verifier
from acx.log.policy import parse_policy
from acx.records.invite import parse_invite
from acx.witness.witness import Witness


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as path:
        yield path


@pytest.fixture
def home(directory: Path) -> Path:
    with Exchange.init(directory / "home", origin="acx.example/log"):
        pass
    return directory / "home"


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def configured(home: Path, *witnesses: tuple[Witness, str], quorum: int | None = None) -> None:
    with Exchange.open(home) as exchange:
        for number, (witness, url) in enumerate(witnesses):
            last = number == len(witnesses) - 1
            exchange.add_witness(f"w{number}", witness.key.vkey, url, quorum if last else None)


@contextmanager
def leading(home: Path) -> Iterator[tuple[Exchange, Service]]:
    with Exchange.open(home) as exchange, exchange.lead() as service:
        yield exchange, service


def log_key(home: Path) -> Verifier:
    with Exchange.open(home) as exchange:
        return Verifier.parse(exchange.log_key)


def grow(exchange: Exchange, service: Service, name: str) -> None:
    """Append an entry, and see it published."""
    size = service.published.size
    exchange.invite(name)
    eventually(lambda: service.published.size > size)


def all_cosigned(service: Service) -> bool:
    return service.cosigned.size == service.published.size


def test_what_is_published_is_cosigned_and_published_again(
    home: Path, directory: Path, cleanup: ExitStack
) -> None:
    key = log_key(home)
    serving_ = [
        cleanup.enter_context(witnessing(directory / f"w{number}", key)) for number in range(2)
    ]
    configured(home, *serving_)
    with leading(home) as (exchange, service):
        policy = parse_policy(parse_invite(exchange.invite("somebody")).witnesses)
        assert set(policy.witnesses) == {"w0", "w1"}
        for name in ("A", "B"):
            grow(exchange, service, name)
            eventually(lambda: all_cosigned(service))
            assert policy.open(service.cosigned.note, key).root == service.published.root
        kept = (home / "public" / "cosigned").read_text()
        assert policy.satisfied(kept)
    # Started anew, it has what was cosigned, and goes on.
    with leading(home) as (exchange, service):
        assert service.cosigned.size == read_checkpoint(kept).size
        grow(exchange, service, "C")
        eventually(lambda: all_cosigned(service))


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Somebody who always answers the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 -- the standard library's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- likewise
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_witness_that_hangs_or_lies_holds_up_neither_events_nor_the_others(
    home: Path, directory: Path, cleanup: ExitStack
) -> None:
    key = log_key(home)
    silent = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
    good = cleanup.enter_context(witnessing(directory / "good", key))
    others = [
        cleanup.enter_context(Witness.open(directory / name))
        for name in ("silent", "liar", "other")
    ]
    urls = [
        f"http://127.0.0.1:{silent.getsockname()[1]}",
        cleanup.enter_context(answering(200, b"\xe2\x80\x94 x AAAAAAAAAAAA\n")),
        cleanup.enter_context(answering(409, b"not a size" * 100_000)),
    ]
    text = ""
    for number, (witness, url) in enumerate([good, *zip(others, urls, strict=True)]):
        text = add_witness(text, f"w{number}", witness.key.vkey, url, 1)
    Home(home).change_settings(witnesses=text)
    with leading(home) as (exchange, service):
        for name in ("A", "B"):
            grow(exchange, service, name)
            eventually(lambda: all_cosigned(service))
        cosignatures = parse_policy(text).cosignatures(service.cosigned.note)
        assert [name for name, _ in cosignatures] == ["w0"]


def test_a_witness_that_was_down_cosigns_once_it_is_back(home: Path, directory: Path) -> None:
    with Witness.open(directory / "w") as witness:
        witness.add_log(log_key(home))
        with serving(witness) as url:
            configured(home, (witness, url))
        with leading(home) as (exchange, service):
            grow(exchange, service, "A")
            assert service.ready
            assert service.cosigned.size == 0
    # Where it answers is where the policy says.
    with witnessing(directory / "w") as (witness, url):
        with Exchange.open(home) as exchange:
            exchange.add_witness("w0", witness.key.vkey, url)
        with leading(home) as (exchange, service):
            eventually(lambda: all_cosigned(service))


def test_an_exchange_from_an_old_copy_is_stopped_by_its_witness(
    home: Path, directory: Path
) -> None:
    with witnessing(directory / "w", log_key(home)) as serving_:
        configured(home, serving_)
        shutil.copytree(home, directory / "old")
        with leading(home) as (exchange, service):
            grow(exchange, service, "A")
            eventually(lambda: all_cosigned(service))
        with pytest.raises(LogBehind, match="recover"), leading(directory / "old"):
            pass
        # Nor is it forgotten when the witness cannot be asked.
    with pytest.raises(LogBehind, match="recover"), leading(directory / "old"):
        pass


def test_a_fork_that_grew_in_secret_is_stopped_by_its_witness(home: Path, directory: Path) -> None:
    with witnessing(directory / "w", log_key(home)) as serving_:
        shutil.copytree(home, directory / "fork")
        configured(home, serving_)
        with leading(home) as (exchange, service):
            eventually(lambda: all_cosigned(service))
        with leading(directory / "fork") as (exchange, service):
            for name in ("X", "Y", "Z"):
                grow(exchange, service, name)
        config = (home / "config.toml").read_text()
        (directory / "fork" / "config.toml").write_text(config)
        with pytest.raises(LogBehind, match="forked"), leading(directory / "fork"):
            pass


def test_a_fork_beside_the_log_is_never_cosigned_and_stops_itself(
    home: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "STUCK_SECONDS", 0.0)
    monkeypatch.setattr(decisions, "SETTLE_SECONDS", 1.0)
    with witnessing(directory / "w", log_key(home)) as serving_:
        configured(home, serving_)
        shutil.copytree(home, directory / "fork")
        with leading(home) as (exchange, service), leading(directory / "fork") as (other, forked):
            eventually(lambda: all_cosigned(service) and all_cosigned(forked))
            for name in ("A", "B", "C"):
                grow(exchange, service, name)
            eventually(lambda: all_cosigned(service))
            common = forked.cosigned.size
            # The fork appends, asks for it, and learns that something else was signed.
            other.invite("X")
            eventually(lambda: forked.published.size > common)
            eventually(lambda: forked.sequencer.publisher.largest_signed > forked.published.size)
            with pytest.raises(Unavailable):
                other.invite("Y")
            eventually(lambda: not forked.ready)
            assert forked.cosigned.size == common


KEY = Cosigner.generate("w.example").verifier.vkey


def test_the_policy_asks_for_more_than_half_unless_told_otherwise() -> None:
    text, sizes = "", []
    for name in "abcde":
        vkey = Cosigner.generate(name).verifier.vkey
        text = add_witness(text, name, vkey, f"https://{name}.example", None)
        sizes.append(parse_policy(text).groups["witnesses"].threshold)
    assert sizes == [1, 2, 2, 3, 3]
    text = remove_witness(text, "a", 4)
    assert parse_policy(text).groups["witnesses"].threshold == 4
    for name in "bcde":
        text = remove_witness(text, name, None)
    assert text == ""


@pytest.mark.parametrize(
    ("name", "vkey", "url", "quorum", "message"),
    [
        ("none", KEY, "http://x", None, "no witness's name"),
        ("a b", KEY, "http://x", None, "no witness's name"),
        ("a", "nonsense", "http://x", None, "the key of a"),
        ("a", KEY, "ftp://x", None, "no URL of a witness"),
        ("a", KEY, "http://x", 2, "--quorum 2 where there are 1"),
        ("b", KEY, "http://x", None, "same witness key"),
    ],
    ids=range(6),
)
def test_a_witness_that_cannot_be_is_told(
    name: str, vkey: str, url: str, quorum: int | None, message: str
) -> None:
    text = add_witness("", "z", KEY, "http://z", None) if name == "b" else ""
    with pytest.raises(GovernanceError, match=message):
        add_witness(text, name, vkey, url, quorum)


def test_a_policy_written_by_hand_stays_as_it_is() -> None:
    text = f"witness a {KEY}\nquorum a\n"
    with pytest.raises(GovernanceError, match="by hand"):
        add_witness(text, "b", KEY, "http://x", None)
    with pytest.raises(GovernanceError, match="no witness 'b'"):
        remove_witness("", "b", None)


def test_relays_are_named_in_invites_and_what_is_none_is_told(home: Path) -> None:
    with Exchange.open(home) as exchange:
        exchange.add_relay("http://relay.example:8442")
        assert parse_invite(exchange.invite("A")).relays == ("http://relay.example:8442",)
        for url in ("http://relay.example:8442", "https://relay.example", "relay", "http://a/b"):
            with pytest.raises(GovernanceError):
                exchange.add_relay(url)
        exchange.remove_relay("http://relay.example:8442")
        with pytest.raises(GovernanceError, match="no relay that is named"):
            exchange.remove_relay("http://relay.example:8442")
        assert parse_invite(exchange.invite("B")).relays == ()
