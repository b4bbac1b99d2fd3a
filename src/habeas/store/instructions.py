"""Queries on instructions to processors. Links are kept as digests; the messages are the outbox'."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from habeas.store.outbox import state_of
from habeas.store.tables import instruction as table
from habeas.store.tables import outbox

WAITING, CONFIRMED, GIVEN_UP = "waiting", "confirmed", "given_up"


class InstructionRow(NamedTuple):
    """An instruction as stored."""

    id: str
    created_at: datetime
    updated_at: datetime
    privacy_request_id: str
    connection_key: str
    state: str
    sent: int
    message_id: int | None
    token_digest: str | None
    expires_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None


_COLUMNS = [table.c[name] for name in InstructionRow._fields]


def of_requests(connection: Connection, request_ids: Collection[str]) -> list[InstructionRow]:
    """The instructions of these requests, by connection."""
    found = sa.select(*_COLUMNS).where(table.c.privacy_request_id.in_(request_ids)).order_by(table.c.connection_key)
    return [InstructionRow(*row) for row in connection.execute(found)]


def described(connection: Connection, request_id: str) -> list[dict[str, Any]]:
    """What answers show of a request's instructions, with what became of the last message."""
    found = (
        sa.select(*_COLUMNS, outbox.c.sent_at, outbox.c.failed_at, outbox.c.error)
        .outerjoin(outbox, outbox.c.id == table.c.message_id)
        .where(table.c.privacy_request_id == request_id)
        .order_by(table.c.connection_key)
    )
    names = ("connection_key", "state", "sent", "expires_at", "ended_at", "ended_by", "created_at")
    return [
        {name: getattr(row, name) for name in names}
        | {"message": None if row.message_id is None else state_of(row), "message_error": row.error}
        for row in connection.execute(found)
    ]


def find(connection: Connection, request_id: str, connection_key: str) -> InstructionRow | None:
    """One request's instruction by its connection, locked until the transaction ends."""
    same = (table.c.privacy_request_id == request_id, table.c.connection_key == connection_key)
    return _one(connection, sa.select(*_COLUMNS).where(*same))


def find_by_token(connection: Connection, digest: str) -> InstructionRow | None:
    """The instruction whose link has this digest, locked until the transaction ends."""
    return _one(connection, sa.select(*_COLUMNS).where(table.c.token_digest == digest))


def _one(connection: Connection, query: sa.Select[Any]) -> InstructionRow | None:
    row = connection.execute(query.with_for_update()).one_or_none()
    return None if row is None else InstructionRow(*row)


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert an instruction."""
    connection.execute(sa.insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, instruction_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns."""
    connection.execute(sa.update(table).where(table.c.id == instruction_id).values(**values, updated_at=now))
