"""The wallet keeps what it was given, from everybody else, and from other processes' writes."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import msgspec
import pytest

from acx.member.errors import WalletError
from acx.member.seed import Seed
from acx.member.wallet import Contribution, Message, Wallet

ORIGIN = "acx.example/test"


def make(directory: Path, passphrase: bytes | None = None) -> Wallet:
    return Wallet.create(directory, Seed(bytes(range(32)), ORIGIN), ORIGIN, passphrase)


def test_opens_with_its_key_file(tmp_path: Path) -> None:
    make(tmp_path / "wallet").close()
    wallet = Wallet.open(tmp_path / "wallet")
    assert wallet.seed().data == bytes(range(32))
    assert wallet.origin == ORIGIN
    assert (tmp_path / "wallet" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "wallet" / "wallet.db").stat().st_mode & 0o777 == 0o600


def test_opens_with_its_passphrase_and_no_other(tmp_path: Path) -> None:
    make(tmp_path, b"correct horse").close()
    assert Wallet.needs_passphrase(tmp_path)
    assert not (tmp_path / "key").exists()
    assert Wallet.open(tmp_path, b"correct horse").seed().data == bytes(range(32))
    with pytest.raises(WalletError, match="passphrase is wrong"):
        Wallet.open(tmp_path, b"correct hose")
    with pytest.raises(WalletError, match="ACX_PASSPHRASE_FILE"):
        Wallet.open(tmp_path)


def test_a_passphrase_can_take_the_key_files_place(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    wallet.protect(b"from now on")
    wallet.close()
    assert not (tmp_path / "key").exists()
    assert Wallet.open(tmp_path, b"from now on").seed().data == bytes(range(32))


def test_refuses_a_key_file_that_others_can_read(tmp_path: Path) -> None:
    make(tmp_path).close()
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(WalletError, match="chmod 600"):
        Wallet.open(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "short", "another"])
def test_a_damaged_key_file_is_one_line(tmp_path: Path, damage: str) -> None:
    make(tmp_path).close()
    key = tmp_path / "key"
    if damage == "missing":
        key.unlink()
    else:
        key.write_bytes(b"x" * (5 if damage == "short" else 32))
    with pytest.raises(WalletError, match="key"):
        Wallet.open(tmp_path)


def test_never_replaces_a_wallet(tmp_path: Path) -> None:
    make(tmp_path).close()
    with pytest.raises(WalletError, match="already"):
        make(tmp_path)
    assert Wallet.open(tmp_path).seed().data == bytes(range(32))


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wallet.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(WalletError, match="damaged"):
        Wallet.open(tmp_path)


def test_nothing_of_what_it_keeps_can_be_read_from_its_files(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    contribution = wallet.store(
        Contribution(kind="report", counter=0, report="a" * 26, account="seller-4711")
    )
    wallet.put(Message(contribution=contribution.id, type="report", body=b'{"name":"ACME"}'))
    wallet.keep_secret("token", b"bearer-token")
    wallet.close()
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (b"seller-4711", b"a" * 26, b"ACME", b"bearer-token", bytes(range(32))):
        assert secret not in everything


def test_finds_contributions_by_account_and_by_report(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    first = wallet.store(Contribution(kind="report", counter=0, report="r1", account="a"))
    second = wallet.store(Contribution(kind="corroboration", counter=1, report="r2", account="a"))
    wallet.store(Contribution(kind="report", counter=2, report="r3", account="b"))
    assert wallet.contributions(account="a") == [first, second]
    assert wallet.contributions(report="r2") == [second]
    changed = wallet.store(msgspec.structs.replace(first, digest="d"))
    assert wallet.contribution(first.id) == changed


def test_a_keys_later_event_waits_for_its_earlier_one(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    one = wallet.store(Contribution(kind="report", counter=0, report="r1"))
    two = wallet.store(Contribution(kind="report", counter=1, report="r2"))
    report = wallet.put(Message(contribution=one.id, type="report", body=b"{}"))
    amendment = wallet.put(Message(contribution=one.id, type="amendment", body=b"{}"))
    other = wallet.put(Message(contribution=two.id, type="report", body=b"{}"))
    assert wallet.next_to_send() == [report.id, other.id]
    wallet.put(msgspec.structs.replace(report, state="acknowledged", index=3))
    assert wallet.next_to_send() == [amendment.id, other.id]
    assert [m.index for m in wallet.messages(states=("acknowledged",))] == [3]


def test_what_was_sent_cannot_be_dropped(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    mine = wallet.store(Contribution(kind="report", counter=0, report="r1"))
    message = wallet.put(Message(contribution=mine.id, type="report", body=b"{}", state="sent"))
    wallet.drop(message)
    assert wallet.message(message.id) == message


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    wallet = make(tmp_path)

    def store_and_fail() -> None:
        with wallet.transaction():
            wallet.store(Contribution(kind="report", counter=0, report="r1"))
            raise KeyError

    with pytest.raises(KeyError):
        store_and_fail()
    assert wallet.contributions() == []


def _burn(directory: Path, times: int, results: multiprocessing.Queue[list[int]]) -> None:
    wallet = Wallet.open(directory)
    results.put([number for _ in range(times) for number in wallet.burn_counters(1)])


def test_two_processes_never_get_the_same_counter(tmp_path: Path) -> None:
    make(tmp_path).close()
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[int]] = context.Queue()
    processes = [context.Process(target=_burn, args=(tmp_path, 50, results)) for _ in range(2)]
    for process in processes:
        process.start()
    burnt = [*results.get(timeout=60), *results.get(timeout=60)]
    for process in processes:
        process.join()
    assert sorted(burnt) == list(range(100))


def test_a_backup_restores_everything(tmp_path: Path) -> None:
    wallet = make(tmp_path / "old")
    wallet.store(Contribution(kind="report", counter=wallet.burn_counters(1)[0], report="r1"))
    wallet.backup(tmp_path / "acx.backup", b"pass")
    with pytest.raises(WalletError, match="passphrase is wrong"):
        Wallet.restore(tmp_path / "new", tmp_path / "acx.backup", b"wrong")
    assert list((tmp_path / "new").iterdir()) == []
    restored = Wallet.restore(tmp_path / "new", tmp_path / "acx.backup", b"pass")
    assert restored.seed().data == wallet.seed().data
    assert restored.contributions() == wallet.contributions()
    assert restored.burn_counters(2) == range(1, 3)


def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    wallet = make(tmp_path / "old")
    (tmp_path / "acx.backup").write_text("mine")
    with pytest.raises(WalletError, match="exists"):
        wallet.backup(tmp_path / "acx.backup", b"pass")
    assert (tmp_path / "acx.backup").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acx.backup", "old"]


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    wallet = make(tmp_path)
    wallet.store(Contribution(kind="report", counter=0, report="r1"))
    pages = wallet._connection.execute("PRAGMA page_count").fetchone()[0]
    wallet._connection.execute(f"PRAGMA max_page_count = {pages}")
    stored = Contribution(kind="report", counter=1, report="r", account="x" * 100_000)
    with pytest.raises(WalletError, match="disk is full"):
        wallet.store(stored)
    connection = sqlite3.connect(tmp_path / "wallet.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
