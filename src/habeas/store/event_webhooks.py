"""Queries on event webhooks: where events are sent to. Secrets are passed through sealed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.tables import event_webhook as webhook


class Listening(NamedTuple):
    """A webhook that is told of events of these types; of all, where there are none."""

    id: str
    types: list[str]


def listening(connection: Connection) -> list[Listening]:
    """The webhooks that aren't disabled."""
    found = sa.select(webhook.c.id, webhook.c.types).where(webhook.c.disabled.is_(False)).order_by(webhook.c.id)
    return [Listening(*row) for row in connection.execute(found)]


def find(connection: Connection, *, key: str | None = None, id_: str | None = None) -> dict[str, Any] | None:
    """The row of a key or an id."""
    wanted = webhook.c.key == key if key is not None else webhook.c.id == id_
    row = connection.execute(sa.select(webhook).where(wanted)).one_or_none()
    return None if row is None else row._asdict()


def page(connection: Connection, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Webhooks by key, and how many there are."""
    total = connection.execute(sa.select(sa.func.count()).select_from(webhook)).scalar_one()
    rows = connection.execute(sa.select(webhook).order_by(webhook.c.key).offset(offset).limit(limit))
    return [row._asdict() for row in rows], total


def insert(connection: Connection, row: Mapping[str, Any]) -> None:
    """Put in a webhook; the database refuses a second one of a key."""
    connection.execute(sa.insert(webhook), row)


def update(connection: Connection, webhook_id: str, values: Mapping[str, Any]) -> bool:
    """Change columns; whether it was there."""
    return connection.execute(sa.update(webhook).where(webhook.c.id == webhook_id).values(values)).rowcount == 1


def delete(connection: Connection, webhook_id: str) -> None:
    """Take it away. What waits in the outbox for it is the caller's."""
    connection.execute(sa.delete(webhook).where(webhook.c.id == webhook_id))


def note_result(connection: Connection, webhook_id: str, now: datetime, most: int, *, good: bool) -> bool:
    """Count a delivery that ended; whether it is the one that disables the webhook: the `most`th given up in a row."""
    if good:
        reset = sa.update(webhook).where(webhook.c.id == webhook_id, webhook.c.failures > 0)
        connection.execute(reset.values(failures=0))
        return False
    counted = sa.update(webhook).where(webhook.c.id == webhook_id).values(failures=webhook.c.failures + 1)
    failures = connection.execute(counted.returning(webhook.c.failures)).scalar_one_or_none()
    if failures is None or failures < most:
        return False
    ended = sa.update(webhook).where(webhook.c.id == webhook_id, webhook.c.disabled.is_(False))
    values = {"disabled": True, "disabled_reason": "failures", "updated_at": now}
    return connection.execute(ended.values(values)).rowcount == 1
