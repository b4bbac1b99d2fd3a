"""The statements by which a segment's rows are found and read, compiled from the plan. Text only.

Found rows of step i are in `hk_<i>` (m member, s standing, r round, f 1: loaded, 2: found by identity but
held back, k0… key), values from other stores in `hl_<link>`, rows whose ownership must be tested in
`hc_<link>`. A statement never runs here and never holds a value of a row.

Tests are joins that look for a witness, not correlated subqueries: without an index on a foreign key the
latter would scan its table once a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from habeas.connectors.sql.dialect import ALIKE, Dialect, Move, Pair
from habeas.core.errors import SchemaChanged, SourceUnreadable
from habeas.core.schema import TableName, TypeFamily
from habeas.plan.model import Column, Link, Plan, Pointing, Seed, Segment, Standing, Step

NOBODY, HELD = 8, 9
"""Standings of rows that hold nothing back, since an erasure left them as they are; and of rows found by identity that
a declared shared reference may claim: nothing follows either.
"""

_WEAK = f"{Standing.SHARED:d}, {Standing.SHARED_ROW:d}, {Standing.CONTEXT:d}"


class Names(NamedTuple):
    """The names of one step in a segment's statements."""

    dialect: Dialect
    step: Step
    table: str
    found: str
    row_keys: tuple[str, ...]  # quoted columns of the table that name a row, or the dialect's row identity
    keys: tuple[str, ...]  # k0…

    def same_row(self, row: str, found: str) -> str:
        """That a table's row is the found one."""
        pairs = zip(self.parts(row), self.keys, strict=True)
        return " AND ".join(f"{part} = {found}.{key}" for part, key in pairs)

    def parts(self, row: str) -> list[str]:
        """What names a table's row."""
        return row_parts(self.dialect, self.step, self.row_keys, row)

    def same_keys(self, left: str, right: str) -> str:
        """That two of our own rows name one row."""
        return " AND ".join(f"{left}.{key} = {right}.{key}" for key in self.keys)

    def chosen(self, row: str) -> str:
        """A table's row's key as k0…"""
        return ", ".join(f"{part} AS {key}" for part, key in zip(self.parts(row), self.keys, strict=True))

    def listed(self, row: str) -> str:
        """Our own row's key, to be selected or grouped by."""
        return ", ".join(f"{row}.{key}" for key in self.keys)

    def grouped(self, row: str) -> str:
        """A table's row's key, to be grouped by."""
        return ", ".join(self.parts(row))


class Witness(NamedTuple):
    """A row of `table` whose columns equal the tested row's holds that row back, unless it is the subject's."""

    table: TableName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    step: int | None
    standing: Standing
    typed: tuple[Column, ...] = ()  # those of `columns` whose type must be known to compare them
    far: bool = False  # in another store that can't be asked: it holds every row back


