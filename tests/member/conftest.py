"""Exchanges and homes that the member's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.member.lying_exchange import LyingExchange, serving
from tests.member.processes import FAST
from tests.member.real_exchange import RealExchange, running

from acx.member import vault
from acx.member.home import Member
from acx.records.invite import format_invite


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing passphrases is no part of any test."""
    monkeypatch.setattr(vault, "SCRYPT_LOG_N", 10)


@pytest.fixture
def exchange() -> LyingExchange:
    return LyingExchange()


@pytest.fixture
def url(exchange: LyingExchange) -> Iterator[str]:
    with serving(exchange) as url:
        yield url


@pytest.fixture
def member(exchange: LyingExchange, url: str, tmp_path: Path) -> Member:
    """A member of the exchange that a test can turn hostile."""
    Member.join(format_invite(exchange.invite(url)), tmp_path / "home", arguments=FAST)
    return Member.open(tmp_path / "home", FAST)


@pytest.fixture(scope="session")
def real_exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealExchange]:
    """An honest exchange, a process of its own; one for all tests."""
    with running(tmp_path_factory.mktemp("real")) as exchange:
        yield exchange
