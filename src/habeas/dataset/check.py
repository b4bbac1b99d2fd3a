"""What is wrong or doubtful in datasets that are looked at together, without a live schema.

Errors that a later dataset could mend are `saveable`: they may be stored, and no validation passes with
them. What needs a policy, identities or a live schema is the plan's to find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from habeas.core.address import CollectionAddress
from habeas.dataset.load import warnings_of
from habeas.dataset.model import Dataset
from habeas.dataset.order import check_order
from habeas.dataset.places import CollectionPlace, ReferencePlace, World
from habeas.dataset.problem import Problem, nearest
from habeas.dataset.reach import check_reach, flow, hops


def check_datasets(datasets: Sequence[Dataset]) -> list[Problem]:
    """All problems, errors and warnings, by dataset and place. `loc` begins at the dataset's own top."""
    world = World(datasets)
    problems = [
        *_check_keys(datasets),
        *(problem for dataset in world.by_key.values() for problem in warnings_of(dataset)),
        *(problem for reference in world.references for problem in _check_reference(world, reference)),
        *_check_tuples(world),
        *_check_people(world),
        *_check_empty(world),
        *check_order(world),
        *check_reach(world),
    ]
    return sorted(problems, key=_order)


def _order(problem: Problem) -> tuple[object, ...]:
    # indices before keys, and never one compared with the other
    return (problem.dataset or "", [(isinstance(part, str), part) for part in problem.loc], problem.message)


def _check_keys(datasets: Sequence[Dataset]) -> Iterator[Problem]:
    seen: set[str] = set()
    for dataset in datasets:
        if dataset.fides_key in seen:
            yield Problem(
                message=f"the dataset {dataset.fides_key!r} exists a second time",
                path=dataset.fides_key,
                fix="give one of them another fides_key",
                loc=("fides_key",),
                dataset=dataset.fides_key,
            )
        seen.add(dataset.fides_key)


def _at(
    reference: ReferencePlace,
    message: str,
    *,
    fix: str | None = None,
    severity: Literal["error", "warning"] = "error",
    saveable: bool = False,
) -> Problem:
    return Problem(
        message=message,
        severity=severity,
        path=reference.path,
        fix=fix,
        loc=reference.loc,
        dataset=reference.holder.dataset.fides_key,
        saveable=saveable,
    )


def _check_reference(world: World, reference: ReferencePlace) -> Iterator[Problem]:
    if reference.target is None:
        yield _unknown_target(world, reference)
        return
    path = reference.reference.path
    if not _exists(reference.target, path):
        near = nearest(path, reference.target.fields)
        fix = f"did you mean {reference.target.collection.name}.{near}?" if near else "declare the field there"
        yield _at(reference, f"{reference.target.address} has no field {path!r}", fix=fix)
        return
    if reference.is_self and reference.reference.direction is None:
        yield _at(
            reference,
            "a reference within one collection must say which way data flows",
            fix="give direction: `from` finds the rows that name a found row, `to` the rows that a found row names",
            saveable=True,
        )
    yield from _check_types(reference, reference.target)


def _unknown_target(world: World, reference: ReferencePlace) -> Problem:
    address = reference.target_address
    dataset = world.by_key.get(address.dataset)
    if dataset is None:
        near = nearest(address.dataset, world.by_key, 0.8)
        fix = f"did you mean {near}?" if near else "add that dataset"
        return _at(reference, f"there is no dataset {address.dataset!r}", fix=fix, saveable=True)
    near = nearest(address.collection, [each.name for each in dataset.collections])
    fix = f"did you mean {near}.{reference.reference.path}?" if near else "declare the collection there"
    return _at(reference, f"the dataset {address.dataset} has no collection {address.collection!r}", fix=fix)


def _exists(target: CollectionPlace, path: str) -> bool:
    """Whether the field is declared, or lies in a declared object of which nothing more is declared."""
    if path in target.fields:
        return True
    parent = path
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if place := target.fields.get(parent):
            return place.field.data_type == "object" and not place.field.fields
    return False


