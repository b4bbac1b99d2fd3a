"""Tables of who may call: clients and their tokens."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    String,
    Table,
)

from habeas.store.tables.base import UtcDateTime, base_columns, metadata

client = Table(
    "client",
    metadata,
    *base_columns(),
    Column("secret_digest", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_by", String(64)),
    Column("former_secret_digest", String(64)),  # still taken until then, so that a secret can be changed at leisure
    Column("former_until", UtcDateTime),
)

access_token = Table(
    "access_token",
    metadata,
    Column("id", String(64), primary_key=True),  # jti
    Column("client_id", String(64), nullable=False, index=True),  # a user's id where it is a session
    Column("scopes", JSON, nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime),
)
