"""Traversal: independent of input order, and equal to a naive fixpoint over the datasets' own declarations."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from habeas.core.errors import Refused
from habeas.dataset.model import Collection, Dataset, Field, Reference
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan
from habeas.policy.model import ActionType, Policy, Rule

POLICY = Policy("p", (Rule("a", ActionType.ACCESS, ("user",), "local"),))
COLUMNS = ("id", "a", "b", "c")
VALUES = st.sampled_from([None, 0, 1, 2, 3])
Rows = list[dict[str, int | None]]
Place = tuple[str, str]


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Up to three datasets on up to two connections, with any references: cycles, self references, tuples."""
    names = [(f"d{number % 3}", f"t{number}") for number in range(draw(st.integers(1, 6)))]
    collections = defaultdict(list)
    for dataset, name in names:
        collections[dataset].append(_collection(draw, (dataset, name), names))
    bound = [
        BoundDataset(Dataset(key, tuple(each)), draw(st.sampled_from(["x", "y"]))) for key, each in collections.items()
    ]
    return Catalog(tuple(bound))


def _collection(draw: st.DrawFn, place: Place, names: list[Place]) -> Collection:
    references: dict[str, list[Reference]] = defaultdict(list)
    for number in range(draw(st.integers(0, 3))):
        dataset, name = draw(st.sampled_from(names))
        direction = draw(st.sampled_from(["from", "to"] if (dataset, name) == place else ["from", "to", None]))
        key = f"k{number}" if draw(st.booleans()) else None
        for _ in range(draw(st.integers(1, 2)) if key else 1):
            here, there = draw(st.sampled_from(COLUMNS)), draw(st.sampled_from(COLUMNS))
            references[here].append(Reference(dataset, f"{name}.{there}", direction, key))
    kind = draw(st.sampled_from([None, None, "email", "phone_number"]))
    fields = [
        Field(column, ("user.content",), references=tuple(references[column]), primary_key=column == "id")
        for column in COLUMNS
    ]
    return Collection(place[1], (*fields, Field("who", (), identity=kind, identity_match="exact")))


@given(catalogs(), st.sets(st.sampled_from(["email", "phone_number"]), min_size=1), st.randoms())
def test_order_of_input_is_irrelevant(catalog: Catalog, kinds: set[str], chance: random.Random) -> None:
    assert _outcome(catalog, sorted(kinds)) == _outcome(_shuffled(catalog, chance), sorted(kinds, reverse=True))


def _outcome(catalog: Catalog, kinds: list[str]) -> tuple[object, ...]:
    try:
        plan = build_plan(POLICY, catalog, kinds, region="US")
    except Refused as refused:
        return tuple(str(each) for each in refused.problems)
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()
    return (plan.to_json(), plan.digest())


def _shuffled(catalog: Catalog, chance: random.Random) -> Catalog:
    def mixed(items: Any) -> tuple[Any, ...]:
        return tuple(chance.sample(items, len(items)))

    def collection(each: Collection) -> Collection:
        fields = (msgspec.structs.replace(field, references=mixed(field.references)) for field in each.fields)
        return msgspec.structs.replace(each, fields=mixed(tuple(fields)))

    def bound(each: BoundDataset) -> BoundDataset:
        collections = mixed(tuple(collection(one) for one in each.dataset.collections))
        return msgspec.structs.replace(each, dataset=msgspec.structs.replace(each.dataset, collections=collections))

    return Catalog(mixed(tuple(bound(each) for each in catalog.datasets)))


@given(catalogs(), st.data())
def test_plan_finds_what_a_naive_fixpoint_finds(catalog: Catalog, data: st.DataObject) -> None:
    kinds = data.draw(st.sets(st.sampled_from(["email", "phone_number"]), min_size=1))
    rows = {
        place: [
            {**dict.fromkeys(COLUMNS), **row}
            for row in data.draw(st.lists(st.fixed_dictionaries({c: VALUES for c in (*COLUMNS, "who")}), max_size=4))
        ]
        for place, _ in _collections(catalog)
    }
    try:
        plan = build_plan(POLICY, catalog, kinds, region="US")
    except Refused:
        assume(False)
    naive = _naive(catalog, rows, kinds)
    found = _run(plan, rows)
    assert found == {step.address: naive[_place(step.address)] for step in plan.steps}
    planned = {_place(step.address) for step in plan.steps}
    assert not [place for place, numbers in naive.items() if numbers and place not in planned]


