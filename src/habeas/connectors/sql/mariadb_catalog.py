"""What the information schema of MariaDB and MySQL says of tables: a handful of statements for a whole database.

Single tables are asked for one by one in each statement, since only a named table is found without opening all
others. Reads the catalog only, never a table of the source.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from habeas.connectors.sql.mariadb_types import folds_accents, spelled
from habeas.connectors.sql.schema import ColumnFact, KeyFact, TableFacts
from habeas.connectors.sql.session import Row, Session
from habeas.core.errors import SourceDenied
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
SELECT TABLE_NAME, TABLE_TYPE, COALESCE(TABLE_ROWS, 0) FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = {schema} AND TABLE_TYPE IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME
"""

_COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE = 'NO',
       DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION, PRIVILEGES, ORDINAL_POSITION
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema}{table}
"""

_INDEXES = """
SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {schema}{table}
"""

_FOREIGN_KEYS = """
SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION, COLUMN_NAME,
       REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
  FROM information_schema.KEY_COLUMN_USAGE
 WHERE TABLE_SCHEMA = {schema}{table} AND REFERENCED_TABLE_NAME IS NOT NULL
"""

# Tables of other schemas whose foreign keys lead into one. Those in which the account may do nothing aren't shown.
_HOLDERS = """
SELECT DISTINCT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, COALESCE(t.TABLE_ROWS, 0)
  FROM information_schema.REFERENTIAL_CONSTRAINTS r
  JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = r.CONSTRAINT_SCHEMA AND t.TABLE_NAME = r.TABLE_NAME
 WHERE r.UNIQUE_CONSTRAINT_SCHEMA = %(schema)s AND r.CONSTRAINT_SCHEMA <> %(schema)s
 ORDER BY r.CONSTRAINT_SCHEMA, r.TABLE_NAME
"""

# Foreign keys that lead to a table, from tables of the same schema.
_INCOMING = """
SELECT REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, CONCAT(TABLE_NAME, '.', CONSTRAINT_NAME), ORDINAL_POSITION,
       COLUMN_NAME, REFERENCED_COLUMN_NAME
  FROM information_schema.KEY_COLUMN_USAGE
 WHERE TABLE_SCHEMA = {schema} AND REFERENCED_TABLE_SCHEMA = {schema}{table}
"""

_ACTIONS = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE
  FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {schema}{table}
"""

_CHECKS = """
SELECT t.TABLE_SCHEMA, t.TABLE_NAME, c.CHECK_CLAUSE
  FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c
    ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME
 WHERE t.TABLE_SCHEMA = {schema} AND t.CONSTRAINT_TYPE = 'CHECK'{table}
"""

# Names of checks are unique in a table only, where a check belongs to its table.
_CHECKS_BY_TABLE = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CHECK_CLAUSE
  FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {schema}{table}
"""

_TRIGGERS = """
SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, CONCAT(TRIGGER_NAME, ' ', ACTION_TIMING, ' ', EVENT_MANIPULATION)
  FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {schema}{table}
"""

# Tables of which the server keeps old rows.
_VERSIONED = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES
 WHERE TABLE_SCHEMA = {schema} AND TABLE_TYPE = 'SYSTEM VERSIONED'{table}
"""

# Grants to the session's account and its roles, of the privilege to delete: everywhere, in a database, on a table.
_DELETABLE = """
SELECT NULL FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'DELETE' AND GRANTEE IN ({grantees})
UNION SELECT NULL FROM information_schema.SCHEMA_PRIVILEGES
 WHERE PRIVILEGE_TYPE = 'DELETE' AND {schema} LIKE TABLE_SCHEMA AND GRANTEE IN ({grantees})
UNION SELECT TABLE_NAME FROM information_schema.TABLE_PRIVILEGES
 WHERE PRIVILEGE_TYPE = 'DELETE' AND TABLE_SCHEMA = {schema} AND GRANTEE IN ({grantees})
"""

_FAMILIES = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"), TypeFamily.INTEGER),
    **dict.fromkeys(("float", "double"), TypeFamily.FLOAT),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), TypeFamily.TEXT),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), TypeFamily.BINARY),
    "decimal": TypeFamily.DECIMAL,
    "date": TypeFamily.DATE,
    "time": TypeFamily.TIME,
    "datetime": TypeFamily.TIMESTAMP,
    "timestamp": TypeFamily.TIMESTAMP_TZ,
    "json": TypeFamily.JSON,
    "uuid": TypeFamily.UUID,
    "enum": TypeFamily.ENUM,
}
_BOOLEANS = ("tinyint(1)", "bit(1)")
_LIMITED = frozenset({"char", "varchar", "tinytext", "binary", "varbinary", "tinyblob"})
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_JSON_CHECK = re.compile(r"json_valid\(`(.*)`\)", re.IGNORECASE)


