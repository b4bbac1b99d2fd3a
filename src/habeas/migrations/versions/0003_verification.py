"""Verification of identities, messages, consent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables and columns."""
    op.add_column("outbox", sa.Column("due_at", sa.DateTime(), nullable=True))
    op.add_column("outbox", sa.Column("failed_at", sa.DateTime(), nullable=True))
    op.add_column("outbox", sa.Column("error", sa.String(length=64), nullable=True))
    op.create_index("ix_outbox_subject", "outbox", ["subject"])
    op.add_column("privacy_request", sa.Column("must_verify", sa.Boolean(), nullable=True))
    op.add_column("privacy_request", sa.Column("claimed", sa.JSON(), nullable=True))
    op.add_column("policy", sa.Column("verify", sa.String(length=16), nullable=True))
    _make_verification_code()
    _make_email_config()
    _make_consent()


def downgrade() -> None:
    """Drop them, and all they hold."""
    for table in ("consent_change", "consent_preference", "consent_request", "email_config", "verification_code"):
        op.drop_table(table)
    # Not as a batch, which makes a table anew: dropping the old one would delete what points to its rows.
    op.drop_column("policy", "verify")
    op.drop_column("privacy_request", "claimed")
    op.drop_column("privacy_request", "must_verify")
    op.drop_index("ix_outbox_subject", table_name="outbox")
    op.drop_column("outbox", "error")
    op.drop_column("outbox", "failed_at")
    op.drop_column("outbox", "due_at")


def _make_verification_code() -> None:
    op.create_table(
        "verification_code",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("blind_index", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("issued_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_verification_code")),
    )
    op.create_index("ix_verification_code_issued", "verification_code", ["blind_index", "issued_at"])


def _make_email_config() -> None:
    op.create_table(
        "email_config",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("service_type", sa.String(length=32), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("sealed_secrets", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_config")),
        sa.UniqueConstraint("key", name=op.f("uq_email_config_key")),
        sa.UniqueConstraint("name", name=op.f("uq_email_config_name")),
    )


def _make_consent() -> None:
    op.create_table(
        "consent_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("blind_index", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_identity", sa.LargeBinary(), nullable=False),
        sa.Column("verified_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_request")),
    )
    op.create_table(
        "consent_preference",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("blind_index", sa.LargeBinary(), nullable=False),
        sa.Column("data_use", sa.String(length=255), nullable=False),
        sa.Column("data_use_description", sa.Text(), nullable=True),
        sa.Column("opt_in", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_preference")),
        sa.UniqueConstraint("blind_index", "data_use", name=op.f("uq_consent_preference_blind_index_data_use")),
    )
    op.create_table(
        "consent_change",
        sa.Column("id", _ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("blind_index", sa.LargeBinary(), nullable=False),
        sa.Column("data_use", sa.String(length=255), nullable=False),
        sa.Column("opt_in", sa.Boolean(), nullable=False),
        sa.Column("consent_request_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_change")),
    )
    op.create_index(op.f("ix_consent_change_blind_index"), "consent_change", ["blind_index"])
