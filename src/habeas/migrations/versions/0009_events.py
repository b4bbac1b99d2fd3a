"""Events: what happened to requests, told in one order to whoever listens, and the webhooks they are told to.

Triggers write most of them (`store.tables.event_triggers`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from habeas.store.tables.event_triggers import drop_triggers, make_triggers

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Open requests whose lateness wasn't told yet: what the sweep looks at.
_OPEN = "due_date IS NOT NULL AND status NOT IN ('complete', 'denied', 'canceled')"


def upgrade() -> None:
    """Make the tables and triggers; what waited in the outbox for somebody to listen becomes an event."""
    _make_tables()
    old = "kind = 'event.privacy_request.reappeared'"
    op.execute(
        "INSERT INTO event (created_at, type, privacy_request_id) "
        f"SELECT created_at, 'privacy_request.reappeared', subject FROM outbox WHERE {old} ORDER BY id"
    )
    op.execute(f"DELETE FROM outbox WHERE {old}")
    op.add_column("privacy_request", sa.Column("told_at_risk", sa.DateTime()))
    op.add_column("privacy_request", sa.Column("told_overdue", sa.DateTime()))
    valued = sa.text(_OPEN)
    op.create_index(
        "ix_privacy_request_open_due", "privacy_request", ["due_date"], sqlite_where=valued, postgresql_where=valued
    )
    make_triggers(op.get_bind())


def downgrade() -> None:
    """Drop them, and all they hold."""
    drop_triggers(op.get_bind())
    op.drop_index("ix_privacy_request_open_due", "privacy_request")
    op.drop_column("privacy_request", "told_overdue")
    op.drop_column("privacy_request", "told_at_risk")
    op.drop_table("event_webhook")
    op.drop_table("event_head")
    op.drop_table("event")


def _make_tables() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("privacy_request_id", sa.String(length=64), nullable=True),
        sa.Column("policy_key", sa.String(length=255), nullable=True),
        sa.Column("cohort_id", sa.String(length=64), nullable=True),
        sa.Column("word", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
        sa.UniqueConstraint("position", name=op.f("uq_event_position")),
    )
    unplaced = sa.text("position IS NULL")
    op.create_index("ix_event_unplaced", "event", ["id"], sqlite_where=unplaced, postgresql_where=unplaced)
    op.create_index("ix_event_created", "event", ["created_at"])
    op.create_index(op.f("ix_event_privacy_request_id"), "event", ["privacy_request_id"])
    op.create_table(
        "event_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_head")),
    )
    op.create_table(
        "event_webhook",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=64), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_webhook")),
        sa.UniqueConstraint("key", name=op.f("uq_event_webhook_key")),
    )
