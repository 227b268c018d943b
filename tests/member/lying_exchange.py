"""A small exchange that a test can turn against its members.

It is honest until told otherwise: `answers` maps a path to what is said instead. The tree is made
by the recursion of RFC 9162 and not by `acx.log`, so the two check one another.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acx.credentials.issuance import CredentialRequest, enrol
from acx.credentials.keys import SecretKey
from acx.log.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from acx.log.cosignature import Cosigner
from acx.log.entry import entry_of
from acx.log.note import Signer, add_signatures
from acx.log.proof import LogProof
from acx.member.replica import Trust
from acx.records.account import Subject
from acx.records.event import (
    Act,
    Erasure,
    Event,
    Expiry,
    IssuerKey,
    parse_event,
    public_key_text,
    report_id,
    sign_event,
)
from acx.records.invite import Invite, Operator
from acx.records.issuer_keys import issuer_key_id
from acx.records.report import Product, Report

ORIGIN = "acx.example/test"
HOUR = "2026-11-25T02Z"
LONG_AGO = "2020-01-01T00Z"


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tree(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(leaves) <= 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*path(index, leaves[:split]), tree(leaves[split:])]
    return [*path(index - split, leaves[split:]), tree(leaves[:split])]


def rendered(answer: Any) -> bytes:
    """JSON with events in it verbatim: their members are in canonical order already."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class LogEntry:
    raw: bytes
    k: bytes
    at: str = HOUR
    destroyed: bool = False

    @property
    def entry(self) -> bytes:
        return entry_of(self.k, self.at, self.raw)

    @property
    def leaf(self) -> bytes:
        return hashlib.sha256(b"\0" + self.entry).digest()

    def wire(self, index: int) -> dict[str, Any]:
        if self.destroyed:
            return {"index": index, "entry": base64_text(self.entry)}
        return {
            "index": index,
            "at": self.at,
            "event": json.loads(self.raw),
            "k": base64_text(self.k),
        }


