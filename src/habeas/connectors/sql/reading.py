"""The statements that read what a traversal found: counts, rows, values for other stores, rows to freeze.

Text only; rows are named as in `statements`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from habeas.connectors.sql.dialect import Dialect, Ingredient
from habeas.connectors.sql.expression import Compiler, cut
from habeas.connectors.sql.statements import NOBODY, Names, SegmentStatements, column_of
from habeas.core.errors import Refused
from habeas.core.expression import reads_column, secret_names
from habeas.plan.model import Column, Link, Mask, Step


class Freezing(NamedTuple):
    """A statement that reads rows to freeze: key, owner, all owners, digest, then values of `valued` masks."""

    statement: str
    ingredients: tuple[Ingredient, ...]
    constants: dict[str, str | int | float | bool]
    valued: tuple[int, ...]  # positions of masks whose values follow the digest


def count_rows(names: Names) -> str:
    """Found rows by member and standing; of rows that are alike, all."""
    if names.step.alike:
        joined = f"{names.found} AS h JOIN {names.table} AS t ON {names.same_row('t', 'h')}"
        return f"SELECT h.m, h.s, COUNT(*) FROM {joined} WHERE h.s < {NOBODY} GROUP BY h.m, h.s"
    return f"SELECT m, s, COUNT(*) FROM {names.found} WHERE s < {NOBODY} GROUP BY m, s"


def read_rows(
    dialect: Dialect, names: Names, columns: Sequence[str], *, one_member: bool, led: str | None = None
) -> str:
    """Rows by member and key; one member's rows by key alone, which an index can give. `led` is a select of what
    led to the rows, which then comes last.
    """
    step = names.step
    chosen = [dialect.read(f"t.{dialect.quote(name)}", column_of(step, name)) for name in columns]
    order = names.grouped("t") if one_member else f"h.m, {names.grouped('t')}"
    joined = "" if led is None else f" LEFT JOIN ({led}) AS l ON l.m = h.m AND {names.same_keys('l', 'h')}"
    chosen += [] if led is None else ["l.p"]
    return (
        f"SELECT {', '.join(['h.m', 'h.s', *chosen])} FROM {names.found} AS h "
        f"JOIN {names.table} AS t ON {names.same_row('t', 'h')}{joined} WHERE h.s < {NOBODY} ORDER BY {order}"
    )


def departing(statements: SegmentStatements, link: Link) -> str:
    """Distinct values of a link: member, strongest standing, whether exclusive, values."""
    given = [column_of(statements.plan.steps[link.source], name) for name in link.source_columns]
    distinct = departing_values(statements, link)
    chosen = ", ".join(
        _departing_value(statements.dialect, link, f"d.v{index}", each) for index, each in enumerate(given)
    )
    if not is_exclusive_or_not(link):
        return f"SELECT d.m, d.s, 1, {chosen} FROM ({distinct}) AS d"
    same = " AND ".join(f"x.v{index} = d.v{index}" for index in range(len(given)))
    listed = ", ".join(f"d.v{index}" for index in range(len(given)))
    return (
        f"WITH d AS ({distinct}) SELECT d.m, d.s, CASE WHEN x.m IS NULL THEN 1 ELSE 0 END, {chosen} "
        f"FROM d LEFT JOIN ({others_that_point(statements, link, listed)}) AS x ON x.m = d.m AND {same}"
    )


def is_exclusive_or_not(link: Link) -> bool:
    """Whether it matters who else points to what the link reaches in another store."""
    return link.ownership == "auto" and link.points == "to_target"


def departing_values(statements: SegmentStatements, link: Link) -> str:
    """The distinct values: member, strongest standing, v0…"""
    step = statements.plan.steps[link.source]
    source, values = statements.source_values(link)
    given = [column_of(step, name) for name in link.source_columns]
    holds = " AND ".join(f"{value} IS NOT NULL" for value in values)
    wanted = "h.s IN (1, 2, 3, 4)" if link.points == "to_target" else "h.s = 1"
    numbered = ", ".join(f"{value} AS v{index}" for index, value in enumerate(values))
    return (
        f"SELECT h.m AS m, MIN(h.s) AS s, {numbered} FROM {source} WHERE {wanted} AND {holds} "
        f"GROUP BY h.m, {', '.join(map(statements.dialect.apart, values, given))}"
    )


def _departing_value(dialect: Dialect, link: Link, operand: str, column: Column) -> str:
    return dialect.text_of(operand, column.type) if link.compare == "text" else dialect.read(operand, column)


def others_that_point(statements: SegmentStatements, link: Link, chosen: str) -> str:
    """The member and what is chosen of departing values `d` and rows `p` of the source's table that point there too
    and aren't the subject's.
    """
    names, dialect = statements.names[link.source], statements.dialect
    same = " AND ".join(f"p.{dialect.quote(name)} = d.v{index}" for index, name in enumerate(link.source_columns))
    table = statements.rows_of(names, link.source_columns, scanned=True)
    return (
        f"SELECT DISTINCT d.m, {chosen} FROM d JOIN {table} AS p ON {same} "
        f"LEFT JOIN {names.found} AS f ON {names.same_row('p', 'f')} AND {statements.holds_nothing('d')} "
        "WHERE f.m IS NULL"
    )


Owners = Literal["sole", "single", "joint"]
"""Which rows: all of a cohort that found one member's rows only, those of one member each, or of several."""


