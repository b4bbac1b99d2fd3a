"""Queries on policies, rules and targets. Masking configurations pass through sealed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from habeas.store.tables import policy, privacy_request, rule, rule_target


class PolicyRow(NamedTuple):
    """A policy as stored, without its rules."""

    id: str
    key: str
    name: str
    drp_action: str | None
    execution_timeframe: int | None
    regime: str | None
    partial_identities: str
    verify: str | None
    duplicates: dict[str, Any] | None
    custom_fields: dict[str, Any] | None
    approvals: int | None
    plan_drift: str | None
    retention_days: int | None
    created_at: datetime
    updated_at: datetime


class TargetRow(NamedTuple):
    """A target as stored."""

    id: str
    key: str
    name: str
    rule_id: str
    data_category: str


class RuleRow(NamedTuple):
    """A rule as stored, with its targets in the order they were made."""

    id: str
    key: str
    name: str
    policy_id: str
    action_type: str
    storage_key: str | None
    sealed_masking_strategy: bytes | None
    position: int
    targets: tuple[TargetRow, ...] = ()


_POLICY = [policy.c[name] for name in PolicyRow._fields]
_RULE = [rule.c[name] for name in RuleRow._fields if name != "targets"]
_TARGET = [rule_target.c[name] for name in TargetRow._fields]


def find_policy(connection: Connection, key: str) -> PolicyRow | None:
    """The policy of that key."""
    row = connection.execute(select(*_POLICY).where(policy.c.key == key)).one_or_none()
    return None if row is None else PolicyRow(*row)


def list_policies(connection: Connection, *, offset: int, limit: int) -> tuple[list[PolicyRow], int]:
    """Policies, newest first, and how many there are."""
    total = connection.execute(select(func.count()).select_from(policy)).scalar_one()
    order = (policy.c.created_at.desc(), policy.c.key)
    rows = connection.execute(select(*_POLICY).order_by(*order).offset(offset).limit(limit))
    return [PolicyRow(*row) for row in rows], total


def rules_of(connection: Connection, policy_ids: Collection[str]) -> dict[str, list[RuleRow]]:
    """The rules of policies with their targets, by policy id, in order. Two statements."""
    query = (
        select(*_RULE).where(rule.c.policy_id.in_(policy_ids)).order_by(rule.c.position, rule.c.created_at, rule.c.key)
    )
    rules = connection.execute(query).all()
    targets: dict[str, list[TargetRow]] = {}
    wanted = select(*_TARGET).where(rule_target.c.rule_id.in_([row.id for row in rules]))
    for row in connection.execute(wanted.order_by(rule_target.c.created_at, rule_target.c.key)):
        targets.setdefault(row.rule_id, []).append(TargetRow(*row))
    found: dict[str, list[RuleRow]] = {}
    for row in rules:
        found.setdefault(row.policy_id, []).append(RuleRow(*row)._replace(targets=tuple(targets.get(row.id, ()))))
    return found


def find_rule(connection: Connection, key: str) -> RuleRow | None:
    """The rule of that key, of whatever policy, without targets."""
    row = connection.execute(select(*_RULE).where(rule.c.key == key)).one_or_none()
    return None if row is None else RuleRow(*row)


def find_target(connection: Connection, key: str) -> TargetRow | None:
    """The target of that key, of whatever rule."""
    row = connection.execute(select(*_TARGET).where(rule_target.c.key == key)).one_or_none()
    return None if row is None else TargetRow(*row)


def holder_of_name(connection: Connection, kind: str, name: str) -> str | None:
    """The key of the `policy`, `rule` or `target` that has this name."""
    table = _table(kind)
    return connection.execute(select(table.c.key).where(table.c.name == name)).scalar_one_or_none()


def holder_of_drp_action(connection: Connection, action: str) -> str | None:
    """The key of the policy that answers this action of the Data Rights Protocol."""
    return connection.execute(select(policy.c.key).where(policy.c.drp_action == action)).scalar_one_or_none()


def next_position(connection: Connection, policy_id: str) -> int:
    """Where a new rule goes: after those there are."""
    last = connection.execute(select(func.max(rule.c.position)).where(rule.c.policy_id == policy_id)).scalar_one()
    return 0 if last is None else last + 1


def add(connection: Connection, kind: str, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a `policy`, `rule` or `target`."""
    connection.execute(insert(_table(kind)).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, kind: str, row_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns of a `policy`, `rule` or `target`."""
    table = _table(kind)
    connection.execute(update(table).where(table.c.id == row_id).values(**values, updated_at=now))


def remove(connection: Connection, kind: str, row_id: str) -> None:
    """Delete a `policy`, `rule` or `target` and what hangs on it."""
    table = _table(kind)
    connection.execute(delete(table).where(table.c.id == row_id))


def rules_that_store_to(connection: Connection, storage_key: str) -> list[str]:
    """Keys of the rules that name a destination, sorted."""
    query = select(rule.c.key).where(rule.c.storage_key == storage_key).order_by(rule.c.key)
    return list(connection.execute(query).scalars())


def count_requests(connection: Connection, policy_id: str, statuses: Sequence[str]) -> int:
    """Requests of a policy in these statuses."""
    matches = (privacy_request.c.policy_id == policy_id) & privacy_request.c.status.in_(statuses)
    return connection.execute(select(func.count()).select_from(privacy_request).where(matches)).scalar_one()


def _table(kind: str) -> Table:
    return {"policy": policy, "rule": rule, "target": rule_target}[kind]
