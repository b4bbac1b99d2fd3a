"""Questions to people, and erasures that somebody confirmed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "question",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("privacy_request_id", sa.String(length=64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("sealed_question", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_answer", sa.LargeBinary(), nullable=True),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.Column("answered_by", sa.String(length=64), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["privacy_request_id"],
            ["privacy_request.id"],
            name=op.f("fk_question_privacy_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
    )
    op.create_index("ix_question_request", "question", ["privacy_request_id", "created_at", "id"])
    with op.batch_alter_table("privacy_request") as request:
        request.add_column(sa.Column("confirmed", sa.JSON()))


def downgrade() -> None:
    """Drop them, and all they hold."""
    op.drop_table("question")
    # Not as a batch, which makes a table anew: dropping the old one would delete what points to its rows.
    op.drop_column("privacy_request", "confirmed")