class _Column(NamedTuple):
    """A row of _COLUMNS."""

    schema: str
    table: str
    name: str
    spelling: str
    collation: str | None
    not_null: int
    type: str
    length: int | None
    default: str | None
    extra: str
    expression: str | None
    privileges: str
    position: int

    @property
    def native(self) -> str:
        """The type with its collation, by which values compare."""
        spelling = _text(self.spelling)
        return f"{spelling} collate {self.collation}" if self.collation else spelling

    @property
    def generated(self) -> bool:
        """Whether the store computes it."""
        return bool(self.expression) or "VIRTUAL GENERATED" in self.extra or "STORED GENERATED" in self.extra


Place = tuple[str, str]
"""A table: its schema and its name."""


class _Gathered:
    """What the catalog says of a schema's tables, or of some."""

    def __init__(
        self, session: Session, flavour: Flavour, schema: str | None = None, places: Iterable[Place] = ()
    ) -> None:
        asked = [{"schema": schema}] if schema else [{"schema": place[0], "table": place[1]} for place in places]
        self.columns: dict[Place, list[_Column]] = defaultdict(list)
        for row in _ask(session, _COLUMNS, asked):
            self.columns[row[0], row[1]].append(_Column(*row))
        for columns in self.columns.values():
            columns.sort(key=lambda column: column.position)
        self._indexes = _grouped(_ask(session, _INDEXES, asked), order=4)
        self._foreign = _grouped(_ask(session, _FOREIGN_KEYS, asked), order=3)
        self._actions = {tuple(row[:3]): row[3:] for row in _ask(session, _ACTIONS, asked)}
        self._incoming = _grouped(_ask(session, _INCOMING, asked, by="REFERENCED_TABLE_NAME"), order=3)
        self.checks = _texts(_ask(session, flavour.checks, asked))
        self.triggers = _texts(_ask(session, _TRIGGERS, asked, by="EVENT_OBJECT_TABLE"))
        self.versioned = _texts(_ask(session, _VERSIONED, asked))

    def keys(self, table: Place) -> set[KeyFact]:
        """Primary and unique keys of whole columns, and foreign keys."""
        found = set()
        for name, rows in self._indexes[table].items():
            if not rows[0][3] and all(row[5] is not None and row[6] is None for row in rows):
                found.add(KeyFact("primary" if name == "PRIMARY" else "unique", tuple(row[5] for row in rows)))
        for key in self.foreign_keys(table):
            target = f"{key.table.schema}.{key.table.name}"
            actions = f"{key.on_delete}/{key.on_update}"
            found.add(KeyFact("foreign", key.columns, target, key.target_columns, actions))
        for name, rows in self._incoming[table].items():
            found.add(KeyFact("incoming", tuple(row[4] for row in rows), name, tuple(row[5] for row in rows)))
        return found

    def writable(self, table: Place) -> bool:
        """Whether the credentials may update a column."""
        return any("update" in column.privileges for column in self.columns[table])

    def foreign_keys(self, table: Place) -> list[ForeignKey]:
        """Foreign keys with the target's schema."""
        found = []
        for name, rows in self._foreign[table].items():
            on_delete, on_update = self._actions.get((*table, name), ("NO ACTION", "NO ACTION"))
            found.append(
                ForeignKey(
                    columns=tuple(row[4] for row in rows),
                    table=TableName(rows[0][6], rows[0][5]),
                    target_columns=tuple(row[7] for row in rows),
                    on_delete=_action(on_delete),
                    on_update=_action(on_update),
                )
            )
        return found

    def unique_parts(self, table: Place) -> tuple[str, ...]:
        """Columns of unique indexes of which a beginning, or an expression, must differ."""
        partial = (rows for rows in self._indexes[table].values() if not rows[0][3] and any(row[6] for row in rows))
        return tuple(dict.fromkeys(row[5] for rows in partial for row in rows if row[5] is not None))

    def indexes(self, table: Place) -> tuple[tuple[str, ...], ...]:
        """Columns of each index; one of an expression, or of a column's beginning, ends before it."""
        found = []
        for rows in self._indexes[table].values():
            names: list[str] = []
            for row in rows:
                if row[5] is None or row[6] is not None:
                    break
                names.append(row[5])
            if names:
                found.append(tuple(names))
        return tuple(found)

    def facts(self, table: Place) -> TableFacts:
        """What the fingerprint covers."""
        facts = TableFacts()
        facts.columns = [ColumnFact(each.name, each.native, bool(each.not_null)) for each in self.columns[table]]
        facts.keys = self.keys(table)
        facts.rules |= {("trigger", text) for text in self.triggers[table]}
        facts.rules |= {("check", text) for text in self.checks[table]}
        facts.rules |= {("versioned", text) for text in self.versioned[table]}
        facts.rules.add(("may", str(self.writable(table))))
        return facts


