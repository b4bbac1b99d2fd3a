"""Re-keying: natural keys that hold personal data get another value, where every place that holds them follows.

That is so where nothing points to them, or only foreign keys whose ON UPDATE CASCADE carries the new value on, or
columns of the same store that declared references put there, which habeas writes together with the key. Where a place
would be left behind, or rows could no longer be found by the keys that were frozen, it is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from typing import NamedTuple

from habeas.core.address import CollectionAddress
from habeas.core.schema import ColumnType, TableName, TypeFamily
from habeas.masking.registry import strategy
from habeas.plan.assemble import key_of
from habeas.plan.draft import Draft
from habeas.plan.graph import Graph, Incoming, Node, Paths
from habeas.plan.model import Carry, Standing, Step

MIN_LENGTH = 12  # characters of a random key that meets no other


def why_not_rekeyed(graph: Graph, node: Node, path: str) -> str | None:
    """Why a targeted column that is a key can't get another value; None if it can."""
    if node.table is None:
        return "the store shows no schema, so what points to it is unknown"
    live = node.live[path]
    if live.type.family is not TypeFamily.TEXT or (live.type.length or MIN_LENGTH) < MIN_LENGTH:
        return f"a random value doesn't fit its type {live.type.native}"
    if any(path in key.columns for key in node.table.foreign_keys):
        return "it is a foreign key itself"
    return next(_left_behind(graph, node, path), None)


def _left_behind(graph: Graph, node: Node, path: str) -> Iterator[str]:
    carried = set()
    for incoming in graph.pointing_at(node):
        if path not in incoming.key.target_columns:
            continue
        yield from _left_by_key(graph, node, incoming)
        pairs = zip(incoming.key.columns, incoming.key.target_columns, strict=True)
        carried |= {(incoming.holder.table, here) for here, there in pairs if there == path}
    for end in _ends(graph, node, path):
        if not _is_carried(graph, carried, end, path):
            why = _why_not_followed(graph, node, end)
            if why is not None:
                yield f"{end.other}:{','.join(end.theirs)} refers to it without a foreign key, and {why}"


def _left_by_key(graph: Graph, node: Node, incoming: Incoming) -> Iterator[str]:
    by = f"{incoming.holder.table} ({', '.join(incoming.key.columns)})"
    if incoming.key.on_update != "CASCADE":
        yield f"{by} points to it without ON UPDATE CASCADE"
    described = graph.step_of(node.bound.connection, incoming.holder.table)
    declared = {name for address in described for name in graph.nodes[address].declared_key}
    if set(incoming.key.columns) & {*incoming.holder.primary_key, *declared}:
        yield f"{by} points to it by its own key"
    for address, here in product(described, incoming.key.columns):
        if (why := _why_it_stays(graph.nodes[address], here)) is not None:
            yield f"{by} would follow it, but {address}:{here} {why}"


class _End(NamedTuple):
    """A declared reference that has a column at one end, seen from there."""

    other: CollectionAddress
    ours: Paths
    theirs: Paths


def _ends(graph: Graph, node: Node, path: str) -> Iterator[_End]:
    for edge in graph.edges:
        if edge.left == node.address and path in edge.left_paths:
            yield _End(edge.right, edge.left_paths, edge.right_paths)
        if edge.right == node.address and path in edge.right_paths:
            yield _End(edge.left, edge.right_paths, edge.left_paths)


def _is_carried(graph: Graph, carried: set[tuple[TableName, str]], end: _End, path: str) -> bool:
    """Whether a foreign key of the same store carries the new value on."""
    return (graph.nodes[end.other].table_name, end.theirs[end.ours.index(path)]) in carried


def _why_not_followed(graph: Graph, node: Node, end: _End) -> str | None:
    """Why habeas itself can't give the other end the new key; None if it can."""
    other = graph.nodes[end.other]
    if other.bound.connection != node.bound.connection:
        return "lies in another store"
    if other.table is None or not other.table.writable or other.table.is_view:
        return "can't be written"
    if other.table_name == node.table_name:
        return "lies in the same table"
    if other.table.versioned or other.table.row_security:
        return "its store would keep or hide old values"
    if not set(end.ours) <= set(key_of(node)):
        return "refers to more than the key"
    return next(_misfits(node, other, end), None)


