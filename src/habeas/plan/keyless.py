"""Tables without a key: their rows are written by the fields by which they were found, as one set.

Rows that are alike in all these fields are found, and written, together or not at all. So nothing may depend on the
single row: neither its mask nor whose it is. Where something does, the erasure is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.expression import secret_names
from habeas.plan.draft import Draft
from habeas.plan.graph import Node
from habeas.plan.model import Caution, Link, Mask, Step


def find_alike(draft: Draft) -> Draft:
    """Give written steps without a key the columns in which rows are alike that are found together."""
    steps, warnings = [], []
    for step in draft.steps:
        node = draft.graph.nodes[CollectionAddress.parse(step.address)]
        if step.key or not step.writes or why_unlike(step, node) is not None:
            steps.append(step)
            continue
        alike = found_by(step)
        steps.append(msgspec.structs.replace(step, alike=alike))
        why = "has no key that counts for tables that inherit from it too" if _inherited(node) else "has no key"
        message = f"{why}: rows alike in {', '.join(alike)} are written together, by reading the whole table"
        warnings.append(Caution(step.address, "no_key", message, "give the table a primary key, or declare one"))
    return replace(draft, steps=tuple(steps), warnings=(*draft.warnings, *warnings))


def _inherited(node: Node) -> bool:
    return node.table is not None and node.table.inherited


def found_by(step: Step) -> tuple[str, ...]:
    """The columns that decide whether a row is found, and how."""
    columns = {seed.column for seed in step.seeds}.union(*(link.columns for link in step.links))
    return tuple(sorted(columns))


def why_unlike(step: Step, node: Node) -> str | None:
    """Why rows of a table without a key can't be written as sets; None if they can."""
    return next(_reasons(step, node), None)


def _reasons(step: Step, node: Node) -> Iterator[str]:
    if node.table is None:
        yield "the store shows no schema that tells its rows apart"
    if any(column.inside is not None for column in step.columns):
        yield "values inside a column tell which rows are found"
    if step.own_of is not None or not found_by(step):
        yield "only a part of its rows is written"
    for mask in filter(_depends_on_the_row, step.field_masks):
        yield f"the mask {mask.strategy} of {mask.field} gives each row a value of its own"
    if not step.people and any(map(_is_asked_of_rows, step.links)):
        yield "whose a row is must be asked of each row (its reference could be declared owned, shared or context)"


def _is_asked_of_rows(link: Link) -> bool:
    return link.ownership == "auto" and (bool(link.rivals) or link.points == "to_target")


def _depends_on_the_row(mask: Mask) -> bool:
    return bool(mask.parts) or mask.form != "constant" or mask.expression is None or bool(secret_names(mask.expression))
