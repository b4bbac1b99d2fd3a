"""Manual webhooks and what people answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the column."""
    op.create_table(
        "manual_webhook",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("labels_digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connection.id"],
            name=op.f("fk_manual_webhook_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manual_webhook")),
        sa.UniqueConstraint("connection_id", name=op.f("uq_manual_webhook_connection_id")),
    )
    op.create_table(
        "manual_answer",
        sa.Column("privacy_request_id", sa.String(length=64), nullable=False),
        sa.Column("connection_key", sa.String(length=255), nullable=False),
        sa.Column("labels_digest", sa.String(length=64), nullable=False),
        sa.Column("sealed_fields", sa.LargeBinary(), nullable=False),
        sa.Column("answered_by", sa.String(length=64), nullable=False),
        sa.Column("answered_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["privacy_request_id"],
            ["privacy_request.id"],
            name=op.f("fk_manual_answer_privacy_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("privacy_request_id", "connection_key", name=op.f("pk_manual_answer")),
    )
    op.add_column("privacy_request", sa.Column("asked", sa.Boolean()))


def downgrade() -> None:
    """Drop them, and all they hold."""
    op.drop_column("privacy_request", "asked")
    op.drop_table("manual_answer")
    op.drop_table("manual_webhook")
