"""Which issuer keys a member believes, and that it is never hurried into using one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import (
    LONG_AGO,
    ORIGIN,
    LyingExchange,
    Problem,
    base64_text,
    serving,
)
from tests.member.processes import FAST
from tests.member.test_member_report import posted, report, row

from acx.credentials.credential import Credential
from acx.credentials.keys import SecretKey
from acx.log.cosignature import Cosigner
from acx.member.errors import ContributionError, ForgedCredential
from acx.member.home import Member
from acx.member.issuer_keys import Believed, IssuerKeys
from acx.records.event import Act, IssuerKey, sign_event
from acx.records.invite import format_invite
from acx.records.issuer_keys import issuer_key_id

HOUR = 3600.0
DAY = 24 * HOUR
NOW = time.time()


def hour(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%HZ", time.gmtime(moment))


@dataclass
class Clock:
    """A member's clock that a test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def keys_of(member: Member, clock: Clock) -> Iterator[IssuerKeys]:
    with member.wallet() as wallet, member.replica() as replica:
        yield IssuerKeys(wallet, replica, clock=clock)


def believed(member: Member, clock: Clock) -> Believed:
    with keys_of(member, clock) as keys:
        return keys.believed()


def synced(member: Member, clock: Clock) -> Believed:
    """What is believed after a sync at a moment."""
    member.sync()
    with member.wallet() as wallet, member.client(wallet) as client, member.replica() as replica:
        keys = IssuerKeys(wallet, replica, clock=clock)
        keys.renew(client)
        return keys.believed()


def another(exchange: LyingExchange, at: float, **changes: Any) -> str:
    """The exchange changes its key; gives the new one's id."""
    exchange.issuer = SecretKey.generate()
    changes.setdefault("not_before", hour(at + 14 * DAY))
    return exchange.publish_key(hour(at), **changes)


def credential(member: Member, key: str) -> Credential | None:
    with member.wallet() as wallet:
        name = f"credential/{key}"
        return Credential.decode(wallet.secret(name)) if wallet.has_secret(name) else None


