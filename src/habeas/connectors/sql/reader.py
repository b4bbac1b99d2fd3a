"""The reader of SQL connectors: a segment's traversal inside one snapshot, set-based.

Rows are found by statements over key tables, never one statement a row. Rounds are semi-naive: a link
follows only rows that are new, or stronger, since it was last followed; rows held back by somebody
else's are judged again whenever the rows they depend on have grown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import inf
from typing import Any

from habeas.connectors.base import Erased, FrozenChunk, Landing, Reader, RowBatch, Secrets, SeedValue, at
from habeas.connectors.sql import holding, own, reading, remains
from habeas.connectors.sql.alike import merge_alike
from habeas.connectors.sql.dialect import Move
from habeas.connectors.sql.elements import Elements, led_owned, open_texts, text_documents
from habeas.connectors.sql.seeds import SeedBatch, seed_batches
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.statements import HELD, NOBODY, SegmentStatements, column_of, naming_texts
from habeas.connectors.sql.writing import Compiled, StepWrites
from habeas.core.schema import RemainsOf
from habeas.core.values import canonical_text
from habeas.plan.model import Link, Seed, Standing, Step

CHUNK_ROWS = 50_000
DOCUMENT_ROWS = 1_000  # whole documents are held, which may be large
LANDING_ROWS = 10_000
ANALYZED_FROM = 5_000  # below, the planner's guess from the table's size is good enough
LOADED, DEFERRED = 1, 2
NO_MEMBER = -1


class SqlReader(Reader):
    """Finds and reads a segment's rows. The session is in its snapshot; whoever opened it closes it."""

    def __init__(self, session: Session, statements: SegmentStatements) -> None:
        self._session = session
        self._statements = statements
        self._tick = 0
        self._changed: dict[int, int] = {}  # step: the round in which its found rows last changed
        self._landed: dict[int, int] = {}  # link: the round of the last landing
        self._seen: dict[int, int] = {}  # link: the round up to which it was followed
        self._judged: dict[int, int] = {}
        self._tested: dict[int, int] = {}  # link: the round in which its candidates last changed
        self._rows: dict[int, int] = {}  # step: rows put in, to tell when to analyse
        self._members: tuple[float, float] = (inf, -inf)  # the smallest and the largest member seen
        self._unsettled: dict[int, tuple[str, ...]] = {}  # step: what makes its rows distinct
        self._elements = Elements(session, statements, self._fill, lambda move: self._move(move, {}))

    def seed(self, step: Step, values: Iterable[SeedValue]) -> None:
        """Candidates come from the store; canonical forms are compared here."""
        deferred = any(link.ownership == "shared" for link in step.links) and not step.people
        standing, mark = (HELD, DEFERRED) if deferred else (int(Standing.OWN), 0)
        self._tick += 1
        self._put(
            step,
            (
                (member, standing, self._tick, mark, *key)
                for seed in step.seeds
                for batch in seed_batches(self._statements.dialect, step, seed, values)
                for key, member in self._confirmed(step, seed, batch)
            ),
        )

    def _confirmed(self, step: Step, seed: Seed, batch: SeedBatch) -> Iterator[tuple[Row, int]]:
        statement, numbered = self._statements.seed(step, seed)
        width = len(self._statements.names[step.index].keys)
        with at(step):
            for row in chain.from_iterable(self._session.stream(statement, {"values": batch.bound})):
                number = row[width + 1] if numbered else None
                for member in batch.members(row[width], number):
                    self._elements.note(step, seed.column, member, row[:width], row[width])
                    yield row[:width], member

    def claim(self, step: Step, values: Iterable[SeedValue]) -> None:
        """Candidates come from the store, as a seed's do; documents all come, and are opened when they are frozen."""
        self._settle()
        if step.origin not in self._changed:
            return
        self._tick += 1
        rows = own.claimed_rows(self._session, self._statements, step, values)
        self._put(step, ((member, int(Standing.OWN), self._tick, 0, *key) for key, member in rows))

    def land(self, link: Link, landings: Iterable[Landing]) -> None:
        """Values that the column's type can't hold are dropped: no row matches them."""
        statements, dialect = self._statements, self._statements.dialect
        columns, as_text = statements.land_columns(link)
        table = statements.landed(link)
        filling = dialect.fill(table, ["m", "s", "e", "r", *(f"v{index}" for index in range(len(columns)))])
        self._tick += 1

        def rows() -> Iterator[Row]:
            for each in landings:
                values = [
                    dialect.landed_value(value, column, as_text)
                    for value, column in zip(each.values, columns, strict=True)
                ]
                if all(value is not None for value in values):
                    yield (each.member, int(each.standing), int(each.exclusive), self._tick, *values)

        count = self._fill(filling, rows())
        if count:
            self._landed[link.id] = self._tick
            self._analyze(table, count)

    def recognise(self, step: Step, columns: Sequence[str], rows: Iterable[tuple[int, Row]]) -> None:
        """Rows of this store are found by their key, of another one known by what points to them, as text."""
        statements = self._statements
        self._tick += 1
        if not statements.is_far(step.index):
            self._put(step, ((member, int(Standing.OWN), self._tick, LOADED, *key) for member, key in rows))
            return
        table = statements.recognised(statements.asked.index((step.index, tuple(columns))))
        filling = statements.dialect.fill(table, ["m", "s", "e", "r", *(f"v{index}" for index in range(len(columns)))])
        own, tick = int(Standing.OWN), self._tick
        self._fill(filling, ((member, own, 1, tick, *map(canonical_text, values)) for member, values in rows))

    def load(self, chunk: FrozenChunk) -> None:
        """Rows of several owners are found for each of them."""
        step = self._statements.plan.steps[chunk.step]
        self._tick += 1
        self._put(
            step,
            (
                (member, int(Standing.OWN), self._tick, LOADED, *(column[position] for column in chunk.keys))
                for position, owner in enumerate(chunk.owners)
                for member in chunk.others.get(position) or (owner,)
            ),
        )

    def _put(self, step: Step, rows: Iterable[Row]) -> None:
        names = self._statements.names[step.index]
        filling = self._statements.dialect.fill_found(names.found, names.keys)
        remaining = iter(rows)
        head = list({(row[0], repr(row[4:])): row for row in islice(remaining, LANDING_ROWS)}.values())
        count = self._fill(filling.statement, chain(head, remaining))
        if not count:
            return
        if step.index in self._changed or count > len(head):
            self._unsettled[step.index] = filling.distinct
        self._note(step.index, count)

    def _settle(self) -> None:
        """Make rows distinct that were put in as they came: several values can match one row."""
        for distinct in self._unsettled.values():
            for statement in distinct:
                self._session.change(statement)
        self._unsettled.clear()

    def _fill(self, statement: str, rows: Iterable[Row]) -> int:
        count, remaining = 0, iter(rows)
        while batch := list(islice(remaining, LANDING_ROWS)):
            self._session.put(statement, batch)
            count += len(batch)
            self._members = (
                min(self._members[0], min(row[0] for row in batch)),
                max(self._members[1], max(row[0] for row in batch)),
            )
        return count

    def _note(self, index: int, count: int) -> None:
        self._changed[index] = self._tick
        before = self._rows.get(index, 0)
        self._rows[index] = before + count
        if self._rows[index] >= max(ANALYZED_FROM, 2 * before):
            self._analyze(self._statements.names[index].found, count)

    def _analyze(self, table: str, count: int) -> None:
        statement = self._statements.dialect.analyze(table)
        if statement and count >= ANALYZED_FROM:
            self._session.change(statement)

    def traverse(self) -> int:
        """Rows added or strengthened, until nothing is."""
        self._settle()
        total = 0
        while True:
            changed = sum(self._at_target(self._follow, link) for link in self._statements.links)
            changed += sum(self._at_target(self._judge, link) for link in self._statements.links)
            if not changed:
                changed = self._release()
            if not changed:
                return total
            total += changed

    def _at_target(self, act: Callable[[Link], int], link: Link) -> int:
        with at(self._statements.step_of(link)):
            return act(link)

    def _follow(self, link: Link) -> int:
        newest = self._newest(link)
        seen = self._seen.get(link.id, -1)
        if newest <= max(seen, 0):
            return 0
        self._tick += 1
        target = self._statements.step_of(link).index
        tested = self._statements.is_tested(link)
        parameters = {"seen": seen, "tick": self._tick}
        if self._statements.is_sifted(link):
            self._elements.sift(link, self._tick)
        count = 0
        for position, move in enumerate(self._statements.follow(link, first=target not in self._changed)):
            rows = self._move(move, parameters)
            if tested and position == 0:
                self._tested[link.id] = self._tick if rows else self._tested.get(link.id, 0)
            else:
                count += rows
        self._seen[link.id] = self._tick - 1
        if count:
            self._note(target, count)
        return count

    def _newest(self, link: Link) -> int:
        """The round in which what the link is followed from last changed."""
        if link.source not in self._statements.inside:
            return self._landed.get(link.id, 0)
        newest = self._changed.get(link.source, 0)
        if newest and self._statements.is_sifted(link):  # more of a row's elements may have become the subject's
            ways = self._statements.plan.steps[link.source].links
            newest = max(newest, *(self._changed.get(way.source, self._landed.get(way.id, 0)) for way in ways), 0)
        return newest

    def _move(self, move: Move, parameters: Mapping[str, Any]) -> int:
        if move.filling is None:
            return self._session.change(move.statement, parameters)
        count = self._fill(move.filling, chain.from_iterable(self._session.stream(move.statement, parameters)))
        if count and move.counting is not None:
            ((count,),) = self._session.fetch(move.counting, parameters)
        return count

    def _judge(self, link: Link) -> int:
        statements = self._statements
        if not self._tested.get(link.id):
            return 0
        newest = max(self._tested[link.id], *(self._changed.get(index, 0) for index in statements.depends_on(link)), 0)
        if newest <= self._judged.get(link.id, 0):
            return 0
        self._tick += 1
        target = statements.step_of(link).index
        move = statements.judge(link, first=target not in self._changed)
        count = self._move(move, {"tick": self._tick})
        self._judged[link.id] = self._tick - 1
        if count:
            self._note(target, count)
        return count

    def disregard(self, erased: Erased) -> int:
        """Until no more rows are found to be nobody's, since each may free rows that others are held back by."""
        total = 0
        while any([self._find_nobodys(link, erased) for link in self._statements.links if self._tested.get(link.id)]):
            self._judged.clear()
            total += self.traverse()
        for link in self._statements.plan.exports(self._statements.segment):
            if reading.is_exclusive_or_not(link) and link.source in self._changed:
                total += self._find_far_nobodys(link, erased)
        return total

    def _find_far_nobodys(self, link: Link, erased: Erased) -> int:
        step = self._statements.plan.steps[link.source]
        count = 0
        for covered, most in _told_kinds(step, erased):
            text = remains.far_holders(self._statements, link, covered, most)
            count += self._take_nobodys(step, covered, text, erased)
        return count

    def _find_nobodys(self, link: Link, erased: Erased) -> int:
        statements = self._statements
        count = 0
        for witness in statements.witnesses(link):
            if witness.far or witness.step is None or witness.step not in statements.names:
                continue
            step = statements.plan.steps[witness.step]
            for covered, most in _told_kinds(step, erased):
                text = remains.holders(statements, link, witness, covered, most)
                count += self._take_nobodys(step, covered, text, erased)
        return count

    def _take_nobodys(self, step: Step, covered: RemainsOf, text: str, erased: Erased) -> int:
        names, dialect = self._statements.names[step.index], self._statements.dialect
        rows = chain.from_iterable(self._session.stream(text, dialect.digest_parameters(erased.digest_key)))
        left: list[Row] = []
        while batch := list(islice(rows, LANDING_ROWS)):
            asked = [(tuple(row[:-1]), bytes(row[-1])) for row in batch]
            left += [asked[position][0] for position in erased.among(step.address, covered, asked)]
        if left:
            filling = dialect.fill_found(names.found, names.keys)
            self._session.put(filling.statement, [(NO_MEMBER, NOBODY, 0, LOADED, *key) for key in left])
        return len(left)

    def nobodys(self, step: Step) -> Iterator[list[Row]]:
        """By a server-side cursor."""
        yield from map(
            list, self._session.stream(remains.nobodys(self._statements, self._statements.names[step.index]))
        )

    def _release(self) -> int:
        """Rows found by identity that no shared reference claimed are the subject's after all."""
        total = 0
        for index in self._statements.segment.steps:
            if index not in self._changed:
                continue
            step = self._statements.plan.steps[index]
            if step.people or not any(link.ownership == "shared" for link in step.links):
                continue
            self._tick += 1
            tick = self._statements.dialect.parameter("tick")
            count = self._session.change(
                f"UPDATE {self._statements.names[index].found} SET s = 1, r = {tick} "
                f"WHERE f = {DEFERRED} AND s NOT IN (1, {Standing.SHARED:d})",
                {"tick": self._tick},
            )
            if count:
                self._note(index, count)
            total += count
        return total

    def counts(self, step: Step) -> Mapping[tuple[int, Standing], int]:
        """By one statement."""
        self._settle()
        if step.index not in self._changed:
            return {}
        with at(step):
            found = self._session.fetch(reading.count_rows(self._statements.names[step.index]))
        return {(member, Standing(standing)): rows for member, standing, rows in found}

    def rows(self, step: Step, columns: Sequence[str]) -> Iterator[RowBatch]:
        """By a server-side cursor."""
        self._settle()
        if step.index not in self._changed:
            return
        one_member = self._members[0] == self._members[1]
        with at(step), naming_texts(step, columns):
            if self._elements.tracks(step):
                self._elements.refresh(step, self._tick)
                yield from map(_batch, self._elements.rows(step, columns, one_member=one_member))
            else:
                yield from self._whole_rows(step, columns, one_member)

    def _whole_rows(self, step: Step, columns: Sequence[str], one_member: bool) -> Iterator[RowBatch]:
        names = self._statements.names[step.index]
        statement = reading.read_rows(self._statements.dialect, names, columns, one_member=one_member)
        parsed = text_documents(self._statements.dialect, step, columns)
        for batch in self._session.stream(statement):
            rows = [row[2:] for row in batch]
            if parsed:
                rows = [open_texts(row, parsed) for row in rows]
            yield RowBatch([row[0] for row in batch], [row[1] for row in batch], rows)

    def taken(self, step: Step, column: str, values: Sequence[str]) -> frozenset[int]:
        """By the column's own `=`; a value that the column can't hold is taken by nobody."""
        dialect = self._statements.dialect
        lookup = dialect.lookup(self._statements.names[step.index].table, column_of(step, column), indexed=True)
        bound = [lookup.convert(value) for value in values]
        with at(step):
            found = self._session.fetch(f"SELECT w.n FROM {lookup.joined}", {"values": dialect.numbered(bound)})
        return frozenset(int(number) - 1 for (number,) in found)

    def keys(self, step: Step) -> Iterator[Sequence[Row]]:
        """By a server-side cursor."""
        names = self._statements.names[step.index]
        chosen = ", ".join(self._statements.key_reads(names, "t"))
        with at(step):
            yield from self._session.stream(f"SELECT {chosen} FROM {names.table} AS t ORDER BY {names.grouped('t')}")

    def leave_out(self, step: Step, other: Step) -> None:
        """By what names rows in both."""
        self._settle()
        names, others = self._statements.names[step.index], self._statements.names[other.index]
        self._session.change(holding.leave_out(names, others))

    def hold_back(self) -> None:
        """By statements that are repeated until none marks a row."""
        self._settle()
        statements = self._statements
        names = [each for each in statements.names.values() if each.step.index in self._changed]
        marking = [move for each in names if each.step.delete for move in holding.mark_held(statements, each)]
        while any([self._move(move, {}) for move in marking]):  # a list: all of them each time
            pass
        for each in names:
            for text in holding.mark_spared(statements, each) if each.step.because else ():
                self._session.change(text)

    def set_aside(self, step: Step, chunk: FrozenChunk) -> tuple[frozenset[int], frozenset[int]]:
        """By the range of the chunk's keys."""
        if not len(chunk):
            return frozenset(), frozenset()
        text = holding.marked(self._statements, self._statements.names[step.index])
        found = self._session.fetch(text, {"low": chunk.keys[0][0], "high": chunk.keys[0][-1]})
        marks = {tuple(key): mark for mark, *key in found}
        rows = enumerate(zip(*chunk.keys, strict=True) if marks else ())
        marked = [(position, marks[key]) for position, key in rows if key in marks]
        return (
            frozenset(position for position, mark in marked if mark == holding.HELD_BACK),
            frozenset(position for position, mark in marked if mark == holding.SPARED),
        )

    def departures(self, link: Link) -> Iterator[list[Landing]]:
        """NULL in a value leaves no landing: it matches nothing."""
        self._settle()
        if link.source not in self._changed:
            return
        if self._statements.is_sifted(link):
            self._elements.sift(link, self._tick)
        for batch in self._session.stream(reading.departing(self._statements, link)):
            yield [
                Landing(member, Standing(standing), bool(exclusive), tuple(values))
                for member, standing, exclusive, *values in batch
            ]

    def freeze(
        self, step: Step, digest_key: bytes, secrets: Secrets, *, new_only: bool = False
    ) -> Iterator[FrozenChunk]:
        """Chunks of one owner's rows first, then of joint rows; numbered from 0 over both."""
        self._settle()
        if step.index not in self._changed:
            return
        number = 0
        sole = self._members[0] == self._members[1]
        passes: tuple[reading.Owners, ...] = ("sole",) if sole else ("single", "joint")
        with at(step):
            for owners in passes:
                for batch, valued in self._freezing(step, owners, digest_key, secrets, new_only):
                    chunk = _chunk(step, number, batch, valued, owners == "joint")
                    chunk.elements = self._elements.led_to(self._statements.plan.steps[step.origin], batch)
                    yield chunk
                    number += 1

    def _freezing(
        self, step: Step, owners: reading.Owners, digest_key: bytes, secrets: Secrets, new_only: bool
    ) -> Iterator[tuple[list[Row], tuple[int, ...]]]:
        statements, dialect = self._statements, self._statements.dialect
        led, finding = None, statements.plan.steps[step.origin]
        if self._elements.tracks(finding):
            self._elements.refresh(finding, self._tick)
            led = led_owned(statements, statements.names[finding.index], statements.names[step.index])
        only = Compiled("", {})
        if new_only and step.alike:  # what was written is found as another set now
            only = StepWrites(dialect, step).unmasked()
        freezing = reading.read_to_freeze(statements, step, owners, new_only=new_only, led=led, only=only.statement)
        constants = {**freezing.constants, **only.constants}
        parameters: dict[str, Any] = {**dialect.digest_parameters(digest_key), **constants}
        if freezing.ingredients:
            parameters.update(dialect.ingredient_parameters(freezing.ingredients, secrets))
        rows: Iterator[Row] = chain.from_iterable(self._session.stream(freezing.statement, parameters))
        if step.alike:
            rows = merge_alike(rows)
        size = DOCUMENT_ROWS if any(mask.parts for mask in step.masks) else CHUNK_ROWS
        while batch := list(islice(rows, size)):
            yield batch, freezing.valued


