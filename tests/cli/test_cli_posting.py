"""By which way posts go and with which gaps, as one says it on the command line and is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST
from tests.relay.relaying import relaying

from acx.cli.app import run
from acx.cli.output import duration
from acx.member import vault
from acx.member.home import Member
from acx.records.invite import format_invite

DOWN = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits are drawn, and not waited for; gives them."""
    monkeypatch.setattr(vault, "SCRYPT_LOG_N", 10)
    gaps: list[float] = []
    monkeypatch.setattr("acx.member.outbox.time.sleep", gaps.append)
    return gaps


@pytest.fixture
def exchange() -> LyingExchange:
    return LyingExchange()


@pytest.fixture
def home(exchange: LyingExchange, tmp_path: Path) -> Iterator[Path]:
    """A member whose invite names a relay that is down."""
    with serving(exchange) as url:
        invite = format_invite(exchange.invite(url, relays=(DOWN,)))
        Member.join(invite, tmp_path / "home", arguments=FAST)
        yield tmp_path / "home"


def reports(tmp_path: Path, *names: str) -> str:
    path = tmp_path / "confirmed.jsonl"
    rows = [
        {
            "account": {"id": f"acct-{ord(name[0])}", "name": [name], "email": [f"{name}@m.test"]},
            "conduct": "sold_counterfeits",
            "confirmed_by": ["test_buy"],
            "confirmed_on": "2026-10",
        }
        for name in names
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def posted(exchange: LyingExchange) -> int:
    return sum(what == "POST /v1/events" for what, _, _ in exchange.requests)


def test_what_no_relay_takes_waits_and_goes_another_way(
    exchange: LyingExchange, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = reports(tmp_path, "Johannes")
    assert run(["report", file, "--home", str(home)]) == 1
    told = capsys.readouterr().err
    assert "1 wait safely in the outbox: no relay or proxy passes the post on" in told
    assert "acx outbox --send" in told
    assert posted(exchange) == 0
    with relaying(Member.open(home, FAST).url) as (relay, url):
        assert run(["outbox", "--send", "--via", url, "--home", str(home)]) == 0
        assert relay.passed == 1
    assert posted(exchange) == 1
    assert "warning" not in capsys.readouterr().err


def test_posting_directly_is_warned_of(
    exchange: LyingExchange, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", reports(tmp_path, "Johannes"), "--direct", "--home", str(home)]) == 0
    assert "--direct: the exchange sees this machine's address" in capsys.readouterr().err
    assert posted(exchange) == 1


def test_how_long_the_waits_take_is_told_and_haste_is_warned_of(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], quick: list[float]
) -> None:
    file = reports(tmp_path, "Johannes", "Albertine", "Cyprian")
    assert run(["report", file, "--direct", "--home", str(home)]) == 0
    told = capsys.readouterr().err
    # The first goes at once, the second and the third 20 s on average after the one before.
    assert "3 to send, after random waits that hide whose they are: about 40 s" in told
    assert "--now:" not in told
    # The first sync ever: there was no log to decide by.
    assert "reads seldom and has just done so" in told
    assert len([wait for wait in quick if wait > 0.1]) >= 2
    quick.clear()
    file = reports(tmp_path, "Dietlinde", "Edeltraud")
    assert run(["report", file, "--direct", "--now", "--home", str(home)]) == 0
    assert "--now: the operator sees that these posts belong together" in capsys.readouterr().err
    assert quick == []
    file = reports(tmp_path, "Florentine")
    assert run(["report", file, "--direct", "--now", "--home", str(home)]) == 0
    told = capsys.readouterr().err
    assert "--now: the operator sees who read or connected just before" in told
    file = reports(tmp_path, "Gottlieb")
    assert run(["report", file, "--direct", "--home", str(home)]) == 0
    assert "reads seldom" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--via", "http://x", "--direct"], 2, "exclude each other"),
        (["--via", "gopher://x"], 1, "no relay or proxy acx can use"),
        (["--via", "https://user:secret@x"], 1, "no relay or proxy acx can use"),
        (["--via", DOWN], 1, "wait safely in the outbox"),
    ],
    ids=range(4),
)
def test_a_way_that_cannot_be_is_told(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    file = reports(tmp_path, "Johannes")
    assert run(["report", file, "--home", str(home), *arguments]) == code
    told = capsys.readouterr().err
    assert message in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (99, "99 s"), (300, "5 min"), (7200, "2 h")]
)
def test_times_are_told_in_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_relays_and_witnesses_that_cannot_be_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relay", "--to", "nonsense"]) == 1
    assert "no exchange's URL" in capsys.readouterr().err
    assert run(["witness", "--home", str(tmp_path / "w")]) == 1
    assert "--log VKEY, or --invite FILE" in capsys.readouterr().err
    assert run(["witness", "--home", str(tmp_path / "w"), "--log", "nonsense"]) == 1
    assert "verifier key" in capsys.readouterr().err
    assert run(["witness", "--home", str(tmp_path / "w"), "--vkey"]) == 0
    key = capsys.readouterr().out
    assert run(["witness", "--home", str(tmp_path / "w"), "--vkey"]) == 0
    assert capsys.readouterr().out == key
