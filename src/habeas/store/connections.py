"""Queries on connections. Secrets pass through sealed and are never described."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from habeas.store.tables import connection as table

_HIDDEN = frozenset({"sealed_secrets", "disabled_at", "version"})


class ConnectionRow(NamedTuple):
    """A connection as stored. `version` counts its changes."""

    id: str
    key: str
    name: str
    description: str | None
    connection_type: str
    access: str
    disabled: bool
    disabled_at: datetime | None
    sealed_secrets: bytes | None
    last_test_timestamp: datetime | None
    last_test_succeeded: bool | None
    version: int
    created_at: datetime
    updated_at: datetime

    def described(self) -> dict[str, Any]:
        """What answers show: everything but the secrets."""
        return {name: value for name, value in self._asdict().items() if name not in _HIDDEN}


class Filter(NamedTuple):
    """What a list of connections is narrowed by; None and empty narrow nothing."""

    search: str | None = None
    kinds: Collection[str] | None = None
    disabled: bool | None = None
    tested: str | None = None  # passed | failed | untested


_COLUMNS = [table.c[name] for name in ConnectionRow._fields]


def find_connection(connection: Connection, key: str) -> ConnectionRow | None:
    """The connection of that key."""
    row = connection.execute(select(*_COLUMNS).where(table.c.key == key)).one_or_none()
    return None if row is None else ConnectionRow(*row)


def find_by_id(connection: Connection, connection_id: str) -> ConnectionRow | None:
    """The connection of that id."""
    row = connection.execute(select(*_COLUMNS).where(table.c.id == connection_id)).one_or_none()
    return None if row is None else ConnectionRow(*row)


def list_all(connection: Connection) -> list[ConnectionRow]:
    """Every connection, in order of key."""
    return [ConnectionRow(*row) for row in connection.execute(select(*_COLUMNS).order_by(table.c.key))]


def list_page(connection: Connection, wanted: Filter, *, offset: int, limit: int) -> tuple[list[ConnectionRow], int]:
    """Connections that match, in order of name, and how many there are."""
    conditions = _conditions(wanted)
    total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    query = select(*_COLUMNS).where(*conditions).order_by(table.c.name, table.c.key).offset(offset).limit(limit)
    return [ConnectionRow(*row) for row in connection.execute(query)], total


def holder_of_name(connection: Connection, name: str) -> str | None:
    """The key of the connection that has this name."""
    return connection.execute(select(table.c.key).where(table.c.name == name)).scalar_one_or_none()


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a connection."""
    connection.execute(insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, row_id: str, values: Mapping[str, Any], now: datetime) -> None:
    """Change the given columns and count the change."""
    counted = {"version": table.c.version + 1, "updated_at": now}
    connection.execute(update(table).where(table.c.id == row_id).values(**values, **counted))


def record_test(connection: Connection, row_id: str, succeeded: bool, now: datetime) -> None:
    """Keep the outcome of a test, which is no change of the connection."""
    values = {"last_test_timestamp": now, "last_test_succeeded": succeeded}
    connection.execute(update(table).where(table.c.id == row_id).values(**values))


def remove(connection: Connection, row_id: str) -> None:
    """Delete a connection with its datasets."""
    connection.execute(delete(table).where(table.c.id == row_id))


def _conditions(wanted: Filter) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.search:
        columns = (table.c.key, table.c.name, table.c.description)
        found.append(or_(*(column.icontains(wanted.search, autoescape=True) for column in columns)))
    if wanted.kinds is not None:
        found.append(table.c.connection_type.in_(sorted(wanted.kinds)))
    if wanted.disabled is not None:
        found.append(table.c.disabled.is_(wanted.disabled))
    if wanted.tested == "untested":
        found.append(table.c.last_test_succeeded.is_(None))
    elif wanted.tested is not None:
        found.append(table.c.last_test_succeeded.is_(wanted.tested == "passed"))
    return found
