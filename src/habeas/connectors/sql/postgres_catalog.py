"""What PostgreSQL's catalogs say of tables: a handful of statements for a whole schema, two for fingerprints.

Reads catalogs only, never a table of the source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from habeas.connectors.sql.postgres import SEED_INDEXES
from habeas.connectors.sql.schema import ColumnFact, KeyFact, TableFacts
from habeas.connectors.sql.session import Row, Session
from habeas.core.schema import (
    ColumnSchema,
    ColumnType,
    ForeignKey,
    StoreSchema,
    TableName,
    TableSchema,
    TypeFamily,
)

# Every relation of a schema, and those of others whose foreign keys lead into it.
_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, greatest(c.reltuples, 0)::int8 AS rows,
       has_table_privilege(c.oid, 'UPDATE') OR has_any_column_privilege(c.oid, 'UPDATE') AS writable,
       has_table_privilege(c.oid, 'DELETE') AS deletable,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggers,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 8 <> 0)
         OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '4') AS on_delete,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 16 <> 0)
         OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type = '2') AS on_update,
       row_security_active(c.oid) AS row_security,
       EXISTS (SELECT 1 FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
                WHERE i.inhparent = c.oid AND NOT k.relispartition) AS inherited
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (
   n.nspname = coalesce(%(schema)s, current_schema())
   OR c.oid IN (
     SELECT f.conrelid FROM pg_constraint f
       JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace s ON s.oid = t.relnamespace
      WHERE f.contype = 'f' AND f.conparentid = 0 AND s.nspname = coalesce(%(schema)s, current_schema())))
 ORDER BY n.nspname <> coalesce(%(schema)s, current_schema()), n.nspname, c.relname
"""

_COLUMNS = """
WITH RECURSIVE base(oid, type, mod) AS (
  SELECT t.oid, t.oid, t.typtypmod FROM pg_type t
   WHERE t.oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = ANY(%(oids)s::oid[]))
  UNION ALL
  SELECT b.oid, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.type AND t.typtype = 'd'
)
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR t.typnotnull AS not_null,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
       a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
       bt.typname, bt.typcategory::text, bt.typtype::text,
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS mod,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = bt.oid),
       NOT coalesce(l.collisdeterministic, true)
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN base b ON b.oid = a.atttypid
  JOIN pg_type bt ON bt.oid = b.type AND bt.typtype <> 'd'
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
"""

_TYPES_ONLY = """
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull OR t.typnotnull,
       n.nspname = current_schema(), c.oid
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(%(schemas)s::text[], %(names)s::text[]) AS w(schema, name)
    ON w.name = c.relname AND n.nspname = coalesce(w.schema, current_schema())
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

# Keys: unique indexes (plain, not partial) and foreign keys from and to the table, names of columns in key order;
# and what else decides on a write. A partition's share of a foreign key is no key of its own.
_KEYS = """
SELECT n.nspname, c.relname, CASE WHEN i.indisprimary THEN 'primary' ELSE 'unique' END AS kind,
       (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.n <= i.indnkeyatts) AS columns,
       NULL::text AS target_schema, NULL::text AS target, NULL::text[] AS target_columns,
       '' AS on_delete, '' AS on_update, false AS deferrable, n.nspname = current_schema() AS is_default
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND {where}
UNION ALL
SELECT n.nspname, c.relname, 'foreign',
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
       tn.nspname, tc.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum),
       f.confdeltype::text, f.confupdtype::text, f.condeferrable, n.nspname = current_schema()
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class tc ON tc.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = tc.relnamespace
 WHERE f.contype = 'f' AND f.conparentid = 0 AND {where}
UNION ALL
SELECT n.nspname, c.relname, 'incoming',
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
       sn.nspname, sc.relname,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY AS k(attnum, n)
          JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum),
       f.confdeltype::text, f.confupdtype::text, f.condeferrable, n.nspname = current_schema()
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class sc ON sc.oid = f.conrelid JOIN pg_namespace sn ON sn.oid = sc.relnamespace
 WHERE f.contype = 'f' AND f.conparentid = 0 AND {where}
UNION ALL
SELECT n.nspname, c.relname, 'rule', w.facts, NULL, NULL, NULL, '', '', false, n.nspname = current_schema()
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
    SELECT ARRAY['may', (has_table_privilege(c.oid, 'UPDATE') OR has_any_column_privilege(c.oid, 'UPDATE'))::text,
                 has_table_privilege(c.oid, 'DELETE')::text]
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT ARRAY['check', coalesce(pg_get_constraintdef(f.oid), '')] FROM pg_constraint f
     WHERE f.conrelid = c.oid AND f.contype = 'c'
    UNION ALL
    SELECT ARRAY['unique', coalesce(pg_get_indexdef(i.indexrelid), '')] FROM pg_index i
     WHERE i.indrelid = c.oid AND i.indisvalid
       AND (i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) OR i.indisexclusion)
    UNION ALL
    SELECT ARRAY['trigger', g.tgname, g.tgtype::text, g.tgenabled::text] FROM pg_trigger g
     WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT ARRAY['row security'] WHERE row_security_active(c.oid)
    UNION ALL
    SELECT ARRAY['inherited'] WHERE EXISTS (
      SELECT 1 FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid
       WHERE i.inhparent = c.oid AND NOT k.relispartition)
    UNION ALL
    SELECT ARRAY['rewrite', r.rulename, r.ev_type::text, r.ev_enabled::text] FROM pg_rewrite r
     WHERE r.ev_class = c.oid AND r.ev_type <> '1'
  ) AS w(facts)
 WHERE {where}
