"""The subject's own fields in rows that are declared shared: how they are known, and the steps that mask them.

A field is hers where its value equals a given identity: by the field's own kind, if it declares one; in any other text
field only by values that can't be mistaken for something else. Each such field gets a step of its own, so that what is
frozen, written and verified of a shared row is that one value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from habeas.core.address import CollectionAddress
from habeas.core.schema import TypeFamily
from habeas.dataset.model import Field
from habeas.plan.draft import Draft
from habeas.plan.graph import Node
from habeas.plan.model import Mask, Seed, Segment, Standing, Step


def own_seeds(node: Node, path: str, kinds: Iterable[str], region: str) -> tuple[Seed, ...]:
    """How a given identity is known in a field; () where none can be."""
    field = node.fields.get(path)
    if field is None:
        return ()
    at = field.region or region
    if field.identity is not None:
        return (Seed(path, field.identity, field.identity_match, at),) if field.identity in kinds else ()
    if not _holds_text(node, field, path):
        return ()
    return tuple(Seed(path, kind, region=at, declared=False) for kind in sorted(kinds))


def _holds_text(node: Node, field: Field, path: str) -> bool:
    live = node.live.get(path)
    if live is not None:
        return live.type.family is TypeFamily.TEXT
    return field.data_type in (None, "string", "text") and not field.fields


def can_be_shared(draft: Draft, step: Step) -> bool:
    """Whether a reference that is declared shared leads from the subject's rows to rows of the step."""
    standings = {each.index: draft.standings.get(CollectionAddress.parse(each.address)) for each in draft.steps}
    return not step.people and any(
        link.ownership == "shared" and standings.get(link.source) is Standing.OWN for link in step.links
    )


def own_steps(step: Step, node: Node, masks: Iterable[Mask], draft: Draft) -> Iterator[Step]:
    """A step for each of these masks by which a value of the subject's can go; `add_own_steps` gives it its index."""
    for mask in (each for each in masks if each.field not in step.key):
        paths = [part.field for part in mask.parts] or [mask.field]
        seeds = tuple(seed for path in paths for seed in own_seeds(node, path, draft.kinds, draft.region))
        if seeds or (mask.parts and _leads_to_rows(step, mask.field)):
            yield msgspec.structs.replace(step.bare(step.index), seeds=seeds, masks=(mask,), own_of=step.index)


def _leads_to_rows(step: Step, column: str) -> bool:
    """Whether elements inside the column tell whose they are, since rows are found by them."""
    inside = (each.inside for each in step.entries)
    return any(each is not None and each.column == column and not each.whole for each in inside)


def add_own_steps(draft: Draft) -> Draft:
    """Put the steps that mask own fields behind all others."""
    found = enumerate(draft.own, len(draft.steps))
    return replace(draft, steps=(*draft.steps, *(msgspec.structs.replace(step, index=index) for index, step in found)))


def with_own_steps(segment: Segment, steps: tuple[Step, ...]) -> Segment:
    """The segment with the steps that mask own fields in rows of its steps."""
    inside = set(segment.steps)
    own = tuple(step.index for step in steps if step.own_of in inside)
    return msgspec.structs.replace(segment, steps=(*segment.steps, *own)) if own else segment