def _told_kinds(step: Step, erased: Erased) -> list[tuple[RemainsOf, int]]:
    """What digests of the step's erased rows cover that can be made of its rows as they are now, with how many."""
    kinds = erased.kinds(step.address).items() if step.key else ()
    return [(covered, most) for covered, most in kinds if remains.can_be_told(step, covered)]


def _batch(rows: list[Row]) -> RowBatch:
    return RowBatch([row[0] for row in rows], [row[1] for row in rows], [row[2:] for row in rows])


def _chunk(step: Step, number: int, rows: list[Row], valued: tuple[int, ...], joint: bool) -> FrozenChunk:
    width = len(step.key) or 1
    columns = [list(column) for column in zip(*rows, strict=True)]
    masked: list[list[Any] | None] = [None] * len(step.masks)
    current: dict[int, list[str | None]] = {}
    for offset, position in enumerate(valued):
        values = columns[width + 3 + offset]
        if step.masks[position].form == "computed":
            current[position], masked[position] = values, [None] * len(rows)
        else:
            masked[position] = values
    others = {}
    if joint:
        others = {
            position: sorted(int(member) for member in owners.split(","))
            for position, owners in enumerate(columns[width + 1])
        }
    return FrozenChunk(
        step=step.index,
        number=number,
        keys=columns[:width],
        owners=columns[width],
        others=others,
        digests=[bytes(digest) for digest in columns[width + 2]],
        masked=masked,
        current=current or None,
        joint=joint,
        copies=columns[width + 3] if step.alike else None,
    )