"""

_IN_LIST = "c.oid = ANY(%(oids)s::oid[])"

_INDEXES = """
SELECT i.indrelid, (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)
                      FROM generate_series(1, i.indnkeyatts::int4) AS k) AS parts,
       (SELECT array_agg(a.attname::text ORDER BY k.n)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
          LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.n <= i.indnkeyatts) AS columns
  FROM pg_index i
 WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indpred IS NULL AND i.indisvalid
 ORDER BY i.indexrelid
"""

# A column of a domain is checked by its cast, which raises an error where the domain refuses the value.
_CHECKS = """
SELECT conrelid, pg_get_constraintdef(oid, true) FROM pg_constraint
 WHERE contype = 'c' AND conrelid = ANY(%(oids)s::oid[])
UNION ALL
SELECT a.attrelid, format('CHECK (((%%I)::text::%%s)::text IS NOT DISTINCT FROM (%%I)::text)',
                          a.attname, format_type(a.atttypid, a.atttypmod), a.attname)
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
 WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY 1, 2
"""

# Columns of unique indexes that are no keys, being partial, over expressions or behind an exclusion constraint.
_UNIQUE_PARTS = """
SELECT DISTINCT i.indrelid, a.attname::text
  FROM pg_index i LEFT JOIN pg_constraint x ON x.conindid = i.indexrelid AND x.contype = 'x'
  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0
   AND (d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
        OR d.classid = 'pg_constraint'::regclass AND d.objid = x.oid)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = d.refobjsubid
 WHERE i.indrelid = ANY(%(oids)s::oid[]) AND i.indisvalid
   AND (i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) OR i.indisexclusion)
 ORDER BY 1, 2
"""

# Materialised views that read a table, also by other views.
_COPIES = """
WITH RECURSIVE uses(base, view) AS (
  SELECT d.refobjid, r.ev_class FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
   WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
     AND d.refobjid <> r.ev_class AND d.refobjid = ANY(%(oids)s::oid[])
  UNION
  SELECT u.base, r.ev_class FROM uses u
    JOIN pg_depend d ON d.refobjid = u.view AND d.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass AND r.ev_class <> u.view
)
SELECT u.base, v.relname::text FROM uses u JOIN pg_class v ON v.oid = u.view AND v.relkind = 'm' ORDER BY 1, 2
"""

_ACTIONS = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
    "": "NO ACTION",
}

_LENGTHS = {"char": 1, "name": 63}  # in bytes; what is longer is cut without a word
_FAMILIES = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), TypeFamily.INTEGER),
    **dict.fromkeys(("float4", "float8"), TypeFamily.FLOAT),
    **dict.fromkeys(("text", "varchar", "bpchar", "char", "name", "citext"), TypeFamily.TEXT),
    **dict.fromkeys(("json", "jsonb"), TypeFamily.JSON),
    **dict.fromkeys(("time", "timetz"), TypeFamily.TIME),
    "numeric": TypeFamily.DECIMAL,
    "bool": TypeFamily.BOOLEAN,
    "date": TypeFamily.DATE,
    "timestamp": TypeFamily.TIMESTAMP,
    "timestamptz": TypeFamily.TIMESTAMP_TZ,
    "interval": TypeFamily.INTERVAL,
    "uuid": TypeFamily.UUID,
    "bytea": TypeFamily.BINARY,
}


def read_fingerprints(session: Session, tables: Sequence[TableName]) -> Mapping[TableName, str]:
    """Fingerprints of the tables that exist, by the names asked for."""
    if not tables:
        return {}
    tables = list(dict.fromkeys(tables))
    listed = {"schemas": [table.schema for table in tables], "names": [table.name for table in tables]}
    facts: dict[tuple[str, str], TableFacts] = defaultdict(TableFacts)
    default, oids = None, set()
    for schema, name, column, kind, not_null, is_default, oid in session.fetch(_TYPES_ONLY, listed):
        oids.add(oid)
        found = facts[schema, name]
        if column is not None:
            found.columns.append(ColumnFact(column, kind, not_null))
        default = schema if is_default else default
    for row in session.fetch(_KEYS.format(where=_IN_LIST), {"oids": list(oids)}):
        _add_fact(facts[row[0], row[1]], row)
    answers = {}
    for table in tables:
        schema = table.schema or default
        if schema is not None and (schema, table.name) in facts:
            answers[table] = facts[schema, table.name].fingerprint()
    return answers


def read_schema(session: Session, schema: str | None) -> StoreSchema:
    """All tables and views of a schema, None for the session's default one, and tables of others that point there."""
    ((own,),) = session.fetch("SELECT coalesce(%(schema)s, current_schema())", {"schema": schema})
    relations = session.fetch(_RELATIONS, {"schema": schema})
    oids = {"oids": [row[0] for row in relations]}
    columns: dict[int, list[Row]] = defaultdict(list)
    for row in session.fetch(_COLUMNS, oids):
        columns[row[0]].append(row)
    keys: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in session.fetch(_KEYS.format(where=_IN_LIST), oids):
        keys[row[0], row[1]].append(row)
    indexes, checks, unique_parts = defaultdict(list), defaultdict(list), defaultdict(list)
    copies: dict[int, list[str]] = defaultdict(list)
    for oid, name in session.fetch(_COPIES, oids):
        copies[oid].append(name)
    for oid, parts, names in session.fetch(_INDEXES, oids):
        indexes[oid].append(tuple(name or part for part, name in zip(parts, names, strict=True)))
    for oid, definition in session.fetch(_CHECKS, oids):
        checks[oid].append(definition)
    for oid, name in session.fetch(_UNIQUE_PARTS, oids):
        unique_parts[oid].append(name)
    tables = (
        msgspec.structs.replace(
            _table(row, {own: schema}, columns[row[0]], keys[row[1], row[2]]),
            indexes=tuple(indexes[row[0]]),
            checks=tuple(checks[row[0]]),
            unique_parts=tuple(unique_parts[row[0]]),
            copies=tuple(copies[row[0]]),
            seed_indexes=SEED_INDEXES,
        )
        for row in relations
    )
    return StoreSchema(tuple(tables), documents=(TypeFamily.JSON, TypeFamily.ARRAY))


