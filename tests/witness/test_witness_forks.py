"""An operator that shows two members different logs is found out as soon as they compare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.exchange.founding import fast_directory
from tests.member.processes import FAST
from tests.web.serving import served
from tests.witness.witnessing import eventually

from acx.cli.app import run
from acx.exchange.service import Exchange
from acx.log.checkpoint import read_checkpoint
from acx.member.home import Member


@dataclass
class Liar:
    """Two servers of one exchange, each with a history of its own since they parted."""

    urls: tuple[str, str]
    members: tuple[Path, Path]
    log_key: str


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with fast_directory() as directory, ExitStack() as stack:
        homes = (directory / "one", directory / "other")
        with Exchange.init(homes[0], origin="acx.example/log") as exchange:
            invites = [exchange.invite(name) for name in ("A", "B")]
            log_key = exchange.log_key
        shutil.copytree(*homes)
        exchanges = [stack.enter_context(Exchange.open(home)) for home in homes]
        servers = [stack.enter_context(served(exchange)) for exchange in exchanges]
        members = (directory / "A", directory / "B")
        for invite, home, server in zip(invites, members, servers, strict=True):
            Member.join(invite, home, arguments=FAST | {"url": server.url})
        # B is shown more than A, so the two heads are of different sizes.
        size = servers[1].service.published.size
        exchanges[1].invite("C")
        eventually(lambda: servers[1].service.published.size > size)
        for home in members:
            Member.open(home, FAST).sync()
        yield Liar((servers[0].url, servers[1].url), members, log_key)


def verify(*arguments: object) -> int:
    return run(["verify", *map(str, arguments)])


def test_each_member_alone_sees_an_honest_log(liar: Liar) -> None:
    for home, url in zip(liar.members, liar.urls, strict=True):
        assert verify("--home", home) == 0
        assert verify("--home", home, "--against", url) == 0


def test_members_who_compare_find_out_and_can_prove_it_to_anyone(
    liar: Liar, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = liar.members
    checkpoints = [tmp_path / "A.checkpoint", tmp_path / "B.checkpoint"]
    for home, file in zip(liar.members, checkpoints, strict=True):
        assert verify("--home", home, "--checkpoint-out", file) == 0
    sizes = [read_checkpoint(file.read_text()).size for file in checkpoints]
    assert sizes[0] < sizes[1]
    # The one who holds the larger log sees it from the file alone, and says so.
    capsys.readouterr()
    proof = tmp_path / "fork.json"
    assert verify("--home", other, "--against", checkpoints[0], "--proof", proof) == 5
    told = capsys.readouterr()
    assert f"The log acx.example/log has forked. It signed that its first {sizes[0]}" in told.out
    for file in checkpoints:
        assert file.read_text() in told.out
    assert "tell the operator and the other members" in told.err
    assert "evidence" in told.err
    # The one who holds the smaller log is told to give his to the other.
    assert verify("--home", one, "--against", checkpoints[1]) == 1
    assert "--checkpoint-out" in capsys.readouterr().err
    # An outsider needs the log's key alone.
    assert verify(proof, "--log-key", liar.log_key) == 5
    told = capsys.readouterr()
    assert "has forked" in told.out
    assert checkpoints[0].read_text() in told.out
    assert verify(proof, "--home", one, "--json") == 5
    assert json.loads(capsys.readouterr().out)["smaller"] == checkpoints[0].read_text()
    # And believes nothing else.
    lie = json.loads(proof.read_text())
    changes: list[dict[str, object]] = [
        {"smaller": lie["larger"]},
        {"path": []},
        {"root": "x"},
        {"format": "x"},
    ]
    for change in changes:
        proof.write_text(json.dumps(lie | change))
        assert verify(proof, "--log-key", liar.log_key) == 1


def test_a_member_who_looks_at_the_other_server_finds_out(liar: Liar, tmp_path: Path) -> None:
    for home, url in zip(liar.members, reversed(liar.urls), strict=True):
        proof = tmp_path / f"{home.name}.json"
        assert verify("--home", home, "--against", url, "--proof", proof) == 5
        assert verify(proof, "--log-key", liar.log_key) == 5


def test_a_fellow_members_replica_will_do_too(liar: Liar) -> None:
    one, other = liar.members
    assert verify("--home", other, "--against", one / "replica") == 5
    assert verify("--home", other, "--against", other / "replica") == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "signed note"),
        ("nonsense", "signed note"),
        ("{}", "check a proof with"),
        ("c2sp.org/tlog-proof@v1\nindex 0\n\nacx.example/log\n1\nx\n\n", "signed note"),
    ],
    ids=range(4),
)
def test_a_file_that_holds_no_checkpoint_is_told(
    liar: Liar,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    message: str,
) -> None:
    file = tmp_path / "other"
    file.write_text(content)
    assert verify("--home", liar.members[0], "--against", file) == 1
    assert message in capsys.readouterr().err
    assert verify("--home", liar.members[0], "--against", tmp_path / "missing") == 1


def test_what_is_missing_on_the_command_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACX_HOME", raising=False)
    (tmp_path / "fork.json").write_text("{}")
    assert verify() == 2
    assert verify(tmp_path / "fork.json") == 2
    assert verify("--log", "http://127.0.0.1:9") == 2
