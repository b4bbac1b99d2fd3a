"""Deletes: who may hold a row that is to be deleted, what is frozen too, and how foreign keys that form a cycle let go.

Whether a row is held is asked in the store, on rows; this names who can hold it. With `on_referenced: cascade` or
`null` the tables that point to deleted rows get steps of their own, level by level, described or not. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.core.expression import Null
from habeas.core.schema import ForeignKey, TableName, TableSchema
from habeas.plan.assemble import column_type
from habeas.plan.draft import Draft
from habeas.plan.graph import Incoming, Node
from habeas.plan.model import Caution, Column, Hold, Link, Mask, OnReferenced, Step
from habeas.plan.order import Run, components
from habeas.plan.ownership import Pointed, Pointers
from habeas.plan.substitutes import NULL


def widen_deletes(draft: Draft) -> Draft:
    """Give steps that delete their holds, and add the steps of rows that go, or let go, with deleted ones."""
    if not any(step.delete for step in draft.steps):
        return draft
    widening = _Widening(draft)
    for step in draft.steps:
        if step.delete:
            widening.take(step)
    widening.run()
    return widening.draft()


def order_deletes(draft: Draft) -> Draft:
    """Break cycles of foreign keys among steps that delete: nullable ones are untied, deferrable ones deferred."""
    changed = {step.index: step for step in draft.steps if step.delete}
    problems: list[Refused] = []
    ties = list(_all_ties(draft))
    for group in _cycles(list(changed), ties):
        problems += _let_go(changed, group, _within(ties, group))
    steps = tuple(changed.get(step.index, step) for step in draft.steps)
    return replace(draft, steps=steps, problems=(*draft.problems, *problems))


def earlier_writes(steps: tuple[Step, ...], *, forbidden_only: bool) -> Iterator[tuple[int, int]]:
    """Pairs of steps, the first to be written before the second: what points to deleted rows before these.

    `forbidden_only`: only where the store would refuse any other order.
    """
    by_table: dict[tuple[str, TableName], list[Step]] = defaultdict(list)
    for step in steps:
        if step.writes:
            by_table[step.connection, step.table].append(step)
    held = ((step, hold) for step in steps if step.delete for hold in step.holds)
    for step, hold in held:
        others = by_table.get((step.connection, hold.table), ())
        free = (other for other in others if other.index != step.index)
        yield from ((other.index, step.index) for other in free if not _is_free(other, step, hold, forbidden_only))


def deletes_before_masks(steps: tuple[Step, ...]) -> Iterator[tuple[int, int]]:
    """Pairs of steps, the first to be written before the second: rows that go with deleted ones before masks of the
    same table. A masked row would no longer be the frozen one that is to be deleted.
    """
    for gone in (step for step in steps if step.because == "cascade"):
        for other in steps:
            masks = other.masks and not other.delete and not other.because
            if masks and (other.connection, other.table) == (gone.connection, gone.table):
                yield gone.index, other.index


def _is_free(holder: Step, target: Step, hold: Hold, forbidden_only: bool) -> bool:
    """Whether the holder's rows need not go first: they let go before, or constraints wait."""
    untied = holder.delete and bool({column.name for column in hold.columns} & set(holder.untie))
    deferred = holder.together is not None and holder.together == target.together
    return untied or deferred or (forbidden_only and not hold.forbids)


def table_of(draft: Draft, connection: str, table: TableName) -> TableSchema | None:
    """The live schema of any table behind a connection, described or not; None where it isn't known."""
    for node in draft.graph.nodes.values():
        if node.bound.connection == connection and node.bound.schema is not None:
            found = node.bound.schema.find(table)
            if found is not None:
                return found
    return None


def _holds(draft: Draft, connection: str, table: TableName) -> tuple[Hold, ...]:
    """Who may hold rows of a table, described or not: foreign keys, and references that aren't."""
    found = [_by_key(incoming) for incoming in draft.graph.incoming.get((connection, table), ())]
    known = {_pairs(hold) for hold in found}
    found += (hold for hold in _by_reference(draft, connection, table) if _pairs(hold) not in known)
    return tuple(sorted(found, key=lambda each: (str(each.table), _names(each), each.target_columns)))


