"""Queries that count requests: by status, late ones, reasons, what ended when. Never shows one of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import connection as source
from habeas.store.tables import dataset, execution_log, rule
from habeas.store.tables import privacy_request as request


class Answered(NamedTuple):
    """What counts of one request."""

    policy_id: str
    regime: str | None
    status: str
    outcome: str | None
    requested_at: datetime
    finished_at: datetime | None


def by_status(connection: Connection) -> dict[str, int]:
    """How many requests have each status; those that none has are absent."""
    found = sa.select(request.c.status, sa.func.count()).group_by(request.c.status)
    return {status: size for status, size in connection.execute(found)}


def by_reason(connection: Connection, statuses: Collection[str]) -> dict[str, int]:
    """How many requests of these statuses have each reason."""
    found = sa.select(request.c.reason, sa.func.count()).where(request.c.status.in_(statuses))
    rows = connection.execute(found.where(request.c.reason.is_not(None)).group_by(request.c.reason))
    return {reason: size for reason, size in rows}


def count_due(connection: Connection, ended: Collection[str], before: datetime, after: datetime | None = None) -> int:
    """Requests that haven't ended, whose clock runs and whose due date lies between, bounds as in lists: strict."""
    found = sa.select(sa.func.count()).where(
        request.c.due_date < before, request.c.clock_stopped_at.is_(None), request.c.status.not_in(ended)
    )
    bounded = found if after is None else found.where(request.c.due_date > after)
    return connection.execute(bounded).scalar_one()


def oldest_open(connection: Connection, ended: Collection[str]) -> datetime | None:
    """When the request came that waits longest; None where none waits."""
    found = sa.select(sa.func.min(request.c.requested_at)).where(request.c.status.not_in(ended))
    oldest: datetime | None = connection.execute(found).scalar_one()
    return oldest


def requested(
    connection: Connection, since: datetime, until: datetime, regime: str | None = None
) -> Iterator[Answered]:
    """Every request of a span of time (`since` in it, `until` not), in a stream."""
    names = ("policy_id", "regime", "status", "outcome", "requested_at", "finished_processing_at")
    found = sa.select(*(request.c[name] for name in names)).where(
        request.c.requested_at >= since, request.c.requested_at < until
    )
    if regime is not None:
        found = found.where(request.c.regime == regime)
    for row in connection.execute(found.execution_options(yield_per=1000)):
        yield Answered(*row)


def actions_of_policies(connection: Connection) -> dict[str, frozenset[str]]:
    """What the rules of each policy do today, by the policy's id."""
    found: dict[str, frozenset[str]] = {}
    for policy_id, action in connection.execute(sa.select(rule.c.policy_id, rule.c.action_type).distinct()):
        found[policy_id] = found.get(policy_id, frozenset()) | {action}
    return found


def steps_by_connection(connection: Connection, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """How many entries of execution logs of a span have each status, by connection; None for a dataset that is gone."""
    key = source.c.key.label("connection")
    joined = execution_log.outerjoin(dataset, dataset.c.fides_key == execution_log.c.dataset_name)
    joined = joined.outerjoin(source, source.c.id == dataset.c.connection_id)
    found = (
        sa.select(key, execution_log.c.status, sa.func.count().label("steps"))
        .select_from(joined)
        .where(execution_log.c.created_at >= since, execution_log.c.created_at < until)
        .group_by(key, execution_log.c.status)
        .order_by(key, execution_log.c.status)
    )
    return [row._asdict() for row in connection.execute(found)]
