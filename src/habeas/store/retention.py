"""Deleting what is over: finished requests, their logs and cohorts, as old as the caller says.

Never what proves or repeats anything: receipts, the audit trail and the ledger stay, and with the ledger the requests
and cohorts of whatever it holds, since what was erased is erased again by their seeds and plans. Requests that were
tried several times stay too. Never decides how old is old enough.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import cohort, execution_log, ledger
from habeas.store.tables import privacy_request as request

COHORT_PREFIX = "coh_"  # runs over the ledger have rows among the cohorts too


def delete_requests(connection: Connection, statuses: Collection[str], before: datetime, limit: int) -> int:
    """Delete up to `limit` requests, their identities with them, that have one of these final statuses and didn't
    change since `before`; how many. Oldest first.
    """
    old = (
        sa.select(request.c.id)
        .where(request.c.status.in_(statuses), request.c.updated_at < before, request.c.earlier.is_(None))
        .where(~sa.exists().where(ledger.c.cohort_id == request.c.cohort_id))
        .order_by(request.c.updated_at, request.c.id)
        .limit(limit)
    )
    ids = list(connection.execute(old).scalars())
    if not ids:
        return 0
    return connection.execute(sa.delete(request).where(request.c.id.in_(ids), request.c.status.in_(statuses))).rowcount


def delete_cohorts(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` cohorts that ended before a moment and have no request left, with their logs; how many."""
    old = (
        sa.select(cohort.c.id)
        .where(cohort.c.finished_at < before, cohort.c.sealed_data_key.is_(None))
        .where(cohort.c.id.startswith(COHORT_PREFIX, autoescape=True))
        .where(~sa.exists().where(request.c.cohort_id == cohort.c.id))
        .where(~sa.exists().where(ledger.c.cohort_id == cohort.c.id))
        .order_by(cohort.c.finished_at)
        .limit(limit)
    )
    ids = list(connection.execute(old).scalars())
    if not ids:
        return 0
    connection.execute(sa.delete(execution_log).where(execution_log.c.cohort_id.in_(ids)))
    return connection.execute(sa.delete(cohort).where(cohort.c.id.in_(ids))).rowcount
