"""Whether the schema still is what deletions were planned for, asked just before they begin.

A foreign key or trigger that came since the rows were frozen would let a delete touch rows that nobody looked at.
Masks need no such look: they go by frozen keys, are verified, and fail visibly where they don't fit. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from habeas.core.errors import SchemaChanged, SourceError
from habeas.core.schema import StoreSchema, TableName, TableSchema
from habeas.execute.context import CohortContext
from habeas.plan.model import Step

_FIX = "bring the schema back as it was, then retry"


def check_drift(context: CohortContext) -> None:
    """Raises SchemaChanged where a table to be written is gone, or one to be deleted from has other rules than planned.

    A plan that is no longer pinned to fingerprints (the erasure has begun before) is compared rule by rule: what was
    taken away meanwhile, such as a trigger that was in the way, does no harm.
    """
    written = [step for step in context.plan.steps if step.writes]
    for connection in dict.fromkeys(step.connection for step in written):
        steps = [step for step in written if step.connection == connection]
        if all(step.fingerprint for step in steps if step.delete):
            _check_pinned(context, connection, [step for step in steps if step.delete])
        else:
            _check_begun(context, connection, steps)


def tell_drift(context: CohortContext, address: str | None) -> str | None:
    """How the table of a collection differs from what the plan knows of it, in words; None where that can't be told."""
    step = next((step for step in context.plan.steps if step.address == address), None)
    if step is None or not context.connector(step.connection).capabilities.introspects:
        return None
    try:
        schema = context.connector(step.connection).introspect(step.table.schema)
    except SourceError:  # the request ends anyway; it is told less
        return None
    tables = {table.table: table for table in schema.tables}
    if step.table not in tables:
        return "the table is gone, or can't be seen any more"
    return "; ".join(_differences(step, tables)) or None


def _differences(step: Step, tables: dict[TableName, TableSchema]) -> Iterator[str]:
    yield from _column_differences(step, tables[step.table])
    if step.masks and not tables[step.table].writable:
        yield "the credentials may not UPDATE it any more"
    if step.delete and not tables[step.table].deletable:
        yield "the credentials may not DELETE from it any more"
    if step.delete:
        yield from _new_rules(step, tables)


def _column_differences(step: Step, table: TableSchema) -> Iterator[str]:
    for planned in step.stored:
        live = table.column(planned.name)
        if live is None:
            yield f"the column {planned.name} is gone"
        elif live.type.native != planned.type.native:
            yield f"the column {planned.name} is {live.type.native} now, it was {planned.type.native}"
        elif planned.nullable and not live.nullable:
            yield f"the column {planned.name} can't be NULL any more"
    for mask in step.masks:
        if not mask.unique and any(mask.field in key for key in table.uniques):
            yield f"the column {mask.field} is in a unique key now"


def _check_pinned(context: CohortContext, connection: str, steps: Sequence[Step]) -> None:
    if not steps:
        return
    tables = dict.fromkeys(step.table for step in steps)  # one may have two steps: its rows go with others' too
    live = context.connector(connection).fingerprints(list(tables))
    for step in steps:
        if step.table not in live:
            raise _gone(step)
        if live[step.table] != step.fingerprint:
            raise SchemaChanged("the table's columns, keys or rules changed", where=step.address, fix=_FIX)


def _check_begun(context: CohortContext, connection: str, steps: Sequence[Step]) -> None:
    connector = context.connector(connection)
    if not connector.capabilities.introspects:
        return
    schemas: dict[str | None, StoreSchema] = {}
    for step in steps:
        if step.table.schema not in schemas:
            schemas[step.table.schema] = connector.introspect(step.table.schema)
    tables = {table.table: table for schema in schemas.values() for table in schema.tables}
    for step in steps:
        if step.table not in tables:
            raise _gone(step)
        rules = list(_new_rules(step, tables)) if step.delete else []
        if rules:
            raise SchemaChanged("; ".join(rules), where=step.address, fix=_FIX)


def _gone(step: Step) -> SchemaChanged:
    return SchemaChanged("the table is gone", where=step.address, fix="bring it back with its rows, then retry")


def _new_rules(step: Step, tables: dict[TableName, TableSchema]) -> Iterator[str]:
    """Holders and triggers that the plan of a deletion doesn't know; those it knows were asked about at freeze."""
    planned = {(hold.table, frozenset(column.name for column in hold.columns), hold.on_delete) for hold in step.holds}
    for table, columns, action in _holders(step.table, tables):
        if (table, columns, action) not in planned:
            yield f"a foreign key of {table} ({', '.join(sorted(columns))}) points to it since its rows were frozen"
    if tables[step.table].delete_triggers and not step.triggered and step.on_referenced in ("mask", "refuse"):
        yield "a trigger runs at a delete since its rows were frozen"


def _holders(
    target: TableName, tables: dict[TableName, TableSchema]
) -> Iterator[tuple[TableName, frozenset[str], str]]:
    for table in tables.values():
        for key in table.foreign_keys:
            if key.table == target:
                yield table.table, frozenset(key.columns), key.on_delete
