"""Tables of what people do for a request: the fields they are asked for, and what they answered, sealed."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Integer, LargeBinary, String, Table, UniqueConstraint

from habeas.store.tables.base import UtcDateTime, base_columns, metadata

manual_webhook = Table(
    "manual_webhook",
    metadata,
    *base_columns(),
    Column("connection_id", ForeignKey("connection.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("fields", JSON, nullable=False),  # [{pii_field, dsr_package_label}]
    Column("labels_digest", String(64), nullable=False),  # of the set of labels: an answer to other labels is none
)

manual_answer = Table(
    "manual_answer",
    metadata,
    Column("privacy_request_id", ForeignKey("privacy_request.id", ondelete="CASCADE"), primary_key=True),
    Column("connection_key", String(255), primary_key=True),
    Column("labels_digest", String(64), nullable=False),
    Column("sealed_fields", LargeBinary, nullable=False),
    Column("answered_by", String(64), nullable=False),
    Column("answered_at", UtcDateTime, nullable=False),
)

instruction = Table(  # to a processor, to erase; a request is complete once each is confirmed
    "instruction",
    metadata,
    *base_columns(),
    Column("privacy_request_id", ForeignKey("privacy_request.id", ondelete="CASCADE"), nullable=False),
    Column("connection_key", String(255), nullable=False),
    Column("state", String(16), nullable=False),  # waiting | confirmed | given_up
    Column("sent", Integer, nullable=False, default=0),  # how often
    Column("message_id", Integer),  # in the outbox, of the last one
    Column("token_digest", String(64), unique=True),  # of the link in the last one
    Column("expires_at", UtcDateTime),  # of that link
    Column("ended_at", UtcDateTime),
    Column("ended_by", String(64)),
    UniqueConstraint("privacy_request_id", "connection_key"),
)