def test_the_founding_key_is_believed_at_once(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    assert synced(member, clock).current == exchange.issuer_key_id


def test_another_key_is_believed_when_it_is_a_day_old_and_used_from_its_start(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    founding = exchange.issuer_key_id
    member.sync()
    key = another(exchange, NOW)
    assert key in synced(member, clock).objections
    clock.now = NOW + 24 * HOUR
    assert key in synced(member, clock).objections
    clock.now = NOW + 25 * HOUR + HOUR
    later = synced(member, clock)
    assert later.objections == {}
    assert later.current == founding
    assert [term.id for term in later.usable] == [founding, key]
    clock.now = NOW + 14 * DAY + HOUR
    assert believed(member, clock).current == key


def test_a_key_that_pretends_to_be_old_counts_from_when_it_was_first_missing(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    founding = exchange.issuer_key_id
    synced(member, clock)
    clock.now = NOW + 10 * DAY
    synced(member, clock)
    exchange.issuer = SecretKey.generate()
    key = exchange.publish_key(LONG_AGO)
    assert synced(member, clock).current == founding
    assert key in believed(member, clock).objections
    clock.now += DAY + 2 * HOUR
    assert believed(member, clock).current == key


def test_a_key_that_came_after_us_is_no_founding_key_whatever_the_record_lacks(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    # No act in this log says that we joined.
    exchange.issuer = SecretKey.generate()
    key = exchange.publish_key(LONG_AGO)
    assert key in synced(member, clock).objections


def test_a_key_that_came_after_the_first_admission_is_no_founding_key(
    exchange: LyingExchange, url: str, tmp_path: Path, clock: Clock
) -> None:
    exchange.act("act", Act(act="invited", code="contributor"))
    key = exchange.publish_key(hour(NOW))
    Member.join(format_invite(exchange.invite(url)), tmp_path / "home", arguments=FAST)
    member = Member.open(tmp_path / "home", FAST)
    assert key in synced(member, clock).objections
    _, sent = report(member, row(1))
    assert "counts from" in sent.stopped
    assert posted(exchange) == []


@pytest.mark.parametrize("forger", ["a stranger", "another id"])
def test_only_an_operators_word_makes_a_key(
    exchange: LyingExchange, member: Member, clock: Clock, forger: str
) -> None:
    founding = exchange.issuer_key_id
    public = base64_text(SecretKey.generate().public_key.encode())
    if forger == "a stranger":
        body = IssuerKey(id="a" * 26, public_key=public, not_before=LONG_AGO)
        exchange.append(
            sign_event(Ed25519PrivateKey.generate(), origin=ORIGIN, type="key", body=body)
        )
    else:
        exchange.publish_key(LONG_AGO, id="a" * 26)
    clock.now += 10 * DAY
    found = synced(member, clock)
    assert found.current == founding
    assert found.objections == {}


def test_an_emergency_key_is_believed_after_an_hour_and_one_a_week(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    synced(member, clock)
    first = another(exchange, NOW, emergency=True, not_before=hour(NOW + 3 * HOUR))
    clock.now = NOW + 3 * HOUR
    assert synced(member, clock).current == first
    clock.now = NOW + 5 * DAY
    second = another(exchange, clock.now, emergency=True, not_before=hour(clock.now + 3 * HOUR))
    synced(member, clock)
    clock.now += 4 * HOUR
    assert believed(member, clock).current == first
    clock.now += DAY
    assert believed(member, clock).current == second


def test_a_key_that_no_witness_has_seen_is_nobodys(tmp_path: Path, clock: Clock) -> None:
    witness = Cosigner.generate("witness.example/one")
    exchange = LyingExchange(
        policy=f"witness one {witness.verifier.vkey}\nquorum one\n",
    )
    with serving(exchange) as url:
        Member.join(format_invite(exchange.invite(url)), tmp_path / "home", arguments=FAST)
        member = Member.open(tmp_path / "home", FAST)
        with pytest.raises(ContributionError, match="cosigned"):
            _ = synced(member, clock).current
        _, sent = report(member, row(1))
        assert (sent.waiting, posted(exchange)) == (1, [])
        exchange.cosign(witness)
        assert synced(member, clock).current == exchange.issuer_key_id
        assert len(member.send(at_once=True).acknowledged) == 1


def test_the_next_credential_is_fetched_ahead_of_need_at_a_time_of_its_own(
    exchange: LyingExchange, url: str, tmp_path: Path, clock: Clock
) -> None:
    line = format_invite(exchange.invite(url))
    members = []
    for name in ("a", "b", "c"):
        Member.join(line, tmp_path / name, arguments=FAST)
        members.append(Member.open(tmp_path / name, FAST))
        synced(members[-1], clock)
    key = another(exchange, NOW)
    dues = set()
    for member in members:
        clock.now = NOW + 26 * HOUR
        synced(member, clock)
        with member.wallet() as wallet:
            due = msgspec.json.decode(wallet.secret(f"issuer-keys/{key}"))["due"]
        assert clock.now <= due <= NOW + 14 * DAY - HOUR
        for moment in (due - 1, due):
            assert credential(member, key) is None
            clock.now = moment
            synced(member, clock)
        assert credential(member, key) is not None
        dues.add(due)
    assert len(dues) == 3


def test_a_waiting_report_does_not_hurry_the_next_credential(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    synced(member, clock)
    key = another(exchange, NOW)
    clock.now = NOW + 26 * HOUR
    with keys_of(member, clock) as keys:
        keys._wallet.keep_secret(
            f"issuer-keys/{key}", msgspec.json.encode({"since": 0.0, "due": NOW + 10 * DAY})
        )
    synced(member, clock)
    exchange.answers["/v1/events"] = lambda answer: (
        Problem(503, "busy", "Busy", "later") if "receipt" in answer else answer
    )
    report(member, row(1))
    synced(member, clock)
    assert credential(member, key) is None
    clock.now = NOW + 10 * DAY
    synced(member, clock)
    assert credential(member, key) is not None


def test_a_wallet_that_was_away_fetches_what_it_needs_now(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    synced(member, clock)
    key = another(exchange, NOW)
    clock.now = NOW + 15 * DAY
    # It came back to a log that it had not seen for long: then its word for the hour is all.
    synced(member, clock)
    clock.now += 2 * DAY
    assert synced(member, clock).current == key
    assert credential(member, key) is not None


def test_a_credential_by_another_key_than_the_logs_is_evidence_and_not_used(
    exchange: LyingExchange, member: Member, clock: Clock
) -> None:
    synced(member, clock)
    another(exchange, NOW)
    honest, exchange.issuer = exchange.issuer, SecretKey.generate()
    published = issuer_key_id(honest.public_key.encode())
    exchange.answers["/v1/credentials"] = lambda answer: answer | {"key": published}
    clock.now = NOW + 16 * DAY
    with pytest.raises(ForgedCredential, match="the log names") as forged:
        synced(member, clock)
    assert forged.value.exit_code == 5


def test_an_exchange_that_issues_nothing_is_told_and_stops_no_reading(
    exchange: LyingExchange, member: Member
) -> None:
    with member.wallet() as wallet:
        wallet.keep_secret("answer/none", b"")
        wallet._connection.execute("DELETE FROM secret WHERE name LIKE 'answer/%'")
    exchange.answers["/v1/credentials"] = lambda _: Problem(409, "foreign-commitment", "No", "ask")
    assert "was not issued" in member.sync().warning
    _, sent = report(member, row(1))
    assert "no credential under" in sent.stopped
    del exchange.answers["/v1/credentials"]
    assert member.sync().warning == ""
    assert len(member.send(at_once=True).acknowledged) == 1


def test_the_recovery_phrase_brings_the_same_tags_back(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    line = format_invite(exchange.invite(url))
    joined = Member.join(line, tmp_path / "lost", arguments=FAST)
    Member.join(line, tmp_path / "found", phrase=joined.phrase, arguments=FAST)
    theirs = exchange.report("somebody")
    seeds = []
    for name in ("lost", "found"):
        member = Member.open(tmp_path / name, FAST)
        member.outcome([(theirs, "blocked")], at_once=True)
        with member.wallet() as wallet:
            seeds.append(wallet.seed().credential_request())
    assert seeds[0].request.commitment == seeds[1].request.commitment
    assert seeds[0].request.m2_enc == seeds[1].request.m2_enc
    first, second = posted(exchange)
    assert first.tags == second.tags
    assert first.by != second.by


def test_the_posters_request_names_nobody(exchange: LyingExchange, member: Member) -> None:
    report(member, row(1))
    ((_, headers, body),) = [r for r in exchange.requests if r[0] == "POST /v1/events"]
    with member.wallet() as wallet:
        key = wallet.seed().member_key()
    assert not {"authorization", "cookie", "signature", "signature-input"} & set(headers)
    assert base64_text(key.public_key().public_bytes_raw()).encode() not in body
    assert len(body) in {8 << 10, 16 << 10}
