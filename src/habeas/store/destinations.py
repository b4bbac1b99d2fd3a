"""Queries on storage destinations. Secrets pass through sealed and are never described."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from habeas.store.tables import storage


class DestinationRow(NamedTuple):
    """A destination as stored."""

    id: str
    key: str
    name: str
    type: str
    format: Literal["json", "csv"]
    details: Mapping[str, Any]
    sealed_secrets: bytes | None
    created_at: datetime
    updated_at: datetime

    def described(self) -> dict[str, Any]:
        """What answers show: everything but the secrets."""
        return {name: value for name, value in self._asdict().items() if name != "sealed_secrets"}


_COLUMNS = [storage.c[name] for name in DestinationRow._fields]


def find(connection: Connection, key: str) -> DestinationRow | None:
    """The destination of that key."""
    return find_many(connection, [key]).get(key)


def find_many(connection: Connection, keys: Collection[str]) -> Mapping[str, DestinationRow]:
    """The destinations of these keys, by key; nothing is asked for no keys."""
    if not keys:
        return {}
    rows = connection.execute(select(*_COLUMNS).where(storage.c.key.in_(sorted(keys))))
    return {row.key: DestinationRow(*row) for row in rows}


def holder_of_name(connection: Connection, name: str) -> str | None:
    """The key of the destination that has this name."""
    return connection.execute(select(storage.c.key).where(storage.c.name == name)).scalar_one_or_none()


def list_page(connection: Connection, *, offset: int, limit: int) -> tuple[list[DestinationRow], int]:
    """Destinations, newest first, and how many there are."""
    total = connection.execute(select(func.count()).select_from(storage)).scalar_one()
    order = (storage.c.created_at.desc(), storage.c.key)
    rows = connection.execute(select(*_COLUMNS).order_by(*order).offset(offset).limit(limit))
    return [DestinationRow(*row) for row in rows], total


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a destination."""
    connection.execute(insert(storage).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, row_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns."""
    connection.execute(update(storage).where(storage.c.id == row_id).values(**values, updated_at=now))


def remove(connection: Connection, row_id: str) -> None:
    """Delete a destination."""
    connection.execute(delete(storage).where(storage.c.id == row_id))
