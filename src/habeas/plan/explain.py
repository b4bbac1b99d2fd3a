"""Explains a plan: what would be read and written, where, how and why, as plain data and as text.

Reads the very plan that execution reads. Counts and compiled statements are the caller's; without them it
says what structure alone tells. Holds no identity values. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from habeas.core.expression import Constant, Null
from habeas.plan.kept import KeptRows, kept_rows
from habeas.plan.model import Caution, Link, Mask, NotSearched, Plan, Pointing, Seed, Segment, Standing, Step

Counts = Mapping[int, Mapping[Standing, int]]
"""Found rows by step index and standing."""

_FOUND = {
    "own": "the person's",
    "shared": "shared",
    "shared_row": "also somebody else's",
    "context": "shown as context",
    "person": "somebody else's",
}
"""Standings, as counts of rows tell them to people."""

_SUBSTITUTED = {
    "type": "the policy's strategy doesn't fit the column's type",
    "not_null": "the column can't be NULL",
    "unique": "the column is unique",
    "natural_key": "the column is a key",
}
_KEPT = {
    "key_kept": "a number or UUID that only joins rows (key_kept)",
    "context": "its rows are shown and never written (context)",
    "shared_row": "its rows are also somebody else's (shared_row)",
    "person": "its rows are somebody else (person)",
}

_STANDING = {
    Standing.OWN: "own",
    Standing.SHARED: "shared",
    Standing.SHARED_ROW: "shared_row",
    Standing.CONTEXT: "context",
    Standing.PERSON: "person",
}


class StatementLike(Protocol):
    """A compiled statement, as connectors give it."""

    @property
    def address(self) -> str:
        """The collection it is for."""
        ...

    @property
    def purpose(self) -> str:
        """What it does, in one word."""
        ...

    @property
    def text(self) -> str:
        """The statement; parameters are named, never valued."""
        ...


class Query(msgspec.Struct, frozen=True):
    """One statement of a collection."""

    purpose: str
    text: str


class FieldWrite(msgspec.Struct, frozen=True):
    """What an erasure does to one field. `substituted` says why the policy's strategy doesn't fit."""

    field: str
    strategy: str
    effect: str
    rule: str
    substituted: str | None = None


class KeptField(msgspec.Struct, frozen=True):
    """A targeted field that stays, and why."""

    field: str
    reason: str


class CollectionPart(msgspec.Struct, frozen=True):
    """One collection of a plan, in order of execution. `rows` is None where nothing was counted; otherwise
    rows by standing (own, shared, shared_row, context, person), and in `kept_rows` why some stay.
    """

    address: str
    connection: str
    table: str
    key: tuple[str, ...]
    found_by: tuple[str, ...]
    held_back_by: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[FieldWrite, ...]
    kept: tuple[KeptField, ...]
    deletes: bool
    write_order: int | None
    segment: int
    queries: tuple[Query, ...] = ()
    delete_notes: tuple[str, ...] = ()
    rows: Mapping[str, int] | None = None
    kept_rows: tuple[KeptRows, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """A plan in words. JSON by msgspec or `document`, text by `render`."""

    policy: str
    digest: str
    kinds: tuple[str, ...]
    absent_kinds: tuple[str, ...]
    collections: tuple[CollectionPart, ...]
    not_searched: tuple[NotSearched, ...]
    warnings: tuple[Caution, ...]

    def document(self) -> object:
        """The explanation as mappings, lists, strings and numbers."""
        return msgspec.to_builtins(self)

    def render(self) -> str:
        """The explanation as text for people, ending in a newline."""
        return "\n".join(_lines(self)) + "\n"


def explain(
    plan: Plan,
    statements: Callable[[Plan, Segment], Sequence[StatementLike]] | None = None,
    counts: Counts | None = None,
    held: Mapping[int, int] | None = None,
) -> Explanation:
    """Explain a plan. `statements` compiles a segment, as a connector does; None leaves the queries out. `held` counts
    rows by step that are masked instead of deleted.
    """
    queries: dict[str, list[Query]] = defaultdict(list)
    segment_of: dict[int, int] = {}
    for number, segment in enumerate(plan.segments):
        segment_of.update(dict.fromkeys(segment.steps, number))
        for each in statements(plan, segment) if statements else ():
            queries[each.address].append(Query(each.purpose, each.text))
    return Explanation(
        policy=plan.policy,
        digest=plan.digest(),
        kinds=plan.kinds,
        absent_kinds=plan.absent_kinds,
        collections=tuple(
            _part(plan, step, segment_of[step.index], tuple(queries[shown_place(step)]), counts, held or {})
            for step in plan.steps
        ),
        not_searched=plan.not_searched,
        warnings=plan.warnings,
    )


def shown_place(step: Step) -> str:
    """The collection's address; own fields in shared rows are told apart from it."""
    return step.address if step.own_of is None else step.place


