"""What SQLite's pragmas say of tables. Reads the schema only (and the largest rowid, as an estimate of rows).

SQLite checks no types: families follow the declared type's name, where it has a common one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from habeas.connectors.sql.checks import checks_in
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.schema import ColumnFact, KeyFact, TableFacts
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.sqlite import SEED_INDEXES
from habeas.core.schema import (
    ColumnSchema,
    ColumnType,
    ForeignKey,
    StoreSchema,
    TableName,
    TableSchema,
    TypeFamily,
)

_TABLES = """
SELECT m.name, m.type, m.sql FROM main.sqlite_master m
 WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name
"""
_COLUMNS = """
SELECT m.name, p.name, p.type, p."notnull", p.dflt_value, p.pk, p.hidden
  FROM main.sqlite_master m JOIN pragma_table_xinfo(m.name) p
 WHERE m.type IN ('table', 'view') AND p.hidden <> 1 ORDER BY m.name, p.cid
"""
_FOREIGN_KEYS = """
SELECT m.name, p.id, p.seq, p."table", p."from", p."to", p.on_delete, p.on_update
  FROM main.sqlite_master m JOIN pragma_foreign_key_list(m.name) p
 WHERE m.type = 'table' ORDER BY m.name, p.id, p.seq
"""
_INDEXES = """
SELECT m.name, l.name, l."unique", l.partial, l.origin, i.name, i.cid, s.sql
  FROM main.sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_xinfo(l.name) i
  LEFT JOIN main.sqlite_master s ON s.type = 'index' AND s.name = l.name
 WHERE m.type = 'table' AND i.key = 1 ORDER BY m.name, l.name, i.seqno
"""
_DEFINITIONS = "SELECT type, tbl_name, sql FROM main.sqlite_master WHERE type IN ('table', 'trigger')"
_ON_DELETE = re.compile(r"\bDELETE\s+ON\b", re.IGNORECASE)
_ON_UPDATE = re.compile(r"\bUPDATE\s+(OF\b.*?\s)?ON\b", re.IGNORECASE | re.DOTALL)
_CONTENT = re.compile(r"""\bUSING\s+fts\d.*\bcontent\s*=\s*["'\[`]?(\w+)""", re.IGNORECASE | re.DOTALL)

_FAMILIES: tuple[tuple[str, TypeFamily], ...] = (
    ("BOOL", TypeFamily.BOOLEAN),
    ("INT", TypeFamily.INTEGER),
    ("UUID", TypeFamily.UUID),
    ("GUID", TypeFamily.UUID),
    ("JSON", TypeFamily.JSON),
    ("CHAR", TypeFamily.TEXT),
    ("CLOB", TypeFamily.TEXT),
    ("TEXT", TypeFamily.TEXT),
    ("STRING", TypeFamily.TEXT),
    ("BLOB", TypeFamily.BINARY),
    ("BINARY", TypeFamily.BINARY),
    ("REAL", TypeFamily.FLOAT),
    ("FLOA", TypeFamily.FLOAT),
    ("DOUB", TypeFamily.FLOAT),
    ("NUMERIC", TypeFamily.DECIMAL),
    ("DECIMAL", TypeFamily.DECIMAL),
    ("TIMESTAMPTZ", TypeFamily.TIMESTAMP_TZ),
    ("TIMESTAMP", TypeFamily.TIMESTAMP),
    ("DATETIME", TypeFamily.TIMESTAMP),
    ("DATE", TypeFamily.DATE),
    ("TIME", TypeFamily.TIME),
)


