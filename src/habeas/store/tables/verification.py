"""Tables of verification: codes, how messages are sent, consent. Codes are kept as keyed digests only."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from habeas.store.tables.base import RowId, UtcDateTime, base_columns, metadata

verification_code = Table(  # the last code of what is to be verified: a privacy request or a consent request
    "verification_code",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),  # of the identity that it was sent to
    Column("blind_index", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("wrong", Integer, nullable=False),  # answers that were wrong
    Column("sent", Integer, nullable=False),  # codes made for this subject
    Column("issued_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Index("ix_verification_code_issued", "blind_index", "issued_at"),
)

email_config = Table(  # one at most
    "email_config",
    metadata,
    *base_columns(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("service_type", String(32), nullable=False),
    Column("details", JSON, nullable=False),
    Column("sealed_secrets", LargeBinary),
)

consent_request = Table(
    "consent_request",
    metadata,
    *base_columns(),
    Column("blind_index", LargeBinary, nullable=False),  # of the e-mail address
    Column("sealed_identity", LargeBinary, nullable=False),
    Column("verified_at", UtcDateTime),
)

consent_preference = Table(  # what holds now
    "consent_preference",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("blind_index", LargeBinary, nullable=False),
    Column("data_use", String(255), nullable=False),
    Column("data_use_description", Text),
    Column("opt_in", Boolean, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("blind_index", "data_use"),
)

consent_change = Table(  # append-only
    "consent_change",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("blind_index", LargeBinary, nullable=False, index=True),
    Column("data_use", String(255), nullable=False),
    Column("opt_in", Boolean, nullable=False),
    Column("consent_request_id", String(64), nullable=False),
)
