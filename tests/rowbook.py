"""Full dumps of a database as text, cell by cell, to compare what an erasure left with what was there before.

Every table of every schema is dumped, described or not. A cell is the store's own text of it (COPY of PostgreSQL,
`quote()` of SQLite), so that equal means byte-identical. Nothing of habeas is imported here.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

Cell = str | None
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Dump:
    """All rows by table (`schema.table`, without `public.`), in order; the declared length of text columns by
    (table, column), None where unlimited; other columns are absent from `lengths`.
    """

    rows: Mapping[str, list[Row]]
    lengths: Mapping[tuple[str, str], int | None]
    nullable: frozenset[tuple[str, str]]

    def by_key(self, table: str, key: list[str]) -> dict[tuple[Cell, ...], Row]:
        """A table's rows by these columns, which must tell them apart."""
        found = {tuple(row[column] for column in key): row for row in self.rows[table]}
        assert len(found) == len(self.rows[table]), table
        return found


def dump_postgres(url: str) -> Dump:
    """A PostgreSQL database; each row also has `xmin`, the transaction that wrote it last."""
    import psycopg

    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name, data_type, character_maximum_length, is_nullable = 'YES'"
            " FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'pristine') AND table_type = 'BASE TABLE'"
            " ORDER BY table_schema, table_name, ordinal_position"
        ).fetchall()
        names: dict[tuple[str, str], list[str]] = {}
        lengths: dict[tuple[str, str], int | None] = {}
        nullable = set()
        for schema, table, column, kind, length, may_be_null in columns:
            names.setdefault((schema, table), []).append(column)
            if kind in ("character varying", "text", "character"):
                lengths[_shown(schema, table), column] = length
            if may_be_null:
                nullable.add((_shown(schema, table), column))
        rows = {_shown(*table): list(_copy(connection, table, listed)) for table, listed in names.items()}
    return Dump(rows, lengths, frozenset(nullable))


def _shown(schema: str, table: str) -> str:
    return table if schema == "public" else f"{schema}.{table}"


def _copy(connection: object, table: tuple[str, str], columns: list[str]) -> Iterator[Row]:
    from psycopg import Connection, sql

    assert isinstance(connection, Connection)
    listed = sql.SQL(", ").join([*map(sql.Identifier, columns), sql.SQL("xmin")])
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY ctid) TO STDOUT").format(listed, sql.Identifier(*table))
    with connection.cursor().copy(query) as copy:
        text = b"".join(bytes(part) for part in copy).decode()
    for line in text.split("\n")[:-1]:
        cells = (None if cell == "\\N" else cell for cell in line.split("\t"))
        yield dict(zip([*columns, "xmin"], cells, strict=True))


def dump_sqlite(path: Path) -> Dump:
    """A SQLite database."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows: dict[str, list[Row]] = {}
        lengths: dict[tuple[str, str], int | None] = {}
        nullable = set()
        for table in tables:
            described = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            for _, column, kind, not_null, _, _ in described:
                if re.search("char|text", kind, re.I):
                    length = re.search(r"\((\d+)\)", kind)
                    lengths[table, column] = int(length[1]) if length else None
                if not not_null:
                    nullable.add((table, column))
            names = [each[1] for each in described]
            listed = ", ".join(f'quote("{name}")' for name in names)
            found = connection.execute(f'SELECT {listed} FROM "{table}" ORDER BY rowid').fetchall()
            rows[table] = [dict(zip(names, map(_unquoted, row), strict=True)) for row in found]
    return Dump(rows, lengths, frozenset(nullable))


def _unquoted(cell: str) -> Cell:
    if cell == "NULL":
        return None
    return cell[1:-1].replace("''", "'") if cell.startswith("'") else cell


def keep_postgres(url: str) -> None:
    """Keep all rows of the database beside it, in the schema `pristine`, for `restore_postgres`."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA pristine")
        for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
            connection.execute(sql.SQL("CREATE TABLE pristine.{0} AS TABLE public.{0}").format(sql.Identifier(table)))


def restore_postgres(url: str, tables: Iterable[str]) -> None:
    """Put the kept rows back into these tables: much quicker than a new database, whose dropping is a checkpoint."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # no foreign key is checked meanwhile
        for table in tables:
            name = sql.Identifier(table)
            connection.execute(sql.SQL("DELETE FROM public.{}").format(name))
            connection.execute(sql.SQL("INSERT INTO public.{0} TABLE pristine.{0}").format(name))
