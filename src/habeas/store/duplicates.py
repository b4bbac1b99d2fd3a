"""Queries on duplicates: who asked for the same before, and one at a time where two ask at once.

Compares blind indexes alone. Which requests may be compared is said here in SQL once: only those whose identity is
verified or vouched for, so that a claim can neither attach to another's request nor hold it up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import privacy_request as request
from habeas.store.tables import provided_identity

_ENDED_WITHOUT_ANSWER = ("denied", "canceled", "error")


def take_turns(connection: Connection, indexes: Iterable[bytes]) -> None:
    """Wait until no other transaction asks about one of these identities, until this one ends. SQLite's write lock
    does the same.
    """
    if connection.dialect.name != "postgresql":
        return
    for key in sorted({int.from_bytes(each[:8], "big", signed=True) for each in indexes}):
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def earlier_of(
    connection: Connection, policy_ids: Collection[str], indexes: Collection[bytes], since: datetime
) -> list[dict[str, Any]]:
    """One row an identity (`kind`, `blind_index`) of each request (`id`, `policy_id`, `created_at`, `kinds`) that has
    one of these identities proven and was neither denied, canceled, failed, deleted nor itself a duplicate; oldest
    first.
    """
    holders = sa.select(provided_identity.c.privacy_request_id).where(provided_identity.c.blind_index.in_(indexes))
    found = (
        sa.select(
            request.c.id,
            request.c.policy_id,
            request.c.created_at,
            request.c.kinds,
            provided_identity.c.kind,
            provided_identity.c.blind_index,
        )
        .join(provided_identity, provided_identity.c.privacy_request_id == request.c.id)
        .where(request.c.id.in_(holders), request.c.policy_id.in_(policy_ids), request.c.created_at >= since)
        .where(request.c.status.not_in(_ENDED_WITHOUT_ANSWER), *_uncopied(), _proven())
        .order_by(request.c.created_at, request.c.id)
    )
    return [row._asdict() for row in connection.execute(found)]


def answered(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Rows of duplicates that still wait although the first request is complete."""
    first = request.alias("first")
    found = (
        sa.select(request)
        .join(first, first.c.id == request.c.duplicate_of)
        .where(request.c.duplicate_of.is_not(None), request.c.reason == "duplicate")
        .where(request.c.status == "requires_input", first.c.status == "complete")
        .order_by(request.c.id)
        .limit(limit)
    )
    return [row._asdict() for row in connection.execute(found)]


def _uncopied() -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(request.c[name].is_(None) for name in ("duplicate_of", "deleted_at", "purged_at"))


def _proven() -> sa.ColumnElement[bool]:
    vouched = sa.and_(request.c.client_id.is_not(None), request.c.must_verify.is_not(True))
    return sa.or_(vouched, request.c.identity_verified_at.is_not(None))
