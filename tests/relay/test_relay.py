"""A relay passes posts on to one exchange, and does nothing else for anybody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.relay.relaying import relaying, tapped

from acx.errors import AcxError
from acx.relay.relay import MAX_HEAD_BYTES, Destination, Limits


@pytest.fixture
def echo() -> Iterator[str]:
    """Somebody who says back what is said to him; gives his address."""
    with echoing() as authority:
        yield authority


@contextmanager
def echoing() -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    here = listening.getsockname()[1]

    def bounce(tap: object, near: socket.socket) -> tuple[str, int]:
        while data := near.recv(65536):
            near.sendall(data)
        raise OSError

    with listening, tapped("127.0.0.1", here, bounce) as tap:
        yield tap.url.removeprefix("http://")


def ask(relay: str, request: bytes, *, source: str = "127.0.0.1") -> socket.socket:
    host, _, port = relay.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0))
    connection.sendall(request)
    return connection


def whole(connection: socket.socket) -> bytes:
    """Everything that comes until the end."""
    data = b""
    with connection:
        try:
            while more := connection.recv(65536):
                data += more
        except ConnectionError:
            pass
    return data


def tunnel(relay: str, authority: str, **options: str) -> socket.socket:
    """A connection that stands; what is sent with the request passes on too."""
    connection = ask(relay, f"CONNECT {authority} HTTP/1.1\r\n\r\nhello".encode(), **options)
    expected = b"HTTP/1.1 200 Connection established\r\n\r\nhello"
    data = b""
    while len(data) < len(expected):
        more = connection.recv(65536)
        assert more, data
        data += more
    assert data == expected
    return connection


def test_passes_on_what_comes_and_the_end_of_it(echo: str) -> None:
    with relaying(f"http://{echo}") as (relay, url):
        connection = tunnel(url, echo)
        connection.sendall(b" and more")
        connection.shutdown(socket.SHUT_WR)
        assert whole(connection) == b" and more"
        assert relay.passed == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"CONNECT 127.0.0.2:{port} HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT 127.0.0.1.evil.test:{port} HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n", b"403"),
        (b"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n", b"405"),
        (b"POST /v1/events HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"CONNECT 127.0.0.1:{port}\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"CONNECT " + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n", b"431"),
    ],
    ids=range(11),
)
def test_refuses_everything_else_and_says_why(echo: str, request_: bytes, status: bytes) -> None:
    with relaying(f"http://{echo}") as (relay, url):
        port = echo.rpartition(":")[2].encode()
        try:
            answer = whole(ask(url, request_.replace(b"{port}", port)))
        except ConnectionError:
            # More was sent than it read, so the answer may have been lost on the way.
            answer = b""
        assert status == b"431" or answer.startswith(b"HTTP/1.1 " + status)
        assert (relay.passed, relay.refused) == (0, 1)


def test_an_exchange_that_is_down_is_told(echo: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        authority = f"127.0.0.1:{closed.getsockname()[1]}"
    with relaying(f"http://{authority}") as (_, url):
        answer = whole(ask(url, f"CONNECT {authority} HTTP/1.1\r\n\r\n".encode()))
    assert answer.startswith(b"HTTP/1.1 502")


def test_who_sends_a_request_for_ever_is_sent_away(echo: str) -> None:
    with relaying(f"http://{echo}", Limits(head_seconds=0.1)) as (_, url):
        assert whole(ask(url, b"")) == b""
        assert whole(ask(url, b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nX: ")) == b""
        tunnel(url, echo).close()


def test_a_tunnel_ends_when_its_time_is_up(echo: str) -> None:
    with relaying(f"http://{echo}", Limits(tunnel_seconds=0.2)) as (_, url):
        assert whole(tunnel(url, echo)) == b""


def test_a_tunnel_carries_no_more_than_a_post(echo: str) -> None:
    with relaying(f"http://{echo}", Limits(tunnel_bytes=1000)) as (_, url):
        connection = tunnel(url, echo)
        connection.sendall(b"x" * 2000)
        assert len(whole(connection)) <= 1000


def test_tunnels_are_bounded_in_all_and_for_each_address(echo: str) -> None:
    full = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After"
    with relaying(f"http://{echo}", Limits(tunnels=3, tunnels_per_address=2)) as (_, url):
        request = f"CONNECT {echo} HTTP/1.1\r\n\r\n".encode()
        first, _second = tunnel(url, echo), tunnel(url, echo)
        assert whole(ask(url, request)).startswith(full)
        other = tunnel(url, echo, source="127.0.0.2")
        assert whole(ask(url, request, source="127.0.0.3")).startswith(full)
        first.close()
        other.close()
        # As soon as the relay has noticed that they are gone, there is room again.
        while ask(url, request).recv(12) != b"HTTP/1.1 200":
            pass


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://acx.example", "acx.example:80"),
        ("https://ACX.example/prefix", "acx.example:443"),
        ("https://acx.example:8440", "acx.example:8440"),
        ("http://[::1]:8440", "[::1]:8440"),
    ],
)
def test_a_destination_is_an_exchanges_url(url: str, authority: str) -> None:
    assert Destination.of_url(url).authority == authority


@pytest.mark.parametrize(
    "url", ["", "acx.example", "ftp://x", "http://", "http://a:b", "http://a b"]
)
def test_what_is_no_exchanges_url_is_told(url: str) -> None:
    with pytest.raises(AcxError, match="no exchange's URL"):
        Destination.of_url(url)


def test_the_command_relays_and_logs_nothing_of_who_came(echo: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "acx", "relay", "--to", f"http://{echo}", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    url = process.stdout.readline().removeprefix("relaying at ").strip()
    standing = tunnel(url, echo, source="127.0.0.7")
    whole(ask(url, b"CONNECT secret.example:443 HTTP/1.1\r\n\r\n", source="127.0.0.8"))
    process.terminate()
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert whole(standing) == b""
    assert '"tunnels":1,"refused":1' in log
    for told in ("127.0.0.7", "127.0.0.8", "secret", str(standing)):
        assert told not in log
