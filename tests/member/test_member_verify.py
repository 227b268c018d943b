"""Verifying finds what is not as it was signed: in one's own copy, and in the exchange's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.member.lying_exchange import LyingExchange

from acx.errors import AcxError
from acx.log.entry import pack_keys
from acx.log.errors import EntryMismatch, Forked, InconsistentLog, LogError, RootMismatch
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, ReplicaError, Withheld
from acx.member.home import Member
from acx.member.replica import Replica
from acx.member.sync import sync
from acx.member.verify import Compared, compare, compare_keys, verify_replica


@pytest.fixture
def replica(exchange: LyingExchange, url: str, tmp_path: Path) -> Replica:
    """Four reports, one of which was erased."""
    made = Replica.create(tmp_path / "replica", exchange.trust)
    for number in range(3):
        exchange.report(f"seller {number}")
    exchange.erase(exchange.report("seller gone"), 3)
    sync(made, ExchangeClient(url, token="t"), threads=1)
    return made


def rewrite(replica: Replica, index: int, **changes: object) -> None:
    """Change an entry behind the replica's back, sealed as it seals."""
    stored = msgspec.structs.replace(replica.entry(index), **changes)
    sealed = replica.vault.seal(
        msgspec.msgpack.encode((stored.k, stored.at, stored.event)), f"entry/{index}"
    )
    replica.connection.execute(
        "UPDATE entry SET entry = ?, sealed = ? WHERE idx = ?", (stored.entry, sealed, index)
    )


def test_an_honest_copy_verifies(exchange: LyingExchange, replica: Replica) -> None:
    done: list[tuple[int, int]] = []
    verified = verify_replica(replica, progress=lambda so_far, of: done.append((so_far, of)))
    assert (verified.size, verified.opened, verified.gone, verified.reports) == (6, 5, 1, 4)
    assert verified.root == replica.checkpoint.root.hex()  # type: ignore[union-attr]
    assert done[-1] == (6, 6)


def test_a_replica_that_was_never_synced_has_nothing_to_verify(
    exchange: LyingExchange, tmp_path: Path
) -> None:
    empty = Replica.create(tmp_path / "empty", exchange.trust)
    with pytest.raises(ReplicaError, match="acx sync"):
        verify_replica(empty)


def another_event(replica: Replica) -> None:
    rewrite(replica, 0, event=replica.entry(1).event)


def another_hour(replica: Replica) -> None:
    rewrite(replica, 0, at="2020-01-01T00Z")


def another_entry(replica: Replica) -> None:
    replica.connection.execute("UPDATE entry SET entry = ? WHERE idx = 3", (bytes(32),))


def a_body_taken_away(replica: Replica) -> None:
    replica.connection.execute("UPDATE entry SET sealed = NULL WHERE idx = 1")


def a_row_of_another_place(replica: Replica) -> None:
    replica.connection.execute(
        "UPDATE entry SET sealed = (SELECT sealed FROM entry WHERE idx = 1) WHERE idx = 0"
    )


def a_report_left_out(replica: Replica) -> None:
    replica.connection.execute("DELETE FROM report WHERE state = 'active'")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (another_event, EntryMismatch),
        (another_hour, EntryMismatch),
        (another_entry, RootMismatch),
        (a_body_taken_away, Withheld),
        (a_row_of_another_place, ReplicaError),
        (a_report_left_out, ReplicaError),
    ],
)
def test_a_copy_that_was_changed_does_not(
    change: Callable[[Replica], None], error: type[AcxError], replica: Replica
) -> None:
    change(replica)
    with pytest.raises(error) as refused:
        verify_replica(replica)
    assert "\n" not in str(refused.value)


def test_another_members_checkpoint_agrees_at_every_size(
    exchange: LyingExchange, replica: Replica
) -> None:
    for size in range(replica.size + 1):
        assert compare(replica, exchange.note(size)) == Compared(size=6, other_size=size)


def test_another_members_checkpoint_of_another_log_is_a_fork(
    exchange: LyingExchange, replica: Replica
) -> None:
    exchange.entries[1].k = bytes(32)
    for size in range(2, replica.size + 1):
        with pytest.raises(Forked) as refused:
            compare(replica, exchange.note(size))
        assert len(refused.value.evidence) == 2
    assert compare(replica, exchange.note(1)).other_size == 1


def test_a_larger_checkpoint_needs_files_to_compare(
    exchange: LyingExchange, replica: Replica
) -> None:
    exchange.report("seller new")
    with pytest.raises(ReplicaError, match="acx sync"):
        compare(replica, exchange.note())


def test_a_checkpoint_of_somebody_else_is_no_evidence(replica: Replica) -> None:
    with pytest.raises(LogError) as refused:
        compare(replica, LyingExchange().note())
    assert not isinstance(refused.value, InconsistentLog)


class Keys:
    """Key pages of two records each."""

    def __init__(self, keys: list[bytes | None]) -> None:
        self.keys = keys

    def key_pages(self, after: int) -> tuple[int, bytes]:
        first = (after + 1) // 2 * 2
        return first, pack_keys(self.keys[first : first + 2])


def test_key_pages_agree_with_what_was_given(exchange: LyingExchange, replica: Replica) -> None:
    keys = [None if entry.destroyed else entry.k for entry in exchange.entries]
    assert compare_keys(replica, Keys(keys)) == 6
    assert compare_keys(replica, Keys([*keys, bytes(32), bytes(32)])) == 6


@pytest.mark.parametrize(
    ("index", "key", "error"),
    [(1, None, Withheld), (2, bytes(32), EntryMismatch), (5, None, Withheld)],
)
def test_a_key_that_went_without_a_word_is_told(
    index: int,
    key: bytes | None,
    error: type[AcxError],
    exchange: LyingExchange,
    replica: Replica,
) -> None:
    keys = [None if entry.destroyed else entry.k for entry in exchange.entries]
    keys[index] = key
    with pytest.raises(error) as refused:
        compare_keys(replica, Keys(keys))
    assert refused.value.exit_code == 5
    assert str(index) in str(refused.value)


def test_key_pages_that_end_too_early_are_no_answer(replica: Replica) -> None:
    keys = Keys([replica.entry(0).k, replica.entry(1).k])
    with pytest.raises(BadAnswer, match="end at 2 of 6"):
        compare_keys(replica, keys)


def test_a_member_verifies_and_keeps_the_evidence(
    exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    exchange.report("seller one")
    member.sync()
    assert member.verify().compared is None
    (tmp_path / "theirs").write_text(exchange.note())
    assert member.verify(against=str(tmp_path / "theirs")).compared is not None
    exchange.entries[0].k = bytes(32)
    (tmp_path / "theirs").write_text(exchange.note())
    with pytest.raises(Forked, match="what proves it is in"):
        member.verify(against=str(tmp_path / "theirs"))
    assert len(list((member.home / "replica" / "evidence").rglob("[12].txt"))) == 2


@pytest.mark.parametrize("against", ["missing", "damaged"])
def test_a_file_without_a_checkpoint_is_one_line(
    against: str, exchange: LyingExchange, member: Member, tmp_path: Path
) -> None:
    exchange.report("seller one")
    member.sync()
    (tmp_path / "damaged").write_bytes(b"\xff\xfe")
    with pytest.raises(AcxError) as refused:
        member.verify(against=str(tmp_path / against))
    assert "\n" not in str(refused.value)
