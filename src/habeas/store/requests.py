"""Queries on privacy requests: put in, look up, move. Plain functions over a connection in a transaction.

Which moves are legal is `requests.model`'s to say; here every move repeats in SQL what it expects to find,
so that of two movers one fails. Sealed columns are passed through, never opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.bulk import insert_rows
from habeas.store.tables import idempotency, policy, provided_identity, rule
from habeas.store.tables import privacy_request as request

Row = Mapping[str, Any]

_RESULT = (
    "status",
    "stage",
    "outcome",
    "settled",
    "kept",
    "package",
    "not_searched",
    "withheld",
    "absent_kinds",
    "confirmed",
    "reason",
    "reason_detail",
    "finished_processing_at",
)
MEMBER = (
    "id",
    "member",
    "status",
    "stage",
    "attempt",
    "replans",
    "earlier",
    "policy_key",
    "sealed_identities",
    "sealed_seed",
    "sealed_encryption_key",
    "asked",
    "instructs",
)
"""The columns that the running of a cohort asks of its members."""


def find_policies(
    connection: Connection, *, keys: Collection[str] = (), ids: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Policies of these keys or ids joined with their rules in order: one row a rule, at least one a policy.

    Columns of the policy as they are, those of the rule with `rule_` before; None where it has no rule.
    """
    found = (
        sa.select(
            policy.c.id,
            policy.c.key,
            policy.c.name,
            policy.c.drp_action,
            policy.c.execution_timeframe,
            policy.c.regime,
            *(policy.c[name] for name in ("verify", "duplicates", "custom_fields", "approvals", "plan_drift")),
            *(rule.c[name].label(f"rule_{name}") for name in ("id", "key", "name", "action_type", "storage_key")),
        )
        .outerjoin(rule, rule.c.policy_id == policy.c.id)
        .where(sa.or_(policy.c.key.in_(keys), policy.c.id.in_(ids)))
        .order_by(policy.c.key, rule.c.position, rule.c.key)
    )
    return [row._asdict() for row in connection.execute(found)]


def insert_requests(connection: Connection, rows: Sequence[Row], identities: Sequence[Row]) -> None:
    """Two statements, however many rows: the requests, and their identities' search indexes."""
    insert_rows(connection, request, rows)
    insert_rows(connection, provided_identity, identities)


def find_by_ids(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The rows of these ids, by id; unknown ids are absent."""
    rows = connection.execute(sa.select(request).where(request.c.id.in_(ids)))
    return {row.id: row._asdict() for row in rows}


def find_locked(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """One row, which nobody else changes until the transaction ends."""
    row = connection.execute(sa.select(request).where(request.c.id == request_id).with_for_update()).one_or_none()
    return None if row is None else row._asdict()


def move_request(connection: Connection, request_id: str, expected: Row, values: Row) -> bool:
    """Write `values` if the row's columns still equal `expected`; whether it was so."""
    guards = [request.c[name] == value for name, value in expected.items()]
    done = connection.execute(sa.update(request).where(request.c.id == request_id, *guards).values(**values))
    return done.rowcount == 1


def move_old(connection: Connection, before: datetime, expected: Row, values: Row) -> list[str]:
    """Write `values` to every request made before a moment whose columns equal `expected`; their ids."""
    guards = [request.c[name] == value for name, value in expected.items()]
    moved = sa.update(request).where(request.c.created_at < before, *guards).values(**values)
    return list(connection.execute(moved.returning(request.c.id)).scalars())


def move_members(connection: Connection, cohort_id: str, expected: Row, values: Row) -> int:
    """Write `values` to every member of a cohort whose columns equal `expected`; how many there were.

    Members that left the cohort (canceled, refused) have another status and are passed over.
    """
    guards = [request.c[name] == value for name, value in expected.items()]
    done = connection.execute(sa.update(request).where(request.c.cohort_id == cohort_id, *guards).values(**values))
    return done.rowcount


def next_attempt() -> sa.ColumnElement[int]:
    """A value for `attempt`: one more than the row has."""
    return request.c.attempt + 1


def finish_members(connection: Connection, cohort_id: str, rows: Sequence[Row], now: datetime) -> int:
    """End members of a cohort, each with its own result: `id` and the columns of `_RESULT`; one that waits for people
    or webhooks has no end yet. One statement, many rows; members that left the cohort are passed over. How many ended.
    """
    if not rows:
        return 0
    values = {name: sa.bindparam(f"new_{name}", type_=request.c[name].type) for name in _RESULT}
    finished = (
        sa.update(request)
        .where(request.c.id == sa.bindparam("request_id"), request.c.cohort_id == cohort_id)
        .where(request.c.finished_processing_at.is_(None))
        .values(**values, updated_at=now)
    )
    parameters = [{"request_id": row["id"], **{f"new_{name}": row[name] for name in _RESULT}} for row in rows]
    return connection.execute(finished, parameters).rowcount


def members_of(connection: Connection, cohort_id: str) -> Iterator[dict[str, Any]]:
    """All rows of a cohort in order of member, also of those that left it: the columns of `MEMBER`, streaming."""
    columns = [request.c[name] for name in MEMBER]
    found = sa.select(*columns).where(request.c.cohort_id == cohort_id).order_by(request.c.member)
    for row in connection.execute(found.execution_options(yield_per=1000)):
        yield row._asdict()


def find_answer(connection: Connection, client_id: str, key: str) -> dict[str, Any] | None:
    """What was answered under an idempotency key of a client: `body_digest` and `sealed_answer`."""
    found = sa.select(idempotency).where(idempotency.c.client_id == client_id, idempotency.c.key == key)
    row = connection.execute(found).one_or_none()
    return None if row is None else row._asdict()


def insert_answer(connection: Connection, row: Row) -> None:
    """Keep the answer to an idempotency key; the database refuses a second one for the same key."""
    connection.execute(sa.insert(idempotency), row)


def drop_answers(connection: Connection, before: datetime) -> int:
    """Forget answers older than a moment; how many."""
    return connection.execute(sa.delete(idempotency).where(idempotency.c.created_at < before)).rowcount
