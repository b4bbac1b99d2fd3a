"""Webhooks of policies, their calls and attempts; the outcome of requests that have yet to tell of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "webhook",
        *_base(),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("policy_id", sa.String(length=64), nullable=True),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"], name=op.f("fk_webhook_policy_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_webhook_connection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("phase", "key", name=op.f("uq_webhook_phase_key")),
        sa.UniqueConstraint("phase", "name", name=op.f("uq_webhook_phase_name")),
    )
    op.create_index(op.f("ix_webhook_policy_id"), "webhook", ["policy_id"])
    op.create_index(op.f("ix_webhook_connection_id"), "webhook", ["connection_id"])
    _make_calls()
    op.add_column("privacy_request", sa.Column("settled", sa.String(length=32), nullable=True))


def _make_calls() -> None:
    op.create_table(
        "webhook_call",
        *_base(),
        sa.Column("privacy_request_id", sa.String(length=64), nullable=False),
        sa.Column("webhook_id", sa.String(length=64), nullable=False),
        sa.Column("webhook_key", sa.String(length=255), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claimed_at", sa.DateTime(), nullable=True),
        sa.Column("answered_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["privacy_request_id"],
            ["privacy_request.id"],
            name=op.f("fk_webhook_call_privacy_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_call")),
        sa.UniqueConstraint(
            "privacy_request_id",
            "phase",
            "webhook_id",
            name=op.f("uq_webhook_call_privacy_request_id_phase_webhook_id"),
        ),
    )
    op.create_index("ix_webhook_call_state", "webhook_call", ["state", "due_at"])
    op.create_table(
        "webhook_attempt",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("began_at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("cause", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_id"], ["webhook_call.id"], name=op.f("fk_webhook_attempt_call_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_attempt")),
    )
    op.create_index(op.f("ix_webhook_attempt_call_id"), "webhook_attempt", ["call_id"])


def downgrade() -> None:
    """Drop them, and all they hold."""
    # Not as a batch, which makes a table anew: dropping the old one would delete what points to its rows.
    op.drop_column("privacy_request", "settled")
    for name in ("webhook_attempt", "webhook_call", "webhook"):
        op.drop_table(name)


def _base() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
    )
