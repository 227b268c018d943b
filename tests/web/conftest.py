"""An exchange on SQLite for each test, served over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.exchange.acting import SetClock
from tests.exchange.founding import Founded, fast_directory, found
from tests.web.serving import Served, served

from acx.exchange.service import Exchange


@pytest.fixture(scope="session")
def founded() -> Iterator[Founded]:
    with fast_directory() as directory:
        yield found(directory / "home", "")


@pytest.fixture
def home(founded: Founded) -> Iterator[Path]:
    with fast_directory() as directory:
        founded.copy(directory / "home")
        yield directory / "home"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def exchange(home: Path, clock: SetClock) -> Iterator[Served]:
    with Exchange.open(home, clock=clock) as opened, served(opened) as serving:
        yield serving
