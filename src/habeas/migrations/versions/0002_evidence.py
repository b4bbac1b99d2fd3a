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
        ledger.add_column(sa.Column("again_at", sa.DateTime()))
    with op.batch_alter_table("privacy_request") as request:
        request.add_column(sa.Column("reappeared", sa.Integer()))
        request.add_column(sa.Column("reverified_at", sa.DateTime()))
    _make_ledger_run()
    op.add_column("cohort", sa.Column("pairs", sa.BigInteger()))
    op.create_index("ix_cohort_plan", "cohort", ["plan_digest", "finished_at"])


def downgrade() -> None:
    """Drop them, and all they hold."""
    with op.batch_alter_table("ledger") as ledger:
        ledger.drop_column("again_at")
        ledger.drop_column("remains_of")
        ledger.drop_column("remains")
    op.drop_table("ledger_run")
    # Not as a batch, which makes a table anew: dropping the old one would delete what points to its rows.
    op.drop_column("privacy_request", "reverified_at")
    op.drop_column("privacy_request", "reappeared")
    op.drop_index("ix_cohort_plan", "cohort")
    with op.batch_alter_table("cohort") as cohort:
        cohort.drop_column("pairs")


def _make_ledger_run() -> None:
    op.create_table(
        "ledger_run",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime()),
        sa.Column("connection_key", sa.String(length=255)),
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("pending", sa.JSON()),
        sa.Column("problems", sa.JSON()),
        sa.Column("reappeared", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_run")),
    )
    op.create_index("ix_ledger_run_created", "ledger_run", ["kind", "created_at"])
