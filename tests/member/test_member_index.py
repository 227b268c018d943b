"""The index beside the replica is opened, not built; what counts no more is nowhere in it."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.member.lying_exchange import LyingExchange
from tests.member.processes import screen_often

from acx.cli.app import run
from acx.matching.arrays import bytes_of, leaves
from acx.matching.storage import HEADER_BYTES, SegmentFile
from acx.member import index, replica
from acx.member.client import ExchangeClient
from acx.member.index import secret_of
from acx.member.replica import Replica
from acx.member.screen import COLUMNS, Screener, accounts_frame
from acx.member.sync import sync
from acx.member.watch import Connected, Item, NewHit, watch
from acx.records.account import Account, Subject
from acx.records.event import Dispute, Withdrawal, public_key_text, report_id, sign_event
from acx.records.report import Report

MARIA = Subject(
    name=("Maria Lopez Garcia",),
    email=("maria.lopez.garcia@mail.test",),
    phone=("+34 600 123 456",),
    address=("Calle Mayor 5, 28013 Madrid",),
    registration_no=("ES:B84561239",),
    image_hash=("8f3c" * 16,),
)
AGAIN = Account(id="m", name=("Garcia Maria Lopez",), phone=("0034600123456",), email=MARIA.email)
OTHERS = tuple(f"{name} Trading" for name in ("Baumgartner", "Okonkwo", "Sørensen", "Tanaka"))
SELLERS = accounts_frame([AGAIN, Account(id="i", name=("Heinrich Winkler",))])
TOLD = ("names.words", "addresses.parts", "images.bits", "profiles.codes", "table.keys")
"""Arrays of values, in some form."""


class Member:
    """A home without a wallet, and the exchange it follows."""

    def __init__(self, exchange: LyingExchange, url: str, home: Path) -> None:
        self.exchange = exchange
        self.url = url
        self.home = home
        self.replica = Replica.create(home / "replica", exchange.trust)
        self.keys: dict[str, Ed25519PrivateKey] = {}

    @property
    def index(self) -> Path:
        return self.replica.index_directory

    def report(self, subject: Subject) -> str:
        """Append a report; gives its id."""
        key = Ed25519PrivateKey.generate()
        report = report_id(public_key_text(key))
        self.keys[report] = key
        self.exchange.append(
            sign_event(
                key,
                origin=self.exchange.origin,
                type="report",
                body=Report(
                    account=subject,
                    conduct="sold_counterfeits",
                    confirmed_by=("test_buy",),
                    confirmed_on="2026-10",
                ),
                tags={"rate/2026-11-25": secrets.token_hex(8), f"stand/{report}/1": "t"},
                issuer_key="k1",
            )
        )
        return report

    def end(self, how: str, report: str, place: int) -> None:
        """Append what ends a report."""
        if how == "withdrawn":
            self.exchange.append(
                sign_event(
                    self.keys[report],
                    origin=self.exchange.origin,
                    type="withdrawal",
                    body=Withdrawal(reason="error"),
                    report=report,
                    seq=1,
                )
            )
        elif how == "erased":
            self.exchange.erase(report, place)
        else:
            self.exchange.expire(place)

    def sync(self) -> None:
        client = ExchangeClient(self.url, token="t")
        sync(self.replica, client, threads=1)
        client.close()

    def screener(self) -> Screener:
        return Screener(self.replica, home=self.home)

    def stored(self) -> dict[str, bytes]:
        """Files of the index, as they are."""
        return {path.name: path.read_bytes() for path in sorted(self.index.iterdir())}

    def words(self, name: str) -> set[bytes]:
        """Values in a file of the index, eight bytes each, what is encrypted decrypted."""
        file = SegmentFile(self.index / name, secret_of(self.replica))
        return {
            word.tobytes()
            for array, values in leaves(file.stored)
            if array.endswith(TOLD)
            for word in np.frombuffer(bytes_of(values).tobytes(), "<u8")
        }

    def words_of_an_index_that_was_never_told(self) -> set[bytes]:
        """The same, of the reports that can hit now."""
        kept = self.index.rename(self.index.with_name("kept"))
        self.screener()
        words = self.words("base")
        shutil.rmtree(self.index)
        kept.rename(self.index)
        return words

    def ids(self, name: str) -> bytes:
        """Ids in a file of the index, decrypted."""
        ids = SegmentFile(self.index / name, secret_of(self.replica)).stored.ids
        return bytes_of(ids.data).tobytes()


@pytest.fixture
def member(
    exchange: LyingExchange, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Member:
    """A member whose index is kept from the first report on, and brought up to date with each."""
    monkeypatch.setattr(index, "KEPT_FROM", 1)
    monkeypatch.setattr(replica, "INDEX_DUE", 1)
    member = Member(exchange, url, tmp_path)
    for name in OTHERS:
        exchange.report(name)
    return member


def hits(screener: Screener, account: Account = AGAIN) -> list[str]:
    return [hit.report_id for hit in screener.check(account)]


def screened(screener: Screener) -> list[str]:
    found: list[str] = screener.screen(SELLERS)["report_id"].to_list()
    return found


def test_an_index_is_built_once_and_opened_after_that(member: Member) -> None:
    report = member.report(MARIA)
    member.sync()
    assert hits(member.screener()) == [report]
    before = member.stored()
    # What it was built of is gone: whoever still finds the report has read the index.
    member.replica.connection.execute("UPDATE report SET sealed = zeroblob(40), changed = 0")
    opened = member.screener()
    assert (len(opened), opened.log_size, opened.warning) == (5, 5, "")
    assert opened.sellers(SELLERS).ids.to_list() == ["m", "i"]
    assert member.stored() == before


def test_few_reports_are_indexed_anew_each_time(
    exchange: LyingExchange, url: str, tmp_path: Path
) -> None:
    member = Member(exchange, url, tmp_path)
    report = member.report(MARIA)
    member.sync()
    assert hits(member.screener()) == [report]
    assert not member.index.exists()


def test_who_only_reads_a_replica_writes_nothing_beside_it(member: Member) -> None:
    report = member.report(MARIA)
    member.sync()
    with_index = Screener(Replica.open(member.replica.directory, read_only=True))
    assert hits(with_index) == [report]
    assert not member.index.exists()


def test_an_open_index_follows_the_log(member: Member) -> None:
    member.sync()
    opened = member.screener()
    assert hits(opened) == []
    report = member.report(MARIA)
    member.sync()
    assert opened.refresh() == [report]
    assert (hits(opened), screened(opened)) == ([report], [report])
    assert (len(opened), opened.log_size) == (5, 5)


def test_files_follow_the_log_and_only_what_is_new_is_written(member: Member) -> None:
    member.sync()
    member.screener()
    before = member.stored()
    report = member.report(MARIA)
    member.sync()
    assert hits(member.screener()) == [report]
    after = member.stored()
    assert after["base"] == before["base"]
    assert json.loads(after["recent"][:HEADER_BYTES])["about"]["size"] == 5
    assert not member.replica.index_is_due
    assert hits(member.screener()) == [report]


@pytest.mark.parametrize("how", ["withdrawn", "erased", "expired"])
@pytest.mark.parametrize("where", ["base", "recent"])
def test_what_counts_no_more_is_gone_at_once_and_nowhere_on_the_disk(
    how: str, where: str, member: Member
) -> None:
    if where == "recent":
        member.sync()
        member.screener()
    report = member.report(MARIA)
    member.sync()
    opened = member.screener()
    assert (hits(opened), screened(opened)) == ([report], [report])
    assert report.encode() in member.ids(where)
    told = member.words(where)

    member.end(how, report, 4)
    member.sync()
    assert {view.id: view.state for view in member.replica.reports(since=5)} == {report: how}
    # The one that is open has not even caught up.
    assert (hits(opened), screened(opened)) == ([], [])
    opened.refresh()
    for screener in (opened, member.screener()):
        assert (hits(screener), screened(screener), len(screener)) == ([], [], 4)

    left = member.words("base") | member.words("recent")
    its_own = told - member.words_of_an_index_that_was_never_told()
    assert len(its_own) > 20
    assert not its_own & left
    for name, data in member.stored().items():
        if name in ("base", "recent"):
            assert report.encode() not in member.ids(name)
        for value in (report, "Maria", "maria.lopez", "600123456"):
            assert value.encode() not in data


@pytest.mark.parametrize("how", ["withdrawn", "erased", "expired"])
def test_who_watches_is_told_at_once_that_a_hit_of_the_kept_index_is_gone(
    how: str, member: Member
) -> None:
    report = member.report(MARIA)
    member.sync()
    assert hits(member.screener()) == [report]
    client = ExchangeClient(member.url, token="t", timeout=2.0)
    items = watch(member.replica, client, SELLERS, home=member.home, threads=1)
    assert isinstance(next(items), Connected)
    member.end(how, report, len(member.exchange.entries) - 1)
    assert next_hit(items).change == "retracted"
    again = member.report(MARIA)
    told = next_hit(items)
    assert (told.change, told.hit.report_id) == ("new", again)


def test_a_screening_since_the_last_tells_what_is_new_changed_and_retracted(
    member: Member, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sellers, out = tmp_path / "sellers.csv", tmp_path / "hits.csv"
    sellers.write_text("id,name,email\nm,Maria Lopez Garcia,maria.lopez.garcia@mail.test\n")

    def changes() -> list[tuple[str, str, str]]:
        member.sync()
        command = ["screen", str(sellers), "--out", str(out), "--home", str(member.home)]
        assert run([*command, "--since-last"]) == 0
        assert capsys.readouterr().err.endswith(f"-> {out}\n")
        rows = pl.read_csv(out)
        assert rows.columns == [*COLUMNS, "change"]
        return list(rows.select("report_id", "report_state", "change").iter_rows())

    gone, stays = member.report(MARIA), member.report(MARIA)
    first = changes()
    assert sorted(first) == sorted([(gone, "active", "new"), (stays, "active", "new")])
    assert changes() == []
    member.exchange.act("dispute", Dispute(code="mistaken_identity"), report=stays)
    member.end("expired", gone, 4)
    assert changes() == [(stays, "disputed", "changed"), (gone, "expired", "retracted")]
    assert changes() == []


def next_hit(items: Iterator[Item]) -> NewHit:
    return next(item for item in items if isinstance(item, NewHit))


def truncated(member: Member) -> None:
    path = member.index / "base"
    path.write_bytes(path.read_bytes()[:-64])


def emptied(member: Member) -> None:
    (member.index / "recent").write_bytes(b"")


def scribbled(member: Member) -> None:
    path = member.index / "base"
    data = bytearray(path.read_bytes())
    data[:200] = secrets.token_bytes(200)
    path.write_bytes(data)


def older(member: Member) -> None:
    changed_header(member.index / "base", format="acx-index/1")


def of_other_sources(member: Member) -> None:
    changed_header(member.index / "recent", sources="0" * 64)


def of_a_longer_log(member: Member) -> None:
    changed_header(member.index / "recent", about={"size": 99, "base": generation_of(member)})


def half_replaced(member: Member) -> None:
    old = (member.index / "recent").read_bytes()
    shutil.rmtree(member.index)
    member.screener()
    (member.index / "recent").write_bytes(old)


def of_another_replica(member: Member) -> None:
    other = Member(member.exchange, member.url, member.home / "other")
    other.sync()
    other.screener()
    shutil.rmtree(member.index)
    shutil.copytree(other.index, member.index)


def changed_header(path: Path, **changes: object) -> None:
    data = path.read_bytes()
    header = json.loads(data[:HEADER_BYTES]) | changes
    path.write_bytes(json.dumps(header).encode().ljust(HEADER_BYTES) + data[HEADER_BYTES:])


def generation_of(member: Member) -> str:
    header = json.loads((member.index / "base").read_bytes()[:HEADER_BYTES])
    return str(header["generation"])


@pytest.mark.parametrize(
    "harm",
    [
        truncated,
        emptied,
        scribbled,
        older,
        of_other_sources,
        of_a_longer_log,
        half_replaced,
        of_another_replica,
    ],
    ids=lambda harm: str(harm.__name__),
)
def test_an_index_that_is_not_this_ones_is_built_again_and_said_so(
    harm: Callable[[Member], None], member: Member
) -> None:
    report = member.report(MARIA)
    member.sync()
    member.screener()
    harm(member)
    rebuilt = member.screener()
    assert rebuilt.warning.endswith("build it again; done")
    assert str(member.index) in rebuilt.warning
    assert hits(rebuilt) == [report]
    opened = member.screener()
    assert (opened.warning, hits(opened)) == ("", [report])


def test_a_sync_throws_away_a_damaged_index_that_it_would_have_to_clean(member: Member) -> None:
    report = member.report(MARIA)
    member.sync()
    member.screener()
    scribbled(member)
    kept = (member.index / "recent").read_bytes()
    member.end("withdrawn", report, 4)
    member.sync()
    assert (member.index / "recent").read_bytes() != kept
    opened = member.screener()
    assert (opened.warning, hits(opened), len(opened)) == ("", [], 4)


def test_a_process_screens_while_another_changes_the_files(member: Member) -> None:
    report = member.report(MARIA)
    member.sync()
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=screen_often, args=(member.home, AGAIN, 8, answers))
    process.start()
    found = [answers.get()]
    standing = {report}
    for number in range(3):
        gone = member.report(Subject(name=(f"Somebody {number}",), email=MARIA.email))
        standing.add(gone)
        member.sync()
        index.update(member.replica)
        member.end("withdrawn", gone, 0)
        member.sync()
    found += [answers.get() for _ in range(7)]
    process.join(30)
    assert process.exitcode == 0
    assert all(report in each and standing.issuperset(each) for each in found)
    opened = member.screener()
    assert (opened.warning, hits(opened), opened.log_size) == ("", [report], 11)
