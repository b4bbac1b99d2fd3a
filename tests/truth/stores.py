"""Makes a company's stores (SQLite files, schemas of one PostgreSQL database, MariaDB databases), and reads them whole.

A dump has, per table, its rows by column: integers, floats and booleans as they are, all else as the store's
own text, so that two dumps are equal only if the stores are.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg

from truth.company import Column, Company, Row, Store, Table
from truth.kinds import native
from truth.tables import JOURNAL, Language

Dump = dict[str, list[Row]]
Execute = Callable[..., list[tuple[Any, ...]]]


class Written(NamedTuple):
    """A write that a trigger noted: the table's id, INSERT, UPDATE or DELETE, and the row's key as text."""

    table: str
    event: str
    key: tuple[str, ...]


class Servers(NamedTuple):
    """Where stores may be made: a database of ours in PostgreSQL, MariaDB with the prefix of our databases."""

    postgres: str
    mariadb: str = ""
    prefix: str = ""


class Stores:
    """The stores of one company; they are made and dropped here."""

    def __init__(self, company: Company, folder: Path, servers: Servers) -> None:
        self.company = company
        self.folder = folder
        self.servers = servers
        schemas = self.schemas()
        self.languages = {each.name: Language(company, each, schemas) for each in company.stores}

    def schemas(self) -> dict[str, str]:
        """By store, its schema, where its system has several."""
        return {
            each.name: f"{self.servers.prefix}_{each.name}" if each.kind == "mariadb" else each.name
            for each in self.company.stores
            if each.kind != "sqlite"
        }

    def secrets(self, store: Store) -> dict[str, Any]:
        """What habeas is given to reach a store."""
        if store.kind == "sqlite":
            return {"path": str(self.file(store))}
        if store.kind == "mariadb":
            return {"url": f"{self.servers.mariadb}/{self.schemas()[store.name]}"}
        return {"url": self.servers.postgres}

    def file(self, store: Store) -> Path:
        """The file of a SQLite store."""
        return self.folder / f"{store.name}.db"

    def build(self) -> None:
        """Make and fill all stores; foreign keys come last, so that rows may come in any order."""
        for store in self.company.stores:
            if store.kind == "sqlite":
                self.file(store).unlink(missing_ok=True)
            with self.opened(store) as execute:
                self._make_schema(store, execute)
        for phase in (self._make_tables, self._make_keys, self._make_triggers):
            for store in self.company.stores:
                with self.opened(store) as execute:
                    phase(store, execute)

    def drop(self) -> None:
        """Remove everything again."""
        for store in self.company.stores:
            if store.kind == "sqlite":
                self.file(store).unlink(missing_ok=True)
                continue
            with self.opened(store) as execute:
                if store.kind == "mariadb":
                    execute("SET foreign_key_checks = 0")
                    execute(f"DROP DATABASE IF EXISTS {self.schemas()[store.name]}")
                else:
                    execute(f"DROP SCHEMA IF EXISTS {store.name} CASCADE")

    def dump(self) -> Dump:
        """All rows of all tables, described or not."""
        found: Dump = {}
        for store in self.company.stores:
            with self.opened(store) as execute:
                for table in self._tables(store):
                    found[table.id] = _rows(table, execute(self.languages[store.name].select(table)))
        return found

    def read_journal(self) -> list[Written]:
        """What triggers noted since it was last forgotten, in no order over stores."""
        found = []
        for store in self.company.stores if self.company.journal else ():
            log = self.languages[store.name].within(store.name, JOURNAL)
            with self.opened(store) as execute:
                for table, event, key in execute(f"SELECT t, op, k FROM {log}"):
                    found.append(Written(table, event, tuple(json.loads(key))))
        return found

    def take_journal(self) -> list[Written] | None:
        """The same, which is forgotten then; None where there are no triggers."""
        if not self.company.journal:
            return None
        found = self.read_journal()
        for store in self.company.stores if found else ():
            log = self.languages[store.name].within(store.name, JOURNAL)
            with self.opened(store) as execute:
                execute(f"DELETE FROM {log}")
        return found

    @contextmanager
    def opened(self, store: Store) -> Iterator[Execute]:
        """A function that runs a statement, with rows of parameters if given, in one transaction."""
        if store.kind == "sqlite":
            with closing(sqlite3.connect(self.file(store), isolation_level=None)) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("BEGIN")
                yield _executing(connection.cursor())
                connection.execute("COMMIT")
        elif store.kind == "mariadb":
            with closing(_mariadb(self.servers.mariadb)) as link:
                yield _executing(link.cursor())
                link.commit()
        else:
            with psycopg.connect(self.servers.postgres) as session:
                session.execute("SET TimeZone = 'UTC'")
                session.execute("SET synchronous_commit = off")
                yield _executing(session.cursor())

    def _tables(self, store: Store) -> list[Table]:
        """A store's tables, views last."""
        here = [each for each in self.company.tables if each.store == store.name]
        return sorted(here, key=lambda each: each.view_of is not None)

    # ---- making

    def _make_schema(self, store: Store, execute: Execute) -> None:
        language = self.languages[store.name]
        if store.kind == "mariadb":
            schema = self.schemas()[store.name]
            execute("SET foreign_key_checks = 0")
            execute(f"DROP DATABASE IF EXISTS {schema}")
            execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        elif store.kind == "postgres":
            execute(f"DROP SCHEMA IF EXISTS {store.name} CASCADE")
            execute(f"CREATE SCHEMA {store.name}")
            execute(f"CREATE TYPE {store.name}.mood AS ENUM ('low', 'middle', 'high')")
        if self.company.journal or any(each.delete_trigger for each in self.company.tables):
            text = "VARCHAR(200)"
            execute(f"CREATE TABLE {language.within(store.name, JOURNAL)} (t {text}, op {text}, k {text})")

    def _make_tables(self, store: Store, execute: Execute) -> None:
        language = self.languages[store.name]
        for table in self._tables(store):
            execute(language.create(table))
            for text in language.partitions(table):
                execute(text)
            if not table.view_of:
                self._fill(table, language, execute)

    def _fill(self, table: Table, language: Language, execute: Execute) -> None:
        columns = [each for each in table.columns if not each.generated]
        if not table.rows:
            return
        names = ", ".join(language.quote(each.name) for each in columns)
        marks = ", ".join(_mark(each, language, table) for each in columns)
        ruling = " OVERRIDING SYSTEM VALUE" if language.kind == "postgres" else ""
        place = language.place(table)
        if language.kind != "sqlite":
            names, place = names.replace("%", "%%"), place.replace("%", "%%")
        rows = [[_value(each, row[each.name], language.kind) for each in columns] for row in table.rows]
        execute(f"INSERT INTO {place} ({names}){ruling} VALUES ({marks})", rows)

    def _make_keys(self, store: Store, execute: Execute) -> None:
        language = self.languages[store.name]
        if store.kind == "sqlite":
            broken = execute("PRAGMA foreign_key_check")
            assert not broken, f"the generator broke a foreign key: {broken[:3]}"
            return
        for table in self._tables(store):
            for ref in language.foreign_keys(table):
                execute(f"ALTER TABLE {language.place(table)} ADD {language.foreign_key(ref)}")

    def _make_triggers(self, store: Store, execute: Execute) -> None:
        for table in self._tables(store):
            for text in self.languages[store.name].triggers(table):
                execute(text)


