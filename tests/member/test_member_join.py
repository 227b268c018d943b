"""Joining makes a home, or leaves nothing; a lost answer costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.member.lying_exchange import ORIGIN, LyingExchange, Problem
from tests.member.processes import FAST

from acx.log.note import Signer
from acx.member.errors import (
    ExchangeError,
    NoMember,
    Refused,
    SettingError,
    Unreachable,
    WalletError,
)
from acx.member.home import Member
from acx.member.seed import Seed
from acx.records.event import public_key_text
from acx.records.http_signature import verify_request
from acx.records.invite import InviteError, format_invite


def join(exchange: LyingExchange, url: str, home: Path, **arguments: Any) -> Any:
    return Member.join(format_invite(exchange.invite(url)), home, arguments=FAST | arguments)


def test_makes_a_home_that_only_its_owner_enters(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    joined = join(exchange, url, tmp_path / "home")
    assert (joined.origin, joined.role, joined.sandbox) == (ORIGIN, "contributor", True)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / "config.toml").stat().st_mode & 0o777 == 0o600
    member = Member.open(tmp_path / "home")
    assert (member.url, member.role) == (url, "contributor")
    with member.wallet() as wallet:
        assert wallet.seed().data == Seed.from_phrase(joined.phrase, ORIGIN).data
        assert wallet.secret("token") == b"t"


def test_signs_the_request_with_the_key_it_names(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    joined = join(exchange, url, tmp_path / "home")
    _, headers, body = next(r for r in exchange.requests if r[0] == "POST /v1/join")
    created = int(headers["signature-input"].split("created=")[1].split(";")[0])
    signature = verify_request(headers, method="POST", path="/v1/join", body=body, now=created)
    key = Seed.from_phrase(joined.phrase, ORIGIN).member_key()
    assert signature.key == public_key_text(key)
    assert signature.key.encode() in body


def test_a_home_is_not_joined_with_another_invite(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    join(exchange, url, tmp_path / "home")
    other = msgspec.structs.replace(exchange.invite(url), invite_id="other")
    with pytest.raises(NoMember, match="already"):
        Member.join(format_invite(other), tmp_path / "home", arguments=FAST)


def test_the_invite_that_made_a_home_brings_a_fresh_token(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    first = join(exchange, url, tmp_path / "home")
    exchange.answers["/v1/join"] = lambda answer: answer | {"token": "fresh"}
    again = join(exchange, url, tmp_path / "home")
    assert (first.phrase != "", again.phrase) == (True, "")
    with Member.open(tmp_path / "home").wallet() as wallet:
        assert wallet.secret("token") == b"fresh"
    exchange.answers["/v1/join"] = lambda _: Problem(403, "suspended", "Suspended", "ask")
    with pytest.raises(Refused):
        join(exchange, url, tmp_path / "home")
    assert Member.open(tmp_path / "home").role == "contributor"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Problem(403, "invite-used", "Invite used up", "ask the operator"), Refused),
        (Problem(410, "invite-expired", "Invite expired", "ask the operator"), Refused),
    ],
    ids=["used", "expired"],
)
def test_a_refused_invite_leaves_nothing(
    answer: Any, error: type[Exception], exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    exchange.answers["/v1/join"] = lambda _: answer
    with pytest.raises(error) as refused:
        join(exchange, url, tmp_path / "home")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_invite_leaves_nothing(exchange: LyingExchange, url: str, tmp_path: Path) -> None:
    line = format_invite(exchange.invite(url))
    with pytest.raises(InviteError, match="operator"):
        Member.join(line[:-20], tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_dead_exchange_leaves_nothing(exchange: LyingExchange, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        join(exchange, "http://127.0.0.1:9", tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_an_exchange_with_another_key_is_not_joined(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    line = format_invite(exchange.invite(url))
    exchange.signer = Signer.generate(ORIGIN)
    with pytest.raises(ExchangeError, match="not the exchange of this invite"):
        Member.join(line, tmp_path / "home", arguments=FAST)
    assert list(tmp_path.iterdir()) == []
    assert not any(request[0] == "POST /v1/join" for request in exchange.requests)


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.connection.close(),
        b"<html>",
        {"member": "m", "role": "contributor", "token": ""},
    ],
    ids=["none", "no JSON", "no token"],
)
def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    answer: Any, exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    exchange.answers["/v1/join"] = lambda _: answer
    with pytest.raises(ExchangeError, match="run the same command again"):
        join(exchange, url, tmp_path / "home")
    assert not (tmp_path / "home" / "config.toml").exists()
    del exchange.answers["/v1/join"]
    joined = join(exchange, url, tmp_path / "home")
    key = public_key_text(Seed.from_phrase(joined.phrase, ORIGIN).member_key())
    bodies = [body for name, _, body in exchange.requests if name == "POST /v1/join"]
    assert len(bodies) == 2
    assert all(key.encode() in body for body in bodies)


def test_a_passphrase_closes_the_wallet(exchange: LyingExchange, url: str, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    join(exchange, url, tmp_path / "home", passphrase_file=str(secret))
    assert not (tmp_path / "home" / "wallet" / "key").exists()
    closed, opened = (
        Member.open(tmp_path / "home"),
        Member.open(tmp_path / "home", {"passphrase_file": str(secret)}),
    )
    with pytest.raises(WalletError, match="passphrase"), closed.wallet():
        pass
    with opened.wallet() as wallet:
        assert wallet.origin == ORIGIN


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_a_missing_passphrase_is_one_line(
    content: bytes | None, exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    secret = tmp_path / "passphrase"
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(SettingError, match="passphrase"):
        join(exchange, url, tmp_path / "home", passphrase_file=str(secret))
    assert not (tmp_path / "home").exists()


def test_a_directory_that_is_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NoMember, match="acx join"):
        Member.open(tmp_path)