class _Gathered:
    """Rows of the pragmas, by table."""

    def __init__(self, session: Session) -> None:
        self.columns = _by_table(session.fetch(_COLUMNS))
        self.indexes: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in session.fetch(_INDEXES):
            self.indexes[row[0]][row[1]].append(row)
        self.foreign: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in session.fetch(_FOREIGN_KEYS):
            self.foreign[row[0]][row[1]].append(row)
        self.checks: dict[str, tuple[str, ...]] = {}
        self._triggers: dict[str, list[str]] = defaultdict(list)
        self._copies: dict[str, list[str]] = defaultdict(list)
        for kind, table, text in session.fetch(_DEFINITIONS):
            if kind == "table":
                self.checks[table] = checks_in(text or "")
                indexed = _CONTENT.search(text or "")
                if indexed is not None:
                    self._copies[indexed[1].lower()].append(table)
            else:
                self._triggers[table.lower()].append(text)
        self._incoming: dict[str, list[tuple[str, ForeignKey]]] = defaultdict(list)
        for name in self.foreign:
            for key in self.foreign_keys(name):
                self._incoming[key.table.name].append((name, key))

    def triggers(self, table: str) -> Sequence[str]:
        """The triggers' texts."""
        return self._triggers[table.lower()]

    def copies(self, table: str) -> tuple[str, ...]:
        """Full-text indexes over the table, which only triggers keep up to date."""
        return tuple(self._copies[table.lower()])

    def primary(self, table: str) -> tuple[str, ...]:
        """The primary key's columns, in key order."""
        return tuple(row[1] for row in sorted(self.columns[table], key=lambda row: row[5]) if row[5])

    def uniques(self, table: str) -> tuple[tuple[str, ...], ...]:
        """Unique indexes of plain columns, not partial, other than the primary key's."""
        found = set()
        for rows in self.indexes[table].values():
            if rows[0][2] and not rows[0][3] and rows[0][4] != "pk" and all(row[6] >= 0 for row in rows):
                found.add(tuple(row[5] for row in rows))
        return tuple(sorted(found))

    def unique_parts(self, table: str) -> tuple[str, ...]:
        """Columns that a partial or expression index names which must be unique."""
        named = " ".join(
            rows[0][7] or ""
            for rows in self.indexes[table].values()
            if rows[0][2] and (rows[0][3] or any(row[6] < 0 for row in rows))
        )
        words = {word.lower() for word in re.findall(r"\w+", named)}
        return tuple(row[1] for row in self.columns[table] if row[1].lower() in words)

    def foreign_keys(self, table: str) -> tuple[ForeignKey, ...]:
        """Foreign keys; one without named target columns leads to the target's primary key."""
        keys = []
        for rows in self.foreign[table].values():
            target = rows[0][3]
            named = tuple(row[5] for row in rows)
            keys.append(
                ForeignKey(
                    columns=tuple(row[4] for row in rows),
                    table=TableName(self._spelled(target)),
                    target_columns=named if all(named) else self.primary(self._spelled(target)),
                    on_delete=rows[0][6],
                    on_update=rows[0][7],
                    deferrable=True,  # by a pragma, whatever the key says
                )
            )
        return tuple(sorted(keys, key=str))

    def _spelled(self, table: str) -> str:
        # SQLite's names ignore case, so a foreign key may spell its target in another way.
        return next((name for name in self.columns if name.lower() == table.lower()), table)

    def facts(self, table: str) -> TableFacts:
        """What the fingerprint covers."""
        facts = TableFacts()
        facts.columns = [ColumnFact(row[1], row[2], not _nullable(row)) for row in self.columns[table]]
        if self.primary(table):
            facts.keys.add(KeyFact("primary", self.primary(table)))
        facts.keys |= {KeyFact("unique", columns) for columns in self.uniques(table)}
        for key in self.foreign_keys(table):
            facts.keys.add(KeyFact("foreign", key.columns, key.table.name, key.target_columns, _actions(key)))
        for source, key in self._incoming[table]:
            facts.keys.add(KeyFact("incoming", key.columns, source, key.target_columns, _actions(key)))
        facts.rules |= {("trigger", text) for text in self.triggers(table)}
        facts.rules |= {("check", text) for text in self.checks.get(table, ())}
        facts.rules.add(("unique", *self.unique_parts(table)))
        return facts


