"""The SQL of SQLite: its pieces of statements as text. Never runs anything.

Hashes are functions that the session registers (`FUNCTIONS`), since SQLite has none. Temp tables keep
the columns' affinities, without which an index on them would be passed over.
"""

from __future__ import annotations

import hashlib
import hmac as stdlib_hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from habeas.connectors.sql.dialect import ALIKE, Dialect, Filling, Ingredient, Lookup, Move, Parameters
from habeas.connectors.sql.values import as_type
from habeas.core.expression import Algorithm
from habeas.core.nested import NotADocument, open_document, values_at
from habeas.core.schema import ColumnType, TableName, TypeFamily
from habeas.core.values import canonical_text
from habeas.plan.model import Column, Inside

_NUMBERS = frozenset({TypeFamily.INTEGER, TypeFamily.DECIMAL, TypeFamily.FLOAT, TypeFamily.BOOLEAN})
_SEPARATORS = " -().+/"
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


class SqliteDialect(Dialect):
    """SQLite 3.40 and later."""

    row_identity = ("rowid",)
    defer_constraints = "PRAGMA defer_foreign_keys = ON"
    json_is_text = True

    def __init__(self) -> None:
        from sqlalchemy.dialects.sqlite.pysqlite import dialect  # 0.1 s that only a connector in use pays

        self._quote = dialect().identifier_preparer.quote_identifier

    def quote(self, name: str) -> str:
        """Quoted with double quotes."""
        return self._quote(name)

    def parameter(self, name: str) -> str:
        """Named."""
        return f":{name}"

    def table(self, table: TableName) -> str:
        """In the main database, so that no temp table can stand in its place."""
        return f"main.{self.quote(table.name)}"

    def temp(self, name: str) -> str:
        """In the session's own database."""
        return f"temp.{name}"

    def as_text(self, operand: str) -> str:
        """Bound texts are texts."""
        return operand

    def text_of(self, operand: str, kind: ColumnType) -> str:
        """Bytes as hex, all else as SQLite's own text."""
        return f"hex({operand})" if kind.family is TypeFamily.BINARY else f"CAST({operand} AS TEXT)"

    def read(self, operand: str, column: Column | None) -> str:
        """As stored."""
        return operand

    def same_text(self, left: str, right: str) -> str:
        """A CAST keeps the column's collation, so it is named."""
        return f"({left}) COLLATE BINARY = ({right})"

    def alike(self, texts: Sequence[str]) -> str:
        """By a function of the session."""
        return f"habeas_row_digest(x'', {', '.join(texts)})"

    def array(self, values: Sequence[Any]) -> Any:
        """JSON."""
        return json.dumps(list(values))

    def lookup(self, table: str, column: Column, *, indexed: bool) -> Lookup:
        """Columns without a type compare as text: they may hold anything.

        Without an index the table is read once, and the values get an index of the statement's own, for which
        they need the column's affinity.
        """
        family, affinity = column.type.family, _affinity(column.type.native)
        operand, value, typeless = f"t.{self.quote(column.name)}", "value", not column.type.native
        if typeless:
            operand = f"CAST({operand} AS TEXT)"
        if typeless or affinity == "TEXT":
            value = "CAST(value AS TEXT)"
        elif family in _NUMBERS:
            value = f"CAST(value AS {affinity})"
        rows = f"(SELECT {value} AS v, key + 1 AS n FROM json_each(:values) LIMIT -1) AS w"  # LIMIT: not inlined
        joined = f"{rows} CROSS JOIN {table} AS t" if indexed else f"{table} AS t CROSS JOIN {rows}"

        def convert(text: str) -> Any:
            if family not in _NUMBERS or typeless:
                return text
            number = as_type(text, family)
            return int(number) if isinstance(number, bool) else str(number) if isinstance(number, Decimal) else number

        return Lookup(f"{joined} ON {operand} = w.v", convert)

    def email_candidates(self, operand: str, column: Column) -> str:
        """Both sides of the OR can be served by an index on their expression."""
        return f"(lower(trim({operand})) IN (SELECT value FROM json_each(:values)) OR ({operand} GLOB '*[^ -~]*') = 1)"

    def phone_candidates(self, operand: str, column: Column) -> str:
        """Separators are dropped; what then isn't all digits only Python can read."""
        bare = _bare(operand)
        return f"(substr({bare}, -7) IN (SELECT value FROM json_each(:values)) OR ({bare} GLOB '*[^0-9]*') = 1)"

    def create_found(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Clustered by key."""
        numbered = [f"k{index}" for index in range(len(keys))]
        return (
            f"CREATE TABLE {name} (m INTEGER NOT NULL, s INTEGER NOT NULL, r INTEGER NOT NULL, "
            f"f INTEGER NOT NULL DEFAULT 0, {self._typed(keys, columns, 'k')}, "
            f"PRIMARY KEY ({', '.join(numbered)}, m)) WITHOUT ROWID"
        )

    def create_candidates(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As found rows, without a key: duplicates do no harm."""
        return f"CREATE TABLE {name} (m INTEGER, e INTEGER, {self._typed(keys, columns, 'k')})"

    def create_landed(self, name: str, table: TableName, columns: Sequence[Column], as_text: bool) -> str:
        """Without types, so that the column's own affinity decides."""
        values = ", ".join(f"v{index}" for index in range(len(columns)))
        return f"CREATE TABLE {name} (m INTEGER, s INTEGER, e INTEGER, r INTEGER, {values})"

    def create_work(
        self,
        name: str,
        table: TableName,
        keys: Sequence[str],
        values: Sequence[str],
        columns: Sequence[Column],
    ) -> tuple[str, ...]:
        """Clustered by key, as the table it is joined with."""
        numbered = ", ".join(f"k{index}" for index in range(len(keys)))
        masked = "".join(f", v{index}" for index in range(len(values)))
        return (
            f"CREATE TABLE IF NOT EXISTS {name} (p INTEGER, d BLOB, {self._typed(keys, columns, 'k')}{masked}, "
            f"PRIMARY KEY ({numbered})) WITHOUT ROWID",
            f"DELETE FROM {name}",
        )

    def _typed(self, keys: Sequence[str], columns: Sequence[Column], prefix: str) -> str:
        natives = {self.quote(column.name): column.type.native for column in columns}
        return ", ".join(
            f"{prefix}{index} {_affinity(natives.get(key, 'INTEGER' if key in self.row_identity else ''))}"
            for index, key in enumerate(keys)
        )

    def landed_value(self, value: Any, column: Column, as_text: bool) -> Any:
        """In one of SQLite's five storage classes."""
        if as_text:
            return canonical_text(value)
        typed = value if isinstance(value, bytes) else as_type(value, column.type.family)
        if isinstance(typed, bool):
            return int(typed)
        return canonical_text(typed) if isinstance(typed, Decimal | UUID | date | datetime) else typed

    def lands_as_text(self, column: Column) -> bool:
        """A column without a type may hold anything."""
        return not column.type.native

    def fill_found(self, found: str, keys: Sequence[str]) -> Filling:
        """The primary key keeps rows apart, loaded ones win among equals."""
        columns = ["m", "s", "r", "f", *keys]
        places = ", ".join("?" for _ in columns)
        return Filling(
            f"INSERT INTO {found} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO UPDATE "
            "SET s = excluded.s, r = excluded.r, f = excluded.f "
            "WHERE excluded.s < s OR (excluded.s = s AND excluded.f > f)"
        )

    def fill(self, table: str, columns: Sequence[str]) -> str:
        """A prepared INSERT."""
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"

    def merge(self, found: str, keys: Sequence[str], select: str, *, first: bool) -> Move:
        """An upsert by the primary key."""
        columns = ", ".join(["m", "s", "r", *keys])
        return Move(
            f"INSERT INTO {found} ({columns}) SELECT {columns} FROM ({select}) WHERE true "
            "ON CONFLICT DO UPDATE SET s = excluded.s, r = excluded.r WHERE excluded.s < s"
        )

    def digest(self, algorithm: Algorithm, of: str) -> str:
        """A function of the session."""
        return f"habeas_digest('{algorithm}', {of})"

    def hmac(self, algorithm: Algorithm, secret: str, of: str, reference: Callable[[Ingredient], str]) -> str:
        """A function of the session, given the key's text."""
        return f"habeas_hmac('{algorithm}', {reference(Ingredient(secret))}, {of})"

    def truncate(self, of: str, length: int) -> str:
        """By characters."""
        return f"substr({of}, 1, {length})"

    def row_digest(self, texts: Sequence[str]) -> str:
        """HMAC-SHA256 of a JSON array of the texts, NULL as null."""
        return f"habeas_row_digest(:digest_key, {', '.join(texts)})"

    def digest_parameters(self, key: bytes) -> Parameters:
        """The key itself."""
        return {"digest_key": key}

    def ingredient_rows(self, ingredients: Sequence[Ingredient]) -> str:
        """One JSON array of arrays."""
        columns = [f"value ->> {index} AS {name}" for index, name in enumerate(_ingredient_names(ingredients))]
        return f"(SELECT {', '.join(columns)} FROM json_each(:x)) AS x"

    def ingredient_parameters(
        self, ingredients: Sequence[Ingredient], secrets: Mapping[int, Mapping[str, str]]
    ) -> Parameters:
        """The texts by member."""
        rows = [[member, *(own[each.secret] for each in ingredients)] for member, own in secrets.items()]
        return {"x": json.dumps(rows)}

    def members(self, operand: str) -> str:
        """group_concat."""
        return f"group_concat({operand})"

    def update_from(self, table: str, assignments: Sequence[str], work: str, on: str) -> str:
        """UPDATE … FROM."""
        return f"UPDATE {table} AS t SET {', '.join(assignments)} FROM {work} AS w WHERE {on}"

    def delete_from(self, table: str, keys: Sequence[str], work: str, on: str) -> str:
        """SQLite's DELETE joins nothing: its rows are named by a subquery."""
        if tuple(keys) == (ALIKE,):
            return f"DELETE FROM {table} AS t WHERE EXISTS (SELECT 1 FROM {work} AS w WHERE {on})"
        chosen = ", ".join(f"t.{key}" for key in keys)
        named = f"({', '.join(keys)})" if len(keys) > 1 else keys[0]
        return f"DELETE FROM {table} WHERE {named} IN (SELECT {chosen} FROM {work} AS w JOIN {table} AS t ON {on})"

    def same_value(self, left: str, right: str) -> str:
        """IS compares NULL too."""
        return f"{left} IS {right}"

    def in_keys(self, operand: str, column: Column | None) -> str | None:
        """JSON, which numbers survive."""
        if column is None or column.type.family is not TypeFamily.INTEGER:
            return None
        return f"{operand} IN (SELECT value FROM json_each(:keys))"

    def key_array(self, keys: Sequence[Any]) -> Any:
        """JSON."""
        return json.dumps(list(keys))

    def analyze(self, table: str) -> str | None:
        """Its planner does well without, given primary keys."""
        return None

    def elements_of(self, table: str, elements: Sequence[Column], others: Sequence[str], *, scanned: bool) -> str:
        """By a function of the session, since json_each fails on text that is no JSON. What is scanned is gone through
        once, for which it mustn't be inlined into the join.
        """
        values = [f"e{index}.value AS {self.quote(each.name)}" for index, each in enumerate(elements)]
        joins = "".join(f" CROSS JOIN json_each({self._scalars(each)}) AS e{n}" for n, each in enumerate(elements))
        chosen = ", ".join([*(f"x.{each} AS {each}" for each in others), *values])
        return f"(SELECT {chosen} FROM {table} AS x{joins}{' LIMIT -1' if scanned else ''})"

    def _scalars(self, element: Column) -> str:
        inside = element.inside or Inside(element.name)
        path = json.dumps(inside.path, ensure_ascii=False).replace("'", "''")
        return f"habeas_values(x.{self.quote(inside.column)}, '{path}', '{element.type.family}')"

    def create_elements(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Without a key: SQLite makes the index that a join needs."""
        return f"CREATE TABLE {name} (m INTEGER, s INTEGER, e INTEGER, v TEXT, {self._typed(keys, columns, 'k')})"

    def json_rows(self, operands: Sequence[str]) -> str:
        """json_group_array."""
        return f"json_group_array(json_array({', '.join(operands)}))"


def _ingredient_names(ingredients: Sequence[Ingredient]) -> list[str]:
    return ["m", *(f"c{index}" for index in range(len(ingredients)))]


def _bare(operand: str) -> str:
    """A number's text without separators."""
    bare = f"CAST({operand} AS TEXT)"
    for separator in _SEPARATORS:
        bare = f"replace({bare}, '{separator}', '')"
    return bare


SEED_INDEXES = (
    ("email", (("lower(trim({0}))",), ("({0} GLOB '*[^ -~]*')",))),
    ("phone_number", ((f"substr({_bare('{0}')}, -7)",), (f"({_bare('{0}')} GLOB '*[^0-9]*')",))),
)
"""The indexes that serve both sides of the OR in `email_candidates` and `phone_candidates`."""


def _affinity(native: str) -> str:
    """The affinity of a declared type, by the five rules of sqlite.org/datatype3.html §3.1."""
    upper = native.upper()
    rules = (("INT", "INTEGER"), ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT"), ("BLOB", "BLOB"))
    for part, affinity in rules:
        if part in upper:
            return affinity
    if not native:
        return "BLOB"
    return "REAL" if any(part in upper for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def _digest(algorithm: str, text: str | None) -> str | None:
    return None if text is None else hashlib.new(algorithm, text.encode()).hexdigest()


def _hmac(algorithm: str, key: str, text: str | None) -> str | None:
    return None if text is None else stdlib_hmac.new(key.encode(), text.encode(), algorithm).hexdigest()


def _row_digest(key: bytes, *texts: str | None) -> bytes:
    return stdlib_hmac.digest(key, json.dumps(texts, ensure_ascii=False).encode(), "sha256")


def _values(document: object, path: str, family: str) -> str | None:
    """The texts at a path of a JSON document, as a JSON array; integers as numbers where those are asked for."""
    names = tuple(json.loads(path))
    try:
        found = values_at(open_document(document, {names: None}), names)
        texts = [canonical_text(each) for each in found]
    except NotADocument:
        return None
    if family == TypeFamily.INTEGER:
        return json.dumps([int(text) for text in texts if text is not None and _INTEGER.fullmatch(text)])
    return json.dumps(texts)


FUNCTIONS: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("habeas_digest", 2, _digest),
    ("habeas_hmac", 3, _hmac),
    ("habeas_row_digest", -1, _row_digest),
    ("habeas_values", 3, _values),
)
"""Name, number of arguments (-1: any) and function of what a session registers; all deterministic."""
