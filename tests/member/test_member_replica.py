"""A replica takes what is proven, refuses what is not, and is the same however it came about."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import LyingExchange, Problem
from tests.member.processes import sync_for_ever

from acx.log.errors import Forked, InconsistentLog, LogError, RootMismatch, Shrunk
from acx.log.note import Signer
from acx.member.client import ExchangeClient
from acx.member.errors import BadAnswer, ExchangeError, InvalidEntry, ReplicaError, Withheld
from acx.member.replica import Replica
from acx.member.sync import Synced, sync
from acx.member.writer import writing
from acx.records.event import Corroboration, Dispute, Erasure, sign_event
from acx.records.state import Entry, Reports


@pytest.fixture
def replica(exchange: LyingExchange, tmp_path: Path) -> Replica:
    return Replica.create(tmp_path / "replica", exchange.trust)


def fetch(replica: Replica, url: str, **options: Any) -> Synced:
    client = ExchangeClient(url, token="t", timeout=2.0)
    try:
        return sync(replica, client, threads=2, **options)
    finally:
        client.close()


def content(replica: Replica) -> tuple[object, ...]:
    """Everything a replica says, and what lies on the disk of it."""
    staged = replica.connection.execute("SELECT count(*) FROM entry").fetchone()[0]
    checkpoint = replica.checkpoint
    return (
        replica.size,
        staged,
        checkpoint.root if checkpoint else None,
        tuple((e.index, e.entry, e.event) for e in replica.entries()),
        tuple(sorted(replica.reports(), key=lambda view: view.id)),
    )


def test_takes_an_honest_log(exchange: LyingExchange, url: str, replica: Replica) -> None:
    reports = [exchange.report(f"seller {number}") for number in range(5)]
    synced = fetch(replica, url)
    assert synced == Synced(since=0, size=5, changed=tuple(sorted(reports)), cosigned=5)
    assert {view.id: view.state for view in replica.reports("active")} == dict.fromkeys(
        reports, "active"
    )
    assert fetch(replica, url) == Synced(since=5, size=5, changed=(), cosigned=5)


def test_takes_an_empty_log(url: str, replica: Replica) -> None:
    assert fetch(replica, url) == Synced(since=0, size=0, changed=(), cosigned=0)
    assert replica.synced > 0


def test_takes_up_where_a_broken_sync_ended(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    for number in range(7):
        exchange.report(f"seller {number}")
    pages: list[int] = []

    def three_entries_then_dead(page: dict[str, Any]) -> Any:
        pages.append(len(page["entries"]))
        if len(pages) == 3:
            return Problem(503, "busy", "Busy", "try later")
        return page | {"entries": page["entries"][:3]}

    exchange.answers["/v1/events"] = three_entries_then_dead
    with pytest.raises(ExchangeError, match="try later"):
        fetch(replica, url)
    # Six are staged and none is trusted: they lead to no signed root yet.
    assert (replica.size, content(replica)[1]) == (0, 6)
    del exchange.answers["/v1/events"]
    assert fetch(replica, url).size == 7
    assert exchange.requests[-2][0] == "GET /v1/events?after=5&limit=1000"


def test_follows_follow_ups_of_reports_it_knows(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("seller one", tag="a")
    fetch(replica, url)
    exchange.append(
        sign_event(
            Ed25519PrivateKey.generate(),
            origin=exchange.origin,
            type="corroboration",
            body=Corroboration(version=1, confirmed_by=("laboratory",), confirmed_on="2026-10"),
            report=report,
            tags={f"stand/{report}/1": "b"},
            issuer_key="k1",
        )
    )
    exchange.act("dispute", Dispute(code="mistaken_identity"), report=report)
    assert fetch(replica, url).changed == (report,)
    view = replica.report(report)
    assert view is not None
    assert (view.state, view.contributors) == ("disputed", 2)


def test_an_erased_report_is_gone_from_the_disk(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("Very Secret Seller")
    exchange.report("other seller")
    fetch(replica, url)
    (sealed,) = replica.connection.execute("SELECT sealed FROM entry WHERE idx = 0").fetchone()
    files = replica.directory.glob("replica.db*")
    assert any(sealed[:100] in path.read_bytes() for path in files)
    replica.index_directory.mkdir()
    (replica.index_directory / "cache").write_text("Very Secret Seller")
    exchange.erase(report, 0)
    assert report in fetch(replica, url).changed
    assert replica.entry(0).event == b""
    view = replica.report(report)
    assert view is not None
    assert (view.state, view.report_json) == ("erased", b"")
    assert not replica.index_directory.exists()
    for path in replica.directory.glob("replica.db*"):
        assert sealed[:100] not in path.read_bytes()


def test_a_replica_made_later_is_the_same_as_one_that_followed(
    exchange: LyingExchange, url: str, replica: Replica, tmp_path: Path
) -> None:
    first = exchange.report("seller one")
    exchange.report("seller two")
    fetch(replica, url)
    exchange.erase(first, 0)
    fetch(replica, url)
    exchange.report("seller three")
    exchange.expire(1)
    fetch(replica, url)
    later = Replica.create(tmp_path / "later", exchange.trust)
    fetch(later, url)
    assert content(later) == content(replica)
    reports = Reports(exchange.trust.operators)
    for entry in later.entries():
        event = later.event_of(entry)
        if event is not None:
            reports.apply(Entry(entry.index, event))
    assert tuple(sorted(reports, key=lambda view: view.id)) == content(later)[4]


def test_nothing_of_the_log_can_be_read_without_the_key(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("Very Secret Seller")
    fetch(replica, url)
    files = [path for path in replica.directory.iterdir() if path.name.startswith("replica.db")]
    everything = b"".join(path.read_bytes() for path in files)
    for secret in (b"Very Secret Seller", report.encode(), exchange.matching_key):
        assert secret not in everything
    (replica.directory / "key").write_bytes(bytes(32))
    with pytest.raises(ReplicaError, match="not this replica's"):
        Replica.open(replica.directory)


# A hostile exchange: each lie is refused, the disk is as before, and the evidence is kept.


def forked(exchange: LyingExchange) -> None:
    exchange.entries[1].k = bytes(32)


def shrunken(exchange: LyingExchange) -> None:
    del exchange.entries[2:]
    exchange.answers["/v1/events"] = lambda page: page | {"entries": []}


def other_log_of_the_same_size(exchange: LyingExchange) -> None:
    exchange.entries[2].k = bytes(32)
    exchange.answers["/v1/events"] = lambda page: page | {"entries": []}


def withheld(exchange: LyingExchange) -> None:
    exchange.report("seller hidden")
    exchange.destroy(len(exchange.entries) - 1)


def withheld_with_an_erasure_of_one_operator(exchange: LyingExchange) -> None:
    report = exchange.report("seller hidden")
    index = len(exchange.entries) - 1
    exchange.act("erasure", Erasure(indices=(index,), code="court"), report=report)
    exchange.destroy(index)


def altered_event(exchange: LyingExchange) -> None:
    exchange.report("seller altered")

    def alter(page: dict[str, Any]) -> dict[str, Any]:
        for entry in page["entries"]:
            entry["at"] = "2020-01-01T00Z"
        return page

    exchange.answers["/v1/events"] = alter


def forged_event(exchange: LyingExchange) -> None:
    exchange.report("seller forged")
    raw = exchange.entries[-1].raw
    exchange.entries[-1].raw = raw.replace(b"seller forged", b"seller framed")


def no_event(exchange: LyingExchange) -> None:
    exchange.append(b'{"v":1}')


def wrong_key(exchange: LyingExchange) -> None:
    exchange.report("seller new")
    exchange.signer = Signer.generate(exchange.origin)


def other_origin(exchange: LyingExchange) -> None:
    exchange.report("seller new")
    exchange.origin = "acx.example/other"
    exchange.signer = Signer.generate(exchange.origin)


def entries_left_out(exchange: LyingExchange) -> None:
    for number in range(3):
        exchange.report(f"seller new {number}")
    exchange.answers["/v1/events"] = lambda page: page | {"entries": page["entries"][1:]}


def entries_swapped(exchange: LyingExchange) -> None:
    for number in range(2):
        exchange.report(f"seller new {number}")

    def swap(page: dict[str, Any]) -> dict[str, Any]:
        entries = page["entries"]
        if len(entries) == 2:
            entries[0]["index"], entries[1]["index"] = entries[1]["index"], entries[0]["index"]
            entries.reverse()
        return page

    exchange.answers["/v1/events"] = swap


def more_signed_than_given(exchange: LyingExchange) -> None:
    exchange.report("seller new")
    exchange.answers["/v1/events"] = lambda page: page | {"entries": []}


def more_given_than_signed(exchange: LyingExchange) -> None:
    old = exchange.note()
    exchange.report("seller new")
    exchange.answers["/v1/events"] = lambda page: page | {"checkpoint": old}


def damaged_entry(exchange: LyingExchange) -> None:
    exchange.report("seller new")

    def damage(page: dict[str, Any]) -> dict[str, Any]:
        for entry in page["entries"]:
            entry["k"] = "AAAA"
        return page

    exchange.answers["/v1/events"] = damage


def no_json(exchange: LyingExchange) -> None:
    exchange.answers["/v1/events"] = lambda page: b"<html>"


def no_checkpoint(exchange: LyingExchange) -> None:
    exchange.answers["/v1/events"] = lambda page: page | {"checkpoint": "none"}


@pytest.mark.parametrize(
    ("lie", "error", "exit_code", "evidence"),
    [
        (forked, RootMismatch, 5, 2),
        (shrunken, Shrunk, 5, 2),
        (other_log_of_the_same_size, Forked, 5, 2),
        (withheld, Withheld, 5, 1),
        (withheld_with_an_erasure_of_one_operator, Withheld, 5, 1),
        (altered_event, RootMismatch, 5, 2),
        (entries_swapped, RootMismatch, 5, 2),
        (forged_event, InvalidEntry, 5, 0),
        (no_event, InvalidEntry, 5, 0),
        (wrong_key, LogError, 1, 0),
        (other_origin, LogError, 1, 0),
        (entries_left_out, BadAnswer, 1, 0),
        (more_signed_than_given, BadAnswer, 1, 0),
        (more_given_than_signed, BadAnswer, 1, 0),
        (damaged_entry, BadAnswer, 1, 0),
        (no_json, BadAnswer, 1, 0),
        (no_checkpoint, LogError, 1, 0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_refuses(
    lie: Any,
    error: type[Exception],
    exit_code: int,
    evidence: int,
    exchange: LyingExchange,
    url: str,
    replica: Replica,
) -> None:
    for number in range(3):
        exchange.report(f"seller {number}")
    fetch(replica, url)
    before = content(replica)
    lie(exchange)
    if lie is forked:
        exchange.report("seller after the fork")
    with pytest.raises(error) as refused:
        fetch(replica, url)
    assert getattr(refused.value, "exit_code", None) == exit_code
    assert "\n" not in str(refused.value)
    assert content(replica) == before
    kept = list((replica.directory / "evidence").rglob("*.txt"))
    assert len([path for path in kept if path.name != "reason.txt"]) >= evidence
    if isinstance(refused.value, InconsistentLog) and evidence == 2:
        notes = [path.read_text() for path in kept if path.name != "reason.txt"]
        assert all(note.startswith(exchange.origin) for note in notes)
        assert str(kept[0].parent) in str(refused.value)


def test_a_checkpoint_of_a_receipt_must_be_met(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.report("seller one")
    elsewhere = LyingExchange(signer=exchange.signer)
    elsewhere.report("seller of a log that only we were shown")
    with pytest.raises(Forked):
        fetch(replica, url, receipts=[elsewhere.note()])
    exchange.report("seller two")
    with pytest.raises(RootMismatch):
        fetch(replica, url, receipts=[elsewhere.note()])
    for number in range(3):
        elsewhere.report(f"seller {number}")
    with pytest.raises(Shrunk):
        fetch(replica, url, receipts=[elsewhere.note()])
    assert replica.size == 0
    assert fetch(replica, url, receipts=[exchange.note(1)]).size == 2


def test_an_erasure_that_comes_later_explains_a_missing_body(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    report = exchange.report("seller one")
    exchange.erase(report, 0)
    first = exchange.note(1)

    def one_at_a_time(page: dict[str, Any]) -> dict[str, Any]:
        entries = page["entries"][:1]
        if entries and entries[0]["index"] == 0:
            return {"entries": entries, "checkpoint": first}
        return page | {"entries": entries}

    exchange.answers["/v1/events"] = one_at_a_time
    assert fetch(replica, url).size == 3
    view = replica.report(report)
    assert view is not None
    assert view.state == "erased"


def test_a_copy_from_another_exchange_is_not_taken(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    other = Replica.create(tmp_path / "other", LyingExchange().trust)
    exchange.report("seller one")
    with pytest.raises(LogError):
        fetch(other, url)
    assert other.size == 0


def test_a_process_reads_while_another_writes(
    exchange: LyingExchange, url: str, replica: Replica
) -> None:
    exchange.report("seller one")
    fetch(replica, url)
    reader = Replica.open(replica.directory, read_only=True)
    with reader.snapshot():
        assert reader.size == 1
        exchange.report("seller two")
        fetch(replica, url)
        assert (reader.size, len(list(reader.reports()))) == (1, 1)
    assert (reader.size, len(list(reader.reports()))) == (2, 2)
    with pytest.raises(ReplicaError, match="no permission to write"), writing(reader) as writer:
        writer.reached_head(1.0)


def _read_as_nobody(directory: Path, results: multiprocessing.Queue[object]) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        reader = Replica.open(directory, read_only=True)
        results.put((reader.size, len(list(reader.reports()))))
    except ReplicaError as error:
        results.put(str(error))


def test_opens_for_those_who_may_only_read(exchange: LyingExchange, url: str) -> None:
    exchange.report("seller one")
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "replica"
        replica = Replica.create(directory, exchange.trust)
        fetch(replica, url)
        replica.close()
        for path in directory.iterdir():
            path.chmod(0o444 if path.is_file() else 0o555)
        directory.chmod(0o555)
        directory.parent.chmod(0o755)
        context = multiprocessing.get_context("spawn")
        results: multiprocessing.Queue[object] = context.Queue()
        process = context.Process(target=_read_as_nobody, args=(directory, results))
        process.start()
        assert results.get(timeout=60) == (1, 1)
        process.join()
        directory.chmod(0o755)


def test_only_one_process_writes(replica: Replica) -> None:
    second = Replica.open(replica.directory)
    with (
        writing(replica),
        pytest.raises(ReplicaError, match="another acx is writing"),
        writing(second, patience=0),
    ):
        pass


def test_a_damaged_replica_is_one_line(replica: Replica) -> None:
    replica.close()
    path = replica.directory / "replica.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(ReplicaError, match="damaged"):
        Replica.open(replica.directory)


def test_survives_being_killed(exchange: LyingExchange, url: str, replica: Replica) -> None:
    replica.close()
    # Pages of one entry, so that a kill falls between them, within them and into a commit.
    exchange.answers["/v1/events"] = lambda page: page | {"entries": page["entries"][:1]}
    context = multiprocessing.get_context("spawn")
    for attempt in range(5):
        for number in range(10):
            exchange.report(f"seller {attempt} {number}")
        process = context.Process(target=sync_for_ever, args=(replica.directory, url))
        process.start()
        seen = len(exchange.requests)
        while len(exchange.requests) < seen + 4 + 2 * attempt:
            process.join(0.002)
        process.kill()
        process.join()
        survivor = Replica.open(replica.directory)
        assert sqlite3.connect(replica.directory / "replica.db").execute(
            "PRAGMA integrity_check"
        ).fetchone() == ("ok",)
        trusted = survivor.checkpoint
        assert survivor.size == (trusted.size if trusted else 0)
        survivor.close()
    del exchange.answers["/v1/events"]
    survivor = Replica.open(replica.directory)
    fetch(survivor, url)
    afresh = Replica.create(replica.directory.parent / "afresh", exchange.trust)
    fetch(afresh, url)
    assert content(survivor) == content(afresh)