class Flavour(NamedTuple):
    """Where the catalogs of MariaDB and MySQL differ."""

    checks: str
    roles: str


MARIADB = Flavour(
    checks=_CHECKS_BY_TABLE,
    roles="SELECT CONCAT(QUOTE(ROLE_NAME), '@''''') FROM information_schema.ENABLED_ROLES WHERE ROLE_NAME IS NOT NULL",
)
MYSQL = Flavour(
    checks=_CHECKS,
    roles="SELECT CONCAT(QUOTE(ROLE_NAME), '@', QUOTE(ROLE_HOST)) FROM information_schema.ENABLED_ROLES",
)


def read_fingerprints(session: Session, tables: Sequence[TableName], flavour: Flavour) -> Mapping[TableName, str]:
    """Fingerprints of the tables that exist, by the names asked for."""
    if not tables:
        return {}
    ((default,),) = session.fetch("SELECT DATABASE()")
    places = {table: (table.schema or default, table.name) for table in tables}
    gathered = _Gathered(session, flavour, places=dict.fromkeys(places.values()))
    return {table: gathered.facts(place).fingerprint() for table, place in places.items() if place in gathered.columns}


def read_schema(session: Session, schema: str | None, flavour: Flavour) -> StoreSchema:
    """All tables and views of a schema, None for the session's default one, and tables of others that point there."""
    ((own,),) = session.fetch("SELECT COALESCE(%(schema)s, DATABASE())", {"schema": schema})
    named = {"schema": own}
    gathered = _Gathered(session, flavour, own)
    deletable = _deletable(session, own, flavour)
    tables = [
        _table(
            gathered,
            TableName(name, schema),
            (own, name),
            {own: schema},
            is_view=kind == "VIEW",
            deletable=None in deletable or name in deletable,
            rows=rows,
        )
        for name, kind, rows in session.fetch(_TABLES.format(schema="%(schema)s"), named)
    ]
    tables += _holders(session, flavour, own, schema)
    return StoreSchema(tuple(tables), documents=(TypeFamily.JSON,))


def _holders(session: Session, flavour: Flavour, own: str, schema: str | None) -> Iterator[TableSchema]:
    """Tables of other schemas whose foreign keys lead into this one, which is called `schema`."""
    found = session.fetch(_HOLDERS, {"schema": own})
    gathered = _Gathered(session, flavour, places=[(place, name) for place, name, _ in found])
    deletable = {place: _deletable(session, place, flavour) for place, _, _ in found}
    for place, name, rows in found:
        may = None in deletable[place] or name in deletable[place]
        table = TableName(name, place)
        yield _table(gathered, table, (place, name), {own: schema}, is_view=False, deletable=may, rows=rows)


def _table(
    gathered: _Gathered,
    table: TableName,
    place: Place,
    called: Mapping[str, str | None],
    *,
    is_view: bool,
    deletable: bool,
    rows: int,
) -> TableSchema:
    facts = gathered.facts(place)
    columns = gathered.columns[place]
    checks = gathered.checks[place]
    json = {found[1] for found in map(_JSON_CHECK.fullmatch, checks) if found}
    foreign = [_seen_from(called, key) for key in gathered.foreign_keys(place)]
    return TableSchema(
        table=table,
        columns=tuple(_column(column, is_json=column.name in json) for column in columns),
        primary_key=facts.primary,
        uniques=facts.uniques,
        foreign_keys=tuple(sorted(foreign, key=str)),
        indexes=gathered.indexes(place),
        checks=tuple(f"CHECK ({check})" for check in checks if not _JSON_CHECK.fullmatch(check)),
        triggers=bool(gathered.triggers[place]),
        is_view=is_view,
        estimated_rows=int(rows),
        writable=not is_view and gathered.writable(place),
        deletable=not is_view and deletable,
        fingerprint=facts.fingerprint(),
        unique_parts=gathered.unique_parts(place),
        delete_triggers=any(text.endswith(" DELETE") for text in gathered.triggers[place]),
        update_triggers=any(text.endswith(" UPDATE") for text in gathered.triggers[place]),
        versioned=bool(gathered.versioned[place]),
        expression_indexes=False,  # MySQL has them, but none that MariaDB's statements could use
    )


