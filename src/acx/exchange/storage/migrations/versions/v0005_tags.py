"""Tags are found by what they are; before, each look read the whole table."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index tags by value."""
    op.create_index("tags_tag", "tags", ["tag"])
