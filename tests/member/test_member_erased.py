"""After an erasure nothing of a report is left with any member, readable or not."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange
from tests.member.test_member_real_exchange import _sync_until, row

from acx.member import index
from acx.member.home import Member, screen
from acx.member.screen import accounts_frame
from acx.records.account import Account

NAME, PHONE, STREET = "Unverwechselbar Waltraud", "+49 351 4820177", "Loschwitzer Strasse 14"
VALUES = (b"Unverwechselbar", b"unverwechselbar", b"4820177", b"Loschwitzer", b"loschwitzer")
SELLER = Account(id="s9", name=(NAME,), phone=(PHONE,), address=(STREET,))


def test_after_an_erasure_no_file_of_any_member_holds_the_report(
    real_exchange: RealExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "KEPT_FROM", 1)
    reporter, reader = (joined(real_exchange, tmp_path / name) for name in ("reporter", "reader"))
    (report,) = reporter.report(
        [row(NAME, phone=(PHONE,), address=(STREET,))], at_once=True
    ).reports
    for member in (reporter, reader):
        member.sync()
    with reader.replica() as replica:
        hits, _ = screen(
            replica, accounts_frame([SELLER]), settings=reader.settings, home=reader.home
        )
        assert hits["report_id"].to_list() == [report]
    reader.decide("s9", report, "blocked", by="ann", note="two test purchases were false")
    (place,) = [m.index for m in reporter.outbox() if m.type == "report"]
    assert place is not None
    needles = {
        "reporter": [*sealed_in_replica(reporter, report, place), *sealed_in_wallet(reporter)],
        "reader": sealed_in_replica(reader, report, place),
    }
    for member in (reporter, reader):
        assert found_in(member.home, needles[member.home.name])

    with real_exchange.operate() as operator:
        k = secret_of(member=reporter, place=place)
        operator.approve(operator.erase(report, "data_subject", "one"), "two")
    for member in (reporter, reader):
        _sync_until(member, report, "erased")
        assert member.verify(against=real_exchange.url).keys
        secrets = (k, base64.b64encode(k), k.hex().encode())
        assert not found_in(member.home, [*VALUES, *secrets, *needles[member.home.name]])
    assert not found_in(real_exchange.home, [*VALUES, k, base64.b64encode(k), k.hex().encode()])
    # What was known then stays on record: which fields agreed, and no values.
    (decision,) = reader.decisions()
    assert (decision.report, decision.action, decision.log_size > place) == (
        report,
        "blocked",
        True,
    )
    assert reader.inbox()[0].kind == "fallen"
    assert [(m.state, m.body, m.event, m.k) for m in reporter.outbox()] == [
        ("acknowledged", b"", b"", "")
    ]


def joined(exchange: RealExchange, home: Path) -> Member:
    Member.join(exchange.invite(f"erased {home.name}"), home, arguments=FAST)
    return Member.open(home, FAST)


def secret_of(member: Member, place: int) -> bytes:
    """The key of an entry that the member posted."""
    (message,) = [message for message in member.outbox() if message.index == place]
    return base64.b64decode(message.k)


def sealed_in_replica(member: Member, report: str, place: int) -> list[bytes]:
    """What a replica holds of a report, sealed as it is: while its key is there, it opens."""
    with member.replica() as replica:
        identifier = replica.vault.digest(report, "report")
    entry = _rows(member.home / "replica/replica.db", "entry WHERE idx = ?", place)
    view = _rows(member.home / "replica/replica.db", "report WHERE id = ?", identifier)
    return [*entry, *view]


def sealed_in_wallet(member: Member) -> list[bytes]:
    return list(_rows(member.home / "wallet/wallet.db", "message WHERE id > ?", 0))


def _rows(file: Path, where: str, value: object) -> Iterator[bytes]:
    """The ends of sealed values: what lies between may be spread over pages."""
    with closing(sqlite3.connect(file)) as connection:
        for (sealed,) in connection.execute(f"SELECT sealed FROM {where}", (value,)):  # noqa: S608 -- this file's
            yield sealed[:48]
            yield sealed[-48:]


def found_in(directory: Path, needles: list[bytes]) -> set[str]:
    """The files that hold any of these bytes."""
    return {
        str(file.relative_to(directory))
        for file in directory.rglob("*")
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    }
