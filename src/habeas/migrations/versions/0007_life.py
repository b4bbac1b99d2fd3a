"""The life of a request: duplicates, custom fields, approval by two and for a plan, resubmission, deletion, purge."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_REQUEST: dict[str, sa.types.TypeEngine[Any]] = {
    "duplicate_of": sa.String(length=64),
    "resubmits": sa.String(length=64),
    "sealed_custom_fields": sa.LargeBinary(),
    "first_approved_by": sa.String(length=64),
    "first_approved_at": sa.DateTime(),
    "approved_digest": sa.String(length=64),
    "deleted_at": sa.DateTime(),
    "purged_at": sa.DateTime(),
}
_POLICY: dict[str, sa.types.TypeEngine[Any]] = {
    "duplicates": sa.JSON(),
    "custom_fields": sa.JSON(),
    "approvals": sa.Integer(),
    "plan_drift": sa.String(length=16),
    "retention_days": sa.Integer(),
}
_INDEXES = ("duplicate_of", "deleted_at")


def upgrade() -> None:
    """Make the columns and indexes."""
    for table, columns in (("privacy_request", _REQUEST), ("policy", _POLICY)):
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))
    for name in _INDEXES:
        valued = sa.text(f"{name} IS NOT NULL")
        made = f"ix_privacy_request_{name}"
        op.create_index(made, "privacy_request", [name, "id"], sqlite_where=valued, postgresql_where=valued)


def downgrade() -> None:
    """Drop them, and all they hold."""
    for name in _INDEXES:
        op.drop_index(f"ix_privacy_request_{name}", "privacy_request")
    for table, columns in (("policy", _POLICY), ("privacy_request", _REQUEST)):
        for name in columns:
            op.drop_column(table, name)
