"""The statements that mask, delete and check the rows of a frozen chunk. Text only.

A chunk's rows are in the work table `hw_<step>` (p position, d digest, k0… key, v0… values of masks that
depend on the row), or, where all masks are constant, in an array of keys. A range on the target's own
key goes with both, without which a database may scan the whole table for each chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from habeas.connectors.sql.checks import condition_of
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.expression import Compiler, cut
from habeas.connectors.sql.reading import digest_texts, is_constant
from habeas.connectors.sql.remains import covered_by, texts_of
from habeas.connectors.sql.statements import column_of, row_keys_of, row_parts
from habeas.core.errors import Refused
from habeas.core.expression import Constant, Null
from habeas.core.schema import TypeFamily
from habeas.plan.model import Carry, Column, Guard, Mask, Step

VANISHED, UNTOUCHED, CHANGED, KEPT = 1, 2, 3, 4


def known_table(dialect: Dialect, index: int) -> str:
    """The table of the keys of a step's rows that are the subject's."""
    return dialect.temp(f"ho_{index}")


class Compiled(NamedTuple):
    """A statement with the constants that it names."""

    statement: str
    constants: dict[str, Any]


class StepWrites:
    """All writing statements of one step. Raises Refused for a step without a key."""

    def __init__(self, dialect: Dialect, step: Step, known: Mapping[int, Step] = MappingProxyType({})) -> None:
        if not (step.key or step.alike):
            raise Refused("rows without a usable key can't be written", cause="no_key", where=step.address)
        self.dialect = dialect
        self.step = step
        self._known = known  # steps whose own rows the session knows
        self.table = dialect.table(step.table)
        self.work = dialect.temp(f"hw_{step.index}")
        self.row_keys = row_keys_of(dialect, step)
        self.valued = tuple(position for position, mask in enumerate(step.masks) if not is_constant(mask))
        # Documents hold more than what is masked, and a key that was replaced may be somebody else's by now.
        # A shared row is written only while the field holds what is the subject's.
        self.guarded = any(mask.parts for mask in step.masks) or step.rekeys or step.own_of is not None
        self._key_column = self._column(step.key[0]) if step.key else None

    def _column(self, name: str) -> Column | None:
        return next((column for column in self.step.columns if column.name == name), None)

    def setup(self) -> tuple[str, ...]:
        """Make the work table, empty."""
        values = [self.dialect.quote(self.step.masks[position].field) for position in self.valued]
        return self.dialect.create_work(self.work, self.step.table, self.row_keys, values, self.step.columns)

    def written(self, position: int, values: list[Any]) -> list[Any]:
        """Values of a mask as they are put into the work table."""
        mask = self.step.masks[position]
        column = column_of(self.step, mask.field)
        if mask.parts:
            return [self.dialect.written_document(value, column) for value in values]
        if self.dialect.holds(column):
            return values
        return [None if value is None else self.dialect.fitted(value, column) for value in values]

    def filling(self, *, digests: bool) -> str:
        """Put a chunk's rows into the work table, with their digests only where something compares them."""
        keys = [f"k{index}" for index in range(len(self.row_keys))]
        values = [f"v{index}" for index in range(len(self.valued))]
        return self.dialect.fill(self.work, ["p", *(["d"] if digests else []), *keys, *values])

    def mask_by_keys(self) -> Compiled | None:
        """One UPDATE of constants by an array of keys; None where the step needs the work table."""
        listed = self._listed()
        if listed is None:
            return None
        assignments, compiler = self._assignments()
        return Compiled(f"UPDATE {self.table} AS t SET {', '.join(assignments)} WHERE {listed}", compiler.constants)

    def count_masked(self) -> Compiled | None:
        """How many rows of an array of keys are masked, where all masks are constant: most often all are."""
        listed = self._listed()
        if listed is None or self.step.delete or not self.step.masks:
            return None
        masked, compiler = self._masked()
        return Compiled(f"SELECT COUNT(*) FROM {self.table} AS t WHERE {listed} AND {masked}", compiler.constants)

    def _listed(self) -> str | None:
        unlisted = self.step.guards or self.step.alike or self.step.own_of is not None
        if self.valued or len(self.row_keys) > 1 or unlisted:
            return None
        listed = self.dialect.in_keys(f"t.{self.row_keys[0]}", self._key_column)
        return None if listed is None else f"{listed} AND {self._range()}"

    def mask_from_work(self, *, guarded: bool = False) -> Compiled:
        """One UPDATE from the work table; guarded, of the rows whose digest is the frozen one."""
        assignments, compiler = self._assignments()
        on = f"{self._joined()} AND {self._range()}{self._unguarded()}"
        if guarded:
            on += f" AND {self._digest()} = w.d"
        return Compiled(self.dialect.update_from(self.table, assignments, self.work, on), compiler.constants)

    def carry(self, carry: Carry) -> str:
        """One UPDATE of rows that refer to the chunk's by their old keys."""
        new = {self.step.masks[position].field: f"w.v{number}" for number, position in enumerate(self.valued)}
        pairs = zip(carry.columns, carry.target_columns, strict=True)
        assignments = [f"{self.dialect.quote(here)} = {new[there]}" for here, there in pairs if there in new]
        return self.dialect.update_from(self.dialect.table(carry.table), assignments, self.work, self._behind(carry))

    def left_behind(self, carry: Carry) -> str:
        """Positions of rows to which others still refer by their old keys."""
        table = self.dialect.table(carry.table)
        return f"SELECT DISTINCT w.p FROM {self.work} AS w JOIN {table} AS t ON {self._behind(carry)}"

    def _behind(self, carry: Carry) -> str:
        """That a row `t` refers to a row of the chunk by its old key, which no other row has been given."""
        quote = self.dialect.quote
        old = {name: f"w.k{index}" for index, name in enumerate(self.step.key)}
        pairs = zip(carry.columns, carry.target_columns, strict=True)
        refers = " AND ".join(f"t.{quote(here)} = {old[there]}" for here, there in pairs)
        digest = self.dialect.row_digest(digest_texts(self.dialect, self.step, "o"))
        other = f"SELECT 1 FROM {self.table} AS o WHERE {self._joined('o')} AND {digest} <> w.d"
        return f"{refers} AND NOT EXISTS ({other})"

    def untie(self) -> str:
        """One UPDATE from the work table that sets foreign keys to NULL."""
        assignments = [f"{self.dialect.quote(name)} = NULL" for name in self.step.untie] + self._unchanged()
        return self.dialect.update_from(self.table, assignments, self.work, f"{self._joined()} AND {self._range()}")

    def empty(self) -> str:
        """Empty the work table within a transaction."""
        return f"DELETE FROM {self.work}"

    def delete(self) -> str:
        """One DELETE of the rows whose digest is the frozen one; of a table without a key, of all that are alike."""
        if self.step.alike:
            return self.dialect.delete_from(self.table, self.row_keys, self.work, self._joined())
        on = f"{self._joined()} AND {self._range()} AND {self._digest()} = w.d{self._unguarded()}"
        return self.dialect.delete_from(self.table, self.row_keys, self.work, on)

    def trial(self, check: str) -> Compiled:
        """Positions of rows whose masked values a CHECK refuses; NULL passes, as in the store.

        The condition's names find the masked values first, and all other columns of the row around them.
        """
        compiler, dialect = self._compiler(), self.dialect
        masked = [self._after(position, mask, compiler) for position, mask in enumerate(self.step.masks)]
        name = dialect.quote(self.step.table.name)
        values = ", ".join(f"{value} AS habeas_v{number}" for number, value in enumerate(masked))
        found = [(f"habeas_v{number}", dialect.quote(mask.field)) for number, mask in enumerate(self.step.masks)]
        statement = (
            f"SELECT habeas_p FROM (SELECT t.*, w.p AS habeas_p, {values} FROM {self.work} AS w "
            f"JOIN {self.table} AS t ON {self._joined()}) AS {name} "
            f"WHERE {dialect.fails(name, found, dialect.verbatim(condition_of(check)))}"
        )
        return Compiled(statement, compiler.constants)

    def _after(self, position: int, mask: Mask, compiler: Compiler) -> str:
        """What a column holds once it is masked, of the column's own type."""
        operand = f"t.{self.dialect.quote(mask.field)}"
        if isinstance(mask.expression, Null):
            return f"CASE WHEN 1 = 0 THEN {operand} END"
        return f"CASE WHEN {operand} IS NULL THEN {operand} ELSE {self._value(position, mask, compiler)} END"

    def verify(self) -> Compiled:
        """Positions and states of all rows that aren't masked. Of a step that deletes, no row is masked."""
        masked, compiler = self._masked()
        if self.step.rekeys:
            return self._verify_rekeyed(masked, compiler)
        state = (
            f"CASE WHEN t.{self.row_keys[0]} IS NULL THEN {VANISHED} WHEN {masked} THEN 0 {self._kept()}"
            f"WHEN {self._digest()} = w.d THEN {UNTOUCHED} ELSE {CHANGED} END"
        )
        statement = (
            f"SELECT p, state FROM (SELECT w.p AS p, {state} AS state FROM {self.work} AS w "
            f"LEFT JOIN {self.table} AS t ON {self._joined()}) AS seen WHERE state <> 0 ORDER BY p"
        )
        return Compiled(statement, compiler.constants)

    def unmasked(self) -> Compiled:
        """That a row `t` isn't masked yet."""
        masked, compiler = self._masked()
        return Compiled(f"NOT ({masked})", compiler.constants)

    def count_alike(self) -> Compiled:
        """By position: how many rows are alike in what the frozen ones were found by, and how many of these are masked.
        Positions without a row are left out.
        """
        masked, compiler = self._masked()
        statement = (
            f"SELECT w.p, COUNT(*), SUM(CASE WHEN {masked} THEN 1 ELSE 0 END) FROM {self.work} AS w "
            f"JOIN {self.table} AS t ON {self._joined()} GROUP BY w.p"
        )
        return Compiled(statement, compiler.constants)

    def remains(self) -> Compiled:
        """Positions and present digests of the rows that are masked."""
        masked, compiler = self._masked()
        digest = self.dialect.row_digest(texts_of(self.dialect, covered_by(self.step), "t"))
        return Compiled(
            f"SELECT w.p, {digest} FROM {self.work} AS w JOIN {self.table} AS t "
            f"ON {self._joined(new=self.step.rekeys)} WHERE {masked}",
            compiler.constants,
        )

    def _verify_rekeyed(self, masked: str, compiler: Compiler) -> Compiled:
        """By the new keys; a row under an old key is the frozen one only if its digest still is."""
        first, digest = self.row_keys[0], self.dialect.row_digest(digest_texts(self.dialect, self.step, "o"))
        state = (
            f"CASE WHEN t.{first} IS NOT NULL THEN CASE WHEN {masked} THEN 0 ELSE {CHANGED} END "
            f"WHEN o.{first} IS NULL THEN {VANISHED} WHEN {digest} = w.d THEN {UNTOUCHED} ELSE {CHANGED} END"
        )
        statement = (
            f"SELECT p, state FROM (SELECT w.p AS p, {state} AS state FROM {self.work} AS w "
            f"LEFT JOIN {self.table} AS t ON {self._joined(new=True)} "
            f"LEFT JOIN {self.table} AS o ON {self._joined('o')}) AS seen WHERE state <> 0 ORDER BY p"
        )
        return Compiled(statement, compiler.constants)

    def _masked(self) -> tuple[str, Compiler]:
        compiler = self._compiler()
        conditions = [self._is_masked(position, mask, compiler) for position, mask in enumerate(self.step.masks)]
        return "1 = 0" if self.step.delete else " AND ".join(conditions) or "1 = 1", compiler

    def _joined(self, row: str = "t", *, new: bool = False) -> str:
        """That a row has a frozen key, or the new one that it was given."""
        if self.step.alike:
            (part,) = row_parts(self.dialect, self.step, self.row_keys, row)
            return f"{part} = w.k0"
        moved = {self.step.masks[position].field: f"w.v{number}" for number, position in enumerate(self.valued)}
        sources = [moved.get(name, f"w.k{index}") if new else f"w.k{index}" for index, name in enumerate(self.step.key)]
        return " AND ".join(f"{row}.{key} = {source}" for key, source in zip(self.row_keys, sources, strict=True))

    def _unguarded(self) -> str:
        """That no guard holds the row back, as a condition to be added."""
        return f" AND {self._row()} NOT IN ({self._guarded_keys()})" if self.step.guards else ""

    def _kept(self) -> str:
        return f"WHEN {self._row()} IN ({self._guarded_keys()}) THEN {KEPT} " if self.step.guards else ""

    def _row(self) -> str:
        listed = ", ".join(f"t.{key}" for key in self.row_keys)
        return f"({listed})" if len(self.row_keys) > 1 else listed

    def _guarded_keys(self) -> str:
        """Keys of the chunk's rows that a guard holds back, found once a statement and not once a row.

        As a table of their own, since a MariaDB statement may not read the rows that it deletes.
        """
        return f"SELECT g.* FROM ({' UNION ALL '.join(self._guarded_by(guard) for guard in self.step.guards)}) AS g"

    def _guarded_by(self, guard: Guard) -> str:
        quote = self.dialect.quote
        pairs = zip(guard.columns, guard.target_columns, strict=True)
        points = " AND ".join(f"p.{quote(here)} = t.{quote(there)}" for here, there in pairs)
        if guard.table == self.step.table:  # a row that points to itself is no witness
            points += " AND (" + " OR ".join(f"p.{key} <> t.{key}" for key in self.row_keys) + ")"
        chosen = ", ".join(f"t.{key}" for key in self.row_keys)
        select = (
            f"SELECT {chosen} FROM {self.work} AS w JOIN {self.table} AS t ON {self._joined()} "
            f"JOIN {self.dialect.table(guard.table)} AS p ON {points}"
        )
        if guard.step is None:
            return select
        keys = enumerate(self._known[guard.step].key)
        own = " AND ".join(f"p.{quote(name)} = f.k{index}" for index, name in keys)
        return f"{select} LEFT JOIN {known_table(self.dialect, guard.step)} AS f ON {own} WHERE f.m IS NULL"

    def _range(self) -> str:
        if self.step.alike:
            return "1 = 1"
        low, high = self.dialect.parameter("low"), self.dialect.parameter("high")
        return f"t.{self.row_keys[0]} BETWEEN {low} AND {high}"

    def _digest(self) -> str:
        return self.dialect.row_digest(digest_texts(self.dialect, self.step, "t"))

    def _compiler(self) -> Compiler:
        return Compiler(self.dialect, lambda name: f"t.{self.dialect.quote(name)}")

    def _assignments(self) -> tuple[list[str], Compiler]:
        compiler = self._compiler()
        written = [self._assignment(position, mask, compiler) for position, mask in enumerate(self.step.masks)]
        return [*written, *self._unchanged()], compiler

    def _unchanged(self) -> list[str]:
        """Assignments that keep the store from changing columns that nobody asked for."""
        return [f"{name} = t.{name}" for name in map(self.dialect.quote, self.step.steady)]

    def _assignment(self, position: int, mask: Mask, compiler: Compiler) -> str:
        column = self.dialect.quote(mask.field)
        if isinstance(mask.expression, Null):
            return f"{column} = NULL"
        # NULL stays NULL; taken from the column itself, so that a bare parameter gets the column's type.
        value = self._value(position, mask, compiler)
        return f"{column} = CASE WHEN t.{column} IS NULL THEN t.{column} ELSE {value} END"

    def _value(self, position: int, mask: Mask, compiler: Compiler) -> str:
        if position in self.valued or mask.expression is None:
            return f"w.v{self.valued.index(position)}"
        expression = cut(mask.expression, mask.length)
        if isinstance(expression, Constant):
            expression = Constant(self.dialect.fitted(expression.value, column_of(self.step, mask.field)))
        return compiler.compile(expression)

    def _is_masked(self, position: int, mask: Mask, compiler: Compiler) -> str:
        column = column_of(self.step, mask.field)
        operand = f"t.{self.dialect.quote(mask.field)}"
        if isinstance(mask.expression, Null):
            return f"{operand} IS NULL"
        value = self._value(position, mask, compiler)
        if column.type.family is TypeFamily.OTHER:
            # Bytes of some types, such as MariaDB's addresses, aren't those of their text.
            operand = self.dialect.text_of(operand, column.type)
        by_value = position in self.valued or column.type.family in (TypeFamily.JSON, TypeFamily.OTHER)
        same = self.dialect.same_value(operand, value) if by_value else f"{operand} = {value}"
        return f"({operand} IS NULL OR {same})"