def _by_key(incoming: Incoming) -> Hold:
    live = {column.name: column for column in incoming.holder.columns}
    columns = tuple(Column(name, live[name].type, live[name].nullable) for name in incoming.key.columns)
    return Hold(incoming.holder.table, columns, incoming.key.target_columns, incoming.key.on_delete)


def _by_reference(draft: Draft, connection: str, table: TableName) -> Iterator[Hold]:
    """Declared references of the same store, on plain columns."""
    pointers = draft.pointers or Pointers(draft.graph)
    for address in draft.graph.step_of(connection, table):
        for pointed in pointers.at(address):
            holder = draft.graph.nodes.get(pointed.collection) if pointed.collection else None
            if holder is not None and holder.bound.connection == connection and is_flat(holder, pointed):
                columns = tuple(_column(holder, name) for name in pointed.columns)
                yield Hold(pointed.table, columns, pointed.target_columns)


def _names(hold: Hold) -> tuple[str, ...]:
    return tuple(column.name for column in hold.columns)


def _pairs(hold: Hold) -> tuple[TableName, frozenset[tuple[str, str]]]:
    return hold.table, frozenset(zip(_names(hold), hold.target_columns, strict=True))


def is_flat(holder: Node, pointed: Pointed) -> bool:
    """Whether plain columns point to plain columns."""
    inside = any("." in name or holder.inside(name) for name in (*pointed.columns, *pointed.target_columns))
    return not inside and (holder.table is None or all(name in holder.live for name in pointed.columns))


def _column(node: Node, name: str) -> Column:
    live = node.live.get(name)
    return Column(name, column_type(node, name), live.nullable if live else True)


@dataclass(frozen=True)
class _Way:
    """Rows of `hold` that point to rows of the step `source` go, or let go, with them."""

    source: int
    hold: Hold
    mode: OnReferenced


