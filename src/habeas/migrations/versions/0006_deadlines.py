"""Deadlines, duplicates, custom fields, retention; data categories of operators; indexes for every order and filter
of a list of requests.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OLD = {
    "stage": ("stage", "created_at"),
    "status": ("status", "created_at"),
    "external": ("external_id",),
}
_NEW = {
    "stage": ("stage", "created_at", "id"),
    "status": ("status", "created_at", "id"),
    "policy": ("policy_key", "created_at", "id"),
    "updated": ("updated_at", "id"),
    "requested": ("requested_at", "id"),
}
_PARTIAL = {
    "external_id": ("external_id", "id"),
    "due_date": ("due_date", "id"),
    "started": ("started_processing_at", "id"),
    "finished": ("finished_processing_at", "id"),
    "reviewed": ("reviewed_at", "id"),
    "verified": ("identity_verified_at", "id"),
    "paused": ("paused_at", "id"),
    "canceled": ("canceled_at", "id"),
    "outcome": ("outcome", "created_at", "id"),
    "reason": ("reason", "created_at", "id"),
}
_FOLDED, _CHARACTERS = "ix_privacy_request_external_folded", "ix_privacy_request_id_characters"


def upgrade() -> None:
    """Make the tables and columns."""
    op.create_table(
        "data_category",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("fides_key", sa.String(length=255), nullable=False),
        sa.Column("parent_key", sa.String(length=255), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_category")),
        sa.UniqueConstraint("fides_key", name=op.f("uq_data_category_fides_key")),
    )
    with op.batch_alter_table("privacy_request") as request:
        request.add_column(sa.Column("withheld", sa.JSON()))
        request.add_column(sa.Column("absent_kinds", sa.JSON()))
        request.add_column(sa.Column("replans", sa.Integer()))
        request.add_column(sa.Column("regime", sa.String(length=64)))
        request.add_column(sa.Column("extended_at", sa.DateTime()))
        request.add_column(sa.Column("clock_stopped_at", sa.DateTime()))
        request.add_column(sa.Column("clock_stopped_seconds", sa.Integer()))
    with op.batch_alter_table("policy") as policy:
        policy.add_column(sa.Column("regime", sa.String(length=64)))
    for name in _OLD:
        op.drop_index(f"ix_privacy_request_{name}", "privacy_request")
    for name, columns in _NEW.items():
        op.create_index(f"ix_privacy_request_{name}", "privacy_request", list(columns))
    for name, columns in _PARTIAL.items():
        valued = sa.text(f"{columns[0]} IS NOT NULL")
        made = f"ix_privacy_request_{name}"
        op.create_index(made, "privacy_request", list(columns), sqlite_where=valued, postgresql_where=valued)
    # Prefixes: in order of characters, which on PostgreSQL only a collation of its own gives.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'CREATE INDEX {_FOLDED} ON privacy_request ((lower(external_id) COLLATE "C"))')
        op.execute(f'CREATE INDEX {_CHARACTERS} ON privacy_request ((id COLLATE "C"))')
    else:
        op.execute(f"CREATE INDEX {_FOLDED} ON privacy_request (lower(external_id))")


def downgrade() -> None:
    """Drop them, and all they hold."""
    op.drop_table("data_category")
    for name in (_FOLDED, _CHARACTERS):
        op.execute(f"DROP INDEX IF EXISTS {name}")
    for name in (*_PARTIAL, *_NEW):
        op.drop_index(f"ix_privacy_request_{name}", "privacy_request")
    # Not as a batch, which makes a table anew: dropping the old one would delete what points to its rows.
    op.drop_column("policy", "regime")
    for name in ("clock_stopped_seconds", "clock_stopped_at", "extended_at", "regime"):
        op.drop_column("privacy_request", name)
    op.drop_column("privacy_request", "replans")
    op.drop_column("privacy_request", "absent_kinds")
    op.drop_column("privacy_request", "withheld")
    for name, columns in _OLD.items():
        op.create_index(f"ix_privacy_request_{name}", "privacy_request", list(columns))
