"""Queries on questions: asked, answered, forgotten. Sealed columns are passed through, never opened.

One request has at most one open question at a time. An answer is written once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import question


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Put in a question; columns as in `tables.question`."""
    connection.execute(sa.insert(question), row)


def open_of(connection: Connection, request_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The open questions of requests, by request."""
    found = sa.select(question).where(question.c.privacy_request_id.in_(request_ids), question.c.answered_at.is_(None))
    return {row.privacy_request_id: row._asdict() for row in connection.execute(found)}


def answered_of(connection: Connection, request_id: str) -> list[dict[str, Any]]:
    """The answered questions of a request, oldest first."""
    found = (
        sa.select(question)
        .where(question.c.privacy_request_id == request_id, question.c.answered_at.is_not(None))
        .order_by(question.c.created_at, question.c.id)
    )
    return [row._asdict() for row in connection.execute(found)]


def answer(connection: Connection, question_id: str, values: Mapping[str, Any], now: datetime) -> bool:
    """Write an answer; False where there is one already."""
    written = sa.update(question).where(question.c.id == question_id, question.c.answered_at.is_(None))
    return connection.execute(written.values(**values, answered_at=now, updated_at=now)).rowcount == 1


def forget(connection: Connection, request_ids: Collection[str]) -> None:
    """Delete all questions of requests, with their answers. Safe to call again."""
    connection.execute(sa.delete(question).where(question.c.privacy_request_id.in_(request_ids)))
