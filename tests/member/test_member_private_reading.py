"""Looking up is local: nothing about a seller leaves, and most commands never use the network."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import polars as pl
import pytest
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import FAST

from acx.cli.app import run
from acx.member.home import Member
from acx.member.watch import NewHit
from acx.records.files import Rejects, read_accounts
from acx.records.invite import format_invite
from acx.records.normalise.keyed_digest import digest

SELLER = {
    "id": "SELLER-777-internal",
    "name": ["Quirina Zanzibari Vossler"],
    "alias": ["Vossler Deluxe Trading"],
    "email": ["quirina.zanzibari.vossler@mail.test"],
    "phone": ["+4915123456789"],
    "address": ["Nirgendwostrasse 4711, 10117 Berlin"],
    "bank_account": ["DE02120300000000202051"],
    "website": ["vossler-deluxe-shop.test"],
}
_network: list[tuple[str, str]] = []
_recording = False


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if _recording and event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        _network.append((event, repr(arguments[1:] if event == "socket.connect" else arguments)))


sys.addaudithook(_heard)


@contextmanager
def network() -> Iterator[list[tuple[str, str]]]:
    """What this process asks of the network meanwhile, names looked up included."""
    global _recording
    _network.clear()
    _recording = True
    try:
        yield _network
    finally:
        _recording = False


def writings(value: str, field: str, matching_key: bytes) -> Iterator[bytes]:
    """How a value could be written if somebody let it out."""
    for text in {value, value.lower(), value.upper(), "".join(c for c in value if c.isalnum())}:
        data = text.encode()
        yield data
        yield data[::-1]
        yield data.hex().encode()
        yield from (quote(text, safe="").encode(), quote_plus(text).encode())
        yield json.dumps(text)[1:-1].encode()
        for padding in range(3):
            # Whatever stands before it, one of three base64 texts holds its middle.
            encoded = base64.b64encode(b"x" * padding + data)
            yield encoded[4 : len(encoded) - 4]
        for name in ("sha256", "sha1", "md5"):
            yield hashlib.new(name, data).hexdigest().encode()
            yield base64.b64encode(hashlib.new(name, data).digest())
    if field == "bank_account":
        yield digest(field, value, matching_key).encode()


@pytest.fixture
def home(exchange: LyingExchange, url: str, tmp_path: Path) -> Path:
    Member.join(format_invite(exchange.invite(url)), tmp_path / "home", arguments=FAST)
    exchange.report("Quirina Zanzibari Vossler")
    Member.open(tmp_path / "home", FAST).sync()
    return tmp_path / "home"


@pytest.fixture
def sellers(tmp_path: Path) -> Path:
    path = tmp_path / "sellers.jsonl"
    others = [{"id": f"o{n}", "name": [f"Ordinary Person{n}"]} for n in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [SELLER, *others]))
    return path


def test_no_command_of_a_member_sends_a_sellers_data_anywhere(
    exchange: LyingExchange, home: Path, sellers: Path, tmp_path: Path
) -> None:
    seller, hits = tmp_path / "seller.json", tmp_path / "hits.csv"
    seller.write_text(json.dumps(SELLER))
    offline = [
        ["check", str(seller), "--home", str(home)],
        ["check", "--home", str(home), "--email", SELLER["email"][0], "--name", SELLER["name"][0]],
        ["screen", str(sellers), "--out", str(hits), "--home", str(home)],
        ["screen", str(sellers), "--out", str(hits), "--home", str(home), "--since-last"],
        ["match", str(sellers), "--against", str(sellers), "--out", str(tmp_path / "pairs.csv")],
        ["export", "--format", "jsonl", "--out", str(tmp_path / "all.jsonl"), "--home", str(home)],
        ["reports", "--home", str(home)],
        ["inbox", "--home", str(home)],
        ["verify", "--home", str(home)],
    ]
    with network() as asked:
        for command in offline:
            assert run(command) == 0, command
    assert asked == []
    found = json.loads((tmp_path / "all.jsonl").read_text().splitlines()[0])
    hit = f"{SELLER['id']}:{found['report_id']}"
    url = Member.open(home, FAST).url
    with network() as asked:
        assert run(["decide", hit, "--action", "blocked", "--home", str(home)]) == 0
        assert asked == []
        assert run(["sync", "--home", str(home)]) == 0
        assert any(isinstance(item, NewHit) for item in watched(home, sellers, exchange))
        told = run(["decide", hit, "--action", "removed", "--tell", "--home", str(home), "--now"])
        assert told == 0
    # Everything went to the exchange, and nobody else was asked for anything.
    assert asked
    assert all("'127.0.0.1'" in what and url.rpartition(":")[2] in what for _, what in asked)
    for what, headers, body in exchange.requests:
        sent = b"\n".join(
            [what.encode(), *(f"{k}: {v}".encode() for k, v in headers.items()), body]
        )
        for field, values in SELLER.items():
            for value in [values] if isinstance(values, str) else values:
                for written in writings(value, field, exchange.matching_key):
                    assert written not in sent, (what, field)


def watched(home: Path, sellers: Path, exchange: LyingExchange) -> Iterator[object]:
    """What a watch over the sellers tells until it is up to date, and one report beyond."""
    frame = pl.concat(read_accounts(str(sellers), rejects=Rejects()))
    items = Member.open(home, FAST).watch(frame)
    yield next(items)
    exchange.report("Quirina Zanzibari Vossler")
    for item in items:
        yield item
        if isinstance(item, NewHit):
            items.close()  # type: ignore[attr-defined]
            return


def test_the_exchange_sees_that_a_member_reads_and_how_far(
    exchange: LyingExchange, home: Path
) -> None:
    """What docs/reference/protocol.md says that reading shows: the token, and the cursor."""
    seen = len(exchange.requests)
    exchange.report("somebody")
    Member.open(home, FAST).sync()
    for what, headers, body in exchange.requests[seen:]:
        assert what.startswith("GET /v1/events?after=")
        assert body == b""
        assert set(headers) <= {
            "host",
            "accept",
            "accept-encoding",
            "connection",
            "user-agent",
            "authorization",
        }