def _executing(cursor: Any) -> Execute:
    def execute(text: str, rows: list[Any] | None = None) -> list[tuple[Any, ...]]:
        if rows is not None:
            cursor.executemany(text, rows)
            return []
        cursor.execute(text)
        return list(cursor.fetchall()) if cursor.description else []

    return execute


def _mariadb(url: str) -> Any:
    import pymysql

    where = urlsplit(url)
    link = pymysql.connect(
        host=where.hostname or "127.0.0.1",
        port=where.port or 3306,
        user=where.username or "root",
        password=where.password or "",
        charset="utf8mb4",
    )
    link.query("SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'")
    return link


def _rows(table: Table, rows: list[Any]) -> list[Row]:
    names = [each.name for each in table.columns]
    return [
        {name: value.hex() if isinstance(value, bytes) else value for name, value in zip(names, row, strict=True)}
        for row in rows
    ]


def _mark(column: Column, language: Language, table: Table) -> str:
    if language.kind == "sqlite":
        return "?"
    if language.kind == "mariadb":
        return "%s"
    kind = f"{language.schemas[table.store]}.mood" if column.type == "enum" else native(column, "postgres")
    return f"%s::{kind}"


def _value(column: Column, value: Any, kind: str) -> Any:
    if value is None:
        return None
    if column.type == "bytes":
        return f"\\x{value}" if kind == "postgres" else bytes.fromhex(value)
    if kind == "postgres":
        return str(value)
    if column.type == "timestamptz" and kind == "mariadb":
        return value.removesuffix("+00:00")
    return int(value) if column.type == "bool" else value
