"""The operator's directory and database: made whole or not at all, refused in one line."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from tests.exchange.founding import Founded, create_database

from acx.exchange.errors import HomeError, StorageError, Unavailable
from acx.exchange.home import Settings
from acx.exchange.service import Exchange
from acx.exchange.storage.database import Database, _alembic_config, database_url
from acx.exchange.storage.schema import VERSION, metadata


def test_a_home_is_kept_from_others(directory: Path) -> None:
    Exchange.init(directory / "home").close()
    modes = {
        str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode)
        for path in [directory / "home", *(directory / "home").rglob("*")]
    }
    assert modes["home"] == 0o700
    secret = {name: mode for name, mode in modes.items() if name.endswith(".key")}
    assert secret
    assert set(secret.values()) == {0o600}
    assert modes["home/config.toml"] == 0o600


def test_settings_survive_their_file(directory: Path) -> None:
    with Exchange.init(
        directory / "home",
        origin="exchange.example/log",
        url="https://exchange.example",
        sandbox=True,
    ) as made:
        assert made.settings.origin == "sandbox.exchange.example/log"
        assert made.settings.sandbox
        assert made.home.settings() == made.settings


def test_every_exchange_has_an_origin_of_its_own(directory: Path) -> None:
    with Exchange.init(directory / "one") as one, Exchange.init(directory / "two") as two:
        assert one.settings.origin != two.settings.origin


@pytest.mark.parametrize("file", ["exchange.sqlite", "keys", "anything"])
def test_a_directory_in_use_is_left_alone(directory: Path, file: str) -> None:
    (directory / file).write_text("mine")
    with pytest.raises(HomeError, match="not empty"):
        Exchange.init(directory)
    assert [path.name for path in directory.iterdir()] == [file]


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://no.scheme"},
        {"origin": "a b"},
        {"url": "exchange.example"},
        {"database": "mysql://x/y"},
        {"database": "nonsense"},
    ],
    ids=str,
)
def test_nothing_is_made_of_settings_that_cannot_be(directory: Path, wrong: dict[str, str]) -> None:
    with pytest.raises((HomeError, StorageError)):
        Exchange.init(directory / "home", **wrong)  # type: ignore[arg-type]
    assert not (directory / "home").exists()


def test_nothing_is_made_where_the_database_does_not_answer(directory: Path) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(Unavailable, match="does not answer"):
        Exchange.init(directory / "home", database=nowhere)
    assert not (directory / "home").exists()


def test_a_database_in_use_is_left_alone(directory: Path, postgres: str) -> None:
    database = create_database(postgres)
    Exchange.init(directory / "one", database=database).close()
    with pytest.raises(StorageError, match="already"):
        Exchange.init(directory / "two", database=database)
    assert not (directory / "two").exists()
    Exchange.open(directory / "one").close()


def test_a_database_is_left_as_it_was_found_where_the_rest_fails(
    directory: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = create_database(postgres)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("acx.exchange.sequencer.publisher.write_all_durably", full)
    with pytest.raises(OSError, match="No space left"):
        Exchange.init(directory / "home", database=database)
    assert not (directory / "home").exists()
    monkeypatch.undo()
    Exchange.init(directory / "home", database=database).close()


def test_no_exchange_is_told_with_what_to_do(directory: Path) -> None:
    with pytest.raises(HomeError, match="acx exchange init"):
        Exchange.open(directory)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "cannot be read"),
        ('origin = "UPPER"', "origin"),
        ('origin = "a"\nurl = "http://x"\nmore = 1', "more"),
        ('origin = "a"\nurl = "http://x"\ninvite_days = 0', "invite_days"),
    ],
)
def test_a_setting_that_cannot_be_is_named(home: Path, line: str, reason: str) -> None:
    (home / "config.toml").write_text(line)
    with pytest.raises(HomeError, match=reason):
        Exchange.open(home)


@pytest.mark.parametrize("name", ["log.key", "service.key", "operators/ann.key"])
def test_a_key_that_others_can_read_is_refused(home: Path, name: str) -> None:
    (home / "keys" / name).chmod(0o644)
    with Exchange.open(home) as exchange:
        use = partial(exchange.home.operator_key, "ann") if "ann" in name else exchange.lead
        with pytest.raises(HomeError, match="chmod 600"):
            use()


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----", b"\xff\x00"])
def test_a_missing_or_damaged_key_is_named(home: Path, content: bytes | None) -> None:
    file = home / "keys" / "log.key"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with Exchange.open(home) as exchange, pytest.raises(HomeError, match=r"log\.key.*backup"):
        exchange.lead()


def test_migrations_make_the_tables_that_the_code_knows(home: Path) -> None:
    with Exchange.open(home) as exchange, exchange._database.read() as connection:
        assert not compare_metadata(MigrationContext.configure(connection), metadata)


@pytest.mark.parametrize(
    ("version", "advice"), [("0000", "upgrade acx"), ("9999", "upgrade acx"), (None, "init")]
)
def test_a_database_of_another_version_is_refused(
    home: Path, version: str | None, advice: str
) -> None:
    with Exchange.open(home) as exchange, exchange._database.write() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if version:
            connection.execute(
                text("INSERT INTO alembic_version VALUES (:version)"), {"version": version}
            )
    with pytest.raises(StorageError, match=advice):
        Exchange.open(home)


def test_a_write_that_fails_has_not_happened(founded: Founded, home: Path) -> None:
    database = Database(database_url(Exchange.open(home).settings.database, home))

    def insert_then_fail() -> None:
        with database.write() as connection:
            connection.execute(
                text("INSERT INTO operators VALUES ('eve', 'key', '2026-01-01T00Z')")
            )
            raise KeyError

    with pytest.raises(KeyError):
        insert_then_fail()
    with database.read() as connection:
        assert not connection.execute(text("SELECT 1 FROM operators WHERE name = 'eve'")).first()
    database.close()


def test_the_environment_stands_above_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACX_URL", "https://elsewhere.example")
    with Exchange.open(home) as exchange:
        assert exchange.settings.url == "https://elsewhere.example"


def test_every_setting_has_a_default_or_is_asked_for() -> None:
    assert Settings(origin="a", url="http://x").database == ""


def test_the_version_that_commands_ask_for_is_that_of_the_last_migration() -> None:
    scripts = ScriptDirectory.from_config(_alembic_config())
    assert scripts.get_current_head() == VERSION
