"""Reads what somebody answers: rows come for the values that find them, not by a query.

What is answered for a person's own values is that person's, as far as the plan doesn't say otherwise: references that
are declared shared or context, people found by reference, and rows that also point to somebody else keep their
standing. Holds one request's answered rows in memory; their number is bounded where they are taken in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from habeas.connectors.answered.question import Question
from habeas.connectors.base import FrozenChunk, Landing, Reader, RowBatch, Secrets, SeedValue
from habeas.core.errors import Refused
from habeas.core.expression import evaluate
from habeas.core.nested import values_at
from habeas.core.values import canonical_text, encode_json
from habeas.plan.model import Link, Mask, Plan, Segment, Standing, Step, base_of

Ask = Callable[[Question], Sequence[Mapping[str, Any]]]
Row = Mapping[str, Any]

_DECLARED = {"shared": Standing.SHARED, "context": Standing.CONTEXT}


@dataclass
class _Found:
    """What is known of one step for one member."""

    locators: dict[Standing, dict[str, dict[str | None, Any]]] = field(default_factory=dict)
    seeded: set[str] = field(default_factory=set)  # canonical identities that the step was asked by
    rows: dict[bytes, tuple[Standing, Row]] = field(default_factory=dict)  # by content

    def locate(self, standing: Standing, column: str, value: Any) -> None:
        """One more value that finds rows."""
        self.locators.setdefault(standing, {}).setdefault(column, {})[canonical_text(value)] = value


class AnsweredReader(Reader):
    """Rows of one segment as somebody answers them."""

    def __init__(self, plan: Plan, segment: Segment, ask: Ask) -> None:
        self._plan = plan
        self._steps = [plan.steps[index] for index in segment.steps]
        self._inside = frozenset(segment.steps)
        self._ask = ask
        self._found: dict[tuple[int, int], _Found] = defaultdict(_Found)  # by step and member
        self._known: dict[tuple[int, tuple[str, ...]], set[tuple[int, tuple[str | None, ...]]]] = {}
        self._loaded: set[tuple[int, tuple[str | None, ...]]] = set()
        for step in self._steps:
            if step.own_of is not None:
                raise Refused(
                    "rows that are declared shared can't be erased in part by who answers for them",
                    cause="unmaskable",
                    where=step.address,
                    fix="declare the reference owned or context, or exclude the collection",
                )

    def seed(self, step: Step, values: Iterable[SeedValue]) -> None:
        """Identities become values to look for."""
        for value in values:
            for seed in step.seeds:
                if seed.kind == value.kind and (seed.declared or value.is_telling):
                    found = self._found[step.index, value.member]
                    found.locate(Standing.OWN, seed.column, value.given)
                    found.seeded.add(value.canonical)

    def land(self, link: Link, landings: Iterable[Landing]) -> None:
        """Values of another segment become values to look for."""
        step = next(each for each in self._steps if link in each.links)
        for landing in landings:
            standing = _reached(link, landing.standing, landing.exclusive)
            for column, value in zip(link.columns, landing.values, strict=True):
                self._found[step.index, landing.member].locate(standing, column, value)

    def load(self, chunk: FrozenChunk) -> None:
        """Frozen rows are known; they are among what was answered."""
        self._loaded.update((chunk.step, _texts(key)) for key in zip(*chunk.keys, strict=True))

    def recognise(self, step: Step, columns: Sequence[str], rows: Iterable[tuple[int, tuple[Any, ...]]]) -> None:
        """Keep what names the subject's rows elsewhere."""
        self._known[step.index, tuple(columns)] = {(member, _texts(values)) for member, values in rows}

    def traverse(self) -> int:
        """Ask for the rows of each step, again while what was answered leads to more."""
        added, before = 0, -1
        while added != before:
            before = added
            for step in self._steps:
                self._follow(step)
                added += self._answer(step)
        return added

    def _follow(self, step: Step) -> None:
        """What rows found so far in this segment lead to."""
        for link in step.links:
            if link.source in self._inside:
                self.land(link, (each for batch in self.departures(link) for each in batch))

    def _answer(self, step: Step) -> int:
        added = 0
        for (index, member), found in list(self._found.items()):
            if index != step.index:
                continue
            for standing, locators in sorted(found.locators.items()):
                asked = {column: list(values.values()) for column, values in sorted(locators.items())}
                question = Question(member, step.address, "access", asked, tuple(each.name for each in step.stored))
                for row in self._ask(question):
                    added += self._take(step, member, found, standing, row)
        return added

    def _take(self, step: Step, member: int, found: _Found, standing: Standing, row: Row) -> int:
        mark = encode_json(dict(sorted(row.items())))
        weakest = max(standing, self._person(step, found, row), self._rival(step, member, row))
        known = found.rows.get(mark)
        if known is not None and known[0] <= weakest:
            return 0
        found.rows[mark] = (weakest, row)
        return 1

    def _person(self, step: Step, found: _Found, row: Row) -> Standing:
        """Somebody else's row of people: one that holds another identity, or none and wasn't found by one."""
        if not step.people:
            return Standing.OWN
        held = [text for seed in step.seeds for value in _values(row, seed.column) if (text := canonical_text(value))]
        given = {canonical_text(each) for names in found.locators.values() for each in _seeds_in(step, names)}
        if any(text in given or text.strip().casefold() in found.seeded for text in held):
            return Standing.OWN
        return Standing.PERSON if held or not found.seeded else Standing.OWN

    def _rival(self, step: Step, member: int, row: Row) -> Standing:
        """What a row that also points to somebody else is, by its other references to people."""
        weakest = Standing.OWN
        for rival in (rival for link in step.links for rival in link.rivals):
            values = _texts(row.get(base_of(name)) for name in rival.columns)
            if None not in values and not self._is_hers(rival.people, rival.people_columns, member, values):
                weakest = max(weakest, rival.standing)
        return weakest

    def _is_hers(self, people: int, columns: tuple[str, ...], member: int, values: tuple[str | None, ...]) -> bool:
        if people in self._inside:
            rows = self._found[people, member].rows.values()
            return any(
                standing is Standing.OWN and _texts(row.get(name) for name in columns) == values
                for standing, row in rows
            )
        return (member, values) in self._known.get((people, columns), ())

    def counts(self, step: Step) -> Mapping[tuple[int, Standing], int]:
        """Rows per member and standing."""
        return Counter((member, standing) for member, standing, _ in self._all(step))

    def _all(self, step: Step) -> Iterator[tuple[int, Standing, Row]]:
        for member in sorted(member for index, member in self._found if index == step.index):
            rows = self._found[step.index, member].rows.values()
            for standing, row in sorted(rows, key=lambda each: _order(step, each[1])):
                yield member, standing, row

    def rows(self, step: Step, columns: Sequence[str]) -> Iterator[RowBatch]:
        """All found rows in one batch."""
        found = list(self._all(step))
        if found:
            yield RowBatch(
                [member for member, _, _ in found],
                [standing for _, standing, _ in found],
                [tuple(row.get(name) for name in columns) for _, _, row in found],
            )

    def departures(self, link: Link) -> Iterator[list[Landing]]:
        """Values that lead on. Whether others point to the same isn't known: they count as if somebody did."""
        leaving: dict[tuple[int, Standing, tuple[str | None, ...]], Landing] = {}
        for member, standing, row in self._all(self._plan.steps[link.source]):
            if standing is Standing.PERSON:
                continue
            for values in _tuples(row, link.source_columns):
                leaving[member, standing, _texts(values)] = Landing(member, standing, False, values)
        if leaving:
            yield list(leaving.values())

    def keys(self, step: Step) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Nobody lists them."""
        raise NotImplementedError("nobody can list all rows of what is answered for")

    def hold_back(self) -> None:
        """Nothing is known here that would hold a row."""

    def leave_out(self, step: Step, other: Step) -> None:
        """No two steps share rows here."""

    def freeze(
        self, step: Step, digest_key: bytes, secrets: Secrets, *, new_only: bool = False
    ) -> Iterator[FrozenChunk]:
        """One chunk of each member's own rows, with all values that are to be written."""
        for member in sorted({member for index, member in self._found if index == step.index}):
            rows = self._to_freeze(step, member, new_only=new_only)
            if rows:
                yield _chunk(step, member, rows, digest_key, secrets[member])

    def _to_freeze(self, step: Step, member: int, *, new_only: bool) -> list[Row]:
        rows: dict[tuple[str | None, ...], Row] = {}
        for standing, row in self._found[step.index, member].rows.values():
            if standing is not Standing.OWN:
                continue
            key = _texts(row.get(name) for name in step.key)
            if not step.key or None in key:
                raise Refused(
                    "a row was answered without its key, by which it would be erased",
                    cause="no_key",
                    where=step.address,
                    fix=f"answer with {', '.join(step.key) or 'a declared primary_key'}",
                )
            if not (new_only and (step.index, key) in self._loaded):
                rows[key] = row
        return [rows[key] for key in sorted(rows, key=str)]


