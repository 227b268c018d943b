"""A lost wallet is replaced by an invite for the same member."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add whose wallet an invite replaces, and when a member last got a new one."""
    op.add_column("invites", sa.Column("member", sa.String(26)))
    op.add_column("members", sa.Column("reenrolled", sa.String(14)))