def _seen_from(called: Mapping[str, str | None], key: ForeignKey) -> ForeignKey:
    schema = called.get(key.table.schema or "", key.table.schema)
    return ForeignKey(key.columns, TableName(key.table.name, schema), key.target_columns, key.on_delete, key.on_update)


def _column(column: _Column, *, is_json: bool) -> ColumnSchema:
    spelling = _text(column.spelling)
    family = TypeFamily.JSON if is_json else _family(column.type, spelling)
    values = tuple(each.replace("''", "'") for each in _MEMBER.findall(spelling)) if family is TypeFamily.ENUM else ()
    length = int(column.length) if column.length is not None and column.type in _LIMITED else None
    return ColumnSchema(
        name=column.name,
        type=ColumnType(family, spelled(column.native), length, values),
        nullable=not column.not_null,
        default=column.default not in (None, "NULL") or "auto_increment" in column.extra,
        generated=column.generated,
        touched="on update current_timestamp" in column.extra.lower(),
        folds_accents=folds_accents(column.collation or ""),
    )


def _family(kind: str, spelling: str) -> TypeFamily:
    if spelling.startswith(_BOOLEANS):
        return TypeFamily.BOOLEAN
    return _FAMILIES.get(kind, TypeFamily.OTHER)


def _deletable(session: Session, schema: str, flavour: Flavour) -> set[str | None]:
    """Names of tables from which rows may be deleted; None stands for all."""
    ((account,),) = session.fetch("SELECT CURRENT_USER()")
    user, _, host = account.rpartition("@")
    (own,) = session.fetch("SELECT CONCAT(QUOTE(%(user)s), '@', QUOTE(%(host)s))", {"user": user, "host": host})
    grantees = [*own, *(row[0] for row in session.fetch(flavour.roles))]
    parameters = {f"g{index}": each for index, each in enumerate(grantees)}
    listed = ", ".join(f"%({name})s" for name in parameters)
    statement = _DELETABLE.format(schema="%(schema)s", grantees=listed)
    return {row[0] for row in session.fetch(statement, {"schema": schema, **parameters})}


def server_facts(session: Session) -> tuple[str, bool]:
    """The version, and whether temp tables can be made, found by making one."""
    ((version,),) = session.fetch("SELECT VERSION()")
    try:
        session.change("CREATE TEMPORARY TABLE habeas_check (n INT)")
    except SourceDenied:
        return version, False
    session.change("DROP TEMPORARY TABLE habeas_check")
    return version, True


def _ask(session: Session, statement: str, asked: Sequence[Mapping[str, str]], *, by: str = "TABLE_NAME") -> list[Row]:
    parts: list[str] = []
    parameters: dict[str, str] = {}
    for index, place in enumerate(asked):
        named = {f"{name}{index}": value for name, value in place.items()}
        table = f" AND {by} = %(table{index})s" if "table" in place else ""
        parts.append(statement.format(schema=f"%(schema{index})s", table=table))
        parameters |= named
    return list(session.fetch(" UNION ALL ".join(parts), parameters)) if parts else []


def _grouped(rows: Sequence[Row], *, order: int) -> dict[Place, dict[str, list[Row]]]:
    """By table and name, in the order of a number in the row."""
    found: dict[Place, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: int(row[order])):
        found[row[0], row[1]][row[2]].append(row)
    return found


def _texts(rows: Iterable[Row]) -> dict[Place, list[str]]:
    """Texts by table."""
    found: dict[Place, list[str]] = defaultdict(list)
    for schema, table, text in rows:
        found[schema, table].append(_text(text))
    return found


def _action(rule: str) -> str:
    # InnoDB checks at once either way.
    return "NO ACTION" if rule == "RESTRICT" else rule


def _text(value: str | bytes) -> str:
    """MySQL gives some of its catalog's texts as bytes."""
    return value.decode() if isinstance(value, bytes) else value
