"""Anonymous credentials take the place of tags that the exchange made."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PLACE: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_HOUR: Final = sa.String(14)
_ID: Final = sa.String(26)


def upgrade() -> None:
    """Add what credentials need; drop the secret that could link tags to members."""
    op.create_table(
        "issuer_keys",
        sa.Column("number", _PLACE, primary_key=True, autoincrement=False),
        sa.Column("id", _ID, nullable=False, unique=True),
        sa.Column("starts", _HOUR, nullable=False),
        sa.Column("made", _HOUR, nullable=False),
        sa.Column("emergency", sa.Integer, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("member", _ID, primary_key=True),
        sa.Column("key", _ID, primary_key=True),
        sa.Column("response", sa.LargeBinary, nullable=False),
    )
    op.add_column("members", sa.Column("commitment", sa.LargeBinary(33)))
    op.drop_table("period_secrets")
