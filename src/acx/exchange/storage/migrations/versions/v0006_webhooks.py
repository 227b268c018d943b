"""Members may have what is new posted to them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID: Final = sa.String(26)


def upgrade() -> None:
    """Add the webhooks."""
    op.create_table(
        "webhooks",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("member", _ID, nullable=False),
        sa.Column("url", sa.String(1024), nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("old_secret", sa.LargeBinary),
        sa.Column("old_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("after", sa.BigInteger, nullable=False),
        sa.Column("stop", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failing_since", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("due", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("problem", sa.String(256), nullable=False, server_default=""),
        sa.Column("dead", sa.Integer, nullable=False, server_default="0"),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("webhooks_member", "webhooks", ["member"])
