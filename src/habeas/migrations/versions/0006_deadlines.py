"""Deadlines, duplicates, custom fields, retention."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    with op.batch_alter_table("privacy_request") as request:
        request.add_column(sa.Column("withheld", sa.JSON()))
        request.add_column(sa.Column("absent_kinds", sa.JSON()))


def downgrade() -> None:
    """Drop them, and all they hold."""
    with op.batch_alter_table("privacy_request") as request:
        request.drop_column("absent_kinds")
        request.drop_column("withheld")
