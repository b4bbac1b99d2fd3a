"""Queries on manual webhooks and what people answered: plain functions over a connection in a transaction.

`waits` is the one place that says which requests still wait for an answer; the dispatcher claims only others, whatever
a status says. Answers pass through sealed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import connection as source
from habeas.store.tables import manual_answer as answer
from habeas.store.tables import manual_webhook as table
from habeas.store.tables import privacy_request as request
from habeas.store.tables import rule


class WebhookRow(NamedTuple):
    """A manual webhook with what is shown of its connection."""

    id: str
    created_at: datetime
    updated_at: datetime
    fields: list[dict[str, str]]
    labels_digest: str
    connection_id: str
    connection_key: str
    disabled: bool


class AnswerRow(NamedTuple):
    """What was answered for one request and connection."""

    privacy_request_id: str
    connection_key: str
    labels_digest: str
    sealed_fields: bytes
    answered_by: str
    answered_at: datetime


def find(connection: Connection, connection_key: str) -> WebhookRow | None:
    """The manual webhook of a connection."""
    row = connection.execute(_select().where(source.c.key == connection_key)).one_or_none()
    return None if row is None else WebhookRow(*row)


def list_enabled(connection: Connection) -> list[WebhookRow]:
    """Those of connections that aren't disabled, in order of key."""
    return [WebhookRow(*row) for row in connection.execute(_select().where(~source.c.disabled).order_by(source.c.key))]


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a manual webhook."""
    connection.execute(sa.insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, webhook_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns."""
    connection.execute(sa.update(table).where(table.c.id == webhook_id).values(**values, updated_at=now))


def remove(connection: Connection, webhook_id: str) -> None:
    """Delete a manual webhook; answers stay with their requests."""
    connection.execute(sa.delete(table).where(table.c.id == webhook_id))


def put_answer(connection: Connection, row: AnswerRow) -> None:
    """Keep an answer in place of an earlier one to the same webhook."""
    same = (answer.c.privacy_request_id == row.privacy_request_id, answer.c.connection_key == row.connection_key)
    if not connection.execute(sa.update(answer).where(*same).values(**row._asdict())).rowcount:
        connection.execute(sa.insert(answer).values(**row._asdict()))


def find_answer(connection: Connection, request_id: str, connection_key: str) -> AnswerRow | None:
    """What was answered for a request about a connection."""
    same = (answer.c.privacy_request_id == request_id, answer.c.connection_key == connection_key)
    row = connection.execute(sa.select(*_ANSWER).where(*same)).one_or_none()
    return None if row is None else AnswerRow(*row)


def answers_of(
    connection: Connection, request_ids: Collection[str], connection_key: str | None = None
) -> list[AnswerRow]:
    """The answers for these requests, about one connection or all, in order of key."""
    found = sa.select(*_ANSWER).where(answer.c.privacy_request_id.in_(request_ids)).order_by(answer.c.connection_key)
    if connection_key is not None:
        found = found.where(answer.c.connection_key == connection_key)
    return [AnswerRow(*row) for row in connection.execute(found)]


def answered_connections(connection: Connection, request_ids: Collection[str]) -> list[str]:
    """The keys of connections that answers for these requests are about, each once."""
    found = sa.select(answer.c.connection_key).where(answer.c.privacy_request_id.in_(request_ids)).distinct()
    return list(connection.execute(found).scalars())


def unanswered(connection: Connection, request_id: str) -> list[str]:
    """The keys of connections whose answer a request waits for, in order."""
    found = (
        sa.select(source.c.key)
        .select_from(request)
        .join(table, sa.true())
        .join(source, source.c.id == table.c.connection_id)
        .where(request.c.id == request_id, *_unanswered())
        .order_by(source.c.key)
    )
    return list(connection.execute(found).scalars())


def waits() -> sa.ColumnElement[bool]:
    """Whether a row of `privacy_request` waits: its policy gives access, and an enabled webhook has no answer with its
    present labels.
    """
    asked = sa.select(table.c.id).join(source, source.c.id == table.c.connection_id)
    return asked.where(*_unanswered()).correlate(request).exists()


def release(connection: Connection, expected: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Write `values` to requests whose columns equal `expected`, if no enabled webhook is left; their ids."""
    left = sa.select(table.c.id).join(source, source.c.id == table.c.connection_id).where(~source.c.disabled)
    if connection.execute(left.limit(1)).first() is not None:
        return []
    guards = [request.c[name] == value for name, value in expected.items()]
    moved = sa.update(request).where(*guards).values(**values).returning(request.c.id)
    return sorted(connection.execute(moved).scalars())


def _unanswered() -> Sequence[sa.ColumnElement[bool]]:
    gives_access = sa.select(rule.c.id).where(rule.c.policy_id == request.c.policy_id, rule.c.action_type == "access")
    answered = sa.select(answer.c.connection_key).where(
        answer.c.privacy_request_id == request.c.id,
        answer.c.connection_key == source.c.key,
        answer.c.labels_digest == table.c.labels_digest,
    )
    return (
        ~source.c.disabled,
        gives_access.correlate(request).exists(),
        ~answered.correlate(request, source, table).exists(),
    )


def _select() -> sa.Select[Any]:
    own = (table.c[name] for name in ("id", "created_at", "updated_at", "fields", "labels_digest", "connection_id"))
    return sa.select(*own, source.c.key, source.c.disabled).join(source, source.c.id == table.c.connection_id)


_ANSWER = [answer.c[name] for name in AnswerRow._fields]
