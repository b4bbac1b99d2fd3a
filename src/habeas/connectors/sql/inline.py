"""Our own tables without temp tables: for accounts that may make none, and for servers that only read.

The rows that a traversal finds are kept here, in memory, and go into each statement that names them as rows of
literals or as arrays. That costs more the more is found, so there is a bound, and temp tables are used wherever they
can be made. Never keeps anything on disk, and never more than `KEPT_AT_MOST` rows.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from habeas.connectors.sql.dialect import Filling
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.through_client import ThroughClient
from habeas.core.errors import Refused
from habeas.core.schema import TableName
from habeas.plan.model import Column

KEPT_AT_MOST = 200_000  # rows of all tables of a session: some 40 MB here, some 10 MB in a statement

_NAMED = re.compile(r"\bhabeas_h[a-z]_\d+\b")
_DEFINITION = re.compile(r"DEFINE (\w+) \(([^)]*)\) KEY \(([^)]*)\) AS (.*)", re.DOTALL)
_OURS_ALONE = re.compile(r"(DELETE FROM|UPDATE|DROP TABLE IF EXISTS) habeas_h[a-z]_\d+\b")
_PARAMETER = re.compile(r"%\((\w+)\)s")


class Definition(NamedTuple):
    """One of our tables: its columns, and a select of no row that has their types."""

    name: str
    columns: tuple[str, ...]
    select: str


class InliningSession(Protocol):
    """What a session must be able to do so that our tables' rows can go into its statements."""

    def literal(self, value: Any) -> str:
        """A value, not NULL, as `inlined` takes it; equal values give equal texts."""

    def inlined(self, table: Definition, rows: Sequence[Row]) -> tuple[str, Mapping[str, Any]]:
        """A select of these rows, of integers and literals, with the parameters that it names."""


