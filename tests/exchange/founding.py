"""Exchanges to copy for each test, and where to put them."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from acx.exchange.service import Exchange


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A directory of one's own, in memory where the machine has that.

    An exchange makes every write durable, which on a busy disk takes most of a test's time. A long
    run (`make soak`) does not fit into memory.
    """
    memory = Path("/dev/shm")  # noqa: S108 -- a directory of its own below it
    usable = memory.is_dir() and os.access(memory, os.W_OK) and "ACX_EVENTS" not in os.environ
    with tempfile.TemporaryDirectory(prefix="acx-", dir=memory if usable else None) as path:
        yield Path(path)


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


def found(home: Path, database: str) -> Founded:
    with Exchange.init(home, database=database, clock=_founding_time) as exchange:
        exchange.add_operator("ann")
        exchange.add_operator("bob")
    return Founded(home, database)


def _founding_time() -> datetime:
    """Before the noon at which tests' clocks stand (`SetClock`), and before now."""
    now = datetime.now(UTC)
    return min(now, now.replace(hour=12, minute=0))
