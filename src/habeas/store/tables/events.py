"""Tables of events, what happened to requests and is told to programs, and of the webhooks they are told to.

Rows about a request's status and about finished steps are written by triggers (`event_triggers`), in the statement
that makes them true, whoever runs it: a move that is told to nobody can't be written.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table
from sqlalchemy import event as sa_event
from sqlalchemy.engine import Connection

from habeas.store.tables.base import RowId, UtcDateTime, base_columns, metadata
from habeas.store.tables.event_triggers import make_triggers

event = Table(
    "event",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("position", BigInteger, unique=True),  # its place in the order in which events are told; NULL: none yet
    Column("created_at", UtcDateTime, nullable=False),
    Column("type", String(64), nullable=False),
    Column("privacy_request_id", String(64), index=True),
    Column("policy_key", String(255)),
    Column("cohort_id", String(64)),  # of a step
    Column("word", String(64)),  # the outcome of a complete request, the reason of one that failed or waits
    Column("detail", JSON),  # keys and counts, never values
)
Index("ix_event_created", event.c.created_at)
_unplaced = event.c.position.is_(None)
Index("ix_event_unplaced", event.c.id, sqlite_where=_unplaced, postgresql_where=_unplaced)

event_head = Table(  # one row, once there was an event
    "event_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),  # of the newest event that has one
    Column("dropped", BigInteger, nullable=False),  # of the newest that was deleted
)

event_webhook = Table(
    "event_webhook",
    metadata,
    *base_columns(),
    Column("key", String(255), nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("url", String(2048), nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("types", JSON, nullable=False),  # sorted; empty: all
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", String(64)),
    Column("failures", Integer, nullable=False),  # deliveries given up since one last succeeded
)


@sa_event.listens_for(metadata, "after_create")
def _begin(_: object, connection: Connection, **_named: Any) -> None:
    """What tables made all at once need besides."""
    make_triggers(connection)
