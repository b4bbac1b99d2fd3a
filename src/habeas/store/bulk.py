"""Many new rows of one table at once, by the driver's own way: COPY on PostgreSQL, one prepared insert on SQLite.

Values are turned into what is stored by the columns' own types, as everywhere; a column that is left out, and a
value that is None, is NULL. Errors are SQLAlchemy's, so that whoever opened the transaction translates them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection, Dialect

COPY_FROM = 5  # rows: below, COPY's two round trips cost more than they save

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Any], Any] | None]


def insert_rows(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, each with the keys of the first, all of them columns. One statement; nothing for no rows."""
    if not rows:
        return
    names = tuple(name for name in rows[0] if any(row[name] is not None for row in rows))
    columns = _columns(connection.dialect, table, names)
    stored = list(zip(*(_stored(convert, [row[name] for row in rows]) for name, convert in columns), strict=True))
    if connection.dialect.name == "postgresql" and len(rows) >= COPY_FROM:
        _copy(connection, f"COPY {table.name} ({', '.join(names)}) FROM STDIN", stored)
        return
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(names))
    connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", stored)


@lru_cache(maxsize=64)
def _columns(dialect: Dialect, table: sa.Table, names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple((name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names)


def _stored(convert: Callable[[Any], Any] | None, values: Sequence[Any]) -> Sequence[Any]:
    """A column's values as the driver takes them; rows of one call have most of them in common."""
    if convert is None:
        return values
    last, converted, stored = None, None, []
    for value in values:
        if value is not last:
            last, converted = value, None if value is None else convert(value)
        stored.append(converted)
    return stored


def _copy(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    import psycopg  # SQLite needs none

    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        lost = bool(driver.closed)
        raise exc.DBAPIError.instance(
            statement,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=connection.dialect,
        ) from None