class _Widening:
    """Steps in the making: those of the draft that delete, and those that come with them."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._steps = list(draft.steps)
        self._added: dict[tuple[str, TableName, str, tuple[str, ...]], int] = {}
        self._waiting: deque[_Way] = deque()
        self._problems: list[Refused] = []
        self._warnings: list[Caution] = []
        self._link = max((link.id for step in draft.steps for link in step.links), default=-1) + 1

    def take(self, step: Step) -> None:
        """A step of the draft that deletes."""
        node = self._draft.graph.nodes[CollectionAddress.parse(step.address)]
        mode = _mode(node)
        triggered = node.table is not None and node.table.delete_triggers
        held = msgspec.structs.replace(step, on_referenced=mode, triggered=triggered and mode in ("mask", "refuse"))
        if triggered:
            self._warn_trigger(step.address, mode)
        self._delete(held)

    def _warn_trigger(self, address: str, mode: OnReferenced) -> None:
        if mode in ("mask", "refuse"):
            message = "a trigger runs when its rows are deleted and could touch others: they are not deleted"
            fix = "declare on_referenced cascade or null if the trigger touches nobody else's rows"
        else:
            message, fix = (
                "a trigger runs when its rows are deleted: what it touches is neither counted nor verified",
                "",
            )
        self._warnings.append(Caution(address, "trigger", message, fix))

    def _delete(self, step: Step) -> None:
        """Note who may hold the step's rows; with `cascade` and `null` they come with it."""
        holds = _holds(self._draft, step.connection, step.table)
        needed = [name for hold in holds for name in hold.target_columns]
        self._steps[step.index] = msgspec.structs.replace(
            step, holds=holds, columns=self._with(step, needed) if holds else step.columns
        )
        if step.on_referenced in ("cascade", "null"):
            self._waiting += (_Way(step.index, hold, step.on_referenced) for hold in holds)

    def _with(self, step: Step, names: list[str]) -> tuple[Column, ...]:
        table = table_of(self._draft, step.connection, step.table)
        known = {column.name for column in step.columns}
        lacking = sorted(set(names) - known)
        found = [table.column(name) for name in lacking] if table else []
        return (*step.columns, *(Column(each.name, each.type, each.nullable) for each in found if each is not None))

    def run(self) -> None:
        """Follow who points to what is deleted, level by level."""
        while self._waiting:
            way = self._waiting.popleft()
            source = self._steps[way.source]
            table = table_of(self._draft, source.connection, way.hold.table)
            if table is None:
                continue
            columns = tuple(column.name for column in way.hold.columns)
            which = columns if way.mode == "null" else ()
            at = (source.connection, way.hold.table, way.mode, which)
            if at not in self._added:
                self._add(at, source, table, way)
            index = self._added.get(at)
            if index is not None:
                self._follow(index, way)

    def _add(
        self, at: tuple[str, TableName, str, tuple[str, ...]], source: Step, table: TableSchema, way: _Way
    ) -> None:
        address = self._address(source, table)
        problem = _refusal(table, address, way)
        if problem is not None:
            self._problems.append(problem)
            return
        deletes = way.mode == "cascade"
        step = Step(
            index=len(self._steps),
            address=address,
            connection=source.connection,
            table=table.table,
            fingerprint=table.fingerprint,
            columns=tuple(Column(each.name, each.type, each.nullable) for each in table.columns),
            key=_key(table),
            masks=() if deletes else tuple(_null(column.name) for column in way.hold.columns),
            delete=deletes,
            on_referenced=way.mode if deletes else "mask",
            because="cascade" if deletes else "null",
        )
        self._added[at] = step.index
        self._steps.append(step)
        if deletes:
            self._delete(step)

    def _address(self, source: Step, table: TableSchema) -> str:
        described = self._draft.graph.step_of(source.connection, table.table)
        if described:
            return str(described[0])
        return str(CollectionAddress(CollectionAddress.parse(source.address).dataset, table.table.name))

    def _follow(self, index: int, way: _Way) -> None:
        step, source = self._steps[index], self._steps[way.source]
        families = [source.column(name).type.family for name in way.hold.target_columns]
        native = all(column.type.family is family for column, family in zip(way.hold.columns, families, strict=True))
        link = Link(
            id=self._link,
            source=way.source,
            source_columns=way.hold.target_columns,
            columns=tuple(column.name for column in way.hold.columns),
            points="to_source",
            ownership="owned",
            compare="native" if native else "text",
        )
        self._link += 1
        self._steps[index] = msgspec.structs.replace(step, links=(*step.links, link))

    def draft(self) -> Draft:
        """The draft with all of them."""
        draft, added = self._draft, self._steps[len(self._draft.steps) :]
        connections = list(dict.fromkeys(step.connection for step in added))
        # Steps of one connection run as one segment, so they must be neighbours.
        ordered = [step for connection in connections for step in added if step.connection == connection]
        moved = {step.index: len(draft.steps) + place for place, step in enumerate(ordered)}
        steps = [*self._steps[: len(draft.steps)], *(_renumbered(step, moved) for step in ordered)]
        runs = [
            Run(each, tuple(CollectionAddress.parse(step.address) for step in ordered if step.connection == each), None)
            for each in connections
        ]
        return replace(
            draft,
            steps=tuple(steps),
            runs=(*draft.runs, *runs),
            problems=(*draft.problems, *self._problems),
            warnings=(*draft.warnings, *self._warnings),
        )


def _renumbered(step: Step, moved: Mapping[int, int]) -> Step:
    links = tuple(msgspec.structs.replace(link, source=moved.get(link.source, link.source)) for link in step.links)
    return msgspec.structs.replace(step, index=moved[step.index], links=links)


def _mode(node: Node) -> OnReferenced:
    override = node.collection.masking_strategy_override
    chosen = override.configuration.get("on_referenced", "mask") if override is not None else "mask"
    return "null" if chosen is None else cast("OnReferenced", chosen)  # YAML's bare null


def _key(table: TableSchema) -> tuple[str, ...]:
    nullable = {column.name for column in table.columns if column.nullable}
    sound = [key for key in table.uniques if not nullable.intersection(key)]
    return table.primary_key or min(sound, key=lambda key: (len(key), key), default=())


def _null(column: str) -> Mask:
    return Mask(field=column, rule="", strategy=NULL, form="constant", expression=Null())


