"""What differs between SQL databases, as text: names, parameters, types, temp tables, functions.

A dialect makes pieces of statements from quoted identifiers and named parameters. It never runs
anything, never sees a row, and never puts a value into a statement's text.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from habeas.core.errors import Refused
from habeas.core.expression import Algorithm
from habeas.core.schema import ColumnType, TableName
from habeas.plan.model import Column

Parameters = Mapping[str, Any]
ALIKE = "habeas_alike"  # names rows that are alike in some columns; no quoted name, so no column


class Ingredient(NamedTuple):
    """What is bound for a secret: its text, or one of the two padded keys of RFC 2104."""

    secret: str
    form: Literal["text", "inner", "outer"] = "text"
    algorithm: Algorithm = "sha256"

    def bound(self, secret: str) -> str | bytes:
        """The value to bind, made from the secret's text."""
        if self.form == "text":
            return secret
        inner, outer = padded_keys(secret.encode(), self.algorithm)
        return inner if self.form == "inner" else outer


def padded_keys(key: bytes, algorithm: Algorithm) -> tuple[bytes, bytes]:
    """The inner and outer padded keys of RFC 2104, for databases that hash but know no HMAC."""
    size = 64 if algorithm == "sha256" else 128
    block = (hashlib.new(algorithm, key).digest() if len(key) > size else key).ljust(size, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


class Lookup(NamedTuple):
    """A column compared with many values by its own `=`: rows of `w` hold each value `v` and its number `n`."""

    joined: str  # a FROM clause of the table `t` and the array parameter `values`
    convert: Callable[[str], Any]  # a text as the column's type; None if no row can hold it


class Filling(NamedTuple):
    """How rows are put into a temp table: the statement for the bulk path, then what makes them distinct."""

    statement: str
    distinct: tuple[str, ...] = ()


class Move(NamedTuple):
    """How the rows of a select get into a temp table."""

    statement: str  # moves them itself, and tells the rows that changed; or is the bare select
    filling: str | None = None  # for a database whose writes would see past its snapshot: puts the select's rows in
    counting: str | None = None  # then tells the rows that changed; None where each row is a new one


class Pair(NamedTuple):
    """Two values that a join compares: of a row `t` of the source, and of `h`."""

    left: str
    right: str  # as text where `other` is None
    column: Column
    other: Column | None  # the right value's column; None: both are compared as text


class Dialect(ABC):
    """Pieces of SQL for one kind of database. `t` is a row of the source, `h` a found row, `w` a work row."""

    row_identity: tuple[str, ...]  # names a row of a table without a key, inside one snapshot
    defer_constraints: str = "SET CONSTRAINTS ALL DEFERRED"  # until the transaction's end
    json_is_text: bool = False  # whether the driver gives JSON columns as text
    default_schema: str | None = None  # known once a session was open

    @abstractmethod
    def quote(self, name: str) -> str:
        """The identifier, quoted whatever it holds."""

    @abstractmethod
    def parameter(self, name: str) -> str:
        """The place of a named parameter; names are ours: letters, digits, underscores."""

    def verbatim(self, text: str) -> str:
        """SQL of the store's own, such as a CHECK, as part of a statement: what marks parameters is escaped."""
        return text.replace("%", "%%") if self.parameter("p").startswith("%") else text

    @abstractmethod
    def table(self, table: TableName) -> str:
        """The quoted, qualified name of a table of the source."""

    @abstractmethod
    def temp(self, name: str) -> str:
        """The qualified name of one of our own temp tables."""

    def drop_temp(self, name: str) -> str:
        """Drop one of our own temp tables, if it is there."""
        return f"DROP TABLE IF EXISTS {name}"

    def row_part(self, row: str, part: str, columns: Sequence[Column]) -> str:
        """One part of what names a table's row: a quoted key column, one of `row_identity`, or ALIKE in `columns`."""
        if part != ALIKE:
            return f"{row}.{part}"
        return self.alike([self.text_of(f"{row}.{self.quote(column.name)}", column.type) for column in columns])

    @abstractmethod
    def alike(self, texts: Sequence[str]) -> str:
        """A hash of texts, byte by byte, NULL unlike any text."""

    @abstractmethod
    def as_text(self, operand: str) -> str:
        """A parameter or constant as text."""

    @abstractmethod
    def text_of(self, operand: str, kind: ColumnType) -> str:
        """The canonical text of an operand of that type."""

    @abstractmethod
    def read(self, operand: str, column: Column | None) -> str:
        """A column as it is read, cast where the driver's own type would lose something."""

    @abstractmethod
    def same_text(self, left: str, right: str) -> str:
        """Whether two texts are equal byte by byte, whatever the columns' collations say."""

    def equal(self, left: str, right: str, columns: tuple[Column, Column]) -> str:
        """Whether values of two columns of one family are equal, by the left column's own `=`."""
        return f"{left} = {right}"

    def joined(self, source: str, table: str, pairs: Sequence[Pair], carried: Sequence[str], *, known: bool) -> str:
        """Rows `h` of a FROM item, of which these columns are used, joined with rows `t` of a table. `known`: an
        index of the table's or of ours serves the join.
        """
        on = " AND ".join(
            self.equal(each.left, each.right, (each.column, each.other))
            if each.other
            else self.same_text(self.text_of(each.left, each.column.type), each.right)
            for each in pairs
        )
        return f"{source} JOIN {table} AS t ON {on}"

    def apart(self, operand: str, column: Column) -> str:
        """What tells a column's values apart exactly, to group by, where its own `=` takes several for one."""
        return operand

    def holds(self, column: Column) -> bool:
        """Whether a column takes masks as they are given; else each goes through `fitted`."""
        return True

    def fitted(self, value: str | int | float | bool, column: Column) -> str | int | float | bool:
        """A mask as the column holds it, where the type can't hold it as given."""
        return value

    @abstractmethod
    def array(self, values: Sequence[Any]) -> Any:
        """The form in which an array parameter is bound."""

    def numbered(self, values: Sequence[Any]) -> Any:
        """The form in which the values of a lookup are bound."""
        return self.array(values)

    @abstractmethod
    def lookup(self, table: str, column: Column, *, indexed: bool) -> Lookup:
        """Compare a column with many values by the column's own `=`, through its index if it has one."""

    @abstractmethod
    def email_candidates(self, operand: str, column: Column) -> str:
        """Rows that may hold one of the canonical addresses in `values`: folded equal, or not plain ASCII."""

    @abstractmethod
    def phone_candidates(self, operand: str, column: Column) -> str:
        """Rows that may hold a number that ends in one of `values` (last seven digits), or hold letters."""

    @abstractmethod
    def create_found(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Make the table of found rows: m, s, r, f and key columns k0… of the table's own types."""

    @abstractmethod
    def create_candidates(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Make the table of rows reached by a link whose ownership is tested: m, e, k0…"""

    @abstractmethod
    def create_landed(self, name: str, table: TableName, columns: Sequence[Column], as_text: bool) -> str:
        """Make the table of values from another store: m, s, e, r, v0…"""

    @abstractmethod
    def create_work(
        self,
        name: str,
        table: TableName,
        keys: Sequence[str],
        values: Sequence[str],
        columns: Sequence[Column],
    ) -> tuple[str, ...]:
        """Make, unless it exists, the writer's empty table of one chunk: p, d, k0…, v0…"""

    @abstractmethod
    def landed_value(self, value: Any, column: Column, as_text: bool) -> Any:
        """A value from another store as this column's type; None if no row can hold it."""

    @abstractmethod
    def lands_as_text(self, column: Column) -> bool:
        """Whether values for this column travel and compare as text for want of a common type."""

    @abstractmethod
    def fill_found(self, found: str, keys: Sequence[str]) -> Filling:
        """Put rows (m, s, r, f, k0…) in, of each (m, key) the strongest."""

    @abstractmethod
    def fill(self, table: str, columns: Sequence[str]) -> str:
        """Put rows into a temp table as they are."""

    @abstractmethod
    def merge(self, found: str, keys: Sequence[str], select: str, *, first: bool) -> Move:
        """Add the rows of a select of (m, s, r, k0…), each (m, key) once, to the found rows; a stronger
        standing replaces a weaker. `first`: the table is empty.
        """

    def add(self, table: str, columns: Sequence[str], select: str) -> Move:
        """Add the rows of a select to a temp table as they are."""
        return Move(f"INSERT INTO {table} ({', '.join(columns)}) {select}")

    def mark(self, found: str, keys: Sequence[str], mark: int, select: str) -> Move:
        """Set f of the found rows in a select of (m, f, k0…) that aren't marked so yet."""
        listed = ", ".join(keys)
        row = f"({listed})" if len(keys) > 1 else listed
        chosen = f"SELECT {', '.join(f'c.{key}' for key in keys)} FROM ({select}) AS c"
        return Move(f"UPDATE {found} SET f = {mark} WHERE f <> {mark} AND {row} IN ({chosen})")

    def fails(self, name: str, masked: Sequence[tuple[str, str]], condition: str) -> str:
        """Whether a condition over a row fails, NULL passing: it finds the masked values (operand, column) under
        their columns' names first, then the row's other columns, in the FROM item `name` around it.
        """
        renamed = ", ".join(f"{operand} AS {column}" for operand, column in masked)
        return f"EXISTS (SELECT 1 FROM (SELECT {renamed}) AS {name} WHERE NOT {condition})"

    @abstractmethod
    def digest(self, algorithm: Algorithm, of: str) -> str:
        """Lower-case hex digest of the text's UTF-8 bytes."""

    @abstractmethod
    def hmac(self, algorithm: Algorithm, secret: str, of: str, reference: Callable[[Ingredient], str]) -> str:
        """Lower-case hex HMAC of the text; `reference` gives the place of what is made from the secret."""

    @abstractmethod
    def truncate(self, of: str, length: int) -> str:
        """The first characters of a text."""

    @abstractmethod
    def row_digest(self, texts: Sequence[str]) -> str:
        """The keyed digest of a row's texts, as bytes; its key is bound by `digest_parameters`."""

    @abstractmethod
    def digest_parameters(self, key: bytes) -> Parameters:
        """Parameters that `row_digest` names."""

    @abstractmethod
    def ingredient_rows(self, ingredients: Sequence[Ingredient]) -> str:
        """A FROM item `x` with columns m, c0… that holds each member's ingredients."""

    @abstractmethod
    def ingredient_parameters(
        self, ingredients: Sequence[Ingredient], secrets: Mapping[int, Mapping[str, str]]
    ) -> Parameters:
        """Parameters that `ingredient_rows` names. Raises KeyError if a member lacks a secret."""

    @abstractmethod
    def members(self, operand: str) -> str:
        """All members of a group as comma-separated text, in any order."""

    @abstractmethod
    def update_from(self, table: str, assignments: Sequence[str], work: str, on: str) -> str:
        """UPDATE of the table, named `t`, from the work table, named `w`."""

    @abstractmethod
    def delete_from(self, table: str, keys: Sequence[str], work: str, on: str) -> str:
        """DELETE of rows of the table, named `t`, that the condition finds in the work table `w`."""

    @abstractmethod
    def same_value(self, left: str, right: str) -> str:
        """Whether two values are equal, NULL equal to NULL."""

    @abstractmethod
    def in_keys(self, operand: str, column: Column | None) -> str | None:
        """Whether a key is in the array parameter `keys`; None where keys of this type go by a table."""

    @abstractmethod
    def key_array(self, keys: Sequence[Any]) -> Any:
        """The form in which the array parameter `keys` is bound."""

    def elements_of(self, table: str, elements: Sequence[Column], others: Sequence[str], *, scanned: bool) -> str:
        """A FROM item without a name: the table's rows with the scalars that lie inside its columns, as columns of
        the elements' names, a row for each scalar; and `others`, names of the table's columns, quoted. `scanned`:
        the whole table is read, not single rows of it.
        """
        raise _no_documents(elements[0].name)

    def create_elements(self, name: str, table: TableName, keys: Sequence[str], columns: Sequence[Column]) -> str:
        """Make the table of values that led to rows: m, s, e, v, k0…"""
        raise _no_documents(name)

    def json_rows(self, operands: Sequence[str]) -> str:
        """All rows of a group as text: a JSON array of arrays."""
        raise _no_documents(operands[0])

    def document(self, operand: str, column: Column) -> str:
        """A column as JSON text."""
        return self.text_of(operand, column.type)

    def written_document(self, text: str | None, column: Column) -> Any:
        """JSON text in the form in which it is put into a column of this type."""
        return text

    def analyze(self, table: str) -> str | None:
        """The statement that tells the planner how full a temp table is, if the database needs one."""
        return f"ANALYZE {table}"


def _no_documents(where: str) -> Refused:
    message = "lies inside a column, where habeas can't look in this store"
    return Refused(message, cause="nested_field", where=where, fix="refer to the column itself")
