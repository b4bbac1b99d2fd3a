"""What introspection says of a live store: tables, columns, keys. Plain data; never reads a store itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class TypeFamily(StrEnum):
    """Families of column types. Two ends of a reference must share one, else they compare as text."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMP_TZ = "timestamp_tz"
    INTERVAL = "interval"
    UUID = "uuid"
    BINARY = "binary"
    JSON = "json"
    ARRAY = "array"
    ENUM = "enum"
    OTHER = "other"


class ColumnType(msgspec.Struct, frozen=True):
    """A column's type: its family, the store's own spelling, and its limits.

    `length` counts characters for text and bytes for binary; None is unlimited.
    """

    family: TypeFamily
    native: str
    length: int | None = None
    values: tuple[str, ...] = ()  # of an enum


class RemainsOf(msgspec.Struct, frozen=True):
    """What digests of rows, as an erasure left them, cover: these columns of the table that had this fingerprint.
    `rekeyed`: the ledger has the rows' old keys; the new ones are among the columns, so that the digest tells a row.
    """

    fingerprint: str
    columns: tuple[str, ...]
    types: tuple[ColumnType, ...]
    rekeyed: bool = False


class ColumnSchema(msgspec.Struct, frozen=True):
    """One live column. `generated` columns can't be written; `default` says that one exists; the store changes a
    `touched` one with every update that doesn't write it. `folds_accents`: for its collation é and e may be equal.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    default: bool = False
    generated: bool = False
    touched: bool = False
    folds_accents: bool = False


class ForeignKey(msgspec.Struct, frozen=True):
    """A foreign key of the table that holds it. Actions are upper case: `NO ACTION`, `CASCADE`, …"""

    columns: tuple[str, ...]
    table: TableName
    target_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool = False


class TableName(msgspec.Struct, frozen=True, order=True):
    """A table's name in its store; `schema` None is the session's default schema."""

    name: str
    schema: str | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


class TableSchema(msgspec.Struct, frozen=True):
    """One live table. `uniques` are unique keys whose columns are all NOT NULL or not (see columns).

    `unique_parts` are columns of unique indexes that are no keys, being partial or over expressions; `checks` are
    CHECKs in the store's own spelling. `indexes` holds the leading column names of each plain (non-partial) index,
    the primary key's and unique keys' included; an expression in an index appears as its text. `fingerprint` covers
    names, types, nullability, keys, foreign keys from and to the table, triggers, checks and the privileges to write;
    it is what a plan is pinned to.
    """

    table: TableName
    columns: tuple[ColumnSchema, ...]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    checks: tuple[str, ...] = ()
    triggers: bool = False
    is_view: bool = False
    estimated_rows: int = 0
    writable: bool = True  # the credentials may UPDATE it
    deletable: bool = True  # the credentials may DELETE from it
    fingerprint: str = ""
    unique_parts: tuple[str, ...] = ()
    delete_triggers: bool = False  # a trigger runs when a row is deleted
    update_triggers: bool = False  # a trigger runs when a row is updated
    row_security: bool = False  # the credentials may be shown a part of the rows only
    versioned: bool = False  # the store keeps old values of rows, to be read by whoever asks for them
    inherited: bool = False  # rows of other tables show in it, so that no key of its own tells rows apart
    copies: tuple[str, ...] = ()  # what keeps its values beside it: materialised views, full-text indexes
    # By kind of identity: the indexes that serve its canonical lookup together, by their expressions of a column {0}.
    seed_indexes: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = ()
    expression_indexes: bool = True  # an index can be on an expression

    def column(self, name: str) -> ColumnSchema | None:
        """The column of that exact name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def is_key(self, columns: frozenset[str]) -> bool:
        """Whether these columns hold a whole primary or unique key, so that one value finds one row at most."""
        keys = (self.primary_key, *self.uniques)
        return any(key and columns.issuperset(key) for key in keys)


class StoreSchema(msgspec.Struct, frozen=True):
    """All introspected tables of one connection, in order of name.

    `documents` are the families of columns inside which the store can look for values.
    """

    tables: tuple[TableSchema, ...]
    documents: tuple[TypeFamily, ...] = ()

    def by_name(self) -> Mapping[TableName, TableSchema]:
        """Tables by their name."""
        return {table.table: table for table in self.tables}

    def find(self, table: TableName) -> TableSchema | None:
        """The table of that exact name, or None."""
        return next((each for each in self.tables if each.table == table), None)