def _refusal(table: TableSchema, address: str, way: _Way) -> Refused | None:
    key = _key(table)
    columns = [column.name for column in way.hold.columns]
    stiff = [column.name for column in way.hold.columns if not column.nullable or column.name in key]
    allowed = table.deletable if way.mode == "cascade" else table.writable
    fix = "declare on_referenced mask on the collection whose rows are deleted, or mask them"
    if table.is_view or not allowed:
        verb = "DELETE from" if way.mode == "cascade" else "UPDATE"
        message = f"rows of {table.table} point to deleted ones, but the credentials may not {verb} it"
        return Refused(message, cause="no_privilege", where=address, fix=f"grant {verb} on {table.table}, or {fix}")
    if not key:
        message = f"rows of {table.table} point to deleted ones, but have no key"
        return Refused(message, cause="no_key", where=address, fix=fix)
    if way.mode == "null" and stiff:
        message = f"{', '.join(columns)} points to deleted rows and can't be NULL"
        return Refused(message, cause="referenced", where=f"{address}:{','.join(stiff)}", fix=fix)
    return None


@dataclass(frozen=True)
class _Tie:
    """A foreign key between two steps that delete, which forbids to delete its target first."""

    holder: int
    target: int
    hold: Hold
    key: ForeignKey


def _all_ties(draft: Draft) -> Iterator[_Tie]:
    for step in draft.steps:
        for hold in step.holds if step.delete else ():
            yield from _ties(draft, step, hold) if hold.forbids else ()


def _ties(draft: Draft, step: Step, hold: Hold) -> Iterator[_Tie]:
    table = table_of(draft, step.connection, hold.table)
    keys = [key for key in table.foreign_keys if _is_key_of(key, hold, step)] if table else []
    at = (step.connection, hold.table)
    holders = [each.index for each in draft.steps if each.delete and (each.connection, each.table) == at]
    yield from (_Tie(index, step.index, hold, key) for key in keys for index in holders)


def _is_key_of(key: ForeignKey, hold: Hold, step: Step) -> bool:
    return key.columns == _names(hold) and key.table == step.table


def _within(ties: list[_Tie], group: frozenset[int]) -> list[_Tie]:
    return [tie for tie in ties if tie.holder in group and tie.target in group]


def _cycles(nodes: list[int], ties: list[_Tie]) -> list[frozenset[int]]:
    """Groups of steps whose foreign keys form a cycle; a step that points to itself is one."""
    successors: dict[int, list[int]] = defaultdict(list)
    for tie in ties:
        successors[tie.holder].append(tie.target)
    groups: dict[int, set[int]] = defaultdict(set)
    for node, number in components(nodes, successors).items():
        groups[number].add(node)
    looped = {tie.holder for tie in ties if tie.holder == tie.target}
    return [frozenset(group) for group in groups.values() if len(group) > 1 or group & looped]


def _let_go(steps: dict[int, Step], group: frozenset[int], ties: list[_Tie]) -> Iterator[Refused]:
    """Untie what is nullable; what still forms a cycle is deferred, or refused."""
    loose = [tie for tie in ties if all(column.nullable for column in tie.hold.columns)]
    for tie in loose:
        holder = steps[tie.holder]
        untie = tuple(dict.fromkeys((*holder.untie, *_names(tie.hold))))
        steps[tie.holder] = msgspec.structs.replace(holder, untie=untie)
    stiff = [tie for tie in ties if tie not in loose]
    for left in _cycles(sorted(group), stiff):
        yield from _defer(steps, left, _within(stiff, left))


def _defer(steps: dict[int, Step], group: frozenset[int], ties: list[_Tie]) -> Iterator[Refused]:
    if all(tie.key.deferrable for tie in ties):
        steps.update({index: msgspec.structs.replace(steps[index], together=min(group)) for index in group})
    elif len(group) > 1 or any(tie.key.on_delete == "RESTRICT" for tie in ties):
        yield _refuse_cycle(steps, group)


def _refuse_cycle(steps: dict[int, Step], group: frozenset[int]) -> Refused:
    names = [steps[index].address for index in sorted(group)]
    return Refused(
        f"can't be deleted in any order: foreign keys of {', '.join(dict.fromkeys(names))} form a cycle",
        cause="foreign_key_cycle",
        where=names[0],
        fix="make one of the foreign keys nullable or deferrable, or mask the rows of one of them instead",
    )
