"""Writes: whether the stores allow what an erasure would do, and the order of its writes.

Everything that would fail at the first write is refused here. Never decides what is written. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.errors import Refused
from habeas.plan.deletes import deletes_before_masks, earlier_writes
from habeas.plan.draft import Draft
from habeas.plan.graph import Node
from habeas.plan.keyless import why_unlike
from habeas.plan.model import Step, base_of
from habeas.plan.order import components
from habeas.plan.rekey import later_writes

Pair = tuple[int, int]


def check_writes(draft: Draft) -> Draft:
    """Refuse writes for which a connection, privilege or key is missing, or that the store would not take."""
    problems = [
        problem
        for step in draft.steps
        if step.writes and not step.because  # what comes with deletes was checked when it was added
        for problem in _refusals(step, draft.graph.nodes[CollectionAddress.parse(step.address)])
    ]
    return replace(draft, problems=(*draft.problems, *problems))


def _refusals(step: Step, node: Node) -> Iterator[Refused]:
    where = step.address
    if node.bound.access == "read":
        fix = "give the connection write access, or declare the collection excluded with a reason"
        yield Refused(f"connection {step.connection} is read-only", cause="read_only", where=where, fix=fix)
    table = node.table
    if table is not None and table.is_view:
        fix = "describe the table behind it, or declare the collection excluded with a reason"
        yield Refused(f"{table.table} is a view", cause="no_privilege", where=where, fix=fix)
    elif table is not None and not (table.deletable if step.delete else table.writable):
        verb = "DELETE from" if step.delete else "UPDATE"
        message = f"the credentials may not {verb} {table.table}"
        yield Refused(message, cause="no_privilege", where=where, fix=f"grant {verb} on {table.table} to them")
    if not (step.key or step.alike) and (table is not None or node.bound.schema is None):
        fix = "declare primary_key on the fields that identify a row"
        yield Refused(f"has no key, and {why_unlike(step, node)}", cause="no_key", where=where, fix=fix)


def rank_writes(draft: Draft) -> Draft:
    """Order the writes: steps that hold identity or reference fields last, `erase_after` kept, and rows that
    point to deleted rows before these.
    """
    written = [step for step in draft.steps if step.writes]
    # Where rows can't all go before what they point to, only what the stores forbid counts.
    wished = _order(draft, written, forbidden_only=False)
    found = _order(draft, written, forbidden_only=True) if isinstance(wished, Refused) else wished
    if isinstance(found, Refused):
        known = any(problem.cause == "foreign_key_cycle" for problem in draft.problems)
        return draft if known else replace(draft, problems=(*draft.problems, found))
    component, successors = found
    # Components are numbered in topological order, so every earlier write is ranked before a later one.
    ordered = sorted(component, key=component.__getitem__)
    ranks = _ranks(ordered, successors, _anchors(draft.steps))
    steps = tuple(msgspec.structs.replace(step, write_rank=ranks.get(step.index, 0)) for step in draft.steps)
    return replace(draft, steps=steps)


Order = tuple[Mapping[int, int], Mapping[int, list[int]]]


def _order(draft: Draft, written: list[Step], *, forbidden_only: bool) -> Order | Refused:
    """The steps' components and successors, or the cycle that they form."""
    deletes = earlier_writes(draft.steps, forbidden_only=forbidden_only)
    known = (*_erase_after(draft, written), *later_writes(draft), *deletes_before_masks(draft.steps), *deletes)
    pairs = {pair for pair in known if pair[0] != pair[1]}
    successors: Mapping[int, list[int]] = _successors(pairs)
    component = components([step.index for step in written], successors)
    if len(set(component.values())) == len(component):
        return component, successors
    return _cycle(draft, component)


def _ranks(ordered: list[int], successors: Mapping[int, list[int]], anchors: set[int]) -> dict[int, int]:
    last = _with_successors(ordered, successors, anchors)
    ranks = dict.fromkeys(ordered, 0)
    _raise_ranks([index for index in ordered if index not in last], successors, ranks)
    base = max((ranks[index] + 1 for index in ordered if index not in last), default=0)
    for index in last:
        ranks[index] = base
    _raise_ranks([index for index in ordered if index in last], successors, ranks)
    return ranks


def _with_successors(ordered: list[int], successors: Mapping[int, list[int]], anchors: set[int]) -> set[int]:
    last = anchors.intersection(ordered)
    for index in ordered:
        if index in last:
            last.update(successors.get(index, ()))
    return last


def _raise_ranks(ordered: list[int], successors: Mapping[int, list[int]], ranks: dict[int, int]) -> None:
    for index in ordered:
        for later in successors.get(index, ()):
            ranks[later] = max(ranks[later], ranks[index] + 1)


def _successors(pairs: set[Pair]) -> dict[int, list[int]]:
    successors: dict[int, list[int]] = defaultdict(list)
    for earlier, later in sorted(pairs):
        successors[earlier].append(later)
    return successors


def _erase_after(draft: Draft, written: list[Step]) -> Iterator[Pair]:
    own = [step for step in written if not step.because and step.own_of is None]
    index = {step.address: step.index for step in own}
    for step in own:
        collection = draft.graph.nodes[CollectionAddress.parse(step.address)].collection
        yield from ((index[earlier], step.index) for earlier in collection.erase_after if earlier in index)


def _anchors(steps: tuple[Step, ...]) -> set[int]:
    """Steps whose writing destroys a field by which rows are found."""
    found_by: dict[int, set[str]] = defaultdict(set)
    for step in (each for each in steps if each.own_of is None):
        found_by[step.index].update(base_of(seed.column) for seed in step.seeds)
        for link in step.links:
            found_by[step.index].update(map(base_of, link.columns))
            found_by[link.source].update(map(base_of, link.source_columns))
    return {
        step.index for step in steps if step.delete or any(mask.field in found_by[step.origin] for mask in step.masks)
    }


def _cycle(draft: Draft, component: Mapping[int, int]) -> Refused:
    sizes: dict[int, list[int]] = defaultdict(list)
    for index, number in component.items():
        sizes[number].append(index)
    members = next(sorted(group) for group in sizes.values() if len(group) > 1)
    names = [draft.steps[index].address for index in members]
    return Refused(
        f"can't be erased in any order: {', '.join(names)} wait for each other",
        cause="erase_after_cycle",
        where=names[0],
        fix="remove an `erase_after`, or mask one of them instead of deleting",
    )