def _check_types(reference: ReferencePlace, target: CollectionPlace) -> Iterator[Problem]:
    here = reference.field.field.data_type
    place = target.fields.get(reference.reference.path)
    there = place.field.data_type if place else None
    if here and there and here != there:
        message = f"a {here} is compared with a {there}: both are compared as text"
        yield _at(reference, message, fix="declare the same data_type if they hold the same values", severity="warning")


def _check_tuples(world: World) -> Iterator[Problem]:
    """References of one collection to one other that should, or can't, match as a tuple."""
    groups: dict[tuple[CollectionAddress, CollectionAddress, str | None], list[ReferencePlace]] = defaultdict(list)
    for reference in world.references:
        groups[reference.holder.address, reference.target_address, reference.reference.key].append(reference)
    for (_, _, key), members in groups.items():
        if key is None:
            yield from _check_loose(members)
        elif len(members) == 1:
            message = f"the key {key!r} groups this reference with no other"
            yield _at(
                members[0], message, fix="give the other references of the tuple the same key", severity="warning"
            )
        else:
            yield from _check_grouped(key, members)


def _check_loose(members: Sequence[ReferencePlace]) -> Iterator[Problem]:
    target = members[0].target
    if target is None or len(target.primary_key) < 2:
        return
    parts = [member for member in members if member.reference.path in target.primary_key]
    if len({member.reference.path for member in parts}) > 1:
        yield _at(
            parts[-1],
            f"these references name parts of the composite key of {target.address}, yet each matches by itself",
            fix="give them the same `key` to match as a tuple",
            severity="warning",
        )


def _check_grouped(key: str, members: Sequence[ReferencePlace]) -> Iterator[Problem]:
    for word, values in (
        ("direction", {member.reference.direction for member in members}),
        ("ownership", {member.reference.ownership for member in members}),
    ):
        if len(values) > 1:
            yield _at(
                members[-1], f"the references of the tuple {key!r} differ in {word}", fix=f"give all the same {word}"
            )
    if len({member.reference.path for member in members}) < len(members):
        yield _at(members[-1], f"the tuple {key!r} names one field twice", fix="name each field of the key once")


def _check_people(world: World) -> Iterator[Problem]:
    """Collections that point to two different collections of people and are reached from both: whose are the rows?"""
    near = hops(world)
    reached: dict[CollectionAddress, dict[CollectionAddress, ReferencePlace]] = defaultdict(dict)
    for reference in world.references:
        found = _person_of(reference, near)
        if found and reference.reference.ownership == "auto":
            reached[found[0]][found[1]] = reference
    for address, people in sorted(reached.items()):
        if len(people) < 2:
            continue
        names = " and ".join(str(each) for each in sorted(people))
        last = people[max(people)]
        yield _at(
            last,
            f"rows of {address} are reached from the people of {names}: whose are they?",
            fix="declare `ownership` on one of these references: context if that person only handles the row",
            severity="warning",
        )


def _person_of(
    reference: ReferencePlace, near: dict[CollectionAddress, int]
) -> tuple[CollectionAddress, CollectionAddress] | None:
    """The collection that points and the people it points to, if data flows from these to it."""
    target = reference.target
    if target is None or reference.is_self or not (target.in_graph and reference.holder.in_graph):
        return None
    holder_is_key = reference.holder.primary_key == {reference.field.path}
    target_is_key = target.primary_key == {reference.reference.path}
    pointing, pointed = (reference.holder, target)
    if holder_is_key and not target_is_key:
        pointing, pointed = target, reference.holder
    if not pointed.collection.holds_people or flow(reference, near) != (pointed.address, pointing.address):
        return None
    return pointing.address, pointed.address


def _check_empty(world: World) -> Iterator[Problem]:
    for place in world.collections.values():
        if place.collection.data_categories and not place.collection.fields:
            yield Problem(
                message="has data categories and no fields, so no policy takes anything from it",
                severity="warning",
                path=str(place.address),
                fix="list its fields",
                loc=(*place.loc, "fields"),
                dataset=place.dataset.fides_key,
            )