class SegmentStatements:
    """All reading statements of one segment. Made once per plan and segment; immutable after that."""

    def __init__(self, dialect: Dialect, plan: Plan, segment: Segment) -> None:
        self.dialect = dialect
        self.plan = plan
        self.segment = segment
        self.inside = frozenset(segment.steps)
        # Another member's row counts as the subject's where both are erased; an access must read as if alone.
        self._any_member = plan.erases
        self.imports = plan.imports(segment)
        self.links = tuple(link for index in segment.steps for link in plan.steps[index].links)
        leading = (link for link in (*self.links, *plan.exports(segment)) if link.source in self.inside)
        self._sifted = frozenset(link.id for link in leading if self._lies_in_a_sieve(link))
        self.asked = plan.asked(segment)
        same_store = {index for index, _ in self.asked if plan.steps[index].connection == segment.connection}
        self.names = {index: self._names(plan.steps[index]) for index in sorted(self.inside | same_store)}

    def _names(self, step: Step) -> Names:
        dialect = self.dialect
        row_keys = row_keys_of(dialect, step)
        keys = tuple(f"k{index}" for index in range(len(row_keys)))
        return Names(dialect, step, dialect.table(step.table), dialect.temp(f"hk_{step.index}"), row_keys, keys)

    def candidates(self, link: Link) -> str:
        """The table of rows a tested link reached."""
        return self.dialect.temp(f"hc_{link.id}")

    def landed(self, link: Link) -> str:
        """The table of values that came by a link from another segment."""
        return self.dialect.temp(f"hl_{link.id}")

    def elements(self, names: Names) -> str:
        """The table of values inside a step's columns that led to its rows."""
        return self.dialect.temp(f"he_{names.step.index}")

    def sifted(self, link: Link) -> str:
        """The table of a link's values from elements that led to their rows."""
        return self.dialect.temp(f"hv_{link.id}")

    def is_sifted(self, link: Link) -> bool:
        """Whether a link's values lie in arrays of which only some elements led to their row."""
        return link.id in self._sifted

    def _lies_in_a_sieve(self, link: Link) -> bool:
        step = self.plan.steps[link.source]
        columns = {each.inside.column for each in step.entries if each.inside is not None and not each.inside.whole}
        given = (column_of(step, name).inside for name in link.source_columns) if columns else ()
        return any(inside is not None and inside.column in columns for inside in given)

    def rows_of(self, names: Names, compared: Iterable[str], *, scanned: bool = False) -> str:
        """A step's table as a FROM item; where some of these names are values inside its columns, with these and
        what names a row. `scanned`: the whole table is read, not single rows of it.
        """
        columns = [column_of(names.step, name) for name in compared]
        return self._with_elements(names.table, columns, names.row_keys, scanned=scanned)

    def _with_elements(self, table: str, columns: Iterable[Column], keys: Iterable[str], *, scanned: bool) -> str:
        elements = [column for column in dict.fromkeys(columns) if column.inside is not None]
        if not elements:
            return table
        flat = (self.dialect.quote(column.name) for column in columns if column.inside is None)
        return self.dialect.elements_of(table, elements, list(dict.fromkeys([*keys, *flat])), scanned=scanned)

    def recognised(self, position: int) -> str:
        """The table of values that name the subject's rows of another store, by position in `asked`."""
        return self.dialect.temp(f"ha_{position}")

    def is_far(self, index: int) -> bool:
        """Whether a step lies behind another connection."""
        return self.plan.steps[index].connection != self.segment.connection

    def step_of(self, link: Link) -> Step:
        """The step that a link of this segment leads to."""
        return next(self.plan.steps[index] for index in self.segment.steps if link in self.plan.steps[index].links)

    def land_columns(self, link: Link) -> tuple[tuple[Column, ...], bool]:
        """The columns that landed values are compared with, and whether as text."""
        step = self.step_of(link)
        columns = tuple(column_of(step, name) for name in link.columns)
        return columns, link.compare == "text" or any(self.dialect.lands_as_text(each) for each in columns)

    def setup(self) -> list[str]:
        """Statements that make the segment's temp tables, before its snapshot."""
        dialect, made = self.dialect, []
        for names in self.names.values():
            step = names.step
            made.append(dialect.create_found(names.found, step.table, names.row_keys, step.columns))
        for link in self.links:
            if self.is_tested(link):
                names = self.names[self.step_of(link).index]
                table = self.candidates(link)
                made.append(dialect.create_candidates(table, names.step.table, names.row_keys, names.step.columns))
        for link in self.imports:
            made.append(dialect.create_landed(self.landed(link), self.step_of(link).table, *self.land_columns(link)))
        for position, (index, named) in enumerate(self.asked):
            if self.is_far(index):
                step, table = self.plan.steps[index], self.recognised(position)
                columns = [column_of(step, each) for each in named]
                made.append(dialect.create_landed(table, step.table, columns, True))
        return [*made, *self._setup_elements()]

    def _setup_elements(self) -> Iterator[str]:
        for index in self.segment.steps:
            step, names = self.plan.steps[index], self.names[index]
            if step.entries:
                yield self.dialect.create_elements(self.elements(names), step.table, names.row_keys, step.columns)
        for link in (*self.links, *self.plan.exports(self.segment)):
            if self.is_sifted(link):
                source = self.plan.steps[link.source]
                columns = tuple(column_of(source, name) for name in link.source_columns)
                yield self.dialect.create_landed(self.sifted(link), source.table, columns, False)

    def witnesses(self, link: Link) -> list[Witness]:
        """What can hold back a row that this link reaches from the subject's row, strictest first."""
        if link.ownership != "auto":
            return []
        step = self.step_of(link)
        if step.people:
            return []
        found = [
            Witness(
                self.plan.steps[each.people].table,
                each.people_columns,
                each.columns,
                each.people,
                each.standing,
            )
            for each in link.rivals
        ]
        if link.points == "to_target":
            found += [
                Witness(
                    each.table, each.columns, each.target_columns, each.step, Standing.SHARED_ROW, each.typed, each.far
                )
                for each in step.pointings
                if not (each.far and _is_followed(link, each))
            ]
        return sorted(found, key=lambda each: -each.standing)

    def is_tested(self, link: Link) -> bool:
        """Whether ownership of what the link reaches depends on other rows."""
        lands = link.source not in self.inside
        own = link.ownership == "auto" and not self.step_of(link).people
        return bool(self.witnesses(link)) or (lands and own and link.points == "to_target")

    def depends_on(self, link: Link) -> frozenset[int]:
        """Steps whose growth may free rows that a tested link left held back."""
        return frozenset(each.step for each in self.witnesses(link) if each.step is not None and not each.far)

    def seed(self, step: Step, seed: Seed) -> tuple[str, bool]:
        """Rows that may match the identities in `values`; whether each tells the value's number (from 1).

        Columns: the key, then the column's text, then the number.
        """
        names, column = self.names[step.index], column_of(step, seed.column)
        operand = f"t.{self.dialect.quote(seed.column)}"
        keys = ", ".join(self.key_reads(names, "t"))
        text = self.dialect.text_of(operand, column.type)
        if seed.match == "canonical" and seed.kind in ("email", "phone_number"):
            candidates = (self.dialect.email_candidates if seed.kind == "email" else self.dialect.phone_candidates)(
                operand, column
            )
            return f"SELECT {keys}, {text} FROM {self.rows_of(names, [seed.column])} AS t WHERE {candidates}", False
        lookup = self.dialect.lookup(self.rows_of(names, [seed.column]), column, indexed=seed.indexed)
        return f"SELECT {keys}, {text}, w.n FROM {lookup.joined}", True

    def key_reads(self, names: Names, row: str) -> list[str]:
        """The key's columns of a table's row or of our own, as they are read."""
        step = names.step
        columns: list[Column | None] = [column_of(step, name) for name in step.key]
        columns = columns or [None] * len(names.keys)
        parts = names.parts(row) if row == "t" else [f"{row}.{key}" for key in names.keys]
        return [self.dialect.read(part, column) for part, column in zip(parts, columns, strict=True)]

    def follow(self, link: Link, *, first: bool) -> list[Move]:
        """Follow a link from rows that changed after round `seen`, in round `tick`."""
        if not self.is_tested(link):
            return [self._merge(link, self._reached(link, weak_only=False), first=first)]
        statements = [self._add_candidates(link)]
        if link.points == "to_target":
            statements.append(self._merge(link, self._reached(link, weak_only=True), first=first))
        return statements

    def _merge(self, link: Link, select: str, *, first: bool) -> Move:
        names = self.names[self.step_of(link).index]
        return self.dialect.merge(names.found, names.keys, select, first=first)

    def _reached(self, link: Link, *, weak_only: bool) -> str:
        names = self.names[self.step_of(link).index]
        weak = Standing.PERSON if names.step.people else Standing.CONTEXT
        standing = f"CASE WHEN h.s = 1 THEN {self._own_lands_as(link, names.step):d} ELSE {weak:d} END"
        wanted = "h.s = 1"
        if link.points == "to_target":
            wanted = f"h.s IN ({_WEAK})" if weak_only else f"h.s IN (1, {_WEAK})"
        return (
            f"SELECT h.m AS m, MIN({standing}) AS s, {self.dialect.parameter('tick')} AS r, {names.chosen('t')} "
            f"FROM {self.joined(link)} WHERE h.r > {self.dialect.parameter('seen')} AND {wanted} "
            f"GROUP BY h.m, {names.grouped('t')}"
        )

    def _own_lands_as(self, link: Link, target: Step) -> Standing:
        match link.ownership:
            case "owned":
                return Standing.OWN
            case _ if target.people:
                return Standing.PERSON
            case "shared":
                return Standing.SHARED
            case "context":
                return Standing.CONTEXT
            case "auto":
                return Standing.OWN

    def joined(self, link: Link) -> str:
        """Sources of a link as `h` (m, s, r), joined with the rows `t` that it reaches."""
        step = self.step_of(link)
        dialect = self.dialect
        table = self.rows_of(self.names[step.index], link.columns, scanned=True)
        targets = [column_of(step, name) for name in link.columns]
        if link.source not in self.inside:
            columns, as_text = self.land_columns(link)
            pairs = [
                Pair(f"t.{dialect.quote(column.name)}", f"h.v{index}", column, None if as_text else column)
                for index, column in enumerate(columns)
            ]
            source, known = f"{self.landed(link)} AS h", not as_text
            carried: tuple[str, ...] = ("m", "s", "r", "e")
        else:
            source, values = self.source_values(link)
            given = [column_of(self.plan.steps[link.source], name) for name in link.source_columns]
            native = link.compare == "native"
            pairs = [
                Pair(
                    f"t.{dialect.quote(target.name)}",
                    value if native else dialect.text_of(value, each.type),
                    target,
                    each if native else None,
                )
                for target, value, each in zip(targets, values, given, strict=True)
            ]
            known = native and (link.indexed or all(value.startswith("h.") for value in values))
            carried = ("m", "s", "r")
        return dialect.joined(source, table, pairs, carried, known=known)

    def source_values(self, link: Link) -> tuple[str, list[str]]:
        """A link's source rows as a FROM item `h`, and its values; the table itself only where it must be."""
        names = self.names[link.source]
        if names.step.key and set(link.source_columns) <= set(names.step.key):
            at = {column: key for column, key in zip(names.step.key, names.keys, strict=True)}
            return f"{names.found} AS h", [f"h.{at[column]}" for column in link.source_columns]
        if self.is_sifted(link):
            return f"{self.sifted(link)} AS h", [f"h.v{index}" for index in range(len(link.source_columns))]
        table = self.rows_of(names, link.source_columns)
        joined = f"{names.found} AS h JOIN {table} AS s ON {names.same_row('s', 'h')}"
        return joined, [f"s.{self.dialect.quote(column)}" for column in link.source_columns]

    def _add_candidates(self, link: Link) -> Move:
        names = self.names[self.step_of(link).index]
        exclusive = "h.e" if link.source not in self.inside else "1"
        select = (
            f"SELECT DISTINCT h.m, {exclusive}, {names.grouped('t')} FROM {self.joined(link)} "
            f"WHERE h.r > {self.dialect.parameter('seen')} AND h.s = 1"
        )
        return self.dialect.add(self.candidates(link), ["m", "e", *names.keys], select)

    def judge(self, link: Link, *, first: bool) -> Move:
        """Give rows that a tested link reached their standing: the subject's, unless a witness holds them back."""
        names = self.names[self.step_of(link).index]
        blocks = [self._blocks(link, names, witness) for witness in self.witnesses(link)]
        if link.source not in self.inside and link.points == "to_target":
            blocks.append(
                f"SELECT c.m, {names.listed('c')}, {Standing.SHARED_ROW:d} AS s FROM {self.candidates(link)} AS c "
                f"GROUP BY c.m, {names.listed('c')} HAVING MAX(c.e) = 0"
            )
        select = (
            f"SELECT c.m AS m, COALESCE(MAX(b.s), 1) AS s, {self.dialect.parameter('tick')} AS r, "
            f"{names.listed('c')} FROM {self.candidates(link)} AS c "
            f"LEFT JOIN ({' UNION ALL '.join(blocks)}) AS b ON b.m = c.m AND {names.same_keys('b', 'c')} "
            f"LEFT JOIN {names.found} AS o ON o.m = c.m AND o.s = 1 AND {names.same_keys('o', 'c')} "
            f"WHERE o.m IS NULL GROUP BY c.m, {names.listed('c')}"
        )
        return self._merge(link, select, first=first)

    def _blocks(self, link: Link, names: Names, witness: Witness) -> str:
        return self.held(link, witness, f"c.m, {names.listed('c')}, {witness.standing:d} AS s")

    def held(self, link: Link, witness: Witness, chosen: str) -> str:
        """A select of what is chosen of rows `c` that the link reached and the rows `p` that hold them back."""
        names = self.names[self.step_of(link).index]
        select = f"SELECT {chosen} FROM {self.candidates(link)} AS c"
        if witness.far:
            return select
        pairs = zip(witness.columns, witness.target_columns, strict=True)
        same = " AND ".join(self._same(names.step, witness, column, target) for column, target in pairs)
        if witness.table == names.step.table:  # a row that points to itself is no witness
            pairs = zip(names.parts("p"), names.parts("t"), strict=True)
            same += " AND (" + " OR ".join(f"{other} <> {own}" for other, own in pairs) + ")"
        table = self.rows_of(names, witness.target_columns)
        row = f"{select} JOIN {table} AS t ON {names.same_row('t', 'c')}"
        if witness.step is not None and witness.step not in self.names:
            return row + self._far_witness(witness, names.step)
        row += f" JOIN {self._witnessing(names, witness)} AS p ON {same}"
        if witness.step is None:
            return row
        other = self.names[witness.step]
        known = f"{other.same_row('p', 'f')} AND {self.holds_nothing('c')}"
        return f"{row} LEFT JOIN {other.found} AS f ON {known} WHERE f.m IS NULL"

    def holds_nothing(self, row: str) -> str:
        """That the found row `f` holds back nothing of that row's member: it is the subject's, or nobody's."""
        own = "f.s = 1" if self._any_member else f"(f.s = 1 AND f.m = {row}.m)"
        return f"({own} OR f.s = {NOBODY})"

    def _witnessing(self, names: Names, witness: Witness) -> str:
        if witness.step is not None:
            return self.rows_of(self.names[witness.step], witness.columns, scanned=True)
        inside = [column for column in witness.typed if column.inside is not None]
        flat = [self.dialect.quote(name) for name in witness.columns if name not in {each.name for each in inside}]
        own = names.row_keys if witness.table == names.step.table else ()
        return self._with_elements(self.dialect.table(witness.table), inside, [*own, *flat], scanned=True)

    def _same(self, step: Step, witness: Witness, column: str, target: str) -> str:
        """That a witness's row `p` points to the tested row `t`; where their types differ, as text."""
        left, right = f"p.{self.dialect.quote(column)}", f"t.{self.dialect.quote(target)}"
        here = column_of(step, target)
        listed = witness.typed if witness.step is None else self.plan.steps[witness.step].columns
        there = next((each for each in listed if each.name == column), None)
        if there is None:
            return f"{left} = {right}"
        if here.type.family is there.type.family:
            return self.dialect.equal(left, right, (there, here))
        return self.dialect.same_text(self.dialect.text_of(left, there.type), self.dialect.text_of(right, here.type))

    def _far_witness(self, witness: Witness, step: Step) -> str:
        """People of another store: a value that isn't known to be the subject's is somebody else's."""
        dialect = self.dialect
        operands = [f"t.{dialect.quote(column)}" for column in witness.target_columns]
        holds = " AND ".join(f"{operand} IS NOT NULL" for operand in operands)
        known = [link for link in self.imports if (link.source, link.source_columns) == (witness.step, witness.columns)]
        if known:
            table, (columns, as_text) = self.landed(known[0]), self.land_columns(known[0])
        elif (place := (witness.step, witness.columns)) in self.asked:
            table, columns, as_text = self.recognised(self.asked.index(place)), (), True
        else:  # nothing names the other store's rows by these columns
            return f" WHERE {holds}"
        pairs = []
        for index, (operand, name) in enumerate(zip(operands, witness.target_columns, strict=True)):
            value = f"l.v{index}" if as_text else dialect.text_of(f"l.v{index}", columns[index].type)
            pairs.append(dialect.same_text(dialect.text_of(operand, column_of(step, name).type), value))
        member = "" if self._any_member else " AND l.m = c.m"
        return f" LEFT JOIN {table} AS l ON {' AND '.join(pairs)} AND l.s = 1{member} WHERE l.m IS NULL AND {holds}"


