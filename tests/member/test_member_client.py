"""Every way an exchange can fail is one line, in bounded time and memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import LyingExchange, Problem

from acx.errors import AcxError
from acx.member import client as client_module
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, Refused, SettingError, Unreachable
from acx.member.poster import Poster

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def silent(handler: Any) -> None:
    """Say nothing, until the other side has gone."""
    handler.connection.settimeout(5)
    handler.connection.recv(1)


def cut_short(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")


def not_http(handler: Any) -> None:
    handler.wfile.write(b"220 mail ready\r\n")


def endless(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        for _ in range(1000):
            handler.wfile.write(b" " * 65536)
    except OSError:
        pass


def trickle(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        pass


def bomb(handler: Any) -> None:
    import gzip

    packed = gzip.compress(b" " * (8 << 20))
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    )
    handler.wfile.write(packed)


def damaged_gzip(handler: Any) -> None:
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"
    )


def redirect(handler: Any) -> None:
    handler.wfile.write(
        b"HTTP/1.1 307 Moved\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("lie", "error", "message"),
    [
        (lambda _: silent, Unreachable, "did not answer in time"),
        (lambda _: cut_short, Unreachable, "broke the connection"),
        (lambda _: not_http, Unreachable, "broke the connection"),
        (lambda _: endless, BadAnswer, "more than"),
        (lambda _: trickle, Unreachable, "too slow"),
        (lambda _: bomb, BadAnswer, "more than"),
        (lambda _: damaged_gzip, BadAnswer, "decompress"),
        (lambda _: redirect, BadAnswer, "points elsewhere"),
        (lambda _: b"", BadAnswer, "not what the protocol says"),
        (lambda _: b"[" * 100_000, BadAnswer, "not what the protocol says"),
        (lambda _: b'{"key": 5}', BadAnswer, "not what the protocol says"),
        (
            lambda _: Problem(503, "busy", "Busy", "try in a minute"),
            Refused,
            "Busy: try in a minute",
        ),
    ],
)
def test_every_failure_is_one_line(
    lie: Callable[[Any], Any],
    error: type[AcxError],
    message: str,
    exchange: LyingExchange,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGE_ANSWER", 1 << 20)
    monkeypatch.setattr(client_module, "SLOWEST", 2)
    exchange.answers["/v1/events"] = lie
    client = ExchangeClient(url, member_key=KEY, timeout=0.5)
    with pytest.raises(error, match=message) as refused:
        client.events(-1)
    client.close()
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 1


def test_what_a_stranger_wrote_is_made_fit_for_a_terminal(
    exchange: LyingExchange, url: str
) -> None:
    exchange.answers["/v1/events"] = lambda _: Problem(
        400, "x", "\x1b[31mred\nsecond line", "y" * 100_000
    )
    with pytest.raises(Refused) as refused:
        ExchangeClient(url, member_key=KEY).events(-1)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "address", ["ftp://x", "http://", "no address", "http://[::1", "http://a b", "https://\x00"]
)
def test_an_address_that_cannot_be_is_one_line(address: str) -> None:
    with pytest.raises((SettingError, Unreachable)) as refused:
        ExchangeClient(address, timeout=1.0).checkpoint()
    assert "\n" not in str(refused.value)


def test_a_proxy_that_cannot_be_is_one_line() -> None:
    with pytest.raises(SettingError, match="no address acx can use"):
        ExchangeClient("http://127.0.0.1", proxy="gopher://x")


def test_a_request_that_never_left_is_told_from_one_that_may_have_arrived(
    exchange: LyingExchange, url: str
) -> None:
    with pytest.raises(Unreachable) as never_left:
        Poster("http://127.0.0.1:9", timeout=1.0).post(b"{}")
    exchange.answers["/v1/events"] = lambda _: cut_short
    exchange.report("somebody")
    with pytest.raises(Unreachable) as may_have_arrived:
        Poster(url, timeout=1.0).post(exchange.entries[0].raw)
    assert (never_left.value.sent, may_have_arrived.value.sent) == (False, True)


def test_posts_are_alike_and_share_no_connection(
    exchange: LyingExchange, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    exchange.report("somebody")
    raw = exchange.entries[0].raw
    exchange.answers["/v1/events"] = lambda answer: answer
    poster = Poster(url)
    for _ in range(2):
        poster.post(raw)
    first, second = (headers for name, headers, _ in exchange.requests if "POST" in name)
    assert first == second
    assert set(first) == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
        "content-type",
        "content-length",
    }
    assert first["connection"] == "close"
    assert first["user-agent"] == "acx"


def test_reads_no_netrc(
    exchange: LyingExchange, url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    ExchangeClient(url).checkpoint()
    assert "authorization" not in exchange.requests[-1][1]


def test_a_full_backlog_does_not_hang() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        with pytest.raises(Unreachable, match=r"did not answer in time|cannot be reached"):
            ExchangeClient(f"http://127.0.0.1:{port}", timeout=0.3).checkpoint()
