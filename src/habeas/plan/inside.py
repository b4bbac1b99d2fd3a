"""Values inside columns: how the plan names and types what references and identities find there.

A value in a document has no type of its own that a store could vouch for, so it is compared as an integer or a
UUID only where the dataset, the array's type or the other end of its reference says so; else as text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from habeas.core.errors import Refused
from habeas.core.schema import ColumnType, TypeFamily
from habeas.plan.graph import Graph, Node, Paths
from habeas.plan.model import Column

_NATIVE: Mapping[TypeFamily, str] = {
    TypeFamily.TEXT: "text",
    TypeFamily.INTEGER: "integer",
    TypeFamily.UUID: "uuid",
}
_DECLARED: Mapping[str, TypeFamily] = {
    "string": TypeFamily.TEXT,
    "text": TypeFamily.TEXT,
    "object_id": TypeFamily.TEXT,
    "integer": TypeFamily.INTEGER,
    "uuid": TypeFamily.UUID,
}
_ARRAYS: Mapping[str, TypeFamily] = {
    "smallint[]": TypeFamily.INTEGER,
    "integer[]": TypeFamily.INTEGER,
    "bigint[]": TypeFamily.INTEGER,
    "uuid[]": TypeFamily.UUID,
}


def compared_name(node: Node, path: str) -> str:
    """The plan's name of a field that something is compared with."""
    return path if "." in path or node.inside(path) is None else f"{path}[]"


def compared_column(graph: Graph, node: Node, path: str) -> Column | None:
    """The column of values inside a column; None where the field is a column itself."""
    inside = node.inside(path)
    if inside is None:
        return None
    family = _family(graph, node, path)
    return Column(compared_name(node, path), ColumnType(family, _NATIVE[family]), inside=inside)


def _family(graph: Graph, node: Node, path: str) -> TypeFamily:
    field, live = node.fields.get(path), node.live.get(path)
    if field is not None and field.data_type is not None:
        return _DECLARED.get(field.data_type, TypeFamily.TEXT)
    if live is not None and live.type.family is TypeFamily.ARRAY:
        return _ARRAYS.get(live.type.native, TypeFamily.TEXT)
    return next(_families_of_others(graph, node, path), TypeFamily.TEXT)


def _families_of_others(graph: Graph, node: Node, path: str) -> Iterator[TypeFamily]:
    """Families at the other ends of the field's references, where those are columns."""
    ends = (
        end
        for edge in graph.edges
        for end in (
            (edge.left, edge.left_paths, edge.right, edge.right_paths),
            (edge.right, edge.right_paths, edge.left, edge.left_paths),
        )
    )
    for here, paths, there, others in ends:
        if here != node.address or path not in paths:
            continue
        other = graph.nodes[there].live.get(others[paths.index(path)])
        if other is not None and other.type.family in _NATIVE:
            yield other.type.family


def refuse_unreadable(node: Node, path: str) -> Refused | None:
    """Why the store can't look inside the field's column, None if it can."""
    inside, schema = node.inside(path), node.bound.schema
    live = node.live.get(inside.column) if inside else None
    if live is None or schema is None or live.type.family in schema.documents:
        return None
    known = ", ".join(schema.documents) or "no column"
    return Refused(
        f"lies inside a column of type {live.type.native or 'unknown'}; in this store habeas looks inside: {known}",
        cause="nested_field",
        where=f"{node.address}:{path}",
        fix="change the column's type, or refer to the column itself",
    )


def refuse_tuple(node: Node, paths: Paths) -> Refused | None:
    """Why paths can't match as a tuple: of several inside columns nobody tells which elements go together."""
    if len(paths) == 1 or all(node.inside(path) is None for path in paths):
        return None
    return Refused(
        "a field inside a column can't be part of a composite reference",
        cause="nested_field",
        where=f"{node.address}:{','.join(paths)}",
        fix="give the references no `key`, so that each is followed by itself",
    )
