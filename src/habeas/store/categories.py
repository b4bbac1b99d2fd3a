"""Queries on the data categories that operators added to the taxonomy, and on who uses one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from habeas.store.tables import data_category as table
from habeas.store.tables import policy, rule, rule_target


class CategoryRow(NamedTuple):
    """A category as stored."""

    id: str
    fides_key: str
    parent_key: str | None
    name: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime


class TargetUse(NamedTuple):
    """A target of a rule, by keys, with its category."""

    policy: str
    rule: str
    target: str
    data_category: str


_COLUMNS = [table.c[name] for name in CategoryRow._fields]


def keys(connection: Connection) -> frozenset[str]:
    """The key of every category that isn't the taxonomy's. One statement."""
    return frozenset(connection.execute(select(table.c.fides_key)).scalars())


def hold(connection: Connection) -> frozenset[str]:
    """As `keys`, and none of them can be deleted until this transaction ends: what is saved in it may name them.

    SQLite's write transactions exclude each other anyway.
    """
    return frozenset(connection.execute(select(table.c.fides_key).with_for_update(read=True)).scalars())


def list_all(connection: Connection) -> list[CategoryRow]:
    """All of them by key."""
    return [CategoryRow(*row) for row in connection.execute(select(*_COLUMNS).order_by(table.c.fides_key))]


def find(connection: Connection, fides_key: str) -> CategoryRow | None:
    """The category of that key."""
    row = connection.execute(select(*_COLUMNS).where(table.c.fides_key == fides_key)).one_or_none()
    return None if row is None else CategoryRow(*row)


def claim(connection: Connection, fides_key: str) -> CategoryRow | None:
    """As `find`, alone: waits for whoever holds it (`hold`), so that what uses it is seen afterwards."""
    query = select(*_COLUMNS).where(table.c.fides_key == fides_key).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else CategoryRow(*row)


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a category."""
    connection.execute(insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, row_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns."""
    connection.execute(update(table).where(table.c.id == row_id).values(**values, updated_at=now))


def remove(connection: Connection, row_id: str) -> None:
    """Delete a category."""
    connection.execute(delete(table).where(table.c.id == row_id))


def targets_of(connection: Connection, fides_key: str) -> list[TargetUse]:
    """The targets that name the category, in order of keys."""
    joined = rule_target.join(rule, rule.c.id == rule_target.c.rule_id).join(policy, policy.c.id == rule.c.policy_id)
    columns = (policy.c.key, rule.c.key, rule_target.c.key, rule_target.c.data_category)
    query = select(*columns).select_from(joined).where(rule_target.c.data_category == fides_key)
    return [TargetUse(*row) for row in connection.execute(query.order_by(policy.c.key, rule.c.key, rule_target.c.key))]