def _reached(link: Link, standing: Standing, exclusive: bool) -> Standing:
    """What a row is that a link reaches from a row of some standing."""
    if standing is not Standing.OWN:
        return Standing.CONTEXT
    if link.ownership in _DECLARED:
        return _DECLARED[link.ownership]
    if link.ownership == "auto" and link.points == "to_target" and not exclusive:
        return Standing.SHARED_ROW
    return Standing.OWN


def _seeds_in(step: Step, locators: Mapping[str, Mapping[str | None, Any]]) -> Iterator[Any]:
    for seed in step.seeds:
        yield from locators.get(seed.column, {}).values()


def _values(row: Row, column: str) -> list[Any]:
    base, _, rest = column.partition(".")
    return list(values_at(row.get(base.removesuffix("[]")), tuple(rest.split(".")) if rest else ()))


def _tuples(row: Row, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    if len(columns) == 1:
        yield from ((value,) for value in _values(row, columns[0]))
        return
    values = tuple(row.get(name) for name in columns)
    if None not in values:
        yield values


def _texts(values: Iterable[Any]) -> tuple[str | None, ...]:
    return tuple(map(canonical_text, values))


def _order(step: Step, row: Row) -> tuple[str, ...]:
    return (*(str(canonical_text(row.get(name))) for name in step.key), encode_json(dict(sorted(row.items()))).decode())


def _chunk(step: Step, member: int, rows: Sequence[Row], digest_key: bytes, secrets: Mapping[str, str]) -> FrozenChunk:
    current = {
        position: [canonical_text(row.get(mask.field)) for row in rows]
        for position, mask in enumerate(step.masks)
        if mask.parts or mask.form == "computed"
    }
    return FrozenChunk(
        step=step.index,
        number=0,
        keys=[[row[name] for row in rows] for name in step.key],
        owners=[member] * len(rows),
        others={},
        digests=[_digest(step, row, digest_key) for row in rows],
        masked=[
            None if position in current else [_masked(mask, row, secrets) for row in rows]
            for position, mask in enumerate(step.masks)
        ],
        current=current,
    )


def _masked(mask: Mask, row: Row, secrets: Mapping[str, str]) -> Any:
    if row.get(mask.field) is None or mask.expression is None:
        return None
    texts = {name: canonical_text(value) for name, value in row.items()}
    return evaluate(mask.expression, texts, secrets)


def _digest(step: Step, row: Row, key: bytes) -> bytes:
    names = [each.name for each in step.stored] if step.delete else [mask.field for mask in step.masks]
    told = encode_json([canonical_text(row.get(name)) for name in names])
    return hmac.digest(key, told, hashlib.sha256)
