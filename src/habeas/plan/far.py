"""Far holds: references to rows that are to be deleted, from other stores or from inside a column.

A foreign key can't be there, so nothing but the question at freeze keeps a remaining row from referring to nothing.
Where it can't be asked, or the rows would have to go along, the erasure is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from habeas.core.errors import Refused
from habeas.plan.assemble import column_type, key_of
from habeas.plan.deletes import is_flat
from habeas.plan.draft import Draft
from habeas.plan.graph import Graph, Node
from habeas.plan.inside import compared_column, refuse_tuple, refuse_unreadable
from habeas.plan.model import Column, FarHold, Step
from habeas.plan.ownership import Pointed, Pointers

_FIX = "mask the collection's rows instead of deleting them"


def find_far_holds(draft: Draft) -> Draft:
    """Give steps that delete the references that their own store can't see."""
    steps, problems = list(draft.steps), list(draft.problems)
    pointers = draft.pointers or Pointers(draft.graph)
    for step in draft.steps:
        for node, holder, pointed in _referring(draft.graph, pointers, step) if step.delete else ():
            refused = _refusal(step, holder, node, pointed)
            if refused is None:
                steps[step.index] = _held(draft.graph, steps[step.index], holder, node, pointed)
            else:
                problems.append(refused)
    return replace(draft, steps=tuple(steps), problems=tuple(problems))


def _referring(graph: Graph, pointers: Pointers, step: Step) -> Iterator[tuple[Node, Node, Pointed]]:
    """References to the step's table that are no holds of its own store: its collection, the holder's, the columns."""
    for address in graph.step_of(step.connection, step.table):
        for pointed in pointers.at(address):
            holder = graph.nodes.get(pointed.collection) if pointed.collection else None
            if holder is None or (holder.table is None and holder.bound.schema is not None):
                continue  # a table that isn't there refers to nothing
            if pointed.far or not is_flat(holder, pointed):
                yield graph.nodes[address], holder, pointed


def _refusal(step: Step, holder: Node, node: Node, pointed: Pointed) -> Refused | None:
    where = f"{holder.address}:{','.join(pointed.columns)}"
    if step.on_referenced in ("cascade", "null"):
        message = f"refers to rows of {node.address} that are to be deleted, from where on_referenced can't follow"
        fix = "declare on_referenced mask there, which masks the rows that are referred to"
        return Refused(message, cause="referenced", where=where, fix=fix)
    if holder.bound.disabled or holder.bound.problem is not None:
        state = "is disabled" if holder.bound.disabled else f"can't be reached: {holder.bound.problem}"
        message = f"refers to rows of {node.address} that are to be deleted, but connection {holder.bound.connection} "
        return Refused(f"{message}{state}", cause="referenced", where=where, fix=f"mend the connection, or {_FIX}")
    inside = [refuse_unreadable(holder, path) for path in pointed.columns]
    inside += [refuse_tuple(holder, pointed.columns), refuse_tuple(node, pointed.target_columns)]
    return next((each for each in inside if each is not None), None)


def _held(graph: Graph, step: Step, holder: Node, node: Node, pointed: Pointed) -> Step:
    here = [_compared(graph, holder, path) for path in pointed.columns]
    there = [_compared(graph, node, path) for path in pointed.target_columns]
    known = {column.name for column in step.columns}
    native = all(one.type.family is two.type.family for one, two in zip(here, there, strict=True))
    far = FarHold(
        Step(
            index=0,
            address=str(holder.address),
            connection=holder.bound.connection,
            table=holder.table_name,
            fingerprint=holder.table.fingerprint if holder.table else "",
            columns=tuple(_columns(graph, holder, pointed)),
            key=key_of(holder),
        ),
        tuple(column.name for column in here),
        tuple(column.name for column in there),
        "native" if native else "text",
    )
    lacking = tuple(column for column in there if column.name not in known)
    return msgspec.structs.replace(step, far_holds=(*step.far_holds, far), columns=(*step.columns, *lacking))


def _columns(graph: Graph, node: Node, pointed: Pointed) -> Iterator[Column]:
    compared = [_compared(graph, node, path) for path in pointed.columns]
    bases = [column.inside.column for column in compared if column.inside is not None]
    names = dict.fromkeys((*key_of(node), *bases, *(column.name for column in compared if column.inside is None)))
    yield from (_flat(node, name) for name in names)
    yield from (column for column in compared if column.inside is not None)


def _compared(graph: Graph, node: Node, path: str) -> Column:
    return compared_column(graph, node, path) or _flat(node, path)


def _flat(node: Node, name: str) -> Column:
    live = node.live.get(name)
    return Column(name, column_type(node, name), live.nullable if live else True)
