"""Queries on webhooks: which there are in each phase, of a policy or of all. Never a call of one: `webhook_calls`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from habeas.store.tables import connection as target
from habeas.store.tables import policy
from habeas.store.tables import webhook as table

PRE, POST, APPROVAL = "pre_execution", "post_execution", "pre_approval"


class WebhookRow(NamedTuple):
    """A webhook as stored, with its connection's key. `policy_id` is None for those of every policy."""

    id: str
    key: str
    name: str
    phase: str
    policy_id: str | None
    connection_id: str
    connection_key: str
    direction: str
    position: int


_COLUMNS = [
    target.c.key.label("connection_key") if name == "connection_key" else table.c[name] for name in WebhookRow._fields
]
_JOINED = table.join(target, target.c.id == table.c.connection_id)


def list_of(connection: Connection, phase: str, policy_id: str | None) -> list[WebhookRow]:
    """The webhooks of a phase, of a policy or of all, in order."""
    rows = connection.execute(_found(phase, table.c.policy_id == policy_id).order_by(table.c.position, table.c.key))
    return [WebhookRow(*row) for row in rows]


def list_of_policy_key(connection: Connection, phase: str, policy_key: str) -> list[WebhookRow]:
    """The same for a policy's key. One statement."""
    rows = connection.execute(_found(phase, _of_key(policy_key)).order_by(table.c.position, table.c.key))
    return [WebhookRow(*row) for row in rows]


def any_of_policy_key(phase: str, policy_key: str) -> sa.ColumnElement[bool]:
    """Whether there are any, to be asked within another statement."""
    return sa.exists().where(table.c.phase == phase, _of_key(policy_key))


def _of_key(policy_key: str) -> sa.ColumnElement[bool]:
    return table.c.policy_id == sa.select(policy.c.id).where(policy.c.key == policy_key).scalar_subquery()


def all_with(connection: Connection, phase: str, column: str, values: Sequence[str]) -> list[WebhookRow]:
    """Webhooks of a phase, of whatever policy, that have one of these keys or names."""
    return [WebhookRow(*row) for row in connection.execute(_found(phase, table.c[column].in_(values)))]


def exists(connection: Connection, webhook_id: str) -> bool:
    """Whether the webhook is still there."""
    return connection.execute(sa.select(table.c.id).where(table.c.id == webhook_id)).first() is not None


def keys_that_call(connection: Connection, connection_id: str) -> list[str]:
    """Keys of the webhooks that call a connection, sorted."""
    query = sa.select(table.c.key).where(table.c.connection_id == connection_id).order_by(table.c.key)
    return list(connection.execute(query).scalars())


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Put in a webhook."""
    connection.execute(sa.insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, webhook_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns of a webhook."""
    connection.execute(sa.update(table).where(table.c.id == webhook_id).values(**values, updated_at=now))


def remove(connection: Connection, webhook_ids: Sequence[str]) -> None:
    """Delete webhooks. Calls that were made of them stay."""
    connection.execute(sa.delete(table).where(table.c.id.in_(webhook_ids)))


def _found(phase: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(*_COLUMNS).select_from(_JOINED).where(table.c.phase == phase, *conditions)
