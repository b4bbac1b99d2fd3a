"""Makes a company's stores (SQLite files, schemas of one PostgreSQL database), and reads them whole.

A dump has, per table, its rows by column: integers, floats and booleans as they are, all else as the store's
own text, so that two dumps are equal only if the stores are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from truth.company import Column, Company, Ref, Row, Store, Table

Dump = dict[str, list[Row]]

SQLITE = {
    "int": "INTEGER",
    "bigint": "BIGINT",
    "uuid": "CHAR(36)",
    "text": "TEXT",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP",
    "decimal": "DECIMAL(12,2)",
    "bool": "BOOLEAN",
    "json": "JSON",
    "bytes": "BLOB",
    "float": "REAL",
}
POSTGRES = {
    "int": "integer",
    "bigint": "bigint",
    "uuid": "uuid",
    "text": "text",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "decimal": "numeric(12,2)",
    "bool": "boolean",
    "json": "json",
    "bytes": "bytea",
    "float": "double precision",
}
PLAIN = ("int", "bigint", "bool", "float")


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


class Stores:
    """The stores of one company. `postgres_url` is a database of ours; its schemas are made and dropped here."""

    def __init__(self, company: Company, folder: Path, postgres_url: str) -> None:
        self.company = company
        self.folder = folder
        self.postgres_url = postgres_url

    def secrets(self, store: Store) -> dict[str, Any]:
        """What habeas is given to reach a store."""
        if store.kind == "sqlite":
            return {"path": str(self.file(store))}
        return {"url": self.postgres_url}

    def file(self, store: Store) -> Path:
        """The file of a SQLite store."""
        return self.folder / f"{store.name}.db"

    def build(self) -> None:
        """Make and fill all stores; foreign keys come last, so that rows may come in any order."""
        for store in self.company.stores:
            tables = [each for each in self.company.tables if each.store == store.name]
            if store.kind == "sqlite":
                self._build_sqlite(store, tables)
            else:
                self._build_postgres(store, tables)

    def drop(self) -> None:
        """Remove everything again."""
        for store in self.company.stores:
            if store.kind == "sqlite":
                self.file(store).unlink(missing_ok=True)
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            for store in self.company.stores:
                if store.kind != "sqlite":
                    connection.execute(f"DROP SCHEMA IF EXISTS {store.name} CASCADE")

    def dump(self) -> Dump:
        """All rows of all tables, described or not."""
        found: Dump = {}
        for store in self.company.stores:
            tables = [each for each in self.company.tables if each.store == store.name]
            if store.kind == "sqlite":
                with closing(sqlite3.connect(self.file(store))) as connection:
                    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
                    for table in tables:
                        found[table.id] = self._rows(table, connection.execute(self._select(table, store)).fetchall())
            else:
                with psycopg.connect(self.postgres_url, autocommit=True) as connection:
                    connection.execute("SET TimeZone = 'UTC'")
                    for table in tables:
                        found[table.id] = self._rows(table, connection.execute(self._select(table, store)).fetchall())
        return found

    def _rows(self, table: Table, rows: list[Any]) -> list[Row]:
        names = [each.name for each in table.columns]
        return [
            {name: value.hex() if isinstance(value, bytes) else value for name, value in zip(names, row, strict=True)}
            for row in rows
        ]

    def _select(self, table: Table, store: Store) -> str:
        cast = store.kind != "sqlite"
        columns = (
            f"{quoted(each.name)}::text" if cast and each.type not in PLAIN else quoted(each.name)
            for each in table.columns
        )
        return f"SELECT {', '.join(columns)} FROM {self._place(table, store)}"

    def _place(self, table: Table, store: Store) -> str:
        return quoted(table.name) if store.kind == "sqlite" else f"{store.name}.{quoted(table.name)}"

    # ---- making

    def _build_sqlite(self, store: Store, tables: list[Table]) -> None:
        self.file(store).unlink(missing_ok=True)
        with closing(sqlite3.connect(self.file(store), isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            for table in tables:
                keys = [self._foreign_key(ref, store) for ref in self._foreign_keys(table)]
                connection.execute(
                    f"CREATE TABLE {quoted(table.name)} ({', '.join([*self._parts(table, SQLITE), *keys])})"
                )
                columns = [each for each in table.columns if not each.generated]
                marks = ", ".join("?" for _ in columns)
                names = ", ".join(quoted(each.name) for each in columns)
                rows = [[_sqlite_value(each, row[each.name]) for each in columns] for row in table.rows]
                connection.executemany(f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({marks})", rows)
                if table.trigger:
                    same = " AND ".join(f"{quoted(each)} IS NEW.{quoted(each)}" for each in table.key)
                    name = quoted(f"tr {table.name}")
                    connection.execute(
                        f"CREATE TRIGGER {name} AFTER UPDATE ON {quoted(table.name)} WHEN NEW.rev = OLD.rev "
                        f"BEGIN UPDATE {quoted(table.name)} SET rev = rev + 1 WHERE {same}; END"
                    )
            connection.execute("COMMIT")
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            assert not broken, f"the generator broke a foreign key: {broken[:3]}"

    def _build_postgres(self, store: Store, tables: list[Table]) -> None:
        with psycopg.connect(self.postgres_url) as connection, connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            cursor.execute(f"DROP SCHEMA IF EXISTS {store.name} CASCADE")
            cursor.execute(f"CREATE SCHEMA {store.name}")
            for table in tables:
                place = self._place(table, store)
                cursor.execute(f"CREATE TABLE {place} ({', '.join(self._parts(table, POSTGRES))})")
                columns = [each for each in table.columns if not each.generated]
                marks = ", ".join(f"%s::{self._type(each, POSTGRES)}" for each in columns)
                names = ", ".join(quoted(each.name) for each in columns).replace("%", "%%")
                rows = [[_postgres_value(each, row[each.name]) for each in columns] for row in table.rows]
                cursor.executemany(f"INSERT INTO {place} ({names}) VALUES ({marks})", rows)
                if table.trigger:
                    name = f"{store.name}.tr_{table.id}"
                    cursor.execute(
                        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
                        " $$ BEGIN NEW.rev := OLD.rev + 1; RETURN NEW; END $$"
                    )
                    cursor.execute(f"CREATE TRIGGER tr BEFORE UPDATE ON {place} FOR EACH ROW EXECUTE FUNCTION {name}()")
            for table in tables:
                for ref in self._foreign_keys(table):
                    cursor.execute(f"ALTER TABLE {self._place(table, store)} ADD {self._foreign_key(ref, store)}")

    def _foreign_keys(self, table: Table) -> Iterator[Ref]:
        yield from (ref for ref in self.company.refs if ref.fk and ref.holder == table.id)

    def _foreign_key(self, ref: Ref, store: Store) -> str:
        here, there = (", ".join(map(quoted, names)) for names in (ref.columns, ref.target_columns))
        target = self._place(self.company.table(ref.target), store)
        return f"FOREIGN KEY ({here}) REFERENCES {target} ({there}) ON DELETE {ref.fk}"

    def _parts(self, table: Table, types: dict[str, str]) -> Iterator[str]:
        for column in table.columns:
            name = quoted(column.name)
            text = f"{name} {self._type(column, types)}"
            if column.generated:
                yield f"{text} GENERATED ALWAYS AS (upper({quoted(column.generated)})) STORED"
                continue
            if not column.nullable:
                text += " NOT NULL"
            if column.unique:
                text += " UNIQUE"
            if column.check:
                text += f" CHECK ({name} {column.check})"
            yield text
        if table.key_kind != "none":
            yield f"{'PRIMARY KEY' if table.key_kind == 'primary' else 'UNIQUE'} ({', '.join(map(quoted, table.key))})"

    def _type(self, column: Column, types: dict[str, str]) -> str:
        return f"varchar({column.length})" if column.type == "varchar" else types[column.type]


def _sqlite_value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.type == "bytes":
        return bytes.fromhex(value)
    return int(value) if column.type == "bool" else value


def _postgres_value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.type == "bytes":
        return f"\\x{value}"
    return str(value)
