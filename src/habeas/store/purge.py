"""Queries that destroy what we hold of a person in one request. The request's row stays, with what names nobody.

Never touches receipts, the audit trail, the ledger, or the seed by which the ledger's masks are made again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import (
    execution_log,
    idempotency,
    instruction,
    manual_answer,
    outbox,
    policy,
    provided_identity,
    question,
    verification_code,
    webhook_call,
)
from habeas.store.tables import privacy_request as request

GONE = (
    "external_id",
    "sealed_custom_fields",
    "sealed_encryption_key",
    "package",
    "cancel_reason",
)


def purge_request(
    connection: Connection, request_id: str, statuses: Collection[str], identities: bytes, now: datetime
) -> bool:
    """Destroy it where the request has one of these statuses and wasn't purged; whether it was so. `identities`: the
    sealed column of none.
    """
    expected = (request.c.id == request_id, request.c.status.in_(statuses), request.c.purged_at.is_(None))
    values = dict.fromkeys(GONE) | {"sealed_identities": identities, "purged_at": now}
    if connection.execute(sa.update(request).where(*expected).values(**values)).rowcount != 1:
        return False
    for theirs in (provided_identity, manual_answer, question, instruction, webhook_call):
        connection.execute(sa.delete(theirs).where(theirs.c.privacy_request_id == request_id))
    connection.execute(sa.delete(verification_code).where(verification_code.c.subject == request_id))
    connection.execute(sa.delete(outbox).where(outbox.c.subject == request_id))
    answered = sa.cast(idempotency.c.request_ids, sa.Text).contains(f'"{request_id}"', autoescape=True)
    connection.execute(sa.delete(idempotency).where(answered))
    return True


def drop_logs(connection: Connection, memberships: Sequence[tuple[str, int]]) -> None:
    """Delete the log of these memberships, and what is of whole cohorts that have no other request."""
    for cohort_id, member in memberships:
        mine = execution_log.c.member == member
        whole = connection.execute(sa.select(sa.func.count()).where(request.c.cohort_id == cohort_id)).scalar_one() <= 1
        theirs = sa.true() if whole else mine
        connection.execute(sa.delete(execution_log).where(execution_log.c.cohort_id == cohort_id, theirs))


def others_wait(connection: Connection, cohort_id: str, statuses: Collection[str]) -> bool:
    """Whether a request of the cohort has none of these final statuses."""
    waiting = sa.exists().where(request.c.cohort_id == cohort_id, request.c.status.not_in(statuses))
    return bool(connection.execute(sa.select(waiting)).scalar_one())


def over(
    connection: Connection, statuses: Collection[str], now: datetime, days_of_all: int, offset: int, limit: int
) -> list[dict[str, Any]]:
    """`id` and `policy_key` of requests that ended longer ago than their policy keeps them, or, unless `days_of_all` is
    0, than all are kept. Oldest first, a slice.
    """
    ended = (request.c.status.in_(statuses), request.c.purged_at.is_(None))
    kept = connection.execute(
        sa.select(policy.c.id, policy.c.retention_days).where(policy.c.retention_days.is_not(None))
    ).all()
    bounds = [
        sa.and_(request.c.policy_id == row.id, request.c.finished_processing_at < _before(now, row.retention_days))
        for row in kept
    ]
    if days_of_all:
        bounds.append(request.c.finished_processing_at < _before(now, days_of_all))
    if not bounds:
        return []
    found = sa.select(request.c.id, request.c.policy_key).where(*ended, sa.or_(*bounds))
    ordered = found.order_by(request.c.finished_processing_at, request.c.id).offset(offset).limit(limit)
    return [row._asdict() for row in connection.execute(ordered)]


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)
