"""A post does not tell one member from another, and goes the way the member chose."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST
from tests.member.test_member_report import row
from tests.relay.relaying import Tap, certificate, relaying, socks5, tapped

from acx.log.checkpoint import read_checkpoint
from acx.member.errors import SettingError, Unreachable
from acx.member.home import Member
from acx.member.poster import PADDED, Poster, padded
from acx.member.tunnel import Hop, parse_hop
from acx.records.invite import format_invite


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def an_event(exchange: LyingExchange, name: str = "somebody") -> bytes:
    exchange.report(name)
    return exchange.entries[-1].raw


def test_the_bytes_of_two_members_posts_differ_in_the_event_alone(
    exchange: LyingExchange, url: str
) -> None:
    sent = []
    for name in ("A", "somebody with a much longer name than that"):
        with tapped("127.0.0.1", port_of(url)) as tap:
            Poster(f"http://127.0.0.1:{port_of(tap.url)}").post(an_event(exchange, name))
            head, _, body = bytes(tap.upward).partition(b"\r\n\r\n")
            sent.append((head.replace(str(port_of(tap.url)).encode(), b"PORT"), len(body)))
            assert tap.connections == 1
    assert sent[0] == sent[1]
    assert sent[0][0].split(b"\r\n") == [
        b"POST /v1/events HTTP/1.1",
        b"Host: 127.0.0.1:PORT",
        b"User-Agent: acx",
        b"Accept: application/json",
        b"Accept-Encoding: identity",
        b"Connection: close",
        b"Content-Type: application/json",
        b"Content-Length: 8192",
    ]


def test_bodies_have_one_of_a_few_lengths() -> None:
    assert {len(padded(b"x" * length)) for length in range(0, 128 << 10, 997)} == set(PADDED)
    assert len(padded(b"x" * 200_000)) == 200_000


def test_posts_go_through_the_relay_of_the_invite_and_nothing_else_does(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    with relaying(url) as (relay, relay_url):
        invite = exchange.invite(url, relays=(relay_url,))
        Member.join(format_invite(invite), tmp_path / "home", arguments=FAST)
        member = Member.open(tmp_path / "home", FAST)
        done = member.report([row(1), row(2)])
        assert done.sent is not None
        assert len(done.sent.acknowledged) == 2
        assert relay.passed == 2
        # The receipt came with the answer: the last thing that was asked is the last post.
        assert exchange.requests[-1][0] == "POST /v1/events"
        Member.open(tmp_path / "home", FAST | {"direct": True}).report([row(3)])
        assert relay.passed == 2


def test_another_relay_is_taken_where_one_is_down_and_none_in_silence(
    exchange: LyingExchange, url: str
) -> None:
    down = Hop("connect", "127.0.0.1", closed_port())
    with relaying(url) as (relay, relay_url):
        for _ in range(6):
            Poster(url, relays=[down, parse_hop(relay_url)]).post(an_event(exchange))
        assert relay.passed == 6
    posts = len(exchange.requests)
    with pytest.raises(Unreachable, match=r"no relay or proxy .*--direct") as refused:
        Poster(url, relays=[down]).post(an_event(exchange))
    assert not refused.value.sent
    assert len(exchange.requests) == posts


def test_a_relay_cannot_read_what_it_passes_on(
    exchange: LyingExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, authority = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    event = an_event(exchange)
    with (
        serving(exchange, tls) as url,
        relaying(url) as (_, relay_url),
        tapped("127.0.0.1", port_of(relay_url)) as tap,
    ):
        answer = Poster(url, relays=[parse_hop(tap.url)]).post(event)
        assert read_checkpoint(answer.receipt.partition("\n\n")[2]).size == 1
    connect, _, rest = bytes(tap.upward).partition(b"\r\n\r\n")
    assert connect.startswith(f"CONNECT 127.0.0.1:{port_of(url)} ".encode())
    for told in (event[:20], b"somebody", b"/v1/events", b"User-Agent", b"receipt"):
        assert told not in rest
        assert told not in tap.downward


def test_a_stranger_in_the_exchanges_place_gets_nothing(
    exchange: LyingExchange, tmp_path: Path
) -> None:
    tls, _ = certificate(tmp_path)
    with serving(exchange, tls) as url, pytest.raises(Unreachable, match="safely") as refused:
        Poster(url).post(b"{}")
    assert not refused.value.sent
    assert exchange.requests == []


def test_socks_resolves_names_far_away_and_gives_each_post_a_circuit_of_its_own(
    exchange: LyingExchange, url: str
) -> None:
    with tapped("", 0, socks5, "socks5h") as tap:
        poster = Poster(f"http://exchange.test:{port_of(url)}", relays=[parse_hop(tap.url)])
        for name in ("a", "b"):
            poster.post(an_event(exchange, name))
    users, names, ports = zip(*tap.socks, strict=True)
    assert set(names) == {"exchange.test"}
    assert set(ports) == {port_of(url)}
    assert len(set(users)) == 2


def test_a_firms_own_proxy_comes_before_the_relay(exchange: LyingExchange, url: str) -> None:
    with relaying(url) as (relay, relay_url), relaying(relay_url) as (proxy, proxy_url):
        poster = Poster(url, before=[parse_hop(proxy_url)], relays=[parse_hop(relay_url)])
        poster.post(an_event(exchange))
        assert (proxy.passed, relay.passed) == (1, 1)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "ended the connection"),
        (b"220 mail ready\r\n\r\n", "does not answer as"),
        (
            b"HTTP/1.1 403 Forbidden\x1b[31m\r\n\r\n",
            r"does not pass on to .*\(403 Forbidden\[31m\)",
        ),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3000, "too great length"),
    ],
    ids=range(5),
)
def test_what_a_proxy_answers_is_not_believed(
    exchange: LyingExchange, url: str, said: bytes, message: str
) -> None:
    def answer(tap: Tap, near: socket.socket) -> tuple[str, int]:
        near.recv(4096)
        near.sendall(said)
        raise OSError

    with (
        tapped("", 0, answer) as tap,
        pytest.raises(Unreachable, match=message) as refused,
    ):
        Poster(url, relays=[parse_hop(tap.url)], timeout=5.0).post(an_event(exchange))
    assert not refused.value.sent
    assert str(refused.value).isprintable()


def test_a_proxy_that_says_nothing_is_left_in_time(exchange: LyingExchange, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hop = Hop("connect", "127.0.0.1", silent.getsockname()[1])
        with pytest.raises(Unreachable, match="did not answer in time"):
            Poster(url, relays=[hop], timeout=0.2).post(an_event(exchange))


def refuse_socks(*answers: bytes) -> Callable[[Tap, socket.socket], tuple[str, int]]:
    def greet(tap: Tap, near: socket.socket) -> tuple[str, int]:
        for answer in answers:
            near.recv(4096)
            near.sendall(answer)
        raise OSError

    return greet


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((b"HT",), "does not answer as a SOCKS5 proxy"),
        ((b"\5\xff",), "does not answer as a SOCKS5 proxy"),
        ((b"\5\2", b"\1\1"), "another user"),
        ((b"\5\0", b"\5\5\0\1"), "the connection was refused"),
        ((b"\5\0", b"\5\x63\0\1"), "code 99"),
    ],
    ids=range(5),
)
def test_what_a_socks_proxy_refuses_is_told(
    url: str, answers: tuple[bytes, ...], message: str
) -> None:
    with (
        tapped("", 0, refuse_socks(*answers), "socks5h") as tap,
        pytest.raises(Unreachable, match=message),
    ):
        Poster(url, relays=[parse_hop(tap.url)], timeout=5.0).post(b"{}")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:9050",
        "https://proxy:3128",
        "gopher://x",
        "http://",
        "http://x:y",
        "socks4://x",
        "http://[::1",
        "http://x/path",
    ],
    ids=range(9),
)
def test_a_proxy_that_cannot_be_is_told_before_anything_is_sent(address: str) -> None:
    with pytest.raises(SettingError, match=r"relay|proxy"):
        parse_hop(address)


def test_a_password_of_a_proxy_is_not_shown() -> None:
    with pytest.raises(SettingError) as refused:
        parse_hop("https://user:secret@proxy:3128")
    assert "secret" not in str(refused.value)
    assert "secret" not in str(parse_hop("http://user:secret@proxy:3128"))
