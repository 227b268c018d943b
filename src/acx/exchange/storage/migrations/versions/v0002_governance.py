"""What governance needs: filings, texts, refusals, and on what grounds members were admitted."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PLACE: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_HOUR: Final = sa.String(14)
_ID: Final = sa.String(26)


def upgrade() -> None:
    """Add columns and tables; nothing that was there changes."""
    _admission()
    _disputes()


def _admission() -> None:
    for table in ("members", "invites"):
        op.add_column(
            table, sa.Column("criteria", sa.String(128), nullable=False, server_default="")
        )
        op.add_column(table, sa.Column("group_digest", sa.LargeBinary(32)))
    op.add_column("members", sa.Column("acceptance", sa.Text))
    op.add_column("members", sa.Column("marks", sa.Text, nullable=False, server_default=""))
    op.add_column("proposals", sa.Column("details", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "refusals",
        sa.Column("id", _PLACE, primary_key=True, autoincrement=True),
        sa.Column("at", _HOUR, nullable=False),
        sa.Column("operator", sa.String(128), nullable=False),
        sa.Column("act", sa.String(32), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def _disputes() -> None:
    op.create_table(
        "filings",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("report", _ID, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("proved_by", sa.String(16), nullable=False),
        sa.Column("received", _HOUR, nullable=False),
        sa.Column("dispute", _ID),
        sa.Column("closed", sa.String(64)),
        sa.Column("sealed", sa.LargeBinary),
    )
    op.create_index("filings_dispute", "filings", ["dispute"])
    op.create_table(
        "texts",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("dispute", _ID, nullable=False),
        sa.Column("about", _ID, nullable=False),
        sa.Column("received", _HOUR, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("texts_dispute", "texts", ["dispute"])