def _part(
    plan: Plan, step: Step, segment: int, queries: tuple[Query, ...], counts: Counts | None, held: Mapping[int, int]
) -> CollectionPart:
    rows, kept_why = None, tuple[KeptRows, ...]()
    if counts is not None:
        kept_why = kept_rows(plan, step, counts.get(step.index, {}), held.get(step.index, 0))
        found = counts.get(step.index, {})
        rows = {_STANDING[standing]: found[standing] for standing in Standing if found.get(standing)}
    return CollectionPart(
        address=shown_place(step),
        connection=step.connection,
        table=str(step.table),
        key=step.key or step.alike,
        found_by=(*(_seed(seed) for seed in step.seeds), *(_link(plan, link) for link in step.links)),
        held_back_by=tuple(_held_back(plan, step)),
        reads=tuple(output.path for output in step.output),
        writes=tuple(
            FieldWrite(mask.field, mask.strategy, _effect(mask), mask.rule, mask.substituted)
            for mask in step.field_masks
        ),
        kept=tuple(KeptField(kept.field, kept.reason) for kept in step.kept),
        deletes=step.delete,
        write_order=step.write_rank if step.writes else None,
        segment=segment,
        queries=queries,
        delete_notes=tuple(_delete_notes(step)),
        rows=rows,
        kept_rows=kept_why,
    )


def _seed(seed: Seed) -> str:
    how = "written exactly as given" if seed.match == "exact" else "in any spelling"
    unsaid = "" if seed.declared else ", though no dataset says that it holds one"
    return f"the given {seed.kind} in {seed.column}, {how}{unsaid}"


_POINTS = {
    "to_source": "these rows point to those",
    "to_target": "those rows point to these",
    "neither": "neither of the two is a key",
}


def _link(plan: Plan, link: Link) -> str:
    source = plan.steps[link.source].address
    notes = [_POINTS[link.points]]
    notes += [f"declared {link.ownership}"] if link.ownership != "auto" else []
    notes += ["compared as text"] if link.compare == "text" else []
    return f"{_names(link.columns)} = {source}:{_names(link.source_columns)} ({'; '.join(notes)})"


def _held_back(plan: Plan, step: Step) -> Iterator[str]:
    """The tests that make a row somebody else's or shared, once each."""
    texts: dict[str, None] = {}
    for link in step.links:
        for rival in link.rivals:
            people = plan.steps[rival.people].address
            names = f"found by {_names(link.columns)} while {_names(rival.columns)} names somebody else of {people}"
            texts[f"{names} ({_STANDING[rival.standing]})"] = None
    for pointing in step.pointings:
        texts[_pointing(plan, pointing)] = None
    yield from texts


def _pointing(plan: Plan, pointing: Pointing) -> str:
    by = f"points to it by {_names(pointing.columns)} (shared_row)"
    if pointing.step is None:
        return f"any row of table {pointing.table}, which isn't searched, {by}"
    table = plan.steps[pointing.step].address
    return f"somebody else's row of {table}{', in another store,' if pointing.far else ''} {by}"


_IF_HELD = {
    "mask": "masked instead",
    "refuse": "not deleted, and the request is refused,",
    "cascade": "deleted together with that row",
    "null": "deleted, and that row lets go,",
}


def _delete_notes(step: Step) -> Iterator[str]:
    """What else happens when rows are deleted, or because others are."""
    if step.because:
        what = "deleted" if step.because == "cascade" else "changed"
        yield f"{what} only because what its rows point to is deleted (on_referenced {step.because})"
    elif step.delete:
        for hold in step.holds:
            by = f"{hold.table} ({_names([column.name for column in hold.columns])})"
            yield f"{_IF_HELD[step.on_referenced]} if a row of {by} that stays points to it"
        for far in step.far_holds:
            yield f"masked instead if a row of {far.holder.address} ({_names(far.columns)}) that stays refers to it"
        if step.triggered:
            yield f"{_IF_HELD[step.on_referenced]} since a trigger runs at a delete"
    if step.untie:
        yield f"sets {', '.join(step.untie)} to NULL first, since foreign keys form a cycle"
    if step.together is not None:
        yield "deleted in one transaction with constraints deferred, since foreign keys form a cycle"


