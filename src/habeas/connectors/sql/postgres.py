"""The SQL of PostgreSQL: its pieces of statements as text. Never runs anything.

HMAC is composed of sha256 and sha512, which PostgreSQL has since version 11 without any extension.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from habeas.connectors.sql.dialect import (
    ALIKE,
    Dialect,
    Filling,
    Ingredient,
    Lookup,
    Move,
    Parameters,
    padded_keys,
)
from habeas.connectors.sql.inline import InlineDialect
from habeas.connectors.sql.values import as_type
from habeas.core.expression import Algorithm
from habeas.core.schema import ColumnType, TableName, TypeFamily
from habeas.core.values import canonical_text, decode_json
from habeas.plan.model import Column, Inside

_COMMON_TYPES = {
    TypeFamily.INTEGER: "int8",
    TypeFamily.DECIMAL: "numeric",
    TypeFamily.FLOAT: "float8",
    TypeFamily.TEXT: "text",
    TypeFamily.BOOLEAN: "bool",
    TypeFamily.DATE: "date",
    TypeFamily.TIMESTAMP: "timestamp",
    TypeFamily.TIMESTAMP_TZ: "timestamptz",
    TypeFamily.UUID: "uuid",
    TypeFamily.BINARY: "bytea",
}
# Families whose driver values lose something (months of an interval, 24:00) or have no plain Python type.
_READ_AS_TEXT = frozenset({TypeFamily.INTERVAL, TypeFamily.TIME, TypeFamily.OTHER, TypeFamily.ENUM})
_KEY_ARRAYS = {TypeFamily.INTEGER: "int8", TypeFamily.UUID: "uuid", TypeFamily.TEXT: "text"}
_SEPARATORS = " -().+/"
_THROUGH = "[*]" * 4  # lists in lists: so many levels of them at each name
_BARE = f"translate(({{0}})::text, '{_SEPARATORS}', '')"
# Both sides of the OR in `email_candidates` and `phone_candidates`. The second expression of an index is there for
# its statistics alone, without which the planner takes most numbers for odd ones.
SEED_INDEXES = (
    ("email", (("lower(trim({0}))",), ("(({0}) COLLATE \"C\" ~ '[^ -~]')",))),
    ("phone_number", ((f"right({_BARE}, 7)", _BARE), (f"(({_BARE}) COLLATE \"C\" ~ '[^0-9]')",))),
)
# Texts that are a value of a type in its one exact form; others of that type are no match.
_EXACT_TEXTS = {
    TypeFamily.INTEGER: "^(0|-?[1-9][0-9]{0,17})$",
    TypeFamily.UUID: "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
}


class PostgresDialect(Dialect):
    """PostgreSQL 12 and later."""

    row_identity = ("tableoid", "ctid")

    def __init__(self) -> None:
        from sqlalchemy.dialects.postgresql.psycopg import dialect  # 0.1 s that only a connector in use pays

        made = dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves this constructor untyped
        self._quote: Callable[[str], str] = made.identifier_preparer.quote_identifier

    def quote(self, name: str) -> str:
        """Quoted, with per cent signs doubled as the driver asks."""
        return self._quote(name)

    def parameter(self, name: str) -> str:
        """In pyformat."""
        return f"%({name})s"

    def table(self, table: TableName) -> str:
        """Qualified whenever the schema is known, so that no temp table can stand in its place."""
        schema = table.schema or self.default_schema
        return f"{self.quote(schema)}.{self.quote(table.name)}" if schema else self.quote(table.name)

    def temp(self, name: str) -> str:
        """In the session's own schema."""
        return f"pg_temp.{name}"

    def as_text(self, operand: str) -> str:
        """Cast, since the type of a bare parameter is unknown."""
        return f"{operand}::text"

    def text_of(self, operand: str, kind: ColumnType) -> str:
        """By the session's fixed output settings."""
        return f"({operand})::text"

    def read(self, operand: str, column: Column | None) -> str:
        """As text where the type has no exact Python value."""
        if column is not None and column.type.family in _READ_AS_TEXT:
            return f"({operand})::text"
        return operand

    def same_text(self, left: str, right: str) -> str:
        """In the byte order's collation."""
        return f'({left}) COLLATE "C" = ({right}) COLLATE "C"'

    def alike(self, texts: Sequence[str]) -> str:
        """SHA-256 of a JSON array of the texts."""
        return f"sha256(convert_to(array_to_json(ARRAY[{', '.join(texts)}])::text, 'UTF8'))"

    def array(self, values: Sequence[Any]) -> Any:
        """A list."""
        return list(values)

    def lookup(self, table: str, column: Column, *, indexed: bool) -> Lookup:
        """By an array of a type that compares with the column through its index; the planner knows its length."""
        cast, family = _lookup_type(column.type), column.type.family
        operand = f"t.{self.quote(column.name)}" if cast else f"(t.{self.quote(column.name)})::text"
        rows = f"unnest(%(values)s::{cast or 'text'}[]) WITH ORDINALITY AS w(v, n)"
        joined = f"{rows} JOIN {table} AS t ON {operand} = w.v"
        return Lookup(joined, lambda value: as_type(value, family) if cast else value)

    def email_candidates(self, operand: str, column: Column) -> str:
        """`lower(trim(column))` is what an index can serve."""
        text = operand if column.type.family is TypeFamily.TEXT else f"({operand})::text"
        return f"(lower(trim({text})) = ANY(%(values)s::text[]) OR ({text}) COLLATE \"C\" ~ '[^ -~]')"

    def phone_candidates(self, operand: str, column: Column) -> str:
        """Separators are dropped; what then isn't all digits only Python can read."""
        bare = f"translate(({operand})::text, '{_SEPARATORS}', '')"
        return f"(right({bare}, 7) = ANY(%(values)s::text[]) OR ({bare}) COLLATE \"C\" ~ '[^0-9]')"

    def create_found(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Made by a select without rows, which gives the keys' exact types."""
        chosen = ", ".join(["0::int4 AS m, 0::int2 AS s, 0::int4 AS r, 0::int2 AS f", *_numbered(keys, "k")])
        return f"CREATE TEMP TABLE {name} AS SELECT {chosen} FROM {self.table(table)} AS t WITH NO DATA"

    def create_candidates(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As found rows, with the mark of exclusive landings."""
        chosen = ", ".join(["0::int4 AS m, 0::int2 AS e", *_numbered(keys, "k")])
        return f"CREATE TEMP TABLE {name} AS SELECT {chosen} FROM {self.table(table)} AS t WITH NO DATA"

    def create_landed(self, name: str, table: TableName, columns: Sequence[Column], as_text: bool) -> str:
        """In the widest type of each family: a value too wide for the column just matches nothing."""
        types = ["text" if as_text else _COMMON_TYPES[column.type.family] for column in columns]
        values = ", ".join(f"v{index} {each}" for index, each in enumerate(types))
        return f"CREATE TEMP TABLE {name} (m int4, s int2, e int2, r int4, {values})"

    def create_work(
        self,
        name: str,
        table: TableName,
        keys: Sequence[str],
        values: Sequence[str],
        columns: Sequence[Column],
    ) -> tuple[str, ...]:
        """Emptied by each commit."""
        chosen = ", ".join(["0::int4 AS p", "''::bytea AS d", *_numbered(keys, "k"), *_numbered(values, "v")])
        return (
            f"CREATE TEMP TABLE IF NOT EXISTS {name} ON COMMIT DELETE ROWS "
            f"AS SELECT {chosen} FROM {self.table(table)} AS t WITH NO DATA",
        )

    def landed_value(self, value: Any, column: Column, as_text: bool) -> Any:
        """As the common type of the column's family."""
        return canonical_text(value) if as_text else as_type(value, column.type.family)

    def lands_as_text(self, column: Column) -> bool:
        """Types of a database's own have no common one."""
        return column.type.family not in _COMMON_TYPES

    def fill_found(self, found: str, keys: Sequence[str]) -> Filling:
        """COPY, then delete all but the strongest."""
        columns = ", ".join(["m", "s", "r", "f", *keys])
        same = ", ".join(["m", *keys])
        distinct = (
            f"DELETE FROM {found} WHERE ctid IN (SELECT c FROM (SELECT ctid AS c, row_number() OVER "
            f"(PARTITION BY {same} ORDER BY s, f DESC, r) AS n FROM {found}) AS d WHERE n > 1)"
        )
        return Filling(f"COPY {found} ({columns}) FROM STDIN", (distinct,))

    def fill(self, table: str, columns: Sequence[str]) -> str:
        """COPY."""
        return f"COPY {table} ({', '.join(columns)}) FROM STDIN"

    def merge(self, found: str, keys: Sequence[str], select: str, *, first: bool) -> Move:
        """No unique index on the found rows: hash joins beat keeping one, and DDL is dear."""
        columns = ", ".join(["m", "s", "r", *keys])
        if first:
            return Move(f"INSERT INTO {found} (f, {columns}) SELECT 0, {columns} FROM ({select}) AS c")
        same = " AND ".join(f"d.{name} = c.{name}" for name in ("m", *keys))
        given = ", ".join(f"c.{name}" for name in ("m", "s", "r", *keys))
        return Move(
            f"WITH c AS MATERIALIZED ({select}), "
            f"u AS (UPDATE {found} AS d SET s = c.s, r = c.r FROM c WHERE {same} AND d.s > c.s RETURNING 1), "
            f"i AS (INSERT INTO {found} (f, {columns}) SELECT 0, {given} FROM c "
            f"LEFT JOIN {found} AS d ON {same} WHERE d.m IS NULL RETURNING 1) "
            "SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM i)"
        )

    def digest(self, algorithm: Algorithm, of: str) -> str:
        """Built in."""
        return f"encode({algorithm}(convert_to({of}, 'UTF8')), 'hex')"

    def hmac(self, algorithm: Algorithm, secret: str, of: str, reference: Callable[[Ingredient], str]) -> str:
        """RFC 2104 from the hash and the two padded keys."""
        inner = reference(Ingredient(secret, "inner", algorithm))
        outer = reference(Ingredient(secret, "outer", algorithm))
        return f"encode({algorithm}({outer} || {algorithm}({inner} || convert_to({of}, 'UTF8'))), 'hex')"

    def truncate(self, of: str, length: int) -> str:
        """By characters."""
        return f"left({of}, {length})"

    def row_digest(self, texts: Sequence[str]) -> str:
        """HMAC-SHA256 of a JSON array of the texts, NULL as null."""
        row = f"convert_to(array_to_json(ARRAY[{', '.join(texts)}])::text, 'UTF8')"
        return f"sha256(%(outer)s::bytea || sha256(%(inner)s::bytea || {row}))"

    def digest_parameters(self, key: bytes) -> Parameters:
        """The padded keys."""
        inner, outer = padded_keys(key, "sha256")
        return {"inner": inner, "outer": outer}

    def ingredient_rows(self, ingredients: Sequence[Ingredient]) -> str:
        """Parallel arrays."""
        arrays = [
            f"%(x{index})s::{'text' if each.form == 'text' else 'bytea'}[]" for index, each in enumerate(ingredients)
        ]
        names = ", ".join(["m", *(f"c{index}" for index in range(len(ingredients)))])
        return f"unnest({', '.join(['%(xm)s::int4[]', *arrays])}) AS x({names})"

    def ingredient_parameters(
        self, ingredients: Sequence[Ingredient], secrets: Mapping[int, Mapping[str, str]]
    ) -> Parameters:
        """One array each."""
        parameters: dict[str, Any] = {"xm": list(secrets)}
        for index, each in enumerate(ingredients):
            parameters[f"x{index}"] = [each.bound(own[each.secret]) for own in secrets.values()]
        return parameters

    def members(self, operand: str) -> str:
        """string_agg."""
        return f"string_agg({operand}::text, ',')"

    def update_from(self, table: str, assignments: Sequence[str], work: str, on: str) -> str:
        """UPDATE … FROM."""
        return f"UPDATE {table} AS t SET {', '.join(assignments)} FROM {work} AS w WHERE {on}"

    def delete_from(self, table: str, keys: Sequence[str], work: str, on: str) -> str:
        """DELETE … USING."""
        return f"DELETE FROM {table} AS t USING {work} AS w WHERE {on}"

    def same_value(self, left: str, right: str) -> str:
        """By text, since some types (json) know no `=`."""
        return f"({left})::text IS NOT DISTINCT FROM ({right})::text"

    def in_keys(self, operand: str, column: Column | None) -> str | None:
        """By array, for the types whose arrays go through the key's index."""
        if column is None or column.type.native.startswith(("character(", "bpchar")):
            return None
        kind = _KEY_ARRAYS.get(column.type.family)
        return None if kind is None or column.type.native == "citext" else f"{operand} = ANY(%(keys)s::{kind}[])"

    def key_array(self, keys: Sequence[Any]) -> Any:
        """Integers as the array's literal, which costs a tenth of the driver's list."""
        if keys and type(keys[0]) is int:
            return "{" + ",".join(map(str, keys)) + "}"
        return list(keys)

    def elements_of(self, table: str, elements: Sequence[Column], others: Sequence[str], *, scanned: bool) -> str:
        """By jsonpath, whose lax `[*]` leaves alone what is no array: lists in lists are gone through, to a depth."""
        values = [f"e{index}.v AS {self.quote(each.name)}" for index, each in enumerate(elements)]
        joins = "".join(f" CROSS JOIN LATERAL ({self._scalars(each)}) AS e{n}" for n, each in enumerate(elements))
        chosen = ", ".join([*(f"x.{each} AS {each}" for each in others), *values])
        return f"(SELECT {chosen} FROM {table} AS x{joins})"

    def _scalars(self, element: Column) -> str:
        inside = element.inside or Inside(element.name)
        steps = "".join(f".{json.dumps(name, ensure_ascii=False)}{_THROUGH}" for name in inside.path)
        path = f"lax ${_THROUGH}{steps}".replace("'", "''").replace("%", "%%")
        text = "q.v #>> '{}'"
        pattern = _EXACT_TEXTS.get(element.type.family)
        value = text if pattern is None else f"CASE WHEN {text} ~ '{pattern}' THEN ({text})::{_cast(element)} END"
        return (
            f"SELECT {value} AS v FROM jsonb_path_query(to_jsonb(x.{self.quote(inside.column)}), '{path}') AS q(v) "
            "WHERE jsonb_typeof(q.v) IN ('string', 'number', 'boolean')"
        )

    def create_elements(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As found rows."""
        chosen = ", ".join(["0::int4 AS m, 0::int2 AS s, 0::int4 AS e, ''::text AS v", *_numbered(keys, "k")])
        return f"CREATE TEMP TABLE {name} AS SELECT {chosen} FROM {self.table(table)} AS t WITH NO DATA"

    def json_rows(self, operands: Sequence[str]) -> str:
        """json_agg."""
        return f"json_agg(json_build_array({', '.join(operands)}))::text"

    def document(self, operand: str, column: Column) -> str:
        """Arrays as JSON arrays."""
        return f"to_jsonb({operand})::text" if column.type.family is TypeFamily.ARRAY else f"({operand})::text"

    def written_document(self, text: str | None, column: Column) -> Any:
        """Arrays as lists of the elements' texts."""
        if text is None or column.type.family is not TypeFamily.ARRAY:
            return text
        return _texts(decode_json(text))


class PostgresInlineDialect(InlineDialect, PostgresDialect):
    """PostgreSQL where no temp tables can be made, such as a server that only reads."""

    def empty_text(self) -> str:
        """Cast, since the type of a bare literal is unknown."""
        return "''::text"

    def empty_bytes(self) -> str:
        """Likewise."""
        return "''::bytea"

    def landed_empty(self, column: Column, as_text: bool) -> str:
        """In the widest type of each family."""
        return f"NULL::{'text' if as_text else _COMMON_TYPES[column.type.family]}"


def _texts(value: object) -> object:
    """A JSON array as lists of texts, as deep as the array is; what else lies in it is JSON text."""
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return canonical_text(value)


def _cast(element: Column) -> str:
    return _COMMON_TYPES[element.type.family]


def _numbered(names: Sequence[str], prefix: str) -> list[str]:
    chosen = ("''::bytea" if name == ALIKE else f"t.{name}" for name in names)
    return [f"{each} AS {prefix}{index}" for index, each in enumerate(chosen)]


def _lookup_type(kind: ColumnType) -> str | None:
    # Names from this list only: a plan's spelling of a type may come from a dataset's author.
    if kind.family is TypeFamily.TEXT:
        if kind.native.startswith(("character(", "bpchar")) or kind.native == "character":
            return "bpchar"
        return "citext" if kind.native == "citext" else "text"
    return _COMMON_TYPES.get(kind.family)