def read_to_freeze(
    statements: SegmentStatements, step: Step, owners: Owners, *, new_only: bool, led: str | None = None, only: str = ""
) -> Freezing:
    """The subject's rows of a step by key, with digests and values; `led`, a select of what led to the rows, last.
    `only`: a condition on rows `t`.

    Raises Refused for a step without a key.
    """
    dialect, names = statements.dialect, statements.names[step.index]
    if not (step.key or step.alike):
        raise Refused("rows without a usable key can't be frozen", cause="no_key", where=step.address)
    compiler = Compiler(dialect, lambda name: dialect.text_of(f"t.{dialect.quote(name)}", column_of(step, name).type))
    valued = tuple(position for position, mask in enumerate(step.masks) if not is_constant(mask))
    values = [_masked_value(dialect, step, step.masks[position], compiler) for position in valued]
    chosen = [
        *statements.key_reads(names, "t"),
        "g.owner",
        "g.owners",
        dialect.row_digest(digest_texts(dialect, step, "t")),
        *values,
        *([] if led is None else ["l.p"]),
    ]
    owned = _owned(dialect, names, owners, new_only=new_only)
    text = f"SELECT {', '.join(chosen)} FROM ({owned}) AS g JOIN {names.table} AS t ON {names.same_row('t', 'g')}"
    if compiler.ingredients:
        text += f" JOIN {dialect.ingredient_rows(compiler.ingredients)} ON x.m = g.owner"
    if led is not None:
        text += f" LEFT JOIN ({led}) AS l ON {names.same_keys('l', 'g')}"
    text += f" WHERE {only}" if only else ""
    text += f" ORDER BY {names.grouped('t')}"
    return Freezing(text, tuple(compiler.ingredients), compiler.constants, valued)


def _owned(dialect: Dialect, names: Names, owners: Owners, *, new_only: bool) -> str:
    if owners == "sole":  # nothing to group, which spares a pass over all rows
        fresh = " AND h.f <> 1" if new_only else ""
        return f"SELECT {names.listed('h')}, h.m AS owner, NULL AS owners FROM {names.found} AS h WHERE h.s = 1{fresh}"
    having = f"HAVING COUNT(*) {'>' if owners == 'joint' else '='} 1"
    if new_only:
        having += " AND MAX(CASE WHEN h.f = 1 THEN 1 ELSE 0 END) = 0"
    listed = dialect.members("h.m") if owners == "joint" else "NULL"
    return (
        f"SELECT {names.listed('h')}, MIN(h.m) AS owner, {listed} AS owners "
        f"FROM {names.found} AS h WHERE h.s = 1 GROUP BY {names.listed('h')} {having}"
    )


def _masked_value(dialect: Dialect, step: Step, mask: Mask, compiler: Compiler) -> str:
    operand = f"t.{dialect.quote(mask.field)}"
    column = column_of(step, mask.field)
    if mask.parts:
        return dialect.document(operand, column)
    if mask.expression is None:
        return dialect.text_of(operand, column.type)
    value = compiler.compile(cut(mask.expression, mask.length))
    if reads_column(mask.expression):
        return value
    return f"CASE WHEN {operand} IS NULL THEN NULL ELSE {value} END"


def is_constant(mask: Mask) -> bool:
    """Whether the mask writes one value to every row of every member, so that nothing needs freezing."""
    return mask.form == "constant" and mask.expression is not None and not secret_names(mask.expression)


def digest_texts(dialect: Dialect, step: Step, row: str) -> list[str]:
    """The texts that a row's digest covers: its masked columns, or all the plan's where it is deleted whole. What is
    untied before a delete can't tell whether the row is still the frozen one.
    """
    masked = [mask.field for mask in step.masks if mask.field not in step.untie]
    whole = [column.name for column in step.stored if column.name not in step.untie]
    names = list(dict.fromkeys(masked or whole))
    return [dialect.text_of(f"{row}.{dialect.quote(name)}", column_of(step, name).type) for name in names]
