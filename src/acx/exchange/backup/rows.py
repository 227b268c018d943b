"""An exchange's rows as files, the same for SQLite and PostgreSQL: so a backup moves between them.

JSON Lines under zstd, a row each: `[table, {column: value}]`, binary values in base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard
from sqlalchemy import Connection, LargeBinary, Table, delete, insert, select

from acx.exchange.errors import BackupError
from acx.exchange.storage.schema import event_keys, filings, head, metadata, texts

_BATCH: Final = 1_000
KEY_TABLES: Final = (event_keys, filings, texts)
"""What a backup keeps apart, because deleting it must reach backups: the newest is the only one
that is ever needed."""
ROW_TABLES: Final = tuple(table for table in metadata.sorted_tables if table not in KEY_TABLES)


def write_rows(connection: Connection, tables: Iterable[Table], file: Path) -> None:
    """Write every row of some tables.

    Args:
        connection: holds one state of the database.
        tables: which.
        file: made; it must not be there.
    """
    encoder = msgspec.json.Encoder()
    with file.open("xb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as stream:
        for table in tables:
            # SQLAlchemy's names are strings of a kind of its own.
            title, *names = ("".join(named.name) for named in (table, *table.columns))
            query = select(table).execution_options(yield_per=_BATCH)
            for row in connection.execute(query):
                values = dict(zip(names, row, strict=True))
                stream.write(encoder.encode([title, values]) + b"\n")


def read_rows_into(connection: Connection, file: Path) -> None:
    """Insert every row of a file.

    Raises:
        BackupError: the file is damaged, or of another version.
    """
    # A new database has a head already.
    if file.name.startswith("rows"):
        connection.execute(delete(head))
    table: Table | None = None
    batch: list[dict[str, Any]] = []
    try:
        for name, row in _rows(file):
            if table is None or name != table.name or len(batch) == _BATCH:
                _insert(connection, table, batch)
                table, batch = metadata.tables[name], []
            batch.append(_binary(table, row))
        _insert(connection, table, batch)
    except (
        OSError,
        zstandard.ZstdError,
        msgspec.DecodeError,
        UnicodeDecodeError,
        binascii.Error,
        KeyError,
    ) as error:
        raise BackupError(f"{file} is damaged ({error}): take another backup") from None


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(tuple[str, dict[str, Any]])
    with file.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        rest = b""
        while chunk := stream.read(1 << 20):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(decoder.decode, lines)
        if rest:
            raise msgspec.DecodeError("cut short")


def _binary(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value, validate=True)
        if value is not None and isinstance(table.c[name].type, LargeBinary)
        else value
        for name, value in row.items()
    }


def _insert(connection: Connection, table: Table | None, rows: list[dict[str, Any]]) -> None:
    if table is not None and rows:
        connection.execute(insert(table), rows)
