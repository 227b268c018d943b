"""Posting to an address that somebody else has named, without being led where it must not go.

The exchange stands where outsiders do not; whoever could make it ask for any URL could ask its
neighbours. So (1) a name is resolved once for a connection, and every address it has must be a
public one, or in a network that the operator allows; (2) the connection goes to an address that was
checked, whatever the name stands for a moment later; (3) nobody is followed elsewhere; (4) no more
is read of the answer than its status; (5) all of it within one limit of time.

Source: OWASP, «Server Side Request Forgery Prevention».
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from acx.exchange.errors import MalformedRequest

ANSWER_SECONDS: Final = 15.0
"""From the first byte that is sent to the last header of the answer."""
MAX_URL_CHARACTERS: Final = 1024

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE: Final = ipaddress.ip_network("::/96")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a post ended.

    Attributes:
        status: of the answer; 0 if there was none.
        problem: what went wrong, in words for the member; empty if nothing did.
        retry_after: seconds that the target asked to wait.
    """

    status: int
    problem: str = ""
    retry_after: int = 0

    @property
    def taken(self) -> bool:
        """Whether the target has it."""
        return 200 <= self.status < 300


class _Refused(Exception):
    """The target is not asked."""


def checked_url(url: str, allowed: Sequence[Network]) -> str:
    """A member's URL, if it can be one of a target.

    What its name stands for is checked when it is connected to; this finds what is plain to see.

    Args:
        url: as given.
        allowed: networks that are not public and may be posted to.

    Raises:
        MalformedRequest: with what is wrong.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise MalformedRequest("url is no URL") from None
    if len(url) > MAX_URL_CHARACTERS or any(ord(c) <= 32 or ord(c) > 126 for c in url):
        raise MalformedRequest(f"url has up to {MAX_URL_CHARACTERS} ASCII characters, none blank")
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise MalformedRequest("url is https://HOST[:PORT]/PATH")
    if parts.username is not None or parts.fragment:
        raise MalformedRequest("url has neither user name nor fragment")
    if parts.scheme == "http" and not allowed:
        raise MalformedRequest("url is https: what is posted is for its member alone")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return url
    if not is_allowed(literal, allowed):
        raise MalformedRequest("url names an address that is not a public one")
    return url


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether an address may be posted to: a public one, or one that the operator allows."""
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and (address in _NAT64 or address in _COMPATIBLE):
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return is_allowed(inside, allowed)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network]) -> Answer:
    """Post once.

    Args:
        url: as `checked_url` passed it.
        body: what to send.
        headers: beside those that HTTP needs.
        allowed: networks that are not public and may be posted to.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = time.monotonic() + ANSWER_SECONDS
    connection = http.client.HTTPConnection(parts.hostname or "", port)
    late = threading.Event()
    # With a limit for each read alone, a target could trickle for ever.
    timer = threading.Timer(ANSWER_SECONDS, _cut, (connection, late))
    timer.daemon = True
    timer.start()
    try:
        connection.sock = _connect(parts, port, allowed, deadline)
        if parts.scheme == "https":
            _begin_tls(connection, parts.hostname or "")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {"Connection": "close", **headers})
        response = connection.getresponse()
        if late.is_set():
            # It was cut within its headers, of which http.client takes what had come.
            raise TimeoutError
        return _answer(response)
    except _Refused as error:
        return Answer(0, str(error))
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        return Answer(0, _reason(error, late=late.is_set()))
    finally:
        timer.cancel()
        connection.close()


def _connect(
    parts: SplitResult, port: int, allowed: Sequence[Network], deadline: float
) -> socket.socket:
    host = parts.hostname or ""
    # (1)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _Refused("its name is not known") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(is_allowed(address, allowed) for address in addresses):
        raise _Refused("its address is not a public one")
    if parts.scheme == "http" and not all(_is_inside(each, allowed) for each in addresses):
        raise _Refused("it is not asked without TLS")
    # (2)
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, at in found:
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(max(0.1, min(5.0, deadline - time.monotonic())))
            opened.connect(at)
            opened.settimeout(ANSWER_SECONDS)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def _is_inside(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in allowed)


def _begin_tls(connection: http.client.HTTPConnection, host: str) -> None:
    """TLS over a socket that is connected, with a certificate for the name that was asked for."""
    context = ssl.create_default_context()
    # The handshake comes once the connection has the socket, so that it can be cut too.
    secured = context.wrap_socket(
        connection.sock, server_hostname=host, do_handshake_on_connect=False
    )
    connection.sock = secured
    connection.default_port = 443
    secured.do_handshake()


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        if connection.sock is not None:
            # Of the plain socket: TLS would first say goodbye.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


# (3)
# (4)
def _answer(response: http.client.HTTPResponse) -> Answer:
    if 200 <= response.status < 300:
        return Answer(response.status)
    wait = response.headers.get("Retry-After", "")
    seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else 0
    moved = 300 <= response.status < 400
    problem = f"it answered {response.status}" + (", and redirects are not followed" * moved)
    return Answer(response.status, problem, seconds)


def _reason(error: Exception, *, late: bool) -> str:
    # (5)
    if late or isinstance(error, TimeoutError):
        return f"it did not answer within {ANSWER_SECONDS:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS as it should"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses connections"
    if isinstance(error, http.client.HTTPException):
        return "it does not speak HTTP as it should"
    return "it cannot be reached"
