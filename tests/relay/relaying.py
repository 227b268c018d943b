"""Relays and proxies that pass on over real sockets, and what they saw."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID

from acx.relay.relay import Destination, Limits, Relay


@contextmanager
def relaying(to: str, limits: Limits | None = None) -> Iterator[tuple[Relay, str]]:
    """A relay to a URL, in a thread of its own; gives it and its URL."""
    relay = Relay(Destination.of_url(to), limits)
    listening = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(relay.serve(listening, ready.set))

    def run() -> None:
        with listening:
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                pass
            finally:
                loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield relay, f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


@dataclass
class Tap:
    """Somebody who passes connections on, and keeps what went by."""

    url: str = ""
    upward: bytearray = field(default_factory=bytearray)
    downward: bytearray = field(default_factory=bytearray)
    connections: int = 0
    socks: list[tuple[str, str, int]] = field(default_factory=list)


@contextmanager
def tapped(
    host: str,
    port: int,
    greet: Callable[[Tap, socket.socket], tuple[str, int]] | None = None,
    scheme: str = "http",
) -> Iterator[Tap]:
    """Passes on to a place, or to where `greet` says."""
    listening = socket.create_server(("127.0.0.1", 0))
    tap = Tap(url=f"{scheme}://127.0.0.1:{listening.getsockname()[1]}")
    open_sockets: list[socket.socket] = []

    def copy(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        try:
            while data := source.recv(65536):
                kept.extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(near: socket.socket) -> None:
        try:
            place = greet(tap, near) if greet is not None else (host, port)
            far = socket.create_connection(place)
        except OSError:
            near.close()
            return
        open_sockets.extend((near, far))
        down = threading.Thread(target=copy, args=(far, near, tap.downward))
        down.start()
        copy(near, far, tap.upward)
        down.join()
        near.close()
        far.close()

    def accept() -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            tap.connections += 1
            threading.Thread(target=serve, args=(near,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield tap
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for opened in open_sockets:
            opened.close()


def socks5(tap: Tap, near: socket.socket) -> tuple[str, int]:
    """A SOCKS5 proxy that wants a user name, as Tor's prefers (RFC 1928, RFC 1929)."""

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += near.recv(size - len(data))
        return data

    version, count = read(2)
    assert version == 5
    assert 2 in read(count)
    near.sendall(b"\5\2")
    assert read(1) == b"\1"
    user = read(read(1)[0])
    password = read(read(1)[0])
    assert user
    assert password
    near.sendall(b"\1\0")
    assert read(4) == b"\5\1\0\3"
    name = read(read(1)[0]).decode()
    port = int.from_bytes(read(2), "big")
    near.sendall(b"\5\0\0\1\0\0\0\0\0\0")
    tap.socks.append((user.decode(), name, port))
    return ("127.0.0.1" if name == "exchange.test" else name), port


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS, and the authority to trust for it."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acx test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, chain
