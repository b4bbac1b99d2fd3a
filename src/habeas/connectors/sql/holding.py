"""The statements that tell which rows to be deleted are held by others, and which come with deleted ones. Text only.

Found rows of steps that delete are marked in their column f: `HELD_BACK` where a row that stays points to them,
`SPARED` where another step deletes them already. Marking is repeated until nothing changes, since a row that is held
back holds others.
"""

from __future__ import annotations

from collections.abc import Iterator

from habeas.connectors.sql.dialect import Move
from habeas.connectors.sql.statements import Names, SegmentStatements, column_of
from habeas.plan.model import Column, Hold

HELD_BACK, SPARED = 3, 4


def mark_held(statements: SegmentStatements, names: Names) -> Iterator[Move]:
    """Mark the step's rows to which a row points that isn't deleted; one statement a hold."""
    step = names.step
    if step.triggered:
        yield Move(f"UPDATE {names.found} SET f = {HELD_BACK} WHERE f <> {HELD_BACK}")
        return
    if step.on_referenced in ("cascade", "null"):
        return  # what points to its rows is deleted or lets go
    for hold in step.holds:
        yield statements.dialect.mark(names.found, names.keys, HELD_BACK, _held(statements, names, hold))


def mark_spared(statements: SegmentStatements, names: Names) -> Iterator[str]:
    """Mark rows of a step that comes with deletes where a step of the dataset's own deletes them."""
    step = names.step
    for other in _deleting(statements, names):
        if other.step.because and (step.because == "cascade" or other.step.index == step.index):
            continue
        listed = ", ".join(names.keys)
        given = ", ".join(f"h.{key}" for key in other.keys)
        yield (
            f"UPDATE {names.found} SET f = {SPARED} WHERE f <> {SPARED} AND {_row(listed)} IN "
            f"(SELECT {given} FROM {other.found} AS h WHERE h.f NOT IN ({HELD_BACK}, {SPARED}))"
        )


def leave_out(names: Names, others: Names) -> str:
    """Forget found rows that are among those of another step of the same table."""
    listed, given = ", ".join(names.keys), others.listed("h")
    return f"DELETE FROM {names.found} WHERE {_row(listed)} IN (SELECT {given} FROM {others.found} AS h)"


def marked(statements: SegmentStatements, names: Names) -> str:
    """Marked rows of the step whose first key column lies between `low` and `high`: mark, key."""
    low, high = statements.dialect.parameter("low"), statements.dialect.parameter("high")
    chosen = ", ".join(statements.key_reads(names, "h"))
    return (
        f"SELECT h.f, {chosen} FROM {names.found} AS h "
        f"WHERE h.f IN ({HELD_BACK}, {SPARED}) AND h.k0 BETWEEN {low} AND {high}"
    )


def _held(statements: SegmentStatements, names: Names, hold: Hold) -> str:
    """A select of (m, f, k0…) of the held rows."""
    dialect = statements.dialect
    pairs = " AND ".join(
        _same(statements, names, column, target)
        for column, target in zip(hold.columns, hold.target_columns, strict=True)
    )
    if hold.table == names.step.table:  # a row that points to itself goes with itself
        parts = zip(names.parts("p"), names.parts("t"), strict=True)
        pairs += " AND (" + " OR ".join(f"{other} <> {own}" for other, own in parts) + ")"
    rows = (
        f"SELECT h.m, h.f, {names.listed('h')} FROM {names.found} AS h "
        f"JOIN {names.table} AS t ON {names.same_row('t', 'h')} JOIN {dialect.table(hold.table)} AS p ON {pairs}"
    )
    conditions = []
    for other in (each for each in _all_deleting(statements, names) if each.step.table == hold.table):
        name = f"d{other.step.index}"
        gone = f"{other.same_row('p', name)} AND {name}.f <> {HELD_BACK}"
        rows += f" LEFT JOIN {other.found} AS {name} ON {gone}"
        conditions.append(f"{name}.m IS NULL")
    return rows + (f" WHERE {' AND '.join(conditions)}" if conditions else "")


def _same(statements: SegmentStatements, names: Names, column: Column, target: str) -> str:
    dialect, here = statements.dialect, column_of(names.step, target)
    left, right = f"p.{dialect.quote(column.name)}", f"t.{dialect.quote(target)}"
    if column.type.family is here.type.family:
        return dialect.equal(left, right, (column, here))
    return dialect.same_text(dialect.text_of(left, column.type), dialect.text_of(right, here.type))


def _deleting(statements: SegmentStatements, names: Names) -> Iterator[Names]:
    """Steps that delete rows of the same table, other than this one."""
    for other in _all_deleting(statements, names):
        if other.step.table == names.step.table and other.step.index != names.step.index:
            yield other


def _all_deleting(statements: SegmentStatements, names: Names) -> Iterator[Names]:
    for other in statements.names.values():
        if other.step.delete and other.step.connection == names.step.connection:
            yield other


def _row(listed: str) -> str:
    return f"({listed})" if "," in listed else listed
