"""The first tables.

A version writes its tables out: the schema of today must not change what a migration once did.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PLACE: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_HOUR: Final = sa.String(14)
_ID: Final = sa.String(26)
_KEY: Final = sa.String(44)


def upgrade() -> None:
    """Make the tables, and the head of an empty log."""
    _admission()
    _log()
    _governance()


def _admission() -> None:
    op.create_table(
        "members",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String(128), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("member_key", _KEY, nullable=False, unique=True),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("terms", sa.String(64), nullable=False),
        sa.Column("joined", _HOUR, nullable=False),
    )
    op.create_table(
        "invites",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("expires", _HOUR, nullable=False),
        sa.Column("used_by", _KEY),
    )
    op.create_table(
        "operators",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("public_key", _KEY, nullable=False, unique=True),
        sa.Column("added", _HOUR, nullable=False),
    )
    op.create_table(
        "period_secrets",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("secret", sa.LargeBinary(32), nullable=False),
    )


def _log() -> None:
    op.create_table(
        "entries",
        sa.Column("index", _PLACE, primary_key=True, autoincrement=False),
        sa.Column("event_id", _ID, unique=True),
        sa.Column("type", sa.String(32)),
        sa.Column("report", _ID),
        sa.Column("by", _KEY),
        sa.Column("seq", sa.BigInteger),
        sa.Column("at", _HOUR),
        sa.Column("entry", sa.LargeBinary(32), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary),
    )
    op.create_index("entries_report", "entries", ["report", "index"])
    op.create_index("entries_type", "entries", ["type", "index"])
    op.create_index("entries_by", "entries", ["by", "report", "seq"])
    op.create_table(
        "event_keys",
        sa.Column("index", _PLACE, primary_key=True, autoincrement=False),
        sa.Column("k", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "condemned",
        sa.Column("index", _PLACE, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "tags",
        sa.Column("context", sa.String(128), primary_key=True),
        sa.Column("tag", sa.String(128), primary_key=True),
        sa.Column("index", _PLACE, nullable=False),
    )
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
    )
    empty_root = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    op.bulk_insert(head, [{"id": 1, "size": 0, "root": empty_root, "fence": 0}])
    op.create_table(
        "checkpoints",
        sa.Column("size", _PLACE, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )


def _governance() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _PLACE, primary_key=True, autoincrement=True),
        sa.Column("acts", sa.LargeBinary, nullable=False),
        sa.Column("refused", sa.Text),
    )
    op.create_table(
        "proposals",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("report", _ID, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("proposed_by", sa.String(128), nullable=False),
        sa.Column("approved_by", sa.String(128)),
        sa.Column("created", _HOUR, nullable=False),
    )
