"""Cosigned is what the invite's witnesses have signed, and what our entries lead to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import FAST

from acx.log.cosignature import Cosigner
from acx.log.errors import BadSignature, Forked, LogError, MalformedNote
from acx.log.fork import parse_fork_proof, verify_fork_proof
from acx.log.note import Signer, Verifier
from acx.member.client import ExchangeClient
from acx.member.home import Member
from acx.member.replica import Replica
from acx.member.sync import sync
from acx.member.verify import verify_replica
from acx.member.watch import NewEvent, watch
from acx.member.witnessed import warning_of, witnessed
from acx.records.invite import format_invite

WITNESSES = [Cosigner.generate(f"{name}.example") for name in ("a", "b", "c")]
TWO_OF_THREE = (
    "".join(f"witness {w.name[0]} {w.verifier.vkey}\n" for w in WITNESSES)
    + "group g 2 a b c\nquorum g\n"
)
A, B, C = WITNESSES


@pytest.fixture
def exchange() -> LyingExchange:
    made = LyingExchange(policy=TWO_OF_THREE)
    for number in range(3):
        made.report(f"seller {number}")
    return made


@pytest.fixture
def replica(exchange: LyingExchange, tmp_path: Path) -> Replica:
    return Replica.create(tmp_path / "replica", exchange.trust)


@pytest.fixture
def fetch(replica: Replica, url: str) -> Callable[[], int]:
    """Syncs, and gives how much is cosigned."""
    client = ExchangeClient(url, token="t", timeout=5.0)
    return lambda: sync(replica, client, threads=1).cosigned


def test_where_no_witness_is_asked_for_all_that_is_trusted_counts(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    exchange.policy = ""
    replica = Replica.create(tmp_path / "other", exchange.trust)
    sync(replica, ExchangeClient(url, token="t"), threads=1)
    assert replica.cosigned_size == replica.size == 3
    assert warning_of(replica, time.time() + 10**6) == ""


def test_entries_apply_at_once_and_count_as_cosigned_when_enough_have_signed(
    exchange: LyingExchange, replica: Replica, fetch: Callable[[], int]
) -> None:
    assert (fetch(), replica.size) == (0, 3)
    exchange.cosign(A)
    assert fetch() == 0
    exchange.cosign(A, C)
    assert fetch() == 3
    # It comes behind: the log has grown meanwhile.
    exchange.report("seller 3")
    exchange.report("seller 4")
    assert (fetch(), replica.size) == (3, 5)
    exchange.cosign(B, C, size=4)
    assert (fetch(), replica.size) == (4, 5)
    # An older one takes nothing back.
    exchange.cosign(A, B, size=2)
    assert fetch() == 4
    reopened = Replica.open(replica.directory, read_only=True)
    assert reopened.cosigned_size == 4
    assert witnessed(reopened).cosigners == ("b", "c")
    assert verify_replica(reopened).witnessed.size == 4


def test_what_is_cosigned_is_met_on_the_way_of_a_first_sync(
    exchange: LyingExchange, replica: Replica, fetch: Callable[[], int]
) -> None:
    exchange.cosign(A, B, size=2)
    assert (fetch(), replica.size) == (2, 3)


def test_a_stranger_and_the_same_witness_twice_are_not_enough(
    exchange: LyingExchange, fetch: Callable[[], int]
) -> None:
    exchange.cosign(A, Cosigner.generate("b.example"), Cosigner.generate("d.example"))
    assert fetch() == 0
    exchange.cosign(A, A)
    assert fetch() == 0


def test_a_forged_cosignature_is_refused_and_nothing_is_lost(
    exchange: LyingExchange, replica: Replica, fetch: Callable[[], int]
) -> None:
    exchange.cosign(A, B)
    honest = exchange.cosigned
    exchange.cosigned = honest.replace(honest[-20:-4], "AAAAAAAAAAAAAAAA")
    with pytest.raises((BadSignature, MalformedNote)):
        fetch()
    exchange.cosigned = exchange.note(2)[:-10]
    with pytest.raises(LogError):
        fetch()
    exchange.cosigned = honest
    assert (fetch(), replica.size) == (3, 3)


def test_another_history_that_witnesses_saw_is_a_fork_with_proof(
    exchange: LyingExchange, replica: Replica, fetch: Callable[[], int]
) -> None:
    fetch()
    kept, exchange.entries = list(exchange.entries), exchange.entries[:1]
    exchange.report("shown to the witnesses alone")
    exchange.cosign(A, B)
    exchange.entries = kept
    before = replica.cosigned_size
    with pytest.raises(Forked) as found:
        fetch()
    fork = verify_fork_proof(parse_fork_proof(found.value.proof), exchange.signer.verifier)
    assert (fork.smaller.size, fork.larger.size) == (2, 3)
    assert replica.cosigned_size == before
    evidence = next((replica.directory / "evidence").iterdir())
    assert (evidence / "fork.json").read_text() == found.value.proof


def test_only_the_logs_own_checkpoint_counts(
    exchange: LyingExchange, fetch: Callable[[], int]
) -> None:
    own, exchange.signer = exchange.signer, Signer.generate(exchange.origin)
    exchange.cosign(A, B)
    exchange.signer = own
    with pytest.raises(LogError):
        fetch()


def test_the_stream_tells_what_is_cosigned(
    exchange: LyingExchange, replica: Replica, url: str
) -> None:
    items = watch(replica, ExchangeClient(url, token="t"), threads=1)
    next(item for item in items if not isinstance(item, NewEvent))
    exchange.cosign(A, B)
    exchange.report("seller 3")
    assert isinstance(next(items), NewEvent)
    exchange.cosign(A, C)
    exchange.report("seller 4")
    assert isinstance(next(items), NewEvent)
    while replica.cosigned_size < 4:
        exchange.report("another")
        next(items)
    items.close()  # type: ignore[attr-defined]


def test_witnesses_that_lag_for_long_are_warned_of(
    exchange: LyingExchange, replica: Replica, fetch: Callable[[], int]
) -> None:
    fetch()
    now = time.time()
    assert "so far" in warning_of(replica, now)
    exchange.cosign(A, B, at=int(now))
    fetch()
    assert warning_of(replica, now + 10**6) == ""
    exchange.report("seller 3")
    fetch()
    assert warning_of(replica, now + 60) == ""
    told = warning_of(replica, now + 2 * 3600)
    assert "newest 1 of 4 entries since 2" in told
    assert "--against" in told


def test_the_invites_policy_becomes_the_replicas(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    exchange.cosign(A, B)
    Member.join(format_invite(exchange.invite(url)), tmp_path / "home", arguments=FAST)
    member = Member.open(tmp_path / "home", FAST)
    assert member.sync().cosigned == 3
    assert member.checkpoint() == exchange.cosigned
    assert member.log_key == Verifier.parse(member.log_key).vkey
