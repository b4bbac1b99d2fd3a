"""Array elements that led to rows: which they are, and rows and values with only those.

`he_<i>` holds, per found row of step i and member, the values inside its columns by which it was found: m, s (0
by identity, else the standing of the row that leads here), e the entry's number, v its text, k0… key. It is
filled when something is read of the step, from what the traversal has found by then. Used only for steps that
have entries; all others never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from habeas.connectors.sql import reading
from habeas.connectors.sql.dialect import Dialect, Move
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.statements import Names, SegmentStatements, column_of
from habeas.core.nested import Entries, NotADocument, Path, keep_elements, open_document, values_at
from habeas.core.schema import TypeFamily
from habeas.core.values import canonical_text, decode_json
from habeas.plan.model import Link, Standing, Step

BUFFERED = 10_000

Fill = Callable[[str, Iterable[Row]], int]
Run = Callable[[Move], int]


class Led(NamedTuple):
    """A value that led to a row: the entry's number, the standing it gives, its text."""

    entry: int
    standing: int
    text: str


_LED = msgspec.json.Decoder(list[Led])


class Sieve:
    """What the elements of one step's arrays are compared with."""

    def __init__(self, step: Step) -> None:
        self._columns = step.entries
        self._places: list[tuple[str, Path, bool]] = [
            (inside.column, inside.path, inside.whole)
            for column in self._columns
            if (inside := column.inside) is not None
        ]
        self.columns = frozenset(column for column, _, _ in self._places)

    def entries(self, led: str | None, standing: int) -> dict[str, Entries]:
        """By column, the wanted values by path: for the subject's own rows, what her own rows led to."""
        wanted: dict[tuple[str, Path], set[str] | None] = {
            (column, path): None if whole else set() for column, path, whole in self._places
        }
        for each in _LED.decode(led) if led else ():
            column, path, _ = self._places[each.entry]
            texts = wanted[column, path]
            if texts is not None and (each.standing <= Standing.OWN or standing != Standing.OWN):
                texts.add(each.text)
        found: dict[str, dict[Path, frozenset[str] | None]] = {}
        for (column, path), texts in wanted.items():
            found.setdefault(column, {})[path] = None if texts is None else frozenset(texts)
        return dict(found)


class Elements:
    """The elements of one segment's steps. Same session, same snapshot as the reader it serves."""

    def __init__(self, session: Session, statements: SegmentStatements, fill: Fill, run: Run) -> None:
        self._session = session
        self._statements = statements
        self._fill = fill
        self._run = run
        self._buffer: dict[int, list[Row]] = {}
        self._fresh: dict[int, int] = {}  # step: the round for which its table is filled
        self._sieves = {
            index: Sieve(statements.plan.steps[index])
            for index in statements.segment.steps
            if statements.plan.steps[index].entries
        }

    def tracks(self, step: Step) -> bool:
        """Whether arrays of the step's rows show only some of their elements."""
        return step.index in self._sieves

    def note(self, step: Step, name: str, member: int, key: Row, text: str) -> None:
        """A value of an identity led to a row."""
        if not self.tracks(step):
            return
        number = next((place for place, column in enumerate(step.entries) if column.name == name), None)
        if number is None:
            return
        buffer = self._buffer.setdefault(step.index, [])
        buffer.append((member, 0, number, text, *key))
        if len(buffer) >= BUFFERED:
            self._flush(step)

    def _flush(self, step: Step) -> None:
        rows = self._buffer.pop(step.index, [])
        if rows:
            names = self._statements.names[step.index]
            filling = self._statements.dialect.fill(self._statements.elements(names), [*_COLUMNS, *names.keys])
            self._fill(filling, rows)

    def refresh(self, step: Step, tick: int) -> None:
        """Fill the step's table from what is found now."""
        self._flush(step)
        if self._fresh.get(step.index) == tick:
            return
        names = self._statements.names[step.index]
        self._session.change(f"DELETE FROM {self._statements.elements(names)} WHERE s > 0")
        for link in step.links:
            for number, column in enumerate(step.entries):
                if column.name in link.columns:
                    self._run(led_by_link(self._statements, link, number, column.name))
        self._fresh[step.index] = tick

    def rows(self, step: Step, columns: Sequence[str], *, one_member: bool) -> Iterator[list[Row]]:
        """Found rows as the reader gives them (member, standing, columns), arrays sifted."""
        statements, sieve = self._statements, self._sieves[step.index]
        names = statements.names[step.index]
        led = led_rows(statements, names)
        statement = reading.read_rows(statements.dialect, names, columns, one_member=one_member, led=led)
        places = [place for place, name in enumerate(columns) if name in sieve.columns]
        whole = [place + 2 for place in text_documents(statements.dialect, step, columns) if place not in places]
        for batch in self._session.stream(statement):
            yield [open_texts(self._sifted(sieve, row, columns, places), whole) for row in batch]

    def _sifted(self, sieve: Sieve, row: Row, columns: Sequence[str], places: Sequence[int]) -> Row:
        entries = sieve.entries(row[-1], row[1])
        values: list[Any] = list(row[:-1])
        for place in places:
            values[place + 2] = self._keep(values[place + 2], entries[columns[place]])
        return tuple(values)

    def _keep(self, value: Any, entries: Entries) -> object:
        if value is None:
            return None
        try:
            opened = open_document(value, entries) if self._statements.dialect.json_is_text else value
        except NotADocument:  # nobody can tell whose its parts are
            return None
        return keep_elements(opened, entries)

    def sift(self, link: Link, tick: int) -> None:
        """Put the link's values, from elements that led to their rows, where the link is followed from."""
        statements, dialect = self._statements, self._statements.dialect
        step = statements.plan.steps[link.source]
        column = column_of(step, link.source_columns[0])
        table = statements.sifted(link)
        self.refresh(step, tick)
        self._session.change(f"DELETE FROM {table}")
        if column.inside is None:
            return
        found = chain.from_iterable(self.rows(step, [column.inside.column], one_member=False))
        values = (
            (member, standing, dialect.landed_value(text, column, False))
            for member, standing, document in found
            for text in {canonical_text(each) for each in values_at(document, column.inside.path)}
        )
        rows = ((member, standing, 1, tick, value) for member, standing, value in values if value is not None)
        self._fill(dialect.fill(table, ["m", "s", "e", "r", "v0"]), rows)

    def led_to(self, step: Step, rows: Sequence[Row]) -> list[Mapping[str, Entries]] | None:
        """By row and column, what of its arrays is the subject's; None where all of them is."""
        if not self.tracks(step):
            return None
        return [self._sieves[step.index].entries(row[-1], Standing.OWN) for row in rows]


