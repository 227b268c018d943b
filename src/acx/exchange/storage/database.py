"""A database the exchange's rows live in: SQLite beside the log, or PostgreSQL by URL."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)

from acx.exchange.errors import StorageError, Unavailable
from acx.exchange.storage.schema import VERSION, metadata

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_SECONDS: Final = 15
"""How long a writer waits for another before it gives up."""
POOL_SIZE: Final = 16
SQLITE_FILE: Final = "exchange.sqlite"

KEYS: Final = ("event_keys",)
TEXTS: Final = ("texts", "filings")
"""Tables out of which deleted rows have to be gone for good."""

FORGETTING_SECONDS: Final = 10.0
"""How long a command goes on trying to overwrite what it deleted."""
_LOCK_MILLISECONDS: Final = 100
"""How long forgetting waits for those who read; whoever comes after it waits as long."""
_OLDER_STATES: Final = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND age(backend_xmin) > 0)"
)
"""Whether somebody reads this database as it was before now."""
_LOCK_NOT_AVAILABLE: Final = "55P03"
SQLITE_LOOK_SECONDS: Final = 0.02
"""How often a SQLite file is looked at by those who wait for a change: some microseconds each."""
_BEGIN: Final = "acx_begin"
_CHANNEL: Final = "acx_published"
_NOTIFY: Final = text(f"NOTIFY {_CHANNEL}")


def database_url(configured: str, home: Path) -> URL:
    """The URL SQLAlchemy is given.

    Args:
        configured: as in `config.toml`: empty for SQLite in the home, or `postgresql://…`.
        home: the operator's directory.

    Raises:
        StorageError: a URL of another kind.
    """
    if not configured:
        return URL.create("sqlite", database=str(home / SQLITE_FILE))
    try:
        url = make_url(configured)
    except ArgumentError:
        raise StorageError(
            "the database URL cannot be read; write postgresql://USER:PASSWORD@HOST/NAME"
        ) from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite":
        return url
    raise StorageError(
        f"a {url.drivername} database is not supported; give postgresql://… or none for SQLite"
    )


class Database:
    """Transactions on the exchange's tables, the same on SQLite and PostgreSQL.

    One writes at a time on SQLite, where `write` waits its turn; readers never wait.
    """

    def __init__(self, url: URL) -> None:
        try:
            self._engine = create_engine(
                url, pool_size=POOL_SIZE, max_overflow=POOL_SIZE, pool_pre_ping=False
            )
        except (ModuleNotFoundError, NoSuchModuleError):
            raise StorageError(
                "the PostgreSQL driver is not installed: pip install 'acx[postgres]'"
            ) from None
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        if self.is_sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._writer = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one consistent state.

        Raises:
            Unavailable: the database does not answer now.
            StorageError: it answers, and refuses.
        """
        with _translated():
            engine = self._engine
            if not self.is_sqlite:
                engine = engine.execution_options(isolation_level="REPEATABLE READ")
            with engine.connect() as connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable once this returns, or has not happened.

        Raises:
            Unavailable: the database does not answer now; whether the transaction took effect is
                unknown when it went away at the commit.
            StorageError: it answers, and refuses.
        """
        with _translated(), self._writer.begin() as connection:
            yield connection

    def forget_deleted(self, tables: Sequence[str] = KEYS + TEXTS, *, patience: float = 0) -> bool:
        """Overwrite what was deleted, so that it is in no file of the database's tables.

        SQLite zeroes deleted rows in place (`secure_delete`), but copies of the pages stay in the
        write-ahead log until it is truncated. PostgreSQL leaves the bytes of dead rows in their
        pages, even after a vacuum, until the place is used again: so the tables are written anew.
        Its write-ahead log and archives are the operator's to age out (`wal_recycle = off`).

        Args:
            tables: where something was deleted.
            patience: seconds to go on trying while somebody reads.

        Returns:
            Whether it is done; not while somebody reads an older state. Ask again.
        """
        deadline = time.monotonic() + patience
        while not (done := self._forget(tables)) and time.monotonic() < deadline:
            time.sleep(_LOCK_MILLISECONDS / 1000)
        return done

    def _forget(self, tables: Sequence[str]) -> bool:
        with self._bare() as connection:
            if self.is_sqlite:
                busy: int = connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]
                return not busy
            # Rows that somebody may still see would be written anew as well.
            if connection.execute(_OLDER_STATES).scalar_one():
                return False
            connection.execute(text(f"SET lock_timeout = {_LOCK_MILLISECONDS}"))
            try:
                connection.execute(text(f"VACUUM (FULL) {', '.join(tables)}"))
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", "") != _LOCK_NOT_AVAILABLE:
                    raise
                return False
            finally:
                connection.execute(text("RESET lock_timeout"))
        return True

    def migrate(self) -> None:
        """Bring the tables to this version, from nothing or from any earlier one."""
        # Every command opens a database, and few migrate one: alembic takes long to import.
        from alembic import command

        with self.write() as connection:
            config = _alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the tables of a new exchange; if what follows fails, they are gone again.

        Raises:
            StorageError: the database holds an exchange already.
        """
        if self.version():
            raise StorageError("the database holds an exchange already: give each its own")
        self.migrate()
        try:
            yield
        except BaseException:
            with self.write() as connection:
                metadata.drop_all(connection)
                connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
            raise

    def check_version(self) -> None:
        """Refuse a database of another version.

        Raises:
            StorageError: older (migrate), newer (upgrade acx), or no exchange's.
        """
        found = self.version()
        if found == VERSION:
            return
        if not found:
            raise StorageError(
                "the database holds no exchange: run `acx exchange init`, or correct the database "
                "in config.toml"
            )
        from alembic.script import ScriptDirectory

        scripts = ScriptDirectory.from_config(_alembic_config())
        if found in {script.revision for script in scripts.walk_revisions()}:
            raise StorageError(
                f"the database is of version {found}, this acx needs {VERSION}: back it up, then "
                "run `acx exchange migrate`"
            )
        raise StorageError(
            f"the database is of version {found}, which this acx does not know: upgrade acx"
        )

    def version(self) -> str:
        """Version of the tables; empty if there are none."""
        with self.read() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return ""
            found = connection.execute(text("SELECT version_num FROM alembic_version"))
            return found.scalar_one_or_none() or ""

    @contextmanager
    def _bare(self) -> Iterator[Connection]:
        """A connection for the statements that no transaction may hold."""
        options = {_BEGIN: None} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with _translated(), self._engine.execution_options(**options).connect() as connection:
            yield connection

    def session(self) -> Connection:
        """A connection of one's own, outside any transaction, for locks that a session holds."""
        options = {_BEGIN: None} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with _translated():
            return self._engine.execution_options(**options).connect()

    def wake(self, connection: Connection) -> None:
        """Wake other processes (`wakeups`) once this transaction is committed."""
        if not self.is_sqlite:
            connection.execute(_NOTIFY)

    @contextmanager
    def wakeups(self) -> Iterator[Callable[[float], None]]:
        """Listen for what other processes commit.

        PostgreSQL tells (LISTEN); a SQLite file is looked at, for it counts its changes.

        Yields:
            Waits until something may have been committed, or for so many seconds.

        Raises:
            Unavailable: the database does not answer.
        """
        session = self.session()
        try:
            yield _file_change(session) if self.is_sqlite else _notification(session)
        finally:
            # Not back into the pool, where nobody else has a use for it.
            session.invalidate()
            session.close()

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