@given(catalogs())
def test_sources_come_first_and_loops_are_marked(catalog: Catalog) -> None:
    try:
        plan = build_plan(POLICY, catalog, ["email", "phone_number"], region="US")
    except Refused:
        assume(False)
    segment_of = {index: number for number, segment in enumerate(plan.segments) for index in segment.steps}
    assert [index for segment in plan.segments for index in segment.steps] == list(range(len(plan.steps)))
    for segment in plan.segments:
        assert {plan.steps[index].connection for index in segment.steps} == {segment.connection}
    for one, two in pairwise(plan.segments):
        assert one.connection != two.connection or one.loop != two.loop
    for step in plan.steps:
        for link in step.links:
            here, there = segment_of[step.index], segment_of[link.source]
            same_loop = plan.segments[here].loop is not None and plan.segments[here].loop == plan.segments[there].loop
            assert there <= here or same_loop
    ids = [link.id for step in plan.steps for link in step.links]
    assert len(set(ids)) == len(ids)


def _place(address: str) -> Place:
    dataset, _, name = address.partition(":")
    return dataset, name


def _collections(catalog: Catalog) -> Iterator[tuple[Place, Collection]]:
    for bound in catalog.datasets:
        for collection in bound.dataset.collections:
            yield (bound.dataset.fides_key, collection.name), collection


def _run(plan: Plan, rows: dict[Place, Rows]) -> dict[str, set[int]]:
    """What the plan's seeds and links find, ownership aside: positions of rows by address."""
    tables = [rows[_place(step.address)] for step in plan.steps]
    found = [
        {number for number, row in enumerate(table) for seed in step.seeds if row[seed.column] == 1}
        for step, table in zip(plan.steps, tables, strict=True)
    ]
    grown = True
    while grown:
        grown = False
        for step in plan.steps:
            for link in step.links:
                values = {tuple(tables[link.source][n][c] for c in link.source_columns) for n in found[link.source]}
                for number, row in enumerate(tables[step.index]):
                    value = tuple(row[column] for column in link.columns)
                    if None not in value and value in values and number not in found[step.index]:
                        found[step.index].add(number)
                        grown = True
    return {step.address: numbers for step, numbers in zip(plan.steps, found, strict=True)}


def _naive(catalog: Catalog, rows: dict[Place, Rows], kinds: set[str]) -> dict[Place, set[int]]:
    """The same from the declarations themselves, trying every reference on every pair of rows until nothing changes."""
    flows = _flows(catalog, kinds)
    found = {
        place: {n for n, row in enumerate(rows[place]) if _identity(collection) in kinds and row["who"] == 1}
        for place, collection in _collections(catalog)
    }
    grown = True
    while grown:
        before = sum(map(len, found.values()))
        for source, target, pairs in flows:
            for number, row in enumerate(rows[target]):
                if any(
                    all(row[there] is not None and row[there] == rows[source][n][here] for here, there in pairs)
                    for n in found[source]
                ):
                    found[target].add(number)
        grown = sum(map(len, found.values())) > before
    return found


def _identity(collection: Collection) -> str | None:
    return next(field.identity for field in collection.fields if field.name == "who")


def _flows(catalog: Catalog, kinds: set[str]) -> list[tuple[Place, Place, frozenset[tuple[str, str]]]]:
    groups = _groups(catalog)
    directed = {
        (this, that, pairs) if direction == "to" else (that, this, _turned(pairs))
        for this, that, pairs, direction in groups
        if direction
    }
    open_ones = {
        (this, that, pairs)
        for this, that, pairs, direction in groups
        if not direction and not {(this, that, pairs), (that, this, _turned(pairs))} & directed
    }
    ways = {(one, two) for one, two, _ in directed | open_ones} | {(two, one) for one, two, _ in open_ones}
    hops = {place: 0 for place, collection in _collections(catalog) if _identity(collection) in kinds}
    for distance in range(len(rows := list(_collections(catalog)))):
        for one, two in ways:
            if hops.get(one) == distance:
                hops.setdefault(two, distance + 1)
    flows = list(directed)
    for one, two, pairs in open_ones:
        if one in hops and two in hops:
            forth = (hops[one], one) <= (hops[two], two)
            flows.append((one, two, pairs) if forth else (two, one, _turned(pairs)))
    assert rows
    return flows


def _turned(pairs: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset((there, here) for here, there in pairs)


def _groups(catalog: Catalog) -> list[tuple[Place, Place, frozenset[tuple[str, str]], str | None]]:
    groups: dict[Any, Any] = {}
    for place, collection in _collections(catalog):
        for field in collection.fields:
            for number, reference in enumerate(field.references):
                that = (reference.dataset, reference.collection)
                name = (place, that, reference.key or (field.name, number))
                pairs, direction = groups.get(name, (frozenset(), None))
                groups[name] = (pairs | {(field.name, reference.path)}, direction or reference.direction)
    return [(place, that, pairs, direction) for (place, that, _), (pairs, direction) in groups.items()]
