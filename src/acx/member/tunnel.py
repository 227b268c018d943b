"""A connection through others, so that who answers at its end does not learn who asked.

A hop is a relay or an HTTP proxy (CONNECT), or a SOCKS5 proxy such as Tor's. Names are resolved at
the far end: nobody near the member is asked for the exchange's address. Each connection through
SOCKS has a user name of its own, by which Tor gives it a circuit of its own.

Source: RFC 9110, section 9.3.6 (CONNECT); RFC 1928 and RFC 1929 (SOCKS5); Tor's socks-extensions,
«stream isolation».
"""

from __future__ import annotations

import base64
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast
from urllib.parse import unquote, urlsplit

from acx.member.errors import SettingError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ANSWER_BYTES: Final = 8 * 1024
"""Of a proxy, to a CONNECT."""
_SCHEMES: Final = {"http": ("connect", 80), "socks5": ("socks5", 1080), "socks5h": ("socks5", 1080)}
_SOCKS_REASONS: Final = {
    1: "it failed",
    2: "its rules forbid it",
    3: "the network cannot be reached",
    4: "the host cannot be reached",
    5: "the connection was refused",
    6: "it took too long",
}


@dataclass(frozen=True, slots=True)
class Hop:
    """Somebody who passes a connection on.

    Attributes:
        kind: how it is asked to.
        host: its name or address.
        port: its TCP port.
        user: user name, where it wants one.
        password: likewise.
    """

    kind: Literal["connect", "socks5"]
    host: str
    port: int
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        """Where it is, without what proves a right to use it."""
        return _authority(self.host, self.port)


def parse_hop(url: str) -> Hop:
    """Read the URL of a relay or proxy.

    Raises:
        SettingError: it is none that acx can use. The message shows no password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except ValueError:
        raise SettingError("a relay's or proxy's URL cannot be read; write it anew") from None
    if parts.scheme not in _SCHEMES or not host or parts.path.strip("/") or parts.query:
        shown = f"{parts.scheme}://{host or ''}"
        raise SettingError(
            f"{shown!r} is no relay or proxy acx can use: give http://HOST:PORT for a relay or an"
            " HTTP proxy, socks5h://HOST:PORT for SOCKS or Tor"
        )
    kind, usual = _SCHEMES[parts.scheme]
    return Hop(cast("Literal['connect', 'socks5']", kind), host, port or usual, user, password)


def open_tunnel(host: str, port: int, hops: Sequence[Hop], timeout: float) -> socket.socket:
    """Connect to a host, by way of hops.

    Args:
        host: to connect to.
        port: likewise.
        hops: who passes on, the nearest first; none to connect directly.
        timeout: seconds within which each hop must have answered; the connection keeps it for
            every single read and write.

    Raises:
        Unreachable: somebody on the way does not answer, or refuses. Nothing was sent.
    """
    stops = [(hop.host, hop.port) for hop in hops] + [(host, port)]
    with _explained(_authority(*stops[0])):
        connection = socket.create_connection(stops[0], timeout=timeout)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for hop, (next_host, next_port) in zip(hops, stops[1:], strict=True):
            ask = _connect if hop.kind == "connect" else _socks5
            with _explained(str(hop)):
                ask(_Reader(connection, str(hop), timeout), hop, next_host, next_port)
    except BaseException:
        connection.close()
        raise
    return connection


class _Reader:
    """Reads exactly what a hop answers: what comes after it is not the hop's."""

    def __init__(self, connection: socket.socket, hop: str, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._hop = hop
        self.connection = connection

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if time.monotonic() > self._deadline:
                raise TimeoutError
            more = self.connection.recv(size - len(data))
            if not more:
                raise Unreachable(
                    f"{self._hop} ended the connection before it passed it on; check that it is a"
                    " relay or proxy",
                    sent=False,
                )
            data += more
        return data


def _connect(reader: _Reader, hop: Hop, host: str, port: int) -> None:
    """Ask a relay or HTTP proxy."""
    target = _authority(host, port)
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if hop.user:
        credentials = base64.b64encode(f"{hop.user}:{hop.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    reader.connection.sendall("\r\n".join([*lines, "\r\n"]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += reader.read(1)
        if len(head) > MAX_ANSWER_BYTES:
            raise Unreachable(f"{hop} answers at too great length to be a proxy", sent=False)
    version, _, status = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1."):
        raise Unreachable(f"{hop} does not answer as a relay or HTTP proxy does", sent=False)
    if not status.startswith("2"):
        reason = "".join(c for c in status[:100] if c.isprintable())
        raise Unreachable(f"{hop} does not pass on to {target} ({reason})", sent=False)


def _socks5(reader: _Reader, hop: Hop, host: str, port: int) -> None:
    """Ask a SOCKS5 proxy, with a user name that nobody used before unless it has one of ours."""
    user = (hop.user or secrets.token_hex(8)).encode()
    password = (hop.password or "0").encode()
    name = host.encode("idna") if not host.isascii() else host.encode()
    if max(len(user), len(password), len(name)) > 255:
        raise SettingError("a name, user or password is too long for a SOCKS proxy")
    send = reader.connection.sendall
    send(b"\5\2\0\2")
    version, method = reader.read(2)
    if version != 5 or method not in (0, 2):
        raise Unreachable(f"{hop} does not answer as a SOCKS5 proxy does", sent=False)
    if method == 2:
        send(b"\1" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        if reader.read(2)[1] != 0:
            raise Unreachable(f"{hop} wants another user and password", sent=False)
    send(b"\5\1\0\3" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
    version, code, _, kind = reader.read(4)
    if version != 5 or code != 0:
        reason = _SOCKS_REASONS.get(code, f"code {code}")
        raise Unreachable(
            f"{hop} does not pass on to {_authority(host, port)} ({reason})", sent=False
        )
    # The address it connects from is of no use, but has to be read.
    reader.read({1: 4, 4: 16}.get(kind) or reader.read(1)[0])
    reader.read(2)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def _explained(who: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Unreachable(f"{who} did not answer in time; try again later", sent=False) from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreachable(
            f"{who} cannot be reached ({reason}); check the network and the address, or try again"
            " later",
            sent=False,
        ) from None
