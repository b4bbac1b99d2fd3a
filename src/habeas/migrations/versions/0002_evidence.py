"""What proof needs beyond the first version, and what cohorts leave for the size of the next ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    with op.batch_alter_table("ledger") as ledger:
        ledger.add_column(sa.Column("remains", sa.LargeBinary()))
        ledger.add_column(sa.Column("remains_of", sa.JSON()))
    op.add_column("cohort", sa.Column("pairs", sa.BigInteger()))
    op.create_index("ix_cohort_plan", "cohort", ["plan_digest", "finished_at"])


def downgrade() -> None:
    """Drop them, and all they hold."""
    with op.batch_alter_table("ledger") as ledger:
        ledger.drop_column("remains_of")
        ledger.drop_column("remains")
    op.drop_index("ix_cohort_plan", "cohort")
    with op.batch_alter_table("cohort") as cohort:
        cohort.drop_column("pairs")