def _misfits(node: Node, other: Node, end: _End) -> Iterator[str]:
    taken = _key_columns(other)
    for ours, theirs in zip(end.ours, end.theirs, strict=True):
        here, there = node.live[ours], other.live.get(theirs)
        if there is None or there.generated or other.inside(theirs) is not None:
            yield "isn't a column that can be written"
        elif (why := _why_it_stays(other, theirs)) is not None:
            yield why
        elif theirs in taken:
            yield "is a key itself"
        elif not _holds(there.type, here.type):
            yield "its column doesn't hold what the key can hold"


def _why_it_stays(node: Node, path: str) -> str | None:
    """Why a column is not to get another value, as it is declared; None if it may."""
    field = node.fields.get(path)
    if field is None:
        return None
    choice = field.masking_strategy_override
    if choice is not None and strategy(choice.strategy).keeps:
        return f"is declared {choice.strategy}"
    return "is read_only" if field.read_only else None


def _key_columns(node: Node) -> set[str]:
    table = node.table
    if table is None:
        return set(node.declared_key)
    foreign = (key.columns for key in table.foreign_keys)
    return {*node.declared_key, *table.primary_key}.union(*table.uniques, *foreign)


def _holds(kind: ColumnType, other: ColumnType) -> bool:
    """Whether a column of the one type holds each value of the other."""
    return kind.family is other.family and (kind.length or 1 << 31) >= (other.length or 0)


def carries_of(graph: Graph, node: Node, fields: Collection[str]) -> tuple[Carry, ...]:
    """Who follows these re-keyed columns without a foreign key that carries them on."""
    found: dict[tuple[TableName, Paths], Carry] = {}
    for path in fields:
        carried = {
            (incoming.holder.table, here)
            for incoming in graph.pointing_at(node)
            for here, there in zip(incoming.key.columns, incoming.key.target_columns, strict=True)
            if there == path
        }
        for end in _ends(graph, node, path):
            if not _is_carried(graph, carried, end, path):
                table = graph.nodes[end.other].table_name
                found[table, end.theirs] = Carry(table, end.theirs, end.ours)
    return tuple(found[key] for key in sorted(found))


def carriers(draft: Draft, node: Node, path: str) -> list[str]:
    """Addresses of the collections whose re-keyed column a targeted column follows; [] if it doesn't."""
    found = []
    for key in node.table.foreign_keys if node.table else ():
        if path in key.columns and key.on_update == "CASCADE":
            target = key.target_columns[key.columns.index(path)]
            addresses = draft.graph.step_of(node.bound.connection, key.table)
            found += [str(address) for address in addresses if _is_rekeyed(draft, address, target)]
    return found


def leaders(draft: Draft, node: Node, path: str) -> list[str]:
    """The same for a column that refers to a key without a foreign key."""
    ends = ((end.other, end.theirs[end.ours.index(path)]) for end in _ends(draft.graph, node, path))
    return [
        str(other)
        for other, target in ends
        if target in key_of(draft.graph.nodes[other]) and _is_rekeyed(draft, other, target)
    ]


def _is_rekeyed(draft: Draft, address: CollectionAddress, column: str) -> bool:
    targeted = any(each.path == column for each in draft.selection(address).erasures)
    own = draft.standings.get(address) is Standing.OWN
    return targeted and own and why_not_rekeyed(draft.graph, draft.graph.nodes[address], column) is None


def later_writes(draft: Draft) -> Iterator[tuple[int, int]]:
    """Pairs of steps, the first to be written before the second: keys get new values after what points to them."""
    for step in (each for each in draft.steps if each.rekeys):
        others = (each for each in draft.steps if each.index != step.index and each.connection == step.connection)
        for other in others:
            if other.writes and (not other.rekeys or _points(draft, other, step)):
                yield other.index, step.index


def _points(draft: Draft, holder: Step, target: Step) -> bool:
    incoming = draft.graph.incoming.get((target.connection, target.table), ())
    return any(each.holder.table == holder.table for each in incoming)