def _notification(session: Connection) -> Callable[[float], None]:
    import psycopg

    with _translated():
        session.exec_driver_sql(f"LISTEN {_CHANNEL}")
    driver: Any = session.connection.driver_connection

    def wait(seconds: float) -> None:
        try:
            # One or many: what they are about is read from the rows.
            list(driver.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            raise Unavailable(f"the database does not answer: {error}") from None

    return wait


def _file_change(session: Connection) -> Callable[[float], None]:
    def version() -> int:
        with _translated():
            return int(session.exec_driver_sql("PRAGMA data_version").scalar_one())

    seen = version()

    def wait(seconds: float) -> None:
        nonlocal seen
        deadline = time.monotonic() + seconds
        while (now := version()) == seen and time.monotonic() < deadline:
            time.sleep(SQLITE_LOOK_SECONDS)
        seen = now

    return wait


def _alembic_config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _configure_sqlite(connection: Any, _record: object) -> None:
    # sqlite3 must not open transactions by itself; `_begin_sqlite` does, and says which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA cache_size = -32768")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours: one line, no statement, no values."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        if _full(reason):
            raise Unavailable(
                f"the database cannot grow ({reason}): free some space, then send again"
            ) from error
        if error.connection_invalidated or type(error).__name__ in {
            "OperationalError",
            "InterfaceError",
        }:
            raise Unavailable(f"the database does not answer: {reason}") from error
        raise StorageError(f"the database refused: {reason}") from error
    except SQLAlchemyError as error:
        raise Unavailable(f"the database does not answer: {type(error).__name__}") from error


def _full(reason: str) -> bool:
    return "disk is full" in reason or os.strerror(errno.ENOSPC) in reason