def _is_followed(link: Link, pointing: Pointing) -> bool:
    """Whether the pointing is the followed link itself, whose values come with what its store knows."""
    pairs = set(zip(pointing.columns, pointing.target_columns, strict=True))
    return pointing.step == link.source and pairs == set(zip(link.source_columns, link.columns, strict=True))


def row_keys_of(dialect: Dialect, step: Step) -> tuple[str, ...]:
    """What names a step's rows: its quoted key, what they are alike in, or else the store's own identity."""
    if step.alike or (step.view and not step.key):
        return (ALIKE,)
    return tuple(dialect.quote(name) for name in step.key) or dialect.row_identity


def row_parts(dialect: Dialect, step: Step, row_keys: Sequence[str], row: str) -> list[str]:
    """The operands that name one row of the step's table."""
    columns = tuple(column_of(step, name) for name in step.alike) or step.columns
    return [dialect.row_part(row, part, columns) for part in row_keys]


@contextmanager
def naming_texts(step: Step, columns: Sequence[str]) -> Iterator[None]:
    """Text that can't be read exactly lies in one of the columns that hold text: no store tells in which."""
    try:
        yield
    except SourceUnreadable as error:
        texts = ", ".join(name for name in columns if column_of(step, name).type.family is TypeFamily.TEXT)
        error.message = f"{error.message}, in {texts}"
        raise


def column_of(step: Step, name: str) -> Column:
    """The step's column; raises SchemaChanged, naming it, where the plan doesn't have it."""
    try:
        return step.column(name)
    except KeyError:
        raise SchemaChanged("the plan names a column it doesn't list", where=f"{step.address}:{name}") from None