@dataclass
class LyingExchange:
    """A log in memory, with the keys that make it."""

    origin: str = ORIGIN
    signer: Signer = field(default_factory=lambda: Signer.generate(ORIGIN))
    operators: tuple[Ed25519PrivateKey, ...] = field(
        default_factory=lambda: (Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
    )
    entries: list[LogEntry] = field(default_factory=list)
    issuer: SecretKey = field(default_factory=SecretKey.generate)
    matching_key: bytes = bytes(range(32))
    policy: str = ""
    cosigned: str = ""
    answers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    seqs: dict[tuple[str, str], int] = field(default_factory=dict)
    hang_up: threading.Event = field(default_factory=threading.Event)

    # The log

    def append(self, event: Event | bytes) -> int:
        raw = event if isinstance(event, bytes) else event.raw
        self.entries.append(LogEntry(raw, secrets.token_bytes(32)))
        return len(self.entries) - 1

    def report(
        self,
        name: str,
        key: Ed25519PrivateKey | None = None,
        tag: str = "t",
        products: tuple[Product, ...] = (),
    ) -> str:
        """Append a report about somebody, and give its id."""
        key = key or Ed25519PrivateKey.generate()
        report = report_id(public_key_text(key))
        self.append(
            sign_event(
                key,
                origin=self.origin,
                type="report",
                body=Report(
                    account=Subject(name=(name,), email=(f"{name.replace(' ', '.')}@mail.test",)),
                    conduct="sold_counterfeits",
                    confirmed_by=("test_buy",),
                    confirmed_on="2026-10",
                    products=products,
                ),
                tags={"rate/2026-11-25": secrets.token_hex(8), f"stand/{report}/1": tag},
                issuer_key="k1",
            )
        )
        return report

    def act(self, type_: str, body: Any, *, report: str = "", ref: str = "", by: int = 0) -> Event:
        """Append an operator's event."""
        key = self.operators[by]
        place = (public_key_text(key), report)
        event = sign_event(
            key,
            origin=self.origin,
            type=type_,
            body=body,
            report=report,
            ref=ref,
            seq=self.seqs.get(place, 0),
        )
        self.seqs[place] = event.seq + 1
        self.append(event)
        return event

    def erase(self, report: str, *indices: int) -> None:
        """Erase by four eyes, and destroy the keys."""
        proposal = self.act("erasure", Erasure(indices=indices, code="court"), report=report)
        self.act("act", Act(act="approved"), ref=proposal.id, by=1)
        self.destroy(*indices)

    def expire(self, *indices: int) -> None:
        self.act("expiry", Expiry(indices=indices))
        self.destroy(*indices)

    def destroy(self, *indices: int) -> None:
        for index in indices:
            self.entries[index].destroyed = True

    def note(self, size: int | None = None, signer: Signer | None = None) -> str:
        size = len(self.entries) if size is None else size
        root = tree([entry.leaf for entry in self.entries[:size]])
        return sign_checkpoint(Checkpoint(self.origin, size, root), signer or self.signer)

    def cosign(self, *witnesses: Cosigner, size: int | None = None, at: int = 0) -> None:
        """Have the log's head, or an earlier one, cosigned; it is shown from now on."""
        note = self.note(size)
        text = read_checkpoint(note).text
        signatures = [witness.cosign(text, at or int(time.time())) for witness in witnesses]
        self.cosigned = add_signatures(note, signatures)

    def receipt(self, index: int) -> str:
        leaves = [entry.leaf for entry in self.entries]
        return LogProof(index, tuple(path(index, leaves)), self.note()).text

    @property
    def trust(self) -> Trust:
        return Trust(
            origin=self.origin,
            log_key=self.signer.verifier.vkey,
            operators=tuple(public_key_text(key) for key in self.operators),
            matching_key=self.matching_key,
            policy=self.policy,
        )

    @property
    def issuer_key_id(self) -> str:
        return issuer_key_id(self.issuer.public_key.encode())

    def publish_key(self, at: str = LONG_AGO, **changes: Any) -> str:
        """Append the `key` event of the issuer; give the key's id."""
        body = IssuerKey(
            id=self.issuer_key_id,
            public_key=base64_text(self.issuer.public_key.encode()),
            not_before=LONG_AGO,
        )
        self.act("key", msgspec.structs.replace(body, **changes))
        self.entries[-1].at = at
        return self.issuer_key_id

    def invite(self, url: str, relays: tuple[str, ...] = ()) -> Invite:
        if not self.entries:
            self.publish_key()
        return Invite(
            origin=self.origin,
            url=url,
            log_key=self.signer.verifier.vkey,
            operators=tuple(
                Operator(name=f"op{number}", key=public_key_text(key))
                for number, key in enumerate(self.operators)
            ),
            witnesses=self.policy,
            relays=relays,
            matching_key=base64_text(self.matching_key),
            invite_id="invite",
            secret="secret",
            role="contributor",
            sandbox=True,
        )

    # What it says

    def page(self, after: int, limit: int) -> dict[str, Any]:
        last = min(len(self.entries), after + 1 + limit)
        return {
            "entries": [self.entries[index].wire(index) for index in range(after + 1, last)],
            "checkpoint": self.note(),
            "cosigned": self.cosigned,
        }

    def stream(self, handler: Any, *, after: int) -> None:
        """Send what there is and what comes, until the other side or `hang_up` ends it."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        sent = after + 1
        told = ""
        self.hang_up.clear()
        try:
            while not self.hang_up.wait(0.01):
                size = len(self.entries)
                for index in range(sent, size):
                    data = rendered(self.entries[index].wire(index))
                    handler.wfile.write(b"id: %d\nevent: entry\ndata: %s\n\n" % (index, data))
                if size > sent:
                    note = json.dumps(self.note(size))
                    handler.wfile.write(f"event: checkpoint\ndata: {note}\n\n".encode())
                if told != self.cosigned:
                    told = self.cosigned
                    handler.wfile.write(f"event: cosigned\ndata: {json.dumps(told)}\n\n".encode())
                handler.wfile.write(b": alive\n\n")
                sent = size
        except OSError:
            pass

    def issue(self, request: str) -> dict[str, str]:
        parsed = CredentialRequest.decode(base64.b64decode(request))
        response = enrol(self.issuer, parsed).encode()
        return {"key": self.issuer_key_id, "response": base64_text(response)}

    def post(self, body: bytes) -> dict[str, Any]:
        event = parse_event(body[len(b'{"event":') : body.rindex(b',"presentations":')])
        known = next((i for i, e in enumerate(self.entries) if e.raw == event.raw), None)
        index = self.append(event) if known is None else known
        entry = self.entries[index]
        return {
            "report": event.report,
            "event": event.id,
            "index": index,
            "at": entry.at,
            "k": base64_text(entry.k),
            "receipt": self.receipt(index),
        }

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        parts = urlsplit(target)
        query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
        honest: Any
        match method, parts.path:
            case "GET", "/v1/events":
                honest = self.page(query["after"], query["limit"])
            case "GET", "/checkpoint":
                honest = self.note()
            case "GET", "/v1/stream":
                honest = partial(self.stream, after=query["after"])
            case "POST", "/v1/join":
                request = json.loads(body)["credential_request"]
                honest = {"member": "m1", "role": "contributor", "token": "t"}
                if request:
                    honest["credential"] = self.issue(request)
            case "POST", "/v1/credentials":
                honest = self.issue(json.loads(body)["request"])
            case "POST", "/v1/events":
                honest = self.post(body)
            case "POST", "/v1/disputes/texts":
                honest = {"text": json.loads(body)["answer"]}
            case _:
                honest = Problem(404, "not-found", "Not found", "")
        lie = self.answers.get(parts.path)
        return honest if lie is None else lie(honest)


@dataclass
class Problem:
    status: int
    name: str
    title: str
    detail: str


@contextmanager
def serving(exchange: LyingExchange, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve it on a real socket; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(b"")

        def do_POST(self) -> None:
            self.reply(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        def reply(self, body: bytes) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            exchange.requests.append((f"{self.command} {self.path}", headers, body))
            answer = exchange.answer(self.command, self.path, headers, body)
            if callable(answer):
                # The lie speaks to the socket itself.
                answer(self)
                self.close_connection = True
                return
            status, kind, content = 200, "application/json", b""
            if isinstance(answer, Problem):
                status, kind = answer.status, "application/problem+json"
                answer = {
                    "type": f"https://acx.example/problems/{answer.name}",
                    "title": answer.title,
                    "detail": answer.detail,
                    "status": status,
                }
            if isinstance(answer, bytes):
                content = answer
            elif isinstance(answer, str):
                content, kind = answer.encode(), "text/plain; charset=utf-8"
            else:
                content = rendered(answer)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        exchange.hang_up.set()
        server.shutdown()
        server.server_close()
        thread.join()