def text_documents(dialect: Dialect, step: Step, columns: Sequence[str]) -> list[int]:
    """Positions of columns whose documents the store gives as text."""
    typed = enumerate(step.column(name).type.family for name in columns)
    return [place for place, family in typed if dialect.json_is_text and family is TypeFamily.JSON]


def open_texts(row: Row, positions: Sequence[int]) -> Row:
    """The row with what is text at these positions as the document that it holds."""
    values = list(row)
    for position in positions:
        try:
            values[position] = decode_json(row[position]) if isinstance(row[position], str) else row[position]
        except msgspec.DecodeError:  # SQLite checks no type: what isn't JSON is shown as the text it is
            continue
    return tuple(values)


_COLUMNS = ("m", "s", "e", "v")


def led_by_link(statements: SegmentStatements, link: Link, number: int, name: str) -> Move:
    """The values of one entry by which a link leads to found rows."""
    step = statements.step_of(link)
    dialect, names = statements.dialect, statements.names[step.index]
    column = column_of(step, name)
    text = dialect.text_of(f"t.{dialect.quote(name)}", column.type)
    wanted = "h.s IN (1, 2, 3, 4)" if link.points == "to_target" else "h.s = 1"
    select = (
        f"SELECT h.m, MIN(h.s), {number}, {text}, {names.grouped('t')} FROM {statements.joined(link)} "
        f"JOIN {names.found} AS f ON f.m = h.m AND {names.same_row('t', 'f')} WHERE {wanted} "
        f"GROUP BY h.m, {dialect.apart(text, column)}, {names.grouped('t')}"
    )
    return dialect.add(statements.elements(names), [*_COLUMNS, *names.keys], select)


def led_rows(statements: SegmentStatements, names: Names) -> str:
    """A select of m, the key and p: all values that led to the row, for its member."""
    pairs, keys = statements.dialect.json_rows(["e", "s", "v"]), ", ".join(names.keys)
    return f"SELECT m, {keys}, {pairs} AS p FROM {statements.elements(names)} GROUP BY m, {keys}"


def led_owned(statements: SegmentStatements, names: Names, owned: Names) -> str:
    """As `led_rows` over all members whose own row it is, by their own; `owned` names the step that says so."""
    pairs = statements.dialect.json_rows(["e.e", "e.s", "e.v"])
    return (
        f"SELECT {names.listed('e')}, {pairs} AS p FROM {statements.elements(names)} AS e "
        f"JOIN {owned.found} AS o ON o.m = e.m AND {names.same_keys('o', 'e')} AND o.s = 1 "
        f"WHERE e.s <= 1 GROUP BY {names.listed('e')}"
    )