class InlineDialect(ThroughClient):
    """Mixed into a database's dialect: what it says of temp tables is for `InlineSession`, not for the server."""

    settling = "ON CONFLICT DO UPDATE SET s = excluded.s, r = excluded.r WHERE excluded.s < s"
    marking = "ON CONFLICT DO UPDATE SET f = excluded.f"

    def temp(self, name: str) -> str:
        """A name that stands for rows."""
        return f"habeas_{name}"

    def drop_temp(self, name: str) -> str:
        """Here alone."""
        return f"DROP TABLE IF EXISTS {name}"

    def create_found(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As a definition."""
        return self._definition(name, "msrf", self._keys(table, keys, columns), key=True)

    def create_candidates(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As a definition."""
        return self._definition(name, "me", self._keys(table, keys, columns))

    def create_elements(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As a definition."""
        chosen, source = self._keys(table, keys, columns)
        return self._definition(name, "mse", ({"v": self.empty_text(), **chosen}, source))

    def create_landed(self, name: str, table: TableName, columns: Sequence[Column], as_text: bool) -> str:
        """As a definition."""
        values = {f"v{index}": self.landed_empty(column, as_text) for index, column in enumerate(columns)}
        return self._definition(name, "mser", (values, self._none_of(table)))

    def create_work(
        self,
        name: str,
        table: TableName,
        keys: Sequence[str],
        values: Sequence[str],
        columns: Sequence[Column],
    ) -> tuple[str, ...]:
        """As a definition, which empties the table too."""
        chosen, source = self._keys(table, keys, columns)
        masked = {f"v{index}": f"t.{value}" for index, value in enumerate(values)}
        return (self._definition(name, "p", ({"d": self.empty_bytes(), **chosen, **masked}, source)),)

    def _keys(self, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> tuple[dict[str, str], str]:
        parts = {f"k{index}": self.row_part("t", key, columns) for index, key in enumerate(keys)}
        return parts, self._none_of(table)

    def _none_of(self, table: TableName) -> str:
        return f"FROM {self.table(table)} AS t WHERE 1 = 0"

    def _definition(self, name: str, numbers: str, rest: tuple[dict[str, str], str], *, key: bool = False) -> str:
        values, source = rest
        chosen = [*(f"0 AS {each}" for each in numbers), *(f"{value} AS {each}" for each, value in values.items())]
        distinct = ", ".join([*values, "m"]) if key else ""
        return (
            f"DEFINE {name} ({', '.join([*numbers, *values])}) KEY ({distinct}) AS SELECT {', '.join(chosen)} {source}"
        )

    def empty_text(self) -> str:
        """A text, to tell a column's type."""
        return "''"

    def empty_bytes(self) -> str:
        """Bytes, to tell a column's type."""
        raise NotImplementedError

    def landed_empty(self, column: Column, as_text: bool) -> str:
        """A value of the type in which another store's values are compared with this column."""
        raise NotImplementedError

    def fill_found(self, found: str, keys: Sequence[str]) -> Filling:
        """The key keeps rows apart, loaded ones win among equals."""
        return Filling(
            f"{self.fill(found, ['m', 's', 'r', 'f', *keys])} ON CONFLICT DO UPDATE "
            "SET s = excluded.s, r = excluded.r, f = excluded.f "
            "WHERE excluded.s < s OR (excluded.s = s AND excluded.f > f)"
        )

    def fill(self, table: str, columns: Sequence[str]) -> str:
        """Into the rows that are kept here."""
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"

    def analyze(self, table: str) -> str | None:
        """The server has no such table."""
        return None


class InlineSession(Session):
    """A session whose own tables are kept here. The inner one, an `InliningSession` too, is the caller's to close."""

    def __init__(self, inner: Any) -> None:
        self._inner: Session = inner
        self._literals: InliningSession = inner
        self._tables: dict[str, Definition] = {}
        self._kept = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    def change(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """What concerns our tables alone happens here."""
        if statement.startswith("DEFINE "):
            self._define(statement)
            return 0
        if _OURS_ALONE.match(statement):
            cursor = self._kept.execute(_PARAMETER.sub(r":\1", statement), parameters or {})
            if statement.startswith("DROP"):
                self._tables = {name: each for name, each in self._tables.items() if not statement.endswith(name)}
            return max(cursor.rowcount, 0)
        text, bound = self._within(statement, parameters)
        return self._inner.change(text, bound)

    def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """As the base says."""
        text, bound = self._before(statement, parameters)
        return self._inner.fetch(text, bound)

    def stream(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Sequence[Row]]:
        """As the base says; the rows of our tables are those of now."""
        text, bound = self._before(statement, parameters)
        yield from self._inner.stream(text, bound)

    def put(self, statement: str, rows: Iterable[Row]) -> None:
        """Rows are kept as the literals that they become. Raises Refused beyond the bound."""
        literals = [tuple(map(self._kept_value, row)) for row in rows]
        if sum(map(self._size, self._tables)) + len(literals) > KEPT_AT_MOST:
            raise Refused(
                f"more than {KEPT_AT_MOST:,} rows would have to be kept without temp tables, which these credentials "
                "may not make",
                cause="temp_tables",
                fix="grant the account temp tables (PostgreSQL: TEMPORARY, MariaDB: CREATE TEMPORARY TABLES, both on "
                "the database)",
            )
        self._kept.execute("BEGIN")
        self._kept.executemany(statement, literals)
        self._kept.execute("COMMIT")

    def _kept_value(self, value: Any) -> Any:
        return value if value is None or type(value) is int else self._literals.literal(value)

    def _size(self, name: str) -> int:
        ((size,),) = self._kept.execute(f"SELECT COUNT(*) FROM {name}")
        return int(size)

    def prepare(self, key: object, statements: Sequence[str]) -> None:
        """As the base says; a session is never used twice."""
        for statement in statements:
            self.change(statement)

    def _define(self, statement: str) -> None:
        found = _DEFINITION.fullmatch(statement)
        if found is None:
            raise ValueError("no definition of a table of ours")
        name, columns, key, select = found.groups()
        if name in self._tables:
            self._kept.execute(f"DROP TABLE IF EXISTS {name}")
        distinct = f", UNIQUE ({key})" if key else ""
        listed = ", ".join(f"{each} DEFAULT 0" if each == "f" else each for each in columns.split(", "))
        self._kept.execute(f"CREATE TABLE {name} ({listed}{distinct})")
        self._tables[name] = Definition(name, tuple(columns.split(", ")), select)

    def _before(self, statement: str, parameters: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
        """The statement, with the tables that it names before it."""
        names, bound = sorted(set(_NAMED.findall(statement)) & set(self._tables)), dict(parameters or {})
        return before(statement, {name: self._rows(name, bound) for name in names}), bound

    def _within(self, statement: str, parameters: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
        """The statement, with rows in the place of each table's name: no server takes them before all writes."""
        bound = dict(parameters or {})
        rows = {name: self._rows(name, bound) for name in set(_NAMED.findall(statement)) & set(self._tables)}
        return _NAMED.sub(lambda name: f"({rows[name[0]]})" if name[0] in rows else name[0], statement), bound

    def _rows(self, name: str, bound: dict[str, Any]) -> str:
        table = self._tables[name]
        rows = self._kept.execute(f"SELECT {', '.join(table.columns)} FROM {name}").fetchall()
        select, parameters = self._literals.inlined(table, rows)
        bound.update(parameters)
        return str(select)

    def begin_snapshot(self) -> None:
        """As the base says."""
        self._inner.begin_snapshot()

    def begin(self, *, writes: bool) -> None:
        """As the base says."""
        self._inner.begin(writes=writes)

    def commit(self) -> None:
        """As the base says."""
        self._inner.commit()

    def rollback(self) -> None:
        """As the base says."""
        self._inner.rollback()


def before(statement: str, tables: Mapping[str, str]) -> str:
    """A statement that begins with the selects of these tables, by name."""
    if not tables:
        return statement
    listed = ", ".join(f"{name} AS ({select})" for name, select in tables.items())
    return f"WITH {listed}, {statement[5:]}" if statement.startswith("WITH ") else f"WITH {listed} {statement}"


def once_each(statement: str) -> str:
    """A statement that names none of our temp tables twice, which MySQL refuses: such a one is read beforehand."""
    found = _NAMED.findall(statement)
    often = sorted({name for name in found if found.count(name) > 1})
    return before(statement, {name: f"SELECT * FROM {name}" for name in often})