def _table(relation: Row, called: Mapping[str, str | None], columns: Sequence[Row], keys: Sequence[Row]) -> TableSchema:
    _, own_schema, name, kind, rows, writable, deletable, triggers, on_delete, on_update, secured, inherited = relation
    facts = TableFacts()
    facts.columns = [ColumnFact(row[1], row[2], row[3]) for row in columns]
    for row in keys:
        _add_fact(facts, row)
    foreign = [row for row in keys if row[2] == "foreign"]
    return TableSchema(
        table=TableName(name, called.get(own_schema, own_schema)),
        columns=tuple(_column(row) for row in columns),
        primary_key=() if inherited else facts.primary,
        uniques=() if inherited else facts.uniques,
        foreign_keys=tuple(sorted((_foreign_key(row, called) for row in foreign), key=str)),
        triggers=triggers,
        delete_triggers=on_delete,
        update_triggers=on_update,
        row_security=secured,
        inherited=inherited,
        is_view=kind in "vm",
        estimated_rows=rows,
        writable=writable and kind in "rp",
        deletable=deletable and kind in "rp",
        fingerprint=facts.fingerprint(),
    )


def _column(row: Row) -> ColumnSchema:
    _, name, native, not_null, has_default, generated, base, category, kind, modifier, values, folds = row
    family = _family(base, category, kind)
    # varchar and char store length + 4, bit types and numeric something else.
    length = modifier - 4 if base in ("varchar", "bpchar") and modifier > 4 else _LENGTHS.get(base)
    return ColumnSchema(
        name=name,
        type=ColumnType(family, native, length, tuple(values or ())),
        nullable=not not_null,
        default=has_default,
        generated=generated,
        folds_accents=folds,
    )


def _family(base: str, category: str, kind: str) -> TypeFamily:
    if kind == "e":
        return TypeFamily.ENUM
    return TypeFamily.ARRAY if category == "A" else _FAMILIES.get(base, TypeFamily.OTHER)


def _add_fact(facts: TableFacts, row: Row) -> None:
    """Add a row of _KEYS."""
    _, _, kind, columns, other_schema, other, target_columns, on_delete, on_update, deferrable, _ = row
    if kind == "rule":
        facts.rules.add(tuple(columns))
    elif other is None:
        facts.keys.add(KeyFact(kind, tuple(columns)))
    else:
        actions = f"{on_delete}{on_update}{'d' if deferrable else ''}"
        facts.keys.add(KeyFact(kind, tuple(columns), f"{other_schema}.{other}", tuple(target_columns), actions))


def _foreign_key(row: Row, called: Mapping[str, str | None]) -> ForeignKey:
    target_schema, target, target_columns, on_delete, on_update, deferrable = row[4:10]
    return ForeignKey(
        columns=tuple(row[3]),
        table=TableName(target, called.get(target_schema, target_schema)),
        target_columns=tuple(target_columns),
        on_delete=_ACTIONS[on_delete],
        on_update=_ACTIONS[on_update],
        deferrable=deferrable,
    )


def server_facts(session: Session) -> dict[str, Any]:
    """Version, whether temp tables can be made, the default schema."""
    ((version, temp, schema),) = session.fetch(
        "SELECT current_setting('server_version'), has_database_privilege(current_database(), 'TEMP') "
        "AND NOT pg_is_in_recovery(), current_schema()"
    )
    return {"version": version, "temp_tables": temp, "schema": schema}
