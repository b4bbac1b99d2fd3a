"""Queries on datasets: documents as given, each of one connection."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from habeas.store.tables import connection as connection_table
from habeas.store.tables import dataset as table


class DatasetRow(NamedTuple):
    """A dataset as stored. `version` is the digest of its body."""

    id: str
    fides_key: str
    connection_id: str
    body: Mapping[str, Any]
    version: str
    created_at: datetime
    updated_at: datetime


class PlacedDataset(NamedTuple):
    """A dataset with what a plan needs to know of its connection."""

    fides_key: str
    body: Mapping[str, Any]
    version: str
    connection_key: str
    access: str
    disabled: bool


_COLUMNS = [table.c[name] for name in DatasetRow._fields]


def find(connection: Connection, fides_key: str) -> DatasetRow | None:
    """The dataset of that key, of whatever connection."""
    row = connection.execute(select(*_COLUMNS).where(table.c.fides_key == fides_key)).one_or_none()
    return None if row is None else DatasetRow(*row)


def list_page(
    connection: Connection, connection_id: str | None, *, offset: int, limit: int
) -> tuple[list[DatasetRow], int]:
    """Datasets of one connection (None: of all), newest first, and how many there are."""
    matches = [] if connection_id is None else [table.c.connection_id == connection_id]
    total = connection.execute(select(func.count()).select_from(table).where(*matches)).scalar_one()
    order = (table.c.created_at.desc(), table.c.fides_key)
    rows = connection.execute(select(*_COLUMNS).where(*matches).order_by(*order).offset(offset).limit(limit))
    return [DatasetRow(*row) for row in rows], total


def list_placed(connection: Connection) -> list[PlacedDataset]:
    """Every dataset with its connection, in order of key. One statement."""
    columns = (
        table.c.fides_key,
        table.c.body,
        table.c.version,
        connection_table.c.key,
        connection_table.c.access,
        connection_table.c.disabled,
    )
    joined = table.join(connection_table, connection_table.c.id == table.c.connection_id)
    rows = connection.execute(select(*columns).select_from(joined).order_by(table.c.fides_key))
    return [PlacedDataset(*row) for row in rows]


def versions(connection: Connection) -> dict[str, str]:
    """The version of every dataset by key, without the bodies."""
    return {row.fides_key: row.version for row in connection.execute(select(table.c.fides_key, table.c.version))}


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> None:
    """Insert a dataset."""
    connection.execute(insert(table).values(**values, created_at=now, updated_at=now))


def change(connection: Connection, row_id: str, body: Mapping[str, Any], version: str, now: datetime) -> None:
    """Replace the document."""
    connection.execute(update(table).where(table.c.id == row_id).values(body=body, version=version, updated_at=now))


def remove(connection: Connection, row_id: str) -> None:
    """Delete a dataset."""
    connection.execute(delete(table).where(table.c.id == row_id))
