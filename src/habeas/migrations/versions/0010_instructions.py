"""Instructions to processors, and which a request gives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "instruction",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("privacy_request_id", sa.String(length=64), nullable=False),
        sa.Column("connection_key", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer()),
        sa.Column("token_digest", sa.String(length=64)),
        sa.Column("expires_at", sa.DateTime()),
        sa.Column("ended_at", sa.DateTime()),
        sa.Column("ended_by", sa.String(length=64)),
        sa.ForeignKeyConstraint(
            ["privacy_request_id"],
            ["privacy_request.id"],
            name=op.f("fk_instruction_privacy_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruction")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_instruction_token_digest")),
        sa.UniqueConstraint(
            "privacy_request_id", "connection_key", name=op.f("uq_instruction_privacy_request_id_connection_key")
        ),
    )
    op.add_column("privacy_request", sa.Column("instructs", sa.JSON()))


def downgrade() -> None:
    """Drop them, and all they hold."""
    op.drop_column("privacy_request", "instructs")
    op.drop_table("instruction")
