"""Tables of webhooks: which there are, the calls that requests make of them, and every attempt at a call."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from habeas.store.tables.base import RowId, UtcDateTime, base_columns, metadata

webhook = Table(
    "webhook",
    metadata,
    *base_columns(),
    Column("key", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("phase", String(16), nullable=False),  # pre_execution | post_execution | pre_approval
    Column("policy_id", ForeignKey("policy.id", ondelete="CASCADE"), index=True),  # None: of every policy
    Column("connection_id", ForeignKey("connection.id"), nullable=False, index=True),
    Column("direction", String(8), nullable=False),  # one_way | two_way
    Column("position", Integer, nullable=False),  # from 0, without gaps
    UniqueConstraint("phase", "key"),
    UniqueConstraint("phase", "name"),
)

webhook_call = Table(  # one of a request and a webhook; its id is the call's own, the same in every attempt
    "webhook_call",
    metadata,
    *base_columns(),
    Column("privacy_request_id", ForeignKey("privacy_request.id", ondelete="CASCADE"), nullable=False),
    Column("webhook_id", String(64), nullable=False),  # which may be gone
    Column("webhook_key", String(255), nullable=False),
    Column("connection_id", String(64), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("direction", String(8), nullable=False),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("round", Integer, nullable=False),  # counts from 0 how often somebody had it tried anew
    Column("attempts", Integer, nullable=False),  # of this round
    Column("due_at", UtcDateTime),  # not before
    Column("claimed_by", String(64)),
    Column("claimed_at", UtcDateTime),
    Column("answered_at", UtcDateTime),  # since when it has its state, where that is not `waiting`
    UniqueConstraint("privacy_request_id", "phase", "webhook_id"),
    Index("ix_webhook_call_state", "state", "due_at"),
)

webhook_attempt = Table(  # append-only, but for the end of each; never what was sent or answered
    "webhook_attempt",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("call_id", ForeignKey("webhook_call.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("began_at", UtcDateTime, nullable=False),
    Column("actor", String(64)),  # who had it sent again by hand
    Column("milliseconds", Integer),  # None: nobody knows how it ended
    Column("status_code", Integer),
    Column("cause", String(64)),  # one word of what went wrong
)