def _effect(mask: Mask) -> str:
    """What is written, in words; a constant is the policy's own text, not data."""
    if isinstance(mask.expression, Null):
        return "NULL"
    cut = f", cut to {mask.length} characters" if mask.length is not None else ""
    if isinstance(mask.expression, Constant):
        return msgspec.json.encode(mask.expression.value).decode()
    where = "computed by the store" if mask.form == "pushed" else "computed by habeas"
    return f"{mask.strategy}{' for each row' if mask.per_row else ''}, {where}{cut}"


def _names(columns: Sequence[str]) -> str:
    return columns[0] if len(columns) == 1 else f"({', '.join(columns)})"


def _lines(explanation: Explanation) -> Iterator[str]:
    kinds = ", ".join(explanation.kinds) or "no identity"
    yield f"policy {explanation.policy}, for a person given by {kinds}"
    if explanation.absent_kinds:
        yield f"would also be looked up by, if given: {', '.join(explanation.absent_kinds)}"
    if not explanation.collections:
        yield "nothing is read or written: no collection that can be searched holds what the policy targets"
    segment, turns = -1, len({part.write_order for part in explanation.collections} - {None})
    for part in explanation.collections:
        if part.segment != segment:
            segment = part.segment
            yield ""
            yield f"[{segment + 1}] connection {part.connection}"
        yield from _part_lines(part, turns)
    if explanation.not_searched:
        yield ""
        yield "not searched"
        yield from (f"  {each.address}: {each.reason} ({each.detail})" for each in explanation.not_searched)
    if explanation.warnings:
        yield ""
        yield "warnings"
        yield from _warning_lines(explanation.warnings)


def _warning_lines(warnings: Sequence[Caution]) -> Iterator[str]:
    """Each place once, with all that is said of it."""
    by_place: dict[str, list[Caution]] = {}
    for each in warnings:
        by_place.setdefault(each.address, []).append(each)
    for place, said in by_place.items():
        yield f"  {place}"
        for each in said:
            yield f"    {each.message}"
            fixes = each.fix.split("; ") if each.code == "scan" else each.fix.splitlines()
            yield from (f"      {line}" for line in fixes)


def _part_lines(part: CollectionPart, turns: int) -> Iterator[str]:
    yield f"  {part.address}{_rows(part.rows)}"
    yield from (f"    found by {each}" for each in part.found_by)
    yield from (f"    left as it is where {each}" for each in part.held_back_by)
    if part.reads:
        yield f"    reads {', '.join(part.reads)}"
    if part.deletes:
        yield f"    deletes rows{_turn(part, turns)}{_known_by(part)}"
    elif part.writes:
        yield f"    masks{_turn(part, turns)}{_known_by(part)}"
    yield from (f"      {each}" for each in part.delete_notes)
    yield from _write_lines(part)
    yield from (f"    keeps {each.field}: {_KEPT.get(each.reason, each.reason)}" for each in part.kept)
    yield from (line for row in part.kept_rows for line in row.lines())
    for query in part.queries:
        yield f"    {query.purpose}: {' '.join(query.text.split())}"


def _write_lines(part: CollectionPart) -> Iterator[str]:
    for write in part.writes if not part.deletes else ():
        substituted = f" ({_SUBSTITUTED.get(write.substituted, write.substituted)})" if write.substituted else ""
        yield f"      {write.field} := {write.effect}{substituted}"


def _turn(part: CollectionPart, turns: int) -> str:
    """When its rows are written, where that isn't all at once."""
    return "" if part.write_order is None or turns == 1 else f" in turn {part.write_order + 1} of {turns}"


def _known_by(part: CollectionPart) -> str:
    """By what rows are known again when they are written."""
    return f", each row known by its {_names(part.key)}" if part.key else ""


def _rows(rows: Mapping[str, int] | None) -> str:
    if rows is None:
        return ""
    return f": {', '.join(f'{count} {_FOUND[standing]}' for standing, count in rows.items()) or 'no rows'}"
