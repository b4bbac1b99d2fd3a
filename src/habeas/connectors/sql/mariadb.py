"""The SQL of MariaDB and MySQL: its pieces of statements as text. Never runs anything.

An INSERT … SELECT from a source table would see past the snapshot and lock others' rows, so keys are read by a
plain SELECT and put back as literals. Collations fold letters, accents and trailing spaces: what must be exact
is compared as bytes. Tables have no row ids: rows without a key are named by a hash of what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from habeas.connectors.sql.dialect import (
    ALIKE,
    Filling,
    Ingredient,
    Lookup,
    Pair,
    Parameters,
    padded_keys,
)
from habeas.connectors.sql.inline import InlineDialect
from habeas.connectors.sql.mariadb_types import (
    KEY_BYTES,
    LANDED_TYPES,
    NUMBERS,
    OWN_EQUALITY,
    SPATIAL,
    WHOLE,
    charset_of,
    codec_of,
    compared,
    index_bytes,
    index_prefix,
    landed_type,
    typed,
)
from habeas.connectors.sql.through_client import ThroughClient
from habeas.connectors.sql.values import as_type
from habeas.core.expression import Algorithm
from habeas.core.schema import ColumnType, TableName, TypeFamily
from habeas.core.values import canonical_text
from habeas.plan.model import Column, Inside

ROWS = "%(rows)s"
"""Where a filling statement takes its rows, as literals."""

CREATE_TEMP = "CREATE TEMPORARY TABLE "

_CAST_TYPES = {"BIGINT": "SIGNED", "BIGINT UNSIGNED": "UNSIGNED", "LONGBLOB": "BINARY"}
UNREADABLE = 1242
"""The error of `_FAILS`: a subquery of more than one row, which nothing else of ours is."""
_FAILS = "(SELECT '' UNION ALL SELECT '')"
_SEPARATORS = " -().+/"
_LEVELS = ", ".join(f"'${'[*]' * level}'" for level in range(5))  # lists in lists: so many levels of them at each name
# Texts that are a value of a type in its one exact form; others of that type are no match. `$` takes a line's end too.
_EXACT_TEXTS = {
    TypeFamily.INTEGER: "^(0|-?[1-9][0-9]{0,17})\\\\z",
    TypeFamily.UUID: "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\\\\z",
}


class Rows(NamedTuple):
    """Rows of literals, bound as `(…),(…)`."""

    rows: Sequence[Sequence[Any]]
    row: str = ""  # what a row begins with


class MariadbDialect(ThroughClient):
    """MariaDB 10.6 and later."""

    row_identity = (ALIKE,)
    json_is_text = True
    row_constructor = ""
    exact_collation = "utf8mb4_nopad_bin"  # by which values inside documents compare
    settling = (
        "ON DUPLICATE KEY UPDATE r = IF(VALUES(s) < s, VALUES(r), r), s = LEAST(s, VALUES(s))"  # from left to right
    )
    marking = "ON DUPLICATE KEY UPDATE f = VALUES(f)"

    def __init__(self) -> None:
        from sqlalchemy.dialects.mysql.pymysql import dialect  # 0.1 s that only a connector in use pays

        made = dialect()
        self._quote: Callable[[str], str] = made.identifier_preparer.quote_identifier

    def quote(self, name: str) -> str:
        """In backticks, with per cent signs doubled."""
        return self._quote(name)

    def parameter(self, name: str) -> str:
        """In pyformat."""
        return f"%({name})s"

    def table(self, table: TableName) -> str:
        """Qualified whenever the database is known."""
        schema = table.schema or self.default_schema
        return f"{self.quote(schema)}.{self.quote(table.name)}" if schema else self.quote(table.name)

    def temp(self, name: str) -> str:
        """A temp table hides a table of the same name, so the name is one of ours."""
        return f"habeas_{name}"

    def drop_temp(self, name: str) -> str:
        """Dropping what may be no temp table would commit."""
        return f"DROP TEMPORARY TABLE IF EXISTS {name}"

    def alike(self, texts: Sequence[str]) -> str:
        """SHA-256 of a JSON array of the texts. Over all the plan's columns it names rows of a table without a key:
        rows that differ in none are one row, read as often as it is there.
        """
        return f"UNHEX(SHA2(JSON_ARRAY({', '.join(texts)}), 256))"

    def as_text(self, operand: str) -> str:
        """Bound texts are texts."""
        return operand

    def text_of(self, operand: str, kind: ColumnType) -> str:
        """Bytes as hex, single precision with all its digits, all else as the server's text in UTF-8."""
        if kind.family is TypeFamily.BINARY:
            return f"HEX({operand})"
        if kind.native.startswith("bit"):
            return f"CAST({operand} + 0 AS CHAR)"
        if kind.native.startswith("float"):
            return f"CAST(CAST({operand} AS DOUBLE) AS CHAR)"
        if kind.native in SPATIAL:
            return f"ST_AsText({operand})"
        return f"CONVERT({operand} USING utf8mb4)"

    def read(self, operand: str, column: Column | None) -> str:
        """As text where the type has no exact Python value."""
        if column is not None and column.type.native in SPATIAL:
            return f"ST_AsText({operand})"
        charset = charset_of(column.type) if column is not None else None
        if charset is None or charset in WHOLE:
            return operand
        # The server would give a question mark for a character that Unicode lacks.
        again = f"CONVERT(CONVERT({operand} USING utf8mb4) USING {charset})"
        return f"IF({self.same_value(again, operand)}, {operand}, {_FAILS})"

    def same_text(self, left: str, right: str) -> str:
        """As bytes: even a binary collation ignores trailing spaces."""
        return f"CAST({left} AS BINARY) = CAST({right} AS BINARY)"

    def equal(self, left: str, right: str, columns: tuple[Column, Column]) -> str:
        """Columns of two collations don't compare by themselves; the left one's is taken."""
        return " = ".join(compared(left, right, columns, self.exact_collation))

    def joined(self, source: str, table: str, pairs: Sequence[Pair], carried: Sequence[str], *, known: bool) -> str:
        """Without an index, the values are set apart first: the session keeps subqueries apart, and the server makes
        an index of them. Its hash joins, which would do as well, overlook trailing spaces under binary collations.
        """
        if known:
            return super().joined(source, table, pairs, carried, known=known)
        values, conditions = [f"h.{each}" for each in carried], []
        for index, (left, right, column, other) in enumerate(pairs):
            if other is None:
                left, right = (f"CAST({each} AS BINARY)" for each in (self.text_of(left, column.type), right))
            else:
                left, right = compared(left, right, (column, other), self.exact_collation)
            values.append(f"{right} AS v{index}")
            conditions.append(f"{left} = h.v{index}")
        kept = f"(SELECT {', '.join(values)} FROM {source}) AS h"
        return f"{kept} JOIN {table} AS t ON {' AND '.join(conditions)}"

    def apart(self, operand: str, column: Column) -> str:
        """Text by its bytes."""
        return f"CAST({operand} AS BINARY)" if column.type.family is TypeFamily.TEXT else operand

    def holds(self, column: Column) -> bool:
        """All but two types do."""
        return column.type.family is not TypeFamily.TIMESTAMP_TZ and not column.type.native.startswith("binary(")

    def fitted(self, value: str | int | float | bool, column: Column) -> str | int | float | bool:
        """A TIMESTAMP begins a second after 1970 did and takes no offset; BINARY is padded with zeros."""
        native = column.type.native
        if isinstance(value, str) and column.type.family is TypeFamily.TIMESTAMP_TZ:
            moment = as_type(value, TypeFamily.TIMESTAMP_TZ)
            text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment is not None else value
            return "1970-01-01 00:00:01" if text == "1970-01-01 00:00:00" else text
        if isinstance(value, str) and native.startswith("binary(") and column.type.length:
            return value.ljust(column.type.length, "\0")
        return value

    def array(self, values: Sequence[Any]) -> Any:
        """A list of literals."""
        return list(values)

    def numbered(self, values: Sequence[Any]) -> Any:
        """Rows of a value and its number."""
        return Rows([(value, number) for number, value in enumerate(values, 1)], self.row_constructor)

    def lookup(self, table: str, column: Column, *, indexed: bool) -> Lookup:
        """Literals take the column's type and collation where they are united with it."""
        kind, operand = column.type, f"t.{self.quote(column.name)}"
        native = kind.family in OWN_EQUALITY or (kind.family is TypeFamily.TEXT and codec_of(kind) is not None)
        if not native:
            operand = self.text_of(operand, kind)
        elif kind.native.startswith("bit"):
            operand += " + 0"
        rows = f"(SELECT {operand} AS v, 0 AS n FROM {table} AS t WHERE 1 = 0 UNION ALL VALUES %(values)s) AS w"
        joined = f"{rows} STRAIGHT_JOIN {table} AS t" if indexed else f"{table} AS t STRAIGHT_JOIN {rows}"
        if not native:
            return Lookup(f"{joined} ON {self.same_text(operand, 'w.v')}", lambda text: text)
        return Lookup(f"{joined} ON {operand} = w.v", lambda text: typed(text, kind))

    def email_candidates(self, operand: str, column: Column) -> str:
        """Folded equal, or not printable ASCII."""
        text = f"{self.text_of(operand, column.type)} COLLATE utf8mb4_bin"
        return f"(LOWER(TRIM({text})) IN %(values)s OR {text} REGEXP '[^ -~]')"

    def phone_candidates(self, operand: str, column: Column) -> str:
        """Separators are dropped; what then isn't all digits only Python can read."""
        bare = self.text_of(operand, column.type)
        for separator in _SEPARATORS:
            bare = f"REPLACE({bare}, '{separator}', '')"
        bare = f"{bare} COLLATE utf8mb4_bin"
        return f"(RIGHT({bare}, 7) IN %(values)s OR {bare} REGEXP '[^0-9]')"

    def create_found(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Clustered by key, of which a long one is kept apart by a hash."""
        listed = ", ".join([*(f"k{index}" for index in range(len(keys))), "m"])
        kind = "PRIMARY KEY" if self._is_plain(keys, columns) else "UNIQUE"
        own = (
            "m INT NOT NULL DEFAULT 0, s TINYINT NOT NULL DEFAULT 0, r INT NOT NULL DEFAULT 0, "
            f"f TINYINT NOT NULL DEFAULT 0, {self._row_column(keys)}{kind} ({listed})"
        )
        return f"{CREATE_TEMP}{name} ({own}) ENGINE=InnoDB {self._typed(table, keys, 'k')}"

    def create_candidates(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As found rows, each as often as it comes: duplicates do no harm."""
        index = ", ".join(self._indexed(keys, columns))
        own = f"m INT NOT NULL DEFAULT 0, {self._row_column(keys)}e TINYINT NOT NULL DEFAULT 0, KEY ({index})"
        return f"{CREATE_TEMP}{name} ({own}) ENGINE=InnoDB {self._typed(table, keys, 'k')}"

    def create_landed(self, name: str, table: TableName, columns: Sequence[Column], as_text: bool) -> str:
        """Text in the column's own type and collation, all else in the widest type of its family."""
        own = ["m INT", "s TINYINT", "e TINYINT", "r INT"]
        chosen = []
        for index, column in enumerate(columns):
            if as_text:
                own.append(f"v{index} LONGTEXT CHARACTER SET utf8mb4")
            elif column.inside is not None:
                own.append(f"v{index} {self._element_type(column)}")
            elif column.type.family in (TypeFamily.TEXT, TypeFamily.UUID):
                chosen.append(f"t.{self.quote(column.name)} AS v{index}")
            else:
                own.append(f"v{index} {landed_type(column.type)}")
        if not as_text:
            own.append(f"KEY ({', '.join(f'v{index}{index_prefix(column)}' for index, column in enumerate(columns))})")
        select = f" SELECT {', '.join(chosen)} FROM {self.table(table)} AS t WHERE 1 = 0" if chosen else ""
        return f"{CREATE_TEMP}{name} ({', '.join(own)}) ENGINE=InnoDB{select}"

    def create_work(
        self,
        name: str,
        table: TableName,
        keys: Sequence[str],
        values: Sequence[str],
        columns: Sequence[Column],
    ) -> tuple[str, ...]:
        """Clustered by key, or with an index of a long one's beginning."""
        plain = self._is_plain(keys, columns)
        parts = [f"k{index}" for index in range(len(keys))] if plain else self._indexed(keys, columns)
        index = f"{'PRIMARY KEY' if plain else 'KEY'} ({', '.join(parts)})"
        own = f"p INT NOT NULL DEFAULT 0, d VARBINARY(32), {self._row_column(keys)}{index}"
        typed = () if tuple(keys) == self.row_identity else keys
        chosen = ", ".join([*_numbered(typed, "k"), *_numbered(values, "v")])
        select = f" SELECT {chosen} FROM {self.table(table)} AS t WHERE 1 = 0" if chosen else ""
        return (f"{CREATE_TEMP}IF NOT EXISTS {name} ({own}) ENGINE=InnoDB{select}", f"DELETE FROM {name}")

    def _indexed(self, keys: Sequence[str], columns: Sequence[Column]) -> list[str]:
        used = {self.quote(column.name): column for column in columns}
        return [f"k{index}{index_prefix(used.get(key))}" for index, key in enumerate(keys)]

    def _is_plain(self, keys: Sequence[str], columns: Sequence[Column]) -> bool:
        """Whether a primary key of ours can hold the key: none of it NULL, and not too long."""
        named = {self.quote(column.name): column for column in columns}
        used = [named[key] for key in keys if key in named]
        known = tuple(keys) == self.row_identity or len(used) == len(keys)
        return known and not any(column.nullable for column in used) and sum(map(index_bytes, used)) <= KEY_BYTES

    def _row_column(self, keys: Sequence[str]) -> str:
        return "k0 BINARY(32) NOT NULL DEFAULT '', " if tuple(keys) == self.row_identity else ""

    def _typed(self, table: TableName, keys: Sequence[str], prefix: str) -> str:
        if tuple(keys) == self.row_identity:
            return ""
        return f"SELECT {', '.join(_numbered(keys, prefix))} FROM {self.table(table)} AS t WHERE 1 = 0"

    def landed_value(self, value: Any, column: Column, as_text: bool) -> Any:
        """As the column's type."""
        return canonical_text(value) if as_text else typed(value, column.type)

    def lands_as_text(self, column: Column) -> bool:
        """Types of a database's own have no common one; nor have unknown character sets."""
        kind = column.type
        if kind.family is TypeFamily.TEXT:
            return codec_of(kind) is None
        return kind.family not in LANDED_TYPES and kind.family not in NUMBERS and kind.family is not TypeFamily.UUID

    def fill_found(self, found: str, keys: Sequence[str]) -> Filling:
        """The key keeps rows apart, loaded ones win among equals. Assignments run from left to right."""
        stronger = "VALUES(s) < s OR (VALUES(s) = s AND VALUES(f) > f)"
        return Filling(
            f"INSERT INTO {found} ({', '.join(['m', 's', 'r', 'f', *keys])}) VALUES {ROWS} ON DUPLICATE KEY UPDATE "
            f"r = IF({stronger}, VALUES(r), r), f = IF({stronger}, VALUES(f), f), s = LEAST(s, VALUES(s))"
        )

    def fill(self, table: str, columns: Sequence[str]) -> str:
        """Rows of literals."""
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {ROWS}"

    def fails(self, name: str, masked: Sequence[tuple[str, str]], condition: str) -> str:
        """HAVING finds the names of what is selected first; a subquery in FROM would not see the row around it."""
        renamed = ", ".join(f"{operand} AS {column}" for operand, column in masked)
        return f"EXISTS (SELECT {renamed} HAVING NOT ({condition}))"

    def digest(self, algorithm: Algorithm, of: str) -> str:
        """Built in."""
        return f"SHA2({of}, {algorithm.removeprefix('sha')})"

    def hmac(self, algorithm: Algorithm, secret: str, of: str, reference: Callable[[Ingredient], str]) -> str:
        """RFC 2104 from the hash and the two padded keys."""
        inner = reference(Ingredient(secret, "inner", algorithm))
        outer = reference(Ingredient(secret, "outer", algorithm))
        bits = algorithm.removeprefix("sha")
        return f"SHA2(CONCAT({outer}, UNHEX(SHA2(CONCAT({inner}, {of}), {bits}))), {bits})"

    def truncate(self, of: str, length: int) -> str:
        """By characters."""
        return f"LEFT({of}, {length})"

    def row_digest(self, texts: Sequence[str]) -> str:
        """HMAC-SHA256 of a JSON array of the texts, NULL as null."""
        row = f"JSON_ARRAY({', '.join(texts)})"
        return f"UNHEX(SHA2(CONCAT(%(outer)s, UNHEX(SHA2(CONCAT(%(inner)s, {row}), 256))), 256))"

    def digest_parameters(self, key: bytes) -> Parameters:
        """The padded keys."""
        inner, outer = padded_keys(key, "sha256")
        return {"inner": inner, "outer": outer}

    def ingredient_rows(self, ingredients: Sequence[Ingredient]) -> str:
        """Rows of literals."""
        empty = ("''" if each.form == "text" else "_binary ''" for each in ingredients)
        first = ", ".join(["0 AS m", *(f"{each} AS c{index}" for index, each in enumerate(empty))])
        return f"(SELECT {first} FROM DUAL WHERE 1 = 0 UNION ALL VALUES %(x)s) AS x"

    def ingredient_parameters(
        self, ingredients: Sequence[Ingredient], secrets: Mapping[int, Mapping[str, str]]
    ) -> Parameters:
        """By member."""
        rows = [(member, *(each.bound(own[each.secret]) for each in ingredients)) for member, own in secrets.items()]
        return {"x": Rows(rows, self.row_constructor)}

    def members(self, operand: str) -> str:
        """GROUP_CONCAT, whose length the session doesn't limit."""
        return f"GROUP_CONCAT({operand})"

    def update_from(self, table: str, assignments: Sequence[str], work: str, on: str) -> str:
        """UPDATE … JOIN. The work table has columns too, so the target's are qualified."""
        qualified = ", ".join(f"t.{each}" for each in assignments)
        return f"UPDATE {table} AS t JOIN {work} AS w ON {on} SET {qualified}"

    def delete_from(self, table: str, keys: Sequence[str], work: str, on: str) -> str:
        """DELETE … JOIN."""
        return f"DELETE t FROM {table} AS t JOIN {work} AS w ON {on}"

    def same_value(self, left: str, right: str) -> str:
        """By bytes, NULL equal to NULL."""
        return f"CAST({left} AS BINARY) <=> CAST({right} AS BINARY)"

    def in_keys(self, operand: str, column: Column | None) -> str | None:
        """By literals, for integers."""
        if column is None or column.type.family is not TypeFamily.INTEGER or column.type.native.startswith("bit"):
            return None
        return f"{operand} IN %(keys)s"

    def key_array(self, keys: Sequence[Any]) -> Any:
        """A list of literals."""
        return list(keys)

    def elements_of(self, table: str, elements: Sequence[Column], others: Sequence[str], *, scanned: bool) -> str:
        """By JSON_TABLE, a name of the path after the other. What isn't a list is the only one of its level."""
        values = [
            f"{self._scalar(each, f'e{number}')} AS {self.quote(each.name)}" for number, each in enumerate(elements)
        ]
        joins = "".join(self._scalars(each, f"e{number}") for number, each in enumerate(elements))
        exact = [f"{self._scalar(each, f'e{number}')} IS NOT NULL" for number, each in enumerate(elements)]
        chosen = ", ".join([*(f"x.{each} AS {each}" for each in others), *values])
        return f"(SELECT {chosen} FROM {table} AS x{joins} WHERE {' AND '.join(exact)})"

    def _scalars(self, element: Column, name: str) -> str:
        """The scalars at a path as `v` of the last item, after items for the names that lead there."""
        inside = element.inside or Inside(element.name)
        source, items = f"x.{self.quote(inside.column)}", []
        for number, step in enumerate(inside.path):
            member = f"v JSON PATH {_path_literal(step)}"
            items.append(f"JSON_TABLE(JSON_EXTRACT({source}, {_LEVELS}), '$[*]' COLUMNS ({member})) AS {name}_{number}")
            source = f"{name}_{number}.v"
        scalar = f"v LONGTEXT CHARACTER SET utf8mb4 COLLATE {self.exact_collation} PATH '$'"
        items.append(f"JSON_TABLE(JSON_EXTRACT({source}, {_LEVELS}), '$[*]' COLUMNS ({scalar})) AS {name}")
        return "".join(f", {item}" for item in items)

    def _scalar(self, element: Column, name: str) -> str:
        pattern = _EXACT_TEXTS.get(element.type.family)
        if pattern is None:
            return f"{name}.v"
        value = f"CAST({name}.v AS SIGNED)" if element.type.family is TypeFamily.INTEGER else f"LOWER({name}.v)"
        return f"CASE WHEN {name}.v REGEXP '{pattern}' THEN {value} END"

    def _element_type(self, column: Column) -> str:
        if column.type.family is TypeFamily.INTEGER:
            return landed_type(column.type)
        kind = "VARCHAR(36)" if column.type.family is TypeFamily.UUID else "LONGTEXT"
        return f"{kind} CHARACTER SET utf8mb4 COLLATE {self.exact_collation}"

    def create_elements(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """As candidates."""
        own = (
            "m INT NOT NULL DEFAULT 0, s TINYINT NOT NULL DEFAULT 0, e INT NOT NULL DEFAULT 0, "
            f"v LONGTEXT CHARACTER SET utf8mb4, KEY ({', '.join(self._indexed(keys, columns))})"
        )
        return f"{CREATE_TEMP}{name} ({own}) ENGINE=InnoDB {self._typed(table, keys, 'k')}"

    def json_rows(self, operands: Sequence[str]) -> str:
        """GROUP_CONCAT, whose length the session doesn't limit."""
        return f"CONCAT('[', GROUP_CONCAT(JSON_ARRAY({', '.join(operands)})), ']')"

    def analyze(self, table: str) -> str | None:
        """ANALYZE would end the snapshot; InnoDB counts rows by itself."""
        return None


class MysqlDialect(MariadbDialect):
    """MySQL 8.0.19 and later."""

    row_constructor = "ROW"
    exact_collation = "utf8mb4_0900_bin"


class MariadbInlineDialect(InlineDialect, MariadbDialect):
    """MariaDB where no temp tables can be made."""

    def empty_text(self) -> str:
        """In the character set of the session."""
        return "CONVERT('' USING utf8mb4)"

    def empty_bytes(self) -> str:
        """A cast: a bare literal of bytes would be taken for text beside text."""
        return "CAST('' AS BINARY)"

    def landed_empty(self, column: Column, as_text: bool) -> str:
        """As landed values have it in a temp table."""
        if as_text:
            return self.empty_text()
        if column.inside is None and column.type.family in (TypeFamily.TEXT, TypeFamily.UUID):
            return f"t.{self.quote(column.name)}"
        if column.type.family in (TypeFamily.TEXT, TypeFamily.UUID):
            return f"{self.empty_text()} COLLATE {self.exact_collation}"
        kind = landed_type(column.type)
        return f"CAST(0 AS {_CAST_TYPES.get(kind, kind)})"


class MysqlInlineDialect(MariadbInlineDialect, MysqlDialect):
    """MySQL where no temp tables can be made."""


def _numbered(names: Sequence[str], prefix: str) -> list[str]:
    return [f"t.{name} AS {prefix}{index}" for index, name in enumerate(names)]


def _path_literal(name: str) -> str:
    """The JSON path of a member as a literal; a backslash escapes in both, a per cent sign marks parameters."""
    path = f"$.{json.dumps(name, ensure_ascii=False)}".replace("\\", "\\\\").replace("'", "''").replace("%", "%%")
    return f"'{path}'"
