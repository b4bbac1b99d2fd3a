"""Re-keying: natural keys that hold personal data get another value, where every place that holds them follows.

That is so where nothing points to them, or only foreign keys whose ON UPDATE CASCADE carries the new value on. Where
a place would be left behind, or rows could no longer be found by the keys that were frozen, it is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from habeas.core.address import CollectionAddress
from habeas.core.schema import TypeFamily
from habeas.plan.draft import Draft
from habeas.plan.graph import Graph, Node
from habeas.plan.model import Standing, Step

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
        by = f"{incoming.holder.table} ({', '.join(incoming.key.columns)})"
        if incoming.key.on_update != "CASCADE":
            yield f"{by} points to it without ON UPDATE CASCADE"
        described = graph.step_of(node.bound.connection, incoming.holder.table)
        declared = {name for address in described for name in graph.nodes[address].declared_key}
        if set(incoming.key.columns) & {*incoming.holder.primary_key, *declared}:
            yield f"{by} points to it by its own key"
        pairs = zip(incoming.key.columns, incoming.key.target_columns, strict=True)
        carried |= {(incoming.holder.table, here) for here, there in pairs if there == path}
    for there, name in _referred(graph, node, path):
        other = graph.nodes[there]
        near = other.bound.connection == node.bound.connection
        if not near or (other.table_name, name) not in carried:
            yield f"{there}:{name} refers to it without a foreign key that carries the new value on"


def _referred(graph: Graph, node: Node, path: str) -> Iterator[tuple[CollectionAddress, str]]:
    """Fields that declared references put at the other end of the column."""
    for edge in graph.edges:
        if edge.left == node.address and path in edge.left_paths:
            yield edge.right, edge.right_paths[edge.left_paths.index(path)]
        if edge.right == node.address and path in edge.right_paths:
            yield edge.left, edge.left_paths[edge.right_paths.index(path)]


def carriers(draft: Draft, node: Node, path: str) -> list[str]:
    """Addresses of the collections whose re-keyed column a targeted foreign key column follows; [] if it doesn't."""
    found = []
    for key in node.table.foreign_keys if node.table else ():
        if path not in key.columns or key.on_update != "CASCADE":
            continue
        target = key.target_columns[key.columns.index(path)]
        for address in draft.graph.step_of(node.bound.connection, key.table):
            targeted = any(each.path == target for each in draft.selection(address).erasures)
            own = draft.standings.get(address) is Standing.OWN
            if targeted and own and why_not_rekeyed(draft.graph, draft.graph.nodes[address], target) is None:
                found.append(str(address))
    return found


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