def read_fingerprints(session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
    """Fingerprints of the tables that exist, by pragmas over the whole schema."""
    gathered = _Gathered(session)
    return {
        table: gathered.facts(table.name).fingerprint()
        for table in tables
        if table.schema in (None, "main") and table.name in gathered.columns
    }


def read_schema(session: Session, dialect: Dialect, *, writable: bool) -> StoreSchema:
    """All tables and views of the file."""
    gathered = _Gathered(session)
    return StoreSchema(
        tuple(_table(session, dialect, gathered, row, writable=writable) for row in session.fetch(_TABLES)),
        documents=(TypeFamily.JSON, TypeFamily.TEXT, TypeFamily.OTHER),
    )


def _table(session: Session, dialect: Dialect, gathered: _Gathered, row: Row, *, writable: bool) -> TableSchema:
    name, kind, definition = row
    table = TableName(name)
    is_view = kind == "view"
    triggers = gathered.triggers(name)
    return TableSchema(
        table=table,
        columns=tuple(_column(each) for each in gathered.columns[name]),
        primary_key=gathered.primary(name),
        uniques=gathered.uniques(name),
        foreign_keys=gathered.foreign_keys(name),
        indexes=_indexes(gathered, name),
        checks=gathered.checks.get(name, ()),
        triggers=bool(triggers),
        delete_triggers=any(_ON_DELETE.search(text) for text in triggers),
        update_triggers=any(_ON_UPDATE.search(text) for text in triggers),
        copies=gathered.copies(name),
        is_view=is_view,
        estimated_rows=0 if is_view else _estimate(session, dialect, table, definition or ""),
        writable=writable and not is_view,
        deletable=writable and not is_view,
        fingerprint=gathered.facts(name).fingerprint(),
        unique_parts=gathered.unique_parts(name),
        seed_indexes=SEED_INDEXES,
    )


def _actions(key: ForeignKey) -> str:
    return f"{key.on_delete}/{key.on_update}"


def _estimate(session: Session, dialect: Dialect, table: TableName, definition: str) -> int:
    if "WITHOUT ROWID" in " ".join(definition.upper().split()) or "VIRTUAL TABLE" in definition.upper():
        return 0
    ((largest,),) = session.fetch(f"SELECT MAX(rowid) FROM {dialect.table(table)}")
    return max(largest or 0, 0)


def _indexes(gathered: _Gathered, table: str) -> tuple[tuple[str, ...], ...]:
    found = [
        tuple(row[5] if row[6] >= 0 else _expression(row[7]) for row in rows)
        for rows in gathered.indexes[table].values()
        if not rows[0][3]
    ]
    primary = gathered.primary(table)
    return tuple(dict.fromkeys([primary, *found] if primary else found))


def _expression(definition: str) -> str:
    """The parenthesised part of CREATE INDEX, which holds an index's expression."""
    return definition.partition("(")[2].rpartition(")")[0].strip()


def _nullable(row: Row) -> bool:
    # Only an INTEGER PRIMARY KEY refuses NULL without saying so, by giving the next number.
    return not row[3] and not (row[5] and row[2].upper() == "INTEGER")


def _column(row: Row) -> ColumnSchema:
    _, name, native, _, default, primary, hidden = row
    return ColumnSchema(
        name=name,
        type=ColumnType(_family(native), native, _length(native)),
        nullable=_nullable(row),
        default=default is not None or bool(primary and native.upper() == "INTEGER"),
        generated=hidden in (2, 3),
    )


def _family(native: str) -> TypeFamily:
    upper = native.upper()
    return next((family for part, family in _FAMILIES if part in upper), TypeFamily.OTHER)


def _length(native: str) -> int | None:
    # SQLite itself keeps no limit, but the declared one says what the application expects.
    inside = native.partition("(")[2].partition(")")[0].strip()
    return int(inside) if inside.isdigit() and _family(native) is TypeFamily.TEXT else None


def _by_table(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(row)
    return found
