"""Tables of what people and slow services are asked about a request."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from habeas.store.tables.base import UtcDateTime, base_columns, metadata

question = Table(
    "question",
    metadata,
    *base_columns(),
    Column("privacy_request_id", ForeignKey("privacy_request.id", ondelete="CASCADE"), nullable=False),
    Column("address", Text, nullable=False),  # dataset:collection
    Column("action", String(16), nullable=False),  # access or erasure
    Column("sealed_question", LargeBinary, nullable=False),
    Column("sealed_answer", LargeBinary),  # rows
    Column("answered_at", UtcDateTime),
    Column("answered_by", String(64)),
    Column("row_count", Integer),
    Index("ix_question_request", "privacy_request_id", "created_at", "id"),
)
